"""Lines of a text: their ends, and where a position is."""

from __future__ import annotations


def newline(text: str) -> str:
    """The line end that the text uses most."""
    windows = text.count("\r\n")
    return "\r\n" if windows > text.count("\n") - windows else "\n"


def line_at(text: str, position: int) -> int:
    """The number of the line of a position, from 1."""
    return text.count("\n", 0, position) + 1
