"""JSON with comments as clients write it, edited in place: what is not named stays as it is, byte for byte.

Reads comments and trailing commas too. Indentation, spacing after colons and line ends of what is added follow what is
there. Nothing is ever reformatted; a comment is never removed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from scripts.llmgate.connect.data import EditError, Entry, Path, Step, lookup, shown
from scripts.llmgate.connect.lines import line_at, newline

MAX_DEPTH: Final = 100
_SPACE: Final = re.compile(r"(?:[ \t\r\n]|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_SAME_LINE: Final = re.compile(r"(?:[ \t]|/\*[^\r\n]*?\*/)*(?://[^\r\n]*)?")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")


@dataclass(slots=True)
class Node:
    """A value with its place in the text; `value` is parsed, floats as their source text."""

    start: int
    end: int = 0
    value: Any = None
    members: list[Member] = field(default_factory=list)


@dataclass(slots=True)
class Member:
    """A member of an object, or an item of a list (no key). `comma` is the place of the comma after it."""

    start: int
    key: str | None
    node: Node
    comma: int | None = None


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text

    def fail(self, message: str, position: int) -> EditError:
        return EditError(message, line_at(self.text, position))

    def space(self, position: int) -> int:
        match = _SPACE.match(self.text, position)
        return match.end() if match else position

    def node(self, position: int, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self.fail("is nested too deeply", position)
        opening = self.text[position : position + 1]
        node = Node(position)
        if opening in ("{", "["):
            self.container(node, "}" if opening == "{" else "]", depth)
        elif opening == '"':
            node.value, node.end = self.string(position)
        elif match := _SCALAR.match(self.text, position):
            node.value, node.end = self.scalar(match[0], position), match.end()
        else:
            found = repr(opening) if opening else "the end of the file"
            raise self.fail(f"expected a value, found {found}", position)
        return node

    def scalar(self, source: str, position: int) -> Any:
        try:
            return json.loads(source, parse_float=str)
        except ValueError as error:
            raise self.fail("a number is too long", position) from error

    def string(self, position: int) -> tuple[str, int]:
        match = _STRING.match(self.text, position)
        try:
            if match is not None:
                return str(json.loads(match[0])), match.end()
        except ValueError as error:
            raise self.fail("a string has a bad escape", position) from error
        raise self.fail("a string does not end", position)

    def container(self, node: Node, closing: str, depth: int) -> None:
        node.value = {} if closing == "}" else []
        position = self.space(node.start + 1)
        while self.text[position : position + 1] != closing:
            if node.members and node.members[-1].comma is None:
                found = repr(self.text[position : position + 1]) if self.text[position:] else "end"
                raise self.fail(f"expected a comma or {closing!r}, found {found}", position)
            member = self.member(position, closing, depth)
            node.members.append(member)
            if isinstance(node.value, list):
                node.value.append(member.node.value)
            else:
                node.value[member.key] = member.node.value
            position = self.space(member.node.end)
            if self.text[position : position + 1] == ",":
                member.comma = position
                position = self.space(position + 1)
        node.end = position + 1

    def member(self, position: int, closing: str, depth: int) -> Member:
        if closing == "]":
            return Member(position, None, self.node(position, depth + 1))
        if self.text[position : position + 1] != '"':
            found = repr(self.text[position : position + 1]) if self.text[position:] else "end"
            raise self.fail(f"expected a name in double quotes, found {found}", position)
        key, end = self.string(position)
        colon = self.space(end)
        if self.text[colon : colon + 1] != ":":
            raise self.fail(f"expected a colon after {key!r}", colon)
        return Member(position, key, self.node(self.space(colon + 1), depth + 1))


def _root(text: str) -> Node | None:
    reader = _Reader(text)
    start = reader.space(0)
    if start == len(text):
        return None
    root = reader.node(start, 0)
    if not isinstance(root.value, dict):
        raise reader.fail("must hold one object: { … }", start)
    rest = reader.space(root.end)
    if rest != len(text):
        raise reader.fail("goes on after the object has ended", rest)
    return root


def load(text: str) -> dict[str, Any]:
    """The document's value; an empty file is an empty object."""
    root = _root(text)
    return {} if root is None else root.value


def _step(node: Node, step: Step) -> Member | None:
    def fits(member: Member) -> bool:
        if isinstance(step, Entry):
            return bool(lookup(member.node.value, step.within) == step.value)
        return member.key == step

    kind = list if isinstance(step, Entry) else dict
    if not isinstance(node.value, kind):
        return None
    return next((m for m in reversed(node.members) if fits(m)), None)


def _find(root: Node, path: Path) -> tuple[Node, Member | None, int]:
    """How far a path leads: the last container on it, the member at its end, and how many steps exist."""
    node, member = root, None
    for depth, step in enumerate(path):
        node = node if member is None else member.node
        member = _step(node, step)
        if member is None:
            return node, None, depth
    return node, member, len(path)


def source(text: str, path: Path) -> str | None:
    """The source text of a value, None when there is none."""
    root = _root(text)
    member = None if root is None else _find(root, path)[1]
    return None if member is None else text[member.node.start : member.node.end]


def put(text: str, path: Path, value: Any) -> str:
    """The text with a value set."""
    return _put(text, path, lambda style: style.render(value))


def put_source(text: str, path: Path, old: str) -> str:
    """The text with a value set to this source text."""
    return _put(text, path, lambda _style: old)


@dataclass(frozen=True, slots=True)
class _Style:
    """How the document is written: line end, one step of indentation, the indentation here, colon."""

    newline: str
    step: str
    here: str | None
    """None: on one line."""
    colon: str

    def render(self, value: Any) -> str:
        if self.here is None:
            gap = ", " if self.colon.endswith(" ") else ","
            return json.dumps(value, ensure_ascii=False, separators=(gap, self.colon))
        text = json.dumps(value, ensure_ascii=False, indent=self.step, separators=(",", self.colon))
        return text.replace("\n", self.newline + self.here)


def _put(text: str, path: Path, render: Callable[[_Style], str]) -> str:
    root = _root(text)
    if root is None:
        blank = text if not text or text.endswith("\n") else text + newline(text)
        return _put(blank + "{}" + newline(text), path, render)
    container, member, depth = _find(root, path)
    if member is not None:
        style = _style(text, root, container, member)
        return text[: member.node.start] + render(style) + text[member.node.end :]
    missing = path[depth:]
    wanted = list if isinstance(missing[0], Entry) else dict
    if not isinstance(container.value, wanted):
        kind = "a list" if wanted is list else "an object"
        raise EditError(f"{shown(path[:depth])} must be {kind}", line_at(text, container.start))
    return _insert(text, root, container, missing, render)


def _insert(
    text: str, root: Node, container: Node, missing: Path, render: Callable[[_Style], str]
) -> str:
    last = container.members[-1] if container.members else None
    style = _style(text, root, container, last)
    new = _nested(missing, style, render)
    if last is None:
        return _insert_first(text, root, container, style, new)
    if style.here is None:
        gap = " " if style.colon.endswith(" ") else ""
        if last.comma is not None:
            return text[: last.comma + 1] + gap + new + "," + text[last.comma + 1 :]
        return text[: last.node.end] + "," + gap + new + text[last.node.end :]
    end = last.node.end if last.comma is None else last.comma + 1
    line = _SAME_LINE.match(text, end)
    after = line.end() if line else end
    if text[after : after + 1] not in ("\r", "\n"):
        after = end
    comma = "," if last.comma is None else ""
    tail = "" if last.comma is None else ","
    added = f"{style.newline}{style.here}{new}{tail}"
    return text[: last.node.end] + comma + text[last.node.end : after] + added + text[after:]


def _insert_first(text: str, root: Node, container: Node, style: _Style, new: str) -> str:
    opening = container.start + 1
    rest = text[opening : container.end - 1]
    if style.here is None:
        return text[:opening] + new + text[opening:]
    added = f"{style.newline}{style.here}{new}"
    if not rest.strip():
        outer = _indent_of_line(text, container.start)
        return text[:opening] + added + style.newline + outer + text[container.end - 1 :]
    return text[:opening] + added + text[opening:]


def _nested(missing: Path, style: _Style, render: Callable[[_Style], str]) -> str:
    """The member's text: its key, and objects for the rest of the path."""
    first, rest = missing[0], missing[1:]
    deeper = style.here if style.here is None else style.here + style.step
    inner = _Style(style.newline, style.step, deeper, style.colon)
    if not rest:
        value = render(style)
    else:
        opening, closing = "[]" if isinstance(rest[0], Entry) else "{}"
        nested = _nested(rest, inner, render)
        if deeper is None:
            value = opening + nested + closing
        else:
            value = f"{opening}{style.newline}{deeper}{nested}{style.newline}{style.here}{closing}"
    if isinstance(first, Entry):
        return value
    return json.dumps(first, ensure_ascii=False) + style.colon + value


def _style(text: str, root: Node, container: Node, sibling: Member | None) -> _Style:
    first = root.members[0] if root.members else None
    step = _own_indent(text, first.start) if first else None
    colon = ": "
    if sibling is not None and sibling.key is not None:
        between = text[sibling.start : sibling.node.start]
        colon = between[len(between.rstrip(" :\t\r\n")) :] or ": "
        colon = colon if "\n" not in colon and colon.strip() == ":" else ": "
    base = step or "  "
    if sibling is not None:
        here = _own_indent(text, sibling.start)
    elif container is root or _own_indent(text, first.start if first else 0) is not None:
        here = _indent_of_line(text, container.start) + base
    else:
        here = None
    return _Style(newline(text), base, here, colon)


def _own_indent(text: str, position: int) -> str | None:
    """The indentation of what begins its line, None for what does not."""
    begin = text.rfind("\n", 0, position) + 1
    before = text[begin:position]
    return before if begin > 0 and not before.strip() else None


def _indent_of_line(text: str, position: int) -> str:
    begin = text.rfind("\n", 0, position) + 1
    line = text[begin:position]
    return line[: len(line) - len(line.lstrip(" \t"))]


def remove(text: str, path: Path) -> str:
    """The text without a member and its comma; comments stay."""
    root = _root(text)
    if root is None:
        return text
    container, member, _ = _find(root, path)
    if member is None:
        return text
    index = next(i for i, m in enumerate(container.members) if m is member)
    start, end, between = member.start, member.node.end, ""
    if member.comma is not None:
        # A comment may stand before the comma.
        between, end = text[end : member.comma], member.comma + 1
    removed = text[:start] + between.strip(" \t") + text[end:]
    if member.comma is None and index > 0:
        # The last one goes: the comma before it too, or the file would no longer be strict JSON.
        comma = container.members[index - 1].comma
        if comma is not None:
            removed = removed[:comma] + removed[comma + 1 :]
            start -= 1
    return _without_blank(removed, start)


def _without_blank(text: str, position: int) -> str:
    """Remove the line at a position if nothing is left on it, else one space too many."""
    begin = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    if not text[begin:end].strip() and begin > 0:
        stop = begin - 1
        if text[stop - 1 : stop] == "\r":
            stop -= 1
        tail = end - 1 if text[end - 1 : end] == "\r" and end > begin else end
        return text[:stop] + text[tail:]
    if text[position : position + 1] == " " and text[position - 1 : position] in ("{", "[", " "):
        return text[:position] + text[position + 1 :]
    return text


def remove_container(text: str, path: Path) -> str:
    """The text without a container that has become empty."""
    return remove(text, path)
