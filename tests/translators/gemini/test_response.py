"""Whole answers, read and written."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.gemini.support import (
    EXAMPLES,
    SIGNATURE,
    answer,
    call,
    chunks,
    encode,
    parse_answer,
    render_answer,
    state,
    wire_answer,
    writing,
)
from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.fold import unfold
from translators.gemini import TRANSLATOR
from translators.losses import Action, Losses, Mode, Side


@pytest.mark.parametrize(
    "body", [pytest.param(b, id=f"{i}") for i, b in enumerate(EXAMPLES["response"])]
)
def test_the_examples_of_the_reference_survive_the_hub(body: dict[str, Any]) -> None:
    response = parse_answer(body)
    again = parse_answer(render_answer(response, how=writing(seal=None)))
    assert again.parts == response.parts
    assert again.finish_reason is response.finish_reason
    assert again.usage == response.usage or response.usage.web_searches


def test_thoughts_text_and_a_signed_call() -> None:
    response = parse_answer(EXAMPLES["response"][0])
    thoughts, text, silent, made = response.parts
    assert thoughts == ir.Reasoning(text="Check the weather.")
    assert text == ir.Text(text="Let me check.")
    assert silent == ir.Reasoning(state=state())
    assert made == call("fc_1", "get_weather", '{"city":"Oslo"}')
    assert response.finish_reason is ir.FinishReason.TOOL_CALLS


def test_use_04_thoughts_and_tool_input_are_counted_once() -> None:
    counts = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 20,
        "toolUsePromptTokenCount": 3,
        "totalTokenCount": 128,
    }
    usage = TRANSLATOR.usage({"usageMetadata": counts})
    assert usage == ir.Usage(
        input_tokens=103,
        output_tokens=25,
        cache_read_tokens=60,
        reasoning_tokens=20,
        tool_input_tokens=3,
    )
    assert render_answer(answer("a", usage=usage))["usageMetadata"] == counts


def test_the_worked_example_of_section_15() -> None:
    usage = ir.Usage(
        input_tokens=1200,
        output_tokens=90,
        cache_read_tokens=1024,
        cache_write_tokens=128,
        reasoning_tokens=64,
    )
    assert render_answer(answer("a", usage=usage))["usageMetadata"] == {
        "promptTokenCount": 1200,
        "cachedContentTokenCount": 1024,
        "candidatesTokenCount": 26,
        "thoughtsTokenCount": 64,
        "totalTokenCount": 1290,
    }


def test_usage_that_nobody_reported_stays_away() -> None:
    assert parse_answer(wire_answer({"text": "a"})).usage == ir.NO_USAGE
    assert "usageMetadata" not in render_answer(answer("a"))


def test_modalities_of_tokens() -> None:
    usage = ir.Usage(
        input_tokens=10,
        output_tokens=4,
        input_audio_tokens=3,
        input_image_tokens=2,
        output_audio_tokens=1,
    )
    body = render_answer(answer("a", usage=usage))
    assert TRANSLATOR.usage(body) == usage


def test_several_candidates_are_alternatives() -> None:
    body = wire_answer({"text": "one"})
    second = {"index": 1, "content": {"parts": [{"text": "two"}]}, "finishReason": "MAX_TOKENS"}
    body["candidates"].append(second)
    response = parse_answer(body)
    assert response.parts == (ir.Text(text="one"),)
    assert response.alternatives == (
        ir.Candidate(parts=(ir.Text(text="two"),), finish_reason=ir.FinishReason.LENGTH),
    )
    rendered = render_answer(response)["candidates"]
    assert [candidate["index"] for candidate in rendered] == [0, 1]
    assert rendered[1]["finishReason"] == "MAX_TOKENS"


def test_ref_03_a_blocked_prompt_has_a_reason() -> None:
    response = parse_answer(EXAMPLES["response"][1])
    assert response.finish_reason is ir.FinishReason.CONTENT_FILTER
    assert "PROHIBITED_CONTENT" in (response.explanation or "")
    assert response.parts == ()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"candidates": []}, id="no candidates"),
        pytest.param({"candidates": 3}, id="a number"),
        pytest.param({"candidates": [{"content": 3}]}, id="a strange content"),
        pytest.param({"candidates": [{"content": {"parts": [3]}}]}, id="a strange part"),
        pytest.param(wire_answer({"inlineData": {"data": "?"}}), id="damaged media"),
    ],
)
def test_an_answer_without_substance_is_an_error(body: dict[str, Any]) -> None:
    with pytest.raises(GatewayError) as caught:
        parse_answer(body)
    assert caught.value.kind is ErrorKind.UPSTREAM_MALFORMED


def test_err_12_an_error_under_status_200() -> None:
    with pytest.raises(GatewayError) as caught:
        parse_answer({"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}})
    assert caught.value.kind is ErrorKind.RATE_LIMITED


def test_a_candidate_without_content_is_an_empty_message() -> None:
    response = parse_answer({"candidates": [{"finishReason": "STOP"}]})
    assert (response.parts, response.finish_reason) == ((), ir.FinishReason.STOP)
    assert render_answer(response)["candidates"][0]["content"] == {"parts": [], "role": "model"}


def test_a_missing_finish_reason_of_a_whole_answer_is_recorded() -> None:
    losses = Losses(side=Side.RESPONSE)
    response = parse_answer({"candidates": [{"content": {"parts": [{"text": "a"}]}}]}, losses)
    assert response.finish_reason is ir.FinishReason.STOP
    assert losses.degradations


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", ir.FinishReason.STOP),
        ("MAX_TOKENS", ir.FinishReason.LENGTH),
        ("TOO_MANY_TOOL_CALLS", ir.FinishReason.LENGTH),
        ("CONTINUATION", ir.FinishReason.LENGTH),
        ("SAFETY", ir.FinishReason.CONTENT_FILTER),
        ("RECITATION", ir.FinishReason.CONTENT_FILTER),
        ("LANGUAGE", ir.FinishReason.CONTENT_FILTER),
        ("SPII", ir.FinishReason.CONTENT_FILTER),
        ("MODEL_ARMOR", ir.FinishReason.CONTENT_FILTER),
        ("IMAGE_SAFETY", ir.FinishReason.CONTENT_FILTER),
    ],
)
def test_finish_reasons(word: str, reason: ir.FinishReason) -> None:
    body = wire_answer({"text": "a"}, finishReason=word, finishMessage="because")
    response = parse_answer(body)
    assert (response.finish_reason, response.explanation) == (reason, "because")


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (ir.FinishReason.STOP, "STOP"),
        (ir.FinishReason.STOP_SEQUENCE, "STOP"),
        (ir.FinishReason.TOOL_CALLS, "STOP"),
        (ir.FinishReason.REFUSAL, "STOP"),
        (ir.FinishReason.LENGTH, "MAX_TOKENS"),
        (ir.FinishReason.CONTEXT_WINDOW, "MAX_TOKENS"),
        (ir.FinishReason.PAUSE, "MAX_TOKENS"),
        (ir.FinishReason.CONTENT_FILTER, "SAFETY"),
    ],
)
def test_finish_reasons_of_others(reason: ir.FinishReason, word: str) -> None:
    assert render_answer(answer("a", finish_reason=reason))["candidates"][0]["finishReason"] == word


def test_length_with_calls_stays_length() -> None:
    body = wire_answer({"functionCall": {"id": "c", "name": "f"}}, finishReason="MAX_TOKENS")
    assert parse_answer(body).finish_reason is ir.FinishReason.LENGTH


def test_an_answer_given_up_by_mode() -> None:
    body = wire_answer(finishReason="MALFORMED_FUNCTION_CALL", finishMessage="bad call")
    with pytest.raises(GatewayError) as caught:
        parse_answer(body, Losses(Mode.BALANCED, Side.RESPONSE))
    assert "bad call" in caught.value.message
    assert parse_answer(body).finish_reason is ir.FinishReason.STOP


def test_cit_02_grounding_becomes_citations_and_back() -> None:
    response = parse_answer(EXAMPLES["response"][2])
    (text,) = response.parts
    assert isinstance(text, ir.Text)
    (citation,) = text.citations
    assert isinstance(citation, ir.UrlCitation)
    assert (citation.url, citation.start, citation.end) == ("https://example.com", 0, 13)
    assert response.usage.web_searches == 1
    assert response.usage.tool_input_tokens == 300
    grounding = render_answer(response)["candidates"][0]["groundingMetadata"]
    assert grounding == {
        "groundingChunks": [{"web": {"uri": "https://example.com", "title": "T"}}],
        "groundingSupports": [
            {
                "segment": {"startIndex": 0, "endIndex": 13, "text": "Oslo is cold."},
                "groundingChunkIndices": [0],
            }
        ],
    }


def test_citations_of_others_get_byte_offsets() -> None:
    text = ir.Text(text="Grüße: kalt", citations=(ir.UrlCitation(url="u", start=7, end=11),))
    grounding = render_answer(answer(text))["candidates"][0]["groundingMetadata"]
    segment = grounding["groundingSupports"][0]["segment"]
    assert segment == {"startIndex": 9, "endIndex": 13, "text": "kalt"}


def test_citations_of_the_clients_documents_are_recorded_as_lost() -> None:
    losses = Losses(side=Side.RESPONSE)
    cited = ir.Text(text="a", citations=(ir.DocumentCitation(protocol="anthropic", wire={}),))
    assert "groundingMetadata" not in render_answer(answer(cited), losses)["candidates"][0]
    assert losses.degradations


def test_a_web_search_of_another_provider_shows_as_grounding() -> None:
    search = ir.WebSearch(
        call_id="s", query="oslo", sources=(ir.WebSource(url="https://e.com", title="E"),)
    )
    grounding = render_answer(answer(search, "a"))["candidates"][0]["groundingMetadata"]
    assert grounding["webSearchQueries"] == ["oslo"]
    assert grounding["groundingChunks"] == [{"web": {"uri": "https://e.com", "title": "E"}}]


def test_content_of_another_protocol_is_recorded_as_lost() -> None:
    rule = ir.ForeignRule(Action.REJECT, Action.WARN, Action.WARN)
    foreign = ir.Foreign(protocol="anthropic", type="x", wire={}, rule=rule)
    losses = Losses(side=Side.RESPONSE)
    render_answer(answer(foreign, "a"), losses)
    assert losses.degradations


def test_med_15_images_of_an_answer() -> None:
    body = wire_answer({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}})
    assert parse_answer(render_answer(parse_answer(body))).parts == parse_answer(body).parts


def test_logprobs_both_ways() -> None:
    top = (ir.TokenLogprob(token="a", logprob=-0.5, bytes=(97,)),)
    token = ir.TokenLogprob(token="a", logprob=-0.5, bytes=(97,), top=top)
    body = render_answer(answer("a", logprobs=(token,)))
    assert parse_answer(body).logprobs == (token,)


def test_vertex_says_when_and_at_what_tier() -> None:
    body = wire_answer({"text": "a"}) | {
        "createTime": "2026-11-21T00:00:00.5Z",
        "usageMetadata": {"promptTokenCount": 1, "trafficType": "ON_DEMAND_FLEX"},
    }
    response = parse_answer(body)
    assert (response.created_s, response.service_tier) == (1795219200, "flex")


def test_code_assist_wraps_the_answer() -> None:
    body = wire_answer({"text": "a"}) | {"usageMetadata": {"promptTokenCount": 1}}
    assert parse_answer({"response": body, "traceId": "t"}) == parse_answer(body)
    assert TRANSLATOR.usage({"response": body}) == TRANSLATOR.usage(body)


def test_signatures_of_separate_parts_stay_apart() -> None:
    response = parse_answer(
        wire_answer(
            {"text": "a", "thoughtSignature": SIGNATURE},
            {"functionCall": {"id": "c1", "name": "f", "args": {}}, "thoughtSignature": "b3RoZXI="},
        )
    )
    assert [type(part) for part in response.parts] == [
        ir.Reasoning,
        ir.Text,
        ir.Reasoning,
        ir.ToolCall,
    ]
    parts = render_answer(response)["candidates"][0]["content"]["parts"]
    assert [part["thoughtSignature"] for part in parts] == [SIGNATURE, "b3RoZXI="]


def test_the_id_is_not_the_upstreams_own_and_always_the_same() -> None:
    first, second = render_answer(answer("a")), render_answer(answer("b"))
    assert first["responseId"] == second["responseId"] != "up"
    assert chunks(encode(unfold(answer("a"))))[0]["responseId"] == first["responseId"]
    nameless = ir.Response(id="", model="m", parts=(), finish_reason=ir.FinishReason.STOP)
    assert render_answer(nameless, how=writing())["responseId"]
