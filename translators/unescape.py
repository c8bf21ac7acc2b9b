"""The inside of a JSON string, unescaped piece by piece: for arguments and answers that are one string."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SPECIAL: Final = re.compile(r'["\\]')
_HEX: Final = re.compile(r"[0-9a-fA-F]{4}")
_SIMPLE: Final[Mapping[str, str]] = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip
_REPLACEMENT: Final = "�"


class StringReader:
    """Read a JSON string whose opening quote has gone by; what follows the closing quote is ignored.

    An escape or a surrogate pair may be split anywhere. Lone surrogates become U+FFFD; an escape that JSON
    does not have stands for itself.
    """

    __slots__ = ("_held", "closed")

    def __init__(self) -> None:
        self._held = ""  # an escape that is not complete yet
        self.closed = False

    def feed(self, text: str) -> str:
        """The characters that this piece completes."""
        if self.closed:
            return ""
        if self._held:
            text, self._held = self._held + text, ""
        out: list[str] = []
        place = 0
        while found := _SPECIAL.search(text, place):
            start = found.start()
            out.append(text[place:start])
            if found[0] == '"':
                self.closed = True
                return "".join(out)
            piece, place = _escape(text, start)
            if not place:
                self._held = text[start:]
                return "".join(out)
            out.append(piece)
        out.append(text[place:])
        return "".join(out)

    def flush(self) -> str:
        """The end of input: half an escape is dropped, a high surrogate without its other half is U+FFFD."""
        held, self._held = self._held, ""
        return _REPLACEMENT if len(held) >= 6 else ""


def _escape(text: str, start: int) -> tuple[str, int]:
    """The character of the escape at `start` and where it ends; the end 0 = more input is needed."""
    if start + 1 >= len(text):
        return "", 0
    kind = text[start + 1]
    if kind != "u":
        return _SIMPLE.get(kind, "\\" + kind), start + 2
    end = start + 6
    if len(text) < end:
        return ("", 0) if _could_be_hex(text[start + 2 :]) else ("\\u", start + 2)
    if not _HEX.fullmatch(text, start + 2, end):
        return "\\u", start + 2
    code = int(text[start + 2 : end], 16)
    if not 0xD800 <= code < 0xE000:
        return chr(code), end
    if code >= 0xDC00:
        return _REPLACEMENT, end
    follower = text[end : end + 6]
    if len(follower) < 6 and "\\u".startswith(follower[:2]) and _could_be_hex(follower[2:]):
        return "", 0
    if follower.startswith("\\u") and _HEX.fullmatch(follower, 2):
        low = int(follower[2:], 16)
        if 0xDC00 <= low < 0xE000:
            return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)), end + 6
    return _REPLACEMENT, end


def _could_be_hex(text: str) -> bool:
    return all(char in "0123456789abcdefABCDEF" for char in text)
