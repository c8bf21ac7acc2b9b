"""Name patterns: `*` and `?` wildcards, and which of several is the most specific."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def is_pattern(text: str) -> bool:
    """Whether the text holds a wildcard."""
    return "*" in text or "?" in text


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """`*` = any run of characters (also none), `?` = one; everything else is literal, case ignored."""
    body = "".join(
        ".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern
    )
    return re.compile(body, re.IGNORECASE | re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text fits the pattern."""
    return compile_pattern(pattern).fullmatch(text) is not None


def matches_any(patterns: Iterable[str], text: str) -> bool:
    """Whether the text fits one of the patterns; False for no patterns."""
    return any(matches(pattern, text) for pattern in patterns)


def specificity(pattern: str) -> tuple[bool, int, int]:
    """Sort key: literals above patterns, then by the number of literal characters, then fewer wildcards."""
    wildcards = sum(pattern.count(char) for char in "*?")
    return not is_pattern(pattern), len(pattern) - wildcards, -wildcards


def by_specificity(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns, most specific first; equals stay in their order."""
    return tuple(sorted(patterns, key=specificity, reverse=True))
