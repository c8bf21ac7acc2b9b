"""How much to think: levels, budgets and what a model can do of them (section 11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators import ir
from translators.ir import Level

_LEVEL_UP_TO: Final = (
    (0, Level.OFF),
    (1024, Level.MINIMAL),
    (4095, Level.LOW),
    (12287, Level.MEDIUM),
    (24576, Level.HIGH),
    (49151, Level.XHIGH),
)
_ORDER: Final[Mapping[Level, int]] = {level: place for place, level in enumerate(Level)}

ANTHROPIC_MINIMUM: Final = 1024
_ANTHROPIC_BUDGETS: Final[Mapping[Level, int]] = {
    Level.MINIMAL: 1024,
    Level.LOW: 2048,
    Level.MEDIUM: 8192,
    Level.HIGH: 16384,
    Level.XHIGH: 32768,
    Level.MAX: 63999,
}

_GEMINI_USUAL_RANGE: Final = (0, 24576)
_GEMINI_BUDGETS: Final[Mapping[Level, int]] = {
    Level.OFF: 0,
    Level.MINIMAL: 512,
    Level.LOW: 2048,
    Level.MEDIUM: 8192,
    Level.HIGH: 24576,
    Level.XHIGH: 32768,
    Level.MAX: 32768,
}


def level_of_budget(tokens: int) -> ir.Level | None:
    """The level that a token budget stands for; -1 = automatic = None."""
    if tokens < 0:
        return None
    for most, level in _LEVEL_UP_TO:
        if tokens <= most:
            return level
    return Level.MAX


def anthropic_budget(level: ir.Level, max_output_tokens: int | None) -> int:
    """A's manual budget of a level (not OFF), tokens; below the model's output limit, never under 1024."""
    budget = _ANTHROPIC_BUDGETS[level]
    if max_output_tokens is not None:
        budget = min(budget, max_output_tokens - 1)
    return max(budget, ANTHROPIC_MINIMUM)


def gemini_budget(level: ir.Level, budget_range: tuple[int, int] | None) -> int:
    """G 2.5's thinking budget of a level, clamped to the model's range; Pro is (128, 32768), Flash (0, 24576)."""
    least, most = budget_range or _GEMINI_USUAL_RANGE
    if level is Level.MINIMAL and least > 0:
        return least  # a model that always thinks: the least it can do is what was meant
    return min(max(_GEMINI_BUDGETS[level], least), most)


def nearest(level: ir.Level, supported: tuple[ir.Level, ...]) -> ir.Level:
    """The level itself, else the next lower supported one, else the lowest supported.

    A level that asks for thinking never becomes OFF while the model has any other level.
    """
    if level in supported or not supported:
        return level
    choices = sorted((item for item in supported if item is not Level.OFF), key=_ORDER.__getitem__)
    if not choices:
        return Level.OFF
    lower = [item for item in choices if _ORDER[item] < _ORDER[level]]
    return lower[-1] if lower else choices[0]
