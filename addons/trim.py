"""Give free memory back to the system after it has grown: glibc keeps what large bodies took, for ever.

A look costs a read of /proc and comes a moment after requests have settled, at most every few seconds; the trimming
itself runs in a thread. Linux with glibc only; elsewhere this does nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from addons.exchange import Exchange, now_s

STATM: Final = Path("/proc/self/statm")
LOOK_AFTER_S: Final = 1.0
GROWN_BYTES: Final = 8 * 1024 * 1024


def resident_bytes() -> int:
    """What the process holds in memory."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def find_trim() -> Callable[[int], object] | None:
    """glibc's `malloc_trim`, None where there is none."""
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return trim if STATM.exists() else None


class Trim:
    """Hears of settled exchanges (`Settler.watchers`)."""

    def __init__(self, clock: Callable[[], float] = now_s) -> None:
        self._clock = clock
        self._trim = find_trim()
        self._floor = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Future[object] | None = None

    def settled(self, _exchange: Exchange) -> None:
        """Look after a moment, if no look is coming already."""
        if self._timer is None and self._trim is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LOOK_AFTER_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._task is not None:
            if not self._task.done():
                return
            self._floor, self._task = resident_bytes(), None
        if self._trim is not None and resident_bytes() > self._floor + GROWN_BYTES:
            loop = asyncio.get_running_loop()
            self._task = loop.run_in_executor(None, self._trim, 0)
            self._timer = loop.call_later(LOOK_AFTER_S, self._look)

    def done(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
