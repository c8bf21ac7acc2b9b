"""Streams for a client: strict chunks that the official SDK accepts, and honest ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from tests.translators.openai_chat.support import (
    BROKEN,
    STREAMS,
    answer,
    decode,
    encode,
    frames,
    parse,
    read_frames,
    response_body,
    response_losses,
    unplaced,
    without_times,
    writing,
)
from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.fold import Folder, unfold
from translators.losses import Mode
from translators.openai_chat import TRANSLATOR

START = ir.MessageStart(id="msg_1", model="real", created_s=7)
FINISH = ir.Finish(reason=ir.FinishReason.STOP, usage=ir.Usage(input_tokens=3, output_tokens=2))
CALLS = ir.FinishReason.TOOL_CALLS


def written(response: ir.Response, **options: Any) -> list[Any]:
    """The frames of a whole answer as a stream."""
    return read_frames(encode(unfold(response), **options))


def deltas(chunks: list[Any]) -> list[dict[str, Any]]:
    """The deltas of all chunks that have a choice."""
    return [c["choices"][0]["delta"] for c in chunks if c != "[DONE]" and c.get("choices")]


def joined(chunks: list[Any], field: str) -> str:
    """All text of one field."""
    return "".join(delta.get(field) or "" for delta in deltas(chunks))


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s[0]["id"])
def test_what_is_written_reads_as_what_went_in(stream: list[dict[str, Any]]) -> None:
    events = decode(frames(stream))
    again = decode(encode(events))
    assert repr(unplaced(again)[1:]) == repr(unplaced(events)[1:]).replace("service_tier=''", "")


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s[0]["id"])
def test_the_stream_says_what_the_whole_answer_says(stream: list[dict[str, Any]]) -> None:
    events = decode(frames(stream))
    folder = Folder()
    for event in events:
        folder.add(event)
    whole = response_body(folder.response())
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for item in read_frames(encode(events))[:-1]:
        state.handle_chunk(ChatCompletionChunk.model_validate(item))
    final = state.current_completion_snapshot.model_dump(exclude_none=True)
    mine, theirs = whole["choices"][0], final["choices"][0]
    assert (theirs["message"].get("content") or None) == mine["message"]["content"]
    assert theirs["message"].get("refusal") == mine["message"]["refusal"]
    assert theirs["finish_reason"] == mine["finish_reason"]
    assert final.get("usage") == whole.get("usage")
    got = [call["function"] for call in theirs["message"].get("tool_calls", ())]
    want = [call["function"] for call in mine["message"].get("tool_calls", ())]
    assert [(c["name"], c["arguments"]) for c in got] == [(c["name"], c["arguments"]) for c in want]


def test_head_and_order_of_a_plain_stream() -> None:
    out = written(answer(ir.Text(text="Hel"), usage=FINISH.usage, created_s=7))
    *chunks, done = out
    assert done == "[DONE]"
    assert {(c["id"], c["created"], c["model"], c["object"]) for c in chunks} == {
        (chunks[0]["id"], 7, "shown", "chat.completion.chunk")
    }
    assert chunks[0]["id"].startswith("chatcmpl-")
    assert "msg_1" not in chunks[0]["id"]
    assert deltas(chunks) == [{"role": "assistant", "content": ""}, {"content": "Hel"}, {}]
    assert [c["choices"][0]["finish_reason"] for c in chunks[:-1]] == [None, None, "stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert all(c["usage"] is None for c in chunks[:-1])


def test_str_18_the_usage_chunk_has_choices_and_comes_only_if_asked() -> None:
    whole = answer(ir.Text(text="x"), usage=FINISH.usage)
    out = written(whole, how=writing(stream_usage=False))
    assert not any("usage" in item for item in out[:-1])
    asked = written(whole, how=writing(stream_usage=True))
    assert asked[-2]["choices"] == []
    unknown = written(answer(ir.Text(text="x")))
    assert unknown[-2]["choices"], "no usage chunk when the upstream reported none"


def test_str_20_a_call_without_arguments_gets_an_empty_object() -> None:
    out = written(answer(ir.ToolCall(call_id="c", name="f"), finish_reason=CALLS))
    texts = [d["tool_calls"][0]["function"]["arguments"] for d in deltas(out) if "tool_calls" in d]
    assert texts == ["", "{}"]


def test_a_cut_call_without_arguments_is_not_completed() -> None:
    cut = ir.ToolCall(call_id="c", name="f", complete=False)
    out = written(answer(cut, finish_reason=ir.FinishReason.LENGTH))
    texts = [d["tool_calls"][0]["function"]["arguments"] for d in deltas(out) if "tool_calls" in d]
    assert texts == [""]
    assert out[-2]["choices"][0]["finish_reason"] == "length"


def test_str_42_the_finish_reason_stands_on_the_last_chunk_alone() -> None:
    for stream in STREAMS:
        out = read_frames(encode(decode(frames(stream))))
        reasons = [c["choices"][0]["finish_reason"] for c in out[:-1] if c["choices"]]
        assert reasons[-1] is not None
        assert set(reasons[:-1]) <= {None}


def test_str_43_the_role_comes_first_and_once() -> None:
    for stream in STREAMS:
        roles = [delta.get("role") for delta in deltas(read_frames(encode(decode(frames(stream)))))]
        assert roles[0] == "assistant"
        assert set(roles[1:]) <= {None}


def test_calls_are_numbered_from_zero_whatever_stands_between() -> None:
    out = written(
        answer(
            ir.Reasoning(text="hm"),
            ir.ToolCall(call_id="a", name="f", arguments="{}"),
            ir.Reasoning(text="hm"),
            ir.ToolCall(call_id="b", name="g", arguments="{}"),
            finish_reason=CALLS,
        )
    )
    calls = [delta["tool_calls"][0] for delta in deltas(out) if "tool_calls" in delta]
    assert [call["index"] for call in calls] == [0, 0, 1, 1]
    heads = [call for call in calls if "id" in call]
    assert [(c["id"], c["type"], c["function"]["name"]) for c in heads] == [
        ("a", "function", "f"),
        ("b", "function", "g"),
    ]


def test_call_ids_that_repeat_or_are_too_long_are_replaced() -> None:
    long = "x" * 80
    out = written(
        answer(
            *(ir.ToolCall(call_id=i, name="f", arguments="{}") for i in ("a", "a", long)),
            finish_reason=CALLS,
        )
    )
    ids = [d["tool_calls"][0]["id"] for d in deltas(out) if "id" in d.get("tool_calls", [{}])[0]]
    assert ids[:2] == ["a", "a_2"]
    assert ids[2].startswith("call_")
    assert len(ids[2]) < 64


def test_a_custom_call_in_its_observed_shape() -> None:
    call = ir.ToolCall(call_id="c", name="sql", arguments="select 1", kind=ir.ToolKind.CUSTOM)
    out = written(answer(call, finish_reason=CALLS))
    calls = [delta["tool_calls"][0] for delta in deltas(out) if "tool_calls" in delta]
    assert calls[0] == {
        "index": 0,
        "id": "c",
        "type": "custom",
        "custom": {"name": "sql", "input": ""},
    }
    assert calls[1] == {"index": 0, "custom": {"input": "select 1"}}


def test_a_client_of_legacy_functions_gets_a_function_call() -> None:
    functions = [{"name": "f", "parameters": {"type": "object", "properties": {}}}]
    how = writing(request=parse(functions=functions, stream=True))
    losses = response_losses()
    out = written(
        answer(
            ir.ToolCall(call_id="a", name="f", arguments='{"a":1}'),
            ir.ToolCall(call_id="b", name="f", arguments="{}"),
            finish_reason=CALLS,
        ),
        how=how,
        losses=losses,
    )
    calls = [delta["function_call"] for delta in deltas(out) if "function_call" in delta]
    assert calls == [{"name": "f", "arguments": ""}, {"arguments": '{"a":1}'}]
    assert out[-2]["choices"][0]["finish_reason"] == "function_call"
    assert losses.degradations, "the second call is not lost in silence"


def test_reasoning_goes_into_the_field_that_was_configured() -> None:
    state = ir.OpaqueState(kind=ir.StateKind.ANTHROPIC_SIGNATURE, value="SECRET-STATE")
    whole = answer(
        ir.Reasoning(text="one", state=state), ir.Reasoning(text="two"), ir.Text(text="x")
    )
    out = written(whole, how=writing(chat_reasoning="reasoning_content"))
    assert joined(out, "reasoning_content") == "one\n\ntwo"
    assert joined(out, "content") == "x"
    assert "SECRET-STATE" not in json.dumps(out)
    assert "one" not in json.dumps(written(whole))


def test_texts_around_other_parts_are_set_apart() -> None:
    out = written(
        answer(
            ir.Text(text="a"),
            ir.Text(text="b"),
            ir.ToolCall(call_id="c", name="f", arguments="{}"),
            ir.Text(text="c"),
        )
    )
    assert joined(out, "content") == "ab\n\nc"


def test_citations_are_collected_with_offsets_into_the_joined_text() -> None:
    cited = ir.UrlCitation(url="https://a", title="A", start=0, end=2)
    whole = ir.UrlCitation(url="https://b")
    response = answer(
        ir.Text(text="äö"),
        ir.Reasoning(text="hm"),
        ir.Text(text="uvw", citations=(cited, whole)),
    )
    out = written(response)
    text = joined(out, "content")
    notes = next(delta["annotations"] for delta in deltas(out) if "annotations" in delta)
    spans = [(n["url_citation"]["start_index"], n["url_citation"]["end_index"]) for n in notes]
    assert [text[start:end] for start, end in spans] == ["uv", "uvw"]
    assert notes == response_body(response)["choices"][0]["message"]["annotations"]


def test_a_refusal_streams_in_its_own_field() -> None:
    out = written(answer(ir.Refusal(text="No."), finish_reason=ir.FinishReason.REFUSAL))
    assert joined(out, "refusal") == "No."
    assert out[-2]["choices"][0]["finish_reason"] == "stop"


def test_a_filter_without_text_tells_its_reason_as_refusal() -> None:
    out = written(answer(finish_reason=ir.FinishReason.CONTENT_FILTER, explanation="Not that."))
    assert joined(out, "refusal") == "Not that."
    assert out[-2]["choices"][0]["finish_reason"] == "content_filter"


def test_log_probabilities_stand_beside_their_text() -> None:
    tokens = (ir.TokenLogprob(token="x", logprob=-1.0, bytes=(120,)),)
    events = [
        START,
        ir.PartStart(index=0, part=ir.Text(text="")),
        ir.PartDelta(0, "x", tokens),
        ir.PartEnd(index=0),
        FINISH,
    ]
    out = read_frames(encode(events))
    assert out[1]["choices"][0]["logprobs"]["content"][0]["token"] == "x"
    assert repr(decode(encode(events))[2].logprobs) == repr(tokens)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "part",
    [
        ir.WebSearch(call_id="w", query="q"),
        ir.CodeRun(call_id="c", code="1"),
        ir.DocumentCitation(protocol="anthropic", wire={}),
    ],
    ids=lambda part: type(part).__name__,
)
def test_what_has_no_place_is_dropped_with_a_record(part: Any) -> None:
    losses = response_losses()
    parts = (
        (ir.Text(text="x", citations=(part,)),)
        if isinstance(part, ir.DocumentCitation)
        else (part, ir.Text(text="x"))
    )
    out = written(answer(*parts), losses=losses)
    assert joined(out, "content") == "x"
    assert len(losses.degradations) == 1


def test_a_picture_is_refused_in_the_stream_where_the_mode_says_so() -> None:
    image = ir.Image(source=ir.Inline(media_type="image/png", data="iVBORw0KGgo="))
    out = written(answer(ir.Text(text="x"), image), losses=response_losses(Mode.BALANCED))
    assert "error" in out[-1]
    lenient = written(answer(ir.Text(text="x"), image))
    assert next(d for d in deltas(lenient) if "images" in d)["images"][0]["type"] == "image_url"


def test_a_failure_ends_the_stream_without_done() -> None:
    out = read_frames(encode(decode(frames(BROKEN[0], done=False))))
    assert "[DONE]" not in out
    assert out[-1]["error"]["type"] == "server_error"
    assert all(item["choices"][0]["finish_reason"] is None for item in out[:-1])


def test_nothing_is_written_after_the_end() -> None:
    encoder = TRANSLATOR.encoder(writing(), response_losses())
    encoder.encode(START)
    encoder.encode(ir.StreamFailed(GatewayError(ErrorKind.UPSTREAM_CUT, "cut")))
    assert encoder.ping() == b""


def test_heartbeats_are_comments() -> None:
    encoder = TRANSLATOR.encoder(writing(), response_losses())
    assert encoder.encode(ir.Ping()) == encoder.ping() == b": keep-alive\n\n"


def test_line_separators_are_escaped_everywhere() -> None:
    data = encode(
        unfold(
            answer(
                ir.Text(text="a\u2028b"),
                ir.ToolCall(call_id="c", name="f", arguments='{"a":"\u2029"}'),
            )
        ),
        writing(model="m\u2028"),
    )
    assert "\u2028".encode() not in data
    assert "\u2029".encode() not in data
    assert joined(read_frames(data), "content") == "a\u2028b"


def test_the_same_answer_gives_the_same_bytes() -> None:
    response = answer(ir.Text(text="x"), ir.ToolCall(call_id="y" * 99, name="f"))
    assert encode(unfold(response)) == encode(unfold(response))
    assert without_times(response).parts == response.parts
