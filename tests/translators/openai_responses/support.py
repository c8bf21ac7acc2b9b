"""Helpers of the Responses tests: examples, captures, and the official SDK as a judge.

`data/examples.json` holds the examples of the protocol notes, by kind; `data/captures.json` the bodies that
real client programs sent, by capture.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openai import omit
from openai._models import BaseModel
from openai._models import validate_type as sdk_validate
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent

from translators import ir
from translators.base import Call, Reading, Target, Writing
from translators.fold import Folder
from translators.grammar import Grammar
from translators.losses import Losses, Mode, Side
from translators.openai_responses import TRANSLATOR
from translators.profile import ModelProfile
from translators.seal import Seal
from translators.sse import Frame, SseParser, event_frame
from translators.wire import loads

_DATA = Path(__file__).parent / "data"
EXAMPLES: dict[str, list[Any]] = json.loads((_DATA / "examples.json").read_text())
CAPTURES: dict[str, list[dict[str, Any]]] = json.loads((_DATA / "captures.json").read_text())

SEAL = Seal(b"0123456789abcdef0123456789abcdef")
READING = Reading(provider="p", model="m")
STREAMS: list[list[dict[str, Any]]] = [
    *EXAMPLES["stream"],
    *EXAMPLES["stream_incomplete"],
]
BROKEN: list[list[dict[str, Any]]] = [*EXAMPLES["stream_failed"], *EXAMPLES["stream_error"]]


def parse(body: dict[str, Any], seal: Seal | None = SEAL) -> ir.Request:
    """A client's request; `model` is added."""
    return TRANSLATOR.parse_request({"model": "m", **body}, Call(), seal)


def parse_items(*items: Any, **fields: Any) -> tuple[ir.Message, ...]:
    """The messages of these input items."""
    return parse({"input": list(items), **fields}).messages


def render(
    request: ir.Request,
    mode: Mode = Mode.MAX_COMPAT,
    losses: Losses | None = None,
    **profile: Any,
) -> dict[str, Any]:
    """The body for an upstream of this protocol."""
    target = Target(provider="p", model="up", profile=ModelProfile(**profile))
    return TRANSLATOR.render_request(request, target, losses or Losses(mode)).body


def hub_request(*messages: ir.Message, **fields: Any) -> ir.Request:
    """A request as another protocol's parser might have made it."""
    fields.setdefault("protocol", "anthropic")
    return ir.Request(model="m", messages=messages, **fields)


def user(*parts: ir.Part | str) -> ir.Message:
    """A user message."""
    return ir.Message(role=ir.Role.USER, parts=_parts(parts))


def assistant(*parts: ir.Part | str) -> ir.Message:
    """An assistant message."""
    return ir.Message(role=ir.Role.ASSISTANT, parts=_parts(parts))


def system(*parts: ir.Part | str) -> ir.Message:
    """A system message."""
    return ir.Message(role=ir.Role.SYSTEM, parts=_parts(parts))


def _parts(parts: Iterable[ir.Part | str]) -> tuple[ir.Part, ...]:
    return tuple(ir.Text(text=part) if isinstance(part, str) else part for part in parts)


def sse(events: Iterable[dict[str, Any]]) -> bytes:
    """Upstream events on the wire."""
    return b"".join(event_frame(event["type"], event) for event in events)


def decode(
    data: bytes | Iterable[bytes], reading: Reading = READING, losses: Losses | None = None
) -> list[ir.StreamEvent]:
    """All hub events of an upstream stream, checked against the grammar."""
    pieces = [data] if isinstance(data, bytes) else data
    decoder = TRANSLATOR.decoder(reading, losses or Losses(side=Side.RESPONSE))
    events: list[ir.StreamEvent] = []
    for piece in pieces:
        events.extend(decoder.feed(piece))
    events.extend(decoder.close())
    assert decoder.feed(b"data: {}\n\n") == []
    assert decoder.close() == []
    grammar = Grammar()
    for event in events:
        grammar.advance(event)
    assert grammar.ended
    return events


def writing(raw: dict[str, Any] | None = None, seal: Seal | None = SEAL, **fields: Any) -> Writing:
    """How to answer a client that sent `raw`."""
    body = {"model": "m", "input": "hi", **(raw or {})}
    request = TRANSLATOR.parse_request(body, Call(), seal)
    return Writing(request=request, model="shown", now_s=1794000000, raw=body, seal=seal, **fields)


def encode(
    events: Iterable[ir.StreamEvent], how: Writing | None = None, losses: Losses | None = None
) -> list[Frame]:
    """The frames that a client gets."""
    encoder = TRANSLATOR.encoder(how or writing(), losses or Losses(side=Side.RESPONSE))
    parser = SseParser()
    frames: list[Frame] = []
    for event in events:
        frames.extend(parser.feed(encoder.encode(event)))
    assert parser.close() == []
    assert encoder.ping() == b""
    return frames


def payloads(frames: Iterable[Frame]) -> list[dict[str, Any]]:
    """The JSON of frames; name and type must agree."""
    found = []
    for frame in frames:
        payload = loads(frame.data)
        assert frame.event == payload["type"]
        found.append(payload)
    return found


def check_events(events: list[dict[str, Any]]) -> Response:
    """Judge a client's stream: SDK types in strict validation, its accumulator, and the chain of STR-12.

    Returns the final response.
    """
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for number, payload in enumerate(events):
        assert payload["sequence_number"] == number
        event = sdk_validate(type_=ResponseStreamEvent, value=payload)  # type: ignore[arg-type]
        state.handle_event(event)
    assert events[0]["type"] == "response.created"
    assert events[1]["type"] == "response.in_progress"
    terminal = events[-1]
    final = Response.model_validate(terminal["response"], strict=True)
    done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    assert terminal["response"]["output"] == done
    added = [e for e in events if e["type"] == "response.output_item.added"]
    assert [e["output_index"] for e in added] == list(range(len(added)))
    if terminal["type"] == "response.completed":
        completed = state._completed_response
        assert completed is not None
        assert _plain(completed.output) == terminal["response"]["output"]
    for item in added:
        assert_pairs(events, item["output_index"])
    return final


_PARSED = {"parsed_arguments": True, "content": {"__all__": {"parsed"}}}
"""What the SDK's parser adds to items."""


def _plain(items: Iterable[BaseModel]) -> list[dict[str, Any]]:
    return [item.model_dump(exclude_unset=True, by_alias=True, exclude=_PARSED) for item in items]


def assert_pairs(events: list[dict[str, Any]], index: int) -> None:
    """Everything of one item lies between its `added` and `done`, under one id, deltas summing up to `done`."""
    mine = [event for event in events if event.get("output_index") == index]
    assert mine[0]["type"] == "response.output_item.added"
    assert mine[-1]["type"] == "response.output_item.done"
    item_id = mine[0]["item"]["id"]
    assert mine[-1]["item"]["id"] == item_id
    assert all(event["item_id"] == item_id for event in mine[1:-1])
    for stem, field in (
        ("response.output_text", "text"),
        ("response.refusal", "refusal"),
        ("response.function_call_arguments", "arguments"),
        ("response.custom_tool_call_input", "input"),
        ("response.reasoning_summary_text", "text"),
    ):
        deltas = "".join(event["delta"] for event in mine if event["type"] == f"{stem}.delta")
        whole = "".join(event[field] for event in mine if event["type"] == f"{stem}.done")
        assert deltas == whole, stem


def fold(events: Iterable[ir.StreamEvent]) -> ir.Response:
    """A stream as a whole answer."""
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.response()
