"""Optional: pieces of a running stream go from the upstream's read to the client's write without mitmproxy's layers.

An event of a stream that comes by itself passes some twenty generators on its way, and they are half of the calls that
it costs. Nothing decides anything there: between the head and the end of a chunked answer they cut chunks, look up the
stream, and make chunks again. `Lane` does that in one step. What is not whole and plain chunks of a stream that waits
for nothing goes the long way, as does every other event; so do the end and all errors.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Server
from mitmproxy.proxy import commands, events, layer

from addons.internals import Http1Client, Http1Server, HttpClient, is_chunked
from addons.joinchunks import JoinedChunks, whole_chunks
from addons.joinwrites import Single
from addons.phases import Phase

if TYPE_CHECKING:
    from addons.engine import Engine
    from addons.machine import GatewayStream

log = logging.getLogger(__name__)

NEEDED: Final = {
    layer.Layer: ("handle_event", "debug"),
    HttpClient: ("handle_event",),
    Http1Client: ("read_body", "send"),
    Http1Server: ("send",),
}


class Lane:
    """The short way of one stream, from the layer that reads it to the client's connection."""

    __slots__ = ("_chunked", "_client", "_http", "_outer", "_reader", "_stream", "conn")

    def __init__(
        self,
        stream: GatewayStream,
        outer: HttpClient,
        http: Http1Client,
        *,
        conn: Server | None,
        chunked: bool,
    ) -> None:
        self.conn: Final = conn
        """The connection whose bytes are HTTP; None where TLS or a tunnel lies between."""
        self._stream = stream
        self._outer = outer
        self._http = http
        self._reader: Any = http.body_reader
        self._client = stream.context.client
        self._chunked = chunked

    def take(self, data: bytes) -> tuple[commands.Command, ...] | None:
        """What one read of the upstream becomes; None = it has to go the long way."""
        stream = self._stream
        if stream.phase is not Phase.STREAMING or stream.paused or self._http.buf:
            return None
        if not self._reader.is_between or (body := whole_chunks(data)) is None:
            return None
        out = stream.relay_now(body)
        if not out:
            return ()
        if self._chunked:
            out = b"%x\r\n%s\r\n" % (len(out), out)
        return (commands.SendData(self._client, Single(out)),)

    def handle_event(self, event: events.Event) -> Iterable[commands.Command]:
        """In place of the layer's method, where a tunnel gives it what it has decrypted."""
        if type(event) is events.DataReceived and (taken := self.take(event.data)) is not None:
            return taken
        rest: Iterable[commands.Command] = type(self._outer).handle_event(self._outer, event)
        return rest

    def open(self) -> None:
        """Take what a tunnel has decrypted from now on; the gateway's layer gives us all other reads."""
        if self.conn is None:
            vars(self._outer)["handle_event"] = self.handle_event

    def close(self) -> None:
        """Let the layers do it again."""
        vars(self._outer).pop("handle_event", None)


def lane_of(stream: GatewayStream) -> Lane | None:
    """The short way of a stream whose head has gone out; None if one of its ends needs more than chunks."""
    parent, conn = stream.parent, stream.context.server
    top, client = parent.connections.get(conn), parent.connections.get(stream.context.client)
    outer: Any = top
    while outer is not None and type(outer) is not HttpClient:
        outer = getattr(outer, "child_layer", None)
    http = getattr(outer, "child_layer", None)
    if outer is None or type(http) is not Http1Client or type(client) is not Http1Server:
        return None
    if parent.debug is not None:
        return None
    reads = (
        type(getattr(http, "body_reader", None)) is JoinedChunks and http.state == http.read_body
    )
    if not (reads and http.stream_id == stream.attempt_id and client.stream_id == stream.stream_id):
        return None
    conn_here = conn if outer is top else None
    return Lane(stream, outer, http, conn=conn_here, chunked=is_chunked(client.response))


def missing() -> list[str]:
    """The names that this module needs and mitmproxy does not have."""
    return [
        f"{owner.__name__}.{name}"
        for owner, names in NEEDED.items()
        for name in names
        if not hasattr(owner, name)
    ]


class Shortcut:
    """Offer it to the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self, loader: Loader) -> None:
        """Switch on, or say why not."""
        if absent := missing():
            log.warning("the short way of streams is off: mitmproxy has no %s", ", ".join(absent))
        else:
            self._engine.shorten = lane_of
