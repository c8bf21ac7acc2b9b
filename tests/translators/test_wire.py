"""JSON in and out: what orjson refuses or changes is still read and written as it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.wire import JsonSyntaxError, dump_text, dumps, loads, without_nulls

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip


@given(values)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert loads(dumps(value)) == value
    assert dump_text(value).encode() == dumps(value)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b'{"a":-12345678901234567890123}', {"a": -12345678901234567890123}, id="below 64 bits"),
        pytest.param(b"[18446744073709551616 ]", [2**64], id="above 64 bits"),
        pytest.param(b"18446744073709551616", 2**64, id="a bare number"),
        pytest.param(b'[9223372036854775807]', [2**63 - 1], id="the largest of 64 bits"),
        pytest.param(b'["\\ud83d"]', ["\ufffd"], id="a lone surrogate"),
        pytest.param(b'{"\\ud83d\\ude00":1}', {"\U0001f600": 1}, id="a pair in a key"),
        pytest.param('"é"', "é", id="a string as input"),
        pytest.param(bytearray(b"[]"), [], id="a bytearray"),
    ],
)  # fmt: skip
def test_reading(data: Any, expected: Any) -> None:
    assert loads(data) == expected


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        pytest.param(b'{\n "a": }', 2, 7, id="a missing value"),
        pytest.param(b"", 1, 1, id="nothing"),
        pytest.param(b"[NaN]", 1, 1, id="NaN"),
        pytest.param(b'["a",\n"\xff"]', 2, 2, id="no UTF-8"),
        pytest.param(b"[" * 5000 + b"]" * 5000, 1, 1, id="too deep"),
        pytest.param(b"{} x", 1, 4, id="more than one"),
    ],
)
def test_what_is_no_json_is_named(data: bytes, line: int, column: int) -> None:
    with pytest.raises(JsonSyntaxError) as caught:
        loads(data)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_writing() -> None:
    assert dumps({"b": "é", "a": [1, None]}) == '{"b":"é","a":[1,null]}'.encode()
    assert dumps([2**70]) == b"[1180591620717411303424]"
    assert dumps("\ud83d") == b'"?"'


def test_nulls_go() -> None:
    assert without_nulls({"a": None, "b": 0, "c": {"d": None}}) == {"b": 0, "c": {"d": None}}


def test_a_number_that_no_float_can_hold_is_refused() -> None:
    with pytest.raises(JsonSyntaxError, match="out of range"):
        loads(b'{"temperature": -1e999}')


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(
            '{"a":"toolu_0000000000000000000001","b":18446744073709551616}',
            2**64,
            id="after a run in a string",
        ),
        pytest.param('{"b":-9223372036854775809}', -(2**63) - 1, id="below 64 bits"),
        pytest.param(
            '{"b": 123456789012345678901234567890 }',
            123456789012345678901234567890,
            id="with spaces",
        ),
        pytest.param(
            '{"a":"1234567890123456789012345","b":[0.12345678901234567890123],"c":1}',
            None,
            id="no integer",
        ),
    ],
)
def test_tool_26_long_digits_beside_other_runs(text: str, value: int | None) -> None:
    read = loads(text)
    if value is None:
        assert read["c"] == 1
        assert read["a"] == "1234567890123456789012345"
    else:
        assert read["b"] == value
