"""Secrets in configuration: `env:NAME`, `file:PATH`, `cmd:COMMAND`, or the literal itself.

A value is read once, at load. It never shows in a repr, an error or a dump; what may be shown is its
`origin` (`env:NAME`), which holds no secret.
"""

from __future__ import annotations

import os
import re
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Annotated, Any, Final

from pydantic import PlainSerializer, PlainValidator, SecretStr, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

COMMAND_LIMIT_S: Final = 10.0
OUTPUT_LIMIT_BYTES: Final = 64 * 1024
ERROR_TYPE: Final = "secret"
UNRESOLVED: Final = "(not read)"
_REFERENCE: Final = re.compile(r"(env|file|cmd):(.*)", re.DOTALL)
_BEARER: Final = re.compile(r"bearer\s+", re.IGNORECASE)
_SHELL_WORDS: Final = frozenset("|&;<>()")


class SecretError(ValueError):
    """A secret cannot be used; the message says why and never holds the value."""


class Secret(SecretStr):
    """A secret and where it came from: `env:NAME`, `file:PATH`, `cmd:…`, or `literal`."""

    def __init__(self, secret_value: str, origin: str = "literal") -> None:
        super().__init__(secret_value)
        self.origin = origin

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that tell keys apart in logs without telling what they are."""
        return sha256(self.get_secret_value().encode()).hexdigest()[:8]

    @property
    def digest(self) -> bytes:
        """SHA-256 of the value, for look-ups that must not compare the value itself."""
        return sha256(self.get_secret_value().encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSources:
    """Where references are read: pydantic's validation context. `resolve` False = leave them unread."""

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    resolve: bool = True


def resolve(text: str, sources: SecretSources | None = None, *, lines: bool = False) -> Secret:
    """Read a secret from wherever the text points; `SecretError` if there is none or it is malformed.

    `lines` True allows line breaks inside (a JSON or PEM document), which are kept.
    """
    sources = sources or SecretSources()
    reference = _REFERENCE.fullmatch(text.strip())
    if reference is None:
        return Secret(_clean(text, lines))
    kind, target = reference[1], reference[2].strip()
    # What a command line holds may be a secret itself: show the program only.
    shown = f"cmd:{target.split()[0]} …" if kind == "cmd" and target else f"{kind}:{target}"
    if not target:
        raise SecretError(f"`{kind}:` names nothing")
    if not sources.resolve:
        return Secret(UNRESOLVED, shown)
    try:
        return Secret(_clean(_READERS[kind](target, sources), lines), shown)
    except SecretError as error:
        raise SecretError(f"{shown}: {error}") from error


def _read_env(name: str, sources: SecretSources) -> str:
    value = sources.environ.get(name)
    if value is None:
        raise SecretError("this environment variable is not set")
    return value


def _read_file(path: str, _sources: SecretSources) -> str:
    try:
        with Path(path).expanduser().open("rb") as file:
            return _text(file.read(OUTPUT_LIMIT_BYTES + 1))
    except OSError as error:
        raise SecretError(f"cannot be read ({error.strerror})") from error


def _read_command(command: str, _sources: SecretSources) -> str:
    arguments = split_command(command)
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own command, no shell
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise SecretError(f"cannot be run ({error.strerror})") from error
    try:
        output, code = _collect(process)
    finally:
        _end(process)
    if code != 0:
        raise SecretError(f"ended with exit code {code}")
    return _text(output)


def split_command(command: str) -> list[str]:
    """Arguments of a command line; quoting works as in a shell, and nothing else of a shell does."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
        arguments = shlex.split(command)
    except ValueError as error:
        raise SecretError(f"is not a command line ({error})") from error
    operator = next((word for word in words if word and set(word) <= _SHELL_WORDS), None)
    if operator is not None:
        raise SecretError(f"`{operator}` needs a shell, and none is used: put it into a script")
    return arguments


def _collect(process: subprocess.Popen[bytes]) -> tuple[bytes, int]:
    """Output and exit code, within the time and size limits."""
    deadline = time.monotonic() + COMMAND_LIMIT_S
    output = bytearray()
    pipe: IO[bytes] | None = process.stdout
    if pipe is None:
        raise SecretError("has no output")
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                piece = os.read(pipe.fileno(), 8192)
                if not piece:
                    return bytes(output), process.wait(max(0.0, deadline - time.monotonic()))
                output += piece
                if len(output) > OUTPUT_LIMIT_BYTES:
                    raise SecretError(f"wrote more than {OUTPUT_LIMIT_BYTES} bytes")
    except subprocess.TimeoutExpired:
        pass  # closed its output but did not end: as late as one that is still writing
    raise SecretError(f"did not end within {COMMAND_LIMIT_S:g} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()
    try:
        # Also what the command itself started and left behind.
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # the whole group is gone already
    process.wait()


def _text(data: bytes) -> str:
    if len(data) > OUTPUT_LIMIT_BYTES:
        raise SecretError(f"is larger than {OUTPUT_LIMIT_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SecretError("is not UTF-8 text") from error


def _clean(text: str, lines: bool) -> str:
    """Trim and take off `Bearer `: what a paste brings along (pitfalls AUTH-05)."""
    value = text.strip().removeprefix("\ufeff")
    while prefix := _BEARER.match(value):
        value = value[prefix.end() :].strip()
    if not value or value.lower() == "bearer":
        raise SecretError("is empty")
    if lines:
        return value
    if "\n" in value or "\r" in value:
        raise SecretError("has a line break inside")
    if any(not " " <= char <= "~" for char in value):
        raise SecretError("has a character that cannot stand in an HTTP header")
    return value


_READERS: Final = {"env": _read_env, "file": _read_file, "cmd": _read_command}


def _validate(value: Any, info: ValidationInfo, *, lines: bool) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError(
            ERROR_TYPE, "a string: env:NAME, file:PATH, cmd:COMMAND or the secret itself"
        )
    sources = info.context if isinstance(info.context, SecretSources) else None
    try:
        return resolve(value, sources, lines=lines)
    except SecretError as error:
        raise PydanticCustomError(
            ERROR_TYPE, "a usable secret ({reason})", {"reason": str(error)}
        ) from error


def _validate_line(value: Any, info: ValidationInfo) -> Secret:
    return _validate(value, info, lines=False)


def _validate_text(value: Any, info: ValidationInfo) -> Secret:
    return _validate(value, info, lines=True)


_SCHEMA: Final = WithJsonSchema(
    {"type": "string", "description": "env:NAME, file:PATH, cmd:COMMAND or the secret itself"}
)
_SHOWN: Final = PlainSerializer(lambda secret: secret.origin, return_type=str)

type SecretValue = Annotated[Secret, PlainValidator(_validate_line), _SHOWN, _SCHEMA]
"""A key or token: one line, fit for a header."""
type SecretText = Annotated[Secret, PlainValidator(_validate_text), _SHOWN, _SCHEMA]
"""A document that is secret as a whole."""
