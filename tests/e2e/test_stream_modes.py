"""R26: how answers stream to which clients, by the `streaming` section."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from addons.pace import JoiningEncoder
from config.settings import Streaming
from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.providers import four_providers
from translators import ir

TEXT = "One sentence. Another one! And the end"
TALK = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def gate(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """A gateway that treats its clients by their user agent."""
    rules = [
        {"user_agent": "whole*", "mode": "never"},
        {"user_agent": "always*", "mode": "always"},
        {"user_agent": "joined*", "client_protocol": "openai_chat", "mode": "buffered"},
        {"headers": {"x-editor": "*"}, "client_key": "test", "mode": "buffered"},
        {"client_key": "other", "mode": "never"},
    ]
    streaming = {"rules": rules, "buffer_chars": 1000}
    keys = [{"name": "test", "key": "test-gateway-key"}, {"name": "other", "key": "k2"}]
    with Gateway(four_providers(shared_fake, streaming=streaming, client_keys=keys)) as gateway:
        yield gateway


def pieces(body: bytes) -> list[str]:
    """The text pieces of a Chat stream."""
    found = []
    for line in body.decode().splitlines():
        if line.startswith("data: {"):
            choices = json.loads(line.removeprefix("data: "))["choices"]
            found += [c["delta"]["content"] for c in choices if c["delta"].get("content")]
    return found


@pytest.mark.parametrize("model", ["chat/m", "responses/m", "claude/m", "gemini/m"])
@pytest.mark.parametrize(
    ("agent", "stream", "streamed", "upstream_streams", "expected"),
    [
        pytest.param("other", True, True, True, None, id="auto: as asked"),
        pytest.param("whole/1", True, True, False, [TEXT], id="never: all at once, still as a stream"),
        pytest.param("whole/1", False, False, False, None, id="never: whole as asked"),
        pytest.param("always/1", False, True, True, None, id="always: a stream nobody asked for"),
        pytest.param(
            "joined/1", True, True, True, ["One sentence.", " Another one!", " And the end"],
            id="buffered: sentence by sentence",
        ),
    ],
)  # fmt: skip
def test_modes(
    gate: Gateway, fake: FakeProvider, model: str, agent: str, stream: bool, streamed: bool,
    upstream_streams: bool, expected: list[str] | None,
) -> None:  # fmt: skip
    fake.play("text", text=TEXT, piece_chars=1)
    body = {"model": model, "stream": stream, "messages": TALK}
    status, headers, answer = gate.post(
        "/v1/chat/completions", json.dumps(body).encode(), {"user-agent": agent}
    )
    assert status == 200
    sent = fake.record.last
    asked: Any = sent.body.get("stream", False) or "stream" in sent.path
    assert bool(asked) == upstream_streams
    if not streamed:
        assert headers["content-type"] == "application/json"
        assert json.loads(answer)["choices"][0]["message"]["content"] == TEXT
        return
    assert headers["content-type"].startswith("text/event-stream")
    assert answer.endswith(b"data: [DONE]\n\n")
    assert "".join(pieces(answer)) == TEXT
    if expected is not None:
        assert pieces(answer) == expected
    else:
        assert len(pieces(answer)) > 3


def test_gemini_streams_whatever_its_path_says(gate: Gateway, fake: FakeProvider) -> None:
    contents = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    for path, agent, prefix in (
        ("/v1beta/models/claude/m:generateContent", "always", b"data: "),
        ("/v1beta/models/claude/m:streamGenerateContent", "whole", b"["),
    ):
        status, _headers, answer = gate.post(
            path, json.dumps(contents).encode(), {"user-agent": agent}
        )
        assert status == 200
        assert answer.lstrip().startswith(prefix)


def test_a_rule_needs_all_of_its_conditions(gate: Gateway, fake: FakeProvider) -> None:
    fake.play("text", text=TEXT, piece_chars=1)
    body = json.dumps({"model": "chat/m", "stream": True, "messages": TALK}).encode()
    _status, _headers, joined = gate.post("/v1/chat/completions", body, {"x-editor": "vi"})
    _status, _headers, plain = gate.post(
        "/v1/chat/completions", body, {"x-editor": "vi", "authorization": "Bearer k2"}
    )
    assert len(pieces(joined)) == 3
    assert pieces(plain) == [TEXT]


class Tape:
    """An encoder that notes what it gets."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, event: ir.StreamEvent) -> bytes:
        self.texts.append(event.text if isinstance(event, ir.PartDelta) else type(event).__name__)
        return b"x"

    def ping(self) -> bytes:
        return b"ping"


def test_joined_text_waits_for_a_sentence_enough_of_it_or_its_time() -> None:
    now = [0.0]
    tape = Tape()
    encoder = JoiningEncoder(tape, Streaming(buffer_chars=8, buffer_s=5), lambda: now[0])
    encoder.encode(ir.PartStart(index=0, part=ir.Text(text="")))
    assert encoder.ping() == b"ping"
    assert encoder.encode(ir.PartDelta(0, "abc")) == b""
    assert encoder.encode(ir.PartDelta(0, "defgh")) == b"x"
    encoder.encode(ir.PartDelta(0, "wait"))
    assert encoder.ping() == b"x"
    encoder.encode(ir.PartDelta(0, "late"))
    now[0] = 5.0
    encoder.encode(ir.PartDelta(0, "r"))
    encoder.encode(ir.PartDelta(0, "rest"))
    encoder.encode(ir.PartEnd(index=0))
    call = ir.ToolCall(call_id="c", name="f", arguments="")
    encoder.encode(ir.PartStart(index=1, part=call))
    encoder.encode(ir.PartDelta(1, "{"))
    assert tape.texts == [
        "PartStart", "abcdefgh", "wait", "later", "rest", "PartEnd", "PartStart", "{"
    ]  # fmt: skip
