"""A turn that the provider's own tools paused: what goes back, unchanged, so that it goes on.

The content of `pause_turn` returns as the last assistant message of the same request, with the container that its
code ran in. A whole answer has it as it is; transcript.py puts that of a streamed one together.
Reference: https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from translators import ir
from translators.anthropic.words import PROTOCOL
from translators.wire import Json, JsonObject

MAX_RESUMES: Final = 5


def resume_of(content: list[Json], container: Json) -> ir.Resume:
    """What goes back of a paused answer."""
    told = [block for block in content if not _is_empty(block)]
    wire: JsonObject = {"content": told}
    if isinstance(container, dict) and isinstance(container.get("id"), str):
        wire["container"] = container["id"]
    return ir.Resume(protocol=PROTOCOL, wire=wire, times=MAX_RESUMES)


def _is_empty(block: Json) -> bool:
    """An empty text, which an answer may hold and a request may not."""
    return isinstance(block, dict) and block.get("type") == "text" and not block.get("text")


def put_back(body: JsonObject, resumes: Iterable[ir.Resume]) -> None:
    """Add to a request what its paused answers held so far, as one assistant message."""
    content: list[Json] = []
    for resume in resumes:
        content += resume.wire["content"]
        if "container" in resume.wire:
            body["container"] = resume.wire["container"]
    if content:
        body["messages"] = [*body["messages"], {"role": "assistant", "content": content}]


def may_pause(body: JsonObject) -> bool:
    """Whether the request declares tools that the provider runs: only those pause a turn."""
    if "mcp_servers" in body:
        return True
    return any("input_schema" not in tool for tool in body.get("tools") or ())
