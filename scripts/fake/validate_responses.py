"""Refuses what Responses refuses: fields, items, pairing by call id, reasoning that is not ours, tools.

Reference: https://platform.openai.com/docs/api-reference/responses/create (read 2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from scripts.fake import signing
from scripts.fake.openai_words import (
    WORDS,
    check_image_url,
    check_plain_schema,
    check_strict_schema,
    invalid,
)
from scripts.fake.read_responses import CALLS, RESULTS, items, tools
from scripts.fake.rejection import Rejection
from scripts.fake.rendering import came_after_thought
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
    listed,
    obj,
    words,
)
from scripts.fake.speak_responses import COMPACTED_AS, SIGNED_AS
from scripts.fake.validate_chat import CACHE_OPTIONS, EFFORTS, METADATA

_NAME: Final = Text(pattern=r"[a-zA-Z0-9_-]+", shortest=1, longest=64)
_CALL_ID: Final = Text(shortest=1, longest=64)
_MARK: Final = {
    "prompt_cache_breakpoint": obj({"mode": words("explicit")}, {"ttl": words("30m", "12h")})
}
_INPUT_PARTS: Final[Mapping[str, Shape]] = {
    "input_text": obj({"type": Text(), "text": Text()}, _MARK),
    "input_image": obj(
        {"type": Text()},
        {
            "image_url": Text(null=True),
            "file_id": Text(null=True),
            "detail": words("auto", "low", "high", "original"),
            **_MARK,
        },
    ),
    "input_file": obj(
        {"type": Text()},
        {
            "file_id": Text(null=True),
            "file_url": Text(),
            "filename": Text(),
            "file_data": Text(),
            "detail": words("auto", "low", "high"),
            **_MARK,
        },
    ),
}
_OUTPUT_PARTS: Final[Mapping[str, Shape]] = {
    "output_text": obj(
        {"type": Text(), "text": Text()},
        {"annotations": Items(of=FREE), "logprobs": Items(of=FREE, null=True)},
    ),
    "refusal": obj({"type": Text(), "refusal": Text()}),
}
# Codex adds this to the items that it sends; the provider lets it pass.
_PASSED: Final = {"internal_chat_message_metadata_passthrough": ANY, "id": Text(null=True)}
_STATUS: Final = words("in_progress", "completed", "incomplete", null=True)
_CALLER: Final = {"caller": FREE, "namespace": Text(), "async": Bool(), "status": _STATUS}
_OUTPUT: Final = Either(of=(Text(), Items(of=Tagged(cases=_INPUT_PARTS))))


def _message(parts: Mapping[str, Shape], extra: Mapping[str, Shape]) -> Shape:
    content = Either(of=(Text(), Items(of=Tagged(cases=parts))))
    return obj({"role": Text(), "content": content}, {"type": Text(), **_PASSED, **extra})


_CLIENT: Final = _message(_INPUT_PARTS, {"status": _STATUS})
_MESSAGE: Final = Tagged(
    key="role",
    cases={
        "user": _CLIENT,
        "system": _CLIENT,
        "developer": _CLIENT,
        "assistant": _message(
            _OUTPUT_PARTS,
            {"status": _STATUS, "phase": words("commentary", "final_answer", null=True)},
        ),
    },
)
_OPEN: Final = Object(fields={"type": Text()}, open=True)
_ITEM: Final = Tagged(
    default="message",
    cases={
        "message": _MESSAGE,
        "reasoning": obj(
            {
                "type": Text(),
                "summary": Items(of=obj({"type": words("summary_text"), "text": Text()})),
            },
            {
                **_PASSED,
                "status": _STATUS,
                "content": Items(
                    of=obj({"type": words("reasoning_text"), "text": Text()}), null=True
                ),
                "encrypted_content": Text(null=True),
            },
        ),
        "function_call": obj(
            {"type": Text(), "call_id": _CALL_ID, "name": _NAME, "arguments": Text()},
            {**_PASSED, **_CALLER},
        ),
        "function_call_output": obj(
            {"type": Text(), "call_id": _CALL_ID, "output": _OUTPUT}, {**_PASSED, **_CALLER}
        ),
        "custom_tool_call": obj(
            {"type": Text(), "call_id": _CALL_ID, "name": _NAME, "input": Text()},
            {**_PASSED, **_CALLER},
        ),
        "custom_tool_call_output": obj(
            {"type": Text(), "call_id": _CALL_ID, "output": _OUTPUT}, {**_PASSED, **_CALLER}
        ),
        "item_reference": obj({"id": Text()}, {"type": Text()}),
        "compaction": obj({"type": Text(), "encrypted_content": Text()}, _PASSED),
        "compaction_trigger": obj({"type": Text()}),
        "additional_tools": obj(
            {"type": Text(), "role": words("developer"), "tools": Items(of=FREE)}, _PASSED
        ),
        "configuration_update": obj({"type": Text()}, {"reasoning": FREE, "text": FREE, **_PASSED}),
        **dict.fromkeys(
            listed(
                "tool_search_call tool_search_output program program_output file_search_call "
                "web_search_call code_interpreter_call image_generation_call computer_call "
                "computer_call_output local_shell_call local_shell_call_output shell_call "
                "shell_call_output apply_patch_call apply_patch_call_output mcp_list_tools mcp_call "
                "mcp_approval_request mcp_approval_response"
            ),
            _OPEN,
        ),
    },
)
_TOOL_MORE: Final = {
    "defer_loading": Bool(),
    "allowed_callers": Items(of=words("direct", "programmatic")),
    "output_schema": FREE,
    "async": Bool(),
}
_FUNCTION: Final = obj(
    {"type": Text(), "name": _NAME},
    {
        "description": Text(null=True),
        "parameters": Object(open=True, null=True),
        "strict": Bool(null=True),
        **_TOOL_MORE,
    },
)
_CUSTOM: Final = obj(
    {"type": Text(), "name": _NAME},
    {
        "description": Text(),
        "format": Tagged(
            cases={
                "text": obj({"type": Text()}),
                "grammar": obj(
                    {"type": Text(), "syntax": words("lark", "regex"), "definition": Text()}
                ),
            }
        ),
        **_TOOL_MORE,
    },
)
_NAMESPACE: Final = obj(
    {
        "type": Text(),
        "name": _NAME,
        "tools": Items(of=Tagged(cases={"function": _FUNCTION, "custom": _CUSTOM})),
    },
    {"description": Text()},
)
_TOOL: Final = Tagged(
    cases={
        "function": _FUNCTION,
        "custom": _CUSTOM,
        "namespace": _NAMESPACE,
        **dict.fromkeys(
            listed(
                "tool_search programmatic_tool_calling web_search web_search_2025_08_26 "
                "web_search_preview web_search_preview_2025_03_11 file_search code_interpreter "
                "image_generation computer computer_use_preview mcp local_shell shell apply_patch"
            ),
            _OPEN,
        ),
    }
)
_NAMED: Final = obj({"type": Text(), "name": _NAME})
_CHOICE: Final = Either(
    of=(
        words("none", "auto", "required"),
        Tagged(
            cases={
                "function": _NAMED,
                "custom": _NAMED,
                "mcp": obj({"type": Text(), "server_label": Text()}, {"name": Text()}),
                "allowed_tools": obj(
                    {
                        "type": Text(),
                        "mode": words("auto", "required"),
                        "tools": Items(of=FREE, least=1),
                    }
                ),
                **dict.fromkeys(
                    listed(
                        "file_search web_search_preview web_search_preview_2025_03_11 computer "
                        "computer_use computer_use_preview image_generation code_interpreter "
                        "apply_patch shell programmatic_tool_calling"
                    ),
                    obj({"type": Text()}),
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
            {"type": Text(), "name": _NAME, "schema": FREE},
            {"description": Text(), "strict": Bool(null=True)},
        ),
    }
)
_TEXT: Final = Object(
    fields={"format": _FORMAT, "verbosity": words("low", "medium", "high", null=True)}, null=True
)
_REASONING: Final = Object(
    fields={
        "effort": words(*EFFORTS, null=True),
        "summary": words("auto", "concise", "detailed", null=True),
        "generate_summary": words("auto", "concise", "detailed", null=True),
        "context": words("auto", "current_turn", "all_turns", null=True),
        "mode": Text(null=True),
    },
    null=True,
)
_INCLUDES: Final = words(
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)
_NULLABLE: Final = Object(open=True, null=True)
_COUNTED: Final[Mapping[str, Shape]] = {
    "conversation": Either(of=(Text(), FREE), null=True),
    "input": Either(of=(Text(), Items(of=_ITEM)), null=True),
    "instructions": Text(null=True),
    "model": Text(shortest=1),
    "parallel_tool_calls": Bool(null=True),
    "previous_response_id": Text(null=True),
    "reasoning": _REASONING,
    "text": _TEXT,
    "tool_choice": _CHOICE,
    "tools": Items(of=_TOOL),
    "truncation": words("auto", "disabled", null=True),
}
_REQUEST: Final = obj(
    {"model": _COUNTED["model"]},
    {
        **_COUNTED,
        "access_programs": FREE,
        "background": Bool(null=True),
        "client_metadata": FREE,
        "context_management": Items(
            of=obj({"type": words("compaction")}, {"compact_threshold": Number(low=1, whole=True)}),
            null=True,
        ),
        "image": FREE,
        "include": Items(of=_INCLUDES, null=True),
        "max_output_tokens": Number(low=16, whole=True, null=True),
        "max_tool_calls": Number(low=1, whole=True, null=True),
        "metadata": METADATA,
        "moderation": _NULLABLE,
        "prompt": _NULLABLE,
        "prompt_cache_key": Text(null=True),
        "prompt_cache_options": Object(
            fields={**CACHE_OPTIONS, "prewarm": Bool(), "comparison_response_id": Text()}
        ),
        "prompt_cache_retention": words("in_memory", "24h", null=True),
        "safety_identifier": Text(longest=128, null=True),
        "service_tier": words(
            "auto", "default", "flex", "scale", "priority", "fast", "ultrafast", null=True
        ),
        "store": Bool(null=True),
        "stream": Bool(null=True),
        "stream_options": Object(fields={"include_obfuscation": Bool()}, null=True),
        "temperature": Number(low=0, high=2, null=True),
        "top_logprobs": Number(low=0, high=20, whole=True, null=True),
        "top_p": Number(low=0, high=1, null=True),
        "user": Text(),
    },
)
_COUNT: Final = Object(
    fields={**_COUNTED, "personality": Text(), "client_metadata": FREE}, required=("model",)
)
_COMPACT: Final = Object(
    fields={
        **_COUNTED,
        **{
            name: _REQUEST.fields[name]
            for name in (
                "prompt_cache_key",
                "prompt_cache_options",
                "prompt_cache_retention",
                "service_tier",
                "image",
                "client_metadata",
            )
        },
    },
    required=("model",),
)
_ITEM_ID: Final = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "custom_tool_call": "ctc_",
}
_OUTPUT_OF: Final = dict(zip(RESULTS, CALLS, strict=True))
_REASONING_MODEL: Final = re.compile(r"(^|/)(o[1-9]|gpt-[5-9])")


def validate(body: JsonObject, model: str) -> None:
    """Raise the `Rejection` that the provider would answer with."""
    check(body, _REQUEST, (), WORDS)
    _check_rules(body)
    if _REASONING_MODEL.search(model):
        _check_sampling(body)


def validate_count(body: JsonObject, model: str) -> None:
    """The same for `/responses/input_tokens`."""
    check(body, _COUNT, (), WORDS)
    _check_rules(body)


def validate_compact(body: JsonObject, model: str) -> None:
    """The same for `/responses/compact`."""
    check(body, _COMPACT, (), WORDS)
    _check_rules(body)


def _check_rules(body: JsonObject) -> None:
    if not any(
        body.get(key) for key in ("input", "previous_response_id", "prompt", "conversation")
    ):
        raise invalid(
            "input",
            "One of 'input', 'previous_response_id', 'prompt' or 'conversation' must be provided.",
            "missing_required_parameter",
        )
    if body.get("previous_response_id"):
        identity = body["previous_response_id"]
        raise invalid(
            "previous_response_id",
            f"Previous response with id '{identity}' not found.",
            "previous_response_not_found",
        )
    given = items(body)
    for index, item in enumerate(given):
        _check_item(item, f"input[{index}]")
    _check_pairs(given)
    _check_reasoning(body, given)
    _check_thoughts_kept(given)
    _check_tools(body)
    _check_format(body, given)


def _check_sampling(body: JsonObject) -> None:
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1):
            raise invalid(
                name,
                f"Unsupported parameter: '{name}' is not supported with this model.",
                "unsupported_parameter",
            )


def _check_item(item: JsonObject, path: str) -> None:
    kind = item.get("type", "message")
    prefix = _ITEM_ID.get(kind)
    identity = item.get("id")
    assistant = kind != "message" or item["role"] == "assistant"
    if identity and prefix and assistant and not identity.startswith(prefix):
        raise invalid(
            f"{path}.id",
            f"Invalid '{path}.id': '{identity}'. Expected an ID that begins with '{prefix[:-1]}'.",
            "invalid_value",
        )
    if identity and len(identity) > 64:
        raise invalid(
            f"{path}.id",
            f"Invalid '{path}.id': string too long. Expected a string with maximum length 64, "
            f"but got a string with length {len(identity)} instead.",
            "string_above_max_length",
        )
    parts = item.get("content") if kind == "message" else item.get("output")
    for index, part in enumerate(parts if isinstance(parts, list) else ()):
        _check_part(part, f"{path}.{'content' if kind == 'message' else 'output'}[{index}]")


def _check_part(part: JsonObject, path: str) -> None:
    if part["type"] == "input_image":
        if bool(part.get("image_url")) == bool(part.get("file_id")):
            raise invalid(path, f"Exactly one of image_url and file_id is required in '{path}'.")
        if part.get("image_url"):
            check_image_url(part["image_url"], f"{path}.image_url")
    if part["type"] == "input_file":
        given = [key for key in ("file_id", "file_url", "file_data") if part.get(key)]
        if len(given) != 1:
            raise invalid(
                path, f"Exactly one of file_id, file_url and file_data is required in '{path}'."
            )
        if "file_data" in given and "filename" not in part:
            raise WORDS.missing((path, "filename"))


def _check_pairs(given: list[JsonObject]) -> None:
    """Calls and outputs pair by `call_id` and by kind; an id may be used again once it was answered."""
    waiting: dict[str, str] = {}
    for item in given:
        kind = item.get("type", "message")
        if kind in CALLS:
            if item["call_id"] in waiting:
                raise invalid("input", f"Duplicate call_id '{item['call_id']}' in input.")
            waiting[item["call_id"]] = kind
        elif kind in RESULTS:
            called = waiting.pop(item["call_id"], None)
            if called != _OUTPUT_OF[kind]:
                what = "function call" if kind == "function_call_output" else "custom tool call"
                raise invalid(
                    "input",
                    f"No tool call found for {what} output with call_id {item['call_id']}.",
                )
    for identity, kind in waiting.items():
        what = "function call" if kind == "function_call" else "custom tool call"
        raise invalid("input", f"No tool output found for {what} {identity}.")


def _check_reasoning(body: JsonObject, given: list[JsonObject]) -> None:
    """Reasoning must be the fake's own and be followed by what it led to."""
    model = body["model"]
    for index, item in enumerate(given):
        if item.get("type") == "compaction":
            _check_sealed(COMPACTED_AS, model, "", item, index)
        if item.get("type") != "reasoning":
            continue
        identity = item.get("id") or f"input[{index}]"
        sealed = item.get("encrypted_content")
        if sealed is None:
            raise Rejection(
                404,
                f"Item with id '{identity}' not found. Items are not persisted when `store` is set to "
                "false. Try again with `store` set to true, or remove this item from your input.",
                param="input",
            )
        shown = "\n".join(part["text"] for part in item["summary"])
        _check_sealed(SIGNED_AS, model, shown, item, index)
        follower = given[index + 1] if index + 1 < len(given) else {"type": "none"}
        kind = follower.get("type", "message")
        if kind not in (*CALLS, "message", "reasoning") or (
            kind == "message" and follower["role"] != "assistant"
        ):
            raise invalid(
                "input",
                f"Item '{identity}' of type 'reasoning' was provided without its required following "
                "item.",
            )


def _check_sealed(kind: str, model: str, shown: str, item: JsonObject, index: int) -> None:
    if not signing.verify(kind, model, shown, item["encrypted_content"]):
        identity = item.get("id") or f"input[{index}]"
        raise Rejection(
            400,
            f"The encrypted content for item {identity} could not be verified. Reason: Encrypted content "
            "could not be decrypted or parsed.",
            param=f"input[{index}].encrypted_content",
            code="invalid_encrypted_content",
        )


def _check_thoughts_kept(given: list[JsonObject]) -> None:
    """A call sent back under its item id needs the reasoning that led to it; without the id it does not."""
    thought = False
    for item in given:
        kind = item.get("type", "message")
        if kind == "reasoning":
            thought = True
        elif kind in RESULTS or (kind == "message" and item["role"] != "assistant"):
            thought = False
        elif kind in CALLS and not thought:
            identity = item.get("id") or ""
            if came_after_thought(identity, _ITEM_ID[kind]):
                raise invalid(
                    "input",
                    f"Item '{identity}' of type '{kind}' was provided without its required 'reasoning' "
                    "item.",
                )


def _check_tools(body: JsonObject) -> None:
    names: list[str] = []
    found = tools(body)
    for index, tool in enumerate(found):
        path = f"tools[{index}]"
        if index >= len(body.get("tools") or ()):
            check(tool, _TOOL, ("input", "tools", index), WORDS)
        if tool["type"] == "namespace":
            for inner in tool["tools"]:
                _check_tool(inner, path)
        else:
            _check_tool(tool, path)
        names.append(str(tool.get("name", tool["type"])))
    if len(set(names)) != len(names):
        raise invalid("tools", "Invalid 'tools': tool names must be unique.", "invalid_value")
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("name") and choice["type"] != "mcp":
        if choice["name"] not in names:
            raise invalid(
                "tool_choice", f"Tool choice '{choice['name']}' not found in 'tools' parameter."
            )
    if choice == "required" and not found:
        raise invalid("tool_choice", "Tool choice 'required' needs at least one tool in 'tools'.")


def _check_tool(tool: JsonObject, path: str) -> None:
    if tool["type"] != "function":
        return
    schema = tool.get("parameters")
    if tool.get("strict"):
        check_strict_schema(schema, f"{path}.parameters", tool["name"])
    elif schema is not None:
        check_plain_schema(schema, f"{path}.parameters", tool["name"])


def _check_format(body: JsonObject, given: list[JsonObject]) -> None:
    form = (body.get("text") or {}).get("format") or {}
    if form.get("type") == "json_schema" and form.get("strict"):
        check_strict_schema(form["schema"], "text.format.schema", form["name"], output=True)
    if form.get("type") == "json_object":
        said = "".join(str(item.get("content")) for item in given)
        if "json" not in (said + (body.get("instructions") or "")).lower():
            raise invalid(
                "input",
                "Response input messages must contain the word 'json' in some form to use 'text.format' "
                "of type 'json_object'.",
            )
