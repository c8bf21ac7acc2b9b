"""Work that hardly ever waits: a generator that yields what has to be awaited, and gets back what that gave.

Done without a task as long as nothing waits. Where something does, the rest is a coroutine for whoever has a task: an
awaitable is never begun outside of one, since timeouts and cancellation belong to the task that began it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

type Steps = Generator[Awaitable[Any], Any, None]


def begin(steps: Steps) -> Awaitable[None] | None:
    """Go on until something waits; None = all is done, else what does the rest."""
    waiting = next(steps, None)
    return None if waiting is None else _rest(steps, waiting)


async def _rest(steps: Steps, first: Awaitable[Any]) -> None:
    waiting: Awaitable[Any] | None = first
    while waiting is not None:
        try:
            result = await waiting
        except Exception as error:  # noqa: BLE001 - the generator decides what an error means
            waiting = _next(steps.throw, error)
        else:
            waiting = _next(steps.send, result)


def _next[T](go_on: Callable[[T], Awaitable[Any]], given: T) -> Awaitable[Any] | None:
    try:
        return go_on(given)
    except StopIteration:
        return None
