"""The cached dispatch must be indistinguishable from mitmproxy's own, except that it is faster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mitmproxy import exceptions, hooks
from mitmproxy.proxy.layers.http import HttpRequestHook
from mitmproxy.test import taddons, tflow

from addons.dispatch import Dispatch, missing


class Recorder:
    """An addon that writes its name down, and may do something more."""

    def __init__(self, name: str, seen: list[str], then: Callable[[], Any] = lambda: None) -> None:
        self.name = name
        self.seen = seen
        self.then = then

    def request(self, flow: object) -> None:
        self.seen.append(self.name)
        self.then()


class AsyncRecorder(Recorder):
    async def request(self, flow: object) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.seen.append(self.name)


class Parent(Recorder):
    def __init__(self, name: str, seen: list[str], *children: Recorder) -> None:
        super().__init__(name, seen)
        self.addons = list(children)


class Updates:
    def __init__(self) -> None:
        self.flows: list[object] = []

    def update(self, flows: list[object]) -> None:
        self.flows += flows


def halt() -> None:
    raise exceptions.AddonHalt


def crash() -> None:
    raise ValueError("planted")


@asynccontextmanager
async def manager(cached: bool, *addons: object) -> AsyncIterator[Any]:
    with taddons.context(loadcore=False) as tctx:
        dispatch = Dispatch()
        if cached:
            tctx.master.addons.add(dispatch)
        tctx.master.addons.add(*addons)
        yield tctx.master.addons
        if cached:
            tctx.master.addons.remove(dispatch)


CASES = [
    pytest.param(lambda seen: [Recorder("a", seen), Recorder("b", seen)], "a b", id="in order"),
    pytest.param(
        lambda seen: [Parent("a", seen, Recorder("a1", seen), Recorder("a2", seen))],
        "a a1 a2",
        id="sub-addons after their parent",
    ),
    pytest.param(
        lambda seen: [AsyncRecorder("a", seen), Recorder("b", seen)],
        "a b",
        id="async handlers are awaited",
    ),
    pytest.param(
        lambda seen: [Recorder("a", seen, halt), Recorder("b", seen)], "a", id="AddonHalt stops"
    ),
    pytest.param(
        lambda seen: [Recorder("a", seen, crash), Recorder("b", seen)],
        "a b",
        id="a crash does not stop the others",
    ),
    pytest.param(
        lambda seen: [
            Parent("a", seen, Recorder("a1", seen, crash), Recorder("a2", seen)),
            Recorder("b", seen),
        ],
        "a a1 b",
        id="a crash skips the rest of its own top-level addon",
    ),
]


@pytest.mark.parametrize("cached", [True, False], ids=["ours", "mitmproxy's"])
@pytest.mark.parametrize(("make", "expected"), CASES)
def test_handlers_run_as_mitmproxy_runs_them(
    make: Callable[[list[str]], list[object]], expected: str, cached: bool
) -> None:
    async def play() -> list[str]:
        seen: list[str] = []
        async with manager(cached, *make(seen)) as addons:
            await addons.trigger_event(HttpRequestHook(tflow.tflow()))
            once = list(seen)
            await addons.trigger_event(HttpRequestHook(tflow.tflow()))
            assert seen == once * 2
        return once

    assert asyncio.run(play()) == expected.split()


@pytest.mark.parametrize("cached", [True, False], ids=["ours", "mitmproxy's"])
def test_a_lifecycle_hook_of_a_flow_is_followed_by_update(cached: bool) -> None:
    async def play() -> None:
        updates = Updates()
        async with manager(cached, updates) as addons:
            flow = tflow.tflow()
            await addons.handle_lifecycle(HttpRequestHook(flow))
            assert updates.flows == [flow]
            await addons.handle_lifecycle(hooks.ConfigureHook(set()))
            assert updates.flows == [flow]

    asyncio.run(play())


def test_addons_that_come_and_go_are_noticed() -> None:
    async def play() -> None:
        seen: list[str] = []
        first, second, third = (Recorder(name, seen) for name in "abc")
        async with manager(True, first) as addons:
            await addons.trigger_event(HttpRequestHook(tflow.tflow()))
            addons.add(second)
            addons.chain.insert(0, third)  # as mitmproxy's own tests do
            await addons.trigger_event(HttpRequestHook(tflow.tflow()))
            addons.remove(first)
            await addons.trigger_event(HttpRequestHook(tflow.tflow()))
        assert seen == ["a", "c", "a", "b", "c", "b"]

    asyncio.run(play())


def test_a_crash_is_logged_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> list[list[Any]]:
        failed: list[list[Any]] = []
        with taddons.context(loadcore=False) as tctx:
            tctx.master.addons.add(Dispatch(failed.append), Recorder("a", [], crash))
            await tctx.master.addons.trigger_event(HttpRequestHook(tflow.tflow()))
        return failed

    with caplog.at_level(logging.ERROR):
        assert len(asyncio.run(play())) == 1
    assert "Addon error: planted" in caplog.text


def test_removing_the_addon_gives_mitmproxy_its_methods_back() -> None:
    with taddons.context(loadcore=False) as tctx:
        addons = tctx.master.addons
        dispatch = Dispatch()
        addons.add(dispatch)
        assert addons.trigger_event.__self__ is dispatch
        addons.remove(dispatch)
        assert addons.trigger_event.__self__ is addons
        assert addons.register.__self__ is addons


def test_it_is_off_when_mitmproxy_lacks_a_name(caplog: pytest.LogCaptureFixture) -> None:
    class Loader:
        class master:  # noqa: N801
            addons = object()

    Dispatch().load(Loader)  # type: ignore[arg-type]
    assert "cached hook dispatch is off" in caplog.text
    assert "AddonManager.trigger_event" in missing(object())
