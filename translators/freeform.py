"""Freeform tools emulated as functions with one string argument: section 6.2."""

from __future__ import annotations

from translators import ir
from translators.losses import Losses
from translators.wire import JsonObject

INPUT_KEY = "input"


def as_function(tool: ir.CustomTool, losses: Losses) -> ir.FunctionTool:
    """The function that stands in for a freeform tool; a grammar goes into its description, or is refused."""
    raise NotImplementedError


def wrap_input(text: str) -> str:
    """A freeform call's input as the function's arguments text: {"input": <text>}."""
    raise NotImplementedError


def unwrap_input(arguments: str) -> str:
    """The plain input inside arguments text; odd shapes by pitfalls TOOL-15, never an exception."""
    raise NotImplementedError


SCHEMA: JsonObject = {
    "type": "object",
    "properties": {INPUT_KEY: {"type": "string", "description": "Raw input text"}},
    "required": [INPUT_KEY],
    "additionalProperties": False,
}
