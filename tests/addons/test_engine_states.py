"""The engine's states as scripted dialogues: what the world says, and what the engine then does."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
from mitmproxy import http

from addons.engine import Attempt, Cause, Verdict
from addons.typechecks import TypeChecks
from tests.addons.dialogue import (
    END,
    HELD,
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


# --- the straight way


def test_one_attempt_that_succeeds() -> None:
    talk = Dialogue()
    talk.client(POST)
    talk.upstream(1, answer(b"ok"))
    assert talk.lines == [
        "hook requestheaders",
        "hook request",
        "hook llm_attempt",
        "open 1 10.0.0.1:80",
        "request to 1",
        "hook responseheaders",
        "hook response",
    ]
    assert talk.policy.asked == ["authorize 1", "verdict 200", "commit 1", "settled"]
    assert body(talk.client_text) == b"ok"
    assert b"x-attempt: 1" in talk.client_text
    assert talk.nothing_left()


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(lambda talk: talk.upstream(1, answer(b"ok")), id="a whole answer"),
        pytest.param(
            lambda talk: talk.upstream(1, stream_head() + chunk(b"data: 1\n\n") + END),
            id="a stream",
        ),
        pytest.param(lambda talk: talk.upstream(1, answer(b"no", status=500)), id="a failure"),
        pytest.param(lambda talk: talk.client_leaves(), id="the client leaves"),
    ],
)
def test_a_request_that_is_over_is_freed_without_a_collection(
    ending: Callable[[Dialogue], None],
) -> None:
    talk = Dialogue()
    checks = TypeChecks()  # mitmproxy's own leave tracebacks in cycles, and with them all frames
    checks.load(None)  # type: ignore[arg-type]
    gc.collect()
    gc.disable()
    try:
        talk.client(POST)
        stream, flow = weakref.ref(talk.layer.streams[1]), weakref.ref(talk.flows[0])
        ending(talk)
        assert talk.nothing_left()
        talk.attempts.clear()
        talk.flows.clear()
        assert (stream(), flow()) == (None, None)
    finally:
        gc.enable()
        checks.done()


def test_the_credential_is_on_the_wire_and_nowhere_else() -> None:
    talk = Dialogue()
    talk.client(POST)
    assert b"authorization: Bearer key-1\r\n" in talk.sent[0]
    assert "authorization" not in talk.attempts[0].request.headers
    assert "authorization" not in talk.flows[0].request.headers


def test_the_clients_request_is_never_changed_by_attempts() -> None:
    talk = Dialogue(on_attempt=lambda attempt: setattr(attempt.request, "content", b"other"))
    talk.client(POST)
    assert talk.sent[0].endswith(b"\r\n\r\nother")
    assert b"content-length: 5\r\n" in talk.sent[0]
    assert talk.flows[0].request.content == b"{}"
    assert talk.flows[0].request.host == "127.0.0.1"


def test_headers_of_the_clients_connection_stay_there() -> None:
    talk = Dialogue()
    talk.client(
        b"POST /v1/x HTTP/1.1\r\nhost: gate\r\nconnection: keep-alive, x-hop\r\nte: trailers\r\n"
        b"proxy-authorization: secret\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    )
    head, _, sent_body = talk.sent[0].partition(b"\r\n\r\n")
    assert sent_body == b"{}"
    assert b"content-length: 2" in head
    for name in (b"connection:", b"te:", b"proxy-authorization:", b"transfer-encoding:"):
        assert name not in head


def test_a_request_made_from_nothing_gets_its_host() -> None:
    def make(attempt: Attempt) -> None:
        attempt.request = http.Request.make("POST", "https://[::1]:8443/v1", b"{}")

    talk = Dialogue(on_attempt=make, connects=["refused"])
    talk.client(POST)
    assert talk.lines[3] == "open 1 ::1:8443"


def test_a_stream_passes_piece_by_piece() -> None:
    talk = Dialogue()
    talk.client(POST)
    talk.upstream(1, stream_head())
    assert b"transfer-encoding: chunked" in talk.client_text
    talk.upstream(1, chunk(b"one"))
    assert talk.client_text.endswith(chunk(b"one"))
    talk.upstream(1, chunk(b"two") + END)
    assert body(talk.client_text) == chunk(b"one") + chunk(b"two") + END
    assert talk.policy.asked[-1] == "settled"
    assert talk.nothing_left()


def test_an_empty_piece_of_the_relay_does_not_end_the_stream() -> None:
    talk = Dialogue()
    talk.policy.stream = lambda data: [b"", data.upper(), b""] if data != b"nothing" else b""
    talk.client(POST)
    for piece in (stream_head() + chunk(b"a"), chunk(b"nothing"), chunk(b"b") + END):
        talk.upstream(1, piece)
    assert body(talk.client_text) == chunk(b"A") + chunk(b"B") + END


def test_the_pieces_of_one_read_are_relayed_together() -> None:
    seen: list[bytes] = []
    talk = Dialogue()
    talk.policy.stream = lambda data: (seen.append(data), [data])[1]
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"a") + chunk(b"b"))
    talk.upstream(1, chunk(b"c") + chunk(b"d") + END)
    assert seen == [b"ab", b"cd", b""]


def test_pieces_before_a_break_in_the_same_read_are_not_lost() -> None:
    talk = Dialogue()
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"a") + b"zz\r\n")
    assert body(talk.client_text) == chunk(b"a") + chunk(b"event: error\n\n") + END


def test_the_relay_is_told_the_end_once() -> None:
    seen: list[bytes] = []
    talk = Dialogue()
    talk.policy.stream = lambda data: (seen.append(data), [data or b"[end]"])[1]
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"a") + END)
    assert seen == [b"a", b""]
    assert body(talk.client_text) == chunk(b"a") + chunk(b"[end]") + END


def test_a_stream_to_an_http_1_0_client_ends_with_the_connection() -> None:
    talk = Dialogue()
    talk.client(b"POST /v1/x HTTP/1.0\r\nhost: gate\r\ncontent-length: 2\r\n\r\n{}")
    talk.upstream(1, stream_head() + chunk(b"one") + END)
    assert body(talk.client_text) == b"one"
    assert "close client" in talk.lines


def test_a_chunked_answer_that_is_buffered_gets_a_length() -> None:
    talk = Dialogue()
    talk.client(POST)
    talk.upstream(1, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"ok") + END)
    assert b"content-length: 2\r\n" in talk.client_text
    assert body(talk.client_text) == b"ok"


def test_finish_now_closes_the_upstream_and_ends_the_answer() -> None:
    talk = Dialogue()

    def cut(data: bytes) -> list[bytes]:
        if data:
            talk.attempts[0].finish_now()
        return [data or b"[end]"]

    talk.policy.stream = cut
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"a"))
    talk.upstream(1, chunk(b"late"))
    assert body(talk.client_text) == chunk(b"a") + chunk(b"[end]") + END
    assert "close 1" in talk.lines
    assert talk.lines[-1] == "hook response"
    assert talk.nothing_left()


# --- failing over


def fail_with_status(talk: Dialogue) -> None:
    talk.upstream(1, answer(b"no", 429))


def fail_with_close(talk: Dialogue) -> None:
    talk.upstream_closes(1)


def fail_with_garbage(talk: Dialogue) -> None:
    talk.upstream(1, b"SSH-2.0-nope\r\n\r\n")


def fail_with_silence(talk: Dialogue) -> None:
    talk.pass_time(301)


def fail_with_interim(talk: Dialogue) -> None:
    talk.upstream(1, b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n")


def fail_with_endless_head(talk: Dialogue) -> None:
    talk.upstream(1, b"HTTP/1.1 200 OK\r\n")
    for number in range(40):
        if talk.opened[0].connected:
            talk.upstream(1, b"x-%d: %s\r\n" % (number, b"y" * 8000))


@pytest.mark.parametrize(
    ("failure", "cause", "error"),
    [
        pytest.param(fail_with_status, Cause.STATUS, "HTTP 429", id="a status"),
        pytest.param(fail_with_close, Cause.PROTOCOL, "server closed connection", id="a close"),
        pytest.param(fail_with_garbage, Cause.PROTOCOL, "Cannot parse", id="not HTTP"),
        pytest.param(fail_with_silence, Cause.FIRST_BYTE_TIMEOUT, "no answer", id="silence"),
        pytest.param(fail_with_interim, Cause.PROTOCOL, "interim", id="an interim response"),
        pytest.param(fail_with_endless_head, Cause.PROTOCOL, "too long", id="a head without end"),
    ],
)
def test_a_failed_attempt_is_invisible_to_the_client(
    failure: object, cause: Cause, error: str
) -> None:
    talk = Dialogue()
    talk.policy.delays = [0]
    talk.client(POST)
    failure(talk)  # type: ignore[operator]
    assert talk.client_text == b""
    talk.upstream(2, answer(b"ok"))
    assert body(talk.client_text) == b"ok"
    assert b"x-attempt: 2" in talk.client_text
    assert (talk.attempts[0].cause, talk.attempts[1].cause) == (cause, None)
    assert error in talk.attempts[0].error
    assert talk.lines.count("hook llm_attempt_failed") == 1
    assert talk.policy.asked.count("settled") == 1
    assert talk.nothing_left()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        pytest.param(
            "[Errno 111] Connect call failed ('10.0.0.1', 80)", Cause.CONNECT, id="refused"
        ),
        pytest.param("[Errno -2] Name or service not known", Cause.DNS, id="no such name"),
        pytest.param("[Errno 8] nodename nor servname provided", Cause.DNS, id="macOS resolver"),
    ],
)
def test_a_failed_connect_fails_over(error: str, cause: Cause) -> None:
    talk = Dialogue(connects=[error])
    talk.policy.delays = [0]
    talk.client(POST)
    talk.upstream(2, answer(b"ok"))
    assert body(talk.client_text) == b"ok"
    assert talk.attempts[0].cause is cause
    assert talk.attempts[0].error == error


def test_a_connect_that_takes_too_long_is_closed() -> None:
    talk = Dialogue(connects=[HELD])
    talk.policy.delays = [0]
    talk.client(POST)
    talk.pass_time(4.9)
    assert talk.attempts[0].cause is None
    talk.pass_time(0.2)
    assert talk.attempts[0].cause is Cause.CONNECT_TIMEOUT
    assert "close 1" in talk.lines
    talk.upstream(2, answer(b"ok"))
    assert body(talk.client_text) == b"ok"
    assert talk.nothing_left()


def test_a_refused_upstream_is_tried_again_by_the_next_request() -> None:
    talk = Dialogue(connects=["refused"])
    talk.client(POST)
    assert body(talk.client_text) == b"gave up: connect"
    talk.client(POST)
    assert talk.lines.count("open 2 10.0.0.1:80") == 1


def test_the_error_body_is_there_for_classification() -> None:
    talk = Dialogue()
    talk.client(POST)
    talk.upstream(1, answer(b'{"error":"quota"}', 429, "retry-after: 7\r\n"))
    response = talk.attempts[0].response
    assert response is not None
    assert response.content == b'{"error":"quota"}'
    assert response.headers["retry-after"] == "7"
    assert "close 1" not in talk.lines  # read to its end: the connection can be used again


def test_a_huge_error_body_is_cut_and_not_awaited() -> None:
    talk = Dialogue()
    talk.client(POST)
    talk.upstream(1, b"HTTP/1.1 500 X\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 70_000)
    response = talk.attempts[0].response
    assert response is not None
    assert response.raw_content is not None
    assert len(response.raw_content) == 64 * 1024
    assert "close 1" in talk.lines
    assert body(talk.client_text) == b"gave up: status"


def test_a_stalled_error_body_is_not_awaited() -> None:
    talk = Dialogue()
    talk.client(POST)
    talk.upstream(1, b"HTTP/1.1 500 X\r\ncontent-length: 10\r\n\r\nhalf")
    talk.pass_time(6)
    assert talk.attempts[0].response is not None
    assert talk.attempts[0].response.raw_content == b"half"
    assert body(talk.client_text) == b"gave up: status"


def test_a_cut_error_body_counts_as_it_is() -> None:
    talk = Dialogue()
    talk.client(POST)
    talk.upstream(1, b"HTTP/1.1 500 X\r\ncontent-length: 10\r\n\r\nhalf")
    talk.upstream_closes(1)
    assert talk.attempts[0].cause is Cause.STATUS
    assert body(talk.client_text) == b"gave up: status"


def test_back_off_waits_on_the_clock() -> None:
    talk = Dialogue()
    talk.policy.delays = [2.0]
    talk.client(POST)
    talk.upstream(1, answer(b"no", 429))
    talk.pass_time(1.9)
    assert talk.lines.count("hook llm_attempt") == 1
    talk.pass_time(0.2)
    assert talk.lines.count("hook llm_attempt") == 2


def test_an_addon_may_answer_instead_of_an_attempt() -> None:
    def refuse(attempt: Attempt) -> None:
        attempt.flow.response = http.Response.make(429, b"over budget")

    talk = Dialogue(on_attempt=refuse)
    talk.client(POST)
    assert body(talk.client_text) == b"over budget"
    assert talk.opened == []
    assert talk.policy.asked == ["settled"]


def test_an_addon_may_answer_after_a_failure() -> None:
    def rescue(name: str, data: object) -> None:
        if name == "llm_attempt_failed" and isinstance(data, Attempt):
            data.flow.response = http.Response.make(200, b"from the cache")

    talk = Dialogue(on_hook=rescue)
    talk.policy.delays = [0]
    talk.client(POST)
    talk.upstream(1, answer(b"no", 429))
    assert body(talk.client_text) == b"from the cache"
    assert "retry_delay 1 status" not in talk.policy.asked


def test_late_bytes_of_an_abandoned_attempt_are_dropped() -> None:
    talk = Dialogue(on_attempt=lambda attempt: setattr(attempt, "first_byte_timeout_s", 1))
    talk.policy.delays = [0]
    talk.client(POST)
    talk.pass_time(1.1)
    talk.upstream(1, answer(b"late"))
    talk.upstream(2, answer(b"ok"))
    assert body(talk.client_text) == b"ok"


# --- peeking


def test_a_stream_is_held_until_its_first_good_event() -> None:
    talk = Dialogue(peeking(None, Verdict.COMMIT))
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b": hi\n\n"))
    assert talk.client_text == b""
    talk.upstream(1, chunk(b"data: 1\n\n"))
    assert body(talk.client_text) == chunk(b": hi\n\ndata: 1\n\n")
    talk.upstream(1, chunk(b"data: 2\n\n") + END)
    assert body(talk.client_text).endswith(chunk(b"data: 2\n\n") + END)
    assert "peek (b': hi\\n\\n', False)" in talk.policy.asked


def test_an_error_as_first_event_of_a_200_fails_over() -> None:
    talk = Dialogue(peeking(Verdict.FAIL, Verdict.COMMIT))
    talk.policy.delays = [0]
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"event: error\n\n"))
    assert talk.client_text == b""
    assert "close 1" in talk.lines
    assert talk.attempts[0].cause is Cause.FIRST_EVENT
    assert talk.attempts[0].response is not None
    assert talk.attempts[0].response.raw_content == b"event: error\n\n"
    talk.upstream(2, stream_head() + chunk(b"data: 1\n\n") + END)
    assert body(talk.client_text) == chunk(b"data: 1\n\n") + END


def test_a_whole_answer_can_be_peeked_at() -> None:
    talk = Dialogue(peeking(None, Verdict.COMMIT))
    talk.client(POST)
    talk.upstream(1, answer(b"whole"))
    assert talk.policy.asked[2:5] == ["peek (b'whole', False)", "peek (b'', True)", "commit 1"]
    assert body(talk.client_text) == b"whole"
    assert "close 1" not in talk.lines


def test_a_stream_that_never_says_anything_good_times_out() -> None:
    talk = Dialogue(peeking(*[None] * 100))
    talk.client(POST)
    talk.upstream(1, stream_head())
    for _ in range(70):
        if talk.opened[0].connected:
            talk.upstream(1, chunk(b": processing\n\n"))
            talk.pass_time(5)
    assert talk.attempts[0].cause is Cause.FIRST_BYTE_TIMEOUT


def test_a_held_body_is_bounded() -> None:
    talk = Dialogue(peeking(*[None] * 100))
    talk.on_attempt = lambda attempt: setattr(attempt, "max_peek_bytes", 100)
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"x" * 60) + chunk(b"y" * 60))
    assert talk.attempts[0].cause is Cause.TOO_LARGE
    assert body(talk.client_text) == b"gave up: too_large"


def test_what_an_abandoned_attempt_held_does_not_count_for_the_next() -> None:
    talk = Dialogue(peeking(None, None, Verdict.COMMIT))
    talk.policy.delays = [0]

    def narrow(attempt: Attempt) -> None:
        attempt.max_peek_bytes, attempt.first_byte_timeout_s = 100, 1

    talk.on_attempt = narrow
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"x" * 60))
    talk.pass_time(1.1)
    talk.upstream(2, stream_head() + chunk(b"y" * 60))
    talk.upstream(2, chunk(b"data\n\n") + END)
    assert talk.attempts[0].cause is Cause.FIRST_BYTE_TIMEOUT
    assert body(talk.client_text) == chunk(b"y" * 60 + b"data\n\n") + END


def test_a_cut_while_peeking_fails_over() -> None:
    talk = Dialogue(peeking(None, Verdict.COMMIT))
    talk.policy.delays = [0]
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b": hi\n\n"))
    talk.upstream_closes(1)
    assert talk.attempts[0].cause is Cause.PROTOCOL
    talk.upstream(2, stream_head() + chunk(b"data\n\n") + END)
    assert body(talk.client_text) == chunk(b"data\n\n") + END


# --- stale connections


def second_request_on_a_stale_connection() -> Dialogue:
    talk = Dialogue()
    talk.client(POST)
    talk.upstream(1, answer(b"first"))
    talk.clear()
    talk.client(POST)
    assert talk.lines[-1] == "request to 1"
    talk.upstream_closes(1)
    return talk


def test_a_stale_keep_alive_connection_is_no_failure() -> None:
    talk = second_request_on_a_stale_connection()
    assert talk.lines[-2:] == ["open 2 10.0.0.1:80", "request to 2"]
    assert talk.attempts[1].reused is False
    talk.upstream(2, answer(b"second"))
    assert talk.client_text.endswith(b"second")
    assert "hook llm_attempt_failed" not in talk.lines
    assert talk.lines.count("hook llm_attempt") == 1


def test_a_stale_connection_is_retried_only_once() -> None:
    talk = second_request_on_a_stale_connection()
    talk.upstream_closes(2)
    assert talk.attempts[1].cause is Cause.PROTOCOL
    assert talk.client_text.endswith(b"gave up: protocol")


def test_a_connection_that_had_begun_to_answer_is_not_stale() -> None:
    talk = Dialogue()
    talk.client(POST)
    talk.upstream(1, answer(b"first"))
    talk.client(POST)
    talk.upstream(1, b"HTTP/1.1 200 O")
    talk.upstream_closes(1)
    assert talk.attempts[1].cause is Cause.PROTOCOL
    assert len(talk.opened) == 1


# --- broken after the commit


def streaming(talk: Dialogue) -> Dialogue:
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"data: 1\n\n"))
    return talk


def test_a_cut_stream_ends_in_the_protocols_error() -> None:
    talk = streaming(Dialogue())
    talk.upstream_closes(1)
    assert body(talk.client_text) == chunk(b"data: 1\n\n") + chunk(b"event: error\n\n") + END
    assert talk.attempts[0].cause is Cause.CUT
    assert talk.lines[-1] == "hook error"
    assert "hook response" not in talk.lines
    assert talk.policy.asked[-2:] == ["stream_broken cut", "settled"]
    assert talk.nothing_left()


def test_a_malformed_chunk_ends_in_the_protocols_error() -> None:
    talk = streaming(Dialogue())
    talk.upstream(1, b"zz\r\n")
    assert body(talk.client_text).endswith(chunk(b"event: error\n\n") + END)


def test_an_idle_stream_ends_in_the_protocols_error() -> None:
    talk = Dialogue(on_attempt=lambda attempt: setattr(attempt, "idle_timeout_s", 10))
    streaming(talk)
    talk.pass_time(9)
    talk.upstream(1, chunk(b"data: 2\n\n"))
    talk.pass_time(9)
    assert b"error" not in talk.client_text
    talk.pass_time(2)
    assert body(talk.client_text).endswith(chunk(b"event: error\n\n") + END)
    assert talk.attempts[0].cause is Cause.IDLE_TIMEOUT
    assert "close 1" in talk.lines


def test_the_total_time_of_a_stream_is_bounded() -> None:
    talk = Dialogue(on_attempt=lambda attempt: setattr(attempt, "total_timeout_s", 20))
    streaming(talk)
    for _ in range(5):
        talk.pass_time(5)
        if talk.opened[0].connected:
            talk.upstream(1, chunk(b"data: 2\n\n"))
    assert talk.attempts[0].cause is Cause.TOTAL_TIMEOUT
    assert body(talk.client_text).endswith(chunk(b"event: error\n\n") + END)


def test_a_cut_buffered_answer_becomes_an_error_response() -> None:
    talk = Dialogue()
    talk.client(POST)
    talk.upstream(1, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    talk.upstream_closes(1)
    assert talk.client_text.startswith(b"HTTP/1.1 502")
    assert body(talk.client_text) == b"broken: cut"
    assert talk.nothing_left()


def test_a_buffered_answer_is_bounded() -> None:
    talk = Dialogue(on_attempt=lambda attempt: setattr(attempt, "max_body_bytes", 100))
    talk.client(POST)
    talk.upstream(1, b"HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n" + b"x" * 150)
    assert body(talk.client_text) == b"broken: too_large"
    assert "close 1" in talk.lines


# --- pings and early starts


def test_a_silent_stream_is_pinged() -> None:
    talk = Dialogue(on_attempt=lambda attempt: setattr(attempt, "ping_interval_s", 10))
    streaming(talk)
    talk.pass_time(9)
    assert b"ping" not in talk.client_text
    talk.pass_time(12)
    assert talk.client_text.count(b": ping\n\n") == 2
    talk.upstream(1, END)
    talk.pass_time(60)
    assert talk.client_text.count(b": ping\n\n") == 2


def test_silence_is_what_the_client_hears() -> None:
    """Bookkeeping events that the relay swallows must not hold back a ping (pitfalls TMO-02)."""
    talk = Dialogue(on_attempt=lambda attempt: setattr(attempt, "ping_interval_s", 10))
    streaming(talk)
    talk.policy.stream = lambda data: []
    talk.flows[0].response.stream = talk.policy.stream  # type: ignore[union-attr]
    for _ in range(4):
        talk.pass_time(6)
        talk.upstream(1, chunk(b"data: bookkeeping\n\n"))
    assert talk.client_text.count(b": ping\n\n") == 2


def early(attempt: Attempt) -> None:
    attempt.early_start_s = 20
    attempt.ping_interval_s = 10


def test_a_waiting_client_is_promised_its_stream() -> None:
    talk = Dialogue(on_attempt=early)
    talk.policy.early = True
    talk.client(POST)
    talk.pass_time(19)
    assert talk.client_text == b""
    talk.pass_time(12)
    assert talk.client_text.startswith(b"HTTP/1.1 200 OK")
    assert talk.client_text.count(b": ping\n\n") == 1
    talk.upstream(1, stream_head() + chunk(b"data: 1\n\n") + END)
    assert body(talk.client_text) == chunk(b": ping\n\n") + chunk(b"data: 1\n\n") + END
    assert talk.client_text.count(b"HTTP/1.1") == 1
    assert talk.nothing_left()


def test_a_promise_survives_a_failover() -> None:
    talk = Dialogue(on_attempt=early)
    talk.policy.early = True
    talk.policy.delays = [15]
    talk.client(POST)
    talk.pass_time(21)
    talk.upstream(1, answer(b"no", 529))
    talk.pass_time(16)
    talk.upstream(2, stream_head() + chunk(b"data: 1\n\n") + END)
    assert body(talk.client_text).replace(chunk(b": ping\n\n"), b"") == chunk(b"data: 1\n\n") + END


def test_a_promise_that_cannot_be_kept_ends_in_the_streams_error() -> None:
    talk = Dialogue(on_attempt=early)
    talk.policy.early = True
    talk.client(POST)
    talk.pass_time(21)
    talk.upstream(1, answer(b"no", 529))
    assert body(talk.client_text) == chunk(b"event: error\n\n") + END
    assert "stream_broken status" in talk.policy.asked
    assert talk.nothing_left()


def test_a_whole_answer_behind_a_promise_is_sent_as_the_hook_left_it() -> None:
    def translate(name: str, data: object) -> None:
        if name == "response" and isinstance(data, http.HTTPFlow) and data.response is not None:
            data.response.raw_content = b"data: " + (data.response.raw_content or b"") + b"\n\n"

    talk = Dialogue(on_attempt=early, on_hook=translate)
    talk.policy.early = True
    talk.client(POST)
    talk.pass_time(21)
    talk.upstream(1, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{")
    talk.pass_time(11)
    talk.upstream(1, b"}")
    assert body(talk.client_text) == chunk(b": ping\n\n") + chunk(b"data: {}\n\n") + END
    assert talk.client_text.count(b"HTTP/1.1") == 1
    assert talk.lines[-1] == "hook response"
    assert talk.nothing_left()


def test_a_whole_answer_that_breaks_behind_a_promise_ends_in_the_streams_error() -> None:
    talk = Dialogue(on_attempt=early)
    talk.policy.early = True
    talk.client(POST)
    talk.pass_time(21)
    talk.upstream(1, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{")
    talk.upstream_closes(1)
    assert body(talk.client_text) == chunk(b"event: error\n\n") + END


def test_promises_and_pings_go_out_while_a_hook_runs() -> None:
    talk = Dialogue(on_attempt=early)
    talk.policy.early = True
    talk.policy.delays = [0]
    talk.client(POST)
    talk.held_hooks = {"llm_attempt_failed"}
    talk.upstream(1, answer(b"no", 429))
    talk.pass_time(31)
    assert talk.client_text.count(b": ping\n\n") == 1
    talk.release_hooks()
    talk.upstream(2, stream_head() + chunk(b"data: 1\n\n") + END)
    assert talk.client_text.endswith(chunk(b"data: 1\n\n") + END)


def test_without_a_promise_the_client_waits_on() -> None:
    talk = Dialogue(on_attempt=early)
    talk.client(POST)
    talk.pass_time(100)
    assert talk.policy.asked == ["authorize 1", "early_start 1"]
    assert talk.client_text == b""


# --- the client leaves


def reach_request_hook(talk: Dialogue) -> None:
    talk.held_hooks = {"request"}
    talk.client(POST)


def reach_attempt_hook(talk: Dialogue) -> None:
    talk.held_hooks = {"llm_attempt"}
    talk.client(POST)


def reach_connecting(talk: Dialogue) -> None:
    talk.connects = [HELD]
    talk.client(POST)


def reach_waiting(talk: Dialogue) -> None:
    talk.client(POST)


def reach_peeking(talk: Dialogue) -> None:
    talk.policy.verdicts = lambda attempt: Verdict.PEEK
    talk.policy.peeks = [None]
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b": hi\n\n"))


def reach_failing(talk: Dialogue) -> None:
    talk.client(POST)
    talk.upstream(1, b"HTTP/1.1 500 X\r\ncontent-length: 10\r\n\r\nhalf")


def reach_failed_hook(talk: Dialogue) -> None:
    talk.held_hooks = {"llm_attempt_failed"}
    talk.client(POST)
    talk.upstream(1, answer(b"no", 429))


def reach_back_off(talk: Dialogue) -> None:
    talk.policy.delays = [5.0]
    talk.client(POST)
    talk.upstream(1, answer(b"no", 429))


def reach_streaming(talk: Dialogue) -> None:
    streaming(talk)


def reach_buffering(talk: Dialogue) -> None:
    talk.client(POST)
    talk.upstream(1, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")


def reach_response_hook(talk: Dialogue) -> None:
    talk.held_hooks = {"response"}
    talk.client(POST)
    talk.upstream(1, answer(b"ok"))


STATES = [
    pytest.param(reach_request_hook, "", id="in a request hook"),
    pytest.param(reach_attempt_hook, "", id="in an attempt hook"),
    pytest.param(reach_connecting, "close 1", id="connecting"),
    pytest.param(reach_waiting, "close 1", id="waiting for headers"),
    pytest.param(reach_peeking, "close 1", id="peeking"),
    pytest.param(reach_failing, "close 1", id="reading an error body"),
    pytest.param(reach_failed_hook, "", id="in a failed hook"),
    pytest.param(reach_back_off, "", id="backing off"),
    pytest.param(reach_streaming, "close 1", id="streaming"),
    pytest.param(reach_buffering, "close 1", id="buffering"),
    pytest.param(reach_response_hook, "", id="in a response hook"),
]


@pytest.mark.parametrize(("reach", "expected"), STATES)
def test_a_client_that_leaves_ends_everything_at_once(reach: object, expected: str) -> None:
    talk = Dialogue()
    reach(talk)  # type: ignore[operator]
    opened = len(talk.opened)
    talk.clear()
    talk.client_leaves()
    assert "client_gone" in talk.policy.asked
    if expected:
        assert expected in talk.lines
    talk.release_hooks()
    talk.pass_time(1000)
    assert len(talk.opened) == opened
    assert talk.policy.asked.count("client_gone") == 1
    assert talk.policy.asked.count("settled") == 1
    assert talk.policy.asked[-1] == "settled"
    assert talk.lines.count("hook error") == (reach is not reach_response_hook)
    assert talk.nothing_left()
    assert not any(line.startswith("request to") for line in talk.lines)


def test_no_timer_is_armed_for_a_client_that_left() -> None:
    talk = Dialogue()
    reach_waiting(talk)
    talk.client_leaves()
    talk._timers.clear()
    talk.release_hooks()
    assert talk._timers == []
