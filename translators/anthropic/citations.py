"""Citations of assistant text, read and written.

Reference: https://platform.claude.com/docs/en/build-with-claude/citations (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from translators import ir
from translators.anthropic.words import PROTOCOL
from translators.wire import Json, JsonObject

WEB: Final = "web_search_result_location"


def parse_citation(wire: Json) -> ir.Citation | None:
    """One citation; None for what is no object."""
    if not isinstance(wire, dict):
        return None
    title = _text(wire, "title") or _text(wire, "document_title") or ""
    cited = _text(wire, "cited_text")
    if wire.get("type") == WEB:
        return ir.UrlCitation(
            url=_text(wire, "url") or "",
            title=title,
            cited_text=cited,
            opaque=_text(wire, "encrypted_index"),
        )
    return ir.DocumentCitation(
        protocol=PROTOCOL,
        wire=wire,
        title=title,
        cited_text=cited,
    )


def parse_citations(wires: Json) -> tuple[ir.Citation, ...]:
    """All citations of a text block."""
    if not isinstance(wires, list):
        return ()
    return tuple(found for wire in wires if (found := parse_citation(wire)) is not None)


def render_citation(citation: ir.Citation) -> JsonObject | None:
    """A citation in this protocol's words, None for one that it cannot say (another vendor's)."""
    if isinstance(citation, ir.DocumentCitation):
        return citation.wire if citation.protocol == PROTOCOL else None
    if citation.opaque is None:
        return None
    return {
        "type": WEB,
        "cited_text": citation.cited_text or "",
        "url": citation.url,
        "title": citation.title or None,
        "encrypted_index": citation.opaque,
    }


def render_citations(citations: Iterable[ir.Citation]) -> tuple[list[JsonObject], int]:
    """Those that can be said, and how many cannot."""
    rendered = [render_citation(citation) for citation in citations]
    said = [wire for wire in rendered if wire is not None]
    return said, len(rendered) - len(said)


def _text(wire: JsonObject, key: str) -> str | None:
    value = wire.get(key)
    return value if isinstance(value, str) else None
