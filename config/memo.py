"""Answers that are remembered for names that clients choose: bounded, whatever they ask for."""

from __future__ import annotations

from typing import Final

CACHE_SIZE: Final = 4096


def keep[K, V](memo: dict[K, V], key: K, value: V) -> None:
    """Remember an answer; a full memory starts over."""
    if len(memo) >= CACHE_SIZE:
        memo.clear()
    memo[key] = value
