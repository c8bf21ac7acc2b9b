"""The string reader agrees with a JSON parser however its input is split."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.unescape import StringReader


def read(inside: str, size: int) -> str:
    reader = StringReader()
    pieces = [reader.feed(inside[i : i + size]) for i in range(0, len(inside), size)]
    return "".join(pieces) + reader.flush()


@given(st.text(), st.booleans(), st.integers(1, 7))
def test_it_reads_what_json_wrote(text: str, ascii_only: bool, size: int) -> None:
    assert read(json.dumps(text, ensure_ascii=ascii_only)[1:] + "} more", size) == text


@pytest.mark.parametrize("size", range(1, 14))
@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        pytest.param(r"\ud83d\ude00", "😀", id="a surrogate pair"),
        pytest.param(r"\ud83dx", "�x", id="a high surrogate alone"),
        pytest.param(r"\ud83d\n", "�\n", id="a high surrogate before another escape"),
        pytest.param(r"\ud83d\u0041", "�A", id="a high surrogate before a letter"),
        pytest.param(r"\ud83d\ud83d\ude00", "�😀", id="a high surrogate before a pair"),
        pytest.param(r"\ude00", "�", id="a low surrogate alone"),
        pytest.param(r"\ud83d", "�", id="a high surrogate at the end"),
        pytest.param("a\\", "a", id="half an escape at the end"),
        pytest.param(r"a\u00", "a", id="half a number at the end"),
        pytest.param(r"\q\/", r"\q/", id="an escape that JSON does not have"),
        pytest.param(r"\uzzzz!", r"\uzzzz!", id="a number that is none"),
        pytest.param('a"b', "a", id="what follows the end"),
        pytest.param("a\nb", "a\nb", id="a raw line break"),
    ],
)
def test_odd_strings(inside: str, expected: str, size: int) -> None:
    assert read(inside, size) == expected


def test_it_knows_its_end() -> None:
    reader = StringReader()
    reader.feed('a\\"')
    assert not reader.closed
    reader.feed('"')
    assert reader.closed
