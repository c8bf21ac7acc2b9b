"""The gateway stops: nobody new is let in, running answers go on for a while, the rest ends in an honest error.

First of the addons, so that all others still work while mitmproxy waits here. WebSockets without a turn, and answers
that take no place (counts, lists), are not waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from mitmproxy import ctx

from addons.exchange import Exchange
from addons.gate import Places
from addons.snapshot import ConfigHolder

log = logging.getLogger(__name__)


class Drain:
    """`done`: wait until nobody is served any more, at most `timeouts.shutdown_s`."""

    def __init__(
        self, configs: ConfigHolder, places: Places, end_answers: Callable[[], Awaitable[None]]
    ) -> None:
        self._configs = configs
        self._places = places
        self._end_answers = end_answers
        self._idle = asyncio.Event()

    async def done(self) -> None:
        """Close the port, and wait."""
        if (proxyserver := ctx.master.addons.get("proxyserver")) is not None:
            await proxyserver.servers.update([])
        if self._places.active:
            await self._wait(self._configs.current.timeouts.shutdown_s)

    async def _wait(self, seconds: float) -> None:
        log.info("stopping: %d answers go on for at most %g s", self._places.active, seconds)
        self._idle.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("stopping: %d answers are cut short", self._places.active)
            await self._end_answers()
        await asyncio.sleep(0)  # what was written in this round leaves in the next

    def settled(self, _exchange: Exchange) -> None:
        """An exchange is over, and its place is free."""
        if not self._places.active:
            self._idle.set()
