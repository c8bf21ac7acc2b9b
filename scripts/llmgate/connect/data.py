"""Settings as paths and values, whatever the file's format: look up, put, drop, and what a set of changes means.

Works on parsed documents (dicts, lists, scalars); knows no syntax and touches no files. Every edit of a text is
checked against it: the parsed result must differ in exactly these paths.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Entry:
    """A step into a list: the object that holds `value` at the names `within`."""

    within: tuple[str, ...]
    value: str


type Step = str | Entry
type Path = tuple[Step, ...]


class Absent:
    """No value: as the new one "remove it", as the old one "there was none"."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()


@dataclass(frozen=True, slots=True)
class Change:
    """One setting: where, and the value to be there afterwards (`ABSENT`: none)."""

    path: Path
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A change that was made, with what taking it back needs: the old value's source text, None for none."""

    path: Path
    value: Any
    old: str | None


class EditError(Exception):
    """A file that cannot be read or edited; the message says where and what to do, without the file's name."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def lookup(data: Any, path: Path) -> Any:
    """The value at a path, `ABSENT` when there is none."""
    for step in path:
        found = _child(data, step)
        if found is None:
            return ABSENT
        data = found[0]
    return data


def _child(data: Any, step: Step) -> tuple[Any] | None:
    if isinstance(step, Entry):
        items = data if isinstance(data, list) else []
        matching = [item for item in items if lookup(item, step.within) == step.value]
        return (matching[-1],) if matching else None
    return (data[step],) if isinstance(data, dict) and step in data else None


def with_change(data: Any, change: Change) -> Any:
    """A copy of the document with one path set, or removed; containers on the way are made."""
    root = copy.deepcopy(data)
    if change.value is ABSENT:
        _drop(root, change.path)
        return root
    node = root
    for step, following in zip(change.path, [*change.path[1:], None], strict=True):
        new = (
            copy.deepcopy(change.value)
            if following is None
            else ([] if isinstance(following, Entry) else {})
        )
        node = _enter(node, step, new, replace=following is None)
    return root


def _enter(node: Any, step: Step, new: Any, *, replace: bool) -> Any:
    found = _child(node, step)
    if found is not None and not replace:
        return found[0]
    if isinstance(step, Entry) and isinstance(node, list):
        if found is not None:
            node[_index(node, found[0])] = new
        else:
            node.append(new)
    elif isinstance(step, str) and isinstance(node, dict):
        node[step] = new
    else:
        raise EditError(f"{shown((step,))} needs a table or a list to stand in")
    return new


def _index(items: list[Any], wanted: Any) -> int:
    return next(i for i, item in enumerate(items) if item is wanted)


def _drop(root: Any, path: Path) -> None:
    parent = lookup(root, path[:-1])
    found = None if parent is ABSENT else _child(parent, path[-1])
    if found is None:
        return
    if isinstance(parent, list):
        del parent[_index(parent, found[0])]
    else:
        del parent[path[-1]]


def applied(data: Any, changes: Iterable[Change]) -> Any:
    """The document with all changes made."""
    for change in changes:
        data = with_change(data, change)
    return data


def new_containers(data: Any, changes: Iterable[Change]) -> tuple[Path, ...]:
    """The tables and objects that the changes bring into being, the deepest first."""
    prefixes = {
        change.path[:length]
        for change in changes
        if change.value is not ABSENT
        for length in range(1, len(change.path))
    }
    missing = (prefix for prefix in prefixes if lookup(data, prefix) is ABSENT)
    return tuple(sorted(missing, key=lambda p: (-len(p), repr(p))))


def still_ours(data: Any, done: Sequence[Done]) -> tuple[Done, ...]:
    """Those of our settings that nobody has changed since."""
    return tuple(item for item in done if lookup(data, item.path) == item.value)


def shown(path: Path) -> str:
    """A path as a person writes it."""
    return ".".join(step if isinstance(step, str) else step.value for step in path)
