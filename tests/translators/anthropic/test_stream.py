"""Streams of upstreams: frames -> events, and the watch on passed-through streams."""

from __future__ import annotations

import json

import pytest

from tests.translators.anthropic.support import (
    READING,
    STREAMS,
    decode,
    response_losses,
    sse,
    strict_events,
    without_pings,
    writing,
)
from translators import ir
from translators.anthropic import TRANSLATOR
from translators.base import Reading
from translators.errors import ErrorKind, GatewayError
from translators.fold import Folder
from translators.ir import FinishReason, StateKind
from translators.losses import Mode

FINISHED = [name for name in STREAMS if name != "error"]
START = STREAMS["text"][0]
STOPPED = {"type": "message_stop"}


def delta(reason="end_turn", **usage):
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": 2, **usage},
    }


def opened(index, **block):
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index, **content):
    return {"type": "content_block_delta", "index": index, "delta": content}


def closed(index):
    return {"type": "content_block_stop", "index": index}


def signed(value, kind=StateKind.ANTHROPIC_SIGNATURE):
    return ir.OpaqueState(kind=kind, value=value, provider="claude", model="m")


def read(*events, **fields):
    return decode(b"".join(sse(list(events))), **fields)


def told(events):
    """Events in a form that compares errors too."""
    return [
        (repr(event.error), event.usage) if isinstance(event, ir.StreamFailed) else event
        for event in events
    ]


def folded(events):
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.response()


# ------------------------------------------------------------------------------- documented streams


def test_text():
    events = read(*STREAMS["text"])
    assert events == [
        ir.MessageStart(
            id="msg_1",
            model="claude-sonnet-5-5",
            usage=ir.Usage(
                input_tokens=9, output_tokens=1, cache_read_tokens=0, cache_write_tokens=0
            ),
        ),
        ir.Ping(),
        ir.PartStart(index=0, part=ir.Text(text="")),
        ir.PartDelta(0, "Hel"),
        ir.PartDelta(0, "lo"),
        ir.PartEnd(index=0),
        ir.Finish(
            reason=FinishReason.STOP,
            usage=ir.Usage(
                input_tokens=9,
                output_tokens=2,
                cache_read_tokens=0,
                cache_write_tokens=0,
                reasoning_tokens=0,
            ),
        ),
    ]


@pytest.mark.parametrize(
    ("name", "parts", "reason"),
    [
        pytest.param(
            "text_and_call",
            (
                ir.Text(text="Let me check."),
                ir.ToolCall(call_id="toolu_01A", name="get_weather", arguments='{"city":"Oslo"}'),
            ),
            FinishReason.TOOL_CALLS,
            id="text and a call",
        ),
        pytest.param(
            "parallel_calls",
            (
                ir.ToolCall(call_id="toolu_01A", name="get_weather", arguments='{"city":"Oslo"}'),
                ir.ToolCall(call_id="toolu_01B", name="noop"),
            ),
            FinishReason.TOOL_CALLS,
            id="STR-20 two calls, one without arguments",
        ),
        pytest.param(
            "reasoning_and_call",
            (
                ir.Reasoning(text="Check the weather.", state=signed("EqQBCg...")),
                ir.Reasoning(state=signed("EpQBDh...")),
                ir.Reasoning(state=signed("EmwKAh...", StateKind.ANTHROPIC_REDACTED)),
                ir.ToolCall(call_id="toolu_01A", name="get_weather", arguments='{"city":"Oslo"}'),
            ),
            FinishReason.TOOL_CALLS,
            id="visible, omitted and redacted thinking",
        ),
        pytest.param(
            "refusal", (ir.Text(text="Partial"),), FinishReason.CONTENT_FILTER, id="a refusal"
        ),
    ],
)
def test_documented_streams(name, parts, reason):
    response = folded(read(*STREAMS[name]))
    assert response.parts == parts
    assert response.finish_reason is reason


def test_cit_01_citations_and_search():
    response = folded(read(*STREAMS["citation_and_search"]))
    search, text = response.parts
    assert isinstance(search, ir.WebSearch)
    assert search.query == "oslo"
    assert search.sources == (ir.WebSource(url="https://example.com", title="T"),)
    assert search.wire[0]["input"] == {"query": "oslo"}
    assert text == ir.Text(
        text="It is cold.",
        citations=(
            ir.UrlCitation(url="https://example.com", title="T", cited_text="cold", opaque="Eo8C"),
        ),
    )
    assert response.usage.web_searches == 1


def test_str_29_an_error_in_the_stream():
    events = read(*STREAMS["error"])
    assert isinstance(events[-1], ir.StreamFailed)
    assert events[-1].error.kind is ErrorKind.OVERLOADED
    assert events[-1].usage.input_tokens == 20
    assert not any(isinstance(event, ir.PartEnd) for event in events)


# ----------------------------------------------------------------------------- chunking and cutting


@pytest.mark.parametrize("name", list(STREAMS))
def test_str_32_any_split_gives_the_same_events(name):
    data = b"".join(sse(STREAMS[name]))
    whole = told(decode(data))
    for place in range(1, len(data)):
        assert told(decode(data[:place], data[place:])) == whole
    assert told(decode(*(data[n : n + 1] for n in range(len(data))))) == whole


@pytest.mark.parametrize("name", list(STREAMS))
@pytest.mark.parametrize("ending", [b"\r\n", b"\r"], ids=["CRLF", "CR"])
def test_str_33_other_line_ends(name, ending):
    data = b"".join(sse(STREAMS[name]))
    assert told(decode(data.replace(b"\n", ending))) == told(decode(data))


@pytest.mark.parametrize("name", FINISHED)
def test_str_25_a_cut_stream_never_looks_finished(name):
    frames = sse(STREAMS[name])
    for count in range(len(frames)):
        events = decode(b"".join(frames[:count]))
        assert isinstance(events[-1], ir.StreamFailed), count
        assert events[-1].error.kind is ErrorKind.UPSTREAM_CUT
        assert not any(isinstance(event, ir.Finish) for event in events)


@pytest.mark.parametrize("name", FINISHED)
def test_cut_inside_a_frame(name):
    data = b"".join(sse(STREAMS[name]))
    for place in range(len(data) - 30, 0, -97):
        events = decode(data[:place])
        assert isinstance(events[-1], ir.StreamFailed)


def test_str_53_a_bare_message_stop_is_a_cut():
    events = read(*STREAMS["text"][:5], STOPPED)
    assert isinstance(events[-1], ir.StreamFailed)
    assert events[-1].error.kind is ErrorKind.UPSTREAM_CUT


def test_a_broken_connection_tells_why():
    decoder = TRANSLATOR.decoder(READING, response_losses())
    decoder.feed(b"".join(sse(STREAMS["text"][:4])))
    events = decoder.close(GatewayError(ErrorKind.TIMEOUT, "too slow"))
    assert events[-1].error.kind is ErrorKind.TIMEOUT


def test_str_37_the_last_blank_line_may_be_missing():
    data = b"".join(sse(STREAMS["text"])).rstrip(b"\n")
    assert isinstance(decode(data)[-1], ir.Finish)


def test_nothing_comes_after_the_end():
    events = read(*STREAMS["text"], *STREAMS["text_and_call"])
    assert isinstance(events[-1], ir.Finish)
    assert sum(isinstance(event, ir.MessageStart) for event in events) == 1


# ---------------------------------------------------------------------------------------- tolerance


def test_str_49_pings_and_comments_are_heartbeats():
    frames = sse(STREAMS["text_and_call"])
    noisy = b": keep-alive\n\n" + b"event: ping\ndata: {}\n\n".join([b"", *frames])
    events = decode(noisy)
    assert without_pings(events) == without_pings(decode(b"".join(frames)))
    assert len(events) > len(without_pings(events))


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"type": "brand_new", "x": 1}, id="an unknown event"),
        pytest.param(piece(0, type="brand_new_delta", x=1), id="an unknown delta"),
        pytest.param(piece(0, type="text_delta", text=""), id="an empty delta"),
        pytest.param(closed(7), id="a stop of nothing"),
    ],
)
def test_what_is_unknown_is_skipped(odd):
    stream = STREAMS["text"]
    assert read(*stream[:4], odd, *stream[4:]) == read(*stream)


def test_frames_without_an_event_line():
    data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in STREAMS["text"])
    assert isinstance(decode(data)[-1], ir.Finish)


def test_str_05_an_empty_text_block_is_no_part():
    events = read(
        START,
        opened(0, type="text", text=""),
        closed(0),
        opened(1, type="tool_use", id="t", name="f", input={}),
        closed(1),
        delta("tool_use"),
        STOPPED,
    )
    assert folded(events).parts == (ir.ToolCall(call_id="t", name="f"),)


def test_whole_inputs_and_texts_in_block_starts():
    events = read(
        START,
        opened(0, type="text", text="Hi"),
        closed(0),
        opened(1, type="tool_use", id="t", name="f", input={"a": 1}),
        closed(1),
        delta("tool_use"),
        STOPPED,
    )
    assert folded(events).parts == (
        ir.Text(text="Hi"),
        ir.ToolCall(call_id="t", name="f", arguments='{"a":1}'),
    )


def test_missing_block_stops():
    events = read(
        START,
        opened(0, type="thinking", thinking="", signature=""),
        piece(0, type="thinking_delta", thinking="t"),
        piece(0, type="signature_delta", signature="Eq"),
        delta(),
        STOPPED,
    )
    assert folded(events).parts == (ir.Reasoning(text="t", state=signed("Eq")),)


def test_missing_message_start_and_block_start():
    events = read(piece(0, type="text_delta", text="Hi"), closed(0), delta(), STOPPED)
    assert folded(events).parts == (ir.Text(text="Hi"),)


def test_a_signature_overwrites_and_an_empty_one_is_none():
    def thought(*signatures):
        return folded(
            read(
                START,
                opened(0, type="thinking", thinking="", signature=""),
                piece(0, type="thinking_delta", thinking="t"),
                *(piece(0, type="signature_delta", signature=value) for value in signatures),
                closed(0),
                delta(),
                STOPPED,
            )
        ).parts[0]

    assert thought("a", "b") == ir.Reasoning(text="t", state=signed("b"))
    assert thought("") == ir.Reasoning(text="t")
    assert thought() == ir.Reasoning(text="t")


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"event: x\ndata: {not json}\n\n", id="no JSON"),
        pytest.param(b"data: 7\n\n", id="no object"),
        pytest.param(b'data: {"type":"content_block_start","index":0}\n\n', id="no block"),
        pytest.param(
            b'data: {"type":"content_block_delta","index":0,"delta":7}\n\n', id="no delta"
        ),
        pytest.param(
            b'data: {"type":"content_block_delta","index":5,"delta":{"type":"input_json_delta",'
            b'"partial_json":"x"}}\n\n',
            id="arguments of nobody",
        ),
        pytest.param(
            b'data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use"}}\n\n',
            id="STR-02 a call without a name",
        ),
    ],
)
def test_a_malformed_frame_is_an_error(frame):
    events = decode(sse([START])[0] + frame + sse([delta(), STOPPED])[0])
    assert isinstance(events[-1], ir.StreamFailed)
    assert events[-1].error.kind is ErrorKind.UPSTREAM_MALFORMED


def test_an_error_of_another_shape():
    events = decode(b'data: {"error":{"message":"quota","type":"rate_limit_error"}}\n\n')
    assert events[-1].error.kind is ErrorKind.RATE_LIMITED


def test_an_unknown_block_is_recorded_and_in_strict_refused():
    stream = (START, opened(0, type="hologram", x=1), closed(0), delta(), STOPPED)
    assert isinstance(read(*stream)[-1], ir.Finish)
    assert isinstance(read(*stream, mode=Mode.STRICT)[-1], ir.StreamFailed)


# --------------------------------------------------------------------------------- calls and usage


@pytest.mark.parametrize(
    ("arguments", "reason", "complete"),
    [
        pytest.param('{"a":', "max_tokens", False, id="STOP-05 cut by the limit"),
        pytest.param('{"a":1}', "max_tokens", True, id="whole in spite of the limit"),
        pytest.param("", "max_tokens", False, id="nothing yet"),
        pytest.param('{"a":1}', "tool_use", True, id="whole"),
    ],
)
def test_the_limit_marks_the_last_call(arguments, reason, complete):
    events = read(
        START,
        opened(0, type="tool_use", id="t", name="f", input={}),
        piece(0, type="input_json_delta", partial_json=arguments),
        closed(0),
        delta(reason),
        STOPPED,
    )
    (end,) = [event for event in events if isinstance(event, ir.PartEnd)]
    assert end.complete is complete


def test_tool_names_are_restored():
    reading = Reading(provider="p", model="m", tools={"a__b": ir.ToolRef("b", "a")})
    events = read(
        START,
        opened(0, type="tool_use", id="t", name="a__b", input={}),
        closed(0),
        delta("tool_use"),
        STOPPED,
        reading=reading,
    )
    assert folded(events).parts[0].ref == ir.ToolRef("b", "a")


@pytest.mark.parametrize(
    ("first", "last", "wanted"),
    [
        pytest.param(
            {"input_tokens": 9, "output_tokens": 1},
            {"output_tokens": 5},
            ir.Usage(input_tokens=9, output_tokens=5),
            id="absent keeps",
        ),
        pytest.param(
            {"input_tokens": 9, "output_tokens": 1},
            {"input_tokens": None, "output_tokens": 5},
            ir.Usage(input_tokens=9, output_tokens=5),
            id="null keeps",
        ),
        pytest.param(
            {"input_tokens": 9, "output_tokens": 1},
            {"input_tokens": 0, "output_tokens": 5},
            ir.Usage(input_tokens=9, output_tokens=5),
            id="USE-07 a zero keeps",
        ),
        pytest.param(
            {"input_tokens": 0, "output_tokens": 0},
            {"input_tokens": 9, "output_tokens": 5, "cache_read_input_tokens": 4},
            ir.Usage(input_tokens=13, output_tokens=5, cache_read_tokens=4),
            id="only known at the end",
        ),
        pytest.param(
            {"input_tokens": 9, "output_tokens": 1},
            {"input_tokens": 20, "output_tokens": 5},
            ir.Usage(input_tokens=20, output_tokens=5),
            id="cumulative, not summed",
        ),
    ],
)
def test_usage_merges(first, last, wanted):
    start = {"type": "message_start", "message": {**START["message"], "usage": first}}
    end = {**delta(), "usage": last}
    assert folded(read(start, end, STOPPED)).usage == wanted


def test_a_paused_turn_keeps_its_open_call():
    use = STREAMS["citation_and_search"][1:4]
    response = folded(read(START, *use, delta("pause_turn"), STOPPED))
    assert response.finish_reason is FinishReason.PAUSE
    (part,) = response.parts
    assert isinstance(part, ir.Foreign)
    assert part.wire["input"] == {"query": "oslo"}


@pytest.mark.parametrize("name", FINISHED)
def test_a_folded_stream_is_the_whole_answer(name):
    """Fold the stream, write it, and read the whole answer: the same parts."""
    response = folded(read(*STREAMS[name]))
    losses = response_losses()
    body = TRANSLATOR.render_response(response, writing(), losses)
    assert losses.degradations == ()
    again = TRANSLATOR.parse_response(body, READING, losses)
    assert _with_arguments(again.parts) == _with_arguments(response.parts)
    assert again.finish_reason is response.finish_reason


def _with_arguments(parts):
    """An absent input and `{}` are the same on this wire."""
    return [
        (part.name, part.arguments or "{}") if isinstance(part, ir.ToolCall) else part
        for part in parts
    ]


# ----------------------------------------------------------------------------------------- observer


@pytest.mark.parametrize("name", list(STREAMS))
@pytest.mark.parametrize("step", [1, 7, 10**6])
def test_the_observer_sees_usage_and_end(name, step):
    data = b"".join(sse(STREAMS[name]))
    observer = TRANSLATOR.observer()
    for place in range(0, len(data), step):
        observer.feed(data[place : place + step])
    last = decode(data)[-1]
    assert observer.ended
    assert observer.usage == last.usage
    if isinstance(last, ir.Finish) and last.reason is not FinishReason.TOOL_CALLS:
        assert observer.finish_reason is last.reason


@pytest.mark.parametrize("name", FINISHED)
def test_the_observer_is_not_fooled_by_a_cut(name):
    observer = TRANSLATOR.observer()
    observer.feed(b"".join(sse(STREAMS[name])[:-1]))
    assert not observer.ended


def test_the_observer_never_raises():
    observer = TRANSLATOR.observer()
    for data in (b'data: {"message_\n\n', b'data: ["message_"]\n\n', b'data: "message_start"\n\n'):
        observer.feed(data)
    observer.feed(b'data: {"type":"message_delta","message_":1,"delta":7,"usage":7}\n\n')
    assert observer.usage == ir.NO_USAGE


def test_text_that_looks_like_a_marker_ends_nothing():
    text = '{"type":"message_stop"} "error" "message_'
    observer = TRANSLATOR.observer()
    observer.feed(b"".join(sse([START, piece(0, type="text_delta", text=text)])))
    assert not observer.ended


def test_fixtures_are_what_the_sdk_takes():
    for stream in STREAMS.values():
        strict_events(b"".join(sse(stream)))
