"""Typed reads: null is absent, a wrong type names its path, and what nobody read is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from translators.errors import ErrorKind, GatewayError
from translators.fields import Fields

BODY: dict[str, Any] = {
    "text": "t", "int": 2, "whole": 2.0, "number": 0.5, "true": True, "null": None,
    "object": {"a": 1}, "array": [{"x": 1}, {"x": 2}], "texts": ["a", "b"], "mixed": ["a", 1],
}  # fmt: skip


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        pytest.param(lambda f: f.text("text"), "t", id="text"),
        pytest.param(lambda f: f.optional_text("null"), None, id="null is absent"),
        pytest.param(lambda f: f.optional_text("gone", "d"), "d", id="a default"),
        pytest.param(lambda f: f.optional_text("null", "d"), "d", id="a default for null"),
        pytest.param(lambda f: f.optional_int("int"), 2, id="an integer"),
        pytest.param(lambda f: f.optional_int("whole"), 2, id="a whole float"),
        pytest.param(lambda f: f.optional_number("int"), 2, id="a number stays an int"),
        pytest.param(lambda f: f.optional_number("number"), 0.5, id="a float"),
        pytest.param(lambda f: f.optional_bool("true"), True, id="a boolean"),
        pytest.param(lambda f: f.optional_object("null"), None, id="no object"),
        pytest.param(lambda f: f.object("object").raw, {"a": 1}, id="an object"),
        pytest.param(lambda f: f.json_object("object"), {"a": 1}, id="a free object"),
        pytest.param(lambda f: f.array("gone"), [], id="no array"),
        pytest.param(lambda f: f.texts("texts"), ("a", "b"), id="strings"),
        pytest.param(lambda f: [i.path for i in f.items("array")], ["array[0]", "array[1]"], id="paths"),
    ],
)  # fmt: skip
def test_reads(read: Callable[[Fields], Any], expected: Any) -> None:
    found = read(Fields(BODY))
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("read", "path", "words"),
    [
        pytest.param(lambda f: f.text("gone"), "m.gone", "required", id="missing"),
        pytest.param(lambda f: f.text("null"), "m.null", "required", id="null for a required"),
        pytest.param(lambda f: f.text("int"), "m.int", "expected a string, found number 2", id="text"),
        pytest.param(lambda f: f.optional_text("int"), "m.int", "a string", id="optional text"),
        pytest.param(lambda f: f.optional_int("number"), "m.number", "an integer", id="a fraction"),
        pytest.param(lambda f: f.optional_int("true"), "m.true", "an integer, found true", id="true is no 1"),
        pytest.param(lambda f: f.optional_int("int", 3), "m.int", "at least 3", id="too small"),
        pytest.param(lambda f: f.optional_number("true"), "m.true", "a number", id="true is no number"),
        pytest.param(lambda f: f.optional_bool("int"), "m.int", "true or false", id="boolean"),
        pytest.param(lambda f: f.object("array"), "m.array", "an object, found an array", id="object"),
        pytest.param(lambda f: f.json_object("text"), "m.text", "an object", id="free object"),
        pytest.param(lambda f: f.array("text"), "m.text", "an array", id="array"),
        pytest.param(lambda f: f.texts("mixed"), "m.mixed[1]", "a string", id="an array's item"),
        pytest.param(lambda f: list(f.items("texts")), "m.texts[0]", "an object", id="an item"),
    ],
)  # fmt: skip
def test_a_wrong_type_names_its_path(read: Callable[[Fields], Any], path: str, words: str) -> None:
    with pytest.raises(GatewayError) as caught:
        read(Fields(BODY, "m"))
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert caught.value.path == path
    assert caught.value.message.startswith(f"{path}: ")
    assert words in caught.value.message


@pytest.mark.parametrize("raw", [None, [], "x", 1])
def test_only_objects_have_fields(raw: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        Fields(raw)
    assert caught.value.path == "$"


def test_what_nobody_read_is_known() -> None:
    fields = Fields({"a": 1, "b": 2, "c": None, "d": 3})
    fields.any("a")
    fields.any("gone")
    fields.skip("d")
    assert fields.unread() == {"b": 2}
    fields.any("b")
    assert fields.unread() == {}
