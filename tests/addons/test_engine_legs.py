"""Answers that take several attempts: what the engine does when an upstream's answer was good and is not all."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from mitmproxy import http

from addons.contract import Attempt, Verdict
from tests.addons.dialogue import END, HELD, POST, Dialogue, Script, answer, chunk, stream_head

PING = chunk(b": ping\n\n")


def body(raw: bytes) -> bytes:
    return raw.partition(b"\r\n\r\n")[2]


def with_pings(attempt: Attempt) -> None:
    attempt.ping_interval_s = 10


class Pausing(Script):
    """A policy whose first attempts pause at the end of their streams; END is what the last one may say."""

    def __init__(self, talk: list[Dialogue], legs: int) -> None:
        super().__init__()
        self.legs = legs
        self.stream = lambda data: self._relay(talk[0], data)

    def _relay(self, talk: Dialogue, data: bytes) -> Iterable[bytes]:
        attempt = talk.attempts[-1]
        if not data and attempt.number <= self.legs:
            attempt.go_on_later()
        return [data] if data else []


def pausing(legs: int = 1, **settings: object) -> Dialogue:
    made: list[Dialogue] = []
    made.append(Dialogue(policy=Pausing(made, legs), **settings))  # type: ignore[arg-type]
    return made[0]


def test_a_whole_answer_that_is_not_all_is_followed_by_another_attempt() -> None:
    talk = Dialogue()
    talk.policy.verdicts = lambda attempt: Verdict.PEEK
    talk.policy.peeks = [None, Verdict.GO_ON, None, Verdict.COMMIT]
    talk.client(POST)
    talk.upstream(1, answer(b"one"))
    assert talk.client_text == b""
    talk.upstream(2, answer(b"two"))
    assert body(talk.client_text) == b"two"
    assert [line for line in talk.policy.asked if line.startswith(("commit", "retry"))] == [
        "commit 2"
    ]
    assert "hook llm_attempt_failed" not in talk.lines
    first, _second = talk.attempts
    assert (first.cause, first.committed, first.ended_s) == (None, False, talk.now)
    assert first.response is not None
    assert first.response.raw_content == b"one"
    assert talk.nothing_left()


def test_a_paused_stream_goes_on_from_another_upstream() -> None:
    talk = pausing(legs=2)
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"one") + END)
    assert body(talk.client_text) == chunk(b"one")
    talk.upstream(2, stream_head() + chunk(b"two") + END)
    talk.upstream(3, stream_head() + chunk(b"three") + END)
    assert body(talk.client_text) == chunk(b"one") + chunk(b"two") + chunk(b"three") + END
    assert talk.client_text.count(b"HTTP/1.1") == 1
    assert talk.lines.count("hook responseheaders") == talk.lines.count("hook response") == 1
    assert talk.policy.asked[-1] == "settled"
    assert talk.nothing_left()


def test_the_client_gets_pings_while_the_next_upstream_is_silent() -> None:
    talk = pausing(on_attempt=with_pings)
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"one") + END)
    talk.pass_time(11)
    assert body(talk.client_text) == chunk(b"one") + PING
    talk.upstream(2, stream_head() + chunk(b"two") + END)
    assert body(talk.client_text) == chunk(b"one") + PING + chunk(b"two") + END


def test_an_upstream_that_breaks_off_behind_its_pause_has_said_all() -> None:
    talk = pausing()
    talk.policy.stream = lambda data: (talk.attempts[0].go_on_later(), [data])[1] if data else []
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"one"))
    talk.upstream_closes(1)
    talk.policy.stream = lambda data: [data] if data else []
    talk.upstream(2, stream_head() + chunk(b"two") + END)
    assert body(talk.client_text) == chunk(b"one") + chunk(b"two") + END


def test_a_leg_that_fails_is_tried_again_or_ends_the_stream_in_its_error() -> None:
    talk = pausing()
    talk.policy.delays = [0]
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"one") + END)
    talk.upstream(2, answer(b"no", 529))
    talk.upstream(3, answer(b"no", 529))
    assert body(talk.client_text) == chunk(b"one") + chunk(b"event: error\n\n") + END
    assert "stream_broken status" in talk.policy.asked
    assert talk.nothing_left()


def test_a_leg_that_cannot_connect_ends_the_stream_in_its_error() -> None:
    talk = pausing(connects=[None, "refused"])
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"one") + END)
    assert body(talk.client_text) == chunk(b"one") + chunk(b"event: error\n\n") + END
    assert talk.nothing_left()


def test_a_hook_that_answers_in_place_of_a_leg_ends_the_stream_in_an_error() -> None:
    def refuse(attempt: Attempt) -> None:
        if attempt.number == 2:
            attempt.flow.response = http.Response.make(400, b"no")

    talk = pausing(on_attempt=refuse)
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"one") + END)
    assert body(talk.client_text) == chunk(b"one") + chunk(b"event: error\n\n") + END
    assert "stream_broken refused" in talk.policy.asked
    assert len(talk.sent) == 1
    response = talk.flows[0].response
    assert response is not None
    assert response.status_code == 200
    assert talk.nothing_left()


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"connects": [None, HELD]}, id="while it connects"),
        pytest.param({}, id="while it is silent"),
    ],
)
def test_a_client_that_leaves_between_two_legs_ends_the_next(settings: dict[str, object]) -> None:
    talk = pausing(**settings)
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"one") + END)
    talk.client_leaves()
    assert "client_gone" in talk.policy.asked
    assert talk.policy.asked[-1] == "settled"
    assert talk.nothing_left()
