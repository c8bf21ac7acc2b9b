"""Pitfalls, group 19: compression, over HTTP."""

from __future__ import annotations

import gzip
import json
import zlib

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway

BODY = json.dumps({"model": "claude/fake-echo", "input": "compressed hello"}).encode()


def zstd_stream(data: bytes) -> bytes:
    """A frame that does not say how long it will be, as Codex sends it."""
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("br", brotli.compress(BODY)),
        ("zstd", zstandard.compress(BODY)),
        ("zstd", zstd_stream(BODY)),
        ("zstd", zstd_stream(BODY[:20]) + zstd_stream(BODY[20:])),
    ],
    ids=["gzip", "deflate", "br", "zstd", "zstd without size", "zstd in two frames"],
)
def test_enc_01_enc_02_compressed_requests_are_read(
    gateway: Gateway, fake: FakeProvider, encoding: str, data: bytes
) -> None:
    status, _, answer = gateway.post("/v1/responses", data, {"content-encoding": encoding})
    assert status == 200, answer
    assert b"compressed hello" in answer
    (seen,) = fake.record
    assert not seen.header("content-encoding")


@pytest.mark.parametrize(
    ("encoding", "data", "status"),
    [("snappy", BODY, 415), ("zstd", b"garbage", 400), ("gzip", gzip.compress(BODY)[:20], 400)],
)
def test_enc_01_what_cannot_be_read_is_refused_in_words(
    gateway: Gateway, fake: FakeProvider, encoding: str, data: bytes, status: int
) -> None:
    got, _, answer = gateway.post("/v1/responses", data, {"content-encoding": encoding})
    assert got == status
    assert json.loads(answer)["error"]["message"]
    assert not list(fake.record)


@pytest.mark.parametrize("name", ["chat", "responses", "claude", "gemini"])
def test_enc_04_identity_is_asked_for_and_compressed_answers_are_read_all_the_same(
    gateway: Gateway, fake: FakeProvider, name: str
) -> None:
    body = json.dumps({"model": f"{name}/fake-text~gzip", "input": "Hi"}).encode()
    headers = {"accept-encoding": "gzip, br, zstd"}
    status, got, answer = gateway.post("/v1/responses", body, headers)
    assert status == 200
    assert json.loads(answer)["status"] == "completed"
    assert "content-encoding" not in got
    (seen,) = fake.record
    assert seen.header("accept-encoding") == "identity"
