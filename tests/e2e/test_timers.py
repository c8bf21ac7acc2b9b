"""Time in a real gateway: silence, leaving clients, limits that are apart, and an honest end for all of them."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.conversation import events
from tests.support.crossfire import is_error
from tests.support.gateway import Gateway
from tests.support.pitfalls import ALL, TEXTS, A, C, G, R
from tests.support.providers import four_providers
from tests.support.wirecheck import check_stream

UPSTREAMS = {C: "chat", R: "responses", A: "claude", G: "gemini"}
PATHS = {C: "/v1/chat/completions", R: "/v1/responses", A: "/v1/messages"}
PAIRS = [(client, upstream) for client in ALL for upstream in UPSTREAMS.values()]
SOME_PAIRS = [pair for place, pair in enumerate(PAIRS) if place % 5 in (0, 1)]
"""Each client with its own protocol and with another one."""
TIMEOUTS = {"ping_interval_s": 0.1, "first_byte_s": 1.2, "idle_s": 0.6, "early_start_s": 60}
DELAY_S = 0.15
SLOW = f"text~delay_ms={DELAY_S * 1000:.0f}~piece_chars=4"
"""More silence between any two events than a ping waits for, and more in all than any one silence may last."""
PATIENCE_S = 10.0
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture(scope="module")
def hasty_gateway(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """Four providers and short limits; failures would cool keys down, as they do by default."""
    config = four_providers(shared_fake, timeouts=TIMEOUTS, cooldowns={"enabled": True})
    with Gateway(config) as made:
        yield made


@pytest.fixture
def hasty(hasty_gateway: Gateway, fake: FakeProvider) -> Gateway:
    """That gateway, with everything rested."""
    assert hasty_gateway.request("POST", "/admin/reset", b"{}")[0] == 200
    return hasty_gateway


def request_of(client: str, model: str) -> tuple[str, bytes]:
    """Path and body of a streaming request."""
    if client == G:
        path = f"/v1beta/models/{model}:streamGenerateContent?alt=sse"
        return path, json.dumps(TEXTS[G]).encode()
    return PATHS[client], json.dumps({**TEXTS[client], "model": model, "stream": True}).encode()


def ask(gateway: Gateway, client: str, model: str) -> tuple[int, bytes]:
    """A streamed answer, read to its end."""
    status, _headers, body = gateway.post(*request_of(client, model), VERSION)
    return status, body


class Leaver:
    """A client that reads until it has seen something, and leaves."""

    def __init__(self, gateway: Gateway, client: str, model: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
        path, body = request_of(client, model)
        headers = {"authorization": f"Bearer {gateway.key}", **VERSION}
        self._connection.request("POST", path, body, headers)

        self._answer: http.client.HTTPResponse | None = None
        self._seen = b""

    def read_until(self, word: bytes) -> bytes:
        """All that came, that word included."""
        self._answer = self._answer or self._connection.getresponse()
        while word not in self._seen:
            piece = self._answer.read1(65536)
            assert piece, self._seen
            self._seen += piece
        return self._seen

    def leave(self) -> None:
        """Close the connection."""
        if self._answer is not None:
            self._answer.close()
        self._connection.close()


def eventually(condition: Callable[[], Any], what: str) -> None:
    """Ask again until it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def done_lines(gateway: Gateway) -> list[str]:
    """The log lines of finished exchanges."""
    return [line for line in gateway.log.splitlines() if "request_done" in line]


# ---------------------------------------------------------------------------------------- silence


BEATS = {
    C: b": keep-alive\n\n",
    R: b"event: response.in_progress\n",
    A: b"event: ping\n",
    G: b"\r\n\r\n",
}
ENDS = {
    C: b"data: [DONE]",
    R: b"event: response.completed",
    A: b"event: message_stop",
    G: b"finishReason",
}


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_r25_str_48_tmo_01_tmo_02_tmo_03_a_slow_stream_lives_and_is_kept_alive(
    hasty: Gateway, fake: FakeProvider, client: str, upstream: str
) -> None:
    """It takes longer than the limit on one silence; heartbeats come from a timer, between whole events."""
    native = upstream == UPSTREAMS[client]
    status, body = ask(hasty, client, f"{upstream}/fake-{SLOW}")
    assert status == 200
    (seen,) = fake.record
    assert len(seen.frames) * DELAY_S > TIMEOUTS["idle_s"]
    # Codex counts events, not comments; but into a numbered stream that passes none can be put.
    beat = BEATS[C] if client == R and native else BEATS[client]
    usual = {R: int(not native), G: len(list(events(body)))}.get(client, 0)
    assert body.count(beat) > usual
    if client == G:
        assert not body.endswith(beat + beat)
    else:
        assert body.rindex(beat) < body.rindex(ENDS[client]), "none behind the end"
    if not native:
        assert check_stream(client, without_beats(client, body))
    assert "Fake answer" in "".join(_texts(client, body))


def without_beats(client: str, body: bytes) -> bytes:
    """A stream without what no event holds."""
    if client == G:
        return b"".join(b"data: %b\r\n\r\n" % json.dumps(one).encode() for one in events(body))
    return body.replace(BEATS[C], b"") if client == C else body


def _texts(client: str, body: bytes) -> Iterator[str]:
    """The pieces of text in a stream."""
    for event in events(body):
        match client:
            case "openai_chat":
                found = [choice["delta"].get("content") or "" for choice in event["choices"]]
            case "openai_responses":
                found = [event["delta"]] if event["type"] == "response.output_text.delta" else []
            case "anthropic":
                found = [event.get("delta", {}).get("text", "")]
            case _:
                parts = event["candidates"][0]["content"]["parts"]
                found = [part.get("text", "") for part in parts]
        yield "".join(found)


@pytest.mark.parametrize(("client", "upstream"), SOME_PAIRS)
def test_r24_tmo_01_each_limit_ends_what_it_is_for(
    hasty: Gateway, fake: FakeProvider, client: str, upstream: str
) -> None:
    """A stall after the first events ends in the protocol's error; one before them in a plain 504."""
    status, body = ask(hasty, client, f"{upstream}/fake-stall~after=6~times=0")
    assert status == 200
    frames = list(events(body))
    assert is_error(client, frames)
    assert "stopped in the middle" in json.dumps(frames[-1])
    assert b"[DONE]" not in body
    hasty.request("POST", "/admin/reset", b"{}")
    status, body = ask(hasty, client, f"{upstream}/fake-text~first_delay_ms=5000")
    assert status in (500, 502, 503, 504), body
    assert "did not begin to answer" in body.decode()


def test_tmo_01_a_whole_answer_has_a_limit_of_its_own(fake: FakeProvider) -> None:
    config = four_providers(fake, timeouts={"total_s": 0.4, "ping_interval_s": 0})
    slow = "chat/fake-text~delay_ms=100~piece_chars=4"
    with Gateway(config) as gateway:
        body = {**TEXTS[C], "model": "claude/fake-text~first_delay_ms=5000"}
        status, _headers, answer = gateway.post(PATHS[C], json.dumps(body).encode())
        assert status >= 500
        assert "took too long" in answer.decode()
        status, streamed = ask(gateway, A, slow)
    assert status == 200
    assert check_stream(A, streamed), "a stream has no total"


# ---------------------------------------------------------------------------------- leaving clients


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_r23_str_47_err_16_a_client_that_leaves_ends_the_upstream_and_nobody_is_blamed(
    hasty: Gateway, fake: FakeProvider, client: str, upstream: str
) -> None:
    before = len(done_lines(hasty))
    leaver = Leaver(hasty, client, f"{upstream}/fake-{SLOW}")
    leaver.read_until(b"data:")
    leaver.leave()
    (seen,) = fake.record
    eventually(lambda: seen.outcome == "client_left", "the upstream goes on")
    eventually(lambda: len(done_lines(hasty)) > before, "the exchange does not end")
    line = done_lines(hasty)[-1]
    assert "cancelled=True" in line
    assert "error=" not in line
    assert "finish_reason=" not in line
    assert "WARNING" not in line
    assert json.loads(hasty.request("GET", "/admin/status")[2])["cooldowns"] == []
    assert ask(hasty, client, f"{upstream}/fake-text")[0] == 200


def test_str_47_err_16_leaving_before_the_first_byte_is_the_same(
    hasty: Gateway, fake: FakeProvider
) -> None:
    before = len(done_lines(hasty))
    leaver = Leaver(hasty, A, "chat/fake-text~first_delay_ms=500")
    eventually(lambda: len(fake.record) == 1, "the request does not arrive")
    leaver.leave()
    eventually(lambda: len(done_lines(hasty)) > before, "the exchange does not end")
    line = done_lines(hasty)[-1]
    assert "status=499" in line
    assert "error=" not in line
    assert json.loads(hasty.request("GET", "/admin/status")[2])["cooldowns"] == []


# ------------------------------------------------------------------------------ a call, then nothing


@pytest.mark.parametrize("how", ["close", "reset", "clean"])
@pytest.mark.parametrize("upstream", UPSTREAMS.values())
def test_tmo_07_a_stream_that_breaks_behind_a_call_ends_in_an_error_that_says_so(
    gateway: Gateway, fake: FakeProvider, upstream: str, how: str
) -> None:
    """Claude Code runs the call and asks again: it must never take the turn for a finished one."""
    schema = {"type": "object", "properties": {"command": {"type": "string"}}}
    body = {
        **TEXTS[A],
        "model": f"{upstream}/fake-tool~failure=cut~after=999~how={how}~times=0",
        "stream": True,
        "tools": [{"name": "run_shell", "input_schema": schema}],
    }
    status, _headers, answer = gateway.post(PATHS[A], json.dumps(body).encode(), VERSION)
    assert status == 200
    assert b'"tool_use"' in answer
    kinds = [event["type"] for event in events(answer)]
    assert kinds[-1] == "error"
    assert "message_stop" not in kinds
    assert "message_delta" not in kinds


# ------------------------------------------------------------------------- the gateway stops, or changes


def stopping(fake: FakeProvider, shutdown_s: float) -> Gateway:
    """A gateway of its own, to be stopped."""
    return Gateway(four_providers(fake, timeouts={"shutdown_s": shutdown_s}))


def test_r28_tmo_06_a_gateway_that_stops_lets_answers_end(fake: FakeProvider) -> None:
    with stopping(fake, 30) as gateway:
        leavers = [
            (client, Leaver(gateway, client, f"{upstream}/fake-{SLOW}"))
            for client, upstream in PAIRS
        ]
        eventually(lambda: len(fake.record) == len(PAIRS), "not all requests arrive")
        gateway.process.terminate()
        for client, leaver in leavers:
            body = leaver.read_until(ENDS[client])
            assert b"error" not in body.replace(b'"error":null', b"")
            leaver.leave()
        assert gateway.process.wait(PATIENCE_S) == 0


def test_tmo_06_what_takes_too_long_ends_in_the_protocols_error(fake: FakeProvider) -> None:
    with stopping(fake, 0.3) as gateway:
        leavers = [
            (client, Leaver(gateway, client, f"{upstream}/fake-stall~after=6~times=0"))
            for client, upstream in PAIRS
        ]
        for _client, leaver in leavers:
            leaver.read_until(b"data:")
        gateway.process.terminate()
        for client, leaver in leavers:
            body = leaver.read_until(b"the gateway is stopping")
            assert ENDS[client] not in body
            leaver.leave()
        assert gateway.process.wait(PATIENCE_S) == 0


def test_tmo_06_a_gateway_that_stops_lets_nobody_in(fake: FakeProvider) -> None:
    with stopping(fake, 30) as gateway:
        leaver = Leaver(gateway, A, f"chat/fake-{SLOW}")
        leaver.read_until(b"data:")
        gateway.process.terminate()
        eventually(lambda: "stopping: 1 answers" in gateway.log, "it does not stop")
        with pytest.raises(ConnectionRefusedError):
            gateway.request("GET", "/health")
        leaver.read_until(b"message_stop")
        leaver.leave()


def test_tmo_06_an_answer_keeps_the_configuration_that_it_began_with(fake: FakeProvider) -> None:
    with stopping(fake, 30) as gateway:
        leaver = Leaver(gateway, A, f"chat/fake-{SLOW}")
        leaver.read_until(b"data:")
        left = {k: v for k, v in gateway.config["providers"].items() if k != "chat"}
        gateway.write_config({**gateway.config, "providers": left})
        eventually(lambda: ask(gateway, A, "chat/m")[0] == 404, "the change is not seen")
        assert b"error" not in leaver.read_until(b"message_stop")
        leaver.leave()
