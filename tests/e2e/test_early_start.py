"""A client is promised its stream while the upstream is still silent, and hears an honest end if it never speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.providers import four_providers

TIMEOUTS = {"early_start_s": 0.1, "ping_interval_s": 0.1, "first_byte_s": 0.7, "idle_s": 0.7}
PAIRS = [
    ("claude", "responses"),
    ("responses", "responses"),
    ("chat", "claude"),
    ("gemini", "chat"),
]
PATHS = {
    "claude": "/v1/messages",
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
    "gemini": "/v1beta/models/MODEL:streamGenerateContent?alt=sse",
}


@pytest.fixture(scope="module")
def quick(shared_fake: FakeProvider) -> Iterator[Gateway]:
    with Gateway(four_providers(shared_fake, timeouts=TIMEOUTS)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def patient(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """The same, and it tries again."""
    config = four_providers(shared_fake, timeouts=TIMEOUTS)
    del config["retry"]
    with Gateway(config) as gateway:
        yield gateway


def ask(gateway: Gateway, client: str, model: str) -> tuple[int, str]:
    hello = {"role": "user", "content": "Hi"}
    bodies = {
        "claude": {"model": model, "max_tokens": 50, "stream": True, "messages": [hello]},
        "responses": {"model": model, "stream": True, "input": "Hi"},
        "chat": {"model": model, "stream": True, "messages": [hello]},
        "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    }
    path = PATHS[client].replace("MODEL", model)
    status, _headers, body = gateway.post(path, json.dumps(bodies[client]).encode())
    return status, body.decode()


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_the_answer_follows_the_promise(
    quick: Gateway, fake: FakeProvider, client: str, upstream: str
) -> None:
    fake.play("slow-start")
    status, body = ask(quick, client, f"{upstream}/m")
    assert status == 200
    assert "Fake answer" in body
    assert "error" not in body.replace('"error":null', "")


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_silence_to_the_end_is_an_error_in_the_stream(
    quick: Gateway, fake: FakeProvider, client: str, upstream: str
) -> None:
    fake.play("stall", times=0, after=1)
    status, body = ask(quick, client, f"{upstream}/m")
    assert status == 200
    words = ("stopped in the middle", "did not begin to answer")
    assert any(word in body for word in words), body
    assert "Fake answer to: Hi" not in body


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_another_attempt_answers_behind_the_promise(
    patient: Gateway, fake: FakeProvider, client: str, upstream: str
) -> None:
    fake.play("text", failure="status", status=500, first_delay_ms=300, times=1)
    status, body = ask(patient, client, f"{upstream}/m")
    assert (status, len(fake.record)) == (200, 2)
    assert "Fake answer" in body
    assert "error" not in body.replace('"error":null', "")


def test_a_failure_right_behind_the_start_is_a_plain_error(
    gateway: Gateway, fake: FakeProvider
) -> None:
    fake.play("overflow", times=0)
    status, body = ask(gateway, "claude", "responses/m")
    assert status == 400
    assert "prompt is too long" in body
