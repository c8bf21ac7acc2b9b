"""A provider that fails in every way a network and a server can: `FaultUpstream` serves four protocols on loopback.

The fault is named in the request's model: `fault-NAME~SEED`; the seed places it. Good answers are rendered once by
the fake provider's speakers and then cut, slowed and damaged here.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Final, Self

from scripts.fake.dialects import DIALECTS, locate
from scripts.fake.http import Connection, Reply, Request
from scripts.fake.rendering import dump
from scripts.fake.view import Say, Turn, Usage, View

NAME: Final = re.compile(rb"fault-([a-z0-9-]+)~(\d+)")
TEXT: Final = "Grüße, 世界! " * 40 + "END-OF-ANSWER"
HUGE_LINE_BYTES: Final = 100 * 1024 * 1024
STALL_S: Final = 30.0
_ERROR: Final = (
    b'{"error":{"message":"injected","type":"server_error","code":%d,"status":"UNAVAILABLE"}}'
)


class Exchange:
    """One request: the good answer in frames, and how to send bytes."""

    def __init__(self, request: Request, reply: Reply, seed: int) -> None:
        self.reply = reply
        self.random = random.Random(seed)  # noqa: S311 - places faults
        self.protocol, self.stream, self.frames = placed(request)
        self.body = b"".join(self.frames)
        self.type = b"text/event-stream" if self.stream else b"application/json"

    def head(self, more: bytes, status: bytes = b"200 OK") -> None:
        """Send a head."""
        self.reply.raw(b"HTTP/1.1 %b\r\ncontent-type: %b\r\n%b\r\n\r\n" % (status, self.type, more))

    def chunk(self, data: bytes) -> None:
        """Send one HTTP chunk."""
        self.reply.raw(b"%x\r\n%b\r\n" % (len(data), data))

    def chunked(self, data: bytes) -> None:
        """Send a head and the first bytes of a chunked body."""
        self.head(b"transfer-encoding: chunked")
        if data:
            self.chunk(data)

    def cut(self) -> int:
        """A random place in the answer, never its end."""
        return self.random.randrange(max(1, len(self.body) * 3 // 4))


def placed(request: Request) -> tuple[str, bool, list[bytes]]:
    """What a request asks for: protocol, whether it streams, and the good answer."""
    called = locate(request)
    protocol = called.dialect.name if called is not None else "openai_chat"
    compact = request.body.replace(b" ", b"")
    stream = called is not None and (called.stream or b'"stream":true' in compact)
    return protocol, stream, answer(protocol, stream)


@lru_cache
def answer(protocol: str, stream: bool) -> list[bytes]:
    """A good answer: frames of a stream, or one body."""
    view = View(protocol=protocol, model="m", stream=stream, digest="fault", size=400)
    turn = Turn(parts=(Say(TEXT),), usage=Usage(10, 20), piece_chars=20)
    dialect = DIALECTS[protocol]
    return dialect.stream(turn, view).frames if stream else [dump(dialect.unary(turn, view))]


async def none(one: Exchange) -> None:
    one.chunked(one.body)
    one.reply.end()


async def pieces(one: Exchange) -> None:
    one.head(b"transfer-encoding: chunked")
    size = one.random.randrange(3, 40)
    for start in range(0, len(one.body), size):
        one.chunk(one.body[start : start + size])
    one.reply.end()


async def refuse(one: Exchange) -> None:
    one.reply.close()


async def reset(one: Exchange) -> None:
    one.chunked(one.body[: one.cut()])
    await asyncio.sleep(0.005)
    one.reply.reset()


async def close(one: Exchange) -> None:
    one.chunked(one.body[: one.cut()])
    one.reply.close()


async def truncated(one: Exchange) -> None:
    one.chunked(one.body[: one.cut()])
    one.reply.end()


async def stall(one: Exchange) -> None:
    one.chunked(one.body[: one.cut()])
    await asyncio.sleep(STALL_S)


async def mute(one: Exchange) -> None:
    await asyncio.sleep(STALL_S)


async def drip(one: Exchange) -> None:
    one.head(b"transfer-encoding: chunked")
    step = len(one.body) // 8 + 1
    for start in range(0, len(one.body), step):
        one.chunk(one.body[start : start + step])
        await asyncio.sleep(0.02)
    one.reply.end()


async def long_length(one: Exchange) -> None:
    one.head(b"content-length: %d" % (len(one.body) + 50))
    one.reply.raw(one.body[: one.cut()])
    one.reply.close()


async def short_length(one: Exchange) -> None:
    cut = one.cut()
    one.head(b"content-length: %d\r\nconnection: close" % cut)
    one.reply.raw(one.body[:cut])
    one.reply.close()


async def bad_chunk(one: Exchange) -> None:
    one.chunked(one.body[: one.cut()])
    one.reply.raw(b"ZZ\r\nnonsense\r\n")
    one.reply.close()


async def garbage_json(one: Exchange) -> None:
    middle = len(one.frames) // 2
    broken = b'data: {"garbage": [1, }\n\n' if one.stream else b'{"garbage": [1, }'
    one.chunked(b"".join(one.frames[:middle]) + broken)
    one.reply.end()


async def half_character(one: Exchange) -> None:
    cut = one.body.find("世".encode(), one.cut() // 2) + 1
    one.chunked(one.body[:cut])
    one.reply.close()


async def error_first(one: Exchange) -> None:
    if not one.stream:
        one.chunked(_ERROR % 500)
    elif one.protocol == "anthropic":
        error = b'{"type":"error","error":{"type":"overloaded_error","message":"injected"}}'
        one.chunked(b"event: error\ndata: %b\n\n" % error)
    elif one.protocol == "openai_responses":
        error = b'{"type":"error","code":"server_error","message":"injected","param":null}'
        one.chunked(b"event: error\ndata: %b\n\n" % error)
    else:
        one.chunked(b"data: %b\n\n" % (_ERROR % 503))
    one.reply.end()


async def endless_headers(one: Exchange) -> None:
    one.reply.raw(b"HTTP/1.1 200 OK\r\n")
    for number in range(2000):
        one.reply.raw(b"x-filler-%d: %b\r\n" % (number, b"y" * 200))
        if number % 100 == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(STALL_S)


async def huge_line(one: Exchange) -> None:
    one.chunked(b"data: " if one.stream else b"[")
    piece = b"x" * 1024 * 1024
    for _ in range(HUGE_LINE_BYTES // len(piece)):
        await one.reply.write(piece)
    one.reply.end()


def status(code: int) -> Callable[[Exchange], Awaitable[None]]:
    """A fault that answers with an error status."""

    async def fail(one: Exchange) -> None:
        one.reply.send(code, {"content-type": "application/json"}, _ERROR % code)

    return fail


FAULTS: Final[Mapping[str, Callable[[Exchange], Awaitable[None]]]] = {
    "none": none,
    "pieces": pieces,
    "drip": drip,
    "refuse": refuse,
    "reset": reset,
    "close": close,
    "truncated": truncated,
    "stall": stall,
    "mute": mute,
    "long-length": long_length,
    "short-length": short_length,
    "bad-chunk": bad_chunk,
    "garbage-json": garbage_json,
    "half-character": half_character,
    "error-first": error_first,
    "endless-headers": endless_headers,
    "status-429": status(429),
    "status-500": status(500),
    "status-529": status(529),
    "huge-line": huge_line,
}
HARMLESS: Final = frozenset({"none", "pieces", "drip"})
"""Faults that a client must not notice."""


class FaultUpstream:
    """`async with FaultUpstream() as upstream`: `upstream.base_url`, `upstream.busy`."""

    def __init__(self) -> None:
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._busy = 0
        self.base_url = ""

    @property
    def busy(self) -> int:
        """Answers in progress; one that its reader leaves is cancelled."""
        return self._busy

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle, self._connections), "127.0.0.1", 0, backlog=512
        )
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.shut()
            await self._server.wait_closed()

    def _handle(self, request: Request, reply: Reply) -> Awaitable[None] | None:
        found = NAME.search(request.body) or NAME.search(request.path.encode())
        if found is None or found[1].decode() not in FAULTS:
            reply.send(404, {}, b"no such fault")
            return None
        return self._count(FAULTS[found[1].decode()](Exchange(request, reply, int(found[2]))))

    async def _count(self, answering: Awaitable[None]) -> None:
        self._busy += 1
        try:
            await answering
        finally:
            self._busy -= 1
