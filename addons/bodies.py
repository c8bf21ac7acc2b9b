"""Request bodies as plain bytes: content encodings undone, bounded against bombs.

Pure functions. Codex sends zstd frames without a content size, so everything is decoded in pieces.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Final

import brotli  # type: ignore[import-untyped]
import zstandard

from translators.errors import ErrorKind, GatewayError

_PIECE_BYTES: Final = 256 * 1024
_MAX_ENCODINGS: Final = 3
_MAX_MEMBERS: Final = 100
"""Of one gzip body. Each costs a copy of all that follow: 2 MB of empty ones took 5.5 s (measured)."""


def decode(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Undo a `content-encoding` (a comma-separated list, applied last first).

    Errors: `too_large` past the limit, `invalid_request` with status 415 for an unknown encoding and with
    status 400 for damaged data.
    """
    names = [name.strip().lower() for name in encoding.split(",") if name.strip()]
    if len(names) > _MAX_ENCODINGS:
        raise GatewayError(ErrorKind.INVALID_REQUEST, "too many content encodings", status=415)
    for name in reversed(names):
        if name in ("identity", ""):
            continue
        decoder = _DECODERS.get(name)
        if decoder is None:
            raise GatewayError(
                ErrorKind.INVALID_REQUEST,
                f'content-encoding "{name[:40]}" is not supported (known: {", ".join(_DECODERS)})',
                code="unsupported_content_encoding",
                status=415,
            )
        body = _bounded(decoder(body), name, limit_bytes)
    if len(body) > limit_bytes:
        raise too_large(limit_bytes)
    return body


def too_large(limit_bytes: int) -> GatewayError:
    """The error for a request body beyond the limit."""
    return GatewayError(
        ErrorKind.TOO_LARGE,
        f"the request body is larger than {limit_bytes} bytes "
        "(limits.max_request_bytes of the gateway)",
    )


def _bounded(pieces: Iterator[bytes], name: str, limit_bytes: int) -> bytes:
    out = bytearray()
    try:
        for piece in pieces:
            out += piece
            if len(out) > limit_bytes:
                raise too_large(limit_bytes)
    except (zlib.error, zstandard.ZstdError, brotli.error, EOFError) as error:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST,
            f"the request body is not valid {name} data",
            code="corrupt_content_encoding",
        ) from error
    return bytes(out)


def _zlib(body: bytes, wbits: int) -> Iterator[bytes]:
    for _ in range(_MAX_MEMBERS):  # gzip allows several, one after the other
        if not body:
            return
        decompressor = zlib.decompressobj(wbits)
        yield decompressor.decompress(body, _PIECE_BYTES)
        while decompressor.unconsumed_tail:
            yield decompressor.decompress(decompressor.unconsumed_tail, _PIECE_BYTES)
        if not decompressor.eof:
            raise EOFError
        body = decompressor.unused_data
    if body:
        raise EOFError


def _gzip(body: bytes) -> Iterator[bytes]:
    return _zlib(body, 16 + zlib.MAX_WBITS)


def _deflate(body: bytes) -> Iterator[bytes]:
    # RFC 9110 means zlib; many clients mean raw deflate.
    raw = len(body) < 2 or (body[0] & 0x0F) != 8 or int.from_bytes(body[:2]) % 31 != 0
    return _zlib(body, -zlib.MAX_WBITS if raw else zlib.MAX_WBITS)


def _brotli(body: bytes) -> Iterator[bytes]:
    decompressor = brotli.Decompressor()
    yield decompressor.process(body, output_buffer_limit=_PIECE_BYTES)
    while not decompressor.is_finished():
        piece = decompressor.process(b"", output_buffer_limit=_PIECE_BYTES)
        if not piece and not decompressor.is_finished():
            raise EOFError
        yield piece


def _zstd(body: bytes) -> Iterator[bytes]:
    # Several frames and frames without a content size are both legal and both seen.
    reader = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True)
    while piece := reader.read(_PIECE_BYTES):
        yield piece


_DECODERS: Final[dict[str, Callable[[bytes], Iterator[bytes]]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
