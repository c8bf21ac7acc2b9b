"""Let a generation in when limits, budgets and free places allow it; the rest waits a little or is refused."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from mitmproxy import http

from addons.admission import refuse
from addons.budgets import Ledger, Minute
from addons.exchange import Exchange, Exchanges
from addons.guard import fail_closed
from translators.base import Operation
from translators.errors import ErrorKind, GatewayError

COSTLY: Final = frozenset({Operation.GENERATE, Operation.COMPACT, Operation.LEGACY_COMPLETION})
COUNTED: Final = COSTLY | {Operation.COUNT_TOKENS}
"""What limits of requests bind. Token counts cost neither money nor tokens, and need no place."""
MAX_WAITING: Final = 1000
MAX_ADDRESSES: Final = 10_000


@dataclass(slots=True, eq=False)
class _Waiting:
    who: str
    total: int | None
    own: int | None
    turn: asyncio.Future[None]


class Places:
    """Who is being served. First come, first served, but nobody waits for another client's own limit."""

    def __init__(self) -> None:
        self._active: Counter[str] = Counter()
        self._total = 0
        self._queue: list[_Waiting] = []

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._queue)

    @property
    def active(self) -> int:
        """How many are being served."""
        return self._total

    def take(self, who: str, total: int | None, own: int | None) -> bool:
        """Take a place at once, if there is one."""
        free = (total is None or self._total < total) and (own is None or self._active[who] < own)
        if free:
            self._total += 1
            self._active[who] += 1
        return free

    async def wait(self, who: str, total: int | None, own: int | None, seconds: float) -> bool:
        """Wait for a place; False when none came free in time, or too many wait already."""
        if seconds <= 0 or len(self._queue) >= MAX_WAITING:
            return False
        one = _Waiting(who, total, own, asyncio.get_running_loop().create_future())
        self._queue.append(one)
        try:
            await asyncio.wait([one.turn], timeout=seconds)
        except asyncio.CancelledError:
            if one.turn.done():
                self.free(who)
            raise
        finally:
            if one in self._queue:
                self._queue.remove(one)
        return one.turn.done()

    def free(self, who: str) -> None:
        """Give a place back; the first one waiting who may have it gets it."""
        self._total -= 1
        self._active[who] -= 1
        if self._active[who] <= 0:
            del self._active[who]
        for one in self._queue:
            if not one.turn.done() and self.take(one.who, one.total, one.own):
                one.turn.set_result(None)
                return


class Gate:
    """Between reading a request and placing it."""

    def __init__(
        self, exchanges: Exchanges, ledger: Ledger, places: Places, clock: Callable[[], float]
    ) -> None:
        self._exchanges = exchanges
        self._ledger = ledger
        self._places = places
        self._clock = clock
        self._addresses: OrderedDict[str, Minute] = OrderedDict()

    @fail_closed
    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Check limits and budgets, and take a place."""
        exchange = self._exchanges.get(flow)
        if exchange is None or exchange.endpoint.operation not in COUNTED:
            return None
        is_costly = exchange.endpoint.operation in COSTLY
        self._check_address(exchange, str(flow.client_conn.peername[0]))
        self._ledger.admit(exchange, is_costly=is_costly)
        if not is_costly:
            return None
        limits, principal = exchange.config.limits, exchange.principal
        own = principal.limits.max_concurrent if principal and principal.limits else None
        own = own or limits.max_concurrent_per_key
        who = exchange.tenant
        if self._places.take(who, limits.max_concurrent, own):
            exchange.place = who
            return None
        return self._wait(exchange, who, limits.max_concurrent, own)

    async def _wait(self, exchange: Exchange, who: str, total: int | None, own: int | None) -> None:
        seconds = exchange.config.limits.queue_s
        if not await self._places.wait(who, total, own, seconds):
            raise GatewayError(
                ErrorKind.RATE_LIMITED,
                "too many requests at the same time: no place came free",
                code="too_many_concurrent_requests",
                retry_after_s=max(1.0, min(seconds, 10.0)),
            )
        if exchange.cancelled or exchange.settled:
            self._places.free(who)
            return
        exchange.place = who

    def _check_address(self, exchange: Exchange, address: str) -> None:
        limit = exchange.config.limits.requests_per_minute_per_ip
        if limit is None:
            return
        now = self._clock()
        minute = self._addresses.pop(address, None) or Minute()
        self._addresses[address] = minute
        if len(self._addresses) > MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        if minute.total(now) >= limit:
            raise GatewayError(
                ErrorKind.RATE_LIMITED,
                f"one address may send {limit} requests per minute",
                code="rate_limit_exceeded",
                retry_after_s=max(1.0, minute.room_in_s(now, limit)),
            )
        minute.add(now, 1)

    def settled(self, exchange: Exchange) -> None:
        """An exchange is over: its place is free, what it used is counted."""
        if exchange.place is not None:
            self._places.free(exchange.place)
            exchange.place = None
        self._ledger.settle(exchange)

    def refuse(self, flow: http.HTTPFlow, error: GatewayError) -> None:
        """Answer with an error."""
        refuse(self._exchanges, flow, error)
