"""What is wrong with a configuration: every problem with its place, all of them at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

type KeyPath = tuple[str | int, ...]

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
_SECRET_NAMES: Final = re.compile(
    r"key|secret|token|password|authorization|headers|cookie|database_url|redis_url|proxy|credential|json",
    re.IGNORECASE,
)
_SECRET_LOOKS: Final = re.compile(
    r"(sk-|sk_|gsk_|xai-|pplx-|gh[a-z]_|AIza|AQ\.|tp-|Bearer )|^(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_\-.+/=]{24,}$",
)
_URL_SECRETS: Final = re.compile(r"(?<=://)[^/?#]*@|[?#].*")
MAX_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Mark:
    """A place: a file (or `environment LLMGATE_X`) and a line from 1; None = no line to name."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake. `path` is the key path ("" = the whole file), `hint` a guess at what was meant."""

    mark: Mark
    path: str
    found: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.mark}: {self.path}" if self.path else str(self.mark)
        text = f"{place}: found {self.found}, expected {self.expected}"
        return f"{text} ({self.hint})" if self.hint else text


def mark_of(marks: Mapping[KeyPath, Mark], path: KeyPath) -> Mark:
    """Where a key path stands, or the nearest thing around it that has a place."""
    for length in range(len(path), -1, -1):
        if path[:length] in marks:
            return marks[path[:length]]
    return Mark("configuration")


def walk(value: Any, path: KeyPath) -> tuple[KeyPath, Any]:
    """A key path as the file has it, and what stands there.

    Steps that only the normalised form has (a union's tag, the list that one text stands for) are left out.
    """
    found: list[str | int] = []
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            continue
        found.append(step)
    return tuple(found), value


class ConfigError(Exception):
    """A configuration that cannot be used; the message lists every problem, one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def show_path(path: KeyPath) -> str:
    """`models.coder.candidates[2]`; keys that are not plain words stand in brackets and quotes."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{_quoted(step)}]"
    return text


def show_value(value: Any, path: KeyPath = ()) -> str:
    """A value for an error message: short, and never one that may be a secret."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)[:MAX_SHOWN]
    if any(isinstance(step, str) and _SECRET_NAMES.search(step) for step in path):
        return "an empty text" if not value.strip() else "a text (not shown)"
    if "://" in value:
        value = _URL_SECRETS.sub("", value)
    if _SECRET_LOOKS.search(value):
        return "a text that looks like a key (not shown)"
    return _quoted(value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…")


def _quoted(text: str) -> str:
    """In quotes, and on one line whatever is in it."""
    return json.dumps(text, ensure_ascii=False)
