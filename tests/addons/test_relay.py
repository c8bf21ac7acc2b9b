"""The relay between a decoder and an encoder: what the encoder refuses reaches the client under its own name."""

from __future__ import annotations

import json

import pytest

from addons.relay import TranslatingRelay
from translators import PROTOCOLS, ir
from translators.base import Call, Reading, Writing
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses, Mode, Side
from translators.wire import dumps

REQUESTS = {
    "openai_chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "openai_responses": {"model": "m", "input": "hi"},
    "anthropic": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}


def relay(client: str, upstream: str, mode: Mode, closed: list[bool]) -> TranslatingRelay:
    """A relay between two protocols; `closed` notes that the upstream is to be closed."""
    losses = Losses(mode, Side.RESPONSE)
    translator = PROTOCOLS[client]
    request = translator.parse_request(REQUESTS[client], Call(model="m", stream=True), None)
    return TranslatingRelay(
        PROTOCOLS[upstream].decoder(Reading(provider="p", model="m", stream=True), losses),
        translator.encoder(Writing(request=request, model="m", now_s=1), losses),
        [],
        on_finished=lambda: closed.append(True),
    )


def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    """One chunk of a Chat stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + dumps({"id": "c", "model": "m", "choices": [choice]}) + b"\n\n"


BROKEN_CALL = (
    chunk({"role": "assistant", "content": "Let me."})
    + chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{"}}]})
    + chunk({}, "tool_calls")
    + b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("client", ["anthropic", "gemini"])
def test_a_refusal_of_the_encoder_keeps_its_kind_and_what_went_before(client: str) -> None:
    closed: list[bool] = []
    machine = relay(client, "openai_chat", Mode.BALANCED, closed)
    out = b"".join(machine(BROKEN_CALL))
    assert b"Let me." in out
    assert b"tool arguments" in out.splitlines()[-2]
    assert b"failed to translate" not in out
    assert b"message_stop" not in out
    assert b"finishReason" not in out
    assert machine.error is not None
    assert machine.error.kind is ErrorKind.UPSTREAM_MALFORMED
    assert machine.finish_reason is None
    assert closed == [True]
    assert machine(b"") == []
    assert machine.ping() == b""


def test_a_refusal_at_the_very_end_is_an_error_too() -> None:
    machine = relay("anthropic", "openai_responses", Mode.MAX_COMPAT, [])
    events = [
        ir.MessageStart(id="x", model="m"),
        ir.Finish(reason=ir.FinishReason.TOOL_CALLS),
    ]
    out = machine._encode(events)
    last = json.loads(out.split(b"data: ")[-1])
    assert last["type"] == "error"
    assert b"message_stop" not in out
    assert machine.error is not None
    assert machine.finish_reason is None


def test_a_bug_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    machine = relay("anthropic", "openai_chat", Mode.MAX_COMPAT, [])
    machine._encoder.encode = lambda event: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    assert machine(chunk({"content": "x"})) == []
    assert machine.error is not None
    assert machine.error.kind is ErrorKind.INTERNAL
    assert "ZeroDivisionError" in caplog.text


def test_a_refusal_of_a_filter_is_passed_on() -> None:
    class Refusing:
        finished = False

        def apply(self, event: ir.StreamEvent) -> list[ir.StreamEvent]:
            if isinstance(event, ir.PartDelta):
                raise GatewayError(ErrorKind.CONTENT_POLICY, "not that word")
            return [event]

    machine = relay("openai_chat", "openai_chat", Mode.MAX_COMPAT, [])
    machine._filters, machine._plain = [Refusing()], False  # type: ignore[list-item]
    out = b"".join(machine(chunk({"content": "x"})))
    assert b"not that word" in out
    assert b"[DONE]" not in out
    assert machine.error is not None
    assert machine.error.kind is ErrorKind.CONTENT_POLICY


@pytest.mark.parametrize("client", sorted(REQUESTS))
@pytest.mark.parametrize(
    ("frame_bytes", "events", "words"),
    [
        pytest.param(10**6, 5, b"more events", id="too many events"),
        pytest.param(400, 10**6, b"more than 400 bytes", id="an event too large"),
    ],
)
def test_a_stream_beyond_its_bounds_ends_in_an_error(
    client: str, frame_bytes: int, events: int, words: bytes
) -> None:
    machine = relay(client, "openai_chat", Mode.MAX_COMPAT, [])
    machine.bound(frame_bytes, events)
    pieces = [chunk({"content": f"piece {number}"}) for number in range(9)]
    pieces.append(chunk({"content": "x" * 500}))
    out = b"".join(b"".join(machine(piece)) for piece in pieces)
    assert b"piece 0" in out
    assert words in out
    assert machine.error is not None
    assert machine.error.kind is ErrorKind.UPSTREAM_MALFORMED
    assert machine(chunk({"content": "late"})) == []
