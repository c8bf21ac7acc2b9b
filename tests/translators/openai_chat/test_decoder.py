"""Streams of an upstream: what odd servers send is read, and a cut one never looks finished."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.translators.openai_chat.support import (
    BROKEN,
    READING,
    STREAMS,
    chunk,
    decode,
    decode_chunks,
    failure,
    fold,
    frames,
    response_losses,
    unplaced,
)
from translators import ir
from translators.base import Reading
from translators.errors import ErrorKind, GatewayError
from translators.grammar import Grammar
from translators.openai_chat import TRANSLATOR


def call(index: int | None = 0, **fields: Any) -> dict[str, Any]:
    """A delta with one fragment of a tool call; `name` and `arguments` go into `function`."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    place = {} if index is None else {"index": index}
    return {"tool_calls": [place | fields | {"function": function}]}


def calls_of(response: ir.Response) -> list[tuple[str, str]]:
    """Name and arguments of the calls of an answer."""
    return [(p.name, p.arguments) for p in response.parts if isinstance(p, ir.ToolCall)]


def text_of(response: ir.Response) -> str:
    """The visible text."""
    return "".join(part.text for part in response.parts if isinstance(part, ir.Text))


# ------------------------------------------------------------------------------- fixtures, all splits


@pytest.mark.parametrize("stream", [*STREAMS, *BROKEN], ids=lambda s: s[0]["id"])
def test_any_split_gives_the_same_events(stream: list[dict[str, Any]]) -> None:
    data = frames(stream)
    whole = unplaced(decode(data))
    assert unplaced(decode(data, size=1)) == whole or isinstance(whole[-1], ir.StreamFailed)
    for at in range(len(data)):
        decoder = TRANSLATOR.decoder(READING, response_losses())
        events = decoder.feed(data[:at]) + decoder.feed(data[at:]) + decoder.close()
        got = unplaced(events)
        assert got[:-1] == whole[:-1], at
        assert repr(got[-1]) == repr(whole[-1]), at


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s[0]["id"])
def test_a_cut_after_any_frame_before_the_finish_reason_is_a_failure(
    stream: list[dict[str, Any]],
) -> None:
    last = next(i for i, c in enumerate(stream) if c["choices"][0]["finish_reason"])
    for count in range(len(stream) + 1):
        for done in (False, True):
            events = decode(frames(stream[:count], done))
            if count <= last:
                assert failure(events).error.kind is ErrorKind.UPSTREAM_CUT
            else:
                assert isinstance(events[-1], ir.Finish)


def test_the_plain_text_stream() -> None:
    answer = fold(decode(frames(STREAMS[0])))
    assert answer.parts == (ir.Text(text="Hello"),)
    assert answer.id == "chatcmpl-1"
    assert answer.model == "gpt-6-sol"
    assert answer.created_s == 1794000000
    assert answer.service_tier == "default"
    assert answer.usage.input_tokens == 9
    assert answer.usage.cache_read_tokens == 0


def test_parallel_calls_are_two_parts() -> None:
    answer = fold(decode(frames(STREAMS[2])))
    assert calls_of(answer) == [
        ("get_weather", '{"city":"Oslo"}'),
        ("get_weather", '{"city":"Rome"}'),
    ]
    assert answer.finish_reason is ir.FinishReason.TOOL_CALLS


def test_a_refusal_in_words_is_its_own_reason() -> None:
    answer = fold(decode(frames(STREAMS[4])))
    assert answer.parts == (ir.Refusal(text="I can't help with that."),)
    assert answer.finish_reason is ir.FinishReason.REFUSAL
    assert answer.explanation == "I can't help with that."


def test_an_error_inside_the_stream_ends_it() -> None:
    error = failure(decode(frames(BROKEN[0]))).error
    assert error.kind is ErrorKind.SERVER_ERROR
    assert error.message.startswith("The server had an error")


# -------------------------------------------------------------------------------------- pitfalls


def test_str_02_a_call_opens_when_its_name_is_known() -> None:
    answer = decode_chunks(
        chunk(call(id="call_a", name="")),
        chunk(call(arguments='{"a"')),
        chunk(call(name="f", arguments=":1")),
        chunk(call(name="", arguments="}")),
        chunk(finish="tool_calls"),
    )
    assert answer.parts == (ir.ToolCall(call_id="call_a", name="f", arguments='{"a":1}'),)


def test_str_03_arguments_beside_the_id_are_kept() -> None:
    answer = decode_chunks(
        chunk(call(id="call_a", name="f", arguments='{"a":1}')), chunk(finish="tool_calls")
    )
    assert calls_of(answer) == [("f", '{"a":1}')]


@pytest.mark.parametrize("empty", [[], None])
def test_str_04_empty_tool_lists_beside_reasoning_close_nothing(empty: Any) -> None:
    events = decode(
        frames(
            [
                chunk({"reasoning_content": "a", "tool_calls": empty}),
                chunk({"reasoning_content": "b", "tool_calls": empty}),
                chunk({"content": "c", "tool_calls": empty}, "stop"),
            ]
        )
    )
    assert fold(events).parts == (ir.Reasoning(text="ab"), ir.Text(text="c"))


def test_str_05_no_empty_text_part_before_a_call() -> None:
    answer = decode_chunks(
        chunk({"role": "assistant", "content": ""}),
        chunk(call(id="c", name="f", arguments="{}")),
        chunk({"content": ""}, "tool_calls"),
    )
    assert [type(part) for part in answer.parts] == [ir.ToolCall]


def test_str_10_text_and_call_in_one_chunk_stay_in_order() -> None:
    answer = decode_chunks(
        chunk({"content": "Look:"} | call(id="c", name="f", arguments="{}")),
        chunk(finish="tool_calls"),
    )
    assert [type(part) for part in answer.parts] == [ir.Text, ir.ToolCall]


def test_str_16_a_call_whose_id_changes_with_every_delta_is_one_call() -> None:
    answer = decode_chunks(
        chunk(call(id="call_a", name="f", arguments='{"a')),
        chunk(call(id="call_b", name="f", arguments='":1}')),
        chunk(finish="tool_calls"),
    )
    assert answer.parts == (ir.ToolCall(call_id="call_a", name="f", arguments='{"a":1}'),)


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.mark.parametrize(
    ("tail", "done"),
    [
        pytest.param([chunk(finish="stop", usage=USAGE)], True, id="on the finish chunk"),
        pytest.param(
            [chunk(finish="stop"), chunk(choices=[], usage=USAGE)], True, id="after the finish"
        ),
        pytest.param(
            [chunk(finish="stop"), chunk(choices=[], usage=USAGE)], False, id="and without [DONE]"
        ),
        pytest.param(
            [chunk(finish="stop", x_groq={"id": "r", "usage": USAGE})], True, id="in x_groq"
        ),
        pytest.param(
            [chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}])],
            True,
            id="inside the choice",
        ),
        pytest.param(
            [chunk(choices=[], usage=USAGE), chunk(finish="stop")], True, id="before the finish"
        ),
    ],
)
def test_str_17_usage_is_found_wherever_it_stands(tail: list[Any], done: bool) -> None:
    answer = decode_chunks(chunk({"content": "x"}), *tail, done=done)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 2)


def test_str_22_arguments_that_look_complete_too_early_go_on() -> None:
    answer = decode_chunks(
        chunk(call(id="c", name="f", arguments="1")),
        chunk(call(arguments="23")),
        chunk(finish="tool_calls"),
    )
    assert calls_of(answer) == [("f", "123")]


def test_str_23_chunks_without_id_model_object_and_index_are_read() -> None:
    answer = decode_chunks(
        {"choices": [{"delta": {"content": "a"}}]},
        {"choices": [{"delta": call(None, id="c", name="f", arguments="{}")}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    )
    assert text_of(answer) == "a"
    assert calls_of(answer) == [("f", "{}")]
    assert answer.id == ""
    assert answer.model == "up-model"
    assert answer.created_s is None


def test_str_23_calls_without_index_are_told_apart() -> None:
    both = [
        {"id": "c1", "function": {"name": "f", "arguments": "{}"}},
        {"id": "c2", "function": {"name": "g", "arguments": "{}"}},
    ]
    answer = decode_chunks(chunk({"tool_calls": both}), chunk(finish="tool_calls"))
    assert calls_of(answer) == [("f", "{}"), ("g", "{}")]


def test_calls_that_all_claim_index_zero_are_told_apart() -> None:
    answer = decode_chunks(
        chunk(call(0, id="c1", name="f", arguments='{"a":1}')),
        chunk(call(0, id="c2", name="f", arguments='{"a":2}')),
        chunk(finish="tool_calls"),
    )
    assert calls_of(answer) == [("f", '{"a":1}'), ("f", '{"a":2}')]


def test_interleaved_calls_come_out_one_after_the_other() -> None:
    answer = decode_chunks(
        chunk(call(0, id="c1", name="f", arguments="")),
        chunk(call(1, id="c2", name="g", arguments="")),
        chunk(call(0, arguments='{"a"')),
        chunk(call(1, arguments='{"b"')),
        chunk(call(0, arguments=":1}")),
        chunk(call(1, arguments=":2}")),
        chunk(finish="tool_calls"),
    )
    assert calls_of(answer) == [("f", '{"a":1}'), ("g", '{"b":2}')]


@pytest.mark.parametrize(
    "broken",
    [b"data: {nonsense\n\n", b"data: 5\n\n", b'data: {"choices": [{"delta": 5}]}\n\n'],
)
def test_str_23_what_cannot_be_read_is_an_error(broken: bytes) -> None:
    events = decode(frames([chunk({"content": "a"})], done=False) + broken + frames([]))
    assert failure(events).error.kind is ErrorKind.UPSTREAM_MALFORMED


def test_str_26_done_without_a_finish_reason_is_a_cut() -> None:
    events = decode(frames([chunk({"content": "all of it"})], done=True))
    assert failure(events).error.kind is ErrorKind.UPSTREAM_CUT


def test_str_27_nothing_comes_after_the_end() -> None:
    decoder = TRANSLATOR.decoder(READING, response_losses())
    events = decoder.feed(frames([chunk({"content": "a"}), chunk(finish="stop")]))
    assert isinstance(events[-1], ir.Finish)
    assert decoder.feed(frames([chunk({"content": "more"}), chunk(finish="stop")])) == []
    assert decoder.close() == []


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        pytest.param(
            {"error": {"message": "slow down", "code": 429}}, ErrorKind.RATE_LIMITED, id="code 429"
        ),
        pytest.param({"error": "boom"}, ErrorKind.SERVER_ERROR, id="a string"),
        pytest.param(
            {"code": 1113, "msg": "Insufficient balance"}, ErrorKind.BILLING, id="code and msg"
        ),
        pytest.param(
            {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
            ErrorKind.BILLING,
            id="base_resp",
        ),
        pytest.param(
            {"object": "error", "message": "bad thing", "code": 400},
            ErrorKind.INVALID_REQUEST,
            id="object error",
        ),
        pytest.param(
            [{"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}],
            ErrorKind.OVERLOADED,
            id="an array",
        ),
        pytest.param(
            chunk({"content": ""}, "error", error={"code": 502, "message": "upstream"}),
            ErrorKind.SERVER_ERROR,
            id="beside a choice",
        ),
        pytest.param(
            chunk(
                choices=[
                    {
                        "index": 0,
                        "delta": {},
                        "finish_reason": "error",
                        "error": {"code": 429, "message": "rate"},
                    }
                ]
            ),
            ErrorKind.RATE_LIMITED,
            id="inside the choice",
        ),
    ],
)
def test_str_28_failures_in_the_stream_are_failures(frame: Any, kind: ErrorKind) -> None:
    first = chunk({"content": "Par"})
    error = failure(decode(frames([first, frame]))).error
    assert error.kind is kind
    assert failure(decode(frames([frame]))).error.kind is kind, "also as the first event"


def test_an_event_named_error_is_a_failure() -> None:
    data = b'event: error\ndata: {"message":"gone","code":500}\n\n'
    assert failure(decode(data)).error.message == "gone"


def test_str_34_comments_are_pings_and_nothing_else() -> None:
    decoder = TRANSLATOR.decoder(READING, response_losses())
    assert decoder.feed(b": OPENROUTER PROCESSING\n\n") == [ir.Ping()]
    assert decoder.feed(b"retry: 100\n\nid: 1\n\nevent: x\n\n") == []
    assert text_of(fold(decoder.feed(frames([chunk({"content": "a"}, "stop")])))) == "a"


def test_str_37_a_last_frame_without_its_blank_line_counts() -> None:
    data = frames([chunk({"content": "a"}), chunk(finish="stop")], done=False).rstrip(b"\n")
    assert text_of(fold(decode(data))) == "a"


def test_id_08_a_missing_call_id_is_made_the_same_way_each_time() -> None:
    chunks = [
        chunk(call(0, name="f", arguments="{}")),
        chunk(call(1, name="f", arguments="{}")),
        chunk(finish="tool_calls"),
    ]
    first, again = decode_chunks(*chunks), decode_chunks(*chunks)
    ids = [part.call_id for part in first.parts]
    assert ids == [part.call_id for part in again.parts]
    assert len(set(ids)) == 2
    assert all(item.startswith("call_") and len(item) <= 40 for item in ids)


def test_stop_05_a_call_cut_by_the_limit_is_marked() -> None:
    events = decode(
        frames([chunk(call(id="c", name="f", arguments='{"a":')), chunk(finish="length")])
    )
    end = next(event for event in events if isinstance(event, ir.PartEnd))
    assert end.complete is False
    assert fold(events).finish_reason is ir.FinishReason.LENGTH


def test_stop_10_a_call_without_a_name_fails_loudly() -> None:
    events = decode(frames([chunk(call(id="c", arguments='{"a":1}')), chunk(finish="tool_calls")]))
    assert failure(events).error.kind is ErrorKind.UPSTREAM_MALFORMED


def test_stop_11_a_legacy_function_call_is_a_call() -> None:
    answer = decode_chunks(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        chunk(finish="function_call"),
    )
    assert calls_of(answer) == [("f", "{}")]
    assert answer.finish_reason is ir.FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("word", "reason", "warned"),
    [
        ("eos", ir.FinishReason.STOP, False),
        ("length", ir.FinishReason.LENGTH, False),
        ("model_length", ir.FinishReason.LENGTH, False),
        ("CONTENT_FILTER", ir.FinishReason.CONTENT_FILTER, False),
        ("tool_use", ir.FinishReason.STOP, True),
        ("banana", ir.FinishReason.STOP, True),
    ],
)
def test_stop_12_finish_words_are_normalised(
    word: str, reason: ir.FinishReason, warned: bool
) -> None:
    losses = response_losses()
    answer = decode_chunks(chunk({"content": "x"}), chunk(finish=word), losses=losses)
    assert answer.finish_reason is reason
    assert bool(losses.degradations) is warned


def test_stop_12_a_server_out_of_resources_is_a_failure() -> None:
    events = decode(frames([chunk({"content": "x"}, "insufficient_system_resource")]))
    assert failure(events).error.kind is ErrorKind.OVERLOADED


def test_stop_12_an_empty_finish_word_on_every_chunk_ends_nothing() -> None:
    answer = decode_chunks(
        chunk({"content": "a"}, ""), chunk({"content": "b"}, ""), chunk(finish="stop")
    )
    assert text_of(answer) == "ab"


def test_calls_decide_the_reason_not_the_word() -> None:
    answer = decode_chunks(chunk(call(id="c", name="f", arguments="{}")), chunk(finish="stop"))
    assert answer.finish_reason is ir.FinishReason.TOOL_CALLS


ZERO = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def test_use_07_null_and_zero_usage_is_no_usage() -> None:
    answer = decode_chunks(
        chunk({"content": "a"}, usage=None),
        chunk({"content": "b"}, usage=ZERO),
        chunk(finish="stop", usage=ZERO),
        chunk(choices=[], usage=USAGE),
    )
    assert answer.usage.input_tokens == 3
    assert decode_chunks(chunk({"content": "a"}, "stop", usage=ZERO)).usage == ir.NO_USAGE


def test_use_16_null_counts_do_no_harm() -> None:
    usage = {"prompt_tokens": None, "completion_tokens": 4, "prompt_tokens_details": None}
    answer = decode_chunks(chunk({"content": "a"}, "stop", usage=usage))
    assert answer.usage == ir.Usage(output_tokens=4)


# --------------------------------------------------------------------------- reasoning, the rest


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_text_is_read_from_either_field(field: str) -> None:
    answer = decode_chunks(
        chunk({field: "think"}), chunk({field: "ing\n\n"}), chunk({"content": "x"}, "stop")
    )
    assert answer.parts == (ir.Reasoning(text="thinking\n\n"), ir.Text(text="x"))


def test_reasoning_in_both_fields_is_taken_once() -> None:
    answer = decode_chunks(
        chunk({"reasoning_content": "a", "reasoning": "a"}), chunk({"content": "x"}, "stop")
    )
    assert answer.parts[0] == ir.Reasoning(text="a")


def test_reasoning_details_become_state() -> None:
    piece = {"type": "reasoning.text", "index": 0, "format": "anthropic-claude-v1"}
    answer = decode_chunks(
        chunk({"reasoning": "a", "reasoning_details": [piece | {"text": "a"}]}),
        chunk({"reasoning": "b", "reasoning_details": [piece | {"text": "b"}]}),
        chunk({"reasoning_details": [piece | {"signature": "SIG"}]}),
        chunk({"content": "x"}, "stop"),
    )
    reasoning = answer.parts[0]
    assert reasoning.text == "ab"
    assert json.loads(reasoning.state.value) == [piece | {"text": "ab", "signature": "SIG"}]
    assert (reasoning.state.provider, reasoning.state.model) == ("prov", "up-model")


def test_a_thought_signature_stands_before_its_call() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "SIG"}}}
    answer = decode_chunks(
        chunk(call(id="c", name="f", arguments="{}", **signed)), chunk(finish="tool_calls")
    )
    state = ir.OpaqueState(
        kind=ir.StateKind.GEMINI_SIGNATURE, value="SIG", provider="prov", model="up-model"
    )
    assert answer.parts[0] == ir.Reasoning(state=state)


def test_a_thought_signature_joins_the_thoughts_before_it() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "SIG"}}}
    answer = decode_chunks(
        chunk({"content": "hm", "extra_content": {"google": {"thought": True}}}),
        chunk(call(id="c", name="f", arguments="{}", **signed)),
        chunk(finish="tool_calls"),
    )
    assert [type(part) for part in answer.parts] == [ir.Reasoning, ir.ToolCall]
    assert (answer.parts[0].text, answer.parts[0].state.value) == ("hm", "SIG")


def test_a_custom_call_streams_its_input() -> None:
    first = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "sql", "input": ""}}
    more = {"index": 0, "custom": {"input": "select 1"}}
    answer = decode_chunks(
        chunk({"tool_calls": [first]}), chunk({"tool_calls": [more]}), chunk(finish="tool_calls")
    )
    assert answer.parts == (
        ir.ToolCall(call_id="c", name="sql", arguments="select 1", kind=ir.ToolKind.CUSTOM),
    )


def test_tool_names_are_restored() -> None:
    reading = Reading(provider="p", model="m", tools={"ns__f": ir.ToolRef("f", "ns")})
    data = frames([chunk(call(id="c", name="ns__f", arguments="{}")), chunk(finish="tool_calls")])
    part = fold(decode(data, reading=reading)).parts[0]
    assert isinstance(part, ir.ToolCall)
    assert part.ref == ir.ToolRef("f", "ns")


def test_further_choices_of_a_stream_are_ignored() -> None:
    second = {"index": 1, "delta": {"content": "no"}, "finish_reason": None}
    answer = decode_chunks(chunk({"content": "yes"}), chunk(choices=[second]), chunk(finish="stop"))
    assert text_of(answer) == "yes"


def test_annotations_cite_the_open_text() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "https://a", "title": "A"}}
    answer = decode_chunks(chunk({"content": "x"}), chunk({"annotations": [cited]}, "stop"))
    assert answer.parts[0].citations == (ir.UrlCitation(url="https://a", title="A"),)


def test_log_probabilities_ride_on_the_deltas() -> None:
    token = {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}
    wire = chunk({"content": "x"}, "stop")
    wire["choices"][0]["logprobs"] = {"content": [token], "refusal": None}
    answer = decode_chunks(wire)
    assert answer.logprobs == (ir.TokenLogprob(token="x", logprob=-0.5, bytes=(120,)),)


def test_content_as_a_list_is_read() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    answer = decode_chunks(
        chunk({"content": [thinking]}),
        chunk({"content": [{"type": "text", "text": "x"}]}, "stop"),
    )
    assert answer.parts == (ir.Reasoning(text="hm"), ir.Text(text="x"))


def test_pictures_in_a_delta_are_parts() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    answer = decode_chunks(chunk({"content": "a", "images": [image]}), chunk(finish="stop"))
    assert [type(part) for part in answer.parts] == [ir.Text, ir.Image]


def test_a_transport_error_is_what_the_stream_fails_with() -> None:
    decoder = TRANSLATOR.decoder(READING, response_losses())
    events = decoder.feed(frames([chunk({"content": "a"})], done=False))
    broken = GatewayError(ErrorKind.TIMEOUT, "idle")
    events += decoder.close(broken)
    assert failure(events).error is broken


def test_any_bytes_end_in_one_terminal_event() -> None:
    for data in (b"", b"\xff\xfe", b"data: null\n\n", b"<html>", b"data: []\n\n" * 3):
        events = decode(data)
        assert isinstance(events[-1], ir.StreamFailed)
        grammar = Grammar()
        for event in events:
            grammar.advance(event)
