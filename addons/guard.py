"""Failing closed: a bug in a hook answers 500 instead of letting the request through.

mitmproxy logs an exception of a hook, skips that addon, and forwards the request all the same; for a gateway that
means a request without credentials, or with the client's. Every request hook of ours wears `fail_closed`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from mitmproxy import http

from translators.errors import ErrorKind, GatewayError

log = logging.getLogger(__name__)

type Hook[Self] = Callable[[Self, http.HTTPFlow], Awaitable[None] | None]
type Refuse = Callable[[http.HTTPFlow, GatewayError], None]


def fail_closed[Self](hook: Hook[Self]) -> Hook[Self]:
    """Guard a request hook of an addon that has a method `refuse(flow, error)`.

    A GatewayError becomes its answer; any other exception is logged with its traceback and becomes a 500. A flow
    that has its answer already is left alone, because hooks still run after a refusal.
    """

    @functools.wraps(hook)
    def guarded(self: Self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        if flow.response is not None or flow.error is not None:
            return None
        try:
            pending = hook(self, flow)
        except Exception as error:  # noqa: BLE001 - the guard is the place for it
            _refuse(self, flow, error)
            return None
        return None if pending is None else _guarded_await(self, flow, pending)

    return guarded


async def _guarded_await(addon: Any, flow: http.HTTPFlow, pending: Awaitable[None]) -> None:
    try:
        await pending
    except Exception as error:  # noqa: BLE001 - the guard is the place for it
        _refuse(addon, flow, error)


def _refuse(addon: Any, flow: http.HTTPFlow, error: Exception) -> None:
    if not isinstance(error, GatewayError):
        log.error("a hook of %s failed", type(addon).__name__, exc_info=error)
        error = GatewayError(ErrorKind.INTERNAL, "internal error in the gateway")
    addon.refuse(flow, error)
