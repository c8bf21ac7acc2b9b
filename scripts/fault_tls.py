"""The half of the failing provider that needs TLS: handshakes that go wrong, and faults of HTTP/2.

`FaultTls` listens once per certificate, on loopback; the CA is made at its start and never leaves its folder. The
answers are those of `fault_upstream`; the fault is named in the request's model, or is the port itself.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hyperframe.frame import GoAwayFrame

from scripts.fake.http import Request
from scripts.fault_upstream import NAME, STALL_S, placed

DAY: Final = datetime.timedelta(days=1)
HANDSHAKE_FAILURE: Final = bytes((21, 3, 3, 0, 2, 2, 40))
"""A TLS record: fatal alert 40."""


class Authority:
    """A CA of one run, and the certificates that it signs; all files lie in `folder`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        made = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file.write_bytes(self._sign(made))

    def server(self, name: str, *alpn: str) -> ssl.SSLContext:
        """The TLS of a server with a certificate for this name or address."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(subject, key).add_extension(
            x509.SubjectAlternativeName([_general(name)]), critical=False
        )
        file = self._folder / f"{self.file.stem}-{name}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + self._sign(made)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
        )

    def _sign(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


# --- HTTP/2


class Stream:
    """One HTTP/2 request: the good answer, and the pen."""

    def __init__(self, server: Http2, stream_id: int, request: Request, seed: int) -> None:
        self.server = server
        self.id = stream_id
        self.protocol, self.stream, self.frames = placed(request)
        self.body = b"".join(self.frames)
        self.sent = 0
        self.random = random.Random(seed)  # noqa: S311 - places faults

    def head(self) -> None:
        """Send the head of a good answer."""
        kind = "text/event-stream" if self.stream else "application/json"
        self.server.h2.send_headers(self.id, [(":status", "200"), ("content-type", kind)])
        self.server.flush()

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """Send as much of a body as the peer's window takes, and wait for the rest."""
        h2c = self.server.h2
        while data:
            size = min(
                len(data), h2c.local_flow_control_window(self.id), h2c.max_outbound_frame_size
            )
            if size == 0:
                await self.server.window()
                continue
            h2c.send_data(self.id, data[:size])
            data = data[size:]
            self.server.flush()
        if end:
            h2c.end_stream(self.id)
            self.server.flush()

    async def part(self) -> None:
        """Send a head and a random part of the body, never its end."""
        self.head()
        self.sent = 1 + self.random.randrange(len(self.body) * 3 // 4)
        await self.send(self.body[: self.sent])

    async def rest(self) -> None:
        """Send what `part` has left."""
        await self.send(self.body[self.sent :], end=True)

    def reset(self, code: h2.errors.ErrorCodes = h2.errors.ErrorCodes.INTERNAL_ERROR) -> None:
        """RST_STREAM."""
        self.server.h2.reset_stream(self.id, code)
        self.server.flush()

    def goaway(self, last: int) -> None:
        """GOAWAY, and the connection closes."""
        self.server.h2.close_connection(h2.errors.ErrorCodes.INTERNAL_ERROR, last_stream_id=last)
        self.server.flush()
        self.server.transport.close()


async def h2_none(one: Stream) -> None:
    one.head()
    await one.send(one.body, end=True)


async def h2_drip(one: Stream) -> None:
    one.head()
    step = len(one.body) // 8 + 1
    for start in range(0, len(one.body), step):
        await one.send(one.body[start : start + step])
        await asyncio.sleep(0.02)
    await one.send(b"", end=True)


async def h2_reset_first(one: Stream) -> None:
    one.reset(h2.errors.ErrorCodes.REFUSED_STREAM)


async def h2_reset_middle(one: Stream) -> None:
    await one.part()
    await asyncio.sleep(0.005)
    one.reset()


async def h2_goaway_first(one: Stream) -> None:
    one.goaway(0)


async def h2_goaway_middle(one: Stream) -> None:
    await one.part()
    await asyncio.sleep(0.005)
    one.goaway(one.id)


async def h2_goaway_graceful(one: Stream) -> None:
    """As servers leave that are deployed anew: this answer is the last one. h2 itself would take no more after it."""
    await one.part()
    frame = GoAwayFrame(0, last_stream_id=one.id, error_code=0)
    one.server.transport.write(frame.serialize())
    await one.rest()
    one.server.transport.close()


async def h2_close_middle(one: Stream) -> None:
    await one.part()
    one.server.transport.close()


async def h2_truncated(one: Stream) -> None:
    await one.part()
    await one.send(b"", end=True)


async def h2_mute(one: Stream) -> None:
    await asyncio.sleep(STALL_S)


async def h2_stall(one: Stream) -> None:
    await one.part()
    await asyncio.sleep(STALL_S)


async def h2_status(one: Stream) -> None:
    one.server.h2.send_headers(one.id, [(":status", "503"), ("content-type", "application/json")])
    await one.send(b'{"error":{"message":"injected","type":"server_error"}}', end=True)


H2_FAULTS: Final[Mapping[str, Callable[[Stream], Awaitable[None]]]] = {
    "h2-none": h2_none,
    "h2-drip": h2_drip,
    "h2-reset-first": h2_reset_first,
    "h2-reset-middle": h2_reset_middle,
    "h2-goaway-first": h2_goaway_first,
    "h2-goaway-middle": h2_goaway_middle,
    "h2-goaway-graceful": h2_goaway_graceful,
    "h2-close-middle": h2_close_middle,
    "h2-truncated": h2_truncated,
    "h2-mute": h2_mute,
    "h2-stall": h2_stall,
    "h2-status-503": h2_status,
}


class Http2(asyncio.Protocol):
    """One connection of a client that speaks HTTP/2, or HTTP/1.1 that is not answered."""

    transport: asyncio.Transport

    def __init__(self, owner: FaultTls) -> None:
        self._owner = owner
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._answers: dict[int, asyncio.Task[None]] = {}
        self._opened = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_server's promise
        self.transport = transport
        self._owner.connections.add(self)
        self.h2.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for an answer any more."""
        self._owner.connections.discard(self)
        for task in self._answers.values():
            task.cancel()

    def flush(self) -> None:
        """Send what h2 has made."""
        if (data := self.h2.data_to_send()) and not self.transport.is_closing():
            self.transport.write(data)

    async def window(self) -> None:
        """Wait until the peer takes more."""
        self._opened.clear()
        await self._opened.wait()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.transport.close()
            return
        for event in events:
            self._take(event)
        self.flush()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._heads[event.stream_id] = dict(event.headers)  # type: ignore[arg-type]
                self._bodies[event.stream_id] = bytearray()
            case h2.events.DataReceived():
                self._bodies[event.stream_id] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self._answer(event.stream_id)
            case h2.events.StreamReset():
                if (task := self._answers.pop(event.stream_id, None)) is not None:
                    task.cancel()
            case h2.events.WindowUpdated():
                self._opened.set()
            case _:
                pass

    def _answer(self, stream_id: int) -> None:
        head, body = self._heads.pop(stream_id), bytes(self._bodies.pop(stream_id))
        path, _, query = head[":path"].partition("?")
        pairs = dict(pair.split("=", 1) for pair in query.split("&") if "=" in pair)
        request = Request("POST", path, pairs, head, tuple(head.items()), body)
        found = NAME.search(body) or NAME.search(path.encode())
        if found is None or found[1].decode() not in H2_FAULTS:
            self.transport.close()
            return
        one = Stream(self, stream_id, request, int(found[2]))
        fault = H2_FAULTS[found[1].decode()]
        task = asyncio.get_running_loop().create_task(self._settled(fault, one))
        self._answers[stream_id] = task
        task.add_done_callback(lambda _task: self._answers.pop(stream_id, None))

    async def _settled(self, fault: Callable[[Stream], Awaitable[None]], one: Stream) -> None:
        with suppress(h2.exceptions.ProtocolError):  # the reader has reset or closed meanwhile
            await self._owner.count(fault(one))


# --- handshakes


class Refusing(asyncio.Protocol):
    """Answer a ClientHello with an alert."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        assert isinstance(self._transport, asyncio.Transport)  # noqa: S101 - create_server's promise
        self._transport.write(HANDSHAKE_FAILURE)
        self._transport.close()


class Silent(asyncio.Protocol):
    """Take a ClientHello and say nothing: connecting takes too long."""


class Leaving(asyncio.Protocol):
    """Finish the handshake and close on the first bytes of a request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._transport.close()


TLS_FAULTS: Final = (
    "tls-refused",
    "tls-silent",
    "tls-untrusted",
    "tls-wrong-name",
    "tls-cut",
)


class FaultTls:
    """`async with FaultTls(folder) as tls`: `tls.urls[name]` per fault and `h2`; `tls.ca_file` is to be trusted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[asyncio.Server] = []
        self.connections: set[Http2] = set()
        self.urls: dict[str, str] = {}
        self.ca_file = folder / "known.pem"
        self.busy = 0

    async def __aenter__(self) -> Self:
        known = Authority(self._folder, "known")
        stranger = Authority(self._folder, "stranger")
        await self._listen("h2", lambda: Http2(self), known.server("localhost", "h2"))
        await self._listen("tls-refused", Refusing, None)
        await self._listen("tls-silent", Silent, None)
        await self._listen("tls-untrusted", Leaving, stranger.server("localhost"))
        await self._listen("tls-wrong-name", Leaving, known.server("another.example"))
        await self._listen("tls-cut", Leaving, known.server("localhost", "http/1.1"))
        return self

    async def _listen(
        self, name: str, factory: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None
    ) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(factory, "127.0.0.1", 0, ssl=tls, backlog=512)
        self._servers.append(server)
        self.urls[name] = f"https://localhost:{server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.transport.abort()

    async def count(self, answering: Awaitable[None]) -> None:
        """Count an answer while it lasts."""
        self.busy += 1
        try:
            await answering
        finally:
            self.busy -= 1

    def providers(self, protocols: Mapping[str, str]) -> dict[str, Any]:
        """Provider entries: `h2-NAME` per protocol, and one per broken handshake."""
        entries = {
            f"h2-{name}": {
                "protocol": protocol,
                "base_url": f"{self.urls['h2']}/{'v1beta' if protocol == 'gemini' else 'v1'}",
            }
            for name, protocol in protocols.items()
        }
        entries |= {
            name: {"protocol": "openai_chat", "base_url": f"{self.urls[name]}/v1"}
            for name in TLS_FAULTS
        }
        trusting = {"api_key": "k", "ca_file": str(self.ca_file)}
        return {name: entry | trusting for name, entry in entries.items()}
