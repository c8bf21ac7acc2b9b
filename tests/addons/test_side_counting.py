"""Counting in the gateway: the encoding that arrives, or does not, behind the scenes; bodies for upstreams."""

from __future__ import annotations

import asyncio
import threading

import pytest

from addons.counting import Counting, quick_estimate
from translators import ir
from translators.gemini.counting import forwarded
from translators.tokens import Encoding, Estimator, TiktokenCounter


class Letters:
    """An encoding in which every letter is a token."""

    def encode_ordinary(self, text: str) -> list[int]:
        """See Encoding."""
        return [ord(char) for char in text]


def request(text: str) -> ir.Request:
    """A request of one text."""
    message = ir.Message(role=ir.Role.USER, parts=(ir.Text(text=text),))
    return ir.Request(protocol="anthropic", model="m", messages=(message,))


def test_an_encoding_that_is_found_replaces_the_estimate() -> None:
    async def scenario() -> tuple[str, int, int]:
        counting = Counting(lambda _name: Letters())
        before = await counting.count(request("abcdefgh" * 10), "openai_chat")
        counting.start("letters")
        counting.start("letters")  # once is enough
        assert counting._task is not None
        await counting._task
        after = await counting.count(request("abcdefgh" * 10), "openai_chat")
        await counting.stop()
        return counting.name, before, after

    name, before, after = asyncio.run(scenario())
    assert (name, after) == ("letters", 84)
    assert before < after


def test_a_load_that_fails_leaves_the_estimate(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_name: str) -> Encoding:
        raise OSError("no network")

    async def scenario() -> Counting:
        counting = Counting(refuse)
        counting.start("o200k_base")
        assert counting._task is not None
        await counting._task
        await counting.stop()
        return counting

    with caplog.at_level("INFO"):
        counting = asyncio.run(scenario())
    assert counting.name == "estimate"
    assert isinstance(counting.counter, Estimator)
    (line,) = [r.getMessage() for r in caplog.records if "encoding" in r.getMessage()]
    assert "no network" in line


def test_a_load_that_hangs_neither_blocks_nor_delays_the_end() -> None:
    never = threading.Event()

    def hang(_name: str) -> Encoding:
        never.wait()
        raise AssertionError

    async def scenario() -> int:
        counting = Counting(hang)
        counting.start("o200k_base")
        counted = await counting.count(request("Hello there"), "openai_chat")
        await counting.stop()
        return counted

    try:
        assert asyncio.run(scenario()) > 0
    finally:
        never.set()


def test_a_load_has_a_limit_in_time() -> None:
    never = threading.Event()

    def hang(_name: str) -> Encoding:
        never.wait()
        raise AssertionError

    async def scenario() -> Counting:
        counting = Counting(hang, timeout_s=0)
        counting.start("o200k_base")
        assert counting._task is not None
        await counting._task
        return counting

    try:
        assert asyncio.run(scenario()).name == "estimate"
    finally:
        never.set()


def test_the_quick_estimate_ignores_the_size_of_pictures() -> None:
    picture = ir.Image(source=ir.Inline(media_type="image/png", data="A" * 1_000_000))
    message = ir.Message(role=ir.Role.USER, parts=(ir.Text(text="word " * 100), picture))
    asked = ir.Request(protocol="anthropic", model="m", messages=(message,))
    assert 125 < quick_estimate(asked, "openai_chat") < 1000


def test_a_bare_gemini_count_keeps_its_body() -> None:
    bare = {"contents": []}
    assert forwarded(bare, "m", lambda body: body) is bare
    wrapped = {"generateContentRequest": {"model": "models/x", "contents": []}}
    assert (
        forwarded(wrapped, "m", lambda body: body)["generateContentRequest"]["model"] == "models/m"
    )
    assert wrapped["generateContentRequest"]["model"] == "models/x"


def test_the_loaded_counter_is_tiktokens() -> None:
    assert TiktokenCounter(Letters()).count("abc") == 3
