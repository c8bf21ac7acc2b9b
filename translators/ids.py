"""Identifiers made by the gateway: deterministic, so that one upstream id always gives the same client id.

Nothing here is random: the same answer rendered twice has the same ids, and a call id that comes back in a
later request agrees with its result without any memory (portability rules, section 19). It must not know
any protocol: prefixes and rules come in as arguments.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CALL_DIGITS: Final = 22
"""Base62 digits that hold 128 bits: no collision in any conversation."""

SHORT_CALL_ID: Final = re.compile(r"[^\x00-\x20\x7f-\x9f]{1,64}")
"""What C and R take as a call id: up to 64 visible characters."""
WORD_CALL_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
"""What A takes as a call id."""


def digest62(*sources: str, length: int = _CALL_DIGITS) -> str:
    """The first `length` (at most 42) base62 digits of SHA-256 over the sources, kept apart by NUL."""
    number = int.from_bytes(_sha256(sources))
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def digest_hex(*sources: str, length: int = 48) -> str:
    """The first `length` (at most 64) hex digits of SHA-256 over the sources."""
    return _sha256(sources).hex()[:length]


def _sha256(sources: tuple[str, ...]) -> bytes:
    return hashlib.sha256("\0".join(sources).encode("utf-8", "replace")).digest()


def response_id(
    prefix: str, upstream_id: str, *, fallback: str = "", hex_digits: int | None = None
) -> str:
    """The client's id of an answer: `prefix` and a hash of the upstream's id, so that logs correlate.

    An upstream id that already has the prefix stays as it is. `fallback` is hashed when the upstream gave
    no id (say, the model name and the time). `hex_digits` asks for that many hex digits instead of 24 of base62.
    """
    if upstream_id.startswith(prefix) and len(upstream_id) > len(prefix):
        return upstream_id
    source = upstream_id or fallback
    if hex_digits is not None:
        return prefix + digest_hex(source, length=hex_digits)
    return prefix + digest62(source, length=24)


def call_id(prefix: str, upstream_id: str, allowed: re.Pattern[str] = SHORT_CALL_ID) -> str:
    """The id of a call on the other side: the same id where `allowed` takes it, else prefix and hash."""
    if allowed.fullmatch(upstream_id):
        return upstream_id
    return prefix + digest62("call", upstream_id)


def made_call_id(prefix: str, response: str, choice: int, ordinal: int) -> str:
    """The id of a call whose upstream gave none: from the answer's id, the choice and the call's place."""
    return prefix + digest62("made", response, str(choice), str(ordinal))


class CallIds:
    """The call ids of one answer: fitted to the client's rule by `call_id`, a repeated one gets `_2`, `_3`, …"""

    __slots__ = ("_allowed", "_prefix", "_seen")

    def __init__(self, prefix: str, allowed: re.Pattern[str] = SHORT_CALL_ID) -> None:
        self._prefix = prefix
        self._allowed = allowed
        self._seen: set[str] = set()

    def take(self, upstream_id: str) -> str:
        """The id to show for the next call."""
        first = call_id(self._prefix, upstream_id, self._allowed)
        candidate, count = first, 1
        while candidate in self._seen:
            count += 1
            candidate = call_id(self._prefix, f"{first}_{count}", self._allowed)
        self._seen.add(candidate)
        return candidate
