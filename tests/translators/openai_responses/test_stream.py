"""The decoder and the observer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.translators.openai_responses.support import (
    BROKEN,
    READING,
    STREAMS,
    decode,
    fold,
    sse,
)
from translators import ir
from translators.base import Reading
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses
from translators.openai_responses import TRANSLATOR
from translators.openai_responses.response import parse_response
from translators.wire import loads

Events = list[dict[str, Any]]
ALL = [*STREAMS, *BROKEN]

stream_case = pytest.mark.parametrize(
    "stream", [pytest.param(s, id=s[0]["response"]["id"]) for s in ALL]
)


def created(**fields: Any) -> dict[str, Any]:
    """The first event."""
    return {"type": "response.created", "response": {"id": "resp_1", "model": "m", **fields}}


def completed(*output: Any, **fields: Any) -> dict[str, Any]:
    """The last event."""
    response = {"id": "resp_1", "status": "completed", "output": list(output), **fields}
    return {"type": "response.completed", "response": response}


def added(index: int, **item: Any) -> dict[str, Any]:
    """An item opens."""
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int, **item: Any) -> dict[str, Any]:
    """An item closes."""
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def run(*events: dict[str, Any], losses: Losses | None = None) -> ir.Response:
    """What a stream folds to."""
    return fold(decode(sse(events), losses=losses))


# ------------------------------------------------------------------------------------- fixtures


@stream_case
def test_any_chunking_gives_the_same_events(stream: Events) -> None:
    data = sse(stream)
    whole = _said(decode(data))
    assert _said(decode(data[i : i + 1] for i in range(len(data)))) == whole
    crlf = data.replace(b"\n", b"\r\n")
    assert _said(decode(crlf)) == whole
    for cut in range(len(data)):
        assert _said(decode((data[:cut], data[cut:]))) == whole


def _said(events: list[ir.StreamEvent]) -> list[str]:
    """Events as text: errors have no equality of their own."""
    return [repr(event) for event in events]


@pytest.mark.parametrize("stream", [pytest.param(s, id=s[0]["response"]["id"]) for s in STREAMS])
def test_str_25_a_stream_cut_after_any_frame_fails(stream: Events) -> None:
    for count in range(len(stream)):
        events = decode(sse(stream[:count]))
        failure = events[-1]
        assert isinstance(failure, ir.StreamFailed)
        assert failure.error.kind is ErrorKind.UPSTREAM_CUT
        assert not any(isinstance(event, ir.Finish) for event in events)


@pytest.mark.parametrize("stream", [pytest.param(s, id=s[0]["response"]["id"]) for s in STREAMS])
def test_a_stream_says_what_its_final_object_says(stream: Events) -> None:
    losses = Losses()
    folded = fold(decode(sse(stream), losses=losses))
    whole = parse_response(stream[-1]["response"], READING, losses)
    assert folded.parts == tuple(_without_ids(part) for part in whole.parts)
    assert (folded.finish_reason, folded.usage) == (whole.finish_reason, whole.usage)
    assert losses.degradations == ()


def _without_ids(part: ir.Part) -> ir.Part:
    """A stream learns the id of a reasoning item too late to tell it with the part's head."""
    if isinstance(part, ir.Reasoning):
        return ir.Reasoning(text=part.text, state=part.state)
    return part


def test_the_transport_error_is_the_failure() -> None:
    decoder = TRANSLATOR.decoder(READING, Losses())
    decoder.feed(sse([created()]))
    error = GatewayError(ErrorKind.TIMEOUT, "slow")
    [failure] = decoder.close(error)
    assert isinstance(failure, ir.StreamFailed)
    assert failure.error is error


# ------------------------------------------------------------------------------------- pitfalls


def _call(**fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", **fields}


@pytest.mark.parametrize(
    "middle",
    [
        pytest.param(
            [{"type": "response.function_call_arguments.done", "output_index": 0, "item_id": "fc_1", "arguments": '{"a":1}'},
             done(0, **_call(arguments='{"a":1}'))],
            id="only in arguments.done",
        ),
        pytest.param([done(0, **_call(arguments='{"a":1}'))], id="only in output_item.done"),
        pytest.param([], id="only in the terminal output"),
        pytest.param(
            [{"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_1", "delta": '{"a":'},
             {"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_1", "delta": "1}"},
             {"type": "response.function_call_arguments.done", "output_index": 0, "item_id": "fc_1", "arguments": '{"a":1}'},
             done(0, **_call(arguments='{"a":1}'))],
            id="in deltas, never twice",
        ),
    ],
)  # fmt: skip
def test_str_15_arguments_arrive_once(middle: Events) -> None:
    events = decode(
        sse(
            [
                created(),
                added(0, **_call(arguments="")),
                *middle,
                completed(_call(arguments='{"a":1}')),
            ]
        )
    )
    [call] = fold(events).parts
    assert isinstance(call, ir.ToolCall)
    assert (call.call_id, call.name, call.arguments) == ("c1", "f", '{"a":1}')


@pytest.mark.parametrize(
    "place",
    [
        pytest.param({"item_id": "rotated", "output_index": 0}, id="another id, the same index"),
        pytest.param({"item_id": "rotated"}, id="another id, no index: the current item"),
        pytest.param({"item_id": "fc_1"}, id="only the id"),
    ],
)
def test_str_16_ids_that_change(place: dict[str, Any]) -> None:
    response = run(
        created(),
        added(0, **_call(arguments="")),
        {"type": "response.function_call_arguments.delta", **place, "delta": "{}"},
        done(0, **_call(id="again another", arguments="{}")),
        completed(),
    )
    [call] = response.parts
    assert isinstance(call, ir.ToolCall)
    assert call.arguments == "{}"


def test_str_11_interleaved_calls_come_out_one_after_the_other() -> None:
    def delta(index: int, text: str) -> dict[str, Any]:
        kind = "response.function_call_arguments.delta"
        return {"type": kind, "output_index": index, "item_id": f"fc_{index}", "delta": text}

    response = run(
        created(),
        added(0, **_call(id="fc_0", call_id="a", name="f", arguments="")),
        added(1, **_call(id="fc_1", call_id="b", name="g", arguments="")),
        delta(1, '{"b":'),
        delta(0, '{"a":1}'),
        delta(1, "2}"),
        done(1, **_call(id="fc_1", call_id="b", name="g", arguments='{"b":2}')),
        done(0, **_call(id="fc_0", call_id="a", name="f", arguments='{"a":1}')),
        completed(),
    )
    calls = [part for part in response.parts if isinstance(part, ir.ToolCall)]
    assert [(c.call_id, c.arguments) for c in calls] == [("a", '{"a":1}'), ("b", '{"b":2}')]
    assert response.finish_reason is ir.FinishReason.TOOL_CALLS


def test_str_02_a_call_waits_for_its_name() -> None:
    response = run(
        created(),
        added(0, type="function_call", id="fc_1", arguments=""),
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"},
        done(0, **_call(arguments="{}")),
        completed(),
    )
    assert response.parts == (ir.ToolCall(call_id="c1", name="f", arguments="{}", item_id="fc_1"),)


def test_stop_10_a_call_that_nobody_can_name_fails_the_turn() -> None:
    events = decode(
        sse([created(), done(0, type="function_call", call_id="c", arguments="{}"), completed()])
    )
    assert isinstance(events[-1], ir.StreamFailed)


def test_id_08_a_call_without_any_id_gets_one() -> None:
    stream = [
        created(),
        done(0, type="function_call", name="f", arguments="{}"),
        done(1, type="function_call", name="f", arguments="{}"),
        completed(),
    ]
    first, second = run(*stream).parts
    assert isinstance(first, ir.ToolCall)
    assert isinstance(second, ir.ToolCall)
    assert first.call_id.startswith("call_")
    assert first.call_id != second.call_id
    assert run(*stream).parts == (first, second)


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        pytest.param(
            {"type": "response.failed", "response": {"id": "resp_1", "status": "failed", "error": {"code": "rate_limit_exceeded", "message": "Try again in 3s."}}},
            ErrorKind.RATE_LIMITED, "Try again in 3s.", id="failed",
        ),
        pytest.param(
            {"type": "response.failed", "response": {"status": "failed", "error": None}},
            ErrorKind.SERVER_ERROR, "the provider failed to answer", id="failed without a reason",
        ),
        pytest.param(
            {"type": "error", "code": "context_length_exceeded", "message": "too long", "param": None},
            ErrorKind.CONTEXT_TOO_LONG, "too long", id="flat error",
        ),
        pytest.param(
            {"type": "error", "error": {"type": "server_error", "code": "server_is_overloaded", "message": "busy"}},
            ErrorKind.OVERLOADED, "busy", id="nested error",
        ),
        pytest.param(
            {"type": "error", "error": {"message": "nope", "code": "insufficient_quota"}},
            ErrorKind.BILLING, "nope", id="quota",
        ),
        pytest.param(
            {"type": "response.completed", "response": {"id": "resp_1", "status": "failed", "error": {"code": "server_error", "message": "x"}}},
            ErrorKind.SERVER_ERROR, "x", id="completed that is not",
        ),
        pytest.param(
            {"type": "response.cancelled", "response": {"id": "resp_1", "status": "cancelled"}},
            ErrorKind.CANCELLED, "the provider cancelled the response", id="cancelled",
        ),
    ],
)  # fmt: skip
def test_str_30_failures_are_failures(event: dict[str, Any], kind: ErrorKind, message: str) -> None:
    for stream in ([event], [created(), event]):
        failure = decode(sse(stream))[-1]
        assert isinstance(failure, ir.StreamFailed)
        assert (failure.error.kind, failure.error.message) == (kind, message)


def test_err_07_the_delay_in_a_message_is_heard() -> None:
    event = {"type": "error", "code": "rate_limit_exceeded", "message": "Please try again in 3s."}
    failure = decode(sse([event]))[-1]
    assert isinstance(failure, ir.StreamFailed)
    assert failure.error.retry_after_s == 3


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"data: {oops\n\n", id="no JSON"),
        pytest.param(b'data: ["a"]\n\n', id="no object"),
        pytest.param(b'data: {"type":"response.output_text.delta"}\n\n', id="no delta"),
        pytest.param(b'data: {"type":"response.created","response":"x"}\n\n', id="odd response"),
    ],
)
def test_a_frame_that_cannot_be_read_is_a_failure(data: bytes) -> None:
    failure = decode(data)[-1]
    assert isinstance(failure, ir.StreamFailed)
    assert failure.error.kind is ErrorKind.UPSTREAM_MALFORMED


def test_unknown_events_and_comments_are_not_errors() -> None:
    data = b': keep-alive\n\nevent: response.audio.delta\ndata: {"type":"response.audio.delta"}\n\n'
    events = decode((data, sse([created(), completed()])))
    assert not any(isinstance(event, ir.StreamFailed) for event in events)
    assert ir.Ping() in events


def test_nothing_counts_after_the_end() -> None:
    late = {"type": "response.output_text.delta", "output_index": 9, "delta": "late"}
    assert run(created(), completed(), late).parts == ()


def _summary(kind: str, index: int, **fields: Any) -> dict[str, Any]:
    place = {"output_index": 0, "item_id": "rs_1", "summary_index": index}
    return {"type": f"response.reasoning_summary_{kind}", **place, **fields}


def test_str_44_summary_parts_are_one_reasoning() -> None:
    response = run(
        created(),
        added(0, type="reasoning", id="rs_1", summary=[], encrypted_content="early"),
        _summary("part.added", 0, part={"type": "summary_text", "text": ""}),
        _summary("text.delta", 0, delta="One"),
        _summary("text.delta", 0, delta="."),
        _summary("text.done", 0, text="One."),
        _summary("part.done", 0, part={"type": "summary_text", "text": "One."}),
        _summary("part.added", 1, part={"type": "summary_text", "text": ""}),
        _summary("text.delta", 1, delta="Two."),
        _summary("text.done", 1, text="Two."),
        _summary("text.done", 2, text="Three."),
        done(0, type="reasoning", id="rs_1", summary=[], encrypted_content="final"),
        completed(),
    )
    state = ir.OpaqueState(
        kind=ir.StateKind.RESPONSES_ENCRYPTED, value="final", provider="p", model="m"
    )
    assert response.parts == (ir.Reasoning(text="One.\n\nTwo.\n\nThree.", state=state),)


@pytest.mark.parametrize(
    "middle",
    [
        pytest.param(
            [{"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "raw"},
             {"type": "response.reasoning_text.done", "output_index": 0, "content_index": 0, "text": "raw"}],
            id="raw deltas",
        ),
        pytest.param(
            [{"type": "response.reasoning_text.done", "output_index": 0, "content_index": 0, "text": "raw"}],
            id="raw text at once",
        ),
        pytest.param([], id="only in the item"),
    ],
)  # fmt: skip
def test_prv_08_raw_reasoning_of_other_vendors(middle: Events) -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    content = [{"type": "reasoning_text", "text": "raw"}]
    response = run(
        created(), added(0, **item), *middle, done(0, **item, content=content), completed()
    )
    [part] = response.parts
    assert isinstance(part, ir.Reasoning)
    assert (part.text, part.state) == ("raw", None)


def test_reasoning_without_text_or_state_is_no_part() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    assert run(created(), added(0, **item), done(0, **item), completed(item)).parts == ()


def test_hidden_reasoning_keeps_its_state() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    [part] = run(created(), added(0, **item), done(0, **item), completed(item)).parts
    assert isinstance(part, ir.Reasoning)
    assert part.text == ""
    assert part.state is not None
    assert part.state.value == "gAAA"


def test_str_05_empty_text_is_no_part() -> None:
    message = {"type": "message", "id": "msg_1", "role": "assistant"}
    content = [{"type": "output_text", "text": "", "annotations": []}]
    response = run(
        created(),
        added(0, **message, content=[]),
        {"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": content[0]},
        {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": ""},
        done(0, **message, content=content),
        done(1, **_call(arguments="{}")),
        completed(),
    )  # fmt: skip
    assert [type(part) for part in response.parts] == [ir.ToolCall]


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(
            lambda item: [{"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hi"}, done(0, **item)],
            id="text.done",
        ),
        pytest.param(lambda item: [done(0, **item)], id="output_item.done"),
        pytest.param(lambda _item: [], id="the terminal output"),
    ],
)  # fmt: skip
def test_text_that_comes_without_deltas(
    tail: Callable[[dict[str, Any]], Events],
) -> None:
    content = [{"type": "output_text", "text": "Hi", "annotations": []}]
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": content}
    response = run(created(), *tail(item), completed(item))
    assert response.parts == (ir.Text(text="Hi"),)


def test_a_final_text_that_differs_is_recorded_and_the_deltas_stand() -> None:
    losses = Losses()
    place = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
    response = run(
        created(),
        {"type": "response.output_text.delta", **place, "delta": "Hello"},
        {"type": "response.output_text.done", **place, "text": "Bye"},
        completed(),
        losses=losses,
    )
    assert response.parts == (ir.Text(text="Hello"),)
    assert [d.reason for d in losses.degradations] == ["a final text differs from its deltas"]


def test_cit_03_a_search_is_read_when_it_is_done_and_once() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    full = {
        **search,
        "action": {
            "type": "search",
            "query": "oslo",
            "sources": [{"type": "url", "url": "https://yr.no"}],
        },
    }
    response = run(
        created(),
        added(0, **search),
        {"type": "response.web_search_call.in_progress", "output_index": 0, "item_id": "ws_1"},
        done(0, **full),
        done(1, **full),
        completed(full),
    )  # fmt: skip
    [part] = response.parts
    assert isinstance(part, ir.WebSearch)
    assert (part.query, part.sources) == ("oslo", (ir.WebSource(url="https://yr.no"),))
    assert response.finish_reason is ir.FinishReason.STOP


def test_stop_05_a_call_that_the_limit_cut() -> None:
    response = run(
        created(),
        added(0, **_call(arguments="")),
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a'},
        {
            "type": "response.incomplete",
            "response": {
                "id": "resp_1",
                "status": "incomplete",
                "incomplete_details": {"reason": "max_output_tokens"},
                "output": [_call(arguments='{"a', status="incomplete")],
            },
        },
    )
    [call] = response.parts
    assert isinstance(call, ir.ToolCall)
    assert (call.arguments, call.complete) == ('{"a', False)
    assert response.finish_reason is ir.FinishReason.LENGTH


def test_a_refusal_is_a_refusal() -> None:
    place = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
    response = run(
        created(),
        {"type": "response.refusal.delta", **place, "delta": "No"},
        {"type": "response.refusal.delta", **place, "delta": "."},
        {"type": "response.refusal.done", **place, "refusal": "No."},
        completed(),
    )
    assert response.parts == (ir.Refusal(text="No."),)
    assert response.finish_reason is ir.FinishReason.REFUSAL
    assert response.explanation == "No."


@pytest.mark.parametrize("early", [True, False])
def test_annotations_that_only_the_finished_part_tells(early: bool) -> None:
    note = {
        "type": "url_citation",
        "start_index": 0,
        "end_index": 2,
        "title": "T",
        "url": "https://e.com",
    }
    place = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
    content = [{"type": "output_text", "text": "Hi", "annotations": [note]}]
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": content}
    delta = {"type": "response.output_text.delta", **place, "delta": "Hi"}
    response = run(created(), *([delta] if early else []), done(0, **item), completed(item))
    citation = ir.UrlCitation(url="https://e.com", title="T", start=0, end=2)
    assert response.parts == (ir.Text(text="Hi", citations=(citation,)),)


def test_names_come_back_as_the_client_declared_them() -> None:
    reading = Reading(provider="p", model="m", tools={"crm__get": ir.ToolRef("get", "crm")})
    stream = [created(), done(0, **_call(name="crm__get", arguments="{}")), completed()]
    [call] = fold(decode(sse(stream), reading)).parts
    assert isinstance(call, ir.ToolCall)
    assert call.ref == ir.ToolRef("get", "crm")


def test_logprobs_ride_on_their_deltas() -> None:
    value = {
        "token": "H",
        "bytes": [72],
        "logprob": -0.5,
        "top_logprobs": [{"token": "J", "logprob": -1.0}],
    }
    place = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
    events = decode(
        sse([created(), {"type": "response.output_text.delta", **place, "delta": "H", "logprobs": [value]}, completed()])
    )  # fmt: skip
    [delta] = [event for event in events if isinstance(event, ir.PartDelta)]
    assert delta.logprobs == (
        ir.TokenLogprob(
            token="H", logprob=-0.5, bytes=(72,), top=(ir.TokenLogprob(token="J", logprob=-1.0),)
        ),
    )


def test_annotations_are_citations_of_their_part() -> None:
    note = {
        "type": "url_citation",
        "start_index": 0,
        "end_index": 2,
        "title": "T",
        "url": "https://e.com",
    }
    place = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
    response = run(
        created(),
        {"type": "response.output_text.delta", **place, "delta": "Hi"},
        {"type": "response.output_text.annotation.added", **place, "annotation_index": 0, "annotation": note},
        completed(),
    )  # fmt: skip
    citation = ir.UrlCitation(url="https://e.com", title="T", start=0, end=2)
    assert response.parts == (ir.Text(text="Hi", citations=(citation,)),)


# ------------------------------------------------------------------------------------- observer


@stream_case
def test_the_observer_sees_how_a_stream_ends(stream: Events) -> None:
    data = sse(stream)
    observer = TRANSLATOR.observer()
    for position in range(len(data) - 1):
        observer.feed(data[position : position + 1])
    assert not observer.ended
    observer.feed(data[-1:])
    assert observer.ended
    if stream in BROKEN:
        assert observer.finish_reason is None
    else:
        folded = fold(decode(data))
        assert observer.usage == folded.usage
        refused = folded.finish_reason is ir.FinishReason.REFUSAL
        assert observer.finish_reason is (ir.FinishReason.STOP if refused else folded.finish_reason)


def test_the_observer_reads_frames_without_names_and_survives_rubbish() -> None:
    observer = TRANSLATOR.observer()
    observer.feed(
        b'data: {"type":"response.completed","response":{"usage":{"input_tokens":3}}}\n\n'
    )
    assert observer.ended
    assert observer.usage.input_tokens == 3
    broken = TRANSLATOR.observer()
    broken.feed(b"event: response.completed\ndata: {nope\n\n")
    assert not broken.ended


def test_a_passed_stream_that_is_cut_fails_as_the_response_that_it_began() -> None:
    """Pitfalls ERR-07: Codex reads `response.failed`, not a plain `error` event."""
    observer = TRANSLATOR.observer()
    cut = GatewayError(ErrorKind.UPSTREAM_CUT, "upstream stream ended early")
    assert observer.failure(cut) == b""
    observer.feed(sse([created(status="in_progress"), {"type": "response.in_progress"}]))
    event, data = observer.failure(cut).strip().split(b"\n")
    assert event == b"event: response.failed"
    assert loads(data.removeprefix(b"data: ")) == {
        "type": "response.failed",
        "response": {
            "id": "resp_1",
            "model": "m",
            "status": "failed",
            "error": {"code": "server_error", "message": "upstream stream ended early"},
        },
        "sequence_number": 2,
    }
