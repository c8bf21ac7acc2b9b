"""Every row of the pitfall list has a test named by its id, or a reason in docs/pitfalls.md why it has none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parents[2]
REASONS: Final = TESTS.parent / "docs" / "pitfalls.md"

ROWS: Final = {
    "1 system messages and role alternation": {
        "SYS": "01 02 04 06 07 09 10 11 12 16 17 18 19 20 21",
    },
    "2 tool definitions and JSON Schema": {
        "TOOL": "01 02 03 04 06 09 10 11 13 15 16 17 21 23 24 25 26",
    },
    "3 tool choice and parallel calls": {"CHO": "01 02 03 04 05 07 08 09 10"},
    "4 tool call ids": {"ID": "02 06 08 10 12 13"},
    "5 tool results": {"RES": "01 03 04 05 08 09 10 11 13 14 15 16 17 18 19 20 21"},
    "6 streaming state machines": {
        "STR": "02 03 04 05 07 09 10 11 12 13 15 16 17 18 20 21 22 23 26 27 28 29 30 31 32 33 34 35 "
        "36 37 38 40 41 42 43 44 45 46 47 48 49 53 55 56 57",
    },
    "7 stop reasons": {"STOP": "02 05 07 08 10 11 12"},
    "8 usage and cache tokens": {"USE": "01 02 03 04 06 07 09 10 11 12 15 16"},
    "9 reasoning": {"RSN": "01 05 06 07 08 10 11 14 16 19 22 23 24 25 27 29"},
    "10 images, PDF, audio, files": {"MED": "01 02 04 06 07 08 09 10 11 13 15"},
    "11 structured output": {"OUT": "01 02 03 04 06 07"},
    "12 prompt caching": {"CAC": "01 02 03 04 06 07 08 09 10 11"},
    "13 state of Responses": {"STA": "01 02 06 08 09 10 11 12 13"},
    "14 token counts": {"CNT": "01 04 05 06 07"},
    "15 model lists": {"MDL": "01 03 04 05 06 07 08 09"},
    "16 errors": {"ERR": "01 02 03 04 05 07 08 09 10 11 12 13 14 15 16 17"},
    "17 headers and keys": {"HDR": "01 02 05 06 07 08 09 10 11 14", "AUTH": "02 05 06"},
    "18 WebSocket": {"WS": "01 03 07 08 09"},
    "19 compression": {"ENC": "01 02 04 05"},
    "20 large bodies, time, heartbeats": {"BIG": "01 02", "TMO": "01 02 03 05 06 07"},
    "21 sampling and limits": {"PAR": "01 02 04 05 06 07 08 09 10 11 12 13 15 16 17"},
    "22 refusals and citations": {"REF": "01 03", "CIT": "01 02 03 04 05"},
    "23 odd providers": {"PRV": "01 03 04 05 06 07 08 09 12 15 17 18 19 20"},
}
"""The rows by group, as the list numbers them; gaps are rows that another one covers."""
IDS: Final = tuple(
    f"{prefix}-{number}"
    for group in ROWS.values()
    for prefix, numbers in group.items()
    for number in numbers.split()
)
INVARIANTS: Final = {
    "1 determinism": "test_a_longer_conversation_begins_with_the_bytes_of_the_shorter",
    "2 pairing": "test_every_conversation_is_a_valid_request",
    "3 grammar": "test_damaged_streams_still_follow_the_grammar",
    "4 chunking": "test_every_split_of_every_stream_gives_the_same_events",
    "5 stream is whole": "test_a_folded_stream_is_the_whole_answer",
    "6 conservation": "test_usage_is_conserved",
    "7 no silence": "test_a_stream_cut_after_any_frame_ends_in_an_error_or_says_all",
    "8 nothing internal": "test_answers_carry_no_unknown_key",
    "9 loss is recorded": "test_what_strict_refuses_is_recorded_or_refused_elsewhere",
}
"""The properties that hold over all directions, in tests/translators/test_properties.py."""

_NAMED: Final = re.compile(r"def (test_\w+)|\bid=f?\"([^\"]+)\"")
_ID: Final = re.compile(r"(?<![a-zA-Z])([a-zA-Z]{2,4})[-_](\d\d)(?!\d)")
_REASON: Final = re.compile(r"^\| ([A-Z]{2,4}-\d\d) \| (.+) \|$", re.MULTILINE)


def ids_in_names() -> Iterator[str]:
    """The ids in the names of tests and of their parameters."""
    for path in TESTS.rglob("test_*.py"):
        for function, parameter in _NAMED.findall(path.read_text()):
            for prefix, number in _ID.findall(function or parameter):
                yield f"{prefix.upper()}-{number}"


@pytest.fixture(scope="module")
def covered() -> frozenset[str]:
    """Every id that a test is named by."""
    return frozenset(ids_in_names())


@pytest.fixture(scope="module")
def reasons() -> dict[str, str]:
    """Why a row has no test, by its id."""
    table = REASONS.read_text().partition("## Rows without a test")[2].partition("\n## ")[0]
    return dict(_REASON.findall(table))


@pytest.mark.parametrize("row", IDS)
def test_a_row_has_a_test_or_a_reason(
    row: str, covered: frozenset[str], reasons: dict[str, str]
) -> None:
    assert (row in covered) != (row in reasons), "one of the two, and not both"


def test_reasons_are_about_rows_that_there_are(reasons: dict[str, str]) -> None:
    assert set(reasons) <= set(IDS)
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("name", INVARIANTS.values(), ids=INVARIANTS)
def test_an_invariant_has_its_property(name: str) -> None:
    source = (TESTS / "translators" / "test_properties.py").read_text()
    assert f"def {name}(" in source
