"""A small HTTP/1.1 server on asyncio: enough of the protocol for API clients, and every way to break an answer.

It knows no API. Requests on one connection are handled in order; an answer can be sent whole, in HTTP chunks,
or be broken off by closing or resetting the connection.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

_MAX_HEAD_BYTES: Final = 256 * 1024
_END_OF_HEAD: Final = b"\r\n\r\n"
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class BadRequest(Exception):
    """The bytes are not a request that this server can read."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower-case in `headers`, as sent in `raw_headers`."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw_headers: tuple[tuple[str, str], ...]
    body: bytes


type Handler = Callable[[Request, Reply], Awaitable[None] | None]


@dataclass(slots=True)
class _Head:
    method: str
    target: str
    raw_headers: tuple[tuple[str, str], ...]
    headers: dict[str, str] = field(default_factory=dict)


def _ignore(whole: bool) -> None:
    """Nobody wants to know."""


class Reply:
    """The answer to one request, written piece by piece.

    `on_end` is told whether the answer is whole, just before the client can see that it has ended.
    """

    __slots__ = ("_connection", "_transport", "on_end")

    def __init__(self, connection: Connection, transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport
        self.on_end: Callable[[bool], None] = _ignore

    def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer."""
        head = _head_bytes(status, {**headers, "content-length": str(len(body))})
        self.on_end(True)
        self.raw(head + body)

    def raw(self, data: bytes) -> None:
        """Send bytes that were rendered before, head included."""
        self._transport.write(data)

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of an answer in chunks."""
        self.raw(_head_bytes(status, {**headers, "transfer-encoding": "chunked"}))

    async def write(self, data: bytes) -> None:
        """Send one HTTP chunk and wait while the client does not read."""
        if data and not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
            await self._connection.drained()

    def end(self) -> None:
        """End an answer in chunks as HTTP demands."""
        if not self._transport.is_closing():
            self.on_end(True)
            self._transport.write(b"0\r\n\r\n")

    def close(self) -> None:
        """Close the connection in the middle of the answer."""
        self.on_end(False)
        self._transport.close()

    def reset(self) -> None:
        """Break the connection so that the client sees a reset, not an end."""
        self.on_end(False)
        wire = self._transport.get_extra_info("socket")
        if wire is not None:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()


def _head_bytes(status: int, headers: Mapping[str, str]) -> bytes:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Overloaded"
    lines = [
        f"HTTP/1.1 {status} {reason}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Connection(asyncio.Protocol):
    """Reads requests off one connection and hands them to the handler, one at a time."""

    def __init__(self, handler: Handler, open_connections: set[Connection]) -> None:
        self._handler = handler
        self._open = open_connections
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        self._transport = transport
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def drained(self) -> None:
        """Wait until the client has read enough."""
        await self._writable.wait()

    def shut(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._advance()

    def _advance(self) -> None:
        """Handle every request that is complete, until one takes longer."""
        transport = self._transport
        while transport is not None and self._task is None and not transport.is_closing():
            try:
                request = self._next(transport)
            except BadRequest as error:
                body = str(error).encode()
                Reply(self, transport).send(400, {"connection": "close"}, body)
                transport.close()
                return
            if request is None:
                return
            pending = self._handler(request, Reply(self, transport))
            if pending is not None:
                self._task = asyncio.ensure_future(self._finish(pending))

    async def _finish(self, pending: Awaitable[None]) -> None:
        try:
            await pending
        finally:
            self._task = None
        self._advance()

    def _next(self, transport: asyncio.Transport) -> Request | None:
        """The next complete request in the buffer, or None."""
        if self._head is None:
            end = self._buffer.find(_END_OF_HEAD)
            if end < 0:
                if len(self._buffer) > _MAX_HEAD_BYTES:
                    raise BadRequest("request head too large")
                return None
            self._head = _parse_head(bytes(self._buffer[:end]))
            del self._buffer[: end + len(_END_OF_HEAD)]
            if self._head.headers.get("expect", "").lower() == "100-continue":
                transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = self._head
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            body = _take_chunked(self._buffer)
        else:
            length = int(head.headers.get("content-length", "0") or 0)
            body = None
            if len(self._buffer) >= length:
                body = bytes(self._buffer[:length])
                del self._buffer[:length]
        if body is None:
            return None
        self._head = None
        return _request(head, body)


def _parse_head(data: bytes) -> _Head:
    lines = data.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest(f"not an HTTP/1.1 request line: {lines[0][:100]}")
    pairs = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest(f"not a header: {line[:100]}")
        pairs.append((name, value.strip()))
    head = _Head(parts[0], parts[1], tuple(pairs))
    for name, value in pairs:
        key = name.lower()
        head.headers[key] = f"{head.headers[key]},{value}" if key in head.headers else value
    return head


def _take_chunked(buffer: bytearray) -> bytes | None:
    """Take a whole chunked body off the buffer, or leave it there and return None."""
    body = bytearray()
    position = 0
    while True:
        line_end = buffer.find(b"\r\n", position)
        if line_end < 0:
            return None
        try:
            size = int(bytes(buffer[position:line_end]).split(b";")[0], 16)
        except ValueError as error:
            raise BadRequest("bad chunk size") from error
        start = line_end + 2
        if size == 0:
            end = buffer.find(b"\r\n", start)
            if end < 0:
                return None
            del buffer[: end + 2]
            return bytes(body)
        if len(buffer) < start + size + 2:
            return None
        body += buffer[start : start + size]
        position = start + size + 2


def _request(head: _Head, body: bytes) -> Request:
    target = urlsplit(head.target)
    coding = head.headers.get("content-encoding", "identity").lower()
    try:
        if coding == "gzip":
            body = gzip.decompress(body)
        elif coding == "deflate":
            body = zlib.decompress(body)
        elif coding != "identity":
            raise BadRequest(f"unsupported content-encoding: {coding}")
    except (OSError, EOFError, zlib.error) as error:
        raise BadRequest(f"the body is not {coding}") from error
    query = dict(parse_qsl(target.query, keep_blank_values=True))
    return Request(head.method, unquote(target.path), query, head.headers, head.raw_headers, body)
