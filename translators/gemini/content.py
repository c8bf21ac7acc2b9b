"""Contents and parts that are not calls: text, thoughts, media and hosted code, in both directions.

Reference: https://ai.google.dev/api/caching#Content (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from translators import ir, media
from translators.errors import ErrorKind, GatewayError, invalid
from translators.gemini import calls
from translators.gemini.context import PROTOCOL, Context
from translators.gemini.signatures import add_signature, read_signature
from translators.gemini.spelling import ProtoFields, camel_deep
from translators.losses import Action, Loss
from translators.wire import Json, JsonObject, without_nulls

ROLES: Final[Mapping[str, ir.Role]] = {
    "": ir.Role.USER,
    "user": ir.Role.USER,
    "function": ir.Role.USER,  # legacy, for function responses
    "tool": ir.Role.USER,
    "model": ir.Role.ASSISTANT,
}

DETAIL_OF_LEVEL: Final[Mapping[str, str]] = {
    "MEDIA_RESOLUTION_LOW": "low",
    "MEDIA_RESOLUTION_MEDIUM": "medium",
    "MEDIA_RESOLUTION_HIGH": "high",
    "MEDIA_RESOLUTION_ULTRA_HIGH": "original",
}
LEVEL_OF_DETAIL: Final = {detail: level for level, detail in DETAIL_OF_LEVEL.items()}

SERVER_TOOL_RULE: Final = ir.ForeignRule(Action.REJECT, Action.WARN, Action.WARN)
TRANSCRIPTION_RULE: Final = ir.ForeignRule(
    Action.SILENT, Action.SILENT, Action.SILENT, as_text=True
)

_MODIFIER_LOSSES: Final[Mapping[str, Loss]] = {
    "mediaProcessing": Loss.HINT,
    "documentMetadata": Loss.HINT,
    "spreadsheetMetadata": Loss.HINT,
    "audioMetadata": Loss.HINT,
    "speechMetadata": Loss.HINT,
    "partMetadata": Loss.TELEMETRY,
}
_FILE_API_HOST: Final = "generativelanguage.googleapis.com"
_VIDEO_HOSTS: Final = frozenset({"www.youtube.com", "youtube.com", "youtu.be", "m.youtube.com"})


# ---------------------------------------------------------------------------------------- parsing


def parse_contents(fields: ProtoFields, context: Context) -> list[ir.Message]:
    """The turns of `contents`: an array, one content, or a bare string."""
    value = fields.any("contents")
    path = fields.at("contents")
    if isinstance(value, list):
        return [
            parse_content(item, f"{path}[{index}]", context) for index, item in enumerate(value)
        ]
    return [] if value is None else [parse_content(value, path, context)]


def parse_content(value: Json, path: str, context: Context) -> ir.Message:
    """One turn; a bare string is user text, a missing role is `user`."""
    if isinstance(value, str):
        part = ir.Text(text=value, path=path)
        return ir.Message(role=ir.Role.USER, parts=(part,), path=path)
    fields = ProtoFields(value, path)
    wire_role = fields.optional_text("role", "")
    role = ROLES.get(wire_role)
    if role is None:
        raise invalid(fields.at("role"), '"user" or "model"', wire_role)
    parts = _parse_parts(fields, context)
    context.unknown(fields)
    return ir.Message(role=role, parts=parts, path=path)


def parse_system(value: Json, path: str, context: Context) -> list[ir.Message]:
    """`systemInstruction`: a content, a string, or an array of either; each text part is one message."""
    if isinstance(value, list):
        return [
            message
            for index, item in enumerate(value)
            for message in parse_system(item, f"{path}[{index}]", context)
        ]
    if isinstance(value, dict) and "parts" not in value and "text" in value:
        value = {"parts": [value]}  # a bare part, as lenient clients write it
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if key != "role"}  # ignored by the API
    messages = []
    for part in parse_content(value, path, context).parts:
        if not isinstance(part, ir.Text):
            where = getattr(part, "path", path)
            raise GatewayError(
                ErrorKind.INVALID_REQUEST,
                f"{where}: a system instruction holds text only",
                path=where,
            )
        if part.text:
            messages.append(ir.Message(role=ir.Role.SYSTEM, parts=(part,), path=part.path))
    return messages


def _parse_parts(fields: ProtoFields, context: Context) -> tuple[ir.Part, ...]:
    value = fields.any("parts")
    path = fields.at("parts")
    parts: list[ir.Part] = []
    if isinstance(value, list):
        for index, item in enumerate(value):
            _parse_part(item, f"{path}[{index}]", parts, context)
    elif value is not None:
        _parse_part(value, path, parts, context)
    return tuple(parts)


def _parse_part(value: Json, path: str, parts: list[ir.Part], context: Context) -> None:
    """Append what one part says; nothing for an empty one."""
    if isinstance(value, str):
        parts.append(ir.Text(text=value, path=path))
        return
    fields = ProtoFields(value, path)
    signature = fields.optional_text("thoughtSignature", "")
    signed = read_signature(signature, context.seal, path)
    data = _data_key(fields)
    if fields.optional_bool("thought") and data is None:
        _add_thought(fields.optional_text("text", ""), signed, path, parts)
        context.unknown(fields)
        return
    text = fields.optional_text("text", "")
    if text and data is not None:  # against the rules, but nothing is lost
        parts.append(ir.Text(text=text, path=path))
    if signed is not None:
        add_signature(parts, signed)
    part: ir.Part | None = None
    if data is not None:
        part = _READERS[data](fields, context)
    elif text:
        _read_resolution(fields)
        part = ir.Text(text=text, path=path)
    for key in fields.raw:
        if key in _MODIFIER_LOSSES:
            context.lose_if_set(fields, key, _MODIFIER_LOSSES[key])
    if isinstance(part, ir.CodeRun) and parts and isinstance(parts[-1], ir.CodeRun):
        joined = join_code(parts[-1], part)
        if joined is not None:
            parts[-1], part = joined, None
    if part is not None:
        parts.append(part)
        context.unknown(fields)
    elif unread := fields.unread():
        found = next(iter(unread))
        raise invalid(path, "a known kind of part", f"only {found}")


def _add_thought(text: str, signed: ir.Reasoning | None, path: str, parts: list[ir.Part]) -> None:
    """Join adjacent pieces of unsigned thought: clients keep them as they were streamed."""
    last = parts[-1] if parts else None
    if isinstance(last, ir.Reasoning) and last.state is None:
        parts[-1] = ir.Reasoning(text=last.text + text, path=last.path)
    elif text:
        parts.append(ir.Reasoning(text=text, path=path))
    if signed is not None:
        add_signature(parts, signed)


def _data_key(fields: ProtoFields) -> str | None:
    """The field that says what a part is, None for text; two of them are refused."""
    keys = [key for key in fields.raw if key in _READERS and fields.any(key) is not None]
    if len(keys) > 1:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST,
            f"{fields.path}: expected one kind of content, found {' and '.join(keys)}",
            path=fields.path,
        )
    return keys[0] if keys else None


def _read_inline(fields: ProtoFields, context: Context) -> ir.Part:
    blob = fields.object("inlineData")
    data = media.standard_base64(blob.text("data"), blob.at("data"))
    declared = blob.optional_text("mimeType")
    source = ir.Inline(media_type=media.media_type(declared, data), data=data)
    title = blob.optional_text("displayName")
    context.unknown(blob)
    return _media(source, source.media_type, title, fields)


def _read_file(fields: ProtoFields, context: Context) -> ir.Part:
    file = fields.object("fileData")
    uri = file.text("fileUri")
    media_type = media.normalised(file.optional_text("mimeType")) or _guessed_type(uri)
    title = file.optional_text("displayName")
    context.unknown(file)
    return _media(file_source(uri, media_type), media_type, title, fields)


def file_source(uri: str, media_type: str | None) -> ir.Source:
    """A `fileUri`: a file of the File API, or a URL that others can read too."""
    if urlsplit(uri).hostname == _FILE_API_HOST or uri.startswith("files/"):
        return ir.FileId(file_id=uri, protocol=PROTOCOL, media_type=media_type)
    return ir.Url(url=uri, media_type=media_type)


def _guessed_type(uri: str) -> str | None:
    address = urlsplit(uri)
    if address.hostname in _VIDEO_HOSTS:
        return "video/mp4"
    return media.type_of_name(address.path)


def _media(
    source: ir.Source, media_type: str | None, title: str | None, fields: ProtoFields
) -> ir.Image | ir.Document | ir.Audio | ir.Video:
    detail = _read_resolution(fields)
    options = camel_deep(fields.json_object("videoMetadata"))
    match (media_type or "").partition("/")[0]:
        case "image":
            return ir.Image(source=source, detail=detail, path=fields.path)
        case "audio":
            return ir.Audio(source=source, path=fields.path)
        case "video":
            return ir.Video(source=source, options=options, path=fields.path)
        case _:
            return ir.Document(source=source, title=title, detail=detail, path=fields.path)


def _read_resolution(fields: ProtoFields) -> str | None:
    resolution = fields.optional_object("mediaResolution")
    if resolution is None:
        return None
    resolution.skip("numTokens")
    return DETAIL_OF_LEVEL.get(resolution.word("level") or "")


def _read_code(fields: ProtoFields, context: Context) -> ir.Part:
    return code_part({"executableCode": fields.object("executableCode").raw}, fields.path)


def _read_code_result(fields: ProtoFields, context: Context) -> ir.Part:
    return code_part({"codeExecutionResult": fields.object("codeExecutionResult").raw}, fields.path)


def _read_server_tool(fields: ProtoFields, context: Context) -> ir.Part:
    key = "toolCall" if fields.any("toolCall") is not None else "toolResponse"
    return server_tool_part(key, fields.object(key).raw, fields.path)


def _read_transcription(fields: ProtoFields, context: Context) -> ir.Part:
    return transcription_part(fields.object("audioTranscription").raw, fields.path)


_READERS: Final[Mapping[str, Callable[[ProtoFields, Context], ir.Part]]] = {
    "functionCall": calls.parse_call,
    "functionResponse": calls.parse_result,
    "inlineData": _read_inline,
    "fileData": _read_file,
    "executableCode": _read_code,
    "codeExecutionResult": _read_code_result,
    "toolCall": _read_server_tool,
    "toolResponse": _read_server_tool,
    "audioTranscription": _read_transcription,
}


# ------------------------------------------------------------------- parts of requests and answers


def code_part(wire: JsonObject, path: str = "") -> ir.CodeRun:
    """`executableCode` or `codeExecutionResult` as a run; `join_code` puts the two together."""
    code = _object(wire.get("executableCode"))
    result = _object(wire.get("codeExecutionResult"))
    return ir.CodeRun(
        call_id=str(code.get("id") or result.get("id") or ""),
        code=str(code.get("code") or ""),
        language=str(code.get("language") or "PYTHON").lower(),
        output=str(result.get("output") or ""),
        ok=str(result.get("outcome") or "OUTCOME_OK") == "OUTCOME_OK",
        protocol=PROTOCOL,
        wire=(wire,),
        path=path,
    )


def join_code(first: ir.CodeRun, second: ir.CodeRun) -> ir.CodeRun | None:
    """A run and its result as one part, None when they do not belong together."""
    if "executableCode" not in first.wire[-1] or "codeExecutionResult" not in second.wire[0]:
        return None
    return ir.CodeRun(
        call_id=first.call_id or second.call_id,
        code=first.code,
        language=first.language,
        output=second.output,
        ok=second.ok,
        protocol=PROTOCOL,
        wire=first.wire + second.wire,
        path=first.path,
    )


def server_tool_part(key: str, value: Json, path: str = "") -> ir.Foreign:
    """A call of a hosted tool or its answer, which only Gemini can say."""
    return ir.Foreign(
        protocol=PROTOCOL,
        type=key,
        wire={key: camel_deep(value)},
        rule=SERVER_TOOL_RULE,
        path=path,
    )


def transcription_part(value: Json, path: str = "") -> ir.Foreign:
    """What was heard in the user's audio."""
    text = _object(value).get("text")
    return ir.Foreign(
        protocol=PROTOCOL,
        type="audioTranscription",
        wire={"audioTranscription": camel_deep(value)},
        rule=TRANSCRIPTION_RULE,
        readable=text if isinstance(text, str) else None,
        path=path,
    )


def render_code(run: ir.CodeRun) -> list[JsonObject]:
    """Code that was run, as the two parts that Gemini uses; its own ones come back as they were."""
    if run.protocol == PROTOCOL and run.wire:
        return list(run.wire)
    outcome = "OUTCOME_OK" if run.ok else "OUTCOME_FAILED"
    return [
        {"executableCode": {"language": "PYTHON", "code": run.code}},
        {"codeExecutionResult": {"outcome": outcome, "output": run.output}},
    ]


def blob(source: ir.Inline, title: str | None = None) -> JsonObject:
    """An `inlineData` part."""
    fields = {"mimeType": source.media_type, "data": source.data, "displayName": title}
    return {"inlineData": without_nulls(fields)}


def file_part(uri: str, media_type: str | None, title: str | None = None) -> JsonObject:
    """A `fileData` part."""
    fields = {"mimeType": media_type, "fileUri": uri, "displayName": title}
    return {"fileData": without_nulls(fields)}


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
