"""Budgets, limits and places by clocks that are passed in."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal

import pytest

from addons.budgets import Ledger, Minute, cost_of
from addons.exchange import Exchange
from addons.gate import Places
from tests.addons.placing import Clock, World, world
from translators.errors import ErrorKind, GatewayError
from translators.ir import Usage

CONFIG = """
client_keys:
  - {name: k, key: kk, KEY}
  - {name: other, key: oo}
providers:
  a: {protocol: openai_chat, base_url: "http://127.0.0.1:1/v1",
      models: {m: {prices: {input: 1, output: 2, cached_input: "0.1"}}, dear: {prices: {input: 9, output: 9}}}}
models: {both: [a/dear, a/m]}
budgets: {GENERAL}
"""
NOON = 1_800_014_400.0
"""2027-01-15 12:00 UTC."""


def setting(key: str = "budget_usd_per_day: 1", general: str = "warn_at: 0.5") -> World:
    return world(CONFIG.replace("KEY", key).replace("GENERAL", general))


def ledger(place: World, wall: Clock | None = None) -> Ledger:
    return Ledger(place.clock, wall or Clock(NOON))


def spend(place: World, books: Ledger, usd: str, key: str = "k") -> Exchange:
    """One request that cost so much."""
    exchange = place.place("a/m", key=key)
    books.admit(exchange)
    exchange.cost_usd = Decimal(usd)
    exchange.usage = Usage(input_tokens=10, output_tokens=5)
    books.settle(exchange)
    return exchange


def test_a_minute_slides() -> None:
    minute = Minute()
    minute.add(100.2, 3)
    minute.add(130.0, 2)
    assert minute.total(159.9) == 5
    assert minute.room_in_s(140.0, 5) == 20
    assert minute.total(160.0) == 2
    assert minute.total(500.0) == 0


def test_r20_a_spent_budget_blocks_that_key_until_midnight() -> None:
    place, wall = setting(), Clock(NOON)
    books = ledger(place, wall)
    spend(place, books, "0.6")
    spend(place, books, "0.4")
    with pytest.raises(GatewayError) as caught:
        spend(place, books, "0.1")
    assert caught.value.kind is ErrorKind.BILLING
    assert caught.value.retry_after_s == 12 * 3600
    spend(place, books, "5", key="other")
    wall.now_s += 12 * 3600
    spend(place, books, "0.1")


def test_r20_the_day_begins_at_the_configured_midnight() -> None:
    place = setting(general="timezone: Asia/Tokyo")
    books = ledger(place, Clock(NOON))
    spend(place, books, "1")
    with pytest.raises(GatewayError) as caught:
        spend(place, books, "1")
    assert caught.value.retry_after_s == 3 * 3600


def test_r20_force_cheapest_turns_the_order_round() -> None:
    place = setting("budget_usd_per_day: 1, budget_action: force_cheapest")
    books = ledger(place)
    spend(place, books, "1")
    exchange = place.exchange("both", key="k")
    books.admit(exchange)
    place.router.place(exchange)
    assert [str(one) for one in exchange.candidates] == ["a/m", "a/dear"]
    assert place.names("both", key="k") == ["a/dear", "a/m"]


def test_r20_notify_only_warns_and_once(caplog: pytest.LogCaptureFixture) -> None:
    place = setting("budget_usd_per_day: 1, budget_action: notify")
    books = ledger(place)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            spend(place, books, "0.4")
    assert len([one for one in caplog.records if "budget" in one.message]) == 1


def test_the_general_budget_binds_everyone() -> None:
    place = setting("requests_per_minute: 100", general="usd_per_day: 1")
    books = ledger(place)
    spend(place, books, "1", key="other")
    with pytest.raises(GatewayError):
        spend(place, books, "0")


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [
        pytest.param("requests_per_minute: 2", 2, id="requests"),
        pytest.param("tokens_per_minute: 40", 3, id="tokens, counted when they are known"),
    ],
)
def test_limits_per_minute(limit: str, allowed: int) -> None:
    place = setting(limit)
    books = ledger(place)
    for _ in range(allowed):
        spend(place, books, "0")
    with pytest.raises(GatewayError) as caught:
        spend(place, books, "0")
    assert caught.value.kind is ErrorKind.RATE_LIMITED
    assert caught.value.retry_after_s == 60
    place.clock.now_s += 60
    spend(place, books, "0")


def test_a_request_costs_what_its_model_does() -> None:
    place = setting()
    exchange = place.place("a/m", key="k")
    assert cost_of(exchange) is None
    place.attempt(exchange)
    exchange.usage = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=500)
    assert cost_of(exchange) == Decimal("0.00075")


async def _queue() -> None:
    places = Places()
    assert places.take("a", 2, None)
    assert places.take("b", 2, 1)
    assert not places.take("a", 2, None)
    waiting = [
        asyncio.ensure_future(places.wait("b", 2, 1, 60)),
        asyncio.ensure_future(places.wait("a", 2, None, 60)),
    ]
    await asyncio.sleep(0)
    places.free("a")  # b is at its own limit: the one behind it goes first
    assert await waiting[1]
    assert not waiting[0].done()
    places.free("b")
    assert await waiting[0]
    assert not await places.wait("a", 2, None, 0)
    places.free("a")
    places.free("b")
    assert (places.active, places.waiting) == (0, 0)


async def _left() -> None:
    places = Places()
    assert places.take("a", 1, None)
    gone = asyncio.ensure_future(places.wait("a", 1, None, 60))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert places.waiting == 0
    places.free("a")
    assert places.take("a", 1, None)


def test_places_are_given_in_order_past_those_who_may_not() -> None:
    asyncio.run(_queue())


def test_who_leaves_the_queue_takes_no_place() -> None:
    asyncio.run(_left())
