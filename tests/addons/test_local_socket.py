"""WebSockets that end in the gateway, over a real mitmproxy master."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
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

from addons.local_socket import KEPT_BYTES, KEPT_MESSAGES, LocalSocket, Session, accept
from tests.addons.live import Client, Gateway, Steered, eventually, gateway
from tests.addons.test_engine_live import in_a_loop


class Quiet:
    """A session that notes what happens to it; tests override what it answers."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.socket: LocalSocket | None = None

    def opened(self, socket: LocalSocket, now: float) -> None:
        self.socket = socket

    def received(self, text: str) -> None:
        self.happened.append(text)

    def oversized(self) -> None:
        self.happened.append("oversized")

    def tick(self, now: float) -> None:
        self.happened.append("tick")
        assert self.socket is not None
        self.socket.ping()

    def closed(self) -> None:
        self.happened.append("closed")


class Echo(Quiet):
    """Answers in capitals."""

    def received(self, text: str) -> None:
        assert self.socket is not None
        self.socket.send(text.upper())

    def oversized(self) -> None:
        assert self.socket is not None
        self.socket.send("too long")


class Sockets(Steered):
    """Accept every upgrade with a session."""

    def __init__(self, session: Session, **options: Any) -> None:
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


@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
@in_a_loop
async def test_messages_go_both_ways(deflate: bool) -> None:
    policy = Sockets(Echo())
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
async def test_a_session_hears_once_that_its_client_left() -> None:
    session = Quiet()
    policy = Sockets(session)
    async with connected(policy) as (_gate, ws):
        await ws.open()
        ws.client.writer.transport.abort()
        await eventually(lambda: policy.count("settled") == 1)
    assert session.happened == ["closed"]


@in_a_loop
async def test_a_session_may_close_with_its_own_code() -> None:
    class Closing(Quiet):
        def received(self, text: str) -> None:
            assert self.socket is not None
            self.socket.send("last words")
            self.socket.close(1012, "restart")
            self.socket.send("nothing happens")

    session = Closing()
    policy = Sockets(session)
    async with connected(policy) as (_gate, ws):
        await ws.open()
        ws.send(TextMessage("go"))
        assert (await ws.next(TextMessage)).data == "last words"
        assert (await ws.next(CloseConnection)).code == 1012
        await eventually(lambda: policy.count("settled") == 1)
    assert session.happened == ["closed"]


@in_a_loop
async def test_a_session_that_raises_costs_its_client_the_connection() -> None:
    class Raising(Quiet):
        def received(self, text: str) -> None:
            raise ValueError("planted")

    policy = Sockets(Raising())
    async with connected(policy) as (gate, ws):
        await ws.open()
        ws.send(TextMessage("go"))
        assert (await ws.next(CloseConnection)).code == 1011
        await eventually(lambda: policy.count("settled") == 1)
        assert gate.complaints == ["a WebSocket session failed"]


@in_a_loop
async def test_a_silent_client_is_pinged() -> None:
    session = Quiet()
    async with connected(Sockets(session, tick_s=0.01)) as (_gate, ws):
        await ws.open()
        for _ in range(3):
            assert isinstance(await ws.next(Ping), Ping)
        ws.send(CloseConnection(1000))
        async with asyncio.timeout(10):
            while await ws.client.reader.read(1000):
                pass
    assert session.happened[:3] == ["tick"] * 3
    assert session.happened[-1] == "closed"


@in_a_loop
async def test_a_message_that_is_too_long_is_dropped_and_the_socket_lives_on() -> None:
    async with connected(Sockets(Echo(), max_message_bytes=1000)) as (_gate, ws):
        await ws.open()
        for part in range(4):
            ws.send(TextMessage("x" * 600, message_finished=part == 3))
        assert (await ws.next(TextMessage)).data == "too long"
        ws.send(TextMessage("y" * 1000))
        assert (await ws.next(TextMessage)).data == "Y" * 1000
        ws.send(CloseConnection(1000))
        assert (await ws.next(CloseConnection)).code == 1000


@in_a_loop
async def test_a_message_in_very_many_pieces() -> None:
    async with connected(Sockets(Echo()), deflate=True) as (_gate, ws):
        await ws.open()
        for _ in range(2000):
            ws.send(TextMessage("ä", message_finished=False))
        ws.send(TextMessage("", message_finished=True))
        assert (await ws.next(TextMessage)).data == "Ä" * 2000
        ws.send(CloseConnection(1000))
        await ws.next(CloseConnection)


@pytest.mark.parametrize("to_client", [True, False])
@in_a_loop
async def test_an_operator_may_speak_for_either_side(to_client: bool) -> None:
    policy = Sockets(Echo())
    async with connected(policy) as (gate, ws):
        await ws.open()
        ws.send(TextMessage("first"))
        await ws.next(TextMessage)
        gate.master.commands.call("inject.websocket", policy.flow, to_client, b"hello", True)
        assert (await ws.next(TextMessage)).data == ("hello" if to_client else "HELLO")
        ws.send(CloseConnection(1000))
        await ws.next(CloseConnection)


@in_a_loop
async def test_a_binary_message_closes_the_socket() -> None:
    policy = Sockets(Echo())
    async with connected(policy) as (_gate, ws):
        await ws.open()
        ws.send(BytesMessage(b"x"))
        assert (await ws.next(CloseConnection)).code == 1003
        await eventually(lambda: policy.count("settled") == 1)


@in_a_loop
async def test_what_mitmweb_keeps_is_bounded() -> None:
    policy = Sockets(Echo())
    async with connected(policy) as (_gate, ws):
        await ws.open()
        for number in range(KEPT_MESSAGES):
            ws.send(TextMessage(str(number)))
            await ws.next(TextMessage)
        assert policy.flow is not None
        assert policy.flow.websocket is not None
        assert len(policy.flow.websocket.messages) == KEPT_MESSAGES
        big = "x" * (KEPT_BYTES // 2 + 1)
        ws.send(TextMessage(big))
        await ws.next(TextMessage)
        assert len(policy.flow.websocket.messages) == 1
        ws.send(CloseConnection(1000))
        await ws.next(CloseConnection)


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
        accept(flow, Echo())
    assert flow.response is None
