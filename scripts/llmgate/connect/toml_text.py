"""TOML edited in place: what is not named stays as it is, byte for byte.

Only cuts a text that `tomllib` has accepted into statements, and sets whole values; whoever calls compares the parsed
result. A library that rewrites a parsed document was tried first: tomlkit 0.15.2 gave back the original after setting
a key, adding a table and removing both in none of ten ordinary files (comments moved to other keys, blank lines,
mixed line ends, an error with dotted keys).
Reference: https://toml.io/en/v1.0.0 (read 2026-11-21)
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from scripts.llmgate.connect.data import EditError, Path, shown
from scripts.llmgate.connect.lines import line_at, newline

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_BLANK: Final = re.compile(r"(?:[ \t]*(?:#[^\n]*|\r)?\n)*")
_HEAD: Final = re.compile(r"(?:#[^\n]*\n)+(?=\r?\n|$)|(?:#:[^\n]*\n)+")
"""A comment that opens the file and belongs to no table: a blank line follows it, or it names a schema."""
_STRINGS: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', re.DOTALL
)
_AT_LINE: Final = re.compile(r"at line (\d+)")


@dataclass(frozen=True, slots=True)
class _Statement:
    """A header or an assignment; `path` is None below a list of tables, which has no one path."""

    path: tuple[str, ...] | None
    start: int
    end: int
    """After the last character of the line or lines, before the line end."""
    value: tuple[int, int] | None
    """Where the value stands; None for a header."""
    prefix: int
    """How many steps of the path the header gives."""


def load(text: str) -> dict[str, Any]:
    """The document's value, floats as their source text."""
    try:
        return tomllib.loads(text, parse_float=str)
    except tomllib.TOMLDecodeError as error:
        match = _AT_LINE.search(str(error))
        line = int(match[1]) if match else line_at(text, len(text))
        raise EditError(_AT_LINE.split(str(error))[0].strip(" (").lower(), line) from error
    except (RecursionError, ValueError) as error:
        raise EditError("is nested too deeply, or holds a number that is too long") from error


def _statements(text: str) -> Iterator[_Statement]:
    data = load(text)
    position = 0
    header: tuple[str, ...] | None = ()
    while True:
        blank = _BLANK.match(text, position)
        position = _skip(text, blank.end() if blank else position)
        if position >= len(text) or text[position] in "#\r":
            return
        if text[position] == "[":
            is_list = text.startswith("[[", position)
            names, end = _key(text, position + (2 if is_list else 1))
            header = None if is_list or _below_list(data, names) else names
            end = _line_end(text, end)
            yield _Statement(header, position, end, None, len(header or ()))
        else:
            key, end = _key(text, position)
            start = _skip(text, end + 1)
            stop = _value_end(text, start)
            end = _line_end(text, stop)
            path = None if header is None else header + key
            yield _Statement(path, position, end, (start, stop), len(header or ()))
        position = min(text.find("\n", end) + 1 or len(text), len(text))


def _below_list(node: Any, header: tuple[str, ...]) -> bool:
    """Whether a part of the path is a list of tables, so that it names the last of them only."""
    for step in header:
        node = node.get(step) if isinstance(node, dict) else None
        if isinstance(node, list):
            return True
    return False


def _skip(text: str, position: int) -> int:
    while text[position : position + 1] in (" ", "\t"):
        position += 1
    return position


def _key(text: str, position: int) -> tuple[tuple[str, ...], int]:
    """A dotted key, and where it ends: at the bracket or the equals sign."""
    parts: list[str] = []
    while True:
        position = _skip(text, position)
        match = _STRINGS.match(text, position) or _BARE.match(text, position)
        if match is None:
            raise EditError("has a key that cannot be read", line_at(text, position))
        parts.append(_name(match[0]))
        position = _skip(text, match.end())
        if text[position : position + 1] != ".":
            return tuple(parts), position
        position += 1


def _name(source: str) -> str:
    if source[0] == '"':
        return str(tomllib.loads(f"k = {source}")["k"])
    return source.strip("'")


def _value_end(text: str, position: int) -> int:
    """After the last character of the value that starts here."""
    depth, last = 0, position
    while position < len(text):
        character = text[position]
        if depth == 0 and character in "#\n":
            break
        if character == "#":
            position = text.find("\n", position)
            continue
        match = _STRINGS.match(text, position) if character in "\"'" else None
        position = match.end() if match else position + 1
        depth += (character in "[{") - (character in "]}")
        if not character.isspace():
            last = position
    return last


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    return end - 1 if text[end - 1 : end] == "\r" else end


def source(text: str, path: Path) -> str | None:
    """The source text of a value, None when there is none that stands in a line of its own."""
    value = _value_of(text, path)
    return None if value is None else text[slice(*value)]


def _value_of(text: str, path: Path) -> tuple[int, int] | None:
    found = (s.value for s in _statements(text) if s.path == path and s.value is not None)
    return next(found, None)


def put(text: str, path: Path, value: Any) -> str:
    """The text with a value set."""
    return put_source(text, path, _render(value))


def _render(value: Any) -> str:
    # JSON's strings, whole numbers, booleans and lists of them are TOML's, but for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def put_source(text: str, path: Path, old: str) -> str:
    """The text with a value set to this source text."""
    value = _value_of(text, path)
    if value is not None:
        return text[: value[0]] + old + text[value[1] :]
    statements = list(_statements(text))
    for statement in statements:
        inline = statement.value is not None and statement.path == path[: len(statement.path or ())]
        if inline and statement.path:
            raise EditError(
                f"{shown(statement.path)} is written as a value; write it as a table: "
                f"[{shown(statement.path)}]",
                line_at(text, statement.start),
            )
    names = tuple(str(step) for step in path)
    sibling = _last_sibling(statements, names)
    if sibling is not None:
        return _after(text, sibling, names, old)
    if len(names) == 1:
        return _at_top(text, f"{_quoted(names)} = {old}")
    return _new_table(text, names, old)


def _last_sibling(statements: list[_Statement], names: tuple[str, ...]) -> _Statement | None:
    """The statement after which a key belongs: the last one of its table, or of its dotted family."""
    parent = names[:-1]
    for index, statement in enumerate(statements):
        if statement.value is None and statement.path == parent:
            last = index
            while last + 1 < len(statements) and statements[last + 1].value is not None:
                last += 1
            return statements[last]
    family = [s for s in statements if s.value is not None and s.path and s.path[:-1] == parent]
    return family[-1] if family else None


def _after(text: str, sibling: _Statement, names: tuple[str, ...], value: str) -> str:
    line = text.rfind("\n", 0, sibling.start) + 1
    indent = text[line : sibling.start]
    prefix = sibling.prefix if sibling.value is not None else len(names) - 1
    new = f"{newline(text)}{indent}{_quoted(names[prefix:])} = {value}"
    return text[: sibling.end] + new + text[sibling.end :]


def _at_top(text: str, line: str) -> str:
    """Insert the first key of the document: before the first table, below a comment that opens the file."""
    end = newline(text)
    head = _HEAD.match(text)
    position = head.end() if head else 0
    rest = text[position:]
    before = end if position and not text.startswith("#:") else ""
    after = "" if not rest or rest.startswith(("\n", "\r\n")) else end
    return text[:position] + before + line + end + after + rest


def _new_table(text: str, names: tuple[str, ...], value: str) -> str:
    end = newline(text)
    head = text if not text or text.endswith("\n") else text + end
    gap = end if head and not head.endswith(("\n\n", "\n\r\n")) else ""
    return f"{head}{gap}[{_quoted(names[:-1])}]{end}{_quoted(names[-1:])} = {value}{end}"


def _quoted(names: tuple[str, ...]) -> str:
    return ".".join(n if _BARE.fullmatch(n) else _render(n) for n in names)


def remove(text: str, path: Path) -> str:
    """The text without a key's line or lines."""
    for statement in _statements(text):
        if statement.path == path and statement.value is not None:
            return _without(text, statement)
    return text


def remove_container(text: str, path: Path) -> str:
    """The text without the header of a table that has become empty."""
    for statement in _statements(text):
        if statement.path == path and statement.value is None:
            return _without(text, statement, blank_before=True)
    return text


def _without(text: str, statement: _Statement, *, blank_before: bool = False) -> str:
    start = text.rfind("\n", 0, statement.start) + 1
    end = text.find("\n", statement.end)
    head, tail = text[:start], "" if end < 0 else text[end + 1 :]
    if blank_before:
        for blank in ("\r\n", "\n"):
            if head.endswith("\n" + blank):
                return head[: -len(blank)] + tail
    return head + tail
