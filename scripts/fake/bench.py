"""The `bench` scenario: answers rendered once, then only written, so that the fake does not limit a measurement.

A request is known by `fake-bench` in its path or body; nothing is checked or recorded. Options follow the name:
`fake-bench~chunks=200~delay_ms=5`; with `tool=NAME` half of the chunks are the arguments of a call.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from scripts.fake.dialects import DIALECTS, locate
from scripts.fake.http import Reply, Request
from scripts.fake.rendering import dump
from scripts.fake.scenarios import Options, parse_options
from scripts.fake.view import Call, Offer, Say, Turn, Usage, View

_NAME: Final = re.compile(rb"fake-bench[\w~=.-]*")
_WORDS: Final = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor "
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncache-control: no-cache\r\n%b\r\n\r\n"


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A whole answer as bytes; `pieces` are its chunks for the paced form, `head` included as the first."""

    whole: bytes
    pieces: tuple[bytes, ...]
    delay_s: float


def asks(request: Request) -> bool:
    """True for a request of the bench scenario."""
    return b"fake-bench" in request.body or "fake-bench" in request.path


def answer(request: Request, reply: Reply) -> Awaitable[None] | None:
    """Write the answer at once, or hand back the coroutine that paces it."""
    found = _NAME.search(request.body) or _NAME.search(request.path.encode())
    called = locate(request)
    if found is None or called is None or called.operation != "create":
        reply.send(404, {}, b"")
        return None
    compact = request.body.replace(b" ", b"")
    streaming = called.stream or b'"stream":true' in compact
    usage = b'"include_usage":true' in compact
    try:
        rendered = _render(called.dialect.name, found[0].decode(), streaming, usage)
    except ValueError as error:
        reply.send(400, {}, f"fake provider: {error}".encode())
        return None
    if rendered.delay_s and streaming:
        return _paced(rendered, reply)
    reply.raw(rendered.whole)
    return None


async def _paced(rendered: _Rendered, reply: Reply) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    for piece in rendered.pieces:
        reply.raw(piece)
        due += rendered.delay_s
        await asyncio.sleep(max(0.0, due - loop.time()))


@lru_cache(maxsize=64)
def _render(protocol: str, model: str, streaming: bool, include_usage: bool) -> _Rendered:
    options = parse_options(model.partition("~")[2], Options(), "~")
    dialect = DIALECTS[protocol]
    view = View(
        protocol=protocol,
        model=model,
        stream=streaming,
        digest="bench",
        size=400,
        include_usage=include_usage,
    )
    turn = _turn(options)
    if not streaming:
        body = dump(dialect.unary(turn, view))
        head = _HEAD % (b"application/json", b"content-length: %d" % len(body))
        return _Rendered(head + body, (head + body,), 0)
    head = _HEAD % (b"text/event-stream", b"transfer-encoding: chunked")
    chunks = [b"%x\r\n%b\r\n" % (len(frame), frame) for frame in dialect.stream(turn, view).frames]
    pieces = (head, *chunks, b"0\r\n\r\n")
    return _Rendered(b"".join(pieces), pieces, options.delay_ms / 1000)


def _turn(options: Options) -> Turn:
    size = 20
    said = options.chunks // 2 if options.tool else options.chunks
    # One delta per chunk: spaces would let the pieces drift.
    say = Say(_filler(said * size))
    usage = Usage(100, options.chunks)
    if not options.tool:
        return Turn(parts=(say,), usage=usage, piece_chars=size)
    frame = '{"city":""}'
    arguments = frame[:-2] + _filler((options.chunks - said) * size - len(frame)) + frame[-2:]
    call = Call(Offer(options.tool), arguments)
    return Turn(parts=(say, call), finish="tool", usage=usage, piece_chars=size)


def _filler(length: int) -> str:
    return (_WORDS * (length // len(_WORDS) + 1))[:length].replace(" ", "_")
