"""Every form of a retry hint, as seconds; no clock is read."""

from __future__ import annotations

import pytest

from translators.retry import (
    duration_value,
    header_delay,
    parse_delay,
    parse_duration,
    retry_headers,
    retry_info,
    spoken_delay,
)

NOW = 1_000_000_000.0  # Sun, 09 Sep 2001 01:46:40 GMT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360),
        ("20ms", 0.02),
        ("1s", 1),
        ("1h43m56s", 6236),
        ("51820.6s", 51820.6),
        ("1d", 86400),
        (" 2s ", 2),
        ("", None),
        ("12", None),
        ("6 m", None),
        ("s", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12),
        ("0.5", 0.5),
        ("6m0s", 360),
        ("Sun, 09 Sep 2001 01:46:50 GMT", 10),
        ("Sun, 09 Sep 2001 01:46:30 GMT", 0),
        ("2001-09-09T01:46:45Z", 5),
        ("2001-09-09T03:46:45+02:00", 5),
        ("soon", None),
        ("", None),
        ("-5", None),
    ],
)
def test_delays(text: str, seconds: float | None) -> None:
    assert parse_delay(text, NOW) == seconds


def test_a_date_needs_a_clock_or_the_answers_own_date() -> None:
    headers = {"retry-after": "Sun, 09 Sep 2001 01:46:50 GMT"}
    assert header_delay(headers) is None
    assert header_delay(headers, NOW) == 10
    assert header_delay(headers | {"date": "Sun, 09 Sep 2001 01:46:45 GMT"}) == 5


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "7", "x-ratelimit-reset-requests": "1s"}, 7),
        ({"retry-after": "soon", "x-ratelimit-reset-requests": "1s"}, 1),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 1),
        (
            {
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-requests": "10",
                "x-ratelimit-remaining-tokens": "0",
            },
            360,
        ),
    ],
)
def test_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert header_delay(headers) == seconds


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please try again in 3s.", 3),
        ("Please try again in 1.5 minutes", 90),
        ("Your quota will reset after 1h43m56s.", 6236),
        ("retry in 250 milliseconds", 0.25),
        ("Wait for 2 hours 5 minutes, then retry", 7500),
        ("try again later", None),
        ("in 3s", None),
    ],
)
def test_spoken(message: str, seconds: float | None) -> None:
    assert spoken_delay(message) == seconds


def test_retry_info() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "9s"}
    assert retry_info([{"@type": "other"}, "x", detail]) == 9
    assert retry_info([]) is None
    assert retry_info("x") is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("9s", 9), ({"seconds": "2", "nanos": 500000000}, 2.5), ({"seconds": "x"}, None), (5, None)],
)
def test_protobuf_durations(value: object, seconds: float | None) -> None:
    assert duration_value(value) == seconds


def test_what_clients_are_told() -> None:
    assert retry_headers(None) == {}
    assert retry_headers(0.2) == {"retry-after": "1"}
    assert retry_headers(0) == {"retry-after": "0"}
