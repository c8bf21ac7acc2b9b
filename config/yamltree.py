"""YAML into plain values that remember where they stood: file and line per key path.

YAML 1.2's idea of scalars is used: only `true` and `false` are booleans (`off` is a word, `2026-10-21` and
`10:30` are text). Duplicate keys are an error. Aliases are expanded, but not without end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from config.problems import KeyPath, Mark, Problem, show_path

MAX_NODES: Final = 100_000
MAX_DEPTH: Final = 60
MAX_BYTES: Final = 4 * 1024 * 1024
_TAG: Final = "tag:yaml.org,2002:"
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_EXPECTED_FOUND: Final = re.compile(r"expected (?P<expected>.+), but (?:got|found) (?P<found>.+)")
_BAD_START: Final = re.compile(r"found character '(?P<character>.)' that cannot start any token")
_SYNTAX: Final = {
    "mapping values are not allowed here": (
        "a second `: ` in one value",
        "quotes around a text with `: ` in it, or a key on a line of its own",
    ),
    r"found character '\t' that cannot start any token": ("a tab", "spaces before a key"),
    "but found another document": ("`---` before a second document", "one document"),
}
"""The commonest mistakes in plain words."""
_YAML_WORDS: Final = {
    "?": "a key",
    "<block end>": "keys or items of one block in one column",
    "<block mapping start>": "a mapping that begins in another column",
    "<block sequence start>": "a list that begins in another column",
    "<scalar>": "a value",
    "<stream end>": "the end of the file",
}
"""What PyYAML calls by the names of its tokens."""
_SPECIAL: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way


for _name, _pattern, _first in (
    ("null", re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    ("int", _INTEGER, list("-+0123456789")),
    ("float", re.compile(f"{_FLOAT.pattern}|{_SPECIAL.pattern}"), list("-+.0123456789")),
    ("merge", re.compile("<<"), ["<"]),
):
    _Loader.add_implicit_resolver(  # type: ignore[no-untyped-call, unused-ignore]
        _TAG + _name, re.compile(f"(?:{_pattern.pattern})$"), _first
    )


@dataclass(slots=True)
class Tree:
    """A document's value, where each part of it stood, and what was wrong."""

    value: Any = None
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_yaml(text: str, source: str, base: Path | None = None) -> Tree:
    """Read one document; an empty one is `{}`.

    With `base`, relative paths after `file:` and in keys `file` and `*_file` are taken from there.
    """
    tree = Tree({})
    if len(text) > MAX_BYTES:
        tree.problems.append(_problem(source, None, "a larger file", f"at most {MAX_BYTES} bytes"))
        return tree
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()  # type: ignore[no-untyped-call, unused-ignore]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        tree.problems.append(_problem(source, line, *_syntax(error.problem)))
        return tree
    except yaml.YAMLError as error:
        tree.problems.append(_problem(source, None, str(error).splitlines()[0], "valid YAML"))
        return tree
    except RecursionError:
        tree.problems.append(_problem(source, None, "nesting without end", "valid YAML"))
        return tree
    if node is not None:
        tree.value = _Builder(tree, source, base).build(node, (), ())
    return tree


def parse_scalar(text: str) -> Any:
    """A value from an environment variable or option: a list or mapping in YAML's flow form, null, or text.

    Numbers and booleans stay text, as the field that takes them knows best what they are.
    """
    text = text.strip()
    if text in ("null", "~"):
        return None
    if not text.startswith(("[", "{")):
        return text
    tree = read_yaml(text, "")
    return text if tree.problems else tree.value


def _syntax(problem: str | None) -> tuple[str, str]:
    """PyYAML's words, `expected X, but found Y` or `found Y`, as what was found and what was expected."""
    problem = problem or "something unreadable"
    if known := _SYNTAX.get(problem):
        return known
    if first := _BAD_START.fullmatch(problem):
        return f"a value that begins with `{first['character']}`", "quotes around it"
    if two := _EXPECTED_FOUND.fullmatch(problem):
        expected, found = two["expected"], two["found"].strip("'")
        return _YAML_WORDS.get(found, found), _YAML_WORDS.get(expected, expected)
    return problem.removeprefix("found "), "valid YAML"


def _problem(source: str, line: int | None, found: str, expected: str) -> Problem:
    return Problem(mark=Mark(source, line), path="", found=found, expected=expected)


class _Builder:
    """Walks a node tree once, expanding aliases within bounds."""

    def __init__(self, tree: Tree, source: str, base: Path | None) -> None:
        self._tree = tree
        self._source = source
        self._base = base
        self._nodes = 0
        self._exhausted = False

    def build(self, node: Node, path: KeyPath, parents: tuple[int, ...]) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            if not self._exhausted:
                self._exhausted = True
                self._refuse(
                    node, path, "aliases that expand without end", f"at most {MAX_NODES} values"
                )
            return None
        self._tree.marks.setdefault(path, self._mark(node))
        if id(node) in parents or len(parents) > MAX_DEPTH:
            self._refuse(node, path, "nesting without end", f"at most {MAX_DEPTH} levels")
            return None
        inner = (*parents, id(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, path, inner)
        if isinstance(node, SequenceNode):
            return [
                self.build(item, (*path, index), inner) for index, item in enumerate(node.value)
            ]
        return self._scalar(node, path)

    def _mapping(
        self, node: MappingNode, path: KeyPath, parents: tuple[int, ...]
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                merged.append(value_node)
                continue
            if not isinstance(key_node, ScalarNode):
                self._refuse(key_node, path, "a key that is not text", "a name")
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in values:
                first = self._tree.marks[here].line
                self._refuse(
                    key_node, here, f"given twice (first on line {first})", "each key once"
                )
                continue
            self._tree.marks[here] = self._mark(key_node)
            values[key] = self._located(key, self.build(value_node, here, parents))
        for value_node in merged:
            self._merge(values, value_node, path, parents)
        return values

    def _merge(
        self, values: dict[str, Any], node: Node, path: KeyPath, parents: tuple[int, ...]
    ) -> None:
        """`<<`: the keys of another mapping (or of several, the first wins) that are not given here."""
        sources = node.value if isinstance(node, SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, MappingNode):
                self._refuse(source, path, "`<<` with something else", "`<<` with a mapping")
                continue
            inner = self.build(source, path, parents)
            if isinstance(inner, dict):
                for key, value in inner.items():
                    values.setdefault(key, value)

    def _scalar(self, node: Node, path: KeyPath) -> Any:
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        match kind:
            case "str":
                return self._absolute(text) if text.startswith("file:") else text
            case "null":
                return None
            case "bool" if text.lower() in ("true", "false"):
                return text.lower() == "true"
            case "int" if _INTEGER.fullmatch(text):
                return _integer(text)
            case "float" if _FLOAT.fullmatch(text):
                return float(text)
            case "float" if _SPECIAL.fullmatch(text):
                return float(text.replace(".", "", 1))
        self._refuse(node, path, f"`{text}` with tag `{node.tag}`", "a plain value")
        return None

    def _located(self, key: str, value: Any) -> Any:
        names_file = key == "file" or key.endswith("_file")
        if names_file and isinstance(value, str) and value and self._base is not None:
            return str(self._base / Path(value).expanduser())
        return value

    def _absolute(self, text: str) -> str:
        path = text.removeprefix("file:").strip()
        if not path or self._base is None:
            return text
        return f"file:{self._base / Path(path).expanduser()}"

    def _mark(self, node: Node) -> Mark:
        return Mark(self._source, node.start_mark.line + 1)

    def _refuse(self, node: Node, path: KeyPath, found: str, expected: str) -> None:
        self._tree.problems.append(
            Problem(mark=self._mark(node), path=show_path(path), found=found, expected=expected)
        )


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    if digits.startswith(("0x", "0o")):
        return int(text, 0)
    return int(text)
