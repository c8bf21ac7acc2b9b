"""`countTokens`: the body for an upstream, and the answer in both directions.

Reference: https://ai.google.dev/api/tokens (read 2026-11-21)
"""

from __future__ import annotations

from typing import Final

from translators.gemini.spelling import camel_keys
from translators.wire import Json, JsonObject

_VERTEX_FIELDS: Final = ("contents", "systemInstruction", "tools", "generationConfig")
_COUNTED: Final = (*_VERTEX_FIELDS, "toolConfig", "cachedContent")


def count_body(body: JsonObject, model: str, *, vertex: bool = False) -> JsonObject:
    """The body for `countTokens` of a rendered request.

    On the Gemini API only the wrapped form counts system text and tools; Vertex AI has no wrapper.
    """
    if vertex:
        return {key: body[key] for key in _VERTEX_FIELDS if key in body}
    name = model if "/" in model else f"models/{model}"
    fields = {key: body[key] for key in _COUNTED if key in body}
    return {"generateContentRequest": {"model": name, **fields}}


def forwarded(body: JsonObject, model: str) -> JsonObject:
    """A client's own count body for another model: the wrapped form names it once more; the same object if bare."""
    for key in ("generateContentRequest", "generate_content_request"):
        wrapped = body.get(key)
        if isinstance(wrapped, dict):
            name = model if "/" in model else f"models/{model}"
            return {**body, key: {**wrapped, "model": name}}
    return body


def parse_count(body: Json) -> int | None:
    """The total of an upstream's count, None when it names none (zero is left out on the wire)."""
    if not isinstance(body, dict):
        return None
    counted = camel_keys(body)
    total = counted.get("totalTokens")
    if total is None and "promptTokensDetails" in counted:
        return 0
    try:
        return None if total is None or isinstance(total, bool) else int(total)
    except (TypeError, ValueError):
        return None


def render_count(total: int) -> JsonObject:
    """A count for a client."""
    return {"totalTokens": total}
