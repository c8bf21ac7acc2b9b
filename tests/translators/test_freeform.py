"""Freeform tools as functions: there, back, and what models make of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators import ir
from translators.errors import GatewayError
from translators.freeform import SCHEMA, as_function, unwrap_input, wrap_input
from translators.losses import Losses, Mode

GRAMMAR = ir.Grammar(syntax="lark", definition="start: /a+/")


@given(st.text())
def test_the_input_comes_back(text: str) -> None:
    assert unwrap_input(wrap_input(text)) == text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param('{"input": "x"}', "x", id="a string"),
        pytest.param('{"input": "x", "more": 1}', "x", id="with more beside it"),
        pytest.param('{"input": {"a": [1]}}', '{"a":[1]}', id="an object"),
        pytest.param('{"input": null}', "", id="null"),
        pytest.param('{"patch": "p"}', "p", id="one string under another name"),
        pytest.param('{"a": "p", "b": "q"}', '{"a": "p", "b": "q"}', id="two of them"),
        pytest.param('{"a": 1}', '{"a": 1}', id="no string"),
        pytest.param("{}", "", id="nothing"),
        pytest.param("", "", id="empty"),
        pytest.param('"x"', "x", id="a bare string"),
        pytest.param("[1]", "[1]", id="a list"),
        pytest.param("*** Begin Patch", "*** Begin Patch", id="no JSON"),
        pytest.param('{"input": "cut', '{"input": "cut', id="cut JSON"),
    ],
)
def test_odd_inputs(arguments: str, expected: str) -> None:
    assert unwrap_input(arguments) == expected


def test_as_function() -> None:
    tool = ir.CustomTool(name="t", description="d", namespace="n", path="tools[0]")
    losses = Losses(Mode.STRICT)
    made = as_function(tool, losses)
    assert (made.ref, made.description, made.schema) == (tool.ref, "d", SCHEMA)
    assert not losses.degradations


@pytest.mark.parametrize("mode", [Mode.STRICT, Mode.BALANCED])
def test_a_grammar_is_refused(mode: Mode) -> None:
    with pytest.raises(GatewayError) as caught:
        as_function(ir.CustomTool(name="t", grammar=GRAMMAR, path="tools[0]"), Losses(mode))
    assert caught.value.path == "tools[0]"


@pytest.mark.parametrize("description", [None, "d"])
def test_a_grammar_goes_into_the_description(description: str | None) -> None:
    losses = Losses()
    made = as_function(ir.CustomTool(name="t", description=description, grammar=GRAMMAR), losses)
    assert made.description is not None
    assert made.description.startswith(description or "The input")
    assert GRAMMAR.definition in made.description
    assert losses.degradations
