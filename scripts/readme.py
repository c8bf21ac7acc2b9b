"""The README and the generated tables in it, each between two markers: `<!-- NAME:begin -->`, `<!-- NAME:end -->`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

README: Final = Path(__file__).parents[1] / "README.md"


def with_table(text: str, name: str, lines: str) -> str:
    """The text with the named table replaced by `lines`; `ValueError` without its markers."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"README.md lacks {begin} or {end}")
    return f"{head}{begin}\n{lines}{end}{tail}"


def update(name: str, lines: str, command: str) -> int:
    """Write the table, or with `--check` on the command line compare it; the exit code."""
    text = README.read_text(encoding="utf-8")
    fresh = with_table(text, name, lines)
    if "--check" not in sys.argv[1:]:
        README.write_text(fresh, encoding="utf-8")
    elif fresh != text:
        print(f"README.md is not fresh: run {command}", file=sys.stderr)
        return 1
    return 0
