"""A WebSocket that ends here: mitmproxy itself only relays them between a client and an upstream.

`accept` answers the upgrade, `SocketLayer` speaks the frames, and a `LocalSocket` is what a `Session` of ours answers
through. What the messages mean is not this module's business. All of it runs inside the layers, like everything
else of a connection: no task of its own, no queue, and a client that reads slowly slows its upstreams down.
Reference: https://www.rfc-editor.org/rfc/rfc6455 (read 2026-11-21)
"""

from __future__ import annotations

import io
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import wsproto.events
from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.websocket import WebSocketMessage
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, Opcode
from wsproto.handshake import WEBSOCKET_VERSION, server_extensions_handshake
from wsproto.utilities import generate_accept_token, split_comma_header

from addons.internals import (
    WebsocketEndHook,
    WebsocketMessageHook,
    WebSocketMessageInjected,
    WebsocketStartHook,
)
from addons.phases import Tick
from addons.turns import CancelTurn, StartTurn, Turn

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
KEPT_MESSAGES: Final = 200
KEPT_BYTES: Final = 8 * 1024 * 1024
"""What mitmweb shows of a socket that may live for an hour; the turns are flows of their own."""
TICK_S: Final = 60.0
"""How often a client is pinged: mitmproxy closes connections that are silent for ten minutes, and so do others."""


class Session(Protocol):
    """What happens on a socket. Called from inside the layers, so nothing here may block."""

    def opened(self, socket: LocalSocket, now: float) -> None:
        """The upgrade has been answered. `now` is the engine's clock."""
        ...

    def received(self, text: str) -> None:
        """A whole text message."""
        ...

    def oversized(self) -> None:
        """A message was longer than the limit, and has been dropped."""
        ...

    def tick(self, now: float) -> None:
        """`LocalSocket.tick_s` have passed."""
        ...

    def closed(self) -> None:
        """Nobody is there any more. Comes once."""
        ...


@dataclass
class SocketSend(events.Event):
    """Text messages of ours on their way to the client; `announced` = scripts and logs hear of them."""

    texts: list[str]
    announced: bool


@dataclass
class SocketPing(events.Event):
    """A sign of life for the client."""


@dataclass
class SocketClose(events.Event):
    """Our side closes the socket."""

    code: int
    reason: str


@dataclass(eq=False)
class LocalSocket:
    """One accepted WebSocket, as its session sees it. What it is told to do is done when the current event is over."""

    flow: http.HTTPFlow
    session: Session
    extensions: list[PerMessageDeflate]
    max_message_bytes: int
    tick_s: float = TICK_S
    stream: Any = None
    closed: bool = False
    turn_over: bool = False
    """A turn has ended, or was cancelled: for the layer."""
    todo: deque[SocketSend | SocketPing | SocketClose | StartTurn | CancelTurn] = field(
        default_factory=deque
    )

    def send(self, text: str, *, announced: bool = True) -> None:
        """Send a text message; nothing happens on a closed socket.

        All are seen in mitmweb; its `websocket_message` hook is left to those that are not one of very many.
        """
        if self.todo and isinstance(last := self.todo[-1], SocketSend):
            last.texts.append(text)
            last.announced = last.announced or announced
        else:
            self.todo.append(SocketSend([text], announced))

    def ping(self) -> None:
        """Show the client that somebody is there."""
        self.todo.append(SocketPing())

    def close(self, code: int = CloseReason.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the socket; idempotent."""
        self.todo.append(SocketClose(code, reason))

    def start(self, turn: Turn) -> None:
        """Carry a request as if it had come over HTTP."""
        self.todo.append(StartTurn(turn))

    def cancel(self, turn: Turn) -> None:
        """Leave a turn as an HTTP client would; nothing more is heard of it."""
        self.todo.append(CancelTurn(turn))

    def finish(self) -> None:
        """The client has closed or left, or we have closed."""
        if not self.closed:
            self.closed = True
            self.tell(self.session.closed)

    def dissolve(self) -> None:
        """Let go of the session and the stream, which lead back here; the socket is over."""
        self.todo.clear()
        del self.session
        self.stream = None

    def tell[**P](self, what: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call a method of the session or of a turn; a bug in it costs the socket, and is said."""
        try:
            what(*args, **kwargs)
        except Exception:
            log.exception("a WebSocket session failed")
            self.close(CloseReason.INTERNAL_ERROR, "internal error in the gateway")


def accept(
    flow: http.HTTPFlow,
    session: Session,
    *,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    tick_s: float = TICK_S,
) -> LocalSocket:
    """Answer an upgrade request with 101; ValueError says why it is none."""
    headers = flow.request.headers
    if headers.get("upgrade", "").lower() != "websocket" or not flow.request.is_http11:
        raise ValueError("not a WebSocket upgrade")
    if headers.get("sec-websocket-version", "").encode() != WEBSOCKET_VERSION:
        raise ValueError("Sec-WebSocket-Version must be 13")
    key = headers.get("sec-websocket-key", "")
    if not key or not key.isascii():
        raise ValueError("Sec-WebSocket-Key is missing or not in ASCII")
    deflate = PerMessageDeflate()
    offers = split_comma_header(headers.get("sec-websocket-extensions", "").encode("latin-1"))
    agreed = server_extensions_handshake(offers, [deflate])
    flow.response = http.Response.make(
        101,
        b"",
        {
            "upgrade": "websocket",
            "connection": "upgrade",
            "sec-websocket-accept": generate_accept_token(key.encode()).decode(),
        },
    )
    flow.response.headers.pop("content-length", None)
    if agreed is not None:
        flow.response.headers["sec-websocket-extensions"] = agreed.decode()
    extensions = [deflate] if agreed is not None else []
    return LocalSocket(flow, session, extensions, max_message_bytes, tick_s)


class SocketLayer(layer.Layer):
    """The frames of one local WebSocket. A `Tick` comes from its stream, `now` with it."""

    def __init__(self, context: Context, socket: LocalSocket) -> None:
        super().__init__(context)
        self.socket = socket
        self.flow = socket.flow
        self._frames = Connection(ConnectionType.SERVER, [*socket.extensions])
        self._text = (
            io.StringIO()
        )  # of the message that is being read; pieces may be tiny and very many
        self._size = 0
        self._kept_bytes = 0

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield WebsocketStartHook(self.flow)
        elif self.socket.closed:
            return
        elif isinstance(event, SocketSend):
            yield from self._send(event)
        elif isinstance(event, SocketPing):
            yield from self._out(wsproto.events.Ping())
        elif isinstance(event, SocketClose):
            yield from self._end(event.code, event.reason, by_client=False)
        elif isinstance(event, Tick):
            self.socket.tell(self.socket.session.tick, self.socket.stream.clock())
        elif isinstance(event, WebSocketMessageInjected):
            yield from self._on_injected(event.message)
        elif isinstance(event, events.DataReceived):
            self._frames.receive_data(event.data)
            yield from self._read()
        elif isinstance(event, events.ConnectionClosed):
            yield from self._end(CloseReason.ABNORMAL_CLOSURE, "", by_client=True)

    def _read(self) -> layer.CommandGenerator[None]:
        for event in self._frames.events():
            if isinstance(event, wsproto.events.TextMessage):
                yield from self._on_text(event)
            elif isinstance(event, wsproto.events.BytesMessage):
                yield from self._end(CloseReason.UNSUPPORTED_DATA, "text messages only")
            elif isinstance(event, wsproto.events.Ping):
                yield from self._out(event.response())
            elif isinstance(event, wsproto.events.CloseConnection):
                yield from self._end(event.code, event.reason or "", by_client=True)
            if self.socket.closed:
                return

    def _on_text(self, event: wsproto.events.TextMessage) -> layer.CommandGenerator[None]:
        """Collect a message; one that is too long is read to its end, so that the socket lives on."""
        self._size += len(event.data)
        oversized = self._size > self.socket.max_message_bytes
        if oversized:
            self._text = io.StringIO()
        else:
            self._text.write(event.data)
        if not event.message_finished:
            return
        text = self._text.getvalue()
        self._text, self._size = io.StringIO(), 0
        if oversized:
            self.socket.tell(self.socket.session.oversized)
            return
        self._keep(text, from_client=True)
        yield from self._announce()
        if not self.socket.closed:
            self.socket.tell(self.socket.session.received, text)

    def _on_injected(self, message: WebSocketMessage) -> layer.CommandGenerator[None]:
        """An operator says something in mitmweb, in the name of either side."""
        text = message.content.decode("utf-8", "replace")
        if not message.from_client:
            yield from self._send(SocketSend([text], announced=True))
            return
        self._keep(text, from_client=True)
        yield from self._announce()
        self.socket.tell(self.socket.session.received, text)

    def _send(self, event: SocketSend) -> layer.CommandGenerator[None]:
        """Everything that one event brought goes out in one write, and then to mitmweb."""
        frames = [self._frames.send(wsproto.events.TextMessage(text)) for text in event.texts]
        yield commands.SendData(self.context.client, b"".join(frames))
        for text in event.texts:
            self._keep(text, from_client=False)
        if event.announced:
            yield from self._announce()

    def _announce(self) -> layer.CommandGenerator[None]:
        """Let scripts and logs see the newest message."""
        if self.flow.websocket is not None:
            yield WebsocketMessageHook(self.flow)

    def _keep(self, text: str, *, from_client: bool) -> None:
        """Show a message in mitmweb."""
        if self.flow.websocket is None:
            return
        messages = self.flow.websocket.messages
        message = WebSocketMessage(Opcode.TEXT, from_client, text.encode("utf-8", "replace"))
        messages.append(message)
        self._kept_bytes += len(message.content)
        while len(messages) > 1 and (
            len(messages) > KEPT_MESSAGES or self._kept_bytes > KEPT_BYTES
        ):
            self._kept_bytes -= len(messages.pop(0).content)

    def _out(self, event: wsproto.events.Event) -> layer.CommandGenerator[None]:
        yield commands.SendData(self.context.client, self._frames.send(event))

    def _end(self, code: int, reason: str, by_client: bool = False) -> layer.CommandGenerator[None]:
        self.socket.finish()
        if self._frames.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            closing = CloseReason.NORMAL_CLOSURE if code == CloseReason.ABNORMAL_CLOSURE else code
            yield from self._out(wsproto.events.CloseConnection(closing, reason))
        if self.flow.websocket is not None:
            self.flow.websocket.timestamp_end = time.time()
            self.flow.websocket.closed_by_client = by_client
            self.flow.websocket.close_code = code
            self.flow.websocket.close_reason = reason
        yield commands.CloseConnection(self.context.client)
        yield WebsocketEndHook(self.flow)
        self.flow.live = False
