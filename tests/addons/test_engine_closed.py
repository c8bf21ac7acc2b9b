"""The engine's states when a hook fails, a request is refused, or the answer is a local one: scripted dialogues."""

from __future__ import annotations

import pytest
from mitmproxy import http

from addons.engine import Attempt, Cause
from tests.addons.dialogue import (
    END,
    POST,
    Dialogue,
    answer,
    body,
    chunk,
    peeking,
    stream_head,
)


@pytest.fixture(autouse=True, params=[False, True], ids=["hooks of mitmproxy", "hooks at once"])
def _hooks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dialogue, "at_once", request.param)


# --- failing closed


@pytest.mark.parametrize(
    ("method", "say"),
    [
        pytest.param("authorize", b"", id="authorize"),
        pytest.param("verdict", answer(b"ok"), id="verdict"),
        pytest.param("commit", answer(b"ok"), id="commit"),
        pytest.param("retry_delay", answer(b"no", 500), id="retry_delay"),
        pytest.param("give_up", answer(b"no", 500), id="give_up"),
    ],
)
def test_an_exception_in_the_policy_is_a_500(method: str, say: bytes) -> None:
    talk = Dialogue()
    talk.policy.raises = {method}
    talk.client(POST)
    if say:
        talk.upstream(1, say)
    assert talk.client_text.startswith(b"HTTP/1.1 500")
    assert body(talk.client_text) == b"our 500"
    assert talk.policy.asked[-1] == "settled"
    assert talk.nothing_left()
    if method == "authorize":
        assert talk.sent == [b""]


def test_an_exception_in_peek_is_a_500() -> None:
    talk = Dialogue(peeking())
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"x"))
    assert body(talk.client_text) == b"our 500"
    assert "close 1" in talk.lines


def test_an_exception_in_the_relay_ends_in_the_streams_error() -> None:
    talk = Dialogue()
    talk.policy.stream = lambda data: [data + 1]  # type: ignore[operator]
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"x"))
    assert body(talk.client_text) == chunk(b"event: error\n\n") + END
    assert talk.attempts[0].cause is Cause.INTERNAL
    assert "close 1" in talk.lines
    assert talk.nothing_left()


def test_when_even_the_error_fails_the_connection_is_closed() -> None:
    talk = Dialogue()
    talk.policy.stream = lambda data: [data + 1]  # type: ignore[operator]
    talk.policy.raises = {"stream_broken"}
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"x"))
    assert "close client" in talk.lines
    assert not talk.client_text.endswith(END)
    assert talk.nothing_left()


def test_an_exception_outside_any_request_closes_the_connection() -> None:
    talk = Dialogue()

    def borrow(*_: object) -> None:
        raise RuntimeError("planted")

    talk.engine.borrow = borrow  # type: ignore[assignment]
    talk.client(POST)
    assert talk.lines[-1] == "close client"
    assert talk.opened == []


def test_an_exception_in_settled_harms_nobody() -> None:
    talk = Dialogue()
    talk.policy.raises = {"settled", "client_gone", "ping", "early_start"}
    talk.client(POST)
    talk.upstream(1, answer(b"ok"))
    assert body(talk.client_text) == b"ok"


@pytest.mark.parametrize(
    "hook", ["requestheaders", "request", "llm_attempt", "llm_attempt_failed", "responseheaders"]
)
def test_a_hook_that_raised_is_a_500_and_nothing_goes_upstream(hook: str) -> None:
    talk = Dialogue()
    talk.policy.delays = [0]

    def fail(name: str, data: object) -> None:
        if name == hook:
            talk.engine.note_failed_hook([data])

    talk.on_hook = fail
    talk.client(POST)
    if talk.opened:
        status = 500 if hook == "llm_attempt_failed" else 200
        talk.upstream(1, answer(b"secret", status))
    assert talk.client_text.startswith(b"HTTP/1.1 500")
    assert b"secret" not in talk.client_text
    assert len(talk.opened) == (hook in ("llm_attempt_failed", "responseheaders"))
    assert talk.policy.asked[-1] == "settled"


def test_a_response_hook_that_raised_does_not_leak_the_answer() -> None:
    talk = Dialogue()
    talk.on_hook = lambda name, data: (
        talk.engine.note_failed_hook([data]) if name == "response" else None
    )
    talk.client(POST)
    talk.upstream(1, answer(b"secret"))
    assert body(talk.client_text) == b"our 500"


def test_authorize_cannot_redirect_a_request() -> None:
    talk = Dialogue()
    authorize = talk.policy.authorize

    def redirect(attempt: Attempt) -> http.Request:
        request = authorize(attempt)
        request.host = "10.9.9.9"
        return request

    talk.policy.authorize = redirect  # type: ignore[method-assign]
    talk.client(POST)
    assert body(talk.client_text) == b"our 500"
    assert talk.sent == [b""]


# --- requests that are refused


def test_an_announced_oversize_body_is_refused_before_it_is_sent() -> None:
    talk = Dialogue()
    talk.client(b"POST /v1/x HTTP/1.1\r\nhost: gate\r\ncontent-length: 5000\r\n\r\n" + b"x" * 500)
    assert talk.client_text.startswith(b"HTTP/1.1 413")
    assert body(talk.client_text) == b"shaped: the request body exceeds 1000 bytes"
    assert talk.lines == ["hook requestheaders", "hook error"]
    assert talk.policy.asked[-1] == "settled"
    talk.client(b"x" * 4500)
    assert talk.lines[-1] == "close client"
    assert talk.nothing_left()


def test_a_chunked_oversize_body_is_refused_when_it_grows_too_large() -> None:
    talk = Dialogue()
    talk.client(b"POST /v1/x HTTP/1.1\r\nhost: gate\r\ntransfer-encoding: chunked\r\n\r\n")
    talk.client(chunk(b"x" * 600))
    assert talk.client_text == b""
    talk.client(chunk(b"x" * 600))
    assert talk.client_text.startswith(b"HTTP/1.1 413")
    talk.client(chunk(b"x" * 600) + END)
    assert talk.lines[-1] == "close client"


def test_a_refused_body_is_not_read_for_ever() -> None:
    talk = Dialogue()
    talk.client(b"POST /v1/x HTTP/1.1\r\nhost: gate\r\ncontent-length: 5000\r\n\r\n")
    talk.pass_time(6)
    assert talk.lines[-1] == "close client"
    assert talk.policy.asked.count("settled") == 1
    assert talk.nothing_left()


def test_contradictory_framing_is_refused_in_the_clients_words() -> None:
    talk = Dialogue()
    talk.client(
        b"POST /v1/x HTTP/1.1\r\nhost: gate\r\ncontent-length: 2\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    assert talk.client_text.startswith(b"HTTP/1.1 400")
    assert b"shaped: " in talk.client_text
    assert talk.policy.asked[-1] == "settled"
    assert talk.nothing_left()


def test_a_request_head_without_end_is_dropped() -> None:
    talk = Dialogue()
    talk.client(b"POST /v1/x HTTP/1.1\r\n")
    for _ in range(40):
        if talk.connection.connected:
            talk.client(b"x-y: %s\r\n" % (b"z" * 8000))
    assert talk.lines == ["close client"]


def test_a_body_for_an_answered_request_is_not_kept() -> None:
    def refuse(name: str, data: object) -> None:
        if name == "requestheaders" and isinstance(data, http.HTTPFlow):
            data.response = http.Response.make(401, b"who are you")

    talk = Dialogue(on_hook=refuse)
    talk.client(b"POST /v1/x HTTP/1.1\r\nhost: gate\r\ncontent-length: 900\r\n\r\n" + b"x" * 800)
    assert len(talk.layer.streams[1].request_body_buf) == 0
    talk.client(b"x" * 100)
    assert body(talk.client_text) == b"who are you"
    assert talk.opened == []


def test_expect_100_continue_is_answered_and_not_passed_on() -> None:
    talk = Dialogue()
    talk.client(
        b"POST /v1/x HTTP/1.1\r\nhost: gate\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    )
    assert talk.client_text.startswith(b"HTTP/1.1 100")
    talk.client(b"{}")
    assert b"expect" not in talk.sent[0]
    talk.upstream(1, answer(b"ok"))
    assert talk.client_text.endswith(b"ok")


# --- local answers


def test_a_local_answer_streams() -> None:
    def local(name: str, data: object) -> None:
        if name == "request" and isinstance(data, http.HTTPFlow):
            data.response = http.Response.make(200, b"", {"content-type": "text/event-stream"})
            talk.engine.stream_local(data, source())

    talk = Dialogue(on_hook=local)
    talk.client(POST)
    assert talk.client_text.startswith(b"HTTP/1.1 200 OK")
    assert b"transfer-encoding: chunked" in talk.client_text
    assert b"content-length" not in talk.client_text
    (pump,) = talk.pumps
    talk.feed(inject(pump, b"one"))
    talk.feed(inject(pump, b""))
    assert body(talk.client_text) == chunk(b"one") + END
    assert talk.opened == []
    assert talk.policy.asked == ["settled"]


def test_a_client_that_leaves_a_local_stream_stops_it() -> None:
    def local(name: str, data: object) -> None:
        if name == "request" and isinstance(data, http.HTTPFlow):
            data.response = http.Response.make(200)
            talk.engine.stream_local(data, source())

    talk = Dialogue(on_hook=local)
    talk.client(POST)
    talk.client_leaves()
    assert talk.pumps[0].cancelled
    talk.feed(inject(talk.pumps[0], b"late"))
    assert b"late" not in talk.client_text
    assert talk.policy.asked == ["client_gone", "settled"]
    assert talk.nothing_left()


async def source():  # type: ignore[no-untyped-def]
    yield b""


def inject(pump: object, data: bytes) -> object:
    from addons.phases import Inject

    return Inject(pump.stream, data)  # type: ignore[attr-defined]
