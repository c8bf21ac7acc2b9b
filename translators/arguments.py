"""Tool arguments and results between their text form (C, R) and their object form (A, G): section 8."""

from __future__ import annotations

from typing import Final

from translators import ir
from translators.losses import Action, Losses
from translators.wire import Json, JsonObject, JsonSyntaxError, dump_text, loads

RAW_KEY: Final = "_raw"


def arguments_object(
    text: str, path: str, losses: Losses, fate: str = "were put under `_raw`"
) -> JsonObject:
    """Arguments text as an object: "" is {}; what is no JSON object is refused, or kept under `_raw`.

    `fate` is what the record says became of them.
    """
    if not text.strip():
        return {}
    try:
        value = loads(text)
    except JsonSyntaxError:
        value = text
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    losses.choose(
        path,
        f"tool arguments that are not a JSON object {fate}",
        strict=Action.REJECT,
        balanced=Action.REJECT,
        max_compat=Action.WARN,
    )
    return {RAW_KEY: text}


def arguments_text(value: Json) -> str:
    """An arguments object as compact JSON; None is `{}`; a string that is JSON already stays as it is."""
    if value is None or value == "":
        return "{}"
    return value if isinstance(value, str) and _is_json(value) else dump_text(value)


def _is_json(text: str) -> bool:
    try:
        loads(text)
    except JsonSyntaxError:
        return False
    return True


def result_text(result: ir.ToolResult, separator: str = "\n") -> str:
    """The text parts of a result, joined; "" when there are none."""
    parts = result.content
    if len(parts) == 1 and isinstance(parts[0], ir.Text):
        return parts[0].text
    return separator.join(part.text for part in parts if isinstance(part, ir.Text))


def with_error_mark(text: str, *, is_error: bool) -> str:
    """Say in the text that a tool failed, for protocols without a flag."""
    if is_error and not text.startswith("Error"):
        return f"Error: {text}"
    return text
