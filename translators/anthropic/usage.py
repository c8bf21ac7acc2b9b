"""Token counts between this protocol and the hub (portability rules, section 15).

`input_tokens` on the wire excludes both cache counts; the hub's includes them.
Reference: https://platform.claude.com/docs/en/api/messages (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators import ir
from translators.wire import Json, JsonObject

_TIERS_OUT: Final[Mapping[str, str]] = {
    "default": "standard",
    "standard": "standard",
    "priority": "priority",
    "batch": "batch",
}
TIERS_IN: Final[Mapping[str, str]] = {
    "standard": "default",
    "priority": "priority",
    "batch": "default",
}


def parse_usage(wire: Json) -> ir.Usage:
    """The counts of a `usage` object; anything that is no number is "not reported"."""
    if not isinstance(wire, dict):
        return ir.NO_USAGE
    fresh = _count(wire, "input_tokens")
    read = _count(wire, "cache_read_input_tokens")
    written = _count(wire, "cache_creation_input_tokens")
    hour = _count(wire.get("cache_creation"), "ephemeral_1h_input_tokens")
    reported = [count for count in (fresh, read, written) if count is not None]
    return ir.Usage(
        input_tokens=sum(reported) if reported else None,
        output_tokens=_count(wire, "output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_long_tokens=hour,
        cache_write_longest_tokens=None if hour is None else 0,
        reasoning_tokens=_count(wire.get("output_tokens_details"), "thinking_tokens"),
        web_searches=_count(wire.get("server_tool_use"), "web_search_requests"),
    )


def parse_tier(wire: Json) -> str | None:
    """The service tier in a `usage` object."""
    tier = wire.get("service_tier") if isinstance(wire, dict) else None
    return TIERS_IN.get(tier) if isinstance(tier, str) else None


def merge(earlier: JsonObject, later: Json) -> JsonObject:
    """The counts of a stream so far: later ones overwrite, absent and null ones keep what was there.

    A zero never overwrites a count: some servers repeat the fields that they do not know as 0 (pitfalls USE-07).
    """
    if not isinstance(later, dict):
        return earlier
    merged = dict(earlier)
    for key, value in later.items():
        old = merged.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            merged[key] = merge(old, value)
        elif value is not None and (value != 0 or not old):
            merged[key] = value
    return merged


def render_usage(usage: ir.Usage, tier: str | None = None) -> JsonObject:
    """A `usage` object; the required counts are 0 when nobody reported them."""
    read = usage.cache_read_tokens or 0
    written = usage.cache_write_tokens or 0
    wire: JsonObject = {
        "input_tokens": max(0, (usage.input_tokens or 0) - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.output_tokens or 0,
    }
    if usage.cache_write_long_tokens is not None:
        wire["cache_creation"] = {
            "ephemeral_5m_input_tokens": max(0, written - usage.cache_write_long_tokens),
            "ephemeral_1h_input_tokens": usage.cache_write_long_tokens,
        }
    if usage.reasoning_tokens is not None:
        wire["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.web_searches is not None:
        wire["server_tool_use"] = {
            "web_search_requests": usage.web_searches,
            "web_fetch_requests": 0,
        }
    if tier is not None and tier in _TIERS_OUT:
        wire["service_tier"] = _TIERS_OUT[tier]
    return wire


STREAM_KEYS: Final = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
)
"""What `message_delta.usage` may hold."""


def is_reported(usage: ir.Usage) -> bool:
    """Whether the counts that this protocol requires are known."""
    return usage.input_tokens is not None and usage.output_tokens is not None


def _count(wire: Json, key: str) -> int | None:
    value = wire.get(key) if isinstance(wire, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value)
