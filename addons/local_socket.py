"""A WebSocket that ends here: mitmproxy itself only relays them between a client and an upstream.

`accept` answers the upgrade, `SocketLayer` speaks the frames, and `LocalSocket` is what a session of ours reads and
writes. What the messages mean is not this module's business.
Reference: https://www.rfc-editor.org/rfc/rfc6455 (read 2026-11-21)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

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

from addons.internals import WebsocketEndHook, WebsocketMessageHook, WebsocketStartHook

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
MAX_WAITING: Final = 16
"""Messages that a session has not read yet; a client that sends more is not waiting for its answers."""
KEPT_MESSAGES: Final = 200
"""Of a socket that may live for hours, for mitmweb."""

type Session = Callable[[LocalSocket], Awaitable[None]]


@dataclass(eq=False)
class LocalSocket:
    """One accepted WebSocket, as a session sees it. The session's task is cancelled when the client leaves."""

    flow: http.HTTPFlow
    session: Session
    extensions: list[PerMessageDeflate]
    max_message_bytes: int
    push: Callable[[events.Event], Awaitable[None]] | None = None
    """Set by the engine: brings an event to the socket's layer and waits until the client keeps up."""
    stream: Any = None
    task: asyncio.Task[Any] | None = None
    closed: bool = False
    incoming: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)

    async def receive(self) -> str | None:
        """The next text message; None when the socket is closed."""
        return None if self.closed and self.incoming.empty() else await self.incoming.get()

    async def send(self, text: str) -> None:
        """Send a text message, no faster than the client takes it; nothing happens on a closed socket."""
        if self.push is not None and not self.closed:
            await self.push(SocketSend(self.stream, text))

    async def close(self, code: int = CloseReason.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the socket; idempotent."""
        if self.push is not None and not self.closed:
            await self.push(SocketClose(self.stream, code, reason))

    def finish(self) -> None:
        """The client has closed or left: the session stops."""
        if not self.closed:
            self.closed = True
            self.incoming.put_nowait(None)
            if self.task is not None and self.task is not asyncio.current_task():
                self.task.cancel()


@dataclass
class SocketSend(events.Event):
    """A text message of ours on its way to the client."""

    stream: Any
    text: str


@dataclass
class SocketClose(events.Event):
    """Our side closes the socket."""

    stream: Any
    code: int
    reason: str


@dataclass
class LlmgateSocketHook(commands.StartHook):
    """Internal: the engine's addon runs a socket's session."""

    data: LocalSocket
    blocking = False


def accept(
    flow: http.HTTPFlow, session: Session, *, max_message_bytes: int = MAX_MESSAGE_BYTES
) -> LocalSocket:
    """Answer an upgrade request with 101; ValueError says why it is none."""
    headers = flow.request.headers
    if headers.get("upgrade", "").lower() != "websocket" or not flow.request.is_http11:
        raise ValueError("not a WebSocket upgrade")
    if headers.get("sec-websocket-version", "").encode() != WEBSOCKET_VERSION:
        raise ValueError("Sec-WebSocket-Version must be 13")
    key = headers.get("sec-websocket-key", "")
    if not key:
        raise ValueError("Sec-WebSocket-Key is missing")
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
    return LocalSocket(flow, session, extensions, max_message_bytes)


class SocketLayer(layer.Layer):
    """The frames of one local WebSocket."""

    def __init__(self, context: Context, socket: LocalSocket) -> None:
        super().__init__(context)
        self.socket = socket
        self.flow = socket.flow
        self._frames = Connection(ConnectionType.SERVER, [*socket.extensions])
        self._parts: list[str] = []
        self._size = 0

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield WebsocketStartHook(self.flow)
            yield LlmgateSocketHook(self.socket)
        elif self.socket.closed:
            return
        elif isinstance(event, SocketSend):
            yield from self._keep(event.text, from_client=False)
            yield from self._out(wsproto.events.TextMessage(event.text))
        elif isinstance(event, SocketClose):
            yield from self._end(event.code, event.reason, by_client=False)
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
        self._parts.append(event.data)
        self._size += len(event.data)
        if self._size > self.socket.max_message_bytes:
            yield from self._end(CloseReason.MESSAGE_TOO_BIG, "message too big")
        elif self.socket.incoming.qsize() >= MAX_WAITING:
            yield from self._end(CloseReason.POLICY_VIOLATION, "too many messages at once")
        elif event.message_finished:
            text = "".join(self._parts)
            self._parts, self._size = [], 0
            yield from self._keep(text, from_client=True)
            self.socket.incoming.put_nowait(text)

    def _keep(self, text: str, *, from_client: bool) -> layer.CommandGenerator[None]:
        """Show the message in mitmweb, and let scripts see it."""
        if self.flow.websocket is not None:
            message = WebSocketMessage(Opcode.TEXT, from_client, text.encode())
            self.flow.websocket.messages.append(message)
            del self.flow.websocket.messages[:-KEPT_MESSAGES]
            yield WebsocketMessageHook(self.flow)

    def _out(self, event: wsproto.events.Event) -> layer.CommandGenerator[None]:
        yield commands.SendData(self.context.client, self._frames.send(event))

    def _end(self, code: int, reason: str, by_client: bool = False) -> layer.CommandGenerator[None]:
        self.socket.finish()
        if self._frames.state in (
            ConnectionState.OPEN,
            ConnectionState.REMOTE_CLOSING,
        ):
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
