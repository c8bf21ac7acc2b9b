"""A request without an HTTP client: what a turn of a WebSocket becomes, inside the layer of its connection.

A turn is one more stream of its `GatewayLayer`, with a flow of its own: admission, limits, routing, failover,
translation, timers and records see nothing but another POST, and mitmweb shows one. Only its two ends differ. The
request is handed in as events instead of being read from a socket, and what an HTTP client would be sent goes to a
`TurnOutput`, which stands where its connection would. (A request over loopback to our own port would need a
credential that nobody else can present, would double the connections, and would see the client leave one hop later.)

Output is passed on at once, in the event that brought it, so a slow client holds back its upstreams as over HTTP.
"""

from __future__ import annotations

import copy
import itertools
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from mitmproxy import http
from mitmproxy.connection import Client
from mitmproxy.proxy import events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator as Commands

from addons.internals import (
    HttpConnection,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)

if TYPE_CHECKING:
    from addons.local_socket import LocalSocket
    from addons.machine import GatewayStream

_ids: Final = itertools.count(-2, -1)
"""Stream ids that no protocol uses; -1 means "none" to the engine."""


class Turn(Protocol):
    """One request, and who hears its answer. Called from inside the layers, so nothing here may block."""

    request: http.Request

    def begin(self, flow: http.HTTPFlow) -> None:
        """The turn has its flow, which no addon has seen yet."""
        ...

    def head(self, response: http.Response) -> None:
        """The answer begins."""
        ...

    def data(self, data: bytes) -> None:
        """A piece of the answer's body."""
        ...

    def ended(self) -> None:
        """The answer is complete. Comes once, unless `broken` or the end of the socket comes instead."""
        ...

    def broken(self) -> None:
        """An HTTP client would see its connection closed."""
        ...


@dataclass
class StartTurn:
    """Something that a socket has to do."""

    turn: Turn


@dataclass
class CancelTurn:
    """Something that a socket has to do: as if an HTTP client had left."""

    turn: Turn


class TurnOutput(HttpConnection):
    """The client's connection of one turn, as far as its stream can tell."""

    def __init__(
        self,
        context: Context,
        client: Client,
        turn: Turn,
        stream: GatewayStream,
        socket: LocalSocket,
    ) -> None:
        super().__init__(context, client)
        self.turn = turn
        self.stream = stream
        self.over = False
        """Nobody listens any more."""
        self._socket = socket

    def _handle_event(self, event: events.Event) -> Commands[None]:
        if self.over:
            return
        if isinstance(event, ResponseData):
            self._socket.tell(self.turn.data, event.data)
        elif isinstance(event, ResponseHeaders):
            self._socket.tell(self.turn.head, event.response)
        elif isinstance(event, (ResponseEndOfMessage, ResponseProtocolError)):
            self.silence()
            ended = isinstance(event, ResponseEndOfMessage)
            self._socket.tell(self.turn.ended if ended else self.turn.broken)
        yield from ()

    def silence(self) -> None:
        """Say no more to the turn; the layer forgets it soon."""
        self.over = self._socket.turn_over = True


def client_of(turn_of: Client) -> Client:
    """The client of a turn: the same one, on a connection that is not the socket."""
    client = copy.copy(turn_of)
    client.id = str(uuid.uuid4())
    return client


def next_id() -> int:
    """A stream id for a turn."""
    return next(_ids)


def request_events(stream_id: int, turn: Turn, flow: http.HTTPFlow) -> list[events.Event]:
    """What a client's connection would say of the request."""
    content = turn.request.raw_content or b""
    return [
        RequestHeaders(stream_id, turn.request, False, flow),
        RequestData(stream_id, content),
        RequestEndOfMessage(stream_id),
    ]
