"""Pitfalls, group 21: sampling and limit parameters."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.pitfalls import TEXTS, A, C, G, R, cross
from translators.errors import ErrorKind, GatewayError
from translators.losses import Mode
from translators.profile import SamplingSupport


@pytest.mark.parametrize("client", [R, A, G])
def test_par_01_the_name_of_the_limit_is_the_upstreams(client: str) -> None:
    asked = {
        R: {"input": "Hi", "max_output_tokens": 99},
        A: {**TEXTS[A], "max_tokens": 99},
        G: {**TEXTS[G], "generationConfig": {"maxOutputTokens": 99}},
    }[client]
    new, old = "max_completion_tokens", "max_tokens"
    body = cross(client, C, asked).body
    assert (body.get(new), body.get(old)) == (99, None)
    body = cross(client, C, asked, max_tokens_field=old).body
    assert (body.get(new), body.get(old)) == (None, 99)


@pytest.mark.parametrize("client", [C, R, G])
def test_par_02_anthropic_always_gets_a_limit(client: str) -> None:
    assert cross(client, A, TEXTS[client]).body["max_tokens"] == 32000
    assert cross(client, A, TEXTS[client], max_output_tokens=8192).body["max_tokens"] == 8192


@pytest.mark.parametrize(
    ("upstream", "place"),
    [(C, "max_completion_tokens"), (R, "max_output_tokens"), (A, "max_tokens")],
)
def test_par_04_a_limit_above_the_models_is_lowered_and_told(upstream: str, place: str) -> None:
    asked = {**TEXTS[A], "max_tokens": 64000}
    crossed = cross(A, upstream, asked, max_output_tokens=8192)
    assert crossed.body[place] == 8192
    assert "max_tokens" in crossed.lost
    crossed = cross(A, upstream, {**TEXTS[A], "max_tokens": 100}, max_output_tokens=8192)
    assert crossed.body[place] == 100, "never upwards"


def test_par_05_a_tiny_limit_is_raised_where_a_minimum_is_known() -> None:
    crossed = cross(C, R, {**TEXTS[C], "max_completion_tokens": 1})
    assert crossed.body["max_output_tokens"] == 16
    assert crossed.lost
    assert cross(R, A, {"input": "Hi", "max_output_tokens": 16}).body["max_tokens"] == 16


def test_par_06_more_stops_than_chat_takes_are_cut_by_the_gateway() -> None:
    stops = ["a", "b", "c", "d", "e"]
    crossed = cross(A, C, {**TEXTS[A], "stop_sequences": stops}, stop_limit=4)
    sent = crossed.body.get("stop", [])
    assert len(sent) <= 4
    assert set(sent) | set(crossed.reading.cut_at) == set(stops)


@pytest.mark.parametrize("upstream", [C, A, G])
def test_par_07_one_stop_is_a_list_and_none_is_nothing(upstream: str) -> None:
    one = cross(C, upstream, {**TEXTS[C], "stop": "X"})
    place = {C: "stop", A: "stop_sequences", G: "stopSequences"}[upstream]
    found = one.body["generationConfig"] if upstream == G else one.body
    assert found[place] == ["X"]
    for nothing in (None, []):
        assert place not in cross(C, upstream, {**TEXTS[C], "stop": nothing}).text


def test_par_07_a_blank_stop_never_reaches_anthropic() -> None:
    crossed = cross(C, A, {**TEXTS[C], "stop": ["\n", "X"]})
    assert crossed.body["stop_sequences"] == ["X"]
    assert "\n" in crossed.reading.cut_at or crossed.lost


@pytest.mark.parametrize("client", [C, R, G])
def test_par_08_temperature_is_clamped_for_anthropic(client: str) -> None:
    asked = {**TEXTS[client], "temperature": 1.5}
    if client == G:
        asked = {**TEXTS[G], "generationConfig": {"temperature": 1.5}}
    crossed = cross(client, A, asked, max_temperature=1.0, anthropic_version="2023-06-01")
    assert crossed.body.get("temperature", 1) == 1
    assert "temperature" in crossed.lost
    assert "temperature" not in cross(client, A, asked, sampling=SamplingSupport.NONE).body


@pytest.mark.parametrize("upstream", [C, R, G])
@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        pytest.param("top_k", 5, True, id="top_k"),
        pytest.param("context_management", {"edits": []}, False, id="context_management"),
        pytest.param("inference_geo", "us", True, id="inference_geo"),
        pytest.param("diagnostics", {"previous_message_id": None}, False, id="diagnostics"),
        pytest.param("speed", "fast", False, id="speed"),
        pytest.param("container", "c1", True, id="container"),
        pytest.param(
            "mcp_servers",
            [{"type": "url", "url": "https://mcp.example", "name": "n"}],
            True,
            id="mcp_servers",
        ),
    ],
)
def test_par_09_anthropics_own_fields_do_not_reach_others(
    name: str, value: Any, told: bool, upstream: str
) -> None:
    """What changes no answer (a hint of caching, speed or diagnostics) goes without a word outside of `strict`."""
    crossed = cross(A, upstream, {**TEXTS[A], name: value})
    if (name, upstream) == ("top_k", G):
        assert crossed.body["generationConfig"]["topK"] == 5
        return
    for spelling in (name, "topK", "mcp.example"):
        assert spelling not in crossed.text
    assert not told or name in crossed.lost


@pytest.mark.parametrize("mode", list(Mode))
def test_par_10_several_answers(mode: Mode) -> None:
    body = cross(C, G, {**TEXTS[C], "n": 3}, mode=mode).body
    assert body["generationConfig"]["candidateCount"] == 3
    if mode is Mode.MAX_COMPAT:
        assert "n" in [loss.path for loss in cross(C, A, {**TEXTS[C], "n": 3}).losses]
    else:
        with pytest.raises(GatewayError) as caught:
            cross(C, A, {**TEXTS[C], "n": 3}, mode=mode)
        assert caught.value.kind is ErrorKind.UNTRANSLATABLE


TUNED: dict[str, Any] = {
    **TEXTS[C],
    "seed": 7,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.25,
    "logprobs": True,
    "top_logprobs": 2,
}


def test_par_11_gemini_takes_them() -> None:
    config = cross(C, G, TUNED).body["generationConfig"]
    assert config["seed"] == 7
    assert (config["frequencyPenalty"], config["presencePenalty"]) == (0.5, 0.25)
    assert (config["responseLogprobs"], config["logprobs"]) == (True, 2)


def test_par_11_anthropic_drops_them_with_a_word() -> None:
    crossed = cross(C, A, {**TUNED, "logit_bias": {"50": 1}})
    for name in ("seed", "frequency_penalty", "presence_penalty", "logprobs", "logit_bias"):
        assert name not in crossed.body
        assert name in crossed.lost


SESSION = "user_" + "0123456789abcdef" * 4 + "_account__session_1234567890ab"


@pytest.mark.parametrize("upstream", [C, R])
def test_par_12_long_user_ids_do_not_break_openai(upstream: str) -> None:
    crossed = cross(A, upstream, {**TEXTS[A], "metadata": {"user_id": SESSION}}, openai_extras=True)
    assert "user" not in crossed.body
    assert "metadata" not in crossed.body
    assert len(crossed.body.get("safety_identifier", "")) <= 128


def test_par_12_chats_metadata_does_not_reach_anthropic() -> None:
    crossed = cross(C, A, {**TEXTS[C], "metadata": {"team": "x"}})
    assert "team" not in crossed.text


@pytest.mark.parametrize("upstream", [C, R, A, G])
def test_par_13_null_is_nothing(upstream: str) -> None:
    names = ("temperature", "tools", "stop", "top_p", "tool_choice", "response_format", "seed")
    crossed = cross(C, upstream, {**TEXTS[C], **dict.fromkeys(names)})
    assert "null" not in crossed.text
    assert crossed.body == cross(C, upstream, TEXTS[C]).body


@pytest.mark.parametrize("client", [C, R, A, G])
def test_par_15_fields_of_the_future_are_dropped_with_a_word(client: str) -> None:
    upstream = A if client == C else C
    crossed = cross(client, upstream, {**TEXTS[client], "quantum_mode": {"on": True}})
    assert "quantum_mode" not in crossed.text
    assert "quantum_mode" in crossed.lost


def test_par_16_fields_of_responses_do_not_reach_chat() -> None:
    own = {
        "truncation": "auto",
        "max_tool_calls": 3,
        "stream": True,
        "stream_options": {"include_obfuscation": False},
    }
    crossed = cross(R, C, {"input": "Hi", **own}, stream=True)
    for name in ("truncation", "max_tool_calls", "include_obfuscation"):
        assert name not in crossed.text
    assert "truncation" in crossed.lost
    body = cross(C, R, {**TEXTS[C], "stream_options": {"include_usage": True}}, stream=True).body
    assert "include_usage" not in body.get("stream_options", {})


def test_par_17_geminis_own_fields_reach_gemini() -> None:
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    body = cross(
        G, G, {**TEXTS[G], "safetySettings": safety, "cachedContent": "cachedContents/a"}
    ).body
    assert body["safetySettings"] == safety
    assert body["cachedContent"] == "cachedContents/a"
