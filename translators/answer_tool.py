"""An output schema where the target has none: the answer as the arguments of a tool that must be called.

The tool is put into the hub request, so that every protocol writes it like a client's own; filters.py turns its
call back into the answer's text (`Reading.answer_tool`). Pitfalls OUT-04.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from translators import ir, schema
from translators.losses import Action, Losses
from translators.profile import ModelProfile, SchemaFallback
from translators.wire import JsonObject

NAME: Final = "answer"
DESCRIPTION: Final = "Give the final answer to the user. Call this tool instead of writing text."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The request to render, and what reading its answer must undo; `tool` None = nothing was changed."""

    request: ir.Request
    tool: ir.ToolRef | None = None
    wrapped: bool = False


def ask(request: ir.Request, profile: ModelProfile, usual: SchemaFallback, losses: Losses) -> Asked:
    """Ask for an output schema with a tool where the profile says so; `usual` = the protocol's own way.

    With tools of the client's beside it the model must call one of them or answer. A client that forces a call of
    its own has no use for the schema in this turn.
    """
    output = request.output
    if output is None or output.kind is not ir.OutputKind.JSON_SCHEMA or profile.json_schema:
        return Asked(request=request)
    way = profile.schema_fallback or usual
    if way is not SchemaFallback.TOOL or not profile.forced_tool_choice:
        return Asked(request=request)
    choice = request.tool_choice
    if choice is not None and choice.mode is ir.ChoiceMode.REQUIRED:
        return Asked(request=replace(request, output=None))
    losses.choose(
        output.path,
        "the output schema was asked for as the arguments of a tool",
        strict=Action.REJECT,
        balanced=Action.WARN,
        max_compat=Action.WARN,
    )
    wanted, wrapped = _object_schema(output)
    tool = ir.FunctionTool(
        name=_free_name(request),
        description=f"{DESCRIPTION} {output.description or ''}".rstrip(),
        schema=wanted,
        path=output.path,
    )
    asked = replace(
        request,
        output=None,
        tools=(*request.tools, tool),
        tool_choice=_choice(request, tool.ref, output.path),
    )
    return Asked(request=asked, tool=tool.ref, wrapped=wrapped)


def _object_schema(output: ir.OutputFormat) -> tuple[JsonObject, bool]:
    wanted = output.schema or {}
    wanted = schema.from_openapi(wanted) if output.openapi else wanted
    if schema.root_is_object(wanted):
        return wanted, False
    return schema.wrap_root(wanted), True


def _free_name(request: ir.Request) -> str:
    """A name that no tool of the client has."""
    taken = {tool.name for tool in request.tools if not isinstance(tool, ir.HostedTool)}
    name, count = NAME, 1
    while name in taken:
        count += 1
        name = f"{NAME}_{count}"
    return name


def _choice(request: ir.Request, answer: ir.ToolRef, path: str) -> ir.ToolChoice:
    choice = request.tool_choice
    none = choice is not None and choice.mode is ir.ChoiceMode.NONE
    if none or not request.tools:
        allowed: tuple[ir.ToolRef, ...] = (answer,)
    elif choice is not None and choice.allowed:
        allowed = (*choice.allowed, answer)
    else:
        allowed = ()
    return ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=allowed, path=path)
