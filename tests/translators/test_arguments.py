"""Arguments and results between text and object."""

from __future__ import annotations

from typing import Any

import pytest

from translators import ir
from translators.arguments import (
    arguments_object,
    arguments_text,
    result_text,
    with_error_mark,
)
from translators.errors import GatewayError
from translators.losses import Losses, Mode


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", {}, id="nothing"),
        pytest.param(" \n", {}, id="space"),
        pytest.param("null", {}, id="null"),
        pytest.param('{"a": 9223372036854775808123}', {"a": 9223372036854775808123}, id="large"),
    ],
)
def test_arguments_as_object(text: str, expected: Any) -> None:
    losses = Losses(Mode.STRICT)
    assert arguments_object(text, "p", losses) == expected
    assert not losses.degradations


@pytest.mark.parametrize("text", ['{"a":', "[1]", '"x"', "words"])
def test_arguments_that_are_no_object(text: str) -> None:
    losses = Losses()
    assert arguments_object(text, "p", losses) == {"_raw": text}
    assert [item.path for item in losses.degradations] == ["p"]
    with pytest.raises(GatewayError):
        arguments_object(text, "p", Losses(Mode.BALANCED))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, "{}", id="null"),
        pytest.param("", "{}", id="the empty string"),
        pytest.param({"b": "é", "a": 1}, '{"b":"é","a":1}', id="an object"),
        pytest.param('{"a": 1}', '{"a": 1}', id="JSON in a string"),
        pytest.param("x", '"x"', id="a string that is no JSON"),
        pytest.param([1], "[1]", id="a list"),
    ],
)
def test_arguments_as_text(value: Any, expected: str) -> None:
    assert arguments_text(value) == expected


def test_result_text() -> None:
    image = ir.Image(source=ir.Url(url="https://example.com/a.png"))
    result = ir.ToolResult(call_id="c", content=(ir.Text(text="a"), image, ir.Text(text="b")))
    assert result_text(result) == "a\nb"
    assert result_text(result, "") == "ab"
    assert result_text(ir.ToolResult(call_id="c")) == ""
    assert result_text(ir.ToolResult(call_id="c", content=(ir.Text(text="x"),))) == "x"


@pytest.mark.parametrize(
    ("text", "is_error", "expected"),
    [("x", True, "Error: x"), ("Error: x", True, "Error: x"), ("x", False, "x"), ("", True, "Error: ")],
)  # fmt: skip
def test_error_mark(text: str, is_error: bool, expected: str) -> None:
    assert with_error_mark(text, is_error=is_error) == expected
