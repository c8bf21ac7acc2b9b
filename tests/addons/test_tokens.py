"""Tokens: one fetch for everybody who waits, renewed ahead of their end, never used beyond it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from addons.token_fetch import Caller, Token
from addons.tokens import MAX_KEPT, Tokens
from config.loader import loads
from config.providers import Credential
from config.runtime import Provider
from tests.addons.placing import Clock
from translators.errors import ErrorKind, GatewayError

CONFIG = """
providers:
  up: {protocol: openai_chat, base_url: "http://127.0.0.1:1/v1",
       credential: {type: oauth, client_id: c, client_secret: s, token_url: "http://127.0.0.1:1/t"}}
"""


def provider() -> Provider:
    return loads(CONFIG).provider("up")


class Issuer:
    """Hands out `t1`, `t2`, … for a while each; waits for `gate`, and fails when told to."""

    def __init__(self, lifetime_s: float = 1000) -> None:
        self.lifetime_s = lifetime_s
        self.asked = 0
        self.error: GatewayError | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, credential: Credential, name: str, call: Caller) -> Token:
        self.asked += 1
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        return Token(f"t{self.asked}", self.lifetime_s)


async def others() -> None:
    """Everything that is under way comes to its end."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)


def play(issuer: Issuer, scene: Callable[[Tokens, Clock], Any]) -> None:
    clock = Clock()
    asyncio.run(scene(Tokens(issuer, clock), clock))


def test_everybody_waits_for_one_fetch_also_when_the_first_one_leaves() -> None:
    issuer, upstream = Issuer(), provider()
    issuer.gate.clear()

    async def scene(tokens: Tokens, _clock: Clock) -> None:
        waiting = [asyncio.create_task(tokens.ready(upstream, None)) for _ in range(5)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        issuer.gate.set()
        await asyncio.gather(*waiting[1:])
        assert tokens.value(upstream) == "t1"

    play(issuer, scene)
    assert issuer.asked == 1


@pytest.mark.parametrize(
    ("passed_s", "value", "asked"),
    [
        pytest.param(600, "t1", 1, id="long before its end nothing happens"),
        pytest.param(800, "t1", 2, id="shortly before, the old one is used while a new one is got"),
        pytest.param(985, "t2", 2, id="at the very end the new one is awaited"),
    ],
)
def test_a_token_is_renewed_ahead_of_its_end(passed_s: float, value: str, asked: int) -> None:
    issuer, upstream = Issuer(), provider()

    async def scene(tokens: Tokens, clock: Clock) -> None:
        await tokens.ready(upstream, None)
        clock.now_s += passed_s
        await tokens.ready(upstream, None)
        assert tokens.value(upstream) == value
        await others()

    play(issuer, scene)
    assert issuer.asked == asked


def test_a_renewal_ahead_that_fails_is_tried_again_later_and_the_old_token_is_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    issuer, upstream = Issuer(), provider()

    async def scene(tokens: Tokens, clock: Clock) -> None:
        await tokens.ready(upstream, None)
        issuer.error = GatewayError(ErrorKind.SERVER_ERROR, "the issuer is down")
        clock.now_s += 750
        for _ in range(3):
            await tokens.ready(upstream, None)
            await others()
        assert "could not be renewed yet" in caplog.text
        assert tokens.value(upstream) == "t1"
        issuer.error = None
        clock.now_s += 61
        await tokens.ready(upstream, None)
        await others()
        assert tokens.value(upstream) == "t3"

    play(issuer, scene)
    assert issuer.asked == 3


def test_an_error_names_the_provider_and_the_next_request_asks_again() -> None:
    issuer, upstream = Issuer(), provider()
    issuer.error = GatewayError(ErrorKind.UPSTREAM_REJECTED, "no")

    async def scene(tokens: Tokens, _clock: Clock) -> None:
        for _ in range(2):
            asked = [tokens.ready(upstream, None) for _ in range(2)]
            one, two = await asyncio.gather(*asked, return_exceptions=True)
            assert one is not two, "each waiter may change its own"
            assert isinstance(one, GatewayError)
            assert (one.kind, one.provider) == (ErrorKind.UPSTREAM_REJECTED, "up")
        assert tokens.value(upstream) is None

    play(issuer, scene)
    assert issuer.asked == 2


def test_a_dropped_token_is_got_anew_and_the_memory_is_bounded() -> None:
    issuer, upstream = Issuer(), provider()

    async def scene(tokens: Tokens, _clock: Clock) -> None:
        await tokens.ready(upstream, None)
        tokens.drop(upstream)
        assert tokens.value(upstream) is None
        await tokens.ready(upstream, None)
        assert tokens.value(upstream) == "t2"
        for _ in range(MAX_KEPT):
            tokens.value(provider())
        assert tokens.value(upstream) is None

    play(issuer, scene)
