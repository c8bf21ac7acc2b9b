"""Guess a provider from what a key looks like, and say why. Only the beginning is looked at."""

from __future__ import annotations

import re
from dataclasses import dataclass

from config.presets import Preset, load_presets


@dataclass(frozen=True, slots=True)
class Guess:
    """A preset and the reason for it; `sure` False = other providers' keys look the same."""

    preset: str
    title: str
    reason: str
    sure: bool


def guesses(key: str) -> tuple[Guess, ...]:
    """The presets whose keys look like this one, the narrowest pattern first; () = none does."""
    key = key.strip()
    found: list[tuple[int, str, Preset, str]] = [
        (prefix.priority, name, preset, prefix.reason)
        for name, preset in load_presets().items()
        for prefix in preset.key_prefixes
        if re.match(prefix.pattern, key)
    ]
    found.sort(key=lambda item: (-item[0], item[1]))
    # A priority of 0 is that of patterns which say next to nothing.
    alone = sum(1 for item in found if item[0] > 0) == 1
    return tuple(
        Guess(name, preset.title, reason, sure=alone and priority > 0)
        for priority, name, preset, reason in found
    )


def detect(key: str) -> Guess | None:
    """The likeliest preset for a key, None when nothing is known about such keys."""
    found = guesses(key)
    return found[0] if found else None
