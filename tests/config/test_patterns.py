"""Patterns: what fits, and which is the most specific."""

import pytest

from config.patterns import by_specificity, is_pattern, matches, matches_any


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        pytest.param("claude-*haiku*", "claude-3-5-haiku-20241022", True, id="stars anywhere"),
        pytest.param("*", "", True, id="a star is also nothing"),
        pytest.param("gpt-?", "gpt-5", True, id="one character"),
        pytest.param("gpt-?", "gpt-55", False, id="not two"),
        pytest.param("GPT-5", "gpt-5", True, id="case is ignored"),
        pytest.param("gpt-5.1", "gpt-5x1", False, id="a dot is a dot"),
        pytest.param("a[b]*", "a[b]c", True, id="brackets are plain characters"),
        pytest.param("*", "openai/gpt-5", True, id="a star crosses slashes"),
        pytest.param("gpt-5", "gpt-5-mini", False, id="USE-15: no common beginnings"),
    ],
)
def test_match(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) is fits


def test_the_most_specific_comes_first() -> None:
    patterns = ["*", "claude-*", "claude-*haiku*", "claude-sonnet-5", "c*"]
    assert by_specificity(patterns) == (
        "claude-sonnet-5", "claude-*haiku*", "claude-*", "c*", "*",
    )  # fmt: skip


def test_no_patterns_fit_nothing() -> None:
    assert not matches_any([], "x")
    assert not is_pattern("plain[1]")
