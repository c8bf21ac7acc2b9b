"""Refuses what Gemini refuses: unknown names, parts, the order of calls and responses, thought signatures.

Names are expected in lowerCamelCase: `read_gemini.camel` has already renamed (and noted) the others.
Reference: https://ai.google.dev/api/generate-content (read 2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from scripts.fake import signing
from scripts.fake.read_gemini import declarations
from scripts.fake.rejection import Rejection
from scripts.fake.shape import (
    ANY,
    FREE,
    Bool,
    Either,
    Items,
    Json,
    JsonObject,
    Number,
    Object,
    Path,
    Shape,
    Text,
    bracketed,
    check,
    listed,
    obj,
)
from scripts.fake.speak_gemini import (
    SIGNED_CALL,
    SIGNED_TEXT,
    needs_signatures,
    signed_call_text,
)

BYPASS: Final = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
_DATA: Final = listed(
    "text inlineData fileData functionCall functionResponse executableCode codeExecutionResult toolCall "
    "toolResponse"
)
_TYPES: Final = {
    "string": "TYPE_STRING",
    "boolean": "TYPE_BOOL",
    "integer": "TYPE_INT32",
    "number": "TYPE_DOUBLE",
    "array": "TYPE_MESSAGE",
    "object": "TYPE_MESSAGE",
}


class GeminiWords:
    """Google's messages about JSON that does not fit its proto."""

    def unknown(self, path: Path, value: Json) -> Rejection:
        place = f" at '{bracketed(path[:-1])}'" if len(path) > 1 else ""
        message = (
            f'Invalid JSON payload received. Unknown name "{path[-1]}"{place}: Cannot find field.'
        )
        return Rejection(400, message, param=bracketed(path[:-1]))

    def missing(self, path: Path) -> Rejection:
        name = bracketed(path)
        return Rejection(
            400, f"* GenerateContentRequest.{name}: {path[-1]} is not specified\n", param=name
        )

    def wrong_type(self, path: Path, expected: str, value: Json) -> Rejection:
        kind = _TYPES.get(expected.split(" or ")[0], "TYPE_MESSAGE")
        name = bracketed(path)
        return Rejection(400, f"Invalid value at '{name}' ({kind}), {value!r}", param=name)

    def wrong_value(self, path: Path, allowed: tuple[str, ...], value: Json) -> Rejection:
        name = bracketed(path)
        return Rejection(400, f"Invalid value at '{name}' (TYPE_ENUM), \"{value}\"", param=name)

    def out_of_range(self, path: Path, bound: str, value: Json) -> Rejection:
        name = bracketed(path)
        return Rejection(
            400, f"* GenerateContentRequest.{name}: value {value} must be {bound}\n", param=name
        )

    def bad_pattern(self, path: Path, pattern: str, value: str) -> Rejection:
        name = bracketed(path)
        message = (
            f"* GenerateContentRequest.{name}: Invalid function name. Must start with a letter or an "
            "underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or "
            "dashes (-), with a maximum length of 128.\n"
        )
        return Rejection(400, message, param=name)

    def bad_length(self, path: Path, bound: str, length: int) -> Rejection:
        name = bracketed(path)
        reason = (
            "is not specified" if bound.startswith("at least") else f"must have {bound} entries"
        )
        message = f"* GenerateContentRequest.{name}: {path[-1]} {reason}\n"
        return Rejection(400, message, param=name)


WORDS: Final = GeminiWords()


def invalid(path: str, message: str) -> Rejection:
    """A 400 whose rule is particular to one place."""
    return Rejection(400, message, param=path)


def enum(*values: str, null: bool = False) -> Text:
    """Google's enums: upper case on the wire, lower case is taken too."""
    return Text(words=(*values, *(value.lower() for value in values)), null=null)


_NAME: Final = Text(pattern=r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}", shortest=1)
_BLOB: Final = obj(
    {"mimeType": Text(shortest=1), "data": Text(shortest=1)}, {"displayName": Text()}
)
_FILE: Final = obj({"fileUri": Text(shortest=1)}, {"mimeType": Text(), "displayName": Text()})
_RESPONSE_PART: Final = Object(fields={"inlineData": _BLOB, "fileData": _FILE})
_PART: Final = Object(
    fields={
        "text": Text(),
        "inlineData": _BLOB,
        "fileData": _FILE,
        "functionCall": obj({"name": _NAME}, {"id": Text(), "args": FREE}),
        "functionResponse": obj(
            {"name": _NAME, "response": FREE},
            {
                "id": Text(),
                "parts": Items(of=_RESPONSE_PART),
                "willContinue": Bool(),
                "scheduling": Text(),
            },
        ),
        "executableCode": FREE,
        "codeExecutionResult": FREE,
        "toolCall": FREE,
        "toolResponse": FREE,
        "thought": Bool(),
        "thoughtSignature": Text(),
        "mediaResolution": FREE,
        "videoMetadata": FREE,
        "mediaProcessing": Text(),
        "documentMetadata": FREE,
        "spreadsheetMetadata": FREE,
        "audioMetadata": FREE,
        "speechMetadata": FREE,
        "partMetadata": FREE,
    }
)
_CONTENT: Final = Object(
    fields={"role": Text(), "parts": Items(of=_PART, least=1)}, required=("parts",)
)
_NUMERIC: Final = Either(of=(Number(whole=True), Text(pattern=r"\d+")))
_SCHEMA_KINDS: Final = enum("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")
_SCHEMA_SIMPLE: Final[Mapping[str, Shape]] = {
    "type": _SCHEMA_KINDS,
    "format": Text(),
    "title": Text(),
    "description": Text(),
    "nullable": Bool(),
    "enum": Items(of=Text()),
    "maxItems": _NUMERIC,
    "minItems": _NUMERIC,
    "required": Items(of=Text()),
    "minProperties": _NUMERIC,
    "maxProperties": _NUMERIC,
    "minLength": _NUMERIC,
    "maxLength": _NUMERIC,
    "pattern": Text(),
    "example": ANY,
    "propertyOrdering": Items(of=Text()),
    "default": ANY,
    "minimum": Number(),
    "maximum": Number(),
    "items": FREE,
    "properties": FREE,
    "anyOf": Items(of=FREE),
}
_SCHEMA_NODE: Final = Object(fields=_SCHEMA_SIMPLE)
_SCHEMA_FORMATS: Final = (
    "enum",
    "date-time",
    "date",
    "time",
    "duration",
    "int32",
    "int64",
    "float",
    "double",
)
_DECLARATION: Final = obj(
    {"name": _NAME},
    {
        "description": Text(),
        "parameters": FREE,
        "parametersJsonSchema": FREE,
        "response": FREE,
        "responseJsonSchema": FREE,
        "behavior": Text(),
    },
)
_TOOL: Final = Object(
    fields={
        "functionDeclarations": Items(of=_DECLARATION, most=512),
        "googleSearch": FREE,
        "googleSearchRetrieval": FREE,
        "urlContext": FREE,
        "codeExecution": FREE,
        "googleMaps": FREE,
        "fileSearch": FREE,
        "computerUse": FREE,
        "mcpServers": Items(of=FREE),
    }
)
_CONFIG: Final = Object(
    fields={
        "temperature": Number(low=0, high=2),
        "topP": Number(low=0, high=1),
        "topK": Number(low=1),
        "candidateCount": Number(low=1, high=8, whole=True),
        "maxOutputTokens": Number(low=1, whole=True),
        "stopSequences": Items(of=Text(shortest=1), most=5),
        "responseLogprobs": Bool(),
        "logprobs": Number(low=0, high=20, whole=True),
        "presencePenalty": Number(low=-2, high=2),
        "frequencyPenalty": Number(low=-2, high=2),
        "seed": Number(low=-(2**31), high=2**31 - 1, whole=True),
        "responseMimeType": Text(words=("text/plain", "application/json", "text/x.enum")),
        "responseSchema": FREE,
        "responseJsonSchema": FREE,
        "responseFormat": Items(of=FREE),
        "responseModalities": Items(of=enum("TEXT", "IMAGE", "AUDIO", "VIDEO")),
        "thinkingConfig": Object(
            fields={
                "includeThoughts": Bool(),
                "thinkingBudget": Number(low=-1, whole=True),
                "thinkingLevel": enum("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"),
            }
        ),
        "mediaResolution": Text(),
        "speechConfig": FREE,
        "imageConfig": FREE,
        "audioTranscriptionConfig": FREE,
        "enableEnhancedCivicAnswers": Bool(),
    }
)
_TOOL_CONFIG: Final = Object(
    fields={
        "functionCallingConfig": Object(
            fields={
                "mode": enum("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"),
                "allowedFunctionNames": Items(of=Text()),
            }
        ),
        "retrievalConfig": FREE,
        "includeServerSideToolInvocations": Bool(),
    }
)
_SAFETY: Final = obj({"category": Text(pattern=r"HARM_CATEGORY_\w+"), "threshold": Text()})
_REQUEST: Final = obj(
    {"contents": Items(of=_CONTENT, least=1)},
    {
        "model": Text(),
        "systemInstruction": _CONTENT,
        "tools": Items(of=_TOOL),
        "toolConfig": _TOOL_CONFIG,
        "safetySettings": Items(of=_SAFETY),
        "generationConfig": _CONFIG,
        "cachedContent": Text(),
        "labels": FREE,
        "serviceTier": enum("UNSPECIFIED", "STANDARD", "FLEX", "PRIORITY"),
        "store": Bool(),
        "continuationToken": Text(),
    },
)
_COUNT: Final = Object(fields={"contents": Items(of=_CONTENT), "generateContentRequest": _REQUEST})


def validate(body: JsonObject, model: str) -> None:
    """Raise the `Rejection` that the provider would answer with."""
    check(body, _REQUEST, (), WORDS)
    contents: list[JsonObject] = body["contents"]
    for index, content in enumerate(contents):
        _check_content(content, f"contents[{index}]")
    for part in (body.get("systemInstruction") or {}).get("parts", ()):
        if "text" not in part:
            raise invalid("systemInstruction", "System instruction should contain text parts only.")
    if "cachedContent" in body and body.keys() & {"systemInstruction", "tools", "toolConfig"}:
        raise invalid(
            "cached_content",
            "CachedContent can not be used with GenerateContent request setting system_instruction, tools or "
            "tool_config.",
        )
    _check_turns(contents)
    _check_signatures(contents, model)
    _check_tools(body, model)
    _check_config(body.get("generationConfig") or {}, body, model)


def validate_count(body: JsonObject, model: str) -> None:
    """The same for `:countTokens`: one of its two forms."""
    check(body, _COUNT, (), WORDS)
    if ("contents" in body) == ("generateContentRequest" in body):
        raise invalid("contents", "Exactly one of contents and generateContentRequest must be set.")
    if "generateContentRequest" in body:
        validate(body["generateContentRequest"], model)


def _check_content(content: JsonObject, path: str) -> None:
    role = content.get("role", "user")
    if role not in ("user", "model", "function"):
        raise invalid(f"{path}.role", "Please use a valid role: user, model.")
    for index, part in enumerate(content["parts"]):
        place = f"{path}.parts[{index}]"
        data = [name for name in _DATA if name in part]
        if not data:
            reason = "required oneof field 'data' must have one initialized field"
            raise invalid(place, f"* GenerateContentRequest.{place}.data: {reason}\n")
        if len(data) > 1:
            raise invalid(
                place,
                f"Invalid value at '{place}' (oneof), oneof field 'data' is already set. "
                f"Cannot set '{data[1]}'",
            )
        if role == "model" and "functionResponse" in part:
            raise invalid(place, "A function response must come in a content of role 'user'.")
        if role != "model" and "functionCall" in part:
            raise invalid(place, "A function call must come in a content of role 'model'.")
        if "inlineData" in part and not signing.is_base64(part["inlineData"]["data"]):
            data_path = f"{place}.inline_data.data"
            raise invalid(
                data_path, f"Invalid value at '{data_path}' (TYPE_BYTES), Base64 decoding failed"
            )


def _calls(content: JsonObject) -> list[JsonObject]:
    return [part["functionCall"] for part in content["parts"] if "functionCall" in part]


def _responses(content: JsonObject) -> list[JsonObject]:
    return [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]


def _check_turns(contents: list[JsonObject]) -> None:
    """Calls follow a user turn and are answered, all of them, by the next content.

    Plain turns of one role may follow each other: Gemini CLI sends such histories once it has compacted.
    """
    for index, content in enumerate(contents):
        calls, responses = _calls(content), _responses(content)
        before = contents[index - 1] if index else None
        if calls and (before is None or before.get("role", "user") == "model"):
            raise invalid(
                f"contents[{index}]",
                "Please ensure that function call turn comes immediately after a user turn or after a "
                "function response turn.",
            )
        if calls:
            after = contents[index + 1] if index + 1 < len(contents) else {"parts": []}
            _check_answered(calls, _responses(after), index)
        if responses and (before is None or not _calls(before)):
            raise invalid(
                f"contents[{index}]",
                "Please ensure that function response turn comes immediately after a function call turn.",
            )
    if contents[-1].get("role") == "model":
        raise invalid(
            "contents",
            "Please ensure that single turn requests end with a user role or the role field is empty.",
        )


def _check_answered(calls: list[JsonObject], responses: list[JsonObject], index: int) -> None:
    if len(calls) != len(responses):
        raise invalid(
            f"contents[{index}]",
            "Please ensure that the number of function response parts is equal to the number of function "
            "call parts of the function call turn.",
        )
    ids = {call["id"]: call["name"] for call in calls if call.get("id")}
    for call, response in zip(calls, responses, strict=True):
        identity = response.get("id")
        if ids and identity and identity not in ids:
            raise invalid(
                f"contents[{index + 1}]",
                f"Function response id '{identity}' does not match any function call of the turn.",
            )
        wanted = ids[identity] if ids and identity else call["name"]
        if response["name"] != wanted:
            raise invalid(
                f"contents[{index + 1}]",
                f"Function response name '{response['name']}' does not match the function call name "
                f"'{wanted}'.",
            )


def _check_signatures(contents: list[JsonObject], model: str) -> None:
    current = _current_turn(contents)
    for index, content in enumerate(contents):
        first = True
        for number, part in enumerate(content["parts"]):
            place = f"contents[{index}].parts[{number}]"
            signature = part.get("thoughtSignature")
            if signature is not None:
                _check_signature(part, signature, model, place)
            if "functionCall" not in part:
                continue
            if first and index >= current and signature is None and needs_signatures(model):
                name = part["functionCall"]["name"]
                raise invalid(
                    place,
                    f"Function call is missing a thought_signature in functionCall parts. This is required "
                    f"for tools to work correctly, and missing thought_signature may lead to degraded model "
                    f"performance. Additional data, function call `default_api:{name}`, position {index}.",
                )
            first = False


def _current_turn(contents: list[JsonObject]) -> int:
    """The index of the last content in which the user said something himself."""
    for index in range(len(contents) - 1, -1, -1):
        content = contents[index]
        ordinary = any("functionResponse" not in part for part in content["parts"])
        if content.get("role", "user") == "user" and ordinary:
            return index
    return 0


def _check_signature(part: JsonObject, signature: str, model: str, place: str) -> None:
    if signature in BYPASS:
        return
    if not signing.is_base64(signature):
        name = f"{place}.thought_signature"
        raise invalid(name, f"Invalid value at '{name}' (TYPE_BYTES), Base64 decoding failed")
    call = part.get("functionCall")
    good = (
        signing.verify(SIGNED_CALL, model, signed_call_text(call["name"]), signature)
        if call
        else signing.verify(SIGNED_TEXT, model, "", signature)
    )
    if not good:
        raise invalid(place, "Corrupted thought signature.")


def _check_tools(body: JsonObject, model: str) -> None:
    names: list[str] = []
    for index, tool in enumerate(body.get("tools") or ()):
        for number, declaration in enumerate(tool.get("functionDeclarations") or ()):
            path: Path = ("tools", index, "function_declarations", number)
            names.append(declaration["name"])
            for plain, json_schema in (
                ("parameters", "parametersJsonSchema"),
                ("response", "responseJsonSchema"),
            ):
                if plain in declaration and json_schema in declaration:
                    raise invalid(
                        bracketed(path), f"'{plain}' and '{json_schema}' cannot both be set."
                    )
                if plain in declaration:
                    check_schema(declaration[plain], (*path, plain))
                if json_schema in declaration:
                    check_json_schema(declaration[json_schema], (*path, json_schema))
            _check_root(declaration, path)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid("tools", f"Duplicate function declaration found: {twice}")
    hosted = any(set(tool) - {"functionDeclarations"} for tool in body.get("tools") or ())
    if names and hosted and not needs_signatures(model):
        raise invalid("tools", "Tool use with function calling is unsupported")
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    allowed = calling.get("allowedFunctionNames") or ()
    mode = str(calling.get("mode", "AUTO")).upper()
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise invalid(
            "tool_config",
            "Allowed function names should only be set when function calling mode is ANY or VALIDATED.",
        )
    for name in allowed:
        if name not in names:
            raise invalid(
                "tool_config", f"Allowed function name '{name}' is not declared in tools."
            )
    if mode == "ANY" and not declarations(body):
        raise invalid(
            "tool_config",
            "Function calling config is set without function_declarations.",
        )


def _check_root(declaration: JsonObject, path: Path) -> None:
    schema = declaration.get("parameters")
    if schema is None:
        return
    kind = str(schema.get("type", "OBJECT")).upper()
    if kind != "OBJECT":
        raise invalid(
            bracketed((*path, "parameters")),
            f"* GenerateContentRequest.{bracketed((*path, 'parameters'))}.type: must be OBJECT\n",
        )


def check_schema(schema: Json, path: Path) -> None:
    """Google's own `Schema`: a closed set of keywords, one type each."""
    check(schema, _SCHEMA_NODE, path, WORDS)
    kind = str(schema.get("type", "")).upper()
    form = schema.get("format")
    if form is not None and form not in _SCHEMA_FORMATS:
        raise invalid(
            bracketed(path),
            f"* GenerateContentRequest.{bracketed(path)}.format: only 'enum' and 'date-time' are supported "
            f"for {kind} type\n",
        )
    if "enum" in schema and kind != "STRING":
        raise invalid(
            bracketed(path),
            f"* GenerateContentRequest.{bracketed(path)}.enum: only allowed for STRING type\n",
        )
    if any(not value for value in schema.get("enum", ())):
        raise invalid(
            bracketed(path),
            f"* GenerateContentRequest.{bracketed(path)}.enum[0]: cannot be empty\n",
        )
    if kind == "ARRAY" and "items" not in schema:
        raise WORDS.missing((*path, "items"))
    for name in schema.get("required", ()):
        if name not in schema.get("properties", {}):
            raise invalid(
                bracketed(path),
                f"* GenerateContentRequest.{bracketed(path)}.required: property '{name}' is not defined\n",
            )
    for name, part in schema.get("properties", {}).items():
        check_schema(part, (*path, "properties", name))
    if "items" in schema:
        check_schema(schema["items"], (*path, "items"))
    for index, part in enumerate(schema.get("anyOf", ())):
        check_schema(part, (*path, "any_of", index))


def check_json_schema(schema: Json, path: Path) -> None:
    """JSON Schema: unknown keywords pass, but `$ref` stands alone."""
    if isinstance(schema, list):
        for index, part in enumerate(schema):
            check_json_schema(part, (*path, index))
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("$ref"), str):
        beside = [key for key in schema if not re.match(r"\$", key)]
        if beside:
            raise invalid(
                bracketed(path),
                f"Schema at '{bracketed(path)}' has $ref together with '{beside[0]}', which is not "
                "supported.",
            )
    for key, part in schema.items():
        if key not in ("enum", "const", "default", "examples", "example"):
            check_json_schema(part, (*path, key))


def _check_config(config: JsonObject, body: JsonObject, model: str) -> None:
    thinking = config.get("thinkingConfig") or {}
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise invalid(
            "generation_config.thinking_config",
            "You can only set only one of thinking budget and thinking level.",
        )
    if "responseSchema" in config and "responseJsonSchema" in config:
        raise invalid(
            "generation_config", "response_schema and response_json_schema cannot both be set."
        )
    schema_given = "responseSchema" in config or "responseJsonSchema" in config
    if schema_given and config.get("responseMimeType") not in ("application/json", "text/x.enum"):
        raise invalid(
            "generation_config.response_mime_type",
            "* GenerateContentRequest.generation_config.response_schema: only allowed when the response "
            "mime type is application/json\n",
        )
    if "responseSchema" in config:
        check_schema(config["responseSchema"], ("generation_config", "response_schema"))
    if "responseJsonSchema" in config:
        check_json_schema(
            config["responseJsonSchema"], ("generation_config", "response_json_schema")
        )
    json_wanted = config.get("responseMimeType") == "application/json"
    if json_wanted and declarations(body) and not needs_signatures(model):
        raise invalid(
            "generation_config.response_mime_type",
            "Function calling with a response mime type: 'application/json' is unsupported",
        )
