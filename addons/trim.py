"""Give free memory back to the system after it has grown: glibc keeps what large bodies took, for ever.

A look costs a read of /proc and comes a moment after requests have settled, once a second at most; the trimming itself
runs in a thread. Linux with glibc only; elsewhere this does nothing.
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
REST_S: Final = 30.0
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
        self._least = 0
        """What was left after the best trimming."""
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        """Something has settled since the last look."""
        self._before = 0
        self._not_before = 0.0

    def settled(self, _exchange: Exchange) -> None:
        """Look after a moment, and again until a moment has passed without another one."""
        self._busy = True
        if self._timer is None and self._trim is not None:
            self._look_in(LOOK_AFTER_S)

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        busy, self._busy = self._busy, False
        self._before = resident_bytes()
        grown = self._before > self._least + GROWN_BYTES
        resting = busy and self._clock() < self._not_before
        if grown and not resting and self._trim is not None:
            loop = asyncio.get_running_loop()
            loop.run_in_executor(None, self._trim, 0).add_done_callback(self._trimmed)
        if busy or grown:
            self._look_in(LOOK_AFTER_S)

    def _trimmed(self, _done: object) -> None:
        """Where little came back it is in use: leave it alone for a while, or until all is quiet."""
        after = resident_bytes()
        self._least = min(self._least or after, after)
        if self._before - after < GROWN_BYTES // 2:
            self._not_before = self._clock() + REST_S
            self._least = max(self._least, after - GROWN_BYTES // 2)

    def done(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
