"""A choice among some of the tools, for protocols that have no field for it: the others are not declared."""

from __future__ import annotations

from dataclasses import replace

from translators import ir


def permitted(request: ir.Request) -> ir.Request:
    """The request without the hosted tools that its choice of a subset does not name.

    Where it names hosted tools alone, the client's own are left out too, but for those that the history calls. The
    subset of the client's own is each protocol's business.
    """
    choice = request.tool_choice
    if choice is None or choice.mode is ir.ChoiceMode.NONE or choice.hosted is not None:
        return request
    if not choice.allowed and not choice.allowed_hosted:
        return request
    called = frozenset[ir.ToolRef]() if choice.allowed else _called(request)

    def stays(tool: ir.Tool) -> bool:
        if isinstance(tool, ir.HostedTool):
            return tool.kind in choice.allowed_hosted
        return bool(choice.allowed) or tool.ref in called

    return replace(request, tools=tuple(filter(stays, request.tools)))


def _called(request: ir.Request) -> frozenset[ir.ToolRef]:
    return frozenset(
        part.ref
        for message in request.messages
        for part in message.parts
        if isinstance(part, ir.ToolCall)
    )
