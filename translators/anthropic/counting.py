"""`count_tokens`: the body for an upstream, and the answer in both directions.

Reference: https://platform.claude.com/docs/en/api/messages-count-tokens (read 2026-11-21)
"""

from __future__ import annotations

from typing import Final

from translators.wire import Json, JsonObject

_COUNTED: Final = (
    "system",
    "messages",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "mcp_servers",
    "cache_control",
)


def count_body(body: JsonObject, model: str, *, vertex: bool = False) -> JsonObject:
    """The body for `count_tokens` of a rendered request (pitfalls CNT-05).

    On Google Cloud the version stands in the body; the model does so everywhere, other than in a request.
    """
    head: JsonObject = {"model": model}
    if vertex and "anthropic_version" in body:
        head["anthropic_version"] = body["anthropic_version"]
    return head | {key: body[key] for key in _COUNTED if key in body}


def parse_count(body: Json) -> int | None:
    """The count in an upstream's answer, None when it names none."""
    count = body.get("input_tokens") if isinstance(body, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def render_count(tokens: int) -> JsonObject:
    """The answer for a client."""
    return {"input_tokens": tokens}
