"""Levels and budgets: the tables of section 11, row by row."""

from __future__ import annotations

import pytest

from translators.ir import Level
from translators.reasoning import anthropic_budget, gemini_budget, level_of_budget, nearest

FLASH, PRO = (0, 24576), (128, 32768)


@pytest.mark.parametrize(
    ("tokens", "level"),
    [
        (-1, None), (0, Level.OFF), (1, Level.MINIMAL), (1024, Level.MINIMAL), (1025, Level.LOW),
        (4095, Level.LOW), (4096, Level.MEDIUM), (12287, Level.MEDIUM), (12288, Level.HIGH),
        (24576, Level.HIGH), (24577, Level.XHIGH), (49151, Level.XHIGH), (49152, Level.MAX),
    ],
)  # fmt: skip
def test_level_of_budget(tokens: int, level: Level | None) -> None:
    assert level_of_budget(tokens) is level


@pytest.mark.parametrize(
    ("level", "anthropic", "flash", "pro"),
    [
        (Level.MINIMAL, 1024, 512, 128),
        (Level.LOW, 2048, 2048, 2048),
        (Level.MEDIUM, 8192, 8192, 8192),
        (Level.HIGH, 16384, 24576, 24576),
        (Level.XHIGH, 32768, 24576, 32768),
        (Level.MAX, 63999, 24576, 32768),
    ],
)
def test_budgets(level: Level, anthropic: int, flash: int, pro: int) -> None:
    assert anthropic_budget(level, None) == anthropic
    assert gemini_budget(level, FLASH) == gemini_budget(level, None) == flash
    assert gemini_budget(level, PRO) == pro


def test_off() -> None:
    assert gemini_budget(Level.OFF, FLASH) == 0
    assert gemini_budget(Level.OFF, PRO) == 128


@pytest.mark.parametrize(("limit", "budget"), [(128_000, 63999), (32_000, 31_999), (500, 1024)])
def test_a_budget_stays_below_the_output_limit(limit: int, budget: int) -> None:
    assert anthropic_budget(Level.MAX, limit) == budget


@pytest.mark.parametrize(
    ("level", "supported", "expected"),
    [
        pytest.param(Level.HIGH, (Level.LOW, Level.HIGH), Level.HIGH, id="itself"),
        pytest.param(Level.MAX, (Level.HIGH, Level.LOW), Level.HIGH, id="the next lower"),
        pytest.param(Level.MINIMAL, (Level.LOW, Level.HIGH), Level.LOW, id="else the lowest"),
        pytest.param(Level.MINIMAL, (Level.OFF, Level.LOW), Level.LOW, id="thinking is not off"),
        pytest.param(Level.OFF, (Level.LOW, Level.HIGH), Level.LOW, id="off means least"),
        pytest.param(Level.HIGH, (Level.OFF,), Level.OFF, id="a model that cannot think"),
        pytest.param(Level.HIGH, (), Level.HIGH, id="nothing known"),
    ],
)
def test_nearest(level: Level, supported: tuple[Level, ...], expected: Level) -> None:
    assert nearest(level, supported) is expected
