"""Take an edit back out of a text that somebody has changed since.

First as a merge of two changes of one text, by lines, then by words: exact to the byte where the two do not touch. Where
they do, or where the merged text would not say what it should, setting by setting. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from scripts.llmgate.connect.data import (
    ABSENT,
    Change,
    Done,
    Path,
    lookup,
    still_ours,
    with_change,
)
from scripts.llmgate.connect.formats import Format, check, restore, says

type _Hunk = tuple[int, int, list[str]]
"""Units [from, to) of the common text become these."""
LINES: Final = re.compile(r"[^\n]*\n|[^\n]+")
WORDS: Final = re.compile(r"\w+|\s+|[^\w\s]")
MAX_UNITS: Final = 4_000
"""More is not compared: the time grows with the square."""


def undone(
    before: str, after: str, now: str, done: Sequence[Done], made: Sequence[Path], form: Format
) -> str:
    """`now` without the edit that made `after` out of `before`; settings changed since stay as they are."""
    if now == after:
        return before
    wanted = _wanted(before, now, done, made, form)
    for unit in (LINES, WORDS):
        merged = merge(after, before, now, unit)
        if merged is not None and says(merged, wanted, form):
            return merged
    text = restore(now, done, made, form)
    check(text, wanted, form, [item.path for item in done])
    return text


def _wanted(before: str, now: str, done: Sequence[Done], made: Sequence[Path], form: Format) -> Any:
    """What the result must say."""
    data, old = form.load(now), form.load(before)
    for item in reversed(still_ours(data, done)):
        data = with_change(data, Change(item.path, lookup(old, item.path)))
    for path in made:
        if lookup(data, path) in ({}, []):
            data = with_change(data, Change(path, ABSENT))
    return data


def merge(base: str, one: str, other: str, unit: re.Pattern[str]) -> str | None:
    """Both changes of `base`, by these units; None where they touch the same ones."""
    units = unit.findall(base)
    mine, theirs = _hunks(units, unit.findall(one)), _hunks(units, unit.findall(other))
    if mine is None or theirs is None:
        return None
    hunks = sorted([*mine, *theirs], key=lambda h: (h[0], h[1]))
    result: list[str] = []
    position = 0
    for index, (start, end, new) in enumerate(hunks):
        if index and _clash(hunks[index - 1], (start, end, new)):
            return None
        result += units[position:start]
        result += new
        position = end
    return "".join(result + units[position:])


def _clash(first: _Hunk, second: _Hunk) -> bool:
    """Whether two changes touch the same units, or add at the same place, where the order would be a guess."""
    both_add = first[0] == first[1] and second[0] == second[1]
    return second[0] < first[1] or (both_add and first[0] == second[0])


def _hunks(old: list[str], new: list[str]) -> list[_Hunk] | None:
    """What differs; None when that is too much to compare."""
    start = _common(old, new)
    stop = _common(old[start:][::-1], new[start:][::-1])
    middle, changed = old[start : len(old) - stop], new[start : len(new) - stop]
    if max(len(middle), len(changed)) > MAX_UNITS:
        return None
    codes = SequenceMatcher(None, middle, changed, autojunk=False).get_opcodes()
    return [
        (start + i1, start + i2, changed[j1:j2]) for tag, i1, i2, j1, j2 in codes if tag != "equal"
    ]


def _common(one: list[str], other: list[str]) -> int:
    """How many units two lists begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
