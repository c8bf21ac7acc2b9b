"""When to try again: every form in which a provider says so, as seconds from now.

It must not read a clock: a date is measured against `now_s`, or against the `date` header of the same answer.
References: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after,
https://platform.openai.com/docs/guides/rate-limits,
https://cloud.google.com/apis/design/errors (read 2026-11-21)
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from translators.wire import Json

_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_DURATION_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_SPOKEN: Final = re.compile(
    r"(?:try again|retry|reset|resets|wait|available)(?:\s+(?:in|after|for|again in))?\s+"
    r"((?:\d+(?:\.\d+)?\s*(?:milliseconds?|seconds?|minutes?|hours?|days?|ms|[smhd])\s*)+)",
    re.IGNORECASE,
)
_SPOKEN_UNIT: Final = re.compile(
    r"\s*(milliseconds?|seconds?|minutes?|hours?|days?)", re.IGNORECASE
)
_RESET: Final = re.compile(r"x-ratelimit-reset-(.+)")


def parse_duration(text: str) -> float | None:
    """Seconds of a duration such as `6m0s`, `20ms`, `1h43m56s`, `51820.6s`; None when it is none."""
    text = text.strip()
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(count) * _UNITS_S[unit] for count, unit in _DURATION_PIECE.findall(text))


def parse_date(text: str) -> float | None:
    """Unix seconds of an HTTP date or an RFC 3339 time, None when it is neither."""
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        try:
            when = datetime.fromisoformat(text.strip())
        except ValueError:
            return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def parse_delay(value: str, now_s: float | None = None) -> float | None:
    """Seconds to wait of a header value: a number of seconds, a duration, or a date (which needs `now_s`)."""
    value = value.strip()
    if _NUMBER.fullmatch(value):
        return float(value)
    duration = parse_duration(value)
    if duration is not None:
        return duration
    when = parse_date(value)
    if when is None or now_s is None:
        return None
    return max(0.0, when - now_s)


def header_delay(headers: Mapping[str, str], now_s: float | None = None) -> float | None:
    """Seconds to wait by an answer's headers (lower case), None when they do not say.

    `retry-after-ms` wins over `retry-after`, that over the `x-ratelimit-reset-*` of the limits that are used up.
    Without `now_s` a date is measured against the answer's own `date`.
    """
    if now_s is None and "date" in headers:
        now_s = parse_date(headers["date"])
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    if "retry-after" in headers:
        delay = parse_delay(headers["retry-after"], now_s)
        if delay is not None:
            return delay
    return _reset_delay(headers, now_s)


def _reset_delay(headers: Mapping[str, str], now_s: float | None) -> float | None:
    """The longest reset among exhausted limits; among all of them the shortest when none says it is exhausted."""
    exhausted: list[float] = []
    others: list[float] = []
    for name, value in headers.items():
        match = _RESET.fullmatch(name)
        delay = parse_delay(value, now_s) if match else None
        if match is None or delay is None:
            continue
        left = headers.get(f"x-ratelimit-remaining-{match[1]}", "").strip()
        (exhausted if left == "0" else others).append(delay)
    if exhausted:
        return max(exhausted)
    return min(others, default=None)


def retry_info(details: Json) -> float | None:
    """Seconds in the `google.rpc.RetryInfo` of an error's `details` array, None when there is none."""
    for detail in _objects(details):
        if str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
            return duration_value(detail.get("retryDelay"))
    return None


def duration_value(value: Json) -> float | None:
    """Seconds of a protobuf Duration in JSON: `"9s"`, or an object of `seconds` and `nanos`."""
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, dict):
        try:
            return float(value.get("seconds") or 0) + float(value.get("nanos") or 0) / 1e9
        except (TypeError, ValueError):
            return None
    return None


def _objects(values: Json) -> Iterator[dict[str, Json]]:
    if isinstance(values, list):
        yield from (value for value in values if isinstance(value, dict))


def spoken_delay(message: str) -> float | None:
    """Seconds in an error text such as "Please try again in 3s" or "reset after 1h43m56s"."""
    match = _SPOKEN.search(message)
    if match is None:
        return None
    compact = _SPOKEN_UNIT.sub(_unit_letter, match[1])
    return parse_duration("".join(compact.split()).lower())


def _unit_letter(match: re.Match[str]) -> str:
    word = match[1].lower()
    return "ms" if word.startswith("milli") else word[0]


def verdict(headers: Mapping[str, str]) -> bool | None:
    """What `x-should-retry` says (C, R, A), None when it says nothing."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def retry_headers(retry_after_s: float | None) -> dict[str, str]:
    """The headers that tell a client: whole seconds, rounded up; {} when the delay is not known."""
    if retry_after_s is None:
        return {}
    return {"retry-after": str(max(0, math.ceil(retry_after_s)))}
