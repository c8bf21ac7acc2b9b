"""The shapes of a Messages request, and how Anthropic words a refusal.

Only fields and types: rules that span several fields are in `validate_anthropic`.
Reference: https://platform.claude.com/docs/en/api/messages (read 2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from scripts.fake.rejection import Rejection
from scripts.fake.shape import (
    FREE,
    Bool,
    Either,
    Items,
    Json,
    Number,
    Object,
    Path,
    Shape,
    Tagged,
    Text,
    dotted,
    listed,
    obj,
    words,
)

_TYPES: Final = {
    "array": "list",
    "object": "dictionary",
    "boolean": "boolean",
    "integer": "integer",
    "number": "number",
    "string": "string",
}


class AnthropicWords:
    """Anthropic's messages: a dotted path, a colon, and what a schema checker says."""

    def unknown(self, path: Path, value: Json) -> Rejection:
        return invalid(path, "Extra inputs are not permitted")

    def missing(self, path: Path) -> Rejection:
        return invalid(path, "Field required")

    def wrong_type(self, path: Path, expected: str, value: Json) -> Rejection:
        kinds = " or ".join(_TYPES.get(kind, kind) for kind in expected.split(" or "))
        return invalid(path, f"Input should be a valid {kinds}")

    def wrong_value(self, path: Path, allowed: tuple[str, ...], value: Json) -> Rejection:
        names = ", ".join(f"'{item}'" for item in allowed)
        if path[-1] == "type":
            return invalid(
                path[:-1],
                f"Input tag '{value}' found using 'type' does not match any of the expected tags: {names}",
            )
        return invalid(path, f"Input should be {names}")

    def out_of_range(self, path: Path, bound: str, value: Json) -> Rejection:
        sign, _, limit = bound.partition(" ")
        side = "greater" if sign == ">=" else "less"
        return invalid(path, f"Input should be {side} than or equal to {limit}")

    def bad_pattern(self, path: Path, pattern: str, value: str) -> Rejection:
        return invalid(path, f"String should match pattern '^{pattern}$'")

    def bad_length(self, path: Path, bound: str, length: int) -> Rejection:
        return invalid(path, f"should have {bound} characters or items, not {length}")


def invalid(path: Path, message: str) -> Rejection:
    """A 400 at `path`."""
    return Rejection(400, f"{dotted(path)}: {message}" if path else message)


WORDS: Final = AnthropicWords()
_CACHE: Final = {
    "cache_control": Object(
        fields={"type": words("ephemeral"), "ttl": words("5m", "1h")}, required=("type",), null=True
    )
}
_CITED: Final = {"citations": Object(fields={"enabled": Bool()}, null=True)}
_TEXT: Final = obj(
    {"type": Text(), "text": Text()}, {**_CACHE, "citations": Items(of=FREE, null=True)}
)
_FILE_SOURCES: Final[Mapping[str, Shape]] = {
    "url": obj({"type": Text(), "url": Text(pattern=r"https?://.+")}),
    "file": obj({"type": Text(), "file_id": Text(shortest=1)}),
}
_IMAGE: Final = obj(
    {
        "type": Text(),
        "source": Tagged(
            cases={
                "base64": obj(
                    {
                        "type": Text(),
                        "media_type": words("image/jpeg", "image/png", "image/gif", "image/webp"),
                        "data": Text(shortest=1),
                    }
                ),
                **_FILE_SOURCES,
            }
        ),
    },
    {**_CACHE, "transformations": FREE},
)
_DOCUMENT: Final = obj(
    {
        "type": Text(),
        "source": Tagged(
            cases={
                "base64": obj(
                    {
                        "type": Text(),
                        "media_type": words("application/pdf"),
                        "data": Text(shortest=1),
                    }
                ),
                "text": obj({"type": Text(), "media_type": words("text/plain"), "data": Text()}),
                "content": obj({"type": Text(), "content": Either(of=(Text(), Items(of=FREE)))}),
                **_FILE_SOURCES,
            }
        ),
    },
    {**_CACHE, **_CITED, "title": Text(null=True), "context": Text(null=True)},
)
_SEARCH_RESULT: Final = obj(
    {"type": Text(), "source": Text(), "title": Text(), "content": Items(of=_TEXT)},
    {**_CACHE, **_CITED},
)
_CALL_ID: Final = Text(pattern=r"[a-zA-Z0-9_-]+", shortest=1)
_RESULT: Final = obj(
    {"type": Text(), "tool_use_id": _CALL_ID},
    {
        **_CACHE,
        "content": Either(
            of=(
                Text(),
                Items(
                    of=Tagged(
                        cases={
                            "text": _TEXT,
                            "image": _IMAGE,
                            "document": _DOCUMENT,
                            "search_result": _SEARCH_RESULT,
                            "tool_reference": obj({"type": Text(), "tool_name": Text()}, _CACHE),
                            "browser_state": FREE,
                        }
                    )
                ),
            )
        ),
        "is_error": Bool(null=True),
        "toolset_name": Text(),
    },
)
_USER_BLOCKS: Final[Mapping[str, Shape]] = {
    "text": _TEXT,
    "image": _IMAGE,
    "document": _DOCUMENT,
    "search_result": _SEARCH_RESULT,
    "tool_result": _RESULT,
    "container_upload": obj({"type": Text(), "file_id": Text()}, _CACHE),
}
_ASSISTANT_BLOCKS: Final[Mapping[str, Shape]] = {
    "text": _TEXT,
    "thinking": obj({"type": Text(), "thinking": Text(), "signature": Text()}),
    "redacted_thinking": obj({"type": Text(), "data": Text()}),
    "tool_use": obj(
        {
            "type": Text(),
            "id": _CALL_ID,
            "name": Text(shortest=1, longest=200),
            "input": FREE,
        },
        {**_CACHE, "caller": FREE, "toolset_name": Text()},
    ),
    "document": _DOCUMENT,
    **dict.fromkeys(
        listed(
            "server_tool_use web_search_tool_result web_fetch_tool_result code_execution_tool_result "
            "bash_code_execution_tool_result text_editor_code_execution_tool_result "
            "tool_search_tool_result compaction mcp_tool_use mcp_tool_result fallback"
        ),
        FREE,
    ),
}
_SYSTEM_BLOCKS: Final[Mapping[str, Shape]] = {
    "text": _TEXT,
    "tool_addition": FREE,
    "tool_removal": FREE,
}


def _message(cases: Mapping[str, Shape], extra: Mapping[str, Shape] | None = None) -> Shape:
    content = Either(of=(Text(), Items(of=Tagged(cases=cases))))
    return obj({"role": Text(), "content": content}, extra)


_MESSAGE: Final = Tagged(
    key="role",
    cases={
        "user": _message(_USER_BLOCKS),
        "assistant": _message(_ASSISTANT_BLOCKS),
        "system": _message(_SYSTEM_BLOCKS, {"output_config": FREE, "clear_at": Text()}),
    },
)
TOOL: Final = obj(
    {"name": Text(pattern=r"[a-zA-Z0-9_-]{1,128}"), "input_schema": FREE},
    {
        **_CACHE,
        "type": words("custom"),
        "description": Text(),
        "strict": Bool(),
        "defer_loading": Bool(),
        "eager_input_streaming": Bool(null=True),
        "allowed_callers": Items(of=Text()),
        "input_examples": Items(of=FREE),
    },
)
BUILT_IN: Final = re.compile(
    r"(bash|text_editor|memory|computer|web_search|web_fetch|code_execution|advisor|browser_toolset|"
    r"computer_toolset)_\d{8}|tool_search_tool_(bm25|regex)(_\d{8})?|mcp_toolset"
)
_CHOICE: Final = Tagged(
    cases={
        "auto": obj({"type": Text()}, {"disable_parallel_tool_use": Bool()}),
        "any": obj({"type": Text()}, {"disable_parallel_tool_use": Bool()}),
        "tool": obj({"type": Text(), "name": Text()}, {"disable_parallel_tool_use": Bool()}),
        "none": obj({"type": Text()}),
    }
)
_DISPLAY: Final = {
    "display": words("summarized", "omitted", "updates", null=True),
    "block_binding": FREE,
}
_THINKING: Final = Tagged(
    cases={
        "adaptive": obj({"type": Text()}, _DISPLAY),
        "between_tools": obj({"type": Text()}, _DISPLAY),
        "disabled": obj({"type": Text()}),
        "enabled": obj({"type": Text(), "budget_tokens": Number(low=1024, whole=True)}, _DISPLAY),
    }
)
_OUTPUT: Final = Object(
    fields={
        "effort": words("low", "medium", "high", "xhigh", "max", null=True),
        "format": Object(
            fields={"type": words("json_schema"), "schema": FREE},
            required=("type", "schema"),
            null=True,
        ),
        "task_budget": FREE,
    },
    null=True,
)
_SYSTEM: Final = Either(of=(Text(), Items(of=Tagged(cases={"text": _TEXT}))))
COUNTED: Final[Mapping[str, Shape]] = {
    **_CACHE,
    "system": _SYSTEM,
    "tools": Items(of=FREE),
    "tool_choice": _CHOICE,
    "thinking": _THINKING,
    "output_config": _OUTPUT,
}
REQUIRED: Final = {"model": Text(shortest=1), "messages": Items(of=_MESSAGE, most=100_000)}
SAMPLING: Final[Mapping[str, Shape]] = {
    "temperature": Number(low=0, high=1),
    "top_p": Number(low=0, high=1),
    "top_k": Number(low=0, whole=True),
}
FIELDS: Final[Mapping[str, Shape]] = {
    **COUNTED,
    "stream": Bool(),
    "stop_sequences": Items(of=Text(pattern=r"(?s).*\S.*")),
    "metadata": Object(fields={"user_id": Text(null=True)}),
    "service_tier": words("auto", "standard_only"),
    "speed": words("standard", "fast", null=True),
    "container": Either(of=(Text(), FREE), null=True),
    "diagnostics": Object(open=True, null=True),
    "inference_geo": Text(null=True),
}
# A field of the beta surface is only known when a flag that begins so came along.
BETA_FIELDS: Final = {
    "context_management": ("context-management-", "compact-"),
    "compaction": ("compact-",),
    "mcp_servers": ("mcp-client-",),
    "fallbacks": ("server-side-fallback-",),
    "fallback_credit_token": ("fallback-credit-",),
    "billing_policy": ("user-profiles-billing-",),
    "thread": ("message-threads-",),
    "safeguards": ("dangerous-tool-use-",),
}
