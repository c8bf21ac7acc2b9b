"""What clients say over a WebSocket, and what a turn's answer looks like in messages."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter

from translators.errors import ErrorKind, GatewayError
from translators.openai_responses import socket as wire
from translators.sse import event_frame

EVENT: TypeAdapter[Any] = TypeAdapter(ResponsesServerEvent)


def checked(text: str) -> dict[str, Any]:
    """A message as the official SDK accepts it."""
    event: dict[str, Any] = json.loads(text)
    EVENT.validate_python(event)
    return event


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(event_frame(event["type"], event) for event in events)


MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"} | {
    "content": [{"type": "output_text", "text": "Hi", "annotations": []}]
}
CREATED = {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1"}}
DONE = {
    "type": "response.output_item.done",
    "sequence_number": 1,
    "output_index": 0,
    "item": MESSAGE,
}


def completed(status: str = "completed", **response: Any) -> dict[str, Any]:
    return {
        "type": f"response.{status}",
        "sequence_number": 2,
        "response": {"id": "resp_1", "status": status, **response},
    }


# --- what clients say


@pytest.mark.parametrize(
    ("text", "path", "code"),
    [
        pytest.param("nope", None, "invalid_json", id="no JSON"),
        pytest.param('"text"', "$", None, id="no object"),
        pytest.param("{}", "type", None, id="no type"),
        pytest.param('{"type": 1}', "type", None, id="a type that is no text"),
    ],
)
def test_a_message_that_cannot_be_read(text: str, path: str | None, code: str | None) -> None:
    with pytest.raises(GatewayError) as refused:
        wire.read_event(text)
    assert (refused.value.path, refused.value.code) == (path, code)
    assert refused.value.kind is ErrorKind.INVALID_REQUEST


@pytest.mark.parametrize(
    "lane",
    ["", "a b", "ä", "x" * 257, 5, None, 'a"b'],
    ids=["empty", "a space", "no ASCII", "too long", "a number", "null", "a quote"],
)
def test_a_lane_needs_a_plain_name(lane: Any) -> None:
    with pytest.raises(GatewayError) as refused:
        wire.lane_of({"stream_id": lane})
    assert (refused.value.path, refused.value.code) == ("stream_id", "invalid_stream_id")


def test_lanes_that_are_one() -> None:
    assert wire.lane_of({}) is None
    assert wire.lane_of({"stream_id": "agent_1.a-b"}) == "agent_1.a-b"


def test_the_body_is_that_of_a_streamed_request() -> None:
    event = {"type": "response.create", "stream_id": "a", "generate": True, "background": False}
    assert wire.request_body(event | {"model": "m", "stream": False, "new_field": 1}) == {
        "model": "m",
        "stream": True,
        "new_field": 1,
    }


def test_nothing_runs_in_the_background() -> None:
    with pytest.raises(GatewayError) as refused:
        wire.request_body({"background": True})
    assert refused.value.path == "background"


@pytest.mark.parametrize(
    ("given", "path"),
    [(5, "input"), ({}, "input"), (["Hi"], "input[0]"), ([{}, None], "input[1]")],
)
def test_input_that_is_none(given: Any, path: str) -> None:
    with pytest.raises(GatewayError) as refused:
        wire.new_items({"input": given})
    assert refused.value.path == path


def test_input_as_items() -> None:
    assert wire.new_items({}) == []
    assert wire.new_items({"input": "Hi"})[0]["content"] == "Hi"


@pytest.mark.parametrize(("value", "wanted"), [(True, True), (False, False), (None, True)])
def test_whether_an_answer_is_wanted(value: Any, wanted: bool) -> None:
    assert wire.generates({"generate": value}) is wanted
    assert wire.generates({}) is True


# --- answers without an upstream


def test_a_warmed_request_has_an_empty_answer_of_the_usual_form() -> None:
    body = {"model": "m", "instructions": "Be brief.", "previous_response_id": "resp_0"}
    items = [{"type": "message", "role": "user", "content": "Hi"}]
    events = wire.TurnEvents("a")
    said = [checked(t) for t in events.feed(wire.warmed_up(body, items, "resp_1", 1))]
    kinds = ["response.created", "response.in_progress", "response.completed"]
    assert [event["type"] for event in said] == kinds
    assert {event["stream_id"] for event in said} == {"a"}
    response = said[-1]["response"]
    assert (response["id"], response["output"], response["usage"]) == ("resp_1", [], None)
    assert response["previous_response_id"] == "resp_0"
    assert events.ended
    assert events.keepable


def test_a_request_that_could_not_be_answered_is_not_warmed() -> None:
    with pytest.raises(GatewayError) as refused:
        wire.warmed_up({"model": "m", "temperature": "hot"}, [], "resp_1", 1)
    assert refused.value.path == "temperature"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"previous_response_id": "resp_1", "input": "Stop"}, "steering_not_supported"),
        ({"previous_response_id": "resp_1"}, "invalid_input"),
        ({"previous_response_id": 7, "input": {}}, "invalid_input"),
    ],
)
def test_steering_gives_the_input_back(given: dict[str, Any], code: str) -> None:
    failed = checked(wire.steer_failed({"type": "response.steer", **given}, "a"))
    assert failed["error"]["code"] == code
    if code == "steering_not_supported":
        assert failed["steer"] == given


# --- errors


def test_our_errors_carry_status_and_delay() -> None:
    error = GatewayError(ErrorKind.RATE_LIMITED, "slow down", retry_after_s=3.2)
    event = checked(wire.refusal(error, None))
    assert event["status"] == 429
    assert event["headers"]["retry-after"] == event["error"]["headers"]["retry-after"] == "4"
    assert "stream_id" not in event


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "no", "type": "t", "code": "c"}}', "no"),
        (b'{"error": "no"}', "no"),
        (b"<html>", "HTTP status 502"),
        (b"[]", "HTTP status 502"),
    ],
)
def test_an_error_body_becomes_an_event(body: bytes, message: str) -> None:
    headers = {"Retry-After": "2", "Content-Type": "text/html", "Transfer-Encoding": "chunked"}
    event = checked(wire.http_error(502, headers, body, "a"))
    assert event["status"] == 502
    assert event["error"]["message"] == message
    assert event["headers"] == {"retry-after": "2"}


def test_the_limits_have_the_codes_that_clients_know() -> None:
    assert wire.lane_limit().code == "websocket_stream_limit_reached"
    limit = checked(wire.refusal(wire.connection_limit(3600), None))
    assert limit["error"]["code"] == "websocket_connection_limit_reached"
    assert "(60 minutes)" in limit["error"]["message"]
    assert limit["status"] == 400


# --- a turn's events


@given(cuts=st.lists(st.integers(0, 400), max_size=8))
def test_any_cut_of_the_stream_gives_the_same_messages(cuts: list[int]) -> None:
    data = stream(CREATED, DONE, completed(output=[MESSAGE])) + b"data: [DONE]\n\n"
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    events = wire.TurnEvents(None)
    said: list[str] = []
    for start, end in itertools.pairwise(edges):
        if end > start:
            said += events.feed(data[start:end])
    said += events.feed(b"")
    assert [json.loads(text) for text in said] == [CREATED, DONE, completed(output=[MESSAGE])]
    assert events.output == [MESSAGE]
    assert events.response_id == "resp_1"
    assert events.size_bytes > 0


@pytest.mark.parametrize(
    ("last", "keepable"),
    [
        (completed(output=[MESSAGE]), True),
        (completed("incomplete", output=[MESSAGE]), True),
        (completed("failed", error={"code": "server_error", "message": "x"}), False),
    ],
)
def test_only_what_ended_well_can_be_continued(last: dict[str, Any], keepable: bool) -> None:
    events = wire.TurnEvents(None)
    events.feed(stream(CREATED, last))
    assert events.ended
    assert events.keepable is keepable


def test_a_cut_stream_has_not_ended() -> None:
    events = wire.TurnEvents(None)
    events.feed(stream(CREATED, DONE))
    events.feed(b"")
    assert not events.ended
    assert not events.keepable


@pytest.mark.parametrize("told", [{}, {"output": []}, {"output": None}], ids=str)
def test_items_that_the_end_leaves_out_are_kept(told: dict[str, Any]) -> None:
    second = DONE | {"output_index": 1, "item": MESSAGE | {"id": "msg_2"}}
    events = wire.TurnEvents(None)
    events.feed(stream(CREATED, second, DONE, completed(**told)))
    assert [item["id"] for item in events.output] == ["msg_1", "msg_2"]


@pytest.mark.parametrize("name", [b"", b"event: message\n"], ids=["none", "always the same"])
def test_upstreams_that_do_not_name_their_events(name: bytes) -> None:
    events = wire.TurnEvents(None)
    for event in (CREATED, DONE, completed()):
        events.feed(name + b"data: " + json.dumps(event).encode() + b"\n\n")
    assert events.ended
    assert events.output == [MESSAGE]


def test_nothing_comes_after_the_end() -> None:
    events = wire.TurnEvents(None)
    assert len(events.feed(stream(completed(), CREATED, completed()))) == 1


def test_a_bare_error_gets_the_status_of_what_went_wrong() -> None:
    bare = stream({"type": "error", "sequence_number": 0, "code": "c", "message": "m"})
    known = GatewayError(ErrorKind.OVERLOADED, "busy")
    event = checked(wire.TurnEvents("a").feed(bare, lambda: known)[0])
    assert (event["status"], event["error"]["message"], event["stream_id"]) == (503, "busy", "a")
    unknown = checked(wire.TurnEvents(None).feed(bare)[0])
    assert (unknown["status"], unknown["error"]["code"]) == (500, "c")


def test_a_nested_error_of_an_upstream_keeps_its_own_words() -> None:
    inner = {"type": "usage_limit_reached", "code": None, "message": "used up", "param": None}
    data = stream({"type": "error", "status": 429, "error": inner})
    event = checked(wire.TurnEvents(None).feed(data)[0])
    assert (event["status"], event["error"]) == (429, inner)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (b'data: {"type":"x"}\n\n', '{"stream_id":"a","type":"x"}'),
        (b"event: x\ndata: {}\n\n", '{"stream_id":"a"}'),
        (b"event: x\ndata: { }\n\n", '{"stream_id":"a" }'),
        (b'event: x\ndata: {"a":\ndata: 1}\n\n', '{"stream_id":"a","a":\n1}'),
        (b'event: x\ndata: {"a":"\xff"}\n\n', '{"stream_id":"a","a":"\ufffd"}'),
    ],
    ids=["no event line", "empty", "empty with a space", "two lines", "no UTF-8"],
)
def test_a_lane_is_named_in_front(frame: bytes, text: str) -> None:
    assert wire.TurnEvents("a").feed(frame) == [text]
    json.loads(text)


@pytest.mark.parametrize("frame", [b"data: [DONE]\n\n", b": ping\n\n", b"event: x\n\n"])
def test_what_is_no_event_is_left_out(frame: bytes) -> None:
    assert wire.TurnEvents(None).feed(frame) == []
