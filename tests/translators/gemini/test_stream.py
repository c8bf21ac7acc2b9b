"""Upstream streams: every example in both framings, split everywhere, cut everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.gemini.support import (
    EXAMPLES,
    READING,
    SIGNATURE,
    STREAMS,
    array,
    chunk,
    decode,
    parse_answer,
    sse,
    state,
)
from translators import ir
from translators.base import Reading
from translators.errors import ErrorKind, GatewayError
from translators.fold import Folder
from translators.gemini import TRANSLATOR
from translators.losses import Losses, Mode, Side

FRAMINGS = [pytest.param(sse, id="as SSE"), pytest.param(array, id="as a JSON array")]
ALL = [*STREAMS, *EXAMPLES["stream_error"]]
EACH_STREAM = pytest.mark.parametrize(
    "stream", [pytest.param(stream, id=f"example {i}") for i, stream in enumerate(ALL)]
)


def plain(events: list[ir.StreamEvent]) -> list[str]:
    """Events for comparison: errors have no equality of their own."""
    return [repr(event) for event in events]


def fold(events: list[ir.StreamEvent]) -> ir.Response:
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.response()


def failure(events: list[ir.StreamEvent]) -> GatewayError:
    last = events[-1]
    assert isinstance(last, ir.StreamFailed)
    return last.error


# ------------------------------------------------------------------------------------------- framing


@EACH_STREAM
@pytest.mark.parametrize("framing", FRAMINGS)
def test_any_split_gives_the_same_events(stream: list[Any], framing: Any) -> None:
    data = framing(stream)
    whole = plain(decode(data))
    assert plain(decode([data[i : i + 1] for i in range(len(data))])) == whole
    for at in range(1, len(data)):
        assert plain(decode([data[:at], data[at:]])) == whole


@EACH_STREAM
def test_both_framings_give_the_same_events(stream: list[Any]) -> None:
    assert plain(decode(sse(stream))) == plain(decode(array(stream)))
    assert plain(decode(sse(stream, b"\n\n"))) == plain(decode(sse(stream)))


@EACH_STREAM
@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_stream_cut_before_its_finish_reason_fails(stream: list[Any], framing: Any) -> None:
    for count in range(len(stream)):
        data = framing(stream[:count])
        ends = any(
            "finishReason" in candidate
            for item in stream[:count]
            for candidate in item.get("candidates", ())
        )
        events = decode(data[:-1] if framing is array else data)
        if ends:
            assert isinstance(events[-1], ir.Finish)
        else:
            assert failure(events).kind is ErrorKind.UPSTREAM_CUT


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_stream_cut_anywhere_never_looks_finished(framing: Any) -> None:
    data = framing(STREAMS[1])
    last = data.rindex(b"finishReason")
    for at in range(last):
        assert isinstance(decode(data[:at])[-1], ir.StreamFailed)


def test_what_breaks_after_the_finish_reason_takes_nothing_away() -> None:
    decoder = TRANSLATOR.decoder(READING, Losses(side=Side.RESPONSE))
    decoder.feed(sse(STREAMS[0]))
    events = decoder.close(GatewayError(ErrorKind.UNREACHABLE, "connection reset"))
    assert isinstance(events[-1], ir.Finish)


def test_a_transport_error_before_it_is_the_failure() -> None:
    decoder = TRANSLATOR.decoder(READING, Losses(side=Side.RESPONSE))
    decoder.feed(sse(STREAMS[0][:1]))
    events = decoder.close(GatewayError(ErrorKind.TIMEOUT, "no byte for 60 s"))
    assert failure(events).kind is ErrorKind.TIMEOUT


def test_bare_json_lines_in_sse_are_an_error_and_not_noise() -> None:
    bare = b'{\n  "error": {\n    "code": 503,\n    "message": "busy",\n    "status": "UNAVAILABLE"\n  }\n}\n'
    for tail in (bare, bare + b"\n"):
        error = failure(decode(sse([chunk({"text": "Par"})]) + tail))
        assert (error.kind, error.message) == (ErrorKind.OVERLOADED, "busy")


def test_an_error_in_an_array_is_unwrapped() -> None:
    error = failure(decode(b'[{"error":{"code":429,"message":"slow down","status":"X"}}]'))
    assert error.kind is ErrorKind.RATE_LIMITED


def test_comments_of_a_proxy_are_signs_of_life() -> None:
    events = decode(b": wait\n\n" + sse(STREAMS[0]))
    assert events[0] == ir.Ping()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"data: {oops\r\n\r\n", id="no JSON"),
        pytest.param(b"data: 7\r\n\r\n", id="no object"),
        pytest.param(b'data: {"candidates":7}\r\n\r\n', id="a number for candidates"),
        pytest.param(b'data: {"candidates":["x"]}\r\n\r\n', id="a string for a candidate"),
        pytest.param(b'[{"a":1} x', id="rubbish between elements"),
        pytest.param(b"[1,2]", id="an array of numbers"),
    ],
)
def test_an_unreadable_stream_fails(data: bytes) -> None:
    assert isinstance(decode(data)[-1], ir.StreamFailed)


def test_a_frame_over_the_limit_fails() -> None:
    from translators.gemini.stream import GeminiDecoder

    for data in (b"data: " + b"x" * 2000, b'[{"a":"' + b"x" * 2000):
        decoder = GeminiDecoder(READING, Losses(), max_frame_bytes=1000)
        events = decoder.feed(data)
        assert failure(events).code == "upstream_sse_frame_too_large"


# ------------------------------------------------------------------------------------------- content


def test_text_with_a_signature_on_the_empty_last_part() -> None:
    response = fold(decode(sse(STREAMS[0])))
    assert response.parts == (ir.Text(text="Hello"), ir.Reasoning(state=state()))
    assert response.usage == ir.Usage(input_tokens=9, output_tokens=32, reasoning_tokens=30)
    assert (response.id, response.model) == ("r1", "gemini-3.8-flash")


def test_a_call_is_start_one_delta_and_end() -> None:
    events = decode(sse(STREAMS[1]))
    start = next(
        i
        for i, e in enumerate(events)
        if isinstance(e, ir.PartStart) and isinstance(e.part, ir.ToolCall)
    )
    assert events[start + 1] == ir.PartDelta(2, '{"city":"Oslo"}')
    assert events[start + 2] == ir.PartEnd(index=2)


def test_parallel_calls_keep_the_signature_on_the_first() -> None:
    response = fold(decode(sse(STREAMS[2])))
    kinds = [type(part) for part in response.parts]
    assert kinds == [ir.Reasoning, ir.ToolCall, ir.ToolCall]
    assert response.finish_reason is ir.FinishReason.TOOL_CALLS


def test_thoughts_take_the_signature_of_the_part_after_them() -> None:
    response = fold(decode(sse(STREAMS[3])))
    thoughts = "**Plan**\n\nCheck the weather."
    assert response.parts[0] == ir.Reasoning(text=thoughts, state=state())
    assert isinstance(response.parts[1], ir.ToolCall)
    assert response.parts[1].arguments == "{}"


def test_streamed_arguments_are_put_together() -> None:
    response = fold(decode(sse(STREAMS[4])))
    assert isinstance(response.parts[0], ir.ToolCall)
    assert response.parts[0].arguments == '{"city":"Oslo"}'
    assert response.parts[0].complete


def test_streamed_arguments_cut_by_the_limit_are_marked() -> None:
    cut = [*STREAMS[4][:2], chunk(finishReason="MAX_TOKENS")]
    response = fold(decode(sse(cut)))
    assert isinstance(response.parts[0], ir.ToolCall)
    assert not response.parts[0].complete
    assert response.finish_reason is ir.FinishReason.LENGTH


def test_streamed_arguments_that_never_end_are_a_failure() -> None:
    cut = [*STREAMS[4][:2], chunk(finishReason="STOP")]
    assert failure(decode(sse(cut))).kind is ErrorKind.UPSTREAM_MALFORMED


def test_a_filter_after_some_text() -> None:
    response = fold(decode(sse(STREAMS[5])))
    assert response.parts == (ir.Text(text="Partial"),)
    assert response.finish_reason is ir.FinishReason.CONTENT_FILTER


def test_ref_03_a_blocked_prompt_says_why() -> None:
    response = fold(decode(sse(STREAMS[6])))
    assert response.parts == ()
    assert response.finish_reason is ir.FinishReason.CONTENT_FILTER
    assert "PROHIBITED_CONTENT" in (response.explanation or "")
    assert response.usage.input_tokens == 20


def test_rsn_29_a_thought_is_no_visible_text() -> None:
    events = decode(sse([chunk({"text": "hm", "thought": True}), chunk(finishReason="STOP")]))
    assert isinstance(events[1], ir.PartStart)
    assert isinstance(events[1].part, ir.Reasoning)


def test_str_40_text_and_finish_reason_together_and_the_last_usage_counts() -> None:
    last = chunk({"text": "b"}, finishReason="STOP") | {"usageMetadata": {"promptTokenCount": 5}}
    late = {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2}}
    first = chunk({"text": "a"}) | {"usageMetadata": {"promptTokenCount": 5}}
    response = fold(decode(sse([first, last, late, late])))
    assert response.parts == (ir.Text(text="ab"),)
    assert (response.usage.input_tokens, response.usage.output_tokens) == (5, 2)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param({"usage_metadata": {"prompt_token_count": 7}}, id="snake_case"),
        pytest.param(
            {"response": {"usageMetadata": {"promptTokenCount": 7}}}, id="in the envelope"
        ),
        pytest.param({"usageMetadata": {"promptTokenCount": "7"}}, id="as an int64 string"),
    ],
)
def test_use_11_usage_is_found_in_any_spelling(item: dict[str, Any]) -> None:
    events = decode(sse([chunk({"text": "a"}), chunk(finishReason="STOP"), item]))
    assert isinstance(events[-1], ir.Finish)
    assert events[-1].usage.input_tokens == 7


def test_the_envelope_of_code_assist_is_taken_off() -> None:
    wrapped = [{"response": item, "traceId": "t"} for item in STREAMS[1]]
    assert plain(decode(sse(wrapped))) == plain(decode(sse(STREAMS[1])))


def test_snake_case_content_is_read() -> None:
    item = chunk({"function_call": {"name": "f", "args": {}}, "thought_signature": SIGNATURE})
    item["candidates"][0]["finish_reason"] = "STOP"
    response = fold(decode(sse([item])))
    assert response.parts[0] == ir.Reasoning(state=state())


def test_calls_without_ids_get_ones_from_the_answer_and_their_place() -> None:
    item = chunk(
        {"functionCall": {"name": "f", "args": {}}},
        {"functionCall": {"name": "f", "args": {}}},
        finishReason="STOP",
    )
    ids = [part.call_id for part in fold(decode(sse([item]))).parts]  # type: ignore[union-attr]
    assert len(set(ids)) == 2
    assert all(call_id.startswith("call_") for call_id in ids)
    assert [part.call_id for part in parse_answer(item).parts] == ids  # type: ignore[union-attr]
    other = {**item, "responseId": "another"}
    assert [part.call_id for part in parse_answer(other).parts] != ids  # type: ignore[union-attr]


def test_doubled_ids_are_told_apart() -> None:
    same = {"functionCall": {"id": "x", "name": "f", "args": {}}}
    response = parse_answer(chunk(same, same, finishReason="STOP"))
    assert [part.call_id for part in response.parts] == ["x", "x_2"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("part", "kinds"),
    [
        pytest.param({"text": "", "functionCall": {"name": "f"}}, [ir.ToolCall], id="empty text"),
        pytest.param(
            {"text": "a", "functionCall": {"name": "f"}}, [ir.Text, ir.ToolCall], id="text"
        ),
        pytest.param(
            {"thought": True, "functionCall": {"name": "f"}}, [ir.ToolCall], id="a thought"
        ),
        pytest.param({"thoughtSignature": SIGNATURE}, [ir.Reasoning], id="a signature alone"),
        pytest.param({"thought": False, "text": "a"}, [ir.Text], id="no thought"),
        pytest.param({}, [], id="nothing"),
    ],
)
def test_odd_mixes_in_one_part_lose_nothing(part: dict[str, Any], kinds: list[type]) -> None:
    response = parse_answer(chunk(part, {"text": "."}, finishReason="STOP"))
    assert [type(found) for found in response.parts][: len(kinds)] == kinds


def test_stop_10_a_call_without_a_name_is_a_failure() -> None:
    item = chunk({"functionCall": {"args": {"a": 1}}}, finishReason="STOP")
    assert failure(decode(sse([item]))).kind is ErrorKind.UPSTREAM_MALFORMED


def test_names_on_the_wire_become_the_clients_tools() -> None:
    reading = Reading(
        provider="p", model="m", tools={"mcp_x__read": ir.ToolRef("read", "mcp_x")}, stream=True
    )
    item = chunk({"functionCall": {"name": "mcp_x__read", "args": {}}}, finishReason="STOP")
    part = fold(decode(sse([item]), reading=reading)).parts[0]
    assert isinstance(part, ir.ToolCall)
    assert part.ref == ir.ToolRef("read", "mcp_x")


def test_an_unknown_part_is_recorded_or_refused() -> None:
    item = chunk({"text": "a"}, {"hologram": {}}, finishReason="STOP")
    losses = Losses(side=Side.RESPONSE)
    assert fold(decode(sse([item]), losses)).parts == (ir.Text(text="a"),)
    assert "hologram" in losses.degradations[0].reason
    strict = decode(sse([item]), Losses(Mode.STRICT, Side.RESPONSE))
    assert isinstance(strict[-1], ir.StreamFailed)


def test_media_code_and_server_tools_come_whole() -> None:
    item = chunk(
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
        {"executableCode": {"language": "PYTHON", "code": "print(1)", "id": "e"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n", "id": "e"}},
        {"toolCall": {"id": "t", "toolType": "GOOGLE_SEARCH_WEB", "args": {}}},
        {"text": "done"},
        finishReason="STOP",
    )
    image, run, foreign, text = fold(decode(sse([item]))).parts
    assert image == ir.Image(source=ir.Inline(media_type="image/png", data="iVBORw0KGgo="))
    assert isinstance(run, ir.CodeRun)
    assert (run.code, run.output, run.ok, len(run.wire)) == ("print(1)", "1\n", True, 2)
    assert isinstance(foreign, ir.Foreign)
    assert text == ir.Text(text="done")


def test_code_whose_result_comes_in_a_later_chunk_is_one_part() -> None:
    events = decode(
        sse(
            [
                chunk({"executableCode": {"language": "PYTHON", "code": "1"}}),
                chunk({"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}}),
                chunk({"text": "x"}, finishReason="STOP"),
            ]
        )
    )
    run = fold(events).parts[0]
    assert isinstance(run, ir.CodeRun)
    assert (run.ok, run.output) == (False, "no")


def test_further_candidates_of_a_stream_are_recorded() -> None:
    item = chunk({"text": "a"}, finishReason="STOP")
    item["candidates"].append({"index": 1, "content": {"parts": [{"text": "b"}]}})
    losses = Losses(side=Side.RESPONSE)
    assert fold(decode(sse([item]), losses)).parts == (ir.Text(text="a"),)
    assert losses.degradations


def test_logprobs_ride_on_the_text() -> None:
    result = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "é", "logProbability": -0.5}]}],
    }
    response = fold(decode(sse([chunk({"text": "é"}, logprobsResult=result, finishReason="STOP")])))
    assert response.logprobs[0].bytes == (0xC3, 0xA9)
    assert response.logprobs[0].top[0].logprob == -0.5


def test_cit_02_byte_offsets_become_character_offsets() -> None:
    text = "Grüße aus Oslo. Kalt."
    grounding = {
        "webSearchQueries": ["oslo"],
        "groundingChunks": [{"web": {"uri": "https://example.com", "title": "T"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 18, "endIndex": 23}, "groundingChunkIndices": [0]}
        ],
    }
    events = decode(
        sse(
            [
                chunk({"text": text[:7]}),
                chunk({"text": text[7:]}),
                chunk(
                    {"text": "", "thoughtSignature": SIGNATURE},
                    groundingMetadata=grounding,
                    finishReason="STOP",
                ),
            ]
        )
    )
    part = fold(events).parts[0]
    assert isinstance(part, ir.Text)
    citation = part.citations[0]
    assert isinstance(citation, ir.UrlCitation)
    assert (citation.start, citation.end, citation.cited_text) == (16, 21, "Kalt.")
    assert isinstance(events[-1], ir.Finish)
    assert events[-1].usage.web_searches == 1


# ------------------------------------------------------------------------------------------- endings


BAD_WORDS = ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "NO_IMAGE"]


@pytest.mark.parametrize("word", BAD_WORDS)
def test_an_answer_given_up_is_a_failure_unless_max_compat(word: str) -> None:
    stream = sse([chunk({"text": "a"}), chunk(finishReason=word)])
    for mode in (Mode.STRICT, Mode.BALANCED):
        error = failure(decode(stream, Losses(mode, Side.RESPONSE)))
        assert (error.kind, error.retryable) == (ErrorKind.UPSTREAM_MALFORMED, True)
    losses = Losses(Mode.MAX_COMPAT, Side.RESPONSE)
    assert fold(decode(stream, losses)).finish_reason is ir.FinishReason.STOP
    assert word in losses.degradations[0].reason


def test_a_limited_account_is_a_permission_error_in_every_mode() -> None:
    stream = sse([chunk(finishReason="PUP_LIMITED_DISABLED")])
    assert failure(decode(stream)).kind is ErrorKind.PERMISSION


def test_an_unknown_finish_reason_is_a_natural_end_with_a_warning() -> None:
    losses = Losses(side=Side.RESPONSE)
    stream = sse([chunk({"text": "a"}, finishReason="TIRED")])
    assert fold(decode(stream, losses)).finish_reason is ir.FinishReason.STOP
    assert "TIRED" in losses.degradations[0].reason


def test_str_31_an_error_as_the_first_event_is_no_success() -> None:
    events = decode(sse([{"error": {"code": 429, "message": "quota", "status": "X"}}]))
    assert len(events) == 1
    assert failure(events).kind is ErrorKind.RATE_LIMITED


@EACH_STREAM
def test_the_folded_stream_is_the_whole_answer(stream: list[Any]) -> None:
    """One body with all parts of the stream reads like the stream itself."""
    if "error" in stream[-1] or any("partialArgs" in repr(item) for item in stream):
        return
    candidate: dict[str, Any] = {"index": 0}
    parts: list[Any] = []
    body: dict[str, Any] = {}
    for item in stream:
        body |= {key: value for key, value in item.items() if key != "candidates"}
        for piece in item.get("candidates", ()):
            parts.extend(piece.get("content", {}).get("parts", ()))
            candidate |= {key: value for key, value in piece.items() if key != "content"}
    if parts:
        body["candidates"] = [{**candidate, "content": {"parts": parts}}]
    assert parse_answer(body) == fold(decode(sse(stream)))


# ------------------------------------------------------------------------------------------ observer


@EACH_STREAM
@pytest.mark.parametrize("framing", FRAMINGS)
def test_the_observer_sees_what_the_decoder_sees(stream: list[Any], framing: Any) -> None:
    data = framing(stream)
    expected = decode(data)[-1]
    for step in (len(data), 7, 1):
        observer = TRANSLATOR.observer()
        for at in range(0, len(data), step):
            observer.feed(data[at : at + step])
        assert observer.ended
        if isinstance(expected, ir.Finish):
            assert observer.usage == expected.usage
            assert observer.finish_reason is expected.reason


def test_the_observer_of_a_cut_stream_sees_no_end() -> None:
    observer = TRANSLATOR.observer()
    observer.feed(sse(STREAMS[0][:2]))
    assert not observer.ended
    assert observer.finish_reason is None
    assert observer.usage.input_tokens == 9


def test_words_in_the_text_do_not_fool_the_observer() -> None:
    observer = TRANSLATOR.observer()
    observer.feed(sse([chunk({"text": 'say "error", "finishReason" and blockReason'})]))
    assert not observer.ended


def test_the_observer_survives_rubbish() -> None:
    observer = TRANSLATOR.observer()
    for piece in (b"[rubbish", b'{"error"', b"data: {finishReason\r\n\r\n"):
        observer.feed(piece)
    assert not observer.ended
