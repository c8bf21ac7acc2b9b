"""What the scripts' hooks cost when no script defines them, and what their answers mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from mitmproxy import hooks
from mitmproxy.test import taddons

from addons import userhooks
from addons.dispatch import Dispatch
from addons.exchange import Exchange, Exchanges
from addons.userhooks import UserHooks
from translators import ir

DELTA = ir.PartDelta(0, "x")
OTHER = ir.PartDelta(0, "y")
FINISH = ir.Finish(reason=ir.FinishReason.STOP)
NOBODY = cast(Exchange, object())


class Script:
    """A script with the handlers that it is given."""

    def __init__(self, name: str = "script", **handlers: Any) -> None:
        self.name = name
        for name, handler in handlers.items():
            setattr(self, name, handler)


@pytest.fixture
def context() -> Iterator[tuple[taddons.context, UserHooks]]:
    """The hooks behind a dispatcher, without any script."""
    dispatch = Dispatch()
    made = UserHooks(Exchanges(), dispatch, cast(Any, None), cast(Any, None))
    with taddons.context(dispatch, made) as running:
        yield running, made


def test_without_a_script_nothing_is_called_or_collected(
    context: tuple[taddons.context, UserHooks],
) -> None:
    _running, made = context
    assert made.on_event(NOBODY) is None
    assert made.wants_answer() is False
    made.record({})  # no task: there is no loop that could run one


def test_a_script_is_seen_from_when_it_comes_until_it_goes(
    context: tuple[taddons.context, UserHooks],
) -> None:
    running, made = context
    script = Script(llm_event=lambda exchange, event: None, llm_response=lambda exchange: None)
    running.master.addons.add(script)
    assert made.on_event(NOBODY) is not None
    assert made.wants_answer() is True
    running.master.addons.remove(script)
    assert made.on_event(NOBODY) is None
    assert made.wants_answer() is False


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(None, [DELTA], id="nothing leaves the event as it is"),
        pytest.param(OTHER, [OTHER], id="an event replaces it"),
        pytest.param([DELTA, OTHER], [DELTA, OTHER], id="a list stands in its place"),
        pytest.param([], [], id="an empty list drops it"),
    ],
)
def test_what_llm_event_returns(
    context: tuple[taddons.context, UserHooks], made: Any, expected: list[ir.StreamEvent]
) -> None:
    running, user = context
    running.master.addons.add(Script(llm_event=lambda exchange, event: made))
    on_event = user.on_event(NOBODY)
    assert on_event is not None
    assert list(on_event(DELTA)) == expected


def test_scripts_see_what_the_one_before_made(
    context: tuple[taddons.context, UserHooks],
) -> None:
    running, user = context
    running.master.addons.add(Script(llm_event=lambda exchange, event: [event, OTHER]))
    seen: list[ir.StreamEvent] = []
    running.master.addons.add(Script("b", llm_event=lambda exchange, event: seen.append(event)))
    on_event = user.on_event(NOBODY)
    assert on_event is not None
    assert list(on_event(DELTA)) == seen == [DELTA, OTHER]


async def _async_handler(exchange: Exchange, event: ir.StreamEvent) -> None:
    """What `llm_event` cannot be."""


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        pytest.param(_async_handler, TypeError, id="an async handler"),
        pytest.param(lambda exchange, event: [], ValueError, id="the end taken away"),
        pytest.param(lambda exchange, event: DELTA, ValueError, id="the end replaced by no end"),
    ],
)
def test_what_llm_event_may_not_do(
    context: tuple[taddons.context, UserHooks], handler: Any, error: type[Exception]
) -> None:
    running, user = context
    running.master.addons.add(Script(llm_event=handler))
    on_event = user.on_event(NOBODY)
    assert on_event is not None
    with pytest.raises(error):
        on_event(FINISH)


@pytest.mark.parametrize(
    "name",
    ["llm_request", "llm_event", "llm_response", "llm_done", "llm_attempt", "llm_attempt_failed"],
)
def test_mitmproxy_knows_the_hooks(name: str) -> None:
    assert userhooks.LlmRequestHook.name in hooks.all_hooks
    assert name in hooks.all_hooks
