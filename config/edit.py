"""Change single entries of a configuration file and leave everything else as it is, comments included.

Works on the text: PyYAML tells where an entry stands, and every change is read back and compared with what it was
to be before anybody gets it. What cannot be done safely is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

_PLAIN: Final = re.compile(r"[A-Za-z_/.][A-Za-z0-9_./-]*(?::[A-Za-z0-9_./-]+)?")
_WORDS: Final = re.compile(r"(?i)true|false|null|yes|no|on|off|y|n")
_INDENT: Final = 2


class EditError(ValueError):
    """The file is written in a way that cannot be changed safely; the message says what to do."""


def with_entry(text: str, section: str, name: str, entry: Mapping[str, Any]) -> str:
    """The file with one more entry in a section; EditError when the section has that name already."""
    if "\r\n" in text:
        return _with_crlf(with_entry(text.replace("\r\n", "\n"), section, name, entry))
    before = _value(text)
    wanted = {**(before.get(section) or {})}
    if name in wanted:
        raise EditError(f"{section}.{name} is there already")
    wanted[name] = dict(entry)
    written = f"{scalar(name)}: {flow(entry)}"
    return _checked(_added(text, section, written), {**before, section: wanted}, section)


def without_entry(text: str, section: str, name: str) -> str:
    """The file without an entry of a section; EditError when there is none of that name."""
    if "\r\n" in text:
        return _with_crlf(without_entry(text.replace("\r\n", "\n"), section, name))
    before = _value(text)
    entries = {**(before.get(section) or {})}
    if name not in entries:
        raise EditError(f"{section}.{name} is not there")
    del entries[name]
    return _checked(_removed(text, section, name), {**before, section: entries}, section)


def _with_crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{scalar(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """A scalar, quoted where YAML or a reader could take it for something else; JSON's quotes are YAML's, too."""
    text = str(value)
    if isinstance(value, str) and _PLAIN.fullmatch(text) and not _WORDS.fullmatch(text):
        return text
    return json.dumps(value, ensure_ascii=False)


def _value(text: str) -> dict[str, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise EditError(f"the file is not valid YAML: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise EditError("the file is no mapping of settings")
    return value


def _checked(text: str, wanted: dict[str, Any], section: str) -> str:
    try:
        found = _value(text)
    except EditError:
        found = None
    if found is None or {**found, section: found.get(section) or {}} != wanted:
        raise EditError(
            f"`{section}` is written in a way that cannot be changed safely: edit it by hand"
        )
    return text


def _added(text: str, section: str, written: str) -> str:
    place = _section(text, section)
    if place is None:
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{gap}{section}:\n{' ' * _INDENT}{written}\n"
    key, node = place
    if isinstance(node, MappingNode) and node.flow_style:
        inside = node.end_mark.index - 1
        comma = ", " if node.value else ""
        return f"{text[:inside].rstrip()}{comma}{written}{text[inside:]}"
    if not isinstance(node, MappingNode) or not node.value:
        line = _end_of_line(text, key.end_mark.index)
        return _inserted(text, line, f"{' ' * (key.start_mark.column + _INDENT)}{written}")
    column = node.value[0][0].start_mark.column
    line = _end_of_line(text, _end(node))
    return _inserted(text, line, f"{' ' * column}{written}")


def _removed(text: str, section: str, name: str) -> str:
    place = _section(text, section)
    if place is None or not isinstance(place[1], MappingNode):
        return text
    key, node = place[0], place[1]
    position = next(at for at, (inner, _value) in enumerate(node.value) if inner.value == name)
    inner, value = node.value[position]
    if node.flow_style:
        start, end = inner.start_mark.index, _end(value)
        if position + 1 < len(node.value):
            end = node.value[position + 1][0].start_mark.index
        elif position:
            start = _end(node.value[position - 1][1])
        return text[:start] + text[end:]
    if len(node.value) == 1:
        head = key.end_mark.index + 1
        end = _end_of_line(text, _end(value))
        return f"{text[:head]} {{}}{text[end:]}"
    start = text.rfind("\n", 0, inner.start_mark.index) + 1
    return text[:start] + text[_end_of_line(text, _end(value)) + 1 :]


def _section(text: str, name: str) -> tuple[Node, Node] | None:
    """The nodes of a top-level key and of what it holds."""
    root = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(root, MappingNode):
        return None
    return next(((key, node) for key, node in root.value if key.value == name), None)


def _end(node: Node) -> int:
    """Where a node's last character stands: a block's own end mark is behind the comments that follow it."""
    if isinstance(node, MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    if isinstance(node, SequenceNode) and not node.flow_style and node.value:
        return _end(node.value[-1])
    return int(node.end_mark.index)


def _end_of_line(text: str, index: int) -> int:
    """The line break that ends the line of a position; block scalars end behind theirs."""
    if index and text[index - 1 : index] == "\n":
        return index - 1
    found = text.find("\n", index)
    return len(text) if found < 0 else found


def _inserted(text: str, line_end: int, line: str) -> str:
    return f"{text[:line_end]}\n{line}{text[line_end:]}" + ("" if text.endswith("\n") else "\n")
