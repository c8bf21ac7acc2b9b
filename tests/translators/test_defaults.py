"""A field that is null, empty or at its protocol's default is never a reason to refuse or to warn (section 1)."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.pitfalls import ALL, TEXTS, A, C, G, R, cross
from translators.losses import Mode

ABSENT: Final = {
    C: ("stop", "tools", "user", "seed", "reasoning_effort", "stream_options", "prompt_cache_key", "max_tokens",
        "logit_bias", "audio", "web_search_options", "prediction", "top_logprobs", "safety_identifier", "moderation",
        "functions", "function_call", "service_tier", "metadata", "temperature", "tool_choice", "response_format"),
    R: ("instructions", "previous_response_id", "conversation", "prompt", "max_tool_calls", "reasoning", "user",
        "prompt_cache_key", "prompt_cache_options", "stream_options", "context_management", "include", "moderation",
        "max_output_tokens", "truncation", "text", "background", "metadata", "store", "tools", "tool_choice"),
    A: ("thinking", "output_config", "context_management", "container", "cache_control", "inference_geo", "top_k",
        "diagnostics", "fallbacks", "metadata", "mcp_servers", "system", "speed", "service_tier", "temperature"),
    G: ("systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent", "labels",
        "serviceTier", "store", "modelArmorConfig", "continuationToken"),
}  # fmt: skip
"""Fields that may be null."""

DEFAULTS: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    C: (
        {"n": 1}, {"logprobs": False}, {"tool_choice": "auto"}, {"temperature": 1}, {"top_p": 1}, {"store": False},
        {"stream": False}, {"presence_penalty": 0}, {"frequency_penalty": 0}, {"parallel_tool_calls": True},
        {"response_format": {"type": "text"}}, {"service_tier": "auto"}, {"verbosity": "medium"}, {"tools": []},
        {"modalities": ["text"]}, {"logit_bias": {}}, {"metadata": {}}, {"top_logprobs": 0},
        {"stream_options": {"include_obfuscation": False}}, {"stop": []},
    ),
    R: (
        {"temperature": 1}, {"top_p": 1}, {"tool_choice": "auto"}, {"parallel_tool_calls": True}, {"tools": []},
        {"truncation": "disabled"}, {"background": False}, {"store": False}, {"text": {"format": {"type": "text"}}},
        {"text": {"verbosity": "medium"}}, {"service_tier": "auto"}, {"metadata": {}}, {"include": []},
        {"reasoning": {}}, {"reasoning": {"effort": None, "summary": None}}, {"top_logprobs": 0},
        {"include": ["reasoning.encrypted_content"]},
    ),
    A: (
        {"temperature": 1}, {"top_p": 1}, {"tool_choice": {"type": "auto"}}, {"stop_sequences": []}, {"tools": []},
        {"service_tier": "auto"}, {"metadata": {}}, {"system": ""}, {"system": []}, {"output_config": {}},
        {"mcp_servers": []}, {"speed": "standard"}, {"inference_geo": "global"}, {"stream": False},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": False}},
    ),
    G: (
        {"generationConfig": {"temperature": 1}}, {"generationConfig": {"topP": 1}}, {"labels": {}}, {"tools": []},
        {"generationConfig": {"candidateCount": 1}}, {"generationConfig": {"stopSequences": []}},
        {"generationConfig": {"responseMimeType": "text/plain"}}, {"generationConfig": {"presencePenalty": 0}},
        {"generationConfig": {"responseModalities": ["TEXT"]}}, {"generationConfig": {"responseLogprobs": False}},
        {"generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_UNSPECIFIED"}}, {"safetySettings": []},
        {"generationConfig": {"thinkingConfig": {}}}, {"generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}},
        {"generationConfig": {"thinkingConfig": {"includeThoughts": False}}}, {"toolConfig": {}}, {"store": False},
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}}},
        {"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}}, {"cachedContent": ""},
        {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "HARM_BLOCK_THRESHOLD_UNSPECIFIED"}]},
    ),
}  # fmt: skip

ROWS: Final = [
    pytest.param(client, more, id=f"{client} {more}")
    for client in ALL
    for more in (*({name: None} for name in ABSENT[client]), *DEFAULTS[client])
]


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize(("client", "more"), ROWS)
def test_a_default_says_nothing_even_in_strict(
    client: str, more: dict[str, Any], upstream: str
) -> None:
    plain = cross(client, upstream, TEXTS[client], mode=Mode.STRICT)
    crossed = cross(client, upstream, {**TEXTS[client], **more}, mode=Mode.STRICT)
    assert crossed.losses == plain.losses == ()
