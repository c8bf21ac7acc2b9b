"""How much to think: levels, budgets and what a model can do of them (section 11)."""

from __future__ import annotations

from translators import ir


def level_of_budget(tokens: int) -> ir.Level | None:
    """The level that a token budget stands for; -1 = automatic = None."""
    raise NotImplementedError


def anthropic_budget(level: ir.Level, max_output_tokens: int | None) -> int:
    """A's manual budget of a level (not OFF), tokens."""
    raise NotImplementedError


def gemini_budget(level: ir.Level, budget_range: tuple[int, int] | None) -> int:
    """G 2.5's thinking budget of a level, clamped to the model's range; Pro is (128, 32768), Flash (0, 24576)."""
    raise NotImplementedError


def nearest(level: ir.Level, supported: tuple[ir.Level, ...]) -> ir.Level:
    """The level itself, else the next lower supported one, else the lowest supported."""
    raise NotImplementedError
