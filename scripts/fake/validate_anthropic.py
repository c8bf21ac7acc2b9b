"""Refuses what Anthropic Messages refuses: fields, turns, tool pairing, thinking that is not ours, caching.

Reference: https://platform.claude.com/docs/en/api/messages (read 2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from scripts.fake import signing
from scripts.fake.read_anthropic import blocks
from scripts.fake.rejection import Rejection
from scripts.fake.rendering import came_after_thought
from scripts.fake.shape import (
    ANY,
    Json,
    JsonObject,
    Number,
    Path,
    Shape,
    check,
    listed,
    obj,
)
from scripts.fake.shapes_anthropic import (
    BETA_FIELDS,
    BUILT_IN,
    COUNTED,
    FIELDS,
    REQUIRED,
    SAMPLING,
    TOOL,
    WORDS,
    invalid,
)
from scripts.fake.speak_anthropic import CALL_PREFIX, REDACTED_AS, SIGNED_AS

VERSIONS: Final = ("2023-06-01", "2026-10-21")
_FORMATS: Final = frozenset(
    listed("date-time time date duration email hostname uri ipv4 ipv6 uuid")
)
_FORMAT_KEYWORDS: Final = frozenset(
    listed(
        "type properties required additionalProperties items enum const anyOf allOf $ref $defs description "
        "title default format minItems"
    )
)
_NO_FORCED: Final = re.compile(r"(opus|sonnet)-5-5|(fable|mythos)-5-[1-9]")
_OLD: Final = re.compile(r"claude-(3|2)|(sonnet|opus|haiku)-4-5|claude-(sonnet|opus)-4-\d{8}")
_NO_DISABLED: Final = re.compile(r"(opus|sonnet)-5-5|(fable|mythos)-5")
_NO_ENABLED: Final = re.compile(r"-4-[78]|(opus|sonnet|haiku)-5|(fable|mythos)-5")
_MAX_CACHE_MARKS: Final = 4


def validate(
    body: JsonObject, model: str, *, version: str = VERSIONS[1], betas: tuple[str, ...] = ()
) -> None:
    """Raise the `Rejection` that the provider would answer with."""
    known = dict(FIELDS) if version == VERSIONS[1] else {**FIELDS, **SAMPLING}
    known.update(_beta_fields(betas))
    required = {**REQUIRED, "max_tokens": Number(low=0, whole=True)}
    check(body, obj(required, known), (), WORDS)
    _check_rules(body, model, version)


def validate_count(
    body: JsonObject, model: str, *, version: str = VERSIONS[1], betas: tuple[str, ...] = ()
) -> None:
    """The same for `/count_tokens`."""
    check(body, obj(REQUIRED, {**COUNTED, **_beta_fields(betas)}), (), WORDS)
    _check_rules(body, model, version)


def _beta_fields(betas: tuple[str, ...]) -> dict[str, Shape]:
    return {
        name: ANY
        for name, flags in BETA_FIELDS.items()
        if any(beta.startswith(flags) for beta in betas)
    }


def _check_rules(body: JsonObject, model: str, version: str) -> None:
    messages: list[JsonObject] = body["messages"]
    if not messages:
        raise invalid(("messages",), "at least one message is required")
    if messages[0]["role"] != "user":
        raise invalid(("messages", 0, "role"), 'The first message must use the "user" role.')
    for index, message in enumerate(messages):
        _check_content(message, index, index == len(messages) - 1, version)
    _check_system_turns(messages, model)
    _check_pairs(messages)
    if not _pauses(body):
        _check_prefill(messages[-1], model)
    _check_thinking(body, model)
    _check_signatures(messages, model)
    _check_loop(body)
    _check_tools(body, model)
    _check_sampling(body, model)
    _check_cache(body)
    form = (body.get("output_config") or {}).get("format")
    if form:
        check_format(form["schema"], ("output_config", "format", "schema"))


def _check_content(message: JsonObject, index: int, last: bool, version: str) -> None:
    content, role, path = message["content"], message["role"], ("messages", index)
    if not content and not (role == "assistant" and last):
        raise invalid(
            path,
            "all messages must have non-empty content except for the optional final assistant message",
        )
    for number, block in enumerate(blocks(content)):
        place = (*path, "content", number)
        if block["type"] == "text" and not block["text"]:
            raise Rejection(400, "messages: text content blocks must be non-empty")
        if block["type"] == "text" and not block["text"].strip():
            raise Rejection(400, "messages: text content blocks must contain non-whitespace text")
        if block["type"] == "tool_result":
            _check_result(block, place)
        if version == VERSIONS[1] and role == "assistant" and block["type"] == "document":
            raise invalid(place, "document blocks are not allowed in assistant messages")
        if version == VERSIONS[1] and role == "user" and block["type"] == "text":
            if block.get("citations"):
                raise invalid((*place, "citations"), "Extra inputs are not permitted")
        if block["type"] == "image" and block["source"]["type"] == "base64":
            if not signing.is_base64(block["source"]["data"]):
                raise invalid((*place, "source", "base64", "data"), "Invalid base64 data")


def _check_result(block: JsonObject, path: Path) -> None:
    for number, inner in enumerate(blocks(block.get("content") or [])):
        if inner["type"] == "text" and not inner["text"] and not isinstance(block["content"], str):
            raise invalid((*path, "content", number), "text content blocks must be non-empty")
        if block.get("is_error") and inner["type"] not in ("text",):
            raise invalid(
                (*path, "content"), "all content must be type 'text' if 'is_error' is true"
            )


def _check_system_turns(messages: list[JsonObject], model: str) -> None:
    for index, message in enumerate(messages):
        if message["role"] != "system":
            continue
        if _OLD.search(model):
            raise Rejection(400, "role 'system' is not supported on this model")
        before = messages[index - 1]["role"]
        after = messages[index + 1]["role"] if index + 1 < len(messages) else "assistant"
        if before != "user" or after != "assistant":
            raise invalid(
                ("messages", index),
                "role 'system' must directly follow a 'user' message and be last or followed by an "
                "'assistant' message",
            )


def _check_pairs(messages: list[JsonObject]) -> None:
    """Every `tool_use` is answered in the very next message, results first; nothing else is answered."""
    turns = list(_merged(messages))
    for position, (index, role, content) in enumerate(turns):
        calls = [block["id"] for block in content if block["type"] == "tool_use"]
        if role == "assistant" and calls:
            _check_unique(calls, index)
            following = turns[position + 1] if position + 1 < len(turns) else (index, "", [])
            answered = _result_ids(following[2]) if following[1] == "user" else []
            missing = [identity for identity in calls if identity not in answered]
            if missing:
                raise invalid(
                    ("messages", index),
                    "`tool_use` ids were found without `tool_result` blocks immediately after: "
                    f"{', '.join(missing)}. Each `tool_use` block must have a corresponding "
                    "`tool_result` block in the next message.",
                )
        results = _result_ids(content) if role == "user" else []
        before = turns[position - 1][2] if position else []
        asked = [block["id"] for block in before if block["type"] == "tool_use"]
        for identity in results:
            if identity not in asked:
                raise invalid(
                    ("messages", index, "content", 0),
                    f"unexpected `tool_use_id` found in `tool_result` blocks: {identity}. Each "
                    "`tool_result` block must have a corresponding `tool_use` block in the previous "
                    "message.",
                )
        if len(set(results)) != len(results):
            raise invalid(
                ("messages", index, "content"),
                "each tool_use must have a single result. Found multiple `tool_result` blocks with one id",
            )
        if results:
            _check_results_first(content, index)


def _merged(messages: list[JsonObject]) -> Iterator[tuple[int, str, list[JsonObject]]]:
    """Messages of one role in a row count as one; `system` turns stand outside."""
    held: tuple[int, str, list[JsonObject]] | None = None
    for index, message in enumerate(messages):
        if message["role"] == "system":
            continue
        content = list(blocks(message["content"]))
        if held is not None and held[1] == message["role"]:
            held = (held[0], held[1], held[2] + content)
            continue
        if held is not None:
            yield held
        held = (index, message["role"], content)
    if held is not None:
        yield held


def _result_ids(content: list[JsonObject]) -> list[str]:
    return [block["tool_use_id"] for block in content if block["type"] == "tool_result"]


def _check_unique(calls: list[str], index: int) -> None:
    if len(set(calls)) != len(calls):
        raise invalid(("messages", index), "`tool_use` ids must be unique")


def _check_results_first(content: list[JsonObject], index: int) -> None:
    kinds = [block["type"] for block in content]
    last_result = len(kinds) - 1 - kinds[::-1].index("tool_result")
    if any(kind == "text" for kind in kinds[:last_result]):
        raise invalid(
            ("messages", index),
            "`tool_use` ids were found without `tool_result` blocks immediately after: all `tool_result` "
            "blocks must come before any text",
        )


def _pauses(body: JsonObject) -> bool:
    """Whether tools that run here are declared: an assistant message at the end is then a paused turn."""
    return any("input_schema" not in tool for tool in body.get("tools") or ())


def _check_prefill(last: JsonObject, model: str) -> None:
    if last["role"] != "assistant":
        return
    if not _OLD.search(model):
        raise Rejection(
            400,
            "This model does not support assistant message prefill. The conversation must end with a "
            "user message.",
        )
    content = blocks(last["content"])
    if content and content[-1]["type"] == "text" and content[-1]["text"].endswith((" ", "\n")):
        raise Rejection(
            400, "messages: final assistant content cannot end with trailing whitespace"
        )


def _check_thinking(body: JsonObject, model: str) -> None:
    thinking = body.get("thinking")
    if not thinking:
        return
    kind = thinking["type"]
    if kind == "enabled":
        limit = body.get("max_tokens")
        if limit is not None and thinking["budget_tokens"] >= limit:
            raise Rejection(
                400,
                "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our "
                "documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking",
            )
        if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
            raise Rejection(400, "Thinking may not be enabled when tool_choice forces tool use.")
    refused = (
        (kind == "adaptive" and _OLD.search(model))
        or (kind == "enabled" and _NO_ENABLED.search(model))
        or (kind == "disabled" and _NO_DISABLED.search(model))
    )
    if refused:
        raise invalid(("thinking", "type"), f"'{kind}' is not supported on this model")


def _check_signatures(messages: list[JsonObject], model: str) -> None:
    """Reasoning must be the fake's own, unchanged, and made for this model."""
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        for number, block in enumerate(blocks(message["content"])):
            path = ("messages", index, "content", number)
            match block["type"]:
                case "thinking":
                    good = signing.verify(SIGNED_AS, model, block["thinking"], block["signature"])
                    kind = "thinking"
                case "redacted_thinking":
                    good = signing.verify(REDACTED_AS, model, "", block["data"])
                    kind = "redacted_thinking"
                case _:
                    continue
            if not good:
                raise invalid(path, f"Invalid `signature` in `{kind}` block")


def _check_loop(body: JsonObject) -> None:
    """Inside a tool loop the thinking that led to a call goes back before it.

    The call's own id says whether there was any: the fake marks it.
    """
    if (body.get("thinking") or {}).get("type") == "disabled":
        return
    turns = list(_merged(body["messages"]))
    if len(turns) < 2 or not _result_ids(turns[-1][2]):
        return
    index, _, content = turns[-2]
    thought = False
    for number, block in enumerate(content):
        thought = thought or block["type"] in ("thinking", "redacted_thinking")
        called = block["type"] == "tool_use" and came_after_thought(block["id"], CALL_PREFIX)
        if called and not thought:
            raise invalid(
                ("messages", index, "content", number, "type"),
                "Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is "
                "enabled, a final `assistant` message must start with a thinking block (preceeding the "
                "lastmost set of `tool_use` and `tool_result` blocks).",
            )


def _check_tools(body: JsonObject, model: str) -> None:
    names: list[str] = []
    for index, tool in enumerate(body.get("tools") or ()):
        path = ("tools", index)
        if BUILT_IN.fullmatch(str(tool.get("type", ""))):
            names.append(str(tool.get("name", tool["type"])))
            continue
        check(tool, TOOL, path, WORDS)
        names.append(tool["name"])
        schema = tool["input_schema"]
        if "type" not in schema:
            raise invalid((*path, "custom", "input_schema", "type"), "Field required")
        if schema["type"] != "object":
            raise invalid((*path, "custom", "input_schema", "type"), "Input should be 'object'")
        if tool.get("strict"):
            check_format(schema, (*path, "custom", "input_schema"))
    if len(set(names)) != len(names):
        raise invalid(("tools",), "Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not names:
        raise invalid(("tool_choice",), "tool_choice may only be specified while providing tools.")
    if choice["type"] == "tool" and choice["name"] not in names:
        raise Rejection(400, f"Tool '{choice['name']}' not found in provided tools")
    if choice["type"] in ("any", "tool") and _NO_FORCED.search(model):
        raise invalid(("tool_choice", "type"), f"'{choice['type']}' is not supported on this model")


def _check_sampling(body: JsonObject, model: str) -> None:
    thinking = (body.get("thinking") or {}).get("type", "disabled")
    if thinking != "disabled":
        if body.get("temperature") not in (None, 1):
            raise Rejection(400, "`temperature` may only be set to 1 when thinking is enabled.")
        if body.get("top_k") is not None:
            raise Rejection(400, "`top_k` must be unset when thinking is enabled.")
        if body.get("top_p") is not None and body["top_p"] < 0.95:
            raise Rejection(
                400,
                "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.",
            )
    if body.get("temperature") is not None and body.get("top_p") is not None:
        raise Rejection(
            400,
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        )


def _check_cache(body: JsonObject) -> None:
    """At most four markers; in prefix order (tools, system, messages) no longer ttl after a shorter one."""
    marks = [mark for mark in _cache_marks(body) if mark]
    if len(marks) > _MAX_CACHE_MARKS:
        raise Rejection(
            400,
            f"A maximum of 4 blocks with cache_control may be provided. Found {len(marks)}.",
        )
    short = False
    for mark in marks:
        if mark.get("ttl", "5m") == "5m":
            short = True
        elif short:
            raise Rejection(
                400,
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. "
                "Note that blocks are processed in the following order: `tools`, `system`, `messages`.",
            )


def _cache_marks(body: JsonObject) -> Iterator[Any]:
    for tool in body.get("tools") or ():
        yield tool.get("cache_control")
    for block in blocks(body.get("system") or []):
        yield block.get("cache_control")
    for message in body["messages"]:
        for block in blocks(message["content"]):
            yield block.get("cache_control")
            inner = block.get("content")
            for part in inner if isinstance(inner, list) else ():
                yield part.get("cache_control")


def check_format(schema: Json, path: Path) -> None:
    """The JSON Schema subset of `output_config.format` and of strict tools."""

    def walk(node: Json, seen: tuple[str, ...]) -> None:
        if not isinstance(node, dict):
            raise invalid(path, "Invalid schema: expected an object")
        kind = node.get("type")
        for key in node:
            if key not in _FORMAT_KEYWORDS:
                raise invalid(
                    path, f"For '{kind or 'any'}' type, property '{key}' is not supported"
                )
        if node.get("format") is not None and node["format"] not in _FORMATS:
            raise invalid(path, f"string format '{node['format']}' is not supported")
        if node.get("minItems", 0) not in (0, 1):
            raise invalid(
                path, "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
            )
        if kind == "object" and node.get("additionalProperties") is not False:
            raise invalid(
                path, "For 'object' type, 'additionalProperties' must be explicitly set to false"
            )
        reference = node.get("$ref")
        if reference is not None:
            follow(reference, seen)
        for part in (
            *node.get("properties", {}).values(),
            *([node["items"]] if "items" in node else ()),
            *node.get("anyOf", ()),
            *node.get("allOf", ()),
        ):
            walk(part, seen)

    def follow(reference: str, seen: tuple[str, ...]) -> None:
        if reference in seen:
            raise invalid(path, f"Circular reference '{reference}' is not supported")
        target = schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"))
        if target is None:
            raise invalid(path, f"Reference '{reference}' cannot be resolved")
        walk(target, (*seen, reference))

    walk(schema, ())
