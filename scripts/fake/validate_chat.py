"""Refuses what Chat Completions refuses: fields, messages, the pairing of calls and results, tools, formats.

Reference: https://platform.openai.com/docs/api-reference/chat/create (read 2026-11-21)
"""

from __future__ import annotations

import re
from typing import Final

from scripts.fake.openai_words import (
    WORDS,
    check_image_url,
    check_plain_schema,
    check_strict_schema,
    invalid,
)
from scripts.fake.read_chat import sends_reasoning_text
from scripts.fake.shape import (
    ANY,
    FREE,
    Bool,
    Either,
    Items,
    JsonObject,
    Number,
    Object,
    Shape,
    Tagged,
    Text,
    check,
    obj,
    words,
)

NAME: Final = Text(pattern=r"[a-zA-Z0-9_-]+", shortest=1, longest=64)
_BREAKPOINT: Final = obj({"mode": words("explicit")}, {"ttl": words("30m", "12h")})
_MARK: Final = {"prompt_cache_breakpoint": _BREAKPOINT}
_TEXT: Final = obj({"type": Text(), "text": Text(shortest=1)}, _MARK)
_USER_PART: Final = Tagged(
    cases={
        "text": _TEXT,
        "image_url": obj(
            {
                "type": Text(),
                "image_url": obj(
                    {"url": Text(shortest=1)}, {"detail": words("auto", "low", "high", "original")}
                ),
            },
            _MARK,
        ),
        "input_audio": obj(
            {
                "type": Text(),
                "input_audio": obj({"data": Text(shortest=1), "format": words("wav", "mp3")}),
            },
            _MARK,
        ),
        "file": obj(
            {
                "type": Text(),
                "file": Object(
                    fields={
                        "file_id": Text(),
                        "filename": Text(),
                        "file_data": Text(pattern=r"data:.+"),
                    }
                ),
            },
            _MARK,
        ),
    }
)
_TEXT_PART: Final = Tagged(cases={"text": _TEXT})
_ASSISTANT_PART: Final = Tagged(
    cases={"text": _TEXT, "refusal": obj({"type": Text(), "refusal": Text(shortest=1)})}
)
_CALL: Final = Tagged(
    cases={
        "function": obj(
            {
                "id": Text(shortest=1),
                "type": Text(),
                "function": obj({"name": NAME, "arguments": Text()}),
            }
        ),
        "custom": obj(
            {"id": Text(shortest=1), "type": Text(), "custom": obj({"name": NAME, "input": Text()})}
        ),
    }
)


def _content(part: Shape, *, null: bool = False) -> Shape:
    return Either(of=(Text(), Items(of=part, least=1)), null=null)


_SPEAKER: Final = Text(pattern=r"[^\s<|\\/>]+", shortest=1, longest=64)
_INSTRUCTION: Final = obj({"role": Text(), "content": _content(_TEXT_PART)}, {"name": _SPEAKER})
_ASSISTANT: Final = obj(
    {"role": Text()},
    {
        "content": _content(_ASSISTANT_PART, null=True),
        "name": _SPEAKER,
        "refusal": Text(null=True),
        "audio": Object(fields={"id": Text()}, required=("id",), null=True),
        # Part of every answer, and whoever appends an answer to the history sends it back.
        "annotations": Items(of=FREE, null=True),
        "tool_calls": Items(of=_CALL, least=1),
        "function_call": obj({"name": NAME, "arguments": Text()}),
    },
)
_REASONING_ASSISTANT: Final = Object(
    fields={**_ASSISTANT.fields, "reasoning_content": Text(null=True)}, required=_ASSISTANT.required
)


def _messages(assistant: Shape) -> Shape:
    return Items(
        of=Tagged(
            key="role",
            cases={
                "system": _INSTRUCTION,
                "developer": _INSTRUCTION,
                "user": obj({"role": Text(), "content": _content(_USER_PART)}, {"name": _SPEAKER}),
                "assistant": assistant,
                "tool": obj(
                    {
                        "role": Text(),
                        "content": _content(_TEXT_PART),
                        "tool_call_id": Text(shortest=1),
                    }
                ),
                "function": obj({"role": Text(), "name": NAME, "content": Text(null=True)}),
            },
        ),
        least=1,
    )


_NAMED: Final = obj({"name": NAME})
_TOOL: Final = Tagged(
    cases={
        "function": obj(
            {
                "type": Text(),
                "function": obj(
                    {"name": NAME},
                    {"description": Text(), "parameters": FREE, "strict": Bool(null=True)},
                ),
            }
        ),
        "custom": obj(
            {
                "type": Text(),
                "custom": obj(
                    {"name": NAME},
                    {
                        "description": Text(),
                        "format": Tagged(
                            cases={
                                "text": obj({"type": Text()}),
                                "grammar": obj(
                                    {
                                        "type": Text(),
                                        "grammar": obj(
                                            {"syntax": words("lark", "regex"), "definition": Text()}
                                        ),
                                    }
                                ),
                            }
                        ),
                    },
                ),
            }
        ),
    }
)
_REFERENCE: Final = Tagged(
    cases={
        "function": obj({"type": Text(), "function": _NAMED}),
        "custom": obj({"type": Text(), "custom": _NAMED}),
    }
)
_CHOICE: Final = Either(
    of=(
        words("none", "auto", "required"),
        Tagged(
            cases={
                **_REFERENCE.cases,
                "allowed_tools": obj(
                    {
                        "type": Text(),
                        "allowed_tools": obj(
                            {
                                "mode": words("auto", "required"),
                                "tools": Items(of=_REFERENCE, least=1),
                            }
                        ),
                    }
                ),
            }
        ),
    )
)
_FORMAT: Final = Tagged(
    cases={
        "text": obj({"type": Text()}),
        "json_object": obj({"type": Text()}),
        "json_schema": obj(
            {
                "type": Text(),
                "json_schema": obj(
                    {"name": NAME},
                    {"description": Text(), "schema": FREE, "strict": Bool(null=True)},
                ),
            }
        ),
    }
)
_POLICY: Final = Object(open=True, null=True)
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
METADATA: Final = Object(open=True, null=True)
CACHE_OPTIONS: Final = {"mode": words("implicit", "explicit"), "ttl": words("30m", "12h")}


def _request(assistant: Shape) -> Object:
    return obj(
        {"model": Text(shortest=1), "messages": _messages(assistant)},
        {
            "audio": _POLICY,
            "frequency_penalty": Number(low=-2, high=2, null=True),
            "function_call": ANY,
            "functions": Items(of=FREE),
            "logit_bias": Object(open=True, null=True),
            "logprobs": Bool(null=True),
            "top_logprobs": Number(low=0, high=20, whole=True, null=True),
            "max_completion_tokens": Number(low=1, whole=True, null=True),
            "max_tokens": Number(low=1, whole=True, null=True),
            "metadata": METADATA,
            "modalities": Items(of=words("text", "audio"), null=True),
            "moderation": _POLICY,
            "n": Number(low=1, high=128, whole=True, null=True),
            "parallel_tool_calls": Bool(),
            "prediction": _POLICY,
            "presence_penalty": Number(low=-2, high=2, null=True),
            "prompt_cache_key": Text(null=True),
            "prompt_cache_options": Object(fields=CACHE_OPTIONS),
            "prompt_cache_retention": words("in_memory", "24h", null=True),
            "reasoning_effort": words(*EFFORTS, null=True),
            "response_format": _FORMAT,
            "safety_identifier": Text(longest=128, null=True),
            "seed": Number(whole=True, null=True),
            "service_tier": words(
                "auto", "default", "flex", "scale", "priority", "fast", null=True
            ),
            "stop": Either(of=(Text(), Items(of=Text(), most=4)), null=True),
            "store": Bool(null=True),
            "stream": Bool(null=True),
            "stream_options": Object(
                fields={"include_usage": Bool(), "include_obfuscation": Bool()}, null=True
            ),
            "temperature": Number(low=0, high=2, null=True),
            "tool_choice": _CHOICE,
            "tools": Items(of=_TOOL, least=1, most=128),
            "top_p": Number(low=0, high=1, null=True),
            "user": Text(),
            "verbosity": words("low", "medium", "high", null=True),
            "web_search_options": FREE,
        },
    )


_REQUEST: Final = _request(_ASSISTANT)
_REASONING_REQUEST: Final = _request(_REASONING_ASSISTANT)
_REASONING_MODEL: Final = re.compile(r"(^|/)(o[1-9]|gpt-[5-9])")


def validate(body: JsonObject, model: str) -> None:
    """Raise the `Rejection` that the provider would answer with."""
    echoes = sends_reasoning_text(model)
    check(body, _REASONING_REQUEST if echoes else _REQUEST, (), WORDS)
    messages: list[JsonObject] = body["messages"]
    _check_pairs(messages)
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
    if "deepseek" in model:
        _check_reasoning_came_back(messages)
    _check_tools(body)
    _check_options(body, model)
    _check_format(body, messages)


def _check_pairs(messages: list[JsonObject]) -> None:
    """Every call is answered once, right after it; every answer has its call."""
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            identity = message["tool_call_id"]
            if identity not in open_calls:
                raise invalid(
                    f"messages.[{index}].role",
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
                    "message with 'tool_calls'.",
                )
            open_calls.remove(identity)
            continue
        _refuse_open(open_calls, index)
        open_calls = [call["id"] for call in message.get("tool_calls") or ()]
        if len(set(open_calls)) != len(open_calls):
            raise invalid(
                f"messages.[{index}].tool_calls",
                "Duplicate tool call ids in one assistant message.",
            )
    _refuse_open(open_calls, len(messages))


def _refuse_open(open_calls: list[str], index: int) -> None:
    if open_calls:
        raise invalid(
            f"messages.[{index}].role",
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(open_calls),
        )


def _check_message(message: JsonObject, path: str) -> None:
    content = message.get("content")
    if message["role"] == "assistant":
        carriers = ("tool_calls", "function_call", "refusal", "audio")
        if content is None and not any(message.get(key) for key in carriers):
            raise invalid(
                f"{path}.content",
                f"Invalid value for '{path}.content': expected a string, got null.",
                "invalid_type",
            )
    if not isinstance(content, list):
        return
    for index, part in enumerate(content):
        place = f"{path}.content[{index}]"
        if part["type"] == "image_url":
            check_image_url(part["image_url"]["url"], f"{place}.image_url.url")
        if part["type"] == "file" and ("file_id" in part["file"]) == ("file_data" in part["file"]):
            raise invalid(
                f"{place}.file", f"Exactly one of file_id and file_data in '{place}.file'."
            )


def _check_reasoning_came_back(messages: list[JsonObject]) -> None:
    """DeepSeek in thinking mode wants its reasoning back with every tool call of the current turn."""
    prompts = [index for index, message in enumerate(messages) if message["role"] == "user"]
    start = prompts[-1] if prompts else 0
    for message in messages[start:]:
        if message.get("tool_calls") and not message.get("reasoning_content"):
            raise invalid(
                "messages",
                "The reasoning_content in the thinking mode must be passed back to the API.",
            )


def _check_tools(body: JsonObject) -> None:
    names: list[tuple[str, str]] = []
    for index, tool in enumerate(body.get("tools", ())):
        kind = tool["type"]
        definition = tool[kind]
        names.append((kind, definition["name"]))
        path = f"tools[{index}].function.parameters"
        if kind == "function" and "parameters" in definition:
            look = check_strict_schema if definition.get("strict") else check_plain_schema
            look(definition["parameters"], path, definition["name"])
    if len({name for _, name in names}) != len(names):
        raise invalid("tools", "Invalid 'tools': tool names must be unique.", "invalid_value")
    choice = body.get("tool_choice")
    if not names:
        if choice not in (None, "none"):
            raise invalid(
                "tool_choice", "'tool_choice' is only allowed when 'tools' are specified."
            )
        if "parallel_tool_calls" in body:
            raise invalid(
                "parallel_tool_calls",
                "'parallel_tool_calls' is only allowed when 'tools' are specified.",
            )
    if isinstance(choice, dict):
        allowed = (
            choice["allowed_tools"]["tools"] if choice["type"] == "allowed_tools" else [choice]
        )
        for item in allowed:
            if (item["type"], item[item["type"]]["name"]) not in names:
                name = item[item["type"]]["name"]
                raise invalid(
                    "tool_choice", f"Tool choice '{name}' not found in 'tools' parameter."
                )


def _check_options(body: JsonObject, model: str) -> None:
    if body.get("stream_options") is not None and not body.get("stream"):
        raise invalid(
            "stream_options",
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        )
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise invalid("top_logprobs", "'top_logprobs' is only allowed when 'logprobs' is true.")
    if body.get("max_tokens") and body.get("max_completion_tokens"):
        raise invalid(
            "max_tokens",
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        )
    for key, value in (body.get("metadata") or {}).items():
        if not isinstance(value, str) or len(key) > 64 or len(value) > 512:
            raise invalid(f"metadata.{key}", f"Invalid 'metadata.{key}'.", "invalid_type")
    if _REASONING_MODEL.search(model):
        _check_reasoning_model(body)


def _check_reasoning_model(body: JsonObject) -> None:
    if body.get("max_tokens") is not None:
        raise invalid(
            "max_tokens",
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "unsupported_parameter",
        )
    for name in ("stop", "presence_penalty", "frequency_penalty", "logit_bias"):
        if body.get(name):
            raise invalid(
                name,
                f"Unsupported parameter: '{name}' is not supported with this model.",
                "unsupported_parameter",
            )
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1):
            raise invalid(
                name,
                f"Unsupported value: '{name}' does not support {body[name]} with this model. "
                "Only the default (1) value is supported.",
                "unsupported_value",
            )


def _check_format(body: JsonObject, messages: list[JsonObject]) -> None:
    form = body.get("response_format") or {}
    if form.get("type") == "json_object":
        said = "".join(str(message.get("content")) for message in messages)
        if "json" not in said.lower():
            raise invalid(
                "messages",
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
                "'json_object'.",
            )
    if form.get("type") == "json_schema":
        schema = form["json_schema"]
        if schema.get("strict"):
            check_strict_schema(
                schema.get("schema"), "response_format", schema["name"], output=True
            )
