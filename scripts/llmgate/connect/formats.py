"""The file formats of clients, by name, and edits that are checked: a text goes in, a text with other settings comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from scripts.llmgate.connect import env_text, json_text, toml_text
from scripts.llmgate.connect.data import (
    ABSENT,
    Change,
    Done,
    EditError,
    Path,
    lookup,
    shown,
    still_ours,
    with_change,
)

type FormatName = Literal["json", "toml", "env"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How texts of one format are read and edited."""

    load: Callable[[str], dict[str, Any]]
    source: Callable[[str, Path], str | None]
    put: Callable[[str, Path, Any], str]
    put_source: Callable[[str, Path, str], str]
    remove: Callable[[str, Path], str]
    remove_container: Callable[[str, Path], str]


def _format(module: Any) -> Format:
    return Format(
        load=module.load,
        source=module.source,
        put=module.put,
        put_source=module.put_source,
        remove=module.remove,
        remove_container=module.remove_container,
    )


FORMATS: Final[Mapping[FormatName, Format]] = {
    "json": _format(json_text),
    "toml": _format(toml_text),
    "env": _format(env_text),
}


def edit(text: str, changes: Sequence[Change], form: Format) -> tuple[str, tuple[Done, ...]]:
    """The text with all changes made, and what was there before; an `EditError` when that cannot be done cleanly."""
    original, data = text, form.load(text)
    paths = [change.path for change in changes]
    done = []
    for change in changes:
        if lookup(data, change.path) == change.value:
            continue
        done.append(Done(path=change.path, value=change.value, old=form.source(text, change.path)))
        if change.value is ABSENT:
            text = form.remove(text, change.path)
        else:
            text = _put(text, original, change, form)
        data = with_change(data, change)
        check(text, data, form, paths)
    return text, tuple(done)


def _put(text: str, original: str, change: Change, form: Format) -> str:
    try:
        return form.put(text, change.path, change.value)
    except EditError:
        # Refused: once more where nothing is set yet, for the line that a person will find.
        form.put(original, change.path, change.value)
        raise


def check(text: str, wanted: Any, form: Format, paths: Iterable[Path]) -> None:
    """Refuse a text that does not say what it should: nothing that was not meant is ever written."""
    if not says(text, wanted, form):
        names = ", ".join(shown(path) for path in paths)
        raise EditError(f"cannot be edited in place; set these by hand: {names}")


def says(text: str, wanted: Any, form: Format) -> bool:
    """Whether a text can be read, and says this."""
    try:
        return bool(form.load(text) == wanted)
    except EditError:
        return False


def restore(text: str, done: Sequence[Done], made: Sequence[Path], form: Format) -> str:
    """The text with those of our settings that are still there put back to what they were.

    `made` are the containers that came with them, the deepest first: they go when nothing else is in them.
    """
    ours = still_ours(form.load(text), done)
    for item in reversed(ours):
        if item.old is None:
            text = form.remove(text, item.path)
        else:
            text = form.put_source(text, item.path, item.old)
    for path in made:
        if lookup(form.load(text), path) in ({}, []):
            text = form.remove_container(text, path)
    return text
