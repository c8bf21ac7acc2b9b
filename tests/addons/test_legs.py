"""Which call comes next of an answer that takes several, without a proxy."""

from __future__ import annotations

from typing import Any

import pytest

from addons import legs
from addons.exchange import Exchange, Try
from tests.addons.placing import world
from translators import ir
from translators.base import Reading
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses

CONFIG = """
client_keys: [{name: test, key: test-gateway-key}]
providers:
  one: {protocol: gemini, base_url: "http://127.0.0.1:9/v1beta", api_key: k}
  two: {protocol: gemini, base_url: "http://127.0.0.1:9/v1beta", api_key: k}
models: {m: [one/m, two/m]}
timeouts: {total_s: 60, stream_s: 30}
retry: {max_attempts: 3}
"""
TOKEN = ir.Resume(protocol="gemini", wire={"continuationToken": "t"}, times=2, open_text=True)


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Exchange:
    gate = world(CONFIG)
    monkeypatch.setattr(legs, "now_s", gate.clock)
    return gate.place("m")


def attempt(exchange: Exchange, place: int = 0, **reading: Any) -> Try:
    given = Reading(provider="p", model="m", **reading)
    one = Try(candidate=exchange.candidates[place], number=1, losses=Losses(), reading=given)
    exchange.tries.append(one)
    exchange.current = one
    return one


def answer(words: str, resume: ir.Resume | None = None, **fields: Any) -> ir.Response:
    reason = ir.FinishReason.LENGTH if resume is not None else ir.FinishReason.STOP
    parts = (ir.Text(text=words),)
    return ir.Response(
        id="a", model="m", parts=parts, finish_reason=reason, resume=resume, **fields
    )


def said(response: ir.Response | None) -> str:
    assert response is not None
    return "".join(part.text for part in response.parts if isinstance(part, ir.Text))


def test_an_answer_of_one_call_leaves_no_state(exchange: Exchange) -> None:
    whole = answer("x")
    assert legs.take(exchange, attempt(exchange), whole) is whole
    assert exchange.legs is None
    assert legs.next_leg(exchange) is None


def test_a_pause_asks_the_same_candidate_again(exchange: Exchange) -> None:
    first, second = attempt(exchange), attempt(exchange)
    assert legs.take(exchange, first, answer("Hel", TOKEN)) is None
    assert legs.next_leg(exchange) is exchange.candidates[0]
    assert legs.next_leg(exchange) is None
    assert exchange.legs is not None
    request = ir.Request(protocol="openai_chat", model="m", messages=())
    assert exchange.legs.asked(request).resume == (TOKEN,)
    assert said(legs.take(exchange, second, answer("lo"))) == "Hello"


def test_pauses_end_at_their_number(exchange: Exchange) -> None:
    for words in ("a", "b"):
        assert legs.take(exchange, attempt(exchange), answer(words, TOKEN)) is None
    last = attempt(exchange)
    assert said(legs.take(exchange, last, answer("c", TOKEN))) == "abc"
    assert [loss.reason for loss in last.losses.degradations] == [
        "the answer paused 3 times: it ends here, unfinished"
    ]


@pytest.mark.parametrize(("stream", "limit_s"), [(False, 60), (True, 30)])
def test_pauses_end_when_their_time_is_over(
    exchange: Exchange, stream: bool, limit_s: float
) -> None:
    exchange.stream = stream
    exchange.started_s -= limit_s - 1
    assert legs.time_left_s(exchange) == 1
    assert legs.take(exchange, attempt(exchange), answer("a", TOKEN)) is None
    exchange.started_s -= 1
    last = attempt(exchange)
    assert said(legs.take(exchange, last, answer("b", TOKEN))) == "ab"
    assert "when its time was over" in last.losses.degradations[0].reason


def test_what_earlier_calls_gave_up_is_told_too(exchange: Exchange) -> None:
    first, second = attempt(exchange), attempt(exchange)
    first.losses.warn("seed", "was dropped")
    legs.take(exchange, first, answer("a", TOKEN))
    legs.take(exchange, second, answer("b"))
    assert [loss.path for loss in second.losses.degradations] == ["seed"]


def test_another_candidate_begins_anew_and_keeps_whole_answers(exchange: Exchange) -> None:
    legs.take(exchange, attempt(exchange, calls=2), answer("one"))
    legs.take(exchange, attempt(exchange, calls=1), answer("tw", TOKEN))
    assert legs.going_on(exchange, exchange.candidates[0])
    assert legs.going_on(exchange, exchange.candidates[1])
    assert exchange.legs is not None
    request = ir.Request(protocol="openai_chat", model="m", messages=(), candidates=2)
    asked = exchange.legs.asked(request)
    assert (asked.candidates, asked.resume) == (1, ())
    whole = legs.take(exchange, attempt(exchange, 1), answer("two"))
    assert said(whole) == "one"
    assert whole is not None
    assert [other.parts for other in whole.alternatives] == [(ir.Text(text="two"),)]


@pytest.mark.parametrize(
    ("tries", "once_more"),
    [
        pytest.param([], True, id="the first try"),
        pytest.param([(0, True)], False, id="it was given up here before"),
        pytest.param([(1, True)], True, id="it was given up elsewhere"),
        pytest.param([(0, False)], True, id="the provider failed"),
        pytest.param([(0, False), (1, False)], False, id="no attempt is left"),
    ],
)
def test_when_an_answer_is_taken_as_it_is(
    exchange: Exchange, tries: list[tuple[int, bool]], once_more: bool
) -> None:
    for place, model_failed in tries:
        attempt(exchange, place).error = GatewayError(
            ErrorKind.UPSTREAM_MALFORMED, "no", once_more=model_failed
        )
    one = Try(candidate=exchange.candidates[0], number=9, losses=Losses())
    given = Reading(provider="p", model="m", once_more=True)
    assert legs.settled_reading(exchange, one, given).once_more is once_more


def test_usage_counts_every_call(exchange: Exchange) -> None:
    for count in (3, None, 4):
        attempt(exchange).usage = ir.Usage(input_tokens=count)
    assert legs.usage_of(exchange) == ir.Usage(input_tokens=7)


def test_what_was_given_up_goes_once_more_to_the_same_candidate_then_on() -> None:
    gate = world(CONFIG)
    exchange = gate.place("m")
    seen = []
    while (one := gate.attempt(exchange)) is not None:
        seen.append(str(one.candidate))
        one.error = GatewayError(ErrorKind.UPSTREAM_MALFORMED, "no", once_more=True)
        gate.picker.failed(exchange, one)
        if gate.picker.retry_delay(exchange, one) is None:
            break
    assert seen == ["one/m", "one/m", "two/m"]
    assert gate.picker.cooldowns.status() == []
