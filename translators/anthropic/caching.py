"""Cache marks of a request: how many, which, and in which order of lifetimes (portability rules, section 13).

Blocks and tools are written with the hub's `CacheMark` under `cache_control`; `place_marks` makes wire objects of the
ones that may stay. Reference: https://platform.claude.com/docs/en/build-with-claude/prompt-caching (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from translators import ir
from translators.anthropic.words import MAX_CACHE_MARKS
from translators.wire import Json, JsonObject

_KEY: Final = "cache_control"
_SHORT: Final = frozenset({None, "5m"})
_LONG: Final = "1h"


def place_marks(request: ir.Request, body: JsonObject) -> None:
    """Keep the last four marks of the prefix order (tools, system, messages), the longer lifetimes first.

    A client that steers its cache by key and marks nothing gets the automatic mark. Changes `body`.
    """
    marked = list(_marked(body))
    automatic = request.cache_prefix
    if automatic is None and request.cache_key is not None and not marked:
        automatic = ir.CacheMark()
    room = MAX_CACHE_MARKS - (automatic is not None)
    for holder in marked[:-room]:
        del holder[_KEY]
    kept = marked[-room:]
    short_seen = False
    for holder in kept:
        # A longer lifetime may not follow a shorter one (pitfalls CAC-04).
        mark = _wire(holder[_KEY], short_only=short_seen)
        short_seen = short_seen or "ttl" not in mark
        holder[_KEY] = mark
    if automatic is not None:
        body[_KEY] = _wire(automatic, short_only=short_seen)


def _wire(mark: Json, *, short_only: bool) -> JsonObject:
    if isinstance(mark, ir.CacheMark):
        ttl = mark.ttl
    else:
        ttl = mark.get("ttl") if isinstance(mark, dict) else None
    if ttl in _SHORT or short_only:
        return {"type": "ephemeral"}
    return {"type": "ephemeral", "ttl": _LONG}


def _marked(body: JsonObject) -> Iterator[JsonObject]:
    """Everything that carries a mark, in the order of the prefix."""
    yield from _holders(body.get("tools"))
    yield from _holders(body.get("system"))
    for message in body["messages"]:
        yield from _holders(message["content"])


def _holders(items: Json) -> Iterator[JsonObject]:
    if not isinstance(items, list):
        return
    for item in items:
        if item.get("type") == "tool_result":
            yield from _holders(item.get("content"))
        if item.get(_KEY) is not None:
            yield item
