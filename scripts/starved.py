"""How long a process had no processor while it had work to do: what a busy machine does to its timeouts.

An event loop that wakes later than it asked to, by more than the process has worked meanwhile, was not let run. Its
own long steps are work, and do not count.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

BEAT_S: Final = 0.05
LEAST_S: Final = 0.02


async def watch(note: Callable[[float, float], object]) -> None:
    """Call `note(when, seconds)` for each such time, by `time.monotonic()`, until cancelled."""
    while True:
        wall, worked = time.monotonic(), time.process_time()
        await asyncio.sleep(BEAT_S)
        now = time.monotonic()
        waited = now - wall - BEAT_S - (time.process_time() - worked)
        if waited > LEAST_S:
            note(now, waited)
