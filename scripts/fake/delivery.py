"""Sends a streamed answer the way a scenario wants it: in odd pieces, slowly, broken off, or with an error inside."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

from scripts.fake.dialects import Dialect
from scripts.fake.http import Reply
from scripts.fake.record import Recorded
from scripts.fake.rejection import MESSAGES, Rejection
from scripts.fake.scenarios import Options
from scripts.fake.view import Turn, View

STALL_S: Final = 3600
WHOLE: Final = ("", "full", "given-up")
"""Failures that break nothing off."""
_COMMENT: Final = b": keep-alive\n\n"


async def deliver(
    dialect: Dialect,
    turn: Turn,
    view: View,
    options: Options,
    reply: Reply,
    item: Recorded,
    headers: Mapping[str, str],
) -> None:
    """Stream `turn`; whatever goes wrong is `options`' wish."""
    kind = "application/json" if view.as_array else "text/event-stream"
    reply.start(200, {"content-type": kind, "cache-control": "no-cache", **headers})
    stream = dialect.stream(turn, view)
    frames = stream.frames
    if options.failure not in WHOLE:
        # A broken stream never contains its own end.
        body = frames[: len(frames) - stream.tail]
        frames = body[: 0 if options.failure == "error-first" else options.after]
    if options.failure.startswith("error"):
        error = Rejection(options.status, MESSAGES.get(options.status, "The request failed."))
        frames = [*frames, *dialect.stream_error(error, view, len(frames))]
    for written in _written(frames, options):
        item.frames.append(written)
        await reply.write(written)
        if options.delay_ms:
            await asyncio.sleep(options.delay_ms / 1000)
    if options.failure == "stall":
        await asyncio.sleep(STALL_S)
    if options.failure == "cut" and options.how != "clean":
        await asyncio.sleep(0)
        (reply.reset if options.how == "reset" else reply.close)()
        return
    reply.end()


def _written(frames: list[bytes], options: Options) -> Iterator[bytes]:
    """The frames as they are written: with comments, CRLF, and cut into pieces of `chunk_bytes`."""
    if options.comments:
        frames = [part for frame in frames for part in (_COMMENT, frame)]
    if options.crlf:
        frames = [frame.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for frame in frames]
    if not options.chunk_bytes:
        yield from frames
        return
    whole = b"".join(frames)
    for start in range(0, len(whole), options.chunk_bytes):
        yield whole[start : start + options.chunk_bytes]
