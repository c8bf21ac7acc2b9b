"""Connect, disconnect, restore: everything is computed first, then written, and put back when writing fails.

A run that was killed while it wrote has left a note in the state; the next one puts its files back before it does
anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.llmgate.connect import files
from scripts.llmgate.connect.clients import FileSettings
from scripts.llmgate.connect.data import EditError, lookup, new_containers, shown, still_ours
from scripts.llmgate.connect.files import Content, FileError
from scripts.llmgate.connect.formats import FORMATS, edit
from scripts.llmgate.connect.store import Record, Saved, State, Store
from scripts.llmgate.connect.undo import undone

EMPTY: Final = ("", "{}")
"""What is left of a file that we made, blanks aside, when nobody has added anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One file to write: what it holds now, and what the history will say."""

    now: Content
    saved: Saved
    kept: tuple[str, ...] = ()
    """Settings of ours that somebody has changed since, and that stay."""

    @property
    def target(self) -> bytes | None:
        """What it is to hold; None: it goes."""
        return self.saved.after

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.target != self.now.data or (
            self.target is not None and self.saved.mode_after != self.now.mode
        )


def connecting(wanted: Sequence[FileSettings], state: State) -> tuple[Step, ...]:
    """The steps of a connect; what an earlier one has set is taken out first."""
    current = {s.path: s for s in state.current.saved} if state.current else {}
    steps = []
    for settings in wanted:
        now = files.read(settings.path)
        steps.append(_connect_step(settings, now, current.pop(now.path, None)))
    steps += [_disconnect_step(saved, files.read(saved.path)) for saved in current.values()]
    return tuple(steps)


def _connect_step(settings: FileSettings, now: Content, earlier: Saved | None) -> Step:
    base, mode, folders = now.data, now.mode, files.missing_folders(now.path)
    if earlier is not None:
        past = _disconnect_step(earlier, now)
        base, mode, folders = past.target, past.saved.mode_after, earlier.folders
    form = FORMATS[settings.format]
    text = files.text_of(Content(path=now.path, data=base))
    try:
        made = new_containers(form.load(text), settings.changes)
        edited, done = edit(text, settings.changes, form)
    except EditError as error:
        raise _unreadable(now.path, error) from error
    bom = Content(path=now.path, data=base).has_bom
    saved = Saved(
        path=now.path,
        format=settings.format,
        before=base,
        replaced=now.data,
        after=files.bytes_of(edited, bom=bom),
        mode_before=mode,
        mode_after=mode & files.OWNER_ONLY if settings.holds_key else mode,
        folders=folders,
        done=done,
        made=made,
    )
    return Step(now=now, saved=saved)


def disconnecting(record: Record) -> tuple[Step, ...]:
    """The steps that take a connect back."""
    return tuple(_disconnect_step(saved, files.read(saved.path)) for saved in record.saved)


def _disconnect_step(saved: Saved, now: Content) -> Step:
    target, kept = _without_ours(saved, now)
    mode = saved.mode_before if now.mode == saved.mode_after else now.mode
    past = Saved(
        path=now.path,
        format=saved.format,
        before=now.data,
        replaced=now.data,
        after=target,
        mode_before=now.mode,
        mode_after=mode,
        folders=saved.folders,
    )
    return Step(now=now, saved=past, kept=kept)


def _without_ours(saved: Saved, now: Content) -> tuple[bytes | None, tuple[str, ...]]:
    """A file without our settings, and the paths of those that are the user's own by now."""
    if now.data == saved.after:
        return saved.before, ()
    if now.data is None:
        return None, ()
    form = FORMATS[saved.format]
    before, after = (
        files.text_of(Content(path=saved.path, data=data)) for data in (saved.before, saved.after)
    )
    text = files.text_of(now)
    try:
        data = form.load(text)
        ours = still_ours(data, saved.done)
        result = undone(before, after, text, saved.done, saved.made, form)
    except EditError as error:
        raise _unreadable(now.path, error) from error
    kept = tuple(
        shown(item.path)
        for item in saved.done
        if item not in ours and lookup(data, item.path) != lookup(form.load(before), item.path)
    )
    if saved.before is None and "".join(result.split()) in EMPTY:
        return None, kept
    return files.bytes_of(result, bom=now.has_bom), kept


def _unreadable(path: Path, error: EditError) -> FileError:
    where = f"{path}, line {error.line}" if error.line else str(path)
    return FileError(f"{where}: {error}; correct it and run this again (nothing was changed)")


def restoring(record: Record) -> tuple[Step, ...]:
    """The steps that bring back what an entry of the history had replaced, whatever came later."""
    steps = []
    for saved in record.saved:
        now = files.read(saved.path)
        past = Saved(
            path=now.path,
            format=saved.format,
            before=now.data,
            replaced=now.data,
            after=saved.replaced,
            mode_before=now.mode,
            mode_after=saved.mode_before if now.data is not None else files.OWNER_ONLY,
            folders=saved.folders,
        )
        steps.append(Step(now=now, saved=past))
    return tuple(steps)


def carry_out(store: Store, state: State, record: Record, steps: Sequence[Step]) -> State:
    """Write all files, or none; the new state. A connect is in force afterwards, anything else is not."""
    for step in steps:
        if step.changes:
            files.ensure_writable(step.now)
    begun = state.begun(record)
    store.save(begun)
    try:
        for step in steps:
            if step.changes:
                _write(step)
        ended = begun.ended(record.number if record.action == "connect" else None)
        store.save(ended)
    except BaseException:
        recover(store, begun)
        raise
    return ended


def _write(step: Step) -> None:
    if files.read(step.now.path).data != step.now.data:
        raise FileError(f"{step.now.path} was changed meanwhile; run this again")
    if step.target is None:
        files.remove(step.now.path, step.saved.folders)
    else:
        files.write(step.now.path, step.target, step.saved.mode_after)


def recover(store: Store, state: State) -> State:
    """Put back the files of a run that did not end; the state without it."""
    record = state.unfinished
    if record is None:
        return state
    for saved in record.saved:
        files.discard_unfinished(saved.path)
        if saved.after == saved.replaced or files.read(saved.path).data != saved.after:
            continue
        if saved.replaced is None:
            files.remove(saved.path, saved.folders)
        else:
            mode = saved.mode_before if saved.replaced == saved.before else saved.mode_after
            files.write(saved.path, saved.replaced, mode)
    abandoned = state.abandoned()
    store.save(abandoned)
    return abandoned


def backups_of(store: Store, record: Record) -> Iterable[Path]:
    """The copies that an entry keeps of what it replaced."""
    return sorted(store.backups(record.number).glob("*.replaced"))
