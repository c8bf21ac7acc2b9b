"""What a person sees of a change: a diff in which no secret stands, and the history as a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import unified_diff
from typing import Final

from scripts.llmgate.connect import files
from scripts.llmgate.connect.actions import Step
from scripts.llmgate.connect.files import Content

HIDDEN: Final = "[hidden]"
_SECRET: Final = re.compile(
    r"""(?ix)(["']?[\w.-]*(?:api_?key|token|secret|password|passwd|authorization)[\w.-]*["']?\s*[:=]\s*)
    (?!["']?(?:cat\s|\{(?:env|file):))("(?:\\.|[^"\\])*"|'[^']*'|[^\s"',}{\[\]]+)"""
)
_PLAIN: Final = re.compile(r"(?i)helper|env_key|env_var|tokens|limit")
_NUMBER: Final = re.compile(r"\d+|true|false|null")


def diff(step: Step, key: str) -> Iterator[str]:
    """The lines of a unified diff, without the key and without values that look like secrets."""
    path = str(step.now.path)
    old, new = (_lines(step, data) for data in (step.now.data, step.target))
    names = (
        ("/dev/null" if step.now.data is None else path),
        ("/dev/null" if step.target is None else path),
    )
    for line in unified_diff(old, new, *names, lineterm=""):
        yield hide(line, key)
    if step.target is not None and step.now.data is not None:
        before, after = step.now.mode, step.saved.mode_after
        if before != after:
            yield f"mode {before:04o} -> {after:04o}"


def _lines(step: Step, data: bytes | None) -> list[str]:
    return files.text_of(Content(path=step.now.path, data=data)).splitlines()


def hide(line: str, key: str) -> str:
    """A line without the key, and without the values of names that say they are secret."""
    if key:
        line = line.replace(key, HIDDEN)
    return _SECRET.sub(_hidden, line)


def _hidden(match: re.Match[str]) -> str:
    if _PLAIN.search(match[1]) or _NUMBER.fullmatch(match[2]):
        return match[0]
    quote = match[2][0] if match[2][0] in "\"'" else ""
    return f"{match[1]}{quote}{HIDDEN}{quote}"
