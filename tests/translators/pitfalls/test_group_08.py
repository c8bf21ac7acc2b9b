"""Pitfalls, group 8: counts of tokens, and how each protocol counts them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.crossfire import ALL, A, C, G, R, chat, claude, gemini, sse, told, whole
from translators import PROTOCOLS, ir

CHAT_USAGE = {
    "prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105,
    "prompt_tokens_details": {"cached_tokens": 60},
}  # fmt: skip
RESPONSES_USAGE = {
    "input_tokens": 100, "output_tokens": 5, "total_tokens": 105,
    "input_tokens_details": {"cached_tokens": 60},
}  # fmt: skip
CLAUDE_USAGE = {
    "input_tokens": 40, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10,
    "output_tokens": 9,
}  # fmt: skip
GEMINI_USAGE = {
    "promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 5,
    "thoughtsTokenCount": 20, "toolUsePromptTokenCount": 3, "totalTokenCount": 128,
}  # fmt: skip


def answer_of(upstream: str, usage: Any) -> dict[str, Any]:
    match upstream:
        case "openai_chat":
            choice = {"message": {"content": "Hi"}, "finish_reason": "stop"}
            return {"id": "c", "model": "m", "choices": [choice], "usage": usage}
        case "openai_responses":
            return {"id": "r", "model": "m", "status": "completed", "output": [], "usage": usage}
        case "anthropic":
            content = [{"type": "text", "text": "Hi"}]
            return {
                "id": "msg", "type": "message", "role": "assistant", "model": "m", "content": content,
                "stop_reason": "end_turn", "usage": usage,
            }  # fmt: skip
        case _:
            return gemini({"text": "Hi"}, finish="STOP", usageMetadata=usage)


@pytest.mark.parametrize(("upstream", "usage"), [(C, CHAT_USAGE), (R, RESPONSES_USAGE)])
def test_use_01_anthropic_counts_without_the_cache(upstream: str, usage: Any) -> None:
    found = whole(upstream, A, answer_of(upstream, usage))["usage"]
    assert (found["input_tokens"], found["cache_read_input_tokens"]) == (40, 60)
    written = found.get("cache_creation_input_tokens") or 0
    assert found["input_tokens"] + found["cache_read_input_tokens"] + written == 100


def test_use_01_in_a_stream() -> None:
    frames = told(
        C, A, sse(chat({"content": "x"}), chat({}, "stop", usage=CHAT_USAGE), "[DONE]")
    ).frames
    usage = frames[-2]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (40, 60)


def test_use_02_openai_counts_with_the_cache() -> None:
    usage = whole(A, C, answer_of(A, CLAUDE_USAGE))["usage"]
    assert (usage["prompt_tokens"], usage["total_tokens"]) == (110, 119)
    details = usage["prompt_tokens_details"]
    assert (details["cached_tokens"], details["cache_write_tokens"]) == (60, 10)
    usage = whole(A, R, answer_of(A, CLAUDE_USAGE))["usage"]
    assert (usage["input_tokens"], usage["total_tokens"]) == (110, 119)
    assert usage["input_tokens_details"]["cached_tokens"] == 60
    assert usage["input_tokens_details"]["cache_write_tokens"] == 10


def test_use_03_a_second_pass_changes_nothing() -> None:
    once = whole(A, A, answer_of(A, CLAUDE_USAGE))
    assert PROTOCOLS[A].usage(once) == PROTOCOLS[A].usage(answer_of(A, CLAUDE_USAGE))
    assert PROTOCOLS[A].usage(whole(A, A, once)).input_tokens == 110
    assert once["usage"]["input_tokens"] == 40


def test_use_04_geminis_thoughts_are_output() -> None:
    """mapping.md section 15 counts `toolUsePromptTokenCount` as input: 43 uncached, where the row says 40."""
    usage = whole(G, A, answer_of(G, GEMINI_USAGE))["usage"]
    assert (usage["output_tokens"], usage["cache_read_input_tokens"]) == (25, 60)
    assert usage["input_tokens"] == 43
    assert usage["output_tokens_details"]["thinking_tokens"] == 20
    usage = whole(G, C, answer_of(G, GEMINI_USAGE))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (103, 25)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 20
    assert usage["total_tokens"] == 128


@pytest.mark.parametrize("upstream", [C, A, G])
def test_use_06_codex_needs_both_details(upstream: str) -> None:
    plain = {C: {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
             A: {"input_tokens": 1, "output_tokens": 1},
             G: {"promptTokenCount": 1, "candidatesTokenCount": 1}}[upstream]  # fmt: skip
    usage = whole(upstream, R, answer_of(upstream, plain))["usage"]
    assert usage["input_tokens_details"]["cached_tokens"] == 0
    assert usage["output_tokens_details"]["reasoning_tokens"] == 0


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize(
    "early", [None, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}]
)
def test_use_07_placeholders_are_not_the_count(client: str, early: Any) -> None:
    data = sse(
        chat({"content": "Hi"}, usage=early),
        chat({}, "stop", usage=early),
        chat(usage=CHAT_USAGE) | {"choices": []},
        "[DONE]",
    )
    usage = told(C, client, data).answer.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (100, 5, 60)


def test_use_09_an_estimate_first_and_all_counts_last() -> None:
    data = sse(
        chat({"content": "x"}), chat({}, "stop"), chat(usage=CHAT_USAGE) | {"choices": []}, "[DONE]"
    )
    frames = told(C, A, data, input_tokens_estimate=77).frames
    assert frames[0]["message"]["usage"]["input_tokens"] == 77
    usage = frames[-2]["usage"]
    assert usage["input_tokens"] == 40
    assert usage["cache_read_input_tokens"] == 60
    assert usage["output_tokens"] == 5


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param(
            {"prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40}, id="DeepSeek"
        ),
        pytest.param({"cached_tokens": 60}, id="Moonshot"),
        pytest.param({"prompt_tokens_details": {"cached_tokens": 60}}, id="OpenAI"),
    ],
)
def test_use_10_cache_hits_by_any_name(usage: Any) -> None:
    body = answer_of(C, {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105} | usage)
    assert whole(C, A, body)["usage"]["cache_read_input_tokens"] == 60


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda u: {"usageMetadata": u}, id="camel"),
        pytest.param(
            lambda u: {"usage_metadata": {"prompt_token_count": 100, "candidates_token_count": 5}},
            id="snake",
        ),
    ],
)
def test_use_11_geminis_counts_wherever_they_are(wrap: Any) -> None:
    usage = {"promptTokenCount": 100, "candidatesTokenCount": 5}
    chunks = [gemini({"text": "Hi"}), gemini({"text": ""}, finish="STOP", **wrap(usage))]
    for data in (sse(*chunks), sse(*({"response": chunk} for chunk in chunks))):
        found = told(G, A, data).answer.usage
        assert (found.input_tokens, found.output_tokens) == (100, 5)


def test_use_12_the_two_prices_of_cache_writes_stay_apart() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 30,
             "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}}  # fmt: skip
    found = PROTOCOLS[A].usage(answer_of(A, usage))
    assert (found.cache_write_tokens, found.cache_write_long_tokens) == (30, 20)
    split = whole(A, A, answer_of(A, usage))["usage"]["cache_creation"]
    assert split == {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}
    told = whole(A, R, answer_of(A, usage))["usage"]["input_tokens_details"]
    assert told["cache_write_tokens_details"] == {"ttl_30m_tokens": 30, "ttl_12h_tokens": 0}


def test_use_12_half_a_day_is_an_hour_elsewhere() -> None:
    split = {"ttl_30m_tokens": 10, "ttl_12h_tokens": 20}
    details = {"cached_tokens": 0, "cache_write_tokens": 30, "cache_write_tokens_details": split}
    usage = {"input_tokens": 40, "output_tokens": 1, "input_tokens_details": details,
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 41}  # fmt: skip
    answer = answer_of(R, usage)
    assert whole(R, R, answer)["usage"]["input_tokens_details"] == details
    assert whole(R, A, answer)["usage"]["cache_creation"] == {
        "ephemeral_5m_input_tokens": 10,
        "ephemeral_1h_input_tokens": 20,
    }
    assert "cache_write_tokens_details" not in str(
        whole(G, R, answer_of(G, {"promptTokenCount": 1}))
    )


def test_use_16_null_counts_are_not_reported() -> None:
    body = answer_of(C, {"prompt_tokens": None, "completion_tokens": 5, "total_tokens": None})
    usage = whole(C, A, body)["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (0, 5)
    assert PROTOCOLS[C].usage(body).input_tokens is None


@pytest.mark.parametrize("client", ALL)
def test_use_conservation_over_every_direction(client: str) -> None:
    """Invariant 6: input and output are the same on both sides, whatever they are called."""
    for upstream, usage in (
        (C, CHAT_USAGE), (R, RESPONSES_USAGE), (A, CLAUDE_USAGE), (G, GEMINI_USAGE)
    ):  # fmt: skip
        before = PROTOCOLS[upstream].usage(answer_of(upstream, usage))
        after = PROTOCOLS[client].usage(whole(upstream, client, answer_of(upstream, usage)))
        assert (after.input_tokens, after.output_tokens) == (
            before.input_tokens, before.output_tokens
        )  # fmt: skip
        assert after.cache_read_tokens == before.cache_read_tokens
    assert told(A, client, claude()).answer.usage != ir.NO_USAGE
