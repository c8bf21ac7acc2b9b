"""A client's file on disk: read whole, written whole or not at all, through symbolic links, permissions kept."""

from __future__ import annotations

import codecs
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 1_000_000
OWNER_ONLY: Final = 0o600


class FileError(Exception):
    """A file that cannot be read or written; the message names it and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a file held; `data` is None when there was none. `mode` are its permission bits."""

    path: Path
    """Where a symbolic link leads."""
    data: bytes | None
    mode: int = OWNER_ONLY

    @property
    def has_bom(self) -> bool:
        """Whether it begins with UTF-8's byte order mark."""
        return self.data is not None and self.data.startswith(codecs.BOM_UTF8)


def read(path: Path) -> Content:
    """Read a file; one that is not there has no data."""
    real = path.resolve()
    try:
        status = real.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{path} is not a file; move it away first")
        if status.st_size > MAX_BYTES:
            raise FileError(f"{path} is larger than {MAX_BYTES} bytes; is it the right file?")
        data = real.read_bytes()
    except FileNotFoundError:
        return Content(path=real, data=None)
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    return Content(path=real, data=data, mode=stat.S_IMODE(status.st_mode))


def text_of(content: Content) -> str:
    """The text without its byte order mark; an absent file is empty."""
    try:
        return (content.data or b"").removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise FileError(f"{content.path} is not UTF-8; save it as UTF-8 first") from error


def bytes_of(text: str, *, bom: bool) -> bytes:
    """The bytes of a text, with a byte order mark where the file had one."""
    return (codecs.BOM_UTF8 if bom else b"") + text.encode()


def ensure_writable(content: Content) -> None:
    """Refuse what its owner has made read-only; replacing it would ignore that."""
    if content.data is not None and not content.mode & stat.S_IWUSR:
        raise FileError(
            f"{content.path} is read-only; make it writable first: chmod u+w {content.path}"
        )


def missing_folders(path: Path) -> tuple[Path, ...]:
    """The folders that have to be made for a file, the outermost first."""
    missing = []
    for folder in path.parents:
        if folder.exists():
            break
        missing.append(folder)
    return tuple(reversed(missing))


def make_folders(path: Path) -> None:
    """Make the folders that a file needs, each its owner's only."""
    for folder in missing_folders(path):
        folder.mkdir(mode=0o700, exist_ok=True)


def write(path: Path, data: bytes, mode: int) -> None:
    """Replace a file as a whole; new folders are the owner's only."""
    temporary = _temporary(path)
    try:
        make_folders(path)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _take_over(temporary, path, mode)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise FileError(f"cannot write {path}: {error.strerror}; nothing was changed") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def discard_unfinished(path: Path) -> None:
    """Remove what a killed run may have left beside a file."""
    _temporary(path).unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    # One name, not a random one: whoever holds the lock may remove what a killed run has left.
    return path.with_name(f".{path.name}.llmgate")


def _take_over(temporary: Path, path: Path, mode: int) -> None:
    """Permissions, and the owner where somebody edits another one's file."""
    if path.exists() and (status := path.stat()).st_uid != os.geteuid():
        os.chown(temporary, status.st_uid, status.st_gid)
    temporary.chmod(mode)


def remove(path: Path, folders: tuple[Path, ...] = ()) -> None:
    """Remove a file, and those of these folders (outermost first) that are empty then."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"cannot remove {path}: {error.strerror}") from error
    for folder in reversed(folders):
        try:
            folder.rmdir()
        except OSError:
            return  # somebody else's files are in it, or it is gone
