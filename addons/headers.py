"""Which headers cross the gateway: the allow-lists of the configuration, applied. Pure.

Everything not listed there stays behind: hop-by-hop and body headers, cookies, credentials, client fingerprints
(pitfalls HDR-05 to HDR-11). Patterns are shell-style and lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from translators.losses import Degradation

RATE_LIMITS: Final = (
    "ratelimit-*",
    "x-ratelimit-*",
    "anthropic-ratelimit-*",
    "anthropic-priority-*",
)
"""The limits of the provider's account: shown only where the operator wants it."""

NEVER: Final = frozenset(
    {
        "authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
        "set-cookie",
        "proxy-authorization",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
        "content-encoding",
        "expect",
        "accept-encoding",
    }
)
"""Not even a configured pattern lets these through."""

MAX_NAME_CHARS: Final = 200
"""Longer names cross never: what was found out about a name is remembered."""
MAX_DEGRADED_BYTES: Final = 2048
STREAM_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_UNSENDABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udc7f\udd00-\udfff]")
"""What would end a header line, or has no bytes: a model's name, which stands in one, may hold anything."""


def select(headers: Iterable[tuple[str, str]], patterns: tuple[str, ...]) -> list[tuple[str, str]]:
    """The headers (lower-case names) that match a pattern and are not forbidden, in order."""
    if not patterns:
        return []
    return [
        (name, value)
        for name, value in ((name.lower(), value) for name, value in headers)
        if len(name) <= MAX_NAME_CHARS and _passes(name, patterns)
    ]


@lru_cache(maxsize=4096)
def _passes(name: str, patterns: tuple[str, ...]) -> bool:
    """The last pattern that fits decides; one that begins with `!` keeps the header back."""
    fitting = (one for one in reversed(patterns) if fnmatchcase(name, one.removeprefix("!")))
    return name not in NEVER and not next(fitting, "!").startswith("!")


def encoded(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    """Headers as they are sent: the very bytes that `plain_headers` read, and no control character."""
    return tuple((_bytes(name), _bytes(value)) for name, value in pairs)


def _bytes(text: str) -> bytes:
    return _UNSENDABLE.sub("?", text).encode("utf-8", "surrogateescape")


def plain_headers(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Raw pairs as a dict: names in lower case, the values of a repeated one joined."""
    found: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name = raw_name.decode("utf-8", "surrogateescape").lower()
        value = raw_value.decode("utf-8", "surrogateescape")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def degraded_header(degradations: Iterable[Degradation]) -> str:
    """`path: reason; …` for `x-llmgate-degraded`, ASCII, at most 2 kB; "" when nothing was given up."""
    text = ""
    for degradation in degradations:
        entry = f"{degradation.path}: {degradation.reason}".replace(";", ",")
        entry = "".join(c if " " <= c <= "~" else "?" for c in entry)
        longer = f"{text}; {entry}" if text else entry
        if len(longer) > MAX_DEGRADED_BYTES - 4:
            return f"{text}; ..." if text else longer[: MAX_DEGRADED_BYTES - 4] + " ..."
        text = longer
    return text
