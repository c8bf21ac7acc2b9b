"""Prompt caching for clients that do not ask for it: marks and keys in the hub request. Pure.

A client that marks anything itself is left alone: it knows its prefix better (pitfalls CAC-02). Reasoning, empty
texts and tools without room for a mark never carry one (CAC-03). What is added depends on the conversation only, so
that the next turn's prefix is the same (CAC-09).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from translators import ir
from translators.wire import JsonObject

MARK: Final = ir.CacheMark()
TURNS: Final = 2
"""Turns of the user that get a mark, from the end: the last one is written, the one before it is read."""


def declines(body: JsonObject) -> bool:
    """Whether the client switched caching by the provider's own choice off: marks only where it puts them itself."""
    options = body.get("prompt_cache_options")
    return isinstance(options, dict) and options.get("mode") == "explicit"


def is_marked(request: ir.Request) -> bool:
    """Whether the client says itself what is to be cached."""
    if request.cache_prefix is not None:
        return True
    if any(isinstance(tool, ir.FunctionTool) and tool.cache is not None for tool in request.tools):
        return True
    return any(
        getattr(part, "cache", None) is not None
        for message in request.messages
        for part in message.parts
    )


def with_marks(request: ir.Request) -> ir.Request:
    """Tools, system text and the last turns marked: four marks at most; unchanged where the client has its own."""
    if is_marked(request):
        return request
    messages = list(request.messages)
    _mark_last(messages, ir.Role.SYSTEM, 1)
    _mark_last(messages, ir.Role.USER, TURNS)
    return replace(request, messages=tuple(messages), tools=_marked_tools(request.tools))


def _marked_tools(tools: tuple[ir.Tool, ...]) -> tuple[ir.Tool, ...]:
    if not tools or not isinstance(tools[-1], ir.FunctionTool):
        return tools
    return (*tools[:-1], replace(tools[-1], cache=MARK))


def _mark_last(messages: list[ir.Message], role: ir.Role, count: int) -> None:
    for index in range(len(messages) - 1, -1, -1):
        if count == 0:
            return
        message = messages[index]
        if message.role is role and (parts := _marked_parts(message.parts)) is not None:
            messages[index] = replace(message, parts=parts)
            count -= 1


def _marked_parts(parts: tuple[ir.Part, ...]) -> tuple[ir.Part, ...] | None:
    """The parts with a mark on the last one that can carry it, None when none can."""
    for index in range(len(parts) - 1, -1, -1):
        match parts[index]:
            case ir.Text(text=text) as part if text.strip():
                marked: ir.Part = replace(part, cache=MARK)
            case ir.Image() | ir.Document() | ir.ToolResult() as part:
                marked = replace(part, cache=MARK)
            case _:
                continue
        return (*parts[:index], marked, *parts[index + 1 :])
    return None


def with_key(request: ir.Request, session: str | None) -> ir.Request:
    """A cache key made from the session, for a request that has none (CAC-07)."""
    if request.cache_key is not None or session is None:
        return request
    return replace(request, cache_key=session)
