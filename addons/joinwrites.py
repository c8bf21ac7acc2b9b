"""Optional: send what one event-loop iteration writes to a connection in one piece.

mitmproxy writes each chunk of a stream by itself, and each write is a system call: half of the CPU of a bulk stream
(measured; joining takes a third off). The pieces of one read are written in a row and followed by a drain, so they
are joined there; everything else goes out at the end of the iteration. Order, back-pressure and closing stay as they
are, and paced traffic is not delayed: nothing ever waits for more.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Client, Connection
from mitmproxy.proxy import server, server_hooks

from addons.internals import handler_of

log = logging.getLogger(__name__)

MAX_HELD_BYTES: Final = 256 * 1024
"""More than this is passed on at once: the socket's own limits must see it."""


class Single(bytes):
    """What is all that its connection gets of this iteration: there is nothing to wait for."""

    __slots__ = ()


class JoinedWriter:
    """An `asyncio.StreamWriter` that joins the writes of one event-loop iteration."""

    __slots__ = ("_held", "_loop", "_pieces", "_scheduled", "_writer")

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._held = 0
        self._scheduled = False

    def write(self, data: bytes) -> None:
        """Hold a piece until the next drain, or the end of this iteration."""
        if type(data) is Single and not self._pieces:
            self._writer.write(data)
            return
        self._pieces.append(data)
        self._held += len(data)
        if self._held > MAX_HELD_BYTES:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._on_iteration_end)

    def _on_iteration_end(self) -> None:
        self._scheduled = False
        self.flush()

    def flush(self) -> None:
        """Hand over what is held."""
        if not self._pieces:
            return
        pieces, self._pieces, self._held = self._pieces, [], 0
        if not self._writer.is_closing():
            self._writer.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    async def drain(self) -> None:
        """Hand over, then wait until the peer has taken enough."""
        if self._pieces:
            self.flush()
        transport = self._writer.transport
        if transport.get_write_buffer_size() or transport.is_closing():
            await self._writer.drain()

    def write_eof(self) -> None:
        """Hand over, then half-close."""
        self.flush()
        self._writer.write_eof()

    def close(self) -> None:
        """Hand over, then close; what was handed over is still sent."""
        self.flush()
        self._writer.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


def missing() -> list[str]:
    """The names that this module needs and mitmproxy does not have."""
    absent = [] if hasattr(server.ConnectionHandler, "drain_writers") else ["drain_writers"]
    fields = getattr(getattr(server, "ConnectionIO", None), "__dataclass_fields__", {})
    return absent + [f"ConnectionIO.{name}" for name in ("writer", "reader") if name not in fields]


class JoinWrites:
    """Put a JoinedWriter in front of every TCP connection."""

    def __init__(self) -> None:
        self._enabled = True

    def load(self, loader: Loader) -> None:
        """Switch off, and say why, on a mitmproxy without the names."""
        if absent := missing():
            self._enabled = False
            log.warning("joined writes are off: mitmproxy has no %s", ", ".join(absent))

    def client_connected(self, client: Client) -> None:
        """A client's connection."""
        self._wrap(client, client)

    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """An upstream's connection."""
        self._wrap(data.client, data.server)

    def _wrap(self, client: Client, conn: Connection) -> None:
        handler = handler_of(client) if self._enabled else None
        io = handler.transports.get(conn) if handler is not None else None
        if io is not None and isinstance(io.writer, asyncio.StreamWriter):
            io.writer = JoinedWriter(io.writer)
