"""The small parts of the fake: shapes, signatures, instances."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.fake import signing
from scripts.fake.instances import smallest
from scripts.fake.shape import bracketed, dotted


def test_a_signature_fits_one_kind_model_and_text() -> None:
    signature = signing.issue("a", "m", "shown", "hidden")
    assert signing.verify("a", "m", "shown", signature)
    assert not signing.verify("b", "m", "shown", signature)
    assert not signing.verify("a", "n", "shown", signature)
    assert not signing.verify("a", "m", "shown!", signature)
    assert not signing.verify("a", "m", "shown", signature[:-4] + "AAA=")
    assert not signing.verify("a", "m", "shown", "é")
    assert signature != signing.issue("a", "m", "shown", "other")


def test_a_signature_survives_another_base64_alphabet() -> None:
    signature = signing.issue("a", "m", "", "h").rstrip("=").replace("+", "-").replace("/", "_")
    assert signing.verify("a", "m", "", signature)


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        pytest.param({"type": "string"}, "x", id="string"),
        pytest.param({"type": "string", "minLength": 3}, "xxx", id="minimum length"),
        pytest.param({"type": "string", "maxLength": 0}, "", id="maximum length"),
        pytest.param({"type": "string", "format": "date"}, "2026-11-21", id="format"),
        pytest.param({"type": ["null", "integer"], "minimum": 5}, 5, id="list of types"),
        pytest.param({"type": "NUMBER", "exclusiveMinimum": 0}, 1, id="capitals"),
        pytest.param({"enum": ["b", "a"]}, "b", id="enum"),
        pytest.param({"const": 7}, 7, id="const"),
        pytest.param(
            {"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [True, True], id="array"
        ),
        pytest.param({"type": "array", "items": {}}, [], id="empty array"),
        pytest.param({"anyOf": [{"type": "null"}, {"type": "string"}]}, None, id="anyOf"),
        pytest.param(
            {
                "allOf": [
                    {"properties": {"a": {"const": 1}}, "required": ["a"]},
                    {"properties": {"b": {"const": 2}}, "required": ["b"]},
                ]
            },
            {"a": 1, "b": 2},
            id="allOf",
        ),
        pytest.param(
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/t"}, "b": {"type": "string"}},
                "required": ["a"],
                "$defs": {"t": {"type": "boolean"}},
            },
            {"a": True},
            id="references, required only",
        ),
    ],
)
def test_the_smallest_instance(schema: Any, instance: Any) -> None:
    assert smallest(schema, "x") == instance


def test_a_recursive_schema_ends() -> None:
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert isinstance(smallest(schema), dict)


def test_paths_are_written_in_two_ways() -> None:
    path = ("messages", 0, "content", 2, "text")
    assert dotted(path) == "messages.0.content.2.text"
    assert bracketed(path) == "messages[0].content[2].text"
