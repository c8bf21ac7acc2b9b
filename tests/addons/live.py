"""A real mitmproxy master on loopback, a policy that tests steer, and upstreams that misbehave on demand."""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from hyperframe.frame import GoAwayFrame
from mitmproxy import certs, http, options
from mitmproxy.tools.dump import DumpMaster

from addons.engine import Attempt, Engine
from tests.addons.dialogue import Script

PATIENCE_S = 10.0
"""How long anything in these tests may take before it counts as a hang."""


async def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - conditions of foreign objects
            await asyncio.sleep(0.005)


# --- the gateway


class Steered(Script):
    """A policy and addon: attempt n goes to `upstreams[n-1]` (then round again); `limits` are set on each attempt."""

    name = "steered"

    def __init__(self, *upstreams: str, tries: int = 4, back_off: float = 0, **limits: Any) -> None:
        super().__init__()
        self.max_request_bytes = 10_000_000
        self.upstreams = upstreams
        self.tries = tries
        self.back_off = back_off
        self.limits = limits
        self.attempts: list[Attempt] = []
        self.errors: list[str] = []
        self.local: Callable[[], AsyncIterator[bytes]] | None = None
        self.engine: Engine | None = None
        self.flows_seen = 0

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self.flows_seen += 1

    def request(self, flow: http.HTTPFlow) -> None:
        if self.local is not None and self.engine is not None:
            flow.response = http.Response.make(200, b"", {"content-type": "text/event-stream"})
            self.engine.stream_local(flow, self.local())

    def llm_attempt(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        attempt.request.url = self.upstreams[(attempt.number - 1) % len(self.upstreams)]
        for name, value in self.limits.items():
            setattr(attempt, name, value)

    def retry_delay(self, attempt: Attempt) -> float | None:
        return self.back_off if attempt.number < self.tries else None

    def error(self, flow: http.HTTPFlow) -> None:
        self.errors.append(flow.error.msg if flow.error else "")

    def count(self, what: str) -> int:
        """How often the engine asked or told that."""
        return sum(line.split(" ")[0] == what for line in self.asked)


class Complaints(logging.Handler):
    """Collect what mitmproxy only logs while its client hangs."""

    WORDS = ("has crashed", "Addon error", "Unhandled", "Traceback", "the engine")

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.ERROR or any(word in text for word in self.WORDS):
            self.records.append(text)


@dataclass
class Gateway:
    master: DumpMaster
    engine: Engine
    port: int
    complaints: list[str]

    @property
    def connections(self) -> dict[Any, Any]:
        """Live client connections."""
        live: dict[Any, Any] = self.master.addons.get("proxyserver").connections
        return live


@functools.cache
def confdir() -> str:
    """One CA for all tests of a process."""
    return tempfile.mkdtemp(prefix="llmgate-test-")


@asynccontextmanager
async def gateway(
    policy: Steered, *more: object, engine: Engine | None = None, quiet: bool = True, **opts: Any
) -> AsyncIterator[Gateway]:
    """Run mitmdump in this loop; complaints in its log fail the test."""
    opts = {"ssl_insecure": True, **opts}
    master = DumpMaster(options.Options(), with_termlog=False, with_dumper=False)
    engine = engine or Engine(policy)
    policy.engine = engine
    for addon in (*reversed(more), engine, policy):  # in front, where -s puts scripts
        master.addons.chain.insert(0, master.addons.register(addon))
    master.options.update(
        mode=["reverse:http://127.0.0.1:9"],
        listen_host="127.0.0.1",
        listen_port=0,
        confdir=confdir(),
        **opts,
    )
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    running = asyncio.create_task(master.run())
    proxy = master.addons.get("proxyserver")
    try:
        await eventually(lambda: proxy.is_running and proxy.listen_addrs())
        yield Gateway(master, engine, proxy.listen_addrs()[0][1], complaints.records)
        await eventually(lambda: not proxy.connections, "client connections closed")
    finally:
        master.shutdown()
        await running
        logging.getLogger().removeHandler(complaints)
    if quiet:
        assert complaints.records == []


# --- clients


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A plain HTTP/1.1 client on one connection."""

    def __init__(self, port: int, tls: bool = False) -> None:
        self.port = port
        self.tls = tls
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Client:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=client_tls() if self.tls else None
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()

    async def send(self, path: str = "/v1/x", body: bytes = b"{}", headers: str = "") -> None:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        lines = raw.split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in pairs}

    async def reply(self) -> Reply:
        async with asyncio.timeout(PATIENCE_S):
            status, headers = await self.head()
            if headers.get("transfer-encoding") == "chunked":
                return Reply(status, headers, await self._chunks())
            if "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
                return Reply(status, headers, body)
            return Reply(status, headers, await self.reader.read())

    async def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while True:
            size = int(await self.reader.readline(), 16)
            parts.append((await self.reader.readexactly(size + 2))[:-2])
            if size == 0:
                return b"".join(parts)

    async def ask(self, body: bytes = b"{}", headers: str = "") -> Reply:
        await self.send(body=body, headers=headers)
        return await self.reply()


async def ask(port: int, body: bytes = b"{}") -> Reply:
    """One request on a connection of its own."""
    async with Client(port) as client:
        return await client.ask(body)


@functools.cache
def client_tls(*alpn: str) -> ssl.SSLContext:
    """A client's TLS that trusts anybody."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


@functools.cache
def server_tls(*alpn: str) -> ssl.SSLContext:
    """An upstream's TLS with a certificate for localhost."""
    folder = Path(tempfile.mkdtemp(prefix="llmgate-tls-"))
    store = certs.CertStore.from_store(folder, "test", 2048)
    entry = store.get_cert("localhost", [])
    key = entry.privatekey
    from cryptography.hazmat.primitives import serialization as s

    (folder / "cert.pem").write_bytes(entry.cert.to_pem())
    (folder / "key.pem").write_bytes(
        key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


# --- upstreams


@dataclass
class Exchange:
    """One request that an upstream got, and the pen to answer it."""

    upstream: Upstream
    head: bytes
    body: bytes
    writer: asyncio.StreamWriter

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def whole(self, body: bytes, status: int = 200, headers: str = "") -> None:
        name = self.upstream.name
        await self.write(
            f"HTTP/1.1 {status} X\r\nx-up: {name}\r\n{headers}"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def stream_head(self) -> None:
        await self.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\nx-up: %s\r\n\r\n" % self.upstream.name.encode()
        )

    async def event(self, text: str) -> None:
        data = f"data: {text}\n\n".encode()
        await self.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.write(b"0\r\n\r\n")

    def reset(self) -> None:
        self.writer.transport.abort()


type Behaviour = Callable[[Exchange], Awaitable[None]]


@dataclass
class Upstream:
    """An HTTP/1.1 server whose behaviour is a coroutine per request."""

    behave: Behaviour
    name: str = "up"
    tls: bool = False
    port: int = 0
    opened: int = 0
    open: int = 0
    aborted: int = 0
    exchanges: list[Exchange] = field(default_factory=list)

    async def __aenter__(self) -> Upstream:
        self.server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=server_tls() if self.tls else None
        )
        self.port = self.server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1/x"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.opened += 1
        self.open += 1
        try:
            await self._requests(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = b""
        while True:
            head = first + await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            exchange = Exchange(self, head, await reader.readexactly(int(length or b"0")), writer)
            self.exchanges.append(exchange)
            answering = asyncio.create_task(_run(self.behave(exchange)))
            watching = asyncio.create_task(reader.read(1))
            try:
                await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
                if not answering.done():
                    self.aborted += 1
                    return
                if answering.exception() or writer.is_closing():
                    return
                first = await watching
            finally:
                answering.cancel()
                watching.cancel()
                await asyncio.gather(answering, watching, return_exceptions=True)
            if not first:
                return


async def _run(pending: Awaitable[None]) -> None:
    with suppress(ConnectionError):
        await pending


# behaviours


async def good(exchange: Exchange) -> None:
    await exchange.whole(b"good")


def status(code: int, body: bytes = b"no", headers: str = "") -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.whole(body, code, headers)

    return behave


async def hang(exchange: Exchange) -> None:
    await asyncio.Event().wait()


async def close_early(exchange: Exchange) -> None:
    exchange.writer.close()


def sse(count: int = 3, pause: float = 0.005) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.stream_head()
        for number in range(count):
            await exchange.event(str(number))
            await asyncio.sleep(pause)
        await exchange.end()

    return behave


async def die_in_the_middle(exchange: Exchange) -> None:
    await exchange.stream_head()
    await exchange.event("0")
    await asyncio.sleep(0.01)
    exchange.reset()


async def stall_in_the_middle(exchange: Exchange) -> None:
    await exchange.stream_head()
    await exchange.event("0")
    await asyncio.Event().wait()


async def error_first(exchange: Exchange) -> None:
    await exchange.stream_head()
    await exchange.event("error")
    await exchange.end()


# --- HTTP/2


class H2Upstream(asyncio.Protocol):
    """An HTTP/2 server over TLS; `decide` names what happens to each request."""

    connections = 0

    def __init__(self, decide: Callable[[dict[str, str]], str], seen: list[str]) -> None:
        self.decide = decide
        self.seen = seen
        self.streams: dict[int, dict[str, str]] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.seen.append("connection")
        self.last = 2**31 - 1
        self.conn = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self.conn.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self.tasks:
            task.cancel()

    def flush(self) -> None:
        self.transport.write(self.conn.data_to_send())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        try:
            events = self.conn.receive_data(data)
        except h2.exceptions.ProtocolError:  # somebody speaks HTTP/1.1
            self.transport.close()
            return
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                self.streams[event.stream_id] = dict(event.headers)  # type: ignore[arg-type]
            elif isinstance(event, h2.events.DataReceived):
                self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                task = asyncio.create_task(self.respond(event.stream_id))
                self.tasks.add(task)
            elif isinstance(event, h2.events.StreamReset):
                self.seen.append(f"reset {int(event.error_code)}")
                self.streams.pop(event.stream_id, None)
        self.flush()

    def leave(self, last_stream_id: int, error_code: int = 0) -> None:
        """GOAWAY, of which this side's h2 knows nothing: it would take no more."""
        self.last = last_stream_id
        frame = GoAwayFrame(0, last_stream_id=last_stream_id, error_code=error_code)
        self.flush()
        self.transport.write(frame.serialize())  # type: ignore[attr-defined]

    async def answer_and_leave(self, stream_id: int) -> None:
        """Say that this is the last answer, as servers do: first without knowing which one is, and in its middle."""
        self.leave(2**31 - 1)
        head = [(":status", "200"), ("content-type", "text/event-stream")]
        self.conn.send_headers(stream_id, head)
        self.conn.send_data(stream_id, b"data: 0\n\n")
        self.leave(stream_id)
        for number in range(1, 3):
            self.conn.send_data(stream_id, b"data: %d\n\n" % number)
            self.flush()
            await asyncio.sleep(0.005)
        self.conn.end_stream(stream_id)

    async def respond(self, stream_id: int) -> None:
        if stream_id > self.last:
            return
        what = self.decide(self.streams[stream_id])
        self.seen.append(what)
        if what == "429":
            self.conn.send_headers(stream_id, [(":status", "429")])
            self.conn.send_data(stream_id, b"no", end_stream=True)
        elif what == "rst":
            self.conn.reset_stream(stream_id, 2)
        elif what == "goaway":
            self.conn.close_connection()
        elif what == "refused":
            self.conn.reset_stream(stream_id, 7)
        elif what == "unseen":
            self.leave(0)
        elif what == "leaving":
            await self.answer_and_leave(stream_id)
        elif what in ("ok", "slow"):
            self.conn.send_headers(
                stream_id, [(":status", "200"), ("content-type", "text/event-stream")]
            )
            for number in range(3 if what == "ok" else 1000):
                if stream_id not in self.streams:
                    return
                self.conn.send_data(stream_id, b"data: %d\n\n" % number)
                self.flush()
                await asyncio.sleep(0.005)
            self.conn.end_stream(stream_id)
        self.flush()


@asynccontextmanager
async def h2_upstream(
    decide: Callable[[dict[str, str]], str],
) -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP/2 upstream: its URL, and what it saw and did."""
    seen: list[str] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: H2Upstream(decide, seen), "127.0.0.1", 0, ssl=server_tls("h2", "http/1.1")
    )
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"https://127.0.0.1:{port}/v1/x", seen
    finally:
        server.close()


class H2Client:
    """A client with several streams on one HTTP/2 connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.bodies: dict[int, bytes] = {}
        self.statuses: dict[int, str] = {}
        self.ended: set[int] = set()

    async def __aenter__(self) -> H2Client:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=client_tls("h2")
        )
        self.conn = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        )
        self.conn.initiate_connection()
        self.flush()
        self.task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()

    def flush(self) -> None:
        self.writer.write(self.conn.data_to_send())

    def send(self, body: bytes = b"{}") -> int:
        stream_id = self.conn.get_next_available_stream_id()
        self.bodies[stream_id] = b""
        self.conn.send_headers(
            stream_id,
            [(":method", "POST"), (":scheme", "https"), (":path", "/v1/x"), (":authority", "x")],
        )
        self.conn.send_data(stream_id, body, end_stream=True)
        self.flush()
        return stream_id

    def cancel(self, stream_id: int) -> None:
        self.conn.reset_stream(stream_id, 8)
        self.flush()

    async def _read(self) -> None:
        while data := await self.reader.read(65536):
            for event in self.conn.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    self.statuses[event.stream_id] = dict(event.headers)[":status"]  # type: ignore[index]
                elif isinstance(event, h2.events.DataReceived):
                    self.bodies[event.stream_id] += event.data
                    self.conn.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                    self.ended.add(event.stream_id)
            self.flush()
