"""One socket's session by itself: lanes, limits and memory. Turns are ended by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from addons.endpoints import match
from addons.exchange import Exchange, Exchanges
from addons.local_socket import LocalSocket, SocketClose, SocketPing, SocketSend
from addons.responses_socket import (
    MAX_WAITING,
    Memory,
    ResponsesSession,
    ResponsesTurn,
    _Kept,
    current,
    turn_headers,
)
from addons.turns import CancelTurn, StartTurn
from config.models import Config
from translators import PROTOCOLS
from translators.openai_responses.socket import MAX_ACTIVE, MAX_LANES
from translators.sse import event_frame


class Driven:
    """A session whose turns a test ends."""

    def __init__(self, **config: Any) -> None:
        flow = tflow.tflow()
        flow.request.path = "/v1/responses"
        endpoint = match("/v1/responses")
        assert endpoint is not None
        self.exchanges = Exchanges()
        upgrade = Exchange(
            id="req_1",
            config=Config(**config),
            endpoint=endpoint,
            translator=PROTOCOLS["openai_responses"],
            created_s=0,
            started_s=0,
            presented_key="the-key",
        )
        self.session = ResponsesSession(self.exchanges, upgrade, flow.request)
        self.socket = LocalSocket(flow, self.session, [], 1000)
        self.session.opened(self.socket, 0.0)
        self.turns: list[ResponsesTurn] = []

    def create(self, lane: str | None = None, **fields: Any) -> list[Any]:
        event = {"type": "response.create", "model": "m", "input": "Hi", **fields}
        if lane is not None:
            event["stream_id"] = lane
        self.session.received(json.dumps(event))
        return self.did()

    def did(self) -> list[Any]:
        """What it wants done, messages parsed; turns are begun."""
        done: list[Any] = []
        while self.socket.todo:
            match self.socket.todo.popleft():
                case SocketSend(texts):
                    done += [json.loads(text) for text in texts]
                case StartTurn(turn):
                    assert isinstance(turn, ResponsesTurn)
                    turn.begin(tflow.tflow())
                    turn.head(http.Response.make(200))
                    self.turns.append(turn)
                    done.append(turn)
                case other:
                    done.append(other)
        return done

    def end(self, turn: ResponsesTurn, response_id: str, said: str = "x") -> list[Any]:
        item = {"type": "message", "role": "assistant", "content": said}
        response = {"id": response_id, "status": "completed", "output": [item]}
        turn.data(
            event_frame(
                "response.output_item.done",
                {"type": "response.output_item.done", "output_index": 0, "item": item},
            )
        )
        turn.data(
            event_frame("response.completed", {"type": "response.completed", "response": response})
        )
        turn.ended()
        return self.did()


def code_of(done: list[Any]) -> str:
    """The code of the one error among what was done."""
    (error,) = [event for event in done if isinstance(event, dict) and event["type"] == "error"]
    code: str = error["error"]["code"]
    return code


def test_a_turn_is_a_request_of_the_sockets_client() -> None:
    driven = Driven()
    (turn,) = driven.create(store=False)
    request = turn.request
    assert (request.method, request.path) == ("POST", "/v1/responses")
    assert json.loads(request.content) == {
        "model": "m",
        "input": "Hi",
        "store": False,
        "stream": True,
    }
    flow = tflow.tflow()
    turn.begin(flow)
    introduction = driven.exchanges.introduction(flow)
    assert introduction is not None
    assert introduction.key == "the-key"
    assert "the-key" not in repr(introduction)
    assert driven.exchanges.introduction(flow) is None


def test_turns_of_a_lane_wait_for_each_other_and_lanes_do_not() -> None:
    driven = Driven()
    (first,) = driven.create("a")
    assert driven.create("a") == []
    (other,) = driven.create("b")
    assert other.lane == "b"
    done = driven.end(first, "resp_1")
    assert [turn.lane for turn in done if isinstance(turn, ResponsesTurn)] == ["a"]


def test_a_lane_that_waits_keeps_its_order() -> None:
    driven = Driven()
    (turn,) = driven.create()
    for number in range(3):
        driven.create(input=f"next {number}")
    said = []
    for number in range(3):
        (turn,) = [t for t in driven.end(turn, f"resp_{number}") if isinstance(t, ResponsesTurn)]
        said.append(json.loads(turn.request.content)["input"])
    assert said == ["next 0", "next 1", "next 2"]


def test_so_many_turns_run_at_once_and_the_next_when_one_ends() -> None:
    driven = Driven()
    for number in range(MAX_ACTIVE + 2):
        driven.create(f"lane-{number}")
    assert len(driven.turns) == MAX_ACTIVE
    driven.end(driven.turns[0], "resp_1")
    assert len(driven.turns) == MAX_ACTIVE + 1


def test_one_lane_too_many_is_refused_and_the_others_serve_on() -> None:
    driven = Driven()
    for number in range(MAX_LANES):
        driven.create(f"lane-{number}")
    assert code_of(driven.create("one-more")) == "websocket_stream_limit_reached"
    for turn in driven.turns:  # grows meanwhile
        driven.end(turn, "resp_1")
    assert len(driven.turns) == MAX_LANES
    (turn,) = driven.create("lane-0")
    (turn,) = driven.create()
    assert turn.lane is None


def test_what_waits_is_bounded_in_number_and_in_bytes() -> None:
    driven = Driven()
    driven.create()
    for _ in range(MAX_WAITING):
        assert driven.create() == []
    assert code_of(driven.create()) == "rate_limit_exceeded"
    driven = Driven(limits={"max_request_bytes": 1000})
    driven.create()
    assert driven.create(input="x" * 600) == []
    assert code_of(driven.create(input="x" * 600)) == "rate_limit_exceeded"


def test_a_socket_that_is_left_cancels_what_runs_and_forgets_what_waits() -> None:
    driven = Driven()
    (turn,) = driven.create()
    driven.create()
    driven.socket.finish()
    assert driven.did() == [CancelTurn(turn)]
    driven.socket.finish()
    assert driven.did() == []


def test_a_turn_continues_the_newest_response_of_any_lane() -> None:
    driven = Driven()
    (first,) = driven.create("a", input="One")
    driven.end(first, "resp_1", "Two")
    (turn,) = driven.create("b", input="Three", previous_response_id="resp_1")
    sent = json.loads(turn.request.content)
    assert [item["content"] for item in sent["input"]] == ["One", "Two", "Three"]
    assert "previous_response_id" not in sent
    assert turn.asked is not None
    assert turn.asked["previous_response_id"] == "resp_1"
    driven.end(turn, "resp_2", "Four")
    (turn,) = driven.create("a", input="And?", previous_response_id="resp_2")
    assert len(json.loads(turn.request.content)["input"]) == 5


def test_the_order_to_compact_is_not_repeated() -> None:
    driven = Driven()
    message = {"type": "message", "role": "user", "content": "One"}
    (turn,) = driven.create(input=[message, {"type": "compaction_trigger"}])
    driven.end(turn, "resp_1")
    (turn,) = driven.create(input="Two", previous_response_id="resp_1")
    kinds = [item["type"] for item in json.loads(turn.request.content)["input"]]
    assert kinds == ["message", "message", "message"]


def test_what_it_does_not_hold_is_left_to_the_stages_behind() -> None:
    driven = Driven()
    (turn,) = driven.create(previous_response_id="resp_of_http")
    assert json.loads(turn.request.content)["previous_response_id"] == "resp_of_http"
    assert turn.asked is None


def test_a_turn_that_waited_sees_what_was_answered_meanwhile() -> None:
    driven = Driven()
    (first,) = driven.create(input="One")
    driven.create(input="Three", previous_response_id="resp_1")
    (turn,) = [t for t in driven.end(first, "resp_1", "Two") if isinstance(t, ResponsesTurn)]
    assert len(json.loads(turn.request.content)["input"]) == 3


@pytest.mark.parametrize("how", ["ended", "broken"])
def test_an_answer_without_an_end_is_an_error(how: str) -> None:
    driven = Driven()
    (turn,) = driven.create("a")
    getattr(turn, how)()
    (event,) = driven.did()
    assert (event["type"], event["status"], event["stream_id"]) == ("error", 502, "a")
    (again,) = driven.create("a")
    assert again is not turn


def test_a_heartbeat_becomes_a_ping() -> None:
    driven = Driven()
    (turn,) = driven.create()
    turn.data(b": keep-alive\n\n")
    assert driven.did() == [SocketPing()]


def test_an_old_socket_takes_no_turn_and_ends_when_nothing_runs() -> None:
    driven = Driven(websocket={"lifetime_s": 10})
    (turn,) = driven.create()
    driven.session.tick(9.0)
    assert driven.did() == [SocketPing()]
    driven.session.tick(10.0)
    assert driven.did() == []
    assert code_of(driven.create()) == "websocket_connection_limit_reached"
    done = driven.end(turn, "resp_1")
    assert done[-2]["error"]["code"] == "websocket_connection_limit_reached"
    assert isinstance(done[-1], SocketClose)


def test_memory_is_bounded_and_the_longest_unused_goes_first() -> None:
    memory = Memory(100)
    memory.keep("a", _Kept("resp_a", (), 40))
    memory.keep("b", _Kept("resp_b", (), 40))
    memory.keep("a", _Kept("resp_a2", (), 50))
    assert memory.find("resp_a") is None
    assert memory.find("resp_a2") is not None
    memory.keep("c", _Kept("resp_c", (), 40))
    assert memory.find("resp_b") is None
    assert memory.lane_of("resp_a2") == "a"
    memory.keep("d", _Kept("resp_d", (), 101))
    assert memory.find("resp_d") is None
    assert memory.find("resp_c") is not None


def test_headers_of_the_upgrade_stay_behind_and_values_of_the_turn_come_in() -> None:
    upgrade = http.Request.make(
        "GET",
        "http://gateway/v1/responses",
        headers={
            "host": "gateway",
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-key": "x",
            "openai-beta": "responses_websockets=2026-02-06",
            "session-id": "s",
            "x-codex-turn-metadata": "old",
            "x-other": "kept",
        },
    )
    headers = turn_headers(upgrade)
    assert set(headers) == {
        "host", "session-id", "x-codex-turn-metadata", "x-other", "content-type", "accept",
    }  # fmt: skip
    metadata = {"x-codex-turn-metadata": "new", "x-other": "a\nb", "x-unknown": "y", "host": "z"}
    refreshed = current(headers, metadata)
    assert refreshed["x-codex-turn-metadata"] == "new"
    assert refreshed["x-other"] == "kept"
    assert refreshed["host"] == headers["host"]
    assert "x-unknown" not in refreshed
    assert headers["x-codex-turn-metadata"] == "old"
