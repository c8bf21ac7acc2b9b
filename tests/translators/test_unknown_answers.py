"""Content of an answer that nobody has documented: `strict` refuses it, elsewhere it is left out and recorded (section 1)."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.pitfalls import SEAL, TEXTS, A, C, G, R, parse, sse
from translators import PROTOCOLS, ir
from translators.base import Reading, Writing
from translators.errors import GatewayError
from translators.losses import Losses, Mode, Side
from translators.wire import dumps, loads

ODD: Final = {"type": "hologram", "id": "h1", "x": 1}
SAID: Final = {"type": "output_text", "text": "Hi", "annotations": []}
SPOKEN: Final = {"id": "m1", "type": "message", "role": "assistant", "status": "completed"}
USAGE: Final = {"input_tokens": 1, "output_tokens": 1}


def chat(**choice: Any) -> dict[str, Any]:
    """A Chat answer, or a chunk of one."""
    kind = "chat.completion.chunk" if "delta" in choice else "chat.completion"
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    wire = {"index": 0, "finish_reason": None, **choice}
    head = {"id": "x", "object": kind, "created": 1, "model": "m"}
    return {**head, "choices": [wire], "usage": usage}


def response(*output: Any, status: str = "completed") -> dict[str, Any]:
    """A Responses answer."""
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m"}
    return {**head, "status": status, "output": list(output), "usage": USAGE}


def message(*content: Any, reason: str | None = "end_turn") -> dict[str, Any]:
    """A Messages answer."""
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    return {**head, "content": list(content), "stop_reason": reason, "usage": USAGE}


def gemini(*parts: Any) -> dict[str, Any]:
    """A Gemini answer, or the only chunk of one."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return {"responseId": "r", "candidates": [candidate], "usageMetadata": usage}


def events_of_item(item: dict[str, Any]) -> bytes:
    """A Responses stream of one item."""
    return sse(
        {"type": "response.created", "response": response(status="in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response(item)},
    )


TEXT: Final = {"type": "text", "text": "Hi"}
BOTH: Final = {**SPOKEN, "content": [SAID, ODD]}
ANSWERS: Final = [
    pytest.param(C, chat(message={"role": "assistant", "content": [TEXT, ODD]}, finish_reason="stop"), id="C part"),
    pytest.param(R, response({**SPOKEN, "content": [SAID]}, ODD), id="R item"),
    pytest.param(R, response(BOTH), id="R part"),
    pytest.param(A, message(TEXT, ODD), id="A block"),
    pytest.param(G, gemini({"text": "Hi"}, {"hologram": {}}), id="G part"),
    pytest.param(C, sse(chat(delta={"role": "assistant", "content": [TEXT, ODD]}), chat(delta={}, finish_reason="stop"), done=True), id="C part, streamed"),
    pytest.param(R, events_of_item(ODD), id="R item, streamed"),
    pytest.param(R, events_of_item(BOTH), id="R part, streamed"),
    pytest.param(
        A,
        sse(
            {"type": "message_start", "message": message(reason=None)},
            {"type": "content_block_start", "index": 0, "content_block": ODD},
            {"type": "content_block_stop", "index": 0},
            {"type": "martian"},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE},
            {"type": "message_stop"},
        ),
        id="A block, streamed",
    ),
    pytest.param(G, sse(gemini({"text": "Hi"}, {"hologram": {}})), id="G part, streamed"),
]  # fmt: skip


def told(upstream: str, client: str, answer: Any, mode: Mode) -> str:
    """What is recorded on the way to the client; `GatewayError` when it is refused."""
    losses = Losses(mode, Side.RESPONSE)
    raw = {"model": "m", **TEXTS[client]}
    request = parse(client, TEXTS[client])
    writing = Writing(request=request, model="shown", now_s=1, raw=raw, seal=SEAL)
    if isinstance(answer, bytes):
        reading = Reading(provider="p", model="m", stream=True)
        decoder = PROTOCOLS[upstream].decoder(reading, losses)
        encoder = PROTOCOLS[client].encoder(writing, losses)
        for event in (*decoder.feed(answer), *decoder.close()):
            if isinstance(event, ir.StreamFailed):
                raise event.error
            encoder.encode(event)
    else:
        reading = Reading(provider="p", model="m")
        read = PROTOCOLS[upstream].parse_response(loads(dumps(answer)), reading, losses)
        PROTOCOLS[client].render_response(read, writing, losses)
    return "\n".join(loss.reason for loss in losses.degradations)


CROSSINGS: Final = [
    pytest.param(*answer.values, client, id=f"{answer.id} to {client}")
    for answer in ANSWERS
    for client in (C, R, A, G)
    if client != answer.values[0]
]


@pytest.mark.parametrize(("upstream", "answer", "client"), CROSSINGS)
def test_what_nobody_knows_is_refused_or_recorded(upstream: str, answer: Any, client: str) -> None:
    with pytest.raises(GatewayError, match="hologram"):
        told(upstream, client, answer, Mode.STRICT)
    for mode in (Mode.BALANCED, Mode.MAX_COMPAT):
        assert told(upstream, client, answer, mode).count("hologram") == 1
