"""Faults and leaving clients against a real gateway; see scripts/chaos.py."""

from __future__ import annotations

import asyncio
import sys

import pytest

from scripts.chaos import LONGEST_S, UNNOTICED, chaos, judge

GROWTH_MB = 40
"""From the end of the first round to that of the last; each has a line of 100 MB."""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_fault_makes_a_wrong_answer_and_nothing_is_left_behind() -> None:
    report = asyncio.run(chaos(count=2000, seed=20261121, aborts=2000))
    shown = report.table()
    assert report.problems == [], shown
    assert report.active == 0, shown
    assert report.busy == 0, shown
    assert report.slowest_s < LONGEST_S, shown
    assert all(kind == "whole" for fault, kind in report.outcomes if fault in UNNOTICED), shown
    assert not any(kind == "whole" for fault, kind in report.outcomes if fault not in UNNOTICED), (
        shown
    )
    assert report.rss_mb[-1] - report.rss_mb[0] < GROWTH_MB, shown


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(b"", "wrong", id="nothing at all"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nevent: message_stop", "wrong", id="no end of chunks"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n\r\nx\r\n0\r\n\r\n", "wrong", id="an end without a last event"
        ),
        pytest.param(b'HTTP/1.1 502 B\r\n\r\n{"x": 1}', "wrong", id="an error without its shape"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n\r\nevent: message_stop\n\n\r\n0\r\n\r\n", "whole", id="whole"
        ),
    ],
)
def test_the_judge_tells_a_wrong_answer(answer: bytes, outcome: str) -> None:
    assert judge("anthropic", True, answer) == outcome
