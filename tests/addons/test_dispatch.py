"""The cached dispatch must be indistinguishable from mitmproxy's own, except that it is faster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mitmproxy import exceptions, hooks, http
from mitmproxy.addons.asgiapp import ASGIApp
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


class Waiting:
    """An addon that waits until it is told to go on, and then does something more."""

    def __init__(self, seen: list[str], then: Callable[[], Any] = lambda: None) -> None:
        self.seen = seen
        self.then = then
        self.task: asyncio.Task[Any] | None = None

    async def request(self, flow: object) -> None:
        self.task = asyncio.current_task()
        await asyncio.sleep(0)
        self.seen.append("waited")
        self.then()


ON_THE_SPOT = [
    pytest.param(lambda seen: [Recorder("a", seen), Updates()], True, "a", id="nobody waits"),
    pytest.param(
        lambda seen: [Recorder("a", seen, crash), Recorder("b", seen)], True, "a b", id="a crash"
    ),
    pytest.param(
        lambda seen: [Recorder("a", seen, halt), Recorder("b", seen)], True, "a", id="AddonHalt"
    ),
    pytest.param(
        lambda seen: [Recorder("a", seen), Waiting(seen), Recorder("b", seen)],
        False,
        "a waited b",
        id="the rest of a hook in which somebody waits",
    ),
    pytest.param(
        lambda seen: [Waiting(seen, crash), Recorder("b", seen)],
        False,
        "waited b",
        id="somebody crashes after waiting",
    ),
    pytest.param(
        lambda seen: [Waiting(seen, halt), Recorder("b", seen)],
        False,
        "waited",
        id="AddonHalt after waiting",
    ),
]


@pytest.mark.parametrize(("make", "on_the_spot", "expected"), ON_THE_SPOT)
def test_a_hook_that_is_begun_runs_each_handler_once(
    make: Callable[[list[str]], list[object]], on_the_spot: bool, expected: str
) -> None:
    async def play() -> None:
        seen: list[str] = []
        updates = Updates()
        async with manager(False) as addons:
            dispatch = Dispatch()
            addons.add(dispatch, *make(seen))
            addons.add(type("Last", (), {"update": staticmethod(updates.update)})())
            hook = HttpRequestHook(tflow.tflow())
            assert dispatch.begin(hook) is on_the_spot
            if not on_the_spot:
                assert "waited" not in seen
                assert not updates.flows
                await addons.handle_lifecycle(hook)
            assert seen == expected.split()
            assert updates.flows == [hook.flow]

    asyncio.run(play())


def test_an_async_handler_starts_in_the_task_that_ends_it() -> None:
    async def play() -> None:
        waiting = Waiting([])
        async with manager(False) as addons:
            dispatch = Dispatch()
            addons.add(dispatch, waiting)
            hook = HttpRequestHook(tflow.tflow())
            dispatch.begin(hook)
            task = asyncio.create_task(addons.handle_lifecycle(hook))
            await task
            assert waiting.task is task

    asyncio.run(play())


def test_a_flow_that_is_intercepted_is_left_for_mitmproxy_to_wait_for() -> None:
    async def play() -> None:
        seen: list[str] = []
        async with manager(False) as addons:
            dispatch, recorder = Dispatch(), Recorder("a", seen)
            flow = tflow.tflow()
            recorder.then = flow.intercept
            addons.add(dispatch, recorder)
            hook = HttpRequestHook(flow)
            assert not dispatch.begin(hook)
            await addons.handle_lifecycle(hook)
            assert seen == ["a"]

    asyncio.run(play())


@pytest.mark.parametrize("hears", [True, False], ids=["somebody hears", "nobody hears"])
def test_a_log_line_becomes_a_hook_for_who_has_it(hears: bool) -> None:
    class Hearing:
        def __init__(self) -> None:
            self.lines: list[str] = []

        def add_log(self, entry: Any) -> None:
            self.lines.append(entry.msg)

    async def play() -> None:
        async with manager(True) as addons:
            hearing, handler = Hearing(), addons.master._legacy_log_events
            if hears:
                addons.add(hearing)
            record = logging.LogRecord("x", logging.INFO, "", 0, "planted", (), None)
            assert bool(handler.filter(record)) is hears
            handler.handle(record)
            await asyncio.sleep(0)
            assert len([line for line in hearing.lines if "planted" in line]) == hears
            dispatch = addons.get("dispatch")
            addons.remove(dispatch)
            assert handler.filter(record)
            addons.add(dispatch)

    asyncio.run(play())


class Page(ASGIApp):
    """A page under a host name of its own, as mitmproxy's own one."""

    def __init__(self) -> None:
        super().__init__(None, "page.test", None)
        self.served: list[str] = []

    def should_serve(self, flow: Any) -> bool:
        return flow.request.pretty_host == self.host

    async def request(self, flow: Any) -> None:
        if self.should_serve(flow):
            self.served.append(flow.request.path)


@pytest.mark.parametrize(
    ("host", "served"),
    [
        pytest.param("page.test", ["/"], id="own host"),
        pytest.param("a.test", [], id="another host"),
    ],
)
def test_a_page_is_asked_for_what_it_serves_only(host: str, served: list[str]) -> None:
    async def play() -> None:
        async with manager(False) as addons:
            dispatch, page = Dispatch(), Page()
            addons.add(dispatch, page)
            flow = tflow.tflow()
            flow.request = http.Request.make("GET", f"http://{host}/")
            hook = HttpRequestHook(flow)
            assert dispatch.begin(hook) is not bool(served)
            if served:
                await addons.handle_lifecycle(hook)
            assert page.served == served

    asyncio.run(play())


@pytest.mark.parametrize("listens", [True, False], ids=["somebody listens", "nobody listens"])
def test_a_plain_trigger_reaches_who_listens(listens: bool) -> None:
    class Listener:
        def __init__(self) -> None:
            self.heard: list[object] = []

        def configure(self, updated: object) -> None:
            self.heard.append(updated)

    async def play() -> None:
        async with manager(True) as addons:
            listener = Listener()
            if listens:
                addons.add(listener)
            addons.trigger(hooks.ConfigureHook({"one"}))
            assert listener.heard[-1:] == ([{"one"}] if listens else [])

    asyncio.run(play())


def test_nothing_is_begun_while_it_is_off() -> None:
    assert not Dispatch().begin(HttpRequestHook(tflow.tflow()))
