"""The response object that a client sees: the echo of its request around status, output and usage.

Every snapshot of one answer (created, in progress, terminal, unary) is built here.
Reference: https://platform.openai.com/docs/api-reference/responses/object (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators import ir
from translators.base import Writing
from translators.ids import response_id
from translators.wire import Json, JsonObject

_ECHOED: Final[Mapping[str, Json]] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""Request fields that are repeated in the answer, with the value that stands for "not given"."""

_TIERS: Final[Mapping[str, str]] = {
    "standard": "default",
    "standard_only": "default",
    "batch": "default",
    "priority": "priority",
    "flex": "flex",
    "auto": "auto",
    "default": "default",
    "scale": "scale",
    "fast": "fast",
    "ultrafast": "ultrafast",
    "on_demand": "default",
    "on_demand_priority": "priority",
    "on_demand_flex": "flex",
}
"""Any protocol's word for a service tier -> this one's (section 2.3)."""

_TOOL_TYPES: Final = frozenset(
    {
        "function",
        "custom",
        "namespace",
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
        "file_search",
        "code_interpreter",
        "image_generation",
        "computer",
        "computer_use_preview",
        "mcp",
        "local_shell",
        "shell",
        "apply_patch",
        "tool_search",
        "programmatic_tool_calling",
    }
)
"""Tools that typed clients can read back; others are not echoed."""


def service_tier(word: str | None) -> str | None:
    """This protocol's word for a tier; None for an unknown one."""
    return None if word is None else _TIERS.get(word.lower())


class Snapshots:
    """Build the response objects of one answer."""

    def __init__(
        self,
        writing: Writing,
        upstream_id: str,
        created_s: int | None,
        tier: str | None = None,
    ) -> None:
        fallback = f"{writing.model}\0{writing.now_s}"
        self.id = response_id("resp_", upstream_id, fallback=fallback, hex_digits=48)
        self.tier = tier
        raw = writing.raw
        self._head: JsonObject = {
            "id": self.id,
            "object": "response",
            "created_at": created_s if created_s is not None else writing.now_s,
        }
        self._echo: JsonObject = {"model": writing.model}
        for key, default in _ECHOED.items():
            value = raw.get(key)
            self._echo[key] = default if value is None else value
        self._echo["background"] = False  # whatever was asked: it ran in the foreground
        self._echo["reasoning"] = raw.get("reasoning") or {"effort": None, "summary": None}
        self._echo["store"] = writing.stored
        self._echo["text"] = _text(raw.get("text"))
        self._echo["tools"] = _tools(raw.get("tools"))

    def build(
        self,
        status: str,
        output: list[JsonObject],
        *,
        usage: ir.Usage = ir.NO_USAGE,
        error: JsonObject | None = None,
        incomplete: str | None = None,
        completed_s: int | None = None,
        tier: str | None = None,
    ) -> JsonObject:
        """The object in one status; `incomplete` is the reason of an incomplete one."""
        snapshot: JsonObject = {
            **self._head,
            "status": status,
            "completed_at": completed_s,
            "error": error,
            "incomplete_details": {"reason": incomplete} if incomplete else None,
            **self._echo,
            "service_tier": service_tier(tier or self.tier),
            "output": output,
            "usage": render_usage(usage),
        }
        if usage.web_searches:
            snapshot["tool_usage"] = _tool_usage(usage.web_searches)
        return snapshot


def _text(value: Json) -> JsonObject:
    text = dict(value) if isinstance(value, dict) else {}
    if not text.get("format"):
        text["format"] = {"type": "text"}
    return text


def _tools(value: Json) -> list[JsonObject]:
    tools: list[JsonObject] = []
    for tool in value if isinstance(value, list) else []:
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind not in _TOOL_TYPES:
            continue
        if kind == "function":
            tool = {"parameters": None, "strict": None, **tool}
        elif kind == "namespace":
            tool = {"description": "", **tool}
        tools.append(tool)
    return tools


def _tool_usage(searches: int) -> JsonObject:
    return {
        "image_gen": {
            "input_tokens": 0,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
            "output_tokens": 0,
            "total_tokens": 0,
        },
        "web_search": {"num_requests": searches},
    }


# ------------------------------------------------------------------------------------------ usage


def render_usage(usage: ir.Usage) -> JsonObject | None:
    """Null when nothing was reported; otherwise all details are there, 0 by default (pitfalls USE-06)."""
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    inputs, outputs = usage.input_tokens or 0, usage.output_tokens or 0
    written, longest = usage.cache_write_tokens or 0, usage.cache_write_longest_tokens
    details: JsonObject = {
        "cached_tokens": usage.cache_read_tokens or 0,
        "cache_write_tokens": written,
    }
    if longest is not None:
        shorter = max(0, written - longest)
        details["cache_write_tokens_details"] = {
            "ttl_30m_tokens": shorter,
            "ttl_12h_tokens": longest,
        }
    return {
        "input_tokens": inputs,
        "input_tokens_details": details,
        "output_tokens": outputs,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": inputs + outputs,
    }


def parse_usage(response: Json) -> ir.Usage:
    """The counts in a response object; what is missing or no number stays None."""
    if not isinstance(response, dict):
        return ir.NO_USAGE
    usage = _object(response.get("usage"))
    tool_usage = _object(response.get("tool_usage"))
    if not usage and not tool_usage:
        return ir.NO_USAGE
    inputs = _object(usage.get("input_tokens_details"))
    outputs = _object(usage.get("output_tokens_details"))
    split = _object(inputs.get("cache_write_tokens_details"))
    longest = _count(split.get("ttl_12h_tokens"))
    return ir.Usage(
        input_tokens=_count(usage.get("input_tokens")),
        output_tokens=_count(usage.get("output_tokens")),
        cache_read_tokens=_count(inputs.get("cached_tokens")),
        cache_write_tokens=_count(inputs.get("cache_write_tokens")),
        cache_write_long_tokens=longest,
        cache_write_longest_tokens=longest,
        reasoning_tokens=_count(outputs.get("reasoning_tokens")),
        web_searches=_count(_object(tool_usage.get("web_search")).get("num_requests")),
    )


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _count(value: Json) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value)
