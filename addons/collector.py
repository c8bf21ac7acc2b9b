"""Tell Python's garbage collector what a gateway's garbage looks like: hardly any, so that it need not look often.

A request frees itself when it is over (`ClientSide._let_go`), but the messages of an agent are thousands of objects
while it lasts. They made Python go through the whole heap, most of which is code and configuration and stays for
ever, again and again: a fifth of the CPU of a large request, in pauses of 150 ms (measured).
"""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (20_000, 10, 20)
"""Of new objects that are left over, and of collections of each generation before one of the next."""


class Collector:
    """Leave what is there at the start alone, and look at the rest more seldom."""

    def __init__(self) -> None:
        self._before: tuple[int, int, int] | None = None

    def running(self) -> None:
        """Everything is loaded."""
        if not gc.isenabled() or self._before is not None:
            return
        self._before = gc.get_threshold()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)

    def done(self) -> None:
        """As it was."""
        if self._before is not None:
            gc.set_threshold(*self._before)
            gc.unfreeze()
            self._before = None
