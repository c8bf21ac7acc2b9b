"""Optional: hand on what one read brought of a chunked answer in one piece, instead of one event per HTTP chunk.

Providers send each event of a stream as a chunk, and mitmproxy passes each chunk through some twenty generators. The
chunks of one read are joined where the reader gives them out; how a chunk is read, and what is no chunk, stays h11's.
"""

from __future__ import annotations

import logging
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

REHEARSAL: Final = b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\nnext"


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
        pieces: list[bytes] = []
        try:
            while isinstance(event := self._reader(buf), h11.Data):
                pieces.append(event.data)
        except h11.ProtocolError as error:
            if not pieces:
                raise
            event, self._held = None, error
        if not pieces:
            return event
        if event is not None:
            self._held = event
        return h11.Data(data=b"".join(pieces))

    def read_eof(self) -> Any:
        """The connection was closed in the middle of the body."""
        return self._reader.read_eof()


def missing() -> str:
    """What keeps this module from working with the installed h11, "" for nothing."""
    buffer, reader = ReceiveBuffer(), JoinedChunks(ChunkedReader())
    buffer += REHEARSAL
    try:
        data, end = reader(buffer), reader(buffer)
    except Exception as error:  # noqa: BLE001 - whatever an unknown h11 raises is the finding
        return f"the reader raised {type(error).__name__}: {error}"
    joined = isinstance(data, h11.Data) and bytes(data.data) == b"abc"
    ended = isinstance(end, h11.EndOfMessage) and bytes(buffer) == b"next"
    return "" if joined and ended else "the reader does something else"


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
