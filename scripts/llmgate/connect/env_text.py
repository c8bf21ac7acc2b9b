"""`.env` files edited in place: one assignment a line, values quoted over several lines included.

Reads what the dotenv packages of npm read. Reference: https://github.com/motdotla/dotenv#rules (read 2026-11-21)
"""

from __future__ import annotations

import re
from typing import Any, Final

from scripts.llmgate.connect.data import EditError, Path
from scripts.llmgate.connect.lines import newline

_ASSIGNMENT: Final = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[\w.-]+)(?:[ \t]*=[ \t]*|:[ \t]+)
    (?P<value>'(?:\\'|[^'])*'|"(?:\\"|[^"])*"|`(?:\\`|[^`])*`|[^\r\n#]*?)
    [ \t]*(?:\#[^\r\n]*)?(?=\r?$)""",
    re.MULTILINE | re.VERBOSE,
)
_PLAIN: Final = re.compile(r"[\w.:/@%+,=-]+")


def _found(text: str, name: str) -> re.Match[str] | None:
    """The assignment that counts: the last one."""
    matches = [m for m in _ASSIGNMENT.finditer(text) if m["name"] == name]
    return matches[-1] if matches else None


def load(text: str) -> dict[str, Any]:
    """Names and values; lines that are no assignment are skipped, as the packages do."""
    return {m["name"]: _unquoted(m["value"]) for m in _ASSIGNMENT.finditer(text)}


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"`":
        return value[1:-1]
    return value


def _name(path: Path) -> str:
    name = path[0]
    if len(path) != 1 or not isinstance(name, str):
        raise EditError("an environment file holds no tables")
    return name


def source(text: str, path: Path) -> str | None:
    """The source text of a value, None when there is none."""
    match = _found(text, _name(path))
    return None if match is None else match["value"]


def put(text: str, path: Path, value: Any) -> str:
    """The text with a value set; a new one goes to the end."""
    plain = str(value)
    return put_source(text, path, plain if _PLAIN.fullmatch(plain) else f"'{plain}'")


def put_source(text: str, path: Path, old: str) -> str:
    """The text with a value set to this source text."""
    name = _name(path)
    match = _found(text, name)
    if match is not None:
        return text[: match.start("value")] + old + text[match.end("value") :]
    end = newline(text)
    gap = "" if not text or text.endswith("\n") else end
    return f"{text}{gap}{name}={old}{end}"


def remove(text: str, path: Path) -> str:
    """The text without every assignment of a name."""
    name = _name(path)
    while match := _found(text, name):
        end = text.find("\n", match.end())
        text = text[: match.start()] + ("" if end < 0 else text[end + 1 :])
    return text


def remove_container(text: str, path: Path) -> str:
    """There are no containers."""
    return text
