"""What `connect` remembers, below `connect/` in the state directory: backups, history, a lock, and unfinished work.

    connect/lock                      held while a run looks or writes
    connect/CLIENT/state.json         what is in force, the history, and work begun but not ended
    connect/CLIENT/key                a key that stands in no file of its own
    connect/CLIENT/backups/ID/…       every file before and after

All of it is the owner's only: backups hold what clients' files hold, keys included.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from scripts.llmgate.connect import files
from scripts.llmgate.connect.data import ABSENT, Done, Entry
from scripts.llmgate.connect.data import Path as Steps
from scripts.llmgate.connect.files import FileError
from scripts.llmgate.connect.formats import FormatName

_WHEN: Final = ("before", "replaced", "after")
KEPT: Final = 20
"""How many entries the history has; the one in force is always the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """One file of an entry: what it held before and after (None: there was none), and what was set.

    `before` is without our settings, `replaced` what stood there when it was written: the same, unless the client was
    connected already.
    """

    path: Path
    format: FormatName
    before: bytes | None
    replaced: bytes | None
    after: bytes | None
    mode_before: int
    mode_after: int
    folders: tuple[Path, ...] = ()
    """Folders that were made for it, the outermost first."""
    done: tuple[Done, ...] = ()
    made: tuple[Steps, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One entry of the history."""

    number: int
    action: str
    time: str
    url: str
    model: str | None
    saved: tuple[Saved, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A client's: the number of the entry in force (None: not connected), and of one that was not finished."""

    active: int | None = None
    pending: int | None = None
    records: tuple[Record, ...] = ()

    @property
    def current(self) -> Record | None:
        """The entry in force."""
        return next((r for r in self.records if r.number == self.active), None)

    @property
    def unfinished(self) -> Record | None:
        """The entry that a killed run has left."""
        return next((r for r in self.records if r.number == self.pending), None)

    @property
    def next_number(self) -> int:
        """For the next entry."""
        return max((record.number for record in self.records), default=0) + 1

    def begun(self, record: Record) -> State:
        """With an entry about to be carried out."""
        return replace(self, pending=record.number, records=(*self.records, record))

    def ended(self, active: int | None) -> State:
        """With the unfinished entry in force or, for a disconnect, none; the oldest entries go."""
        return State(active=active, records=self.records[-KEPT:])

    def abandoned(self) -> State:
        """Without the unfinished entry."""
        kept = tuple(record for record in self.records if record.number != self.pending)
        return State(active=self.active, records=kept)


@dataclass(slots=True)
class Store:
    """A client's state on disk."""

    home: Path
    client: str
    _folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self._folder = self.home / "connect" / self.client

    @property
    def key_file(self) -> Path:
        """Where a key is kept that stands in no file of its own."""
        return self._folder / "key"

    def backups(self, number: int) -> Path:
        """The folder with an entry's files."""
        return self._folder / "backups" / f"{number:04}"

    def load(self) -> State:
        """The state; nothing has happened yet when there is no file."""
        path = self._folder / "state.json"
        if not path.exists():
            return State()
        try:
            return self._state(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileError(
                f"cannot read {path} ({error}); move it away to start afresh, "
                f"the backups are beside it"
            ) from error

    def save(self, state: State) -> None:
        """Write the state, and the backups of new entries before it; forget those of old ones."""
        if state.unfinished is not None:
            self._save_backups(state.unfinished)
        text = json.dumps(_state_out(state), indent=1)
        files.write(self._folder / "state.json", text.encode(), files.OWNER_ONLY)
        known = {self.backups(record.number).name for record in state.records}
        folder = self._folder / "backups"
        for old in folder.iterdir() if folder.exists() else ():
            if old.name not in known:
                shutil.rmtree(old, ignore_errors=True)

    def _save_backups(self, record: Record) -> None:
        folder = self.backups(record.number)
        shutil.rmtree(folder, ignore_errors=True)  # a run killed before it noted the entry
        for index, saved in enumerate(record.saved):
            for when in _WHEN:
                data = getattr(saved, when)
                if data is not None:
                    path = folder / _backup_name(index, saved.path, when)
                    files.write(path, data, files.OWNER_ONLY)

    def _state(self, raw: Mapping[str, Any]) -> State:
        return State(
            active=raw["active"],
            pending=raw["pending"],
            records=tuple(self._record(record) for record in raw["records"]),
        )

    def _record(self, raw: Mapping[str, Any]) -> Record:
        folder = self.backups(raw["number"])
        return Record(
            number=raw["number"],
            action=raw["action"],
            time=raw["time"],
            url=raw["url"],
            model=raw["model"],
            saved=tuple(_saved_in(folder, i, saved) for i, saved in enumerate(raw["files"])),
        )


def _backup_name(index: int, path: Path, when: str) -> str:
    return f"{index}-{path.name}.{when}"


def _state_out(state: State) -> dict[str, Any]:
    return {
        "active": state.active,
        "pending": state.pending,
        "records": [
            {
                "number": record.number,
                "action": record.action,
                "time": record.time,
                "url": record.url,
                "model": record.model,
                "files": [_saved_out(saved) for saved in record.saved],
            }
            for record in state.records
        ],
    }


def _saved_out(saved: Saved) -> dict[str, Any]:
    return {
        "path": str(saved.path),
        "format": saved.format,
        **{when: getattr(saved, when) is not None for when in _WHEN},
        "mode_before": saved.mode_before,
        "mode_after": saved.mode_after,
        "folders": [str(folder) for folder in saved.folders],
        "done": [
            {"path": _steps_out(done.path), "old": done.old}
            | ({} if done.value is ABSENT else {"value": done.value})
            for done in saved.done
        ],
        "made": [_steps_out(path) for path in saved.made],
    }


def _saved_in(folder: Path, index: int, raw: Mapping[str, Any]) -> Saved:
    path = Path(raw["path"])

    def data(when: str) -> bytes | None:
        return (folder / _backup_name(index, path, when)).read_bytes() if raw[when] else None

    return Saved(
        path=path,
        format=raw["format"],
        before=data("before"),
        replaced=data("replaced"),
        after=data("after"),
        mode_before=raw["mode_before"],
        mode_after=raw["mode_after"],
        folders=tuple(map(Path, raw["folders"])),
        done=tuple(
            Done(path=_steps_in(d["path"]), value=d.get("value", ABSENT), old=d["old"])
            for d in raw["done"]
        ),
        made=tuple(_steps_in(path) for path in raw["made"]),
    )


def _steps_out(path: Steps) -> list[str | list[Any]]:
    return [step if isinstance(step, str) else [step.within, step.value] for step in path]


def _steps_in(raw: Sequence[str | list[Any]]) -> Steps:
    return tuple(s if isinstance(s, str) else Entry(tuple(s[0]), s[1]) for s in raw)


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the lock, so that two runs never edit at once."""
    import fcntl  # not on Windows, where the other commands are to start nevertheless

    path = home / "connect" / "lock"
    try:
        files.make_folders(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, files.OWNER_ONLY)
    except OSError as error:
        raise FileError(
            f"cannot use {path}: {error.strerror}; set LLMGATE_HOME to a writable directory"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise FileError("another llmgate connect or disconnect is running; try again") from error
    try:
        yield
    finally:
        os.close(descriptor)
