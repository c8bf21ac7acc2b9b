"""Content encodings of request bodies: what real clients send, and what attackers do."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard

from addons.bodies import decode
from translators.errors import ErrorKind, GatewayError

BODY = b'{"model":"m","messages":[]}' * 50
LIMIT = 1_000_000


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def zstd_without_size(data: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        pytest.param("", BODY, id="none"),
        pytest.param("identity", BODY, id="identity"),
        pytest.param("gzip", gzip.compress(BODY), id="gzip"),
        pytest.param("GZIP", gzip.compress(BODY), id="upper case"),
        pytest.param("x-gzip", gzip.compress(BODY), id="the old name of gzip"),
        pytest.param(
            "gzip", gzip.compress(BODY[:100]) + gzip.compress(BODY[100:]), id="two members"
        ),
        pytest.param("deflate", zlib.compress(BODY), id="deflate as zlib"),
        pytest.param("deflate", raw_deflate(BODY), id="deflate raw"),
        pytest.param("br", brotli.compress(BODY), id="brotli"),
        pytest.param("zstd", zstandard.compress(BODY), id="ENC-01 zstd with content size"),
        pytest.param("zstd", zstd_without_size(BODY), id="ENC-02 zstd without content size"),
        pytest.param(
            "zstd",
            zstandard.compress(BODY[:70]) + zstd_without_size(BODY[70:]),
            id="ENC-02 several zstd frames",
        ),
        pytest.param("gzip, zstd", zstandard.compress(gzip.compress(BODY)), id="two encodings"),
    ],
)
def test_decodes(encoding: str, data: bytes) -> None:
    assert decode(data, encoding, LIMIT) == BODY


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", gzip.compress(bytes(5_000_000))),
        ("deflate", zlib.compress(bytes(5_000_000))),
        ("br", brotli.compress(bytes(5_000_000))),
        ("zstd", zstandard.compress(bytes(5_000_000))),
        ("", bytes(5_000_000)),
    ],
)
def test_enc_01_a_bomb_is_too_large(encoding: str, data: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        decode(data, encoding, LIMIT)
    assert caught.value.kind is ErrorKind.TOO_LARGE


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_enc_01_damaged_data_is_the_clients_fault(encoding: str) -> None:
    with pytest.raises(GatewayError) as caught:
        decode(b"this is not compressed at all", encoding, LIMIT)
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert caught.value.status is None


@pytest.mark.parametrize("content", [b"", b"x"])
def test_enc_01_members_without_end_are_damage(content: bytes) -> None:
    member = gzip.compress(content)
    assert decode(member * 100, "gzip", 1000) == content * 100
    with pytest.raises(GatewayError, match="not valid gzip data"):
        decode(member * 101, "gzip", 1000)


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", gzip.compress(BODY)[:-12]),
        ("deflate", zlib.compress(BODY)[:-6]),
        ("br", brotli.compress(BODY)[:-3]),
    ],
)
def test_cut_data_is_not_a_shorter_body(encoding: str, data: bytes) -> None:
    with pytest.raises(GatewayError, match="not valid"):
        decode(data, encoding, LIMIT)


def test_enc_01_an_unknown_encoding_is_415() -> None:
    with pytest.raises(GatewayError) as caught:
        decode(b"x", "lzma", LIMIT)
    assert caught.value.status == 415
