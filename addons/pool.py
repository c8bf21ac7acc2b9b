"""Optional: an idle upstream connection outlives the client that opened it, and serves the next one.

mitmproxy opens upstream connections per client connection. Clients that connect for each request would pay two round
trips and a TLS handshake every time (measured: 2.7 -> 1.3 ms CPU, over twice the requests per second). A connection
moves as a whole: socket, TLS state and HTTP layers, because TLS state lives in the layers.

A connection is only taken over when it is certainly idle, and only lent while nothing has arrived on it. If the
upstream closes it at the very moment of use, the engine's retry of stale connections applies.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.proxy import events, layer, server, server_hooks
from mitmproxy.utils import asyncio_utils

from addons.internals import Http2Client, handler_of, http_client, is_idle
from addons.trust import trusted_by

if TYPE_CHECKING:
    from addons.engine import Engine
    from addons.gateway_layer import GatewayLayer
    from addons.phases import Connect

log = logging.getLogger(__name__)

IDLE_S: Final = 30.0
"""Shorter than the keep-alive time of common servers (60 to 75 s), so that few connections are lent stale."""
MAX_PER_UPSTREAM: Final = 64
MAX_TOTAL: Final = 512

type Key = tuple[Any, bool, Any, bool, Path | None]
"""Address, TLS, egress proxy, HTTP/2, the CA file that it trusts."""


class NoWriter:
    """Stands in for a writer that has moved away."""

    def write(self, data: bytes) -> None:
        """Nothing may be written here any more."""

    def close(self) -> None:
        """The socket lives on."""

    def is_closing(self) -> bool:
        """Yes: do not even try."""
        return True

    async def drain(self) -> None:
        """There is nothing to wait for."""


class Sink(layer.Layer):
    """Takes the last events of a connection that has moved away."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from ()


@dataclass(eq=False, slots=True)
class Idle:
    """A connection between two clients."""

    conn: Server
    stack: layer.Layer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    timer: asyncio.TimerHandle | None = None

    def is_fresh(self) -> bool:
        """Whether it is open and its peer has said nothing; HTTP/2 peers may have sent a ping."""
        if self.writer.is_closing() or self.reader.at_eof():
            return False
        return self.conn.alpn == b"h2" or not self.reader._buffer  # type: ignore[attr-defined]

    def close(self) -> None:
        """Close the socket."""
        if self.timer is not None:
            self.timer.cancel()
        self.writer.close()


def missing() -> list[str]:
    """The names that this module needs and are not there."""
    handler = server.ConnectionHandler
    absent = [name for name in ("handle_connection", "handle_hook") if not hasattr(handler, name)]
    fields = getattr(getattr(server, "ConnectionIO", None), "__dataclass_fields__", {})
    absent += [f"ConnectionIO.{n}" for n in ("reader", "writer", "handler") if n not in fields]
    if "_buffer" not in asyncio.StreamReader.__init__.__code__.co_names:
        absent.append("StreamReader._buffer")
    return absent


class Pool:
    """Keep idle upstream connections, and lend them to the engine."""

    def __init__(self, engine: Engine, *, idle_s: float = IDLE_S) -> None:
        self._engine = engine
        self._idle_s = idle_s
        self._free: dict[Key, collections.deque[Idle]] = {}
        self.kept = 0
        """How many connections have been taken over, for metrics; `lent` likewise."""
        self.lent = 0

    def __len__(self) -> int:
        return sum(map(len, self._free.values()))

    # --- hooks

    def load(self, loader: Loader) -> None:
        """Offer the pool to the engine, or say why not."""
        if absent := missing():
            log.warning("the upstream pool is off: there is no %s", ", ".join(absent))
            return
        self._engine.pool = self

    def done(self) -> None:
        """Close what is idle."""
        if self._engine.pool is self:
            self._engine.pool = None
        for idle in [idle for queue in self._free.values() for idle in queue]:
            idle.close()
        self._free.clear()

    async def client_disconnected(self, client: Client) -> None:
        """Take over what is idle; mitmproxy closes all other upstream connections after this hook."""
        gateway_layer = self._engine.layers.get(client.id)
        handler = handler_of(client)
        if gateway_layer is None or handler is None or self._engine.pool is not self:
            return
        for conn, stack, io in list(_movable(gateway_layer, handler)):
            if len(self) >= MAX_TOTAL:
                return
            idle = Idle(conn, stack, io.reader, io.writer)
            gateway_layer.connections[conn] = Sink(gateway_layer.context.fork())
            io.writer = NoWriter()
            io.handler.cancel("moved to the pool")
            await asyncio.wait([io.handler])
            if self._engine.pool is self:
                self._keep(idle)
            else:  # shut down meanwhile
                idle.close()

    # --- for the engine

    def lend(self, gateway_layer: GatewayLayer, want: Connect) -> Server | None:
        """Move a connection to this client's layer; None if there is none that fits."""
        handler = handler_of(gateway_layer.context.client)
        if handler is None:
            return None
        idle = (self._take(want, True) if want.http2 else None) or self._take(want, False)
        if idle is None:
            return None
        self.lent += 1
        conn = idle.conn
        conn.state = ConnectionState.OPEN
        conn.timestamp_end = None
        gateway_layer.connections[conn] = idle.stack
        io = server.ConnectionIO(reader=idle.reader, writer=idle.writer)
        handler.transports[conn] = io
        io.handler = asyncio_utils.create_task(
            _serve(handler, conn),
            name="pooled upstream connection",
            keep_ref=True,
            client=handler.client.peername,
        )
        return conn

    def _take(self, want: Connect, http2: bool) -> Idle | None:
        key = (want.address, want.tls, want.via, http2, want.ca_file)
        queue = self._free.get(key)
        while queue:
            idle = queue.pop()  # the latest: the others may go stale
            if not queue:
                del self._free[key]
            if idle.is_fresh():
                if idle.timer is not None:
                    idle.timer.cancel()
                return idle
            idle.close()
        return None

    def _keep(self, idle: Idle) -> None:
        conn = idle.conn
        if not idle.is_fresh():
            idle.close()
            return
        _forget_past(idle.stack)
        key = (conn.address, conn.tls, conn.via, conn.alpn == b"h2", trusted_by(conn))
        queue = self._free.setdefault(key, collections.deque())
        if len(queue) >= MAX_PER_UPSTREAM:
            queue.popleft().close()
        self.kept += 1
        idle.timer = asyncio.get_running_loop().call_later(self._idle_s, self._expire, key, idle)
        queue.append(idle)

    def _expire(self, key: Key, idle: Idle) -> None:
        queue = self._free.get(key)
        if queue is not None and idle in queue:
            queue.remove(idle)
            if not queue:
                del self._free[key]
        idle.close()


def _movable(
    gateway_layer: GatewayLayer, handler: Any
) -> Iterator[tuple[Server, layer.Layer, Any]]:
    """The idle upstream connections of a client that has left."""
    for conn, stack in gateway_layer.connections.items():
        io = handler.transports.get(conn)
        if (
            isinstance(conn, Server)
            and conn.state is ConnectionState.OPEN
            and conn not in gateway_layer.waiting_for_establishment
            and io is not None
            and io.handler is not None
            and isinstance(io.reader, asyncio.StreamReader)
            and is_idle(stack)
        ):
            yield conn, stack, io


def _forget_past(stack: layer.Layer) -> None:
    """Drop what would keep the old client's layers alive, and the stream ids of its requests."""
    http = http_client(stack)
    own: list[layer.Layer] = []
    top: layer.Layer | None = stack
    while top is not None:
        own.append(top)
        top = getattr(top, "child_layer", None)
    stack.context.layers[:] = [one for one in stack.context.layers if one in own]
    if isinstance(http, Http2Client):
        http.our_stream_id.clear()
        http.their_stream_id.clear()
        http.streams.clear()


async def _serve(handler: Any, conn: Server) -> None:
    """What mitmproxy's open_connection does after it has connected."""
    io = handler.transports[conn]
    try:
        await handler.handle_connection(conn)
    finally:
        io.writer.close()
        data = server_hooks.ServerConnectionHookData(client=handler.client, server=conn)
        await handler.handle_hook(server_hooks.ServerDisconnectedHook(data))
