"""YAML with places: lines per key path, YAML 1.2 scalars, duplicates, bounded aliases."""

from pathlib import Path

import pytest

from config.yamltree import parse_scalar, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("a: off", {"a": "off"}, id="off is a word (a thinking level)"),
        pytest.param("a: 2026-10-21", {"a": "2026-10-21"}, id="a date is text (an API version)"),
        pytest.param("a: 10:30", {"a": "10:30"}, id="no base-60 numbers"),
        pytest.param("a: true", {"a": True}, id="true"),
        pytest.param("a: 012", {"a": 12}, id="decimal with a zero"),
        pytest.param("a: 0x10", {"a": 16}, id="hexadecimal"),
        pytest.param("a: 1e3", {"a": 1000.0}, id="a float"),
        pytest.param("a: .5", {"a": 0.5}, id="a float without a leading digit"),
        pytest.param("a:", {"a": None}, id="nothing"),
        pytest.param('a: "1"', {"a": "1"}, id="quoted"),
        pytest.param("1: x", {"1": "x"}, id="keys are text"),
        pytest.param("", {}, id="an empty file"),
        pytest.param("# only a comment\n", {}, id="only a comment"),
        pytest.param("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}, id="anchors"),
        pytest.param(
            "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}",
            {"a": {"b": 1, "c": 2}, "d": {"c": 3, "b": 1}},
            id="merge keys, own ones win",
        ),
    ],
)
def test_values(text: str, value: object) -> None:
    tree = read_yaml(text, "f")
    assert (tree.value, tree.problems) == (value, [])


def test_every_path_has_its_line() -> None:
    tree = read_yaml("a:\n  b:\n    - 1\n    - c: 2\n", "f.yaml")
    lines = {path: mark.line for path, mark in tree.marks.items()}
    assert lines[("a",)] == 1
    assert lines[("a", "b")] == 2
    assert lines[("a", "b", 1)] == 4
    assert lines[("a", "b", 1, "c")] == 4


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a: 1\nb: 2\na: 3", "f:3: a: found given twice (first on line 1)", id="twice"),
        pytest.param("a: [1", "f:1: found the end of the file, expected ',' or ']'", id="open"),
        pytest.param(
            "a: 1\n--- \nb: 2", "f:2: found `---` before a second document", id="two documents"
        ),
        pytest.param(
            "a:\n  b: 1\n c: 2",
            "f:3: found a mapping that begins in another column, expected keys or items of one",
            id="indented by one too few",
        ),
        pytest.param(
            "a: b: c", "f:1: found a second `: ` in one value, expected quotes", id="colon"
        ),
        pytest.param("a:\n\tb: 1", "f:2: found a tab, expected spaces", id="a tab"),
        pytest.param(
            "a: @b", "f:1: found a value that begins with `@`, expected quotes", id="a bad start"
        ),
        pytest.param(
            "a: !!python/object:os.system x", "f:1: a: found `x` with tag", id="a foreign tag"
        ),
        pytest.param(
            "a: &x [*x]", "f:1: a[0]: found nesting without end", id="an anchor inside itself"
        ),
        pytest.param("a: *nowhere", "f:1: found undefined alias", id="no such anchor"),
        pytest.param("? [a, b]\n: 1", "f:1: found a key that is not text", id="a list as a key"),
        pytest.param("a: \x07", "found", id="a control character"),
    ],
)
def test_problems_name_the_line(text: str, problem: str) -> None:
    found = read_yaml(text, "f").problems
    assert len(found) == 1
    assert problem in str(found[0])


def test_aliases_do_not_explode() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    found = read_yaml("\n".join(lines), "f").problems
    assert [str(one.expected) for one in found] == ["at most 100000 values"]


def test_deep_nesting_is_refused_and_does_not_crash() -> None:
    assert read_yaml("[" * 100_000, "f").problems
    assert read_yaml("[" * 80 + "]" * 80, "f").problems


def test_paths_are_taken_from_the_file_that_says_them(tmp_path: Path) -> None:
    text = 'a: file:key\nb: {file: sa.json, ca_file: /abs/ca.pem}\nc: "file: sub/key"'
    value = read_yaml(text, "f", tmp_path).value
    assert value == {
        "a": f"file:{tmp_path / 'key'}",
        "b": {"file": str(tmp_path / "sa.json"), "ca_file": "/abs/ca.pem"},
        "c": f"file:{tmp_path / 'sub/key'}",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("5", "5", id="numbers stay text for the field to read"),
        pytest.param("env:NAME", "env:NAME", id="references"),
        pytest.param("a: b", "a: b", id="no block mappings"),
        pytest.param("[a, b]", ["a", "b"], id="a list"),
        pytest.param("{a: 1}", {"a": 1}, id="a mapping"),
        pytest.param("[a", "[a", id="unreadable text is text"),
        pytest.param("null", None, id="null"),
        pytest.param("*", "*", id="a star"),
    ],
)
def test_settings_from_the_environment(text: str, value: object) -> None:
    assert parse_scalar(text) == value
