"""Free memory is given back after it has grown, and what is in use is left alone."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from addons import trim
from addons.trim import GROWN_BYTES, REST_S, Trim

MB = 1024 * 1024


class Memory:
    """A process whose memory the test decides."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.resident = 100 * MB
        self.free = 0
        self.trimmed = 0
        monkeypatch.setattr(trim, "resident_bytes", lambda: self.resident)
        monkeypatch.setattr(trim, "find_trim", lambda: self.give_back)
        monkeypatch.setattr(trim, "LOOK_AFTER_S", 0.01)

    def give_back(self, _pad: int) -> None:
        self.trimmed += 1
        self.resident -= self.free
        self.free = 0


async def quiet(addon: Trim) -> None:
    """Until no look is coming."""
    async with asyncio.timeout(5):
        while addon._timer is not None:  # noqa: ASYNC110 - a plain attribute
            await asyncio.sleep(0.005)


def test_growth_is_given_back_once_and_steady_use_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        memory, now = Memory(monkeypatch), 0.0
        addon = Trim(lambda: now)
        exchange = cast(Any, object())
        addon.settled(exchange)
        await quiet(addon)
        first = memory.trimmed
        memory.resident += 60 * MB
        memory.free = 60 * MB
        now = REST_S + 1
        addon.settled(exchange)
        await quiet(addon)
        assert memory.resident == 100 * MB
        assert memory.trimmed > first
        trimmed = memory.trimmed
        memory.resident += GROWN_BYTES // 2
        addon.settled(exchange)
        await quiet(addon)
        assert memory.trimmed == trimmed, "that little is not worth it"
        addon.done()

    asyncio.run(run())


def test_where_there_is_nothing_to_trim_with_nothing_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trim, "find_trim", lambda: None)
    addon = Trim()
    addon.settled(cast(Any, object()))  # there is no loop: a timer would fail
    assert addon._timer is None
