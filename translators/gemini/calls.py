"""Tool calls and their results: arguments are an object here, a response is an object with optional media.

Reference: https://ai.google.dev/gemini-api/docs/function-calling (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators import freeform, ir, media
from translators.arguments import arguments_object, arguments_text, result_text
from translators.gemini.context import Context, is_default
from translators.gemini.spelling import ProtoFields
from translators.losses import Loss, Losses
from translators.wire import Json, JsonObject, JsonSyntaxError, dump_text, loads

_PLAIN_KEYS: Final = ("output", "result")

_RESPONSE_FLAGS: Final[Mapping[str, str]] = {
    "willContinue": "a result in several pieces is taken as final",
    "scheduling": "results cannot be scheduled",
}


def parse_call(fields: ProtoFields, context: Context) -> ir.ToolCall:
    """A `functionCall` of the history."""
    call = fields.object("functionCall")
    name = call.text("name")
    call.skip("willContinue", "partialArgs")
    part = ir.ToolCall(
        call_id=context.calls.call(name, call.optional_text("id")),
        name=name,
        arguments=arguments_text(call.any("args")),
        path=call.path,
    )
    context.unknown(call)
    return part


def parse_result(fields: ProtoFields, context: Context) -> ir.ToolResult:
    """A `functionResponse`; it belongs to the call with its id, else to the first open one of its name."""
    response = fields.object("functionResponse")
    name = response.optional_text("name", "")
    for key, reason in _RESPONSE_FLAGS.items():
        if not is_default(response.any(key)):
            context.lose(response.at(key), Loss.HINT, reason)
    text, is_error = response_text(response.any("response"))
    content: list[ir.Text | ir.Image | ir.Document] = []
    if text:
        content.append(ir.Text(text=text, path=response.at("response")))
    for item in response.items("parts"):
        _parse_media(item, content, context)
    part = ir.ToolResult(
        call_id=context.calls.answer(name, response.optional_text("id")),
        content=tuple(content),
        is_error=is_error,
        name=name or None,
        path=response.path,
    )
    context.unknown(response)
    return part


def response_text(response: Json) -> tuple[str, bool]:
    """The text of a `response` and whether it says that the tool failed (portability rules, section 8)."""
    if response is None:
        return "", False
    if isinstance(response, str):
        return response, False
    if isinstance(response, dict) and len(response) == 1:
        key, value = next(iter(response.items()))
        if key in _PLAIN_KEYS:
            return _plain(value), False
        if key == "error":
            return _plain(value), True
    return dump_text(response), False


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else dump_text(value)


def _parse_media(
    item: ProtoFields, content: list[ir.Text | ir.Image | ir.Document], context: Context
) -> None:
    """Media in a result: images and documents; what else there is cannot go to any other protocol."""
    source: ir.Source
    inline = item.optional_object("inlineData")
    file = item.optional_object("fileData")
    if inline is not None:
        data = media.standard_base64(inline.text("data"), inline.at("data"))
        media_type = media.media_type(inline.optional_text("mimeType"), data)
        source = ir.Inline(media_type=media_type, data=data)
    elif file is not None:
        media_type = media.normalised(file.optional_text("mimeType")) or ""
        source = ir.Url(url=file.text("fileUri"), media_type=media_type or None)
    else:
        context.unknown(item)
        return
    title = (inline or file or item).optional_text("displayName")
    if media_type.startswith(("audio/", "video/")):
        context.lose(item.path, Loss.MEANING, f"{media_type} in a tool result was dropped")
    elif media_type.startswith("image/"):
        content.append(ir.Image(source=source, path=item.path))
    else:
        content.append(ir.Document(source=source, title=title, path=item.path))
    context.unknown(item)


# -------------------------------------------------------------------------------------- rendering


def call_object(call: ir.ToolCall, path: str, losses: Losses) -> JsonObject:
    """The arguments of a call as an object; a freeform tool's input goes under its one key."""
    if call.kind is ir.ToolKind.CUSTOM:
        return {freeform.INPUT_KEY: call.arguments}
    return arguments_object(call.arguments, path, losses)


def response_object(result: ir.ToolResult) -> JsonObject:
    """The `response` of a result: text under `output` or `error`, a JSON object as such."""
    text = result_text(result)
    if result.is_error:
        return {"error": text}
    if text.lstrip().startswith("{"):
        try:
            value = loads(text)
        except JsonSyntaxError:
            return {"output": text}
        if isinstance(value, dict):
            return {"output": value}
    return {"output": text}
