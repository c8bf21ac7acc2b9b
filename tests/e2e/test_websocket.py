"""The Responses API over a WebSocket, through a real mitmdump to all four upstream protocols."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from scripts.fake import FakeProvider
from tests.support.gateway import KEY, Gateway, free_port
from tests.support.providers import PROVIDERS, four_providers, provider
from tests.support.websocket import PATIENCE_S, Socket, opened, text_of

SHELL = {
    "type": "function",
    "name": "shell",
    "description": "Run a command.",
    "parameters": {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
        "additionalProperties": False,
    },
    "strict": False,
}


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait for something that the other side of a connection does."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def socket(gateway: Gateway) -> Iterator[Socket]:
    """A socket to the shared gateway."""
    with opened(gateway) as one:
        yield one


# --- turns


@pytest.mark.parametrize("upstream", PROVIDERS)
def test_ws_01_turns_of_one_socket(socket: Socket, fake: FakeProvider, upstream: str) -> None:
    for said in ("Hi", "Hi again"):
        response = socket.turn(f"{upstream}/test-model", said)
        assert text_of(response) == f"Fake answer to: {said}"
        assert response["usage"]["output_tokens"] > 0
    assert [(seen.protocol, seen.verdict) for seen in fake.record] == [
        (PROVIDERS[upstream], "accepted")
    ] * 2


@pytest.mark.parametrize("upstream", PROVIDERS)
def test_a_call_and_its_result_need_only_the_new_items(
    socket: Socket, fake: FakeProvider, upstream: str
) -> None:
    fake.play("reasoning-tool")
    model = f"{upstream}/test-model"
    fields: dict[str, Any] = {
        "tools": [SHELL],
        "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
    }
    response = socket.turn(model, "Do it.", **fields)
    for _ in range(2):
        call = next(item for item in response["output"] if item["type"] == "function_call")
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "done"}
        before = response["id"]
        response = socket.turn(model, [result], previous_response_id=before, **fields)
        assert response["previous_response_id"] == before
    assert "The tools answered: done; done" in text_of(response)
    assert [(seen.verdict, seen.tool_results) for seen in fake.record] == [
        ("accepted", 0),
        ("accepted", 1),
        ("accepted", 2),
    ]
    if upstream != "chat":  # which has no state that could come back
        assert max(seen.reasoning_returned for seen in fake.record) >= 1


def test_a_conversation_may_change_its_upstream(socket: Socket, fake: FakeProvider) -> None:
    response = socket.turn("chat/test-model", "One")
    for upstream in ("claude", "gemini", "responses", "chat"):
        response = socket.turn(
            f"{upstream}/test-model", "And?", previous_response_id=response["id"]
        )
    assert all(seen.verdict == "accepted" for seen in fake.record)
    assert fake.record[-1].body["messages"][0]["content"] == "One"
    assert len(fake.record[-1].body["messages"]) == 9


@pytest.mark.parametrize("upstream", PROVIDERS)
def test_ws_03_a_prewarmed_turn_starts_where_the_warming_ended(
    socket: Socket, fake: FakeProvider, upstream: str
) -> None:
    model = f"{upstream}/test-model"
    warmed = socket.turn(model, "The first words.", generate=False, instructions="Be brief.")
    assert warmed["output"] == []
    assert warmed["usage"] is None
    assert len(fake.record) == 0
    fake.play("echo")
    said = [{"type": "message", "role": "user", "content": "The last words."}]
    response = socket.turn(model, said, previous_response_id=warmed["id"], instructions="Be brief.")
    assert response["previous_response_id"] == warmed["id"]
    assert "The last words." in text_of(response)
    assert b"The first words." in fake.record[-1].raw


def test_an_upstream_of_the_same_protocol_gets_a_whole_request(
    socket: Socket, fake: FakeProvider
) -> None:
    first = socket.turn("responses/test-model", "One", client_metadata={"x": "y"})
    socket.turn("responses/test-model", "Two", previous_response_id=first["id"])
    body = fake.record[-1].body
    assert [item.get("role") for item in body["input"]] == ["user", "assistant", "user"]
    assert body["stream"] is True
    assert not {"type", "previous_response_id", "generate", "stream_id"} & set(body)
    assert fake.record[0].body["client_metadata"] == {"x": "y"}
    assert "responses_websockets" not in str(fake.record[-1].headers)


def test_stored_responses_are_shared_with_http(
    gateway: Gateway, socket: Socket, fake: FakeProvider
) -> None:
    made = socket.turn("chat/test-model", "Remember this.", store=True)
    body = {"model": "chat/test-model", "input": "And?", "previous_response_id": made["id"]}
    status, _headers, answer = gateway.post("/v1/responses", json.dumps(body).encode())
    assert status == 200
    assert b"Remember this." in fake.record[-1].raw
    body = json.loads(answer)
    socket.turn("chat/test-model", "So?", previous_response_id=body["id"])
    assert b"Remember this." in fake.record[-1].raw


# --- lanes


def test_lanes_run_side_by_side_and_say_who_they_are(gateway: Gateway, fake: FakeProvider) -> None:
    with opened(gateway) as socket:
        socket.create("chat/fake-stall", "Wait", stream_id="slow")
        socket.create("claude/fake-text", "Hi", stream_id="quick.1")
        events = socket.answer(lambda event: event["type"] == "response.completed")
        quick = [event for event in events if event["stream_id"] == "quick.1"]
        assert {event["stream_id"] for event in events} <= {"slow", "quick.1"}
        assert quick[0]["type"] == "response.created"
        assert events[-1]["stream_id"] == "quick.1"
        fork = socket.turn(
            "claude/fake-text", "So?", previous_response_id=quick[0]["response"]["id"]
        )
        assert "stream_id" not in fork


@pytest.mark.parametrize("upstream", PROVIDERS)
def test_turns_that_connect_at_the_same_time(shared_fake: FakeProvider, upstream: str) -> None:
    """Of several that wait for one connection only the first can have it, if it turns out to be HTTP/1.1."""
    with Gateway(four_providers(shared_fake)) as gateway, opened(gateway) as socket:
        lanes = [f"lane-{number}" for number in range(8)]
        for lane in lanes:
            socket.create(f"{upstream}/fake-text", f"I am {lane}", stream_id=lane)
        said = {}
        while len(said) < len(lanes):
            last = socket.answer()[-1]
            assert last["type"] == "response.completed", last
            said[last["stream_id"]] = text_of(last["response"])
        assert said == {lane: f"Fake answer to: I am {lane}" for lane in lanes}


def test_one_lane_runs_one_after_the_other(socket: Socket, fake: FakeProvider) -> None:
    for number in range(3):
        socket.create("chat/fake-drip", f"Number {number}")
    starts = []
    for number in range(3):
        events = socket.answer()
        assert text_of(events[-1]["response"]) == f"Fake answer to: Number {number}"
        starts.append(events[0]["type"])
    assert starts == ["response.created"] * 3


# --- errors


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        pytest.param("{", "invalid_json", None, id="no JSON"),
        pytest.param("[]", None, "$", id="no object"),
        pytest.param("{}", None, "type", id="no type"),
        pytest.param('{"type": "session.update"}', "unknown_event_type", "type", id="unknown type"),
        pytest.param(
            '{"type": "response.create", "stream_id": "a b"}',
            "invalid_stream_id",
            "stream_id",
            id="a lane with a space",
        ),
        pytest.param(
            '{"type": "response.create", "model": "chat/m", "background": true, "input": "x"}',
            None,
            "background",
            id="in the background",
        ),
        pytest.param(
            '{"type": "response.create", "model": "chat/m", "generate": "no", "input": "x"}',
            None,
            "generate",
            id="generate is no boolean",
        ),
        pytest.param(
            '{"type": "response.create", "model": "chat/m", "input": 5}',
            None,
            "input",
            id="a field that HTTP would refuse",
        ),
        pytest.param(
            '{"type": "response.create", "model": "chat/m", "input": [], '
            '"previous_response_id": "resp_gone"}',
            "previous_response_not_found",
            "previous_response_id",
            id="a response that is not there",
        ),
    ],
)
def test_a_bad_message_is_an_error_and_the_socket_lives_on(
    socket: Socket, message: str, code: str | None, param: str | None
) -> None:
    socket.connection.send(message)
    error = socket.error()
    assert error["status"] == 400
    assert error["error"]["type"] == "invalid_request_error"
    assert error["error"]["param"] == param
    if code is not None:
        assert error["error"]["code"] == code
    socket.turn("chat/test-model", "Hi")


def test_an_unknown_model_is_named(socket: Socket) -> None:
    socket.create("nobody-knows", "Hi", stream_id="a")
    error = socket.error()
    assert (error["status"], error["stream_id"]) == (404, "a")
    assert "nobody-knows" in error["error"]["message"]


@pytest.mark.parametrize("upstream", PROVIDERS)
def test_an_upstreams_status_is_the_events(socket: Socket, upstream: str) -> None:
    socket.create(f"{upstream}/fake-status-429~retry_after=7", "Hi")
    error = socket.error()
    assert error["status"] == 429
    assert error["headers"]["retry-after"] == "7"
    assert error["error"]["message"]
    socket.turn(f"{upstream}/fake-text", "Hi")


@pytest.mark.parametrize("upstream", PROVIDERS)
def test_a_cut_upstream_never_looks_finished(socket: Socket, upstream: str) -> None:
    socket.create(f"{upstream}/fake-cut~after=4", "Hi")
    last = socket.answer()[-1]
    assert last["type"] in ("response.failed", "error")
    text = json.dumps(last)
    assert "ended early" in text or "server_error" in text
    socket.turn(f"{upstream}/fake-text", "Hi")


def test_a_failed_turn_can_be_tried_again_from_where_it_started(socket: Socket) -> None:
    first = socket.turn("chat/fake-text", "One")
    socket.create("chat/fake-status-500", "Two", previous_response_id=first["id"])
    assert socket.error()["status"] >= 500
    socket.turn("chat/fake-text", "Two", previous_response_id=first["id"])


def test_steering_fails_cleanly(socket: Socket) -> None:
    made = socket.turn("chat/test-model", "Hi", stream_id="main")
    steer = {"type": "response.steer", "previous_response_id": made["id"], "input": "Stop"}
    socket.connection.send(json.dumps(steer))
    failed = socket.event()
    assert failed["type"] == "response.steer.failed"
    assert failed["error"]["code"] == "steering_not_supported"
    assert failed["steer"] == {"previous_response_id": made["id"], "input": "Stop"}
    assert failed["stream_id"] == "main"


def test_what_codex_only_tells_gets_no_answer(socket: Socket) -> None:
    socket.connection.send('{"type": "response.processed", "response_id": "resp_1"}')
    socket.turn("chat/test-model", "Hi")


# --- leaving


def nothing_runs(gateway: Gateway) -> None:
    """All exchanges are settled but for the one that asks."""
    eventually(
        lambda: json.loads(gateway.request("GET", "/health")[2])["active"] == 1,
        "an exchange is left",
    )


@pytest.mark.parametrize("abrupt", [False, True], ids=["closing", "gone"])
def test_a_client_that_leaves_ends_its_upstream(
    gateway: Gateway, fake: FakeProvider, abrupt: bool
) -> None:
    with opened(gateway) as socket:
        socket.create("chat/fake-stall", "Hi")
        socket.answer(lambda event: event["type"] == "response.output_text.delta")
        if abrupt:
            socket.connection.socket.close()
        else:
            socket.connection.close(1000)
        eventually(
            lambda: fake.record[-1].outcome == "client_left", "the upstream is still being read"
        )
    nothing_runs(gateway)


def test_a_client_that_leaves_early_cancels_what_waits(
    gateway: Gateway, fake: FakeProvider
) -> None:
    with opened(gateway) as socket:
        socket.create("chat/fake-stall", "Hi")
        socket.create("chat/fake-text", "never asked")
        socket.answer(lambda event: event["type"] == "response.output_text.delta")
    nothing_runs(gateway)
    assert len(fake.record) == 1


# --- frames


def test_a_large_message_in_pieces_with_compression(socket: Socket, fake: FakeProvider) -> None:
    assert socket.connection.protocol.extensions, "permessage-deflate was not agreed"
    text = "".join(f"{number:x}-" for number in range(300_000))
    said = json.dumps({"type": "response.create", "model": "chat/fake-text", "input": text})
    socket.connection.send(said[at : at + 50_000] for at in range(0, len(said), 50_000))
    assert socket.answer()[-1]["type"] == "response.completed"
    assert fake.record[-1].body["messages"][0]["content"] == text


def test_without_compression(gateway: Gateway) -> None:
    with opened(gateway, compression=None) as socket:
        assert socket.connection.protocol.extensions == []
        socket.turn("chat/test-model", "Hi")


def test_a_ping_is_answered(socket: Socket) -> None:
    answered = socket.connection.ping(b"are you there")
    assert answered.wait(PATIENCE_S)


def test_binary_messages_are_refused(socket: Socket) -> None:
    socket.connection.send(b"{}")
    with pytest.raises(ConnectionClosed) as closed:
        socket.event()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1003


# --- who may, and how much


def refused(
    gateway: Gateway, path: str = "/v1/responses", key: str | None = None
) -> tuple[int, Any]:
    """Status and body of an upgrade that is refused."""
    with pytest.raises(InvalidStatus) as refusal, opened(gateway, path, key):
        pass
    response = refusal.value.response
    return response.status_code, json.loads(response.body)["error"]


def test_the_key_is_asked_for_at_the_upgrade(gateway: Gateway) -> None:
    status, error = refused(gateway, key="wrong")
    assert status == 401
    assert "key" in error["message"]


@pytest.mark.parametrize("path", ["/responses", "/openai/v1/responses?x=1"])
def test_the_paths_that_clients_make_of_a_base_url(gateway: Gateway, path: str) -> None:
    with opened(gateway, path) as socket:
        socket.turn("chat/test-model", "Hi")


def test_the_key_may_stand_in_the_query_and_goes_nowhere_else(
    gateway: Gateway, fake: FakeProvider
) -> None:
    path = f"/v1/responses?key={gateway.key}"
    with opened(gateway, path, headers={"authorization": ""}) as socket:
        socket.turn("responses/test-model", "Hi")
    assert gateway.key not in str(fake.record[-1])
    assert gateway.key not in gateway.log


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
def test_no_other_path_is_upgraded(gateway: Gateway, path: str) -> None:
    with pytest.raises(InvalidStatus) as refusal, opened(gateway, path):
        pass
    assert refusal.value.response.status_code in (200, 405)


def small(fake: FakeProvider, **more: Any) -> dict[str, Any]:
    """A gateway with little room."""
    key = {"name": "test", "key": KEY, "models": ["chat/*"]}
    return four_providers(fake, client_keys=[key | more.pop("key", {})], **more)


def test_limits_of_size_and_rate_and_the_rights_of_a_key(shared_fake: FakeProvider) -> None:
    config = small(shared_fake, limits={"max_request_bytes": 5000}, key={"requests_per_minute": 2})
    with Gateway(config) as gateway, opened(gateway) as socket:
        socket.create("chat/fake-text", "x" * 6000)
        error = socket.error()
        assert error["status"] == 413
        socket.create("claude/fake-text", "not mine")
        assert socket.error()["status"] in (403, 404)
        statuses = []
        for _ in range(3):
            socket.create("chat/fake-text", "Hi")
            last = socket.answer()[-1]
            statuses.append(last["status"] if last["type"] == "error" else 200)
        assert 429 in statuses
        assert statuses[0] == 200
        lines = [line for line in gateway.log.splitlines() if "request_done" in line]
        turns = [line for line in lines if "model=chat/fake-text" in line]
        assert len(turns) == 3
        assert sum("finish_reason=stop" in line for line in turns) == statuses.count(200)
        assert KEY not in gateway.log


def test_a_key_that_is_taken_away_serves_no_further_turn(shared_fake: FakeProvider) -> None:
    config = small(shared_fake)
    with Gateway(config) as gateway, opened(gateway) as socket:
        socket.turn("chat/fake-text", "Hi")
        gateway.write_config(
            gateway.config | {"client_keys": [{"name": "test", "key": "another-key-now"}]}
        )
        eventually(lambda: _refused(socket), "still served")


def _refused(socket: Socket) -> bool:
    socket.create("chat/fake-text", "Hi")
    last = socket.answer()[-1]
    return last["type"] == "error" and last["status"] == 401


def test_a_socket_ends_at_its_age(shared_fake: FakeProvider) -> None:
    config = four_providers(shared_fake, websocket={"lifetime_s": 0.3})
    with Gateway(config) as gateway, opened(gateway) as socket:
        error = socket.error()
        assert error["error"]["code"] == "websocket_connection_limit_reached"
        with pytest.raises(ConnectionClosed) as closed:
            socket.event()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000


def test_a_running_turn_outlives_the_age_of_its_socket(shared_fake: FakeProvider) -> None:
    config = four_providers(shared_fake, websocket={"lifetime_s": 0.2})
    with Gateway(config) as gateway, opened(gateway) as socket:
        socket.turn("chat/fake-text~first_delay_ms=600", "Hi")
        assert socket.error()["error"]["code"] == "websocket_connection_limit_reached"


def test_what_a_socket_remembers_is_bounded(shared_fake: FakeProvider) -> None:
    config = four_providers(shared_fake, websocket={"max_state_bytes": 20_000})
    with Gateway(config) as gateway, opened(gateway) as socket:
        big = socket.turn("chat/fake-text", "x" * 15_000, stream_id="a")
        small = socket.turn("chat/fake-text", "y" * 10_000, stream_id="b")
        socket.create("chat/fake-text", "And?", previous_response_id=big["id"], stream_id="a")
        assert socket.error()["error"]["code"] == "previous_response_not_found"
        socket.turn("chat/fake-text", "And?", previous_response_id=small["id"], stream_id="b")


def test_a_tenant_has_sockets_of_its_own(shared_fake: FakeProvider) -> None:
    team = {
        "client_keys": [{"name": "mate", "key": "team-key"}],
        "providers": {"own": provider(shared_fake, "anthropic")},
        "models": {"main": "own/fake-text"},
    }
    with Gateway(four_providers(shared_fake, namespaces={"team": team})) as gateway:
        path = "/namespaces/team/v1/responses"
        with opened(gateway, path, key="team-key") as socket:
            assert text_of(socket.turn("main", "Hi")) == "Fake answer to: Hi"
        assert refused(gateway, path)[0] == 401
        assert refused(gateway, key="team-key")[0] == 401
        assert "principal=mate" in gateway.log


# --- failover


def test_a_turn_fails_over_unseen(shared_fake: FakeProvider) -> None:
    config = four_providers(shared_fake)
    config["retry"] = {"max_attempts": 3}
    config["models"] = {
        "best": {"candidates": ["chat/fake-status-500~times=0", "claude/fake-text"]}
    }
    with Gateway(config) as gateway, opened(gateway) as socket:
        response = socket.turn("best", "Hi")
        assert text_of(response) == "Fake answer to: Hi"
        assert response["model"] == "best"
        eventually(lambda: "attempts=2" in gateway.log, "no second attempt")


def test_sockets_do_not_wait_for_each_other(gateway: Gateway, fake: FakeProvider) -> None:
    done: list[str] = []

    def talk(upstream: str) -> None:
        with opened(gateway) as socket:
            for number in range(5):
                response = socket.turn(f"{upstream}/fake-text", f"{upstream} {number}")
                done.append(text_of(response))

    threads = [threading.Thread(target=talk, args=(upstream,)) for upstream in PROVIDERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(done) == sorted(
        f"Fake answer to: {upstream} {number}" for upstream in PROVIDERS for number in range(5)
    )


# --- time


def test_a_silent_upstream_ends_the_turn_and_not_the_socket(shared_fake: FakeProvider) -> None:
    config = four_providers(shared_fake, timeouts={"idle_s": 0.3})
    with Gateway(config) as gateway, opened(gateway) as socket:
        socket.create("chat/fake-stall", "Hi")
        last = socket.answer()[-1]
        assert last["type"] == "response.failed"
        assert "stopped in the middle" in last["response"]["error"]["message"]
        socket.turn("chat/fake-text", "Hi")


@pytest.mark.parametrize("upstream", ["chat", "responses"])
def test_a_turn_that_began_before_its_upstream_answered(
    shared_fake: FakeProvider, upstream: str
) -> None:
    """The head of the answer is out when the upstream fails: that must still be an error with a status."""
    config = four_providers(shared_fake, timeouts={"early_start_s": 0.05, "ping_interval_s": 0.05})
    with Gateway(config) as gateway, opened(gateway) as socket:
        response = socket.turn(f"{upstream}/fake-slow-start", "Hi")
        assert text_of(response) == "Fake answer to: Hi"
        socket.create(f"{upstream}/fake-status-503~times=0~first_delay_ms=300", "Hi")
        assert socket.error()["status"] == 503
        socket.turn(f"{upstream}/fake-text", "Hi")


# --- in mitmweb


def test_each_turn_is_a_flow_of_its_own_in_mitmweb(fake: FakeProvider) -> None:
    port = free_port()
    options = (
        "--web-port", str(port), "--no-web-open-browser", "--set", "web_password=password",
    )  # fmt: skip

    def web(path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path, headers={"authorization": "Bearer password"})
            response = connection.getresponse()
            assert response.status == 200
            return response.read()
        finally:
            connection.close()

    with Gateway(four_providers(fake), program="mitmweb", options=options) as gateway:
        with opened(gateway) as socket:
            made = socket.turn("claude/fake-text", "One")
            socket.turn("claude/fake-text", "Two", previous_response_id=made["id"])
            flows = json.loads(web("/flows"))
        turns = [
            f for f in flows if f["request"]["method"] == "POST" and "resp" in f["request"]["path"]
        ]
        sent = [json.loads(web(f"/flows/{f['id']}/request/content.data")) for f in turns]
        assert sent[0]["input"] == "One"
        assert [item["content"] for item in sent[1]["input"]][::2] == ["One", "Two"]
        answers = [web(f"/flows/{f['id']}/response/content.data") for f in turns]
        assert all(b"response.completed" in answer for answer in answers)
        assert sum(f["request"]["path"] == "/v1/messages" for f in flows) == 2
        upgrade = next(
            f for f in flows if f["request"]["path"] == "/v1/responses" and f["websocket"]
        )
        assert upgrade["websocket"]["messages_meta"]["count"] > 10
        everything = json.dumps(flows)
        assert KEY not in everything


# --- many that leave


def test_sockets_that_leave_at_any_moment_leave_nothing_behind(
    gateway: Gateway, fake: FakeProvider
) -> None:
    """Seeded: the moments differ, the outcome may not."""
    moments = random.Random(7)  # noqa: S311 - no secret
    plans = [
        (upstream, moments.randrange(14), moments.random() < 0.5) for upstream in PROVIDERS
    ] * 6

    def visit(upstream: str, events: int, abrupt: bool) -> None:
        with opened(gateway) as socket:
            for lane in ("a", "b"):
                socket.create(f"{upstream}/fake-drip", "Hi", stream_id=lane)
            for _ in range(events):
                socket.event()
            if abrupt:
                socket.connection.socket.close()

    threads = [threading.Thread(target=visit, args=plan) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)
    nothing_runs(gateway)
    eventually(lambda: all(seen.outcome for seen in fake.record), "an upstream is still read")
