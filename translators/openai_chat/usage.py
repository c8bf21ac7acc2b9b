"""Token counts and service tiers of Chat Completions answers, read and written.

Here `prompt_tokens` includes cached tokens and `completion_tokens` includes reasoning, as in the hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators import ir
from translators.openai_chat.words import SERVICE_TIERS
from translators.wire import Json, JsonObject

_SPELLINGS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "input_tokens": (("prompt_tokens",), ("input_tokens",)),
    "output_tokens": (("completion_tokens",), ("output_tokens",)),
    "cache_read_tokens": (
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        ("prompt_cache_hit_tokens",),  # DeepSeek
        ("cached_tokens",),  # Moonshot
        ("cache_read_input_tokens",),
    ),
    "cache_write_tokens": (
        ("prompt_tokens_details", "cache_write_tokens"),
        ("prompt_tokens_details", "cache_creation_tokens"),
        ("input_tokens_details", "cache_write_tokens"),
        ("cache_creation_input_tokens",),
    ),
    "reasoning_tokens": (
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
        ("reasoning_tokens",),
    ),
    "input_audio_tokens": (("prompt_tokens_details", "audio_tokens"),),
    "output_audio_tokens": (("completion_tokens_details", "audio_tokens"),),
    "input_image_tokens": (("prompt_tokens_details", "image_tokens"),),
    "input_text_tokens": (("prompt_tokens_details", "text_tokens"),),
    "output_text_tokens": (("completion_tokens_details", "text_tokens"),),
    "web_searches": (("server_tool_use", "web_search_requests"),),
}
"""Where servers put each count, the documented place first (pitfalls USE-10)."""


def parse_usage(raw: Json) -> ir.Usage:
    """The counts of a `usage` object; all zero is what servers write before they know (USE-07): not reported."""
    if not isinstance(raw, dict):
        return ir.NO_USAGE
    counts = {name: _first(raw, places) for name, places in _SPELLINGS.items()}
    if not any(counts.values()):
        return ir.NO_USAGE
    return ir.Usage(**counts)


def _first(raw: JsonObject, places: tuple[tuple[str, ...], ...]) -> int | None:
    for place in places:
        value: Json = raw
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        count = whole_number(value)
        if count is not None and count >= 0:
            return count
    return None


def whole_number(value: Json) -> int | None:
    """An integer, also one that a server wrote as a float; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def find_usage(body: JsonObject) -> ir.Usage:
    """The counts of an answer or chunk, wherever the server put them (Groq: `x_groq`, Moonshot: the choice)."""
    for holder in _holders(body):
        usage = parse_usage(holder)
        if usage is not ir.NO_USAGE:
            return usage
    return ir.NO_USAGE


def _holders(body: JsonObject) -> list[Json]:
    holders = [body.get("usage")]
    groq = body.get("x_groq")
    if isinstance(groq, dict):
        holders.append(groq.get("usage"))
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        holders.append(choices[0].get("usage"))
    return holders


def render_usage(usage: ir.Usage) -> JsonObject | None:
    """The `usage` object, None when the upstream reported none."""
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    # The schema demands all three: a half that was not reported counts as nothing.
    prompt, completion = usage.input_tokens or 0, usage.output_tokens or 0
    wire: JsonObject = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    details = _known(
        cached_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        audio_tokens=usage.input_audio_tokens,
        text_tokens=usage.input_text_tokens,
        image_tokens=usage.input_image_tokens,
    )
    if details:
        wire["prompt_tokens_details"] = details
    details = _known(
        reasoning_tokens=usage.reasoning_tokens,
        audio_tokens=usage.output_audio_tokens,
        text_tokens=usage.output_text_tokens,
    )
    if details:
        wire["completion_tokens_details"] = details
    return wire


def _known(**counts: int | None) -> JsonObject:
    return {name: count for name, count in counts.items() if count is not None}


def parse_tier(value: Json) -> str | None:
    """The service tier that served an answer, None when not said."""
    return value if isinstance(value, str) and value else None


def render_tier(tier: str | None) -> JsonObject:
    """The `service_tier` field, or nothing where the word is not one of this protocol."""
    return {"service_tier": tier} if tier in SERVICE_TIERS else {}
