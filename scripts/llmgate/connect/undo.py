"""Take an edit back out of a text that somebody has changed since.

First line by line, as a merge of two changes of one text: exact to the byte where the two do not touch. Where they do,
or where the merged text would not say what it should, setting by setting. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

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
"""Lines [from, to) of the common text become these."""


def undone(
    before: str, after: str, now: str, done: Sequence[Done], made: Sequence[Path], form: Format
) -> str:
    """`now` without the edit that made `after` out of `before`; settings changed since stay as they are."""
    if now == after:
        return before
    wanted = _wanted(before, now, done, made, form)
    merged = merge(after, before, now)
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


def merge(base: str, one: str, other: str) -> str | None:
    """Both changes of `base`, by lines; None where they touch the same lines."""
    lines = base.splitlines(keepends=True)
    hunks = sorted([*_hunks(lines, one), *_hunks(lines, other)], key=lambda h: (h[0], h[1]))
    result: list[str] = []
    position = 0
    for index, (start, end, new) in enumerate(hunks):
        if index and _clash(hunks[index - 1], (start, end, new)):
            return None
        result += lines[position:start]
        result += new
        position = end
    return "".join(result + lines[position:])


def _clash(first: _Hunk, second: _Hunk) -> bool:
    """Whether two changes touch the same lines, or add at the same place, where the order would be a guess."""
    both_add = first[0] == first[1] and second[0] == second[1]
    return second[0] < first[1] or (both_add and first[0] == second[0])


def _hunks(lines: list[str], changed: str) -> list[_Hunk]:
    new = changed.splitlines(keepends=True)
    codes = SequenceMatcher(None, lines, new, autojunk=False).get_opcodes()
    return [(i1, i2, new[j1:j2]) for tag, i1, i2, j1, j2 in codes if tag != "equal"]
