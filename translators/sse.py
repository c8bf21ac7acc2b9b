"""Server-sent events: bytes to frames and frames to bytes. Knows no protocol.

Lines end in CR, LF or CRLF, and a CRLF may straddle two chunks; bytes are split first and decoded later,
so a character cut in half and a U+2028 inside JSON do no harm. Every buffer has a limit.
Reference: https://html.spec.whatwg.org/multipage/server-sent-events.html (read 2026-11-21)
"""

from __future__ import annotations

from typing import Final, NamedTuple

from translators.errors import ErrorKind, GatewayError
from translators.wire import LINE_SEPARATORS, Json, dumps

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"


class Frame(NamedTuple):
    """One event: its `event:` name (None = none given) and its `data:` lines joined by LF."""

    event: str | None
    data: bytes


class SseParser:
    """Feed bytes in any pieces, get whole frames; comments, `id:` and `retry:` are dropped.

    `comments` counts comment lines: they show that the upstream is alive.
    """

    __slots__ = ("_buffer", "_data", "_event", "_first", "_size", "comments", "max_frame_bytes")

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._buffer: list[bytes] = []  # pieces of the unfinished line
        self._size = 0  # bytes held back in the unfinished line and frame
        self._data: list[bytes] = []
        self._event: str | None = None
        self._first = True
        self.max_frame_bytes = max_frame_bytes
        self.comments = 0

    def feed(self, chunk: bytes) -> list[Frame]:
        """Take a piece of the stream; `upstream_malformed` when a frame outgrows the limit."""
        if not chunk:
            return []
        if b"\r" in chunk or (self._buffer and self._buffer[-1].endswith(b"\r")):
            return self._feed_with_cr(chunk)
        frames: list[Frame] = []
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            if chunk.startswith(b"\n", end + 1) and chunk.startswith(b"data: ", start):
                if not (self._buffer or self._data or self._event is not None or self._first):
                    frames.append(self._whole(chunk[start + 6 : end]))
                    start = end + 2
                    continue
            line = chunk[start:end]
            if self._buffer:
                line = self._held() + line
            self._line(line, frames)
            start = end + 1
        if start < len(chunk):
            self._hold(chunk[start:])
        return frames

    def _whole(self, value: bytes) -> Frame:
        """An event of one line, as nearly all are, with the blank line behind it."""
        self._grow(len(value))
        self._size = 0
        return Frame(None, value)

    def close(self) -> list[Frame]:
        """End of input: a last frame without its blank line still counts (pitfalls STR-37)."""
        frames: list[Frame] = []
        if self._buffer:
            line = self._held().rstrip(b"\r")
            if line:
                self._line(line, frames)
        self._line(b"", frames)
        return frames

    def _feed_with_cr(self, chunk: bytes) -> list[Frame]:
        """The slow path: a CR at the very end of a chunk waits, it may be half of a CRLF."""
        if self._buffer:
            chunk = self._held() + chunk
        held = b"\r" if chunk.endswith(b"\r") else b""
        text = chunk[: len(chunk) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = text.split(b"\n")
        frames: list[Frame] = []
        for line in lines[:-1]:
            self._line(line, frames)
        if lines[-1] or held:
            self._hold(lines[-1] + held)
        return frames

    def _hold(self, piece: bytes) -> None:
        self._buffer.append(piece)
        self._grow(len(piece))

    def _held(self) -> bytes:
        """Take the unfinished line back."""
        line = b"".join(self._buffer)
        self._buffer.clear()
        self._size -= len(line)
        return line

    def _grow(self, count: int) -> None:
        self._size += count
        if self._size > self.max_frame_bytes:
            raise GatewayError(
                ErrorKind.UPSTREAM_MALFORMED,
                f"the provider sent a stream event of more than {self.max_frame_bytes} bytes",
                code="upstream_sse_frame_too_large",
            )

    def _line(self, line: bytes, frames: list[Frame]) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                frames.append(Frame(self._event, data))
                self._data.clear()
            self._event = None
            self._size = 0
        elif line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value)
            self._grow(len(value))
        elif line.startswith(b"event:"):
            self._event = line[6:].removeprefix(b" ").decode("utf-8", "replace")
        elif line.startswith(b":"):
            self.comments += 1


def data_frame(payload: Json) -> bytes:
    """`data: <json>` and a blank line. U+2028 and U+2029 are escaped: some clients split lines there."""
    return b"data: " + escape_separators(dumps(payload)) + b"\n\n"


def event_frame(event: str, payload: Json) -> bytes:
    """`event: <name>`, `data: <json>` and a blank line."""
    return b"event: " + event.encode() + b"\ndata: " + escape_separators(dumps(payload)) + b"\n\n"


def escape_separators(data: bytes) -> bytes:
    """Escape U+2028 and U+2029, which JSON allows raw and line readers break at."""
    if not data.isascii() and (b"\xe2\x80\xa8" in data or b"\xe2\x80\xa9" in data):
        text = LINE_SEPARATORS.sub(lambda match: f"\\u{ord(match[0]):04x}", data.decode())
        return text.encode()
    return data
