"""WebSockets that end in the gateway, over a real mitmproxy master."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import wsproto
from mitmproxy import http
from mitmproxy.test import tflow
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from addons.local_socket import LocalSocket, accept
from tests.addons.live import Client, Gateway, Steered, eventually, gateway
from tests.addons.test_engine_live import in_a_loop


class Sockets(Steered):
    """Accept every upgrade with a session."""

    def __init__(self, session: Callable[[LocalSocket], Any], **options: Any) -> None:
        super().__init__("http://127.0.0.1:1/")
        self.session = session
        self.options = options
        self.flow: http.HTTPFlow | None = None

    def request(self, flow: http.HTTPFlow) -> None:
        assert self.engine is not None
        self.flow = flow
        self.engine.accept_socket(flow, self.session, **self.options)


class WsClient:
    """A WebSocket client on a plain connection."""

    def __init__(self, client: Client, deflate: bool) -> None:
        self.client = client
        self.deflate = deflate
        self.ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self.events: list[Any] = []

    async def open(self) -> AcceptConnection:
        extensions = [PerMessageDeflate()] if self.deflate else []
        self.send(Request(host="x", target="/v1/responses", extensions=extensions))
        accepted: AcceptConnection = await self.next(AcceptConnection)
        return accepted

    def send(self, event: Any) -> None:
        self.client.writer.write(self.ws.send(event))

    async def next(self, kind: type) -> Any:
        """The next event, which must be of this kind; parts of one message are joined."""
        text = ""
        async with asyncio.timeout(10):
            while True:
                while self.events:
                    event = self.events.pop(0)
                    if isinstance(event, TextMessage):
                        text += event.data
                        if not event.message_finished:
                            continue
                        event = TextMessage(text)
                    assert isinstance(event, kind), event
                    return event
                data = await self.client.reader.read(65536)
                self.ws.receive_data(data or None)
                self.events += self.ws.events()


@asynccontextmanager
async def connected(
    policy: Sockets, deflate: bool = False
) -> AsyncIterator[tuple[Gateway, WsClient]]:
    async with gateway(policy, quiet=False) as gate, Client(gate.port) as client:
        yield gate, WsClient(client, deflate)


async def echo(socket: LocalSocket) -> None:
    while (text := await socket.receive()) is not None:
        await socket.send(text.upper())


@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
@in_a_loop
async def test_messages_go_both_ways(deflate: bool) -> None:
    policy = Sockets(echo)
    async with connected(policy, deflate) as (_gate, ws):
        accepted = await ws.open()
        assert bool(accepted.extensions) is deflate
        for text in ("hello", "x" * 300_000):
            ws.send(TextMessage(text))
            assert (await ws.next(TextMessage)).data == text.upper()
        ws.send(Ping(b"are you there"))
        assert bytes((await ws.next(Pong)).payload) == b"are you there"
        assert policy.count("settled") == 0
        ws.send(CloseConnection(1000, "bye"))
        assert (await ws.next(CloseConnection)).code == 1000
        await eventually(lambda: policy.count("settled") == 1)
    assert policy.flow is not None
    assert policy.flow.websocket is not None
    assert [m.from_client for m in policy.flow.websocket.messages[:2]] == [True, False]
    assert policy.flow.websocket.closed_by_client is True


@in_a_loop
async def test_a_client_that_leaves_cancels_the_session() -> None:
    ended: list[str] = []

    async def session(socket: LocalSocket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    policy = Sockets(session)
    async with connected(policy) as (_gate, ws):
        await ws.open()
        ws.client.writer.transport.abort()
        await eventually(lambda: ended == ["cancelled"])
        await eventually(lambda: policy.count("settled") == 1)


@pytest.mark.parametrize(
    ("session", "code"),
    [
        pytest.param("returns", 1000, id="a session that returns closes the socket"),
        pytest.param("raises", 1011, id="a session that raises closes it as an internal error"),
        pytest.param("closes", 1012, id="a session may close with its own code"),
    ],
)
@in_a_loop
async def test_how_a_session_ends(session: str, code: int) -> None:
    async def run(socket: LocalSocket) -> None:
        await socket.send("last words")
        if session == "raises":
            raise ValueError("planted")
        if session == "closes":
            await socket.close(1012, "restart")
            await socket.send("nothing happens")

    policy = Sockets(run)
    async with connected(policy) as (_gate, ws):
        await ws.open()
        assert (await ws.next(TextMessage)).data == "last words"
        assert (await ws.next(CloseConnection)).code == code
        await eventually(lambda: policy.count("settled") == 1)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        pytest.param(TextMessage("x" * 2000), 1009, id="too big"),
        pytest.param(BytesMessage(b"x"), 1003, id="binary"),
    ],
)
@in_a_loop
async def test_messages_that_are_refused(message: Any, code: int) -> None:
    policy = Sockets(echo, max_message_bytes=1000)
    async with connected(policy) as (_gate, ws):
        await ws.open()
        ws.send(message)
        assert (await ws.next(CloseConnection)).code == code
        await eventually(lambda: policy.count("settled") == 1)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no upgrade"),
        pytest.param({"upgrade": "websocket", "sec-websocket-version": "8"}, id="old version"),
        pytest.param({"upgrade": "websocket", "sec-websocket-version": "13"}, id="no key"),
    ],
)
def test_what_is_no_upgrade_is_refused(headers: dict[str, str]) -> None:
    flow = tflow.tflow()
    flow.request.headers.update(headers)
    with pytest.raises(ValueError, match=r"WebSocket"):
        accept(flow, echo)
    assert flow.response is None
