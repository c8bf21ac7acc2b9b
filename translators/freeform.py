"""Client-run tools that other protocols do not know, as functions: freeform ones (section 6.2), searches for tools."""

from __future__ import annotations

from translators import ir
from translators.losses import Loss, Losses
from translators.wire import JsonObject, JsonSyntaxError, dump_text, loads

INPUT_KEY = "input"


def as_function(tool: ir.CustomTool, losses: Losses) -> ir.FunctionTool:
    """The function that stands in for a freeform tool; a grammar goes into its description, or is refused."""
    description = tool.description
    if tool.grammar is not None:
        losses.give_up(
            Loss.MEANING,
            tool.path,
            f"a {tool.grammar.syntax} grammar cannot be enforced here; it was put into the description",
        )
        rule = (
            f"The input must match this {tool.grammar.syntax} grammar:\n{tool.grammar.definition}"
        )
        description = f"{description}\n\n{rule}" if description else rule
    return ir.FunctionTool(
        name=tool.name,
        description=description,
        schema=SCHEMA,
        namespace=tool.namespace,
        path=tool.path,
    )


def note_search(tool: ir.FunctionTool, losses: Losses) -> None:
    """Record that a client's search for tools goes out as a plain function (pitfalls STA-13)."""
    if tool.kind is ir.ToolKind.SEARCH:
        losses.give_up(Loss.VALUE, tool.path, "the search for tools was declared as a function")


def wrap_input(text: str) -> str:
    """A freeform call's input as the function's arguments text: {"input": <text>}."""
    return f'{{"{INPUT_KEY}":{dump_text(text)}}}'


def unwrap_input(arguments: str) -> str:
    """The plain input inside arguments text; odd shapes by pitfalls TOOL-15, never an exception.

    A string `input` as it is, any other `input` as its JSON; an object with one other string, that string;
    what is no JSON at all, the raw text.
    """
    try:
        value = loads(arguments)
    except JsonSyntaxError:
        return arguments
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return arguments
    if INPUT_KEY in value:
        inner = value[INPUT_KEY]
        if inner is None:
            return ""
        return inner if isinstance(inner, str) else dump_text(inner)
    if not value:
        return ""
    only = next(iter(value.values()))
    return only if len(value) == 1 and isinstance(only, str) else arguments


SCHEMA: JsonObject = {
    "type": "object",
    "properties": {INPUT_KEY: {"type": "string", "description": "Raw input text"}},
    "required": [INPUT_KEY],
    "additionalProperties": False,
}
