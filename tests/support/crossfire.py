"""One upstream's answer through the real packages to one client: decoder, filters, encoder, and the client's judge."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.support.crossing import NOW_S, SEAL, parse_body
from tests.support.streams import encoded
from tests.translators.anthropic.support import strict_events, strict_message
from tests.translators.gemini.support import check_answer, chunks
from tests.translators.openai_chat.support import read_frames
from tests.translators.openai_responses.support import check_events, payloads
from translators import PROTOCOLS, ir
from translators.base import Reading, Writing
from translators.errors import GatewayError
from translators.filters import filter_response, filters_for, run
from translators.fold import Folder
from translators.grammar import Grammar
from translators.losses import Losses, Mode, Side
from translators.sse import SseParser
from translators.wire import dumps

C, R, A, G = "openai_chat", "openai_responses", "anthropic", "gemini"
ALL = (C, R, A, G)
type Body = dict[str, Any]

ASKED: dict[str, Body] = {
    C: {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": "hi"}],
    },
    R: {"model": "m", "stream": True, "input": "hi"},
    A: {
        "model": "m",
        "stream": True,
        "max_tokens": 99,
        "messages": [{"role": "user", "content": "hi"}],
    },
    G: {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}


@dataclass(frozen=True, slots=True)
class Told:
    """What a client got of a stream: its frames as JSON, and the hub's own view of them."""

    data: bytes
    frames: list[Any]
    events: list[ir.StreamEvent]
    losses: Losses

    @property
    def failed(self) -> bool:
        """Whether the hub saw it break."""
        return isinstance(self.events[-1], ir.StreamFailed)

    @property
    def answer(self) -> ir.Response:
        """The whole answer; raises for a broken stream."""
        folder = Folder()
        for event in self.events:
            folder.add(event)
        return folder.response()

    @property
    def text(self) -> str:
        """The visible text of the answer."""
        return "".join(part.text for part in self.answer.parts if isinstance(part, ir.Text))


def reading(provider: str = "up") -> Reading:
    """How an upstream of which nothing is known is read."""
    return Reading(provider=provider, model="m", stream=True)


def writing(client: str, **fields: Any) -> Writing:
    """How a client of the smallest request is answered."""
    body = ASKED[client]
    defaults: Body = {
        "request": parse_body(client, body),
        "model": "shown",
        "now_s": NOW_S,
        "raw": body,
        "seal": SEAL,
        "chat_reasoning": "reasoning_content",
        "request_id": "req_1",
    }
    return Writing(**defaults | fields)


def decoded(
    upstream: str, pieces: Iterable[bytes], losses: Losses | None = None
) -> list[ir.StreamEvent]:
    """The hub events of an upstream's stream, filtered, checked against the grammar."""
    how, losses = reading(), losses or Losses(side=Side.RESPONSE)
    decoder = PROTOCOLS[upstream].decoder(how, losses)
    raw = [event for piece in pieces for event in decoder.feed(piece)]
    raw += decoder.close()
    chain = filters_for(how, losses)
    events = [made for event in raw for made in run(chain, event)]
    grammar = Grammar()
    for event in events:
        grammar.advance(event)
    assert grammar.ended
    return events


def told(
    upstream: str,
    client: str,
    data: bytes | Iterable[bytes],
    mode: Mode = Mode.MAX_COMPAT,
    **fields: Any,
) -> Told:
    """An upstream's stream in a client's words, judged as the client's own SDK would judge it."""
    losses = Losses(mode, Side.RESPONSE)
    events = decoded(upstream, [data] if isinstance(data, bytes) else data, losses)
    encoder = PROTOCOLS[client].encoder(writing(client, **fields), losses)
    out = encoded(encoder, [event for event in events if not isinstance(event, ir.Ping)])
    return Told(out, judged(client, out), events, losses)


def judged(client: str, data: bytes) -> list[Any]:
    """The frames of a client's stream after the checks of its grammar (STR-07, STR-12)."""
    if client == C:
        return read_frames(data)
    if client == G:
        return chunks(data)
    if client == A:
        events = strict_events(data)
        _check_blocks(events)
        return events
    parser = SseParser()
    events = payloads([*parser.feed(data), *parser.close()])
    if events[-1]["type"] in ("response.completed", "response.incomplete"):
        check_events(events)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def _check_blocks(events: list[Body]) -> None:
    """One start, blocks counted without gaps and never nested, one end."""
    kinds = [event["type"] for event in events]
    assert kinds.count("message_start") == (1 if kinds[0] != "error" else 0)
    opened, next_index = False, 0
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert not opened
                assert event["index"] == next_index
                opened, next_index = True, next_index + 1
            case "content_block_delta":
                assert opened
                assert event["index"] == next_index - 1
            case "content_block_stop":
                assert opened
                opened = False
    if kinds[-1] != "error":
        assert not opened
        assert kinds[-2:] == ["message_delta", "message_stop"]
        assert kinds.count("message_delta") == kinds.count("message_stop") == 1


def whole(
    upstream: str, client: str, body: Body, mode: Mode = Mode.MAX_COMPAT, **fields: Any
) -> Any:
    """An upstream's whole answer in a client's words."""
    losses = Losses(mode, Side.RESPONSE)
    how = reading()
    response = PROTOCOLS[upstream].parse_response(body, how, losses)
    response = filter_response(response, how, losses)
    answer = PROTOCOLS[client].render_response(response, writing(client, **fields), losses)
    if client == A:
        strict_message(answer)
    if client == G:
        check_answer(answer)
    return answer


# ------------------------------------------------------------------------------ what upstreams say


def sse(*payload: Any, end: bytes = b"\n\n") -> bytes:
    """`data:` frames; a string goes out bare."""
    return b"".join(
        b"data: " + (item.encode() if isinstance(item, str) else dumps(item)) + end
        for item in payload
    )


def named(*events: Body) -> bytes:
    """Frames with an `event:` line."""
    return b"".join(b"event: %b\n" % e["type"].encode() + sse(e) for e in events)


def chat(delta: Body | None = None, finish: str | None = None, **fields: Any) -> Body:
    """One chunk of a Chat stream."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "real"}
    return head | {"choices": [choice]} | fields


def fragment(index: int = 0, **fields: Any) -> Body:
    """A delta with one tool fragment: `id`, `name`, `arguments`."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return {"tool_calls": [{"index": index, **fields, "function": function}]}


def gemini(*parts: Body, finish: str | None = None, **fields: Any) -> Body:
    """One chunk of a Gemini stream."""
    candidate: Body = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "responseId": "r", "modelVersion": "v"} | fields


def claude(*blocks: Body, stop: str = "end_turn", usage: Body | None = None, **end: Any) -> bytes:
    """An Anthropic stream of whole blocks; the deltas of a block are under `deltas`."""
    usage = usage or {"input_tokens": 5, "output_tokens": 1}
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "real", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    events: list[Body] = [{"type": "message_start", "message": message}]
    for index, block in enumerate(blocks):
        head = {key: value for key, value in block.items() if key != "deltas"}
        events.append({"type": "content_block_start", "index": index, "content_block": head})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta}
            for delta in block.get("deltas", ())
        ]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": stop, "stop_sequence": None} | end
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}})
    return named(*events, {"type": "message_stop"})


def responses(*events: Body, status: str = "completed", **fields: Any) -> bytes:
    """A Responses stream: created, these events, the terminal one with `fields` of the response."""
    response = {
        "id": "resp_1", "object": "response", "created_at": 7, "model": "real", "output": [],
        "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
    } | fields  # fmt: skip
    body = (
        {"type": "response.created", "response": response | {"status": "in_progress"}},
        *events,
        {"type": f"response.{status}", "response": response | {"status": status}},
    )
    return named(*({"sequence_number": n} | event for n, event in enumerate(body)))


def item_events(index: int, item: Body, *deltas: Body) -> list[Body]:
    """`added`, the deltas, `done` of one output item."""
    place = {"output_index": index, "item_id": item["id"]}
    blank = {k: "" if k in ("arguments", "input") else [] if k in ("content", "summary") else v
             for k, v in item.items() if k != "encrypted_content"}  # fmt: skip
    return [
        {"type": "response.output_item.added", "output_index": index, "item": blank},
        *({**place, **delta} for delta in deltas),
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def finishes(frames: list[Any]) -> list[Any]:
    """The finish reasons of a Chat client's chunks that are not null."""
    found = [
        choice["finish_reason"]
        for frame in frames
        if isinstance(frame, dict)
        for choice in frame.get("choices", ())
    ]
    return [reason for reason in found if reason is not None]


def is_error(client: str, frames: list[Any]) -> bool:
    """Whether a client's stream ends in its protocol's error and in nothing that looks like a success."""
    last = frames[-1]
    if client == R:  # `error` before `response.created` (portability rules, section 16)
        return last["type"] == "error" or bool(
            last["type"] == "response.failed" and last["response"]["error"]
        )
    if client == A:
        kinds = [frame["type"] for frame in frames]
        return kinds[-1] == "error" and "message_stop" not in kinds
    assert "[DONE]" not in frames
    assert "finishReason" not in json.dumps(frames)
    return isinstance(last, dict) and "error" in last


def raises(call: Any, *args: Any, **kwargs: Any) -> GatewayError:
    """The refusal that this must end in."""
    try:
        call(*args, **kwargs)
    except GatewayError as error:
        return error
    raise AssertionError("it was not refused")
