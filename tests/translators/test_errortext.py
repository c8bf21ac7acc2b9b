"""The useful sentence in any error body, safe to show."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from translators.errortext import (
    MAX_MESSAGE_CHARS,
    clean,
    find_message,
    is_context_overflow,
    message_of,
    read_body,
    redact,
)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param({"error": {"message": "m", "type": "t"}}, "m", id="OpenAI"),
        pytest.param(
            {"type": "error", "error": {"type": "t", "message": "m"}}, "m", id="Anthropic"
        ),
        pytest.param([{"error": {"code": 4, "message": "m", "status": "S"}}], "m", id="Google"),
        pytest.param({"code": 1113, "msg": "m"}, "m", id="code and msg"),
        pytest.param({"base_resp": {"status_code": 1, "status_msg": "m"}}, "m", id="base_resp"),
        pytest.param({"detail": "m"}, "m", id="detail"),
        pytest.param({"detail": [{"loc": ["body"], "msg": "m"}]}, "m", id="pydantic"),
        pytest.param({"error": json.dumps({"error": {"message": "m"}})}, "m", id="nested text"),
        pytest.param({"message": "", "error": "m"}, "m", id="an empty message"),
        pytest.param({"errors": ["m"]}, "m", id="a list"),
        pytest.param({"code": 5}, "default", id="no sentence"),
    ],
)
def test_json(body: Any, message: str) -> None:
    assert message_of(json.dumps(body).encode(), "default") == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "default", id="nothing"),
        pytest.param(b"plain\r\n text", "plain text", id="plain text"),
        pytest.param(
            b"<!DOCTYPE html><html><head><title>\n504 Gateway &amp; Co</title></head></html>",
            "504 Gateway & Co",
            id="a title",
        ),
        pytest.param(b"<html><body><h1>Nope</h1><p>x</p></body></html>", "Nope", id="a heading"),
        pytest.param(
            b"<html><style>p{}</style><body><p>only</p> text<script>x()</script></body></html>",
            "only text",
            id="no heading",
        ),
        pytest.param(gzip.compress(b'{"error":{"message":"m"}}'), "m", id="ENC-05 gzip"),
        pytest.param(b"\x1f\x8bbroken", "default", id="broken gzip"),
        pytest.param(b"\xef\xbb\xbf" + b'{"error":"m"}', "m", id="a byte order mark"),
        pytest.param(b'"{\\"detail\\":\\"m\\"}"', "m", id="JSON in a string"),
        pytest.param(b"null", "null", id="null"),
    ],
)
def test_other_bodies(body: bytes, message: str) -> None:
    assert message_of(body, "default") == message


def test_deep_nesting_ends() -> None:
    body: Any = "m"
    for _ in range(50):
        body = {"error": body}
    assert find_message(body) is None


def test_read_body_gives_objects_only() -> None:
    assert read_body(b'[{"a":1}]') == {"a": 1}
    assert read_body(b"5") is None
    assert read_body(b"[]") is None


def test_messages_are_one_short_clean_line() -> None:
    assert clean("a\x00\x1b[31m\nb\u2028c") == "a [31m b c"
    long = clean("x" * 10_000)
    assert len(long) == MAX_MESSAGE_CHARS
    assert long.endswith("…")


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdefgh12345678",
        "sk-proj-AbC_123-xyz9",
        "sk-ant-api03-abcdefghij",
        "AIza" + "SyA1234567890abcdefghijklmnopqrst",
        "gsk_abcdefgh12345678",
        "ya29.a0AfH6SMBabcdefghij",
        "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
    ],
)
def test_err_14_secrets_are_redacted(secret: str) -> None:
    for text in (secret, f"Incorrect API key provided: {secret}.", f"Bearer {secret}"):
        assert secret not in redact(text)
        assert "[redacted]" in redact(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET https://a/b?key=abc&alt=sse", "GET https://a/b?key=[redacted]&alt=sse"),
        ("https://a?alt=sse&api_key=abc", "https://a?alt=sse&api_key=[redacted]"),
        ("x-api-key: abcdefgh", "x-api-key: [redacted]"),
        ("the task-sk list is fine", "the task-sk list is fine"),
        ("model gpt-5 key figures", "model gpt-5 key figures"),
    ],
)
def test_err_14_only_the_secret_goes(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9000",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).",
        "Your input exceeds the context window of this model.",
        "the request exceeds the available context size",
        "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000",
        "Requested token count exceeds the model's maximum context length",
    ],
)
def test_overflow_in_many_words(message: str) -> None:
    assert is_context_overflow(message)


@pytest.mark.parametrize(
    "message",
    [
        "Rate limit reached: too many tokens per minute",
        "max_tokens is too large: 99999",
        "Invalid value for temperature",
        "Request too large for model in organization on tokens per minute (TPM): Limit 6000",
    ],
)
def test_what_is_no_overflow(message: str) -> None:
    assert not is_context_overflow(message)
