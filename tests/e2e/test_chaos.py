"""Faults and leaving clients against a real gateway; see scripts/chaos.py."""

from __future__ import annotations

import asyncio
import random
import sys
from unittest.mock import Mock

import pytest

from scripts.chaos import LONGEST_S, UNNOTICED, Asked, Chaos, chaos, judge

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


TIMED_OUT = (
    b'HTTP/1.1 504 G\r\nx-llmgate-request-id: req_1\r\n\r\n{"error":{"message":"took too long"}}'
)
CUT = b'HTTP/1.1 502 B\r\n\r\n{"error":{"message":"broke the connection"}}'


@pytest.mark.parametrize(
    ("answer", "ours", "gateways", "excused"),
    [
        pytest.param(TIMED_OUT, [], "", False, id="nobody was starved"),
        pytest.param(TIMED_OUT, [(11.0, 0.6), (12.0, 0.6)], "", True, id="this process was"),
        pytest.param(TIMED_OUT, [], "11 0.6\n12 0.6\n", True, id="the gateway was"),
        pytest.param(TIMED_OUT, [(11.0, 0.6)], "12 0.6\n", False, id="neither was enough"),
        pytest.param(TIMED_OUT, [(9.0, 5.0), (13.0, 5.0)], "", False, id="at another time"),
        pytest.param(CUT, [(11.0, 1.5)], "", False, id="what failed was no timeout"),
    ],
)
def test_only_a_timeout_of_a_starved_machine_is_late(
    answer: bytes, ours: list[tuple[float, float]], gateways: str, excused: bool
) -> None:
    gateway = Mock(kept=lambda name: gateways)
    run = Chaos(gateway, Mock(), Mock(), random.Random(1), starved=ours)  # noqa: S311
    assert run.excused(asked(answer)) is excused


def test_a_problem_is_told_with_the_log_lines_of_its_request() -> None:
    told = asked(TIMED_OUT).told("a request_id=req_1 x\nb request_id=req_2 y\nc request_id=req_1 z")
    assert told.startswith("#7 none~99: anthropic -> chat, stream=True, 2.50 s")
    assert "took too long" in told
    assert told.endswith("a request_id=req_1 x\n  c request_id=req_1 z")
    assert asked(b"").told("a").endswith("no log line of request without id")


def asked(answer: bytes) -> Asked:
    """An exchange from second 10 to 12.5."""
    return Asked(7, "none", 99, "anthropic", "chat", True, b"", answer, 10.0, 2.5)
