"""Optional: hand on what one read brought of a chunked answer in one piece, instead of one event per HTTP chunk.

Providers send each event of a stream as a chunk, and mitmproxy passes each chunk through some twenty generators. The
chunks of one read are joined where the reader gives them out. Whole and plain chunks are cut out at once; all others,
the end and everything broken are h11's to read.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.addonmanager import Loader

from addons.internals import chunked_client

if TYPE_CHECKING:
    from mitmproxy.proxy import layer

    from addons.engine import Engine

log = logging.getLogger(__name__)

PLAIN_HEAD: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
REHEARSAL: Final = (b"1\r\na\r\n2\r\nbc\r\n3;x\r\nd", b"ef\r\n1\r\ng\r\n0\r\n\r\nnext")


class JoinedChunks:
    """An h11 body reader that gives out the data of all chunks in the buffer at once.

    What ends the data (the end of the message, a broken chunk) is held back for the next call, which mitmproxy makes
    until there is nothing more.
    """

    def __init__(self, reader: ChunkedReader) -> None:
        self._reader = reader
        self._held: Any = None

    def __call__(self, buf: ReceiveBuffer) -> Any:
        """A `Data` event, the `EndOfMessage`, or None when more is needed; raises what h11 raises."""
        if self._held is not None:
            held, self._held = self._held, None
            if isinstance(held, Exception):
                raise held
            return held
        if not buf:
            return None
        pieces = self._whole_chunks(buf)
        end: Any = None
        try:
            while buf and end is None:
                event = self._reader(buf)
                if event is None:
                    break
                if isinstance(event, h11.Data):
                    pieces.append(event.data)
                else:
                    end = event
        except h11.ProtocolError as error:
            if not pieces:
                raise
            end = error
        if not pieces:
            return end
        self._held = end
        return h11.Data(data=b"".join(pieces))

    def _whole_chunks(self, buf: ReceiveBuffer) -> list[bytes]:
        """The data of the chunks at the front of the buffer that are there to their last byte."""
        reader = self._reader
        if reader._bytes_in_chunk or reader._reading_trailer:  # rehearsed at start
            return []
        data, owed = bytes(buf), reader._bytes_to_discard
        if not data.startswith(owed):
            return []
        pieces, at = _cut(data, len(owed))
        if pieces:
            reader._bytes_to_discard = b""
            buf.maybe_extract_at_most(at)
        return pieces

    @property
    def is_between(self) -> bool:
        """Whether the next byte begins a chunk, and nothing is held."""
        reader = self._reader
        begun = reader._bytes_in_chunk or reader._bytes_to_discard or reader._reading_trailer
        return not begun and self._held is None

    def read_eof(self) -> Any:
        """The connection was closed in the middle of the body."""
        return self._reader.read_eof()


def _cut(data: bytes, at: int) -> tuple[list[bytes], int]:
    """The data of the whole and plain chunks from a place on, and the place behind them."""
    pieces: list[bytes] = []
    while (head := PLAIN_HEAD.match(data, at)) is not None:
        start = head.end()
        end = start + int(head[1], 16)
        if start == end or not data.startswith(b"\r\n", end):
            break
        pieces.append(data[start:end])
        at = end + 2
    return pieces, at


def whole_chunks(data: bytes) -> bytes | None:
    """The data of some chunks; None if they are not all whole and plain, or the last one is among them."""
    if not data.endswith(b"\r\n"):
        return None
    pieces, end = _cut(data, 0)
    if end != len(data):
        return None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def missing() -> str:
    """What keeps this module from working with the installed h11, "" for nothing."""
    buffer, reader = ReceiveBuffer(), JoinedChunks(ChunkedReader())
    seen: list[Any] = []
    try:
        for piece in REHEARSAL:
            buffer += piece
            seen += [reader(buffer), reader(buffer)]
    except Exception as error:  # noqa: BLE001 - whatever an unknown h11 raises is the finding
        return f"the reader raised {type(error).__name__}: {error}"
    first, nothing, second, end = seen
    joined = isinstance(first, h11.Data) and first.data == b"abcd" and nothing is None
    ended = isinstance(second, h11.Data) and second.data == b"efg" and bytes(buffer) == b"next"
    good = joined and ended and isinstance(end, h11.EndOfMessage)
    return "" if good else "the reader does something else"


def join(top: layer.Layer | None) -> None:
    """Have the rest of a connection's chunked answer joined."""
    http = chunked_client(top)
    if http is not None and isinstance(http.body_reader, ChunkedReader):
        http.body_reader = JoinedChunks(http.body_reader)  # type: ignore[assignment]


class JoinChunks:
    """Offer it to the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self, loader: Loader) -> None:
        """Switch on, or say why not."""
        if problem := missing():
            log.warning("joined chunks are off: of the installed h11, %s", problem)
        else:
            self._engine.join_chunks = join
