"""How a Gemini stream is cut into JSON texts: SSE, or one JSON array sent piece by piece.

The first byte tells them apart. An upstream may also break into bare JSON lines in the middle of an SSE
stream (an error object); those are frames too, not noise.
Reference: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent (read 2026-11-21)
"""

from __future__ import annotations

import re
from typing import Final

from translators.errors import ErrorKind, GatewayError
from translators.sse import MAX_FRAME_BYTES, Frame, SseParser

_STRUCTURE: Final = re.compile(rb'["{}\\]')
_FIELD: Final = re.compile(rb"(?:data|event|id|retry)?:|(?:data|event|id|retry)$")
_BOM: Final = b"\xef\xbb\xbf"
_BETWEEN: Final = b" \t\r\n,[]"


class GeminiSse(SseParser):
    """SSE in which a line of bare JSON, up to the next blank line, counts as a frame of its own."""

    __slots__ = ("_bare",)

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        super().__init__(max_frame_bytes)
        self._bare: list[bytes] = []

    def feed(self, chunk: bytes) -> list[Frame]:
        """See SseParser; the usual piece, one whole event as Google frames it, takes the short way."""
        if (
            chunk.startswith(b"data: ")
            and chunk.endswith(b"\r\n\r\n")
            and chunk.count(b"\n") == 2
            and chunk.count(b"\r") == 2
            and not (self._buffer or self._data or self._bare or self._first)
        ):
            return [Frame(None, chunk[6:-4])]
        return super().feed(chunk)

    def _line(self, line: bytes, frames: list[Frame]) -> None:
        if line.startswith(b"data:"):
            super()._line(line, frames)
        elif not line:
            super()._line(line, frames)
            if self._bare:
                frames.append(Frame(None, b"\n".join(self._bare)))
                self._bare.clear()
        elif self._bare or line.lstrip()[:1] in (b"{", b"["):
            self._bare.append(line)
            self._grow(len(line))
        elif _FIELD.match(line):
            super()._line(line, frames)


class ArraySplitter:
    """Split `[{…},{…}]`, or `{…}` alone, into its objects as they arrive."""

    __slots__ = ("_depth", "_escaped", "_in_string", "_max", "_pieces", "_size")

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._max = max_frame_bytes

    def feed(self, chunk: bytes) -> list[Frame]:
        """Take a piece; `upstream_malformed` for an object over the limit, or what is no object."""
        frames: list[Frame] = []
        start = 0  # of what belongs to the object at hand, or of what lies between two
        position = 0
        if self._escaped and chunk:
            self._escaped = False
            position = 1
        while (match := _STRUCTURE.search(chunk, position)) is not None:
            at, position = match.start(), match.end()
            token = chunk[at:position]
            if self._in_string:
                if token == b'"':
                    self._in_string = False
                elif token == b"\\":
                    self._escaped = position == len(chunk)
                    position += 1
            elif token == b"{":
                if self._depth == 0:
                    self._check_between(chunk[start:at])
                    start = at
                self._depth += 1
            elif self._depth == 0:
                raise _malformed()
            elif token == b'"':
                self._in_string = True
            elif token == b"}":
                self._depth -= 1
                if self._depth == 0:
                    self._pieces.append(chunk[start:position])
                    frames.append(Frame(None, b"".join(self._pieces)))
                    self._pieces.clear()
                    self._size = 0
                    start = position
            else:
                raise _malformed()
        self._rest(chunk[start:])
        return frames

    def close(self) -> list[Frame]:
        """End of input: an object that is not complete was cut."""
        return []

    def _rest(self, rest: bytes) -> None:
        if self._depth == 0:
            self._check_between(rest)
        elif rest:
            self._size += len(rest)
            if self._size > self._max:
                raise GatewayError(
                    ErrorKind.UPSTREAM_MALFORMED,
                    f"the provider sent a stream element of more than {self._max} bytes",
                    code="upstream_sse_frame_too_large",
                )
            self._pieces.append(rest)

    def _check_between(self, text: bytes) -> None:
        if text.strip(_BETWEEN):
            raise _malformed()


def _malformed() -> GatewayError:
    return GatewayError(
        ErrorKind.UPSTREAM_MALFORMED, "the provider sent a stream that is no JSON array"
    )


class Splitter:
    """Either framing, decided by the first byte that is not white space."""

    __slots__ = ("_inner", "_max", "_start")

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._inner: GeminiSse | ArraySplitter | None = None
        self._start = b""
        self._max = max_frame_bytes

    def bound(self, max_frame_bytes: int) -> None:
        """Limit what is held of one frame; before the first piece."""
        self._max = max_frame_bytes

    @property
    def comments(self) -> int:
        """Comment lines seen (SSE only): signs of life."""
        return self._inner.comments if isinstance(self._inner, GeminiSse) else 0

    def feed(self, chunk: bytes) -> list[Frame]:
        """Frames that this piece completes."""
        if self._inner is None:
            self._start += chunk
            if _BOM.startswith(self._start):
                return []
            chunk = self._start.removeprefix(_BOM)
            head = chunk.lstrip()
            if not head:
                return []
            self._start = b""
            json_first = head[:1] in (b"[", b"{")
            self._inner = ArraySplitter(self._max) if json_first else GeminiSse(self._max)
        return self._inner.feed(chunk)

    def close(self) -> list[Frame]:
        """Frames left at the end of input."""
        return self._inner.close() if self._inner else []
