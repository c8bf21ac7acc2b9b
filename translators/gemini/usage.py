"""Token counts: `usageMetadata` against the hub's counters (portability rules, section 15).

Gemini counts thoughts beside the visible output, and hosted-tool input beside the prompt.
Reference: https://ai.google.dev/api/generate-content#UsageMetadata (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators import ir
from translators.gemini.spelling import camel_keys
from translators.wire import Json, JsonObject

_TIER_OF_TRAFFIC: Final[Mapping[str, str]] = {
    "ON_DEMAND": "default",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
}


def parse_usage(raw: Json, searches: int | None = None) -> ir.Usage:
    """The hub's counters; what is absent is not reported, unless the total tells it."""
    if not isinstance(raw, dict) or not raw:
        return ir.NO_USAGE if not searches else ir.Usage(web_searches=searches)
    counts = camel_keys(raw)
    prompt, tool = _count(counts, "promptTokenCount"), _count(counts, "toolUsePromptTokenCount")
    visible, thoughts = _count(counts, "candidatesTokenCount"), _count(counts, "thoughtsTokenCount")
    total = _count(counts, "totalTokenCount")
    given = _sum(prompt, tool)
    made = _sum(visible, thoughts)
    if made is None and given is not None and total is not None:
        made = max(0, total - given)  # zeros are left out on the wire
    return ir.Usage(
        input_tokens=given,
        output_tokens=made,
        cache_read_tokens=_count(counts, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        tool_input_tokens=tool,
        input_audio_tokens=_modality(counts.get("promptTokensDetails"), "AUDIO"),
        output_audio_tokens=_modality(counts.get("candidatesTokensDetails"), "AUDIO"),
        input_image_tokens=_modality(counts.get("promptTokensDetails"), "IMAGE"),
        input_text_tokens=_modality(counts.get("promptTokensDetails"), "TEXT"),
        output_text_tokens=_modality(counts.get("candidatesTokensDetails"), "TEXT"),
        web_searches=searches,
    )


def service_tier(raw: Json) -> str | None:
    """The tier that served the answer, in the words of C and R; None when not said (Vertex says it)."""
    return _TIER_OF_TRAFFIC.get(str(raw.get("trafficType"))) if isinstance(raw, dict) else None


def render_usage(usage: ir.Usage) -> JsonObject | None:
    """`usageMetadata`, None when nothing was reported."""
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    body: JsonObject = {}
    tool, thoughts = usage.tool_input_tokens, usage.reasoning_tokens
    if usage.input_tokens is not None:
        body["promptTokenCount"] = max(0, usage.input_tokens - (tool or 0))
    if usage.cache_read_tokens is not None:
        body["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.output_tokens is not None:
        body["candidatesTokenCount"] = max(0, usage.output_tokens - (thoughts or 0))
    if tool is not None:
        body["toolUsePromptTokenCount"] = tool
    if thoughts is not None:
        body["thoughtsTokenCount"] = thoughts
    body["totalTokenCount"] = (usage.input_tokens or 0) + (usage.output_tokens or 0)
    prompt = _details(
        TEXT=usage.input_text_tokens,
        AUDIO=usage.input_audio_tokens,
        IMAGE=usage.input_image_tokens,
    )
    if prompt:
        body["promptTokensDetails"] = prompt
    made = _details(TEXT=usage.output_text_tokens, AUDIO=usage.output_audio_tokens)
    if made:
        body["candidatesTokensDetails"] = made
    return body


def _details(**counts: int | None) -> list[JsonObject]:
    return [
        {"modality": modality, "tokenCount": count}
        for modality, count in counts.items()
        if count is not None
    ]


def _count(counts: JsonObject, key: str) -> int | None:
    """An int32 or int64 of protobuf JSON; what is no number is not reported."""
    value = counts.get(key)
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)


def _modality(details: Json, modality: str) -> int | None:
    if not isinstance(details, list):
        return None
    found = [
        _count(camel_keys(item), "tokenCount") or 0
        for item in details
        if isinstance(item, dict) and item.get("modality") == modality
    ]
    return sum(found) if found else None
