"""Helpers of the Gemini tests: examples, captures, and the official SDK as a judge.

`data/examples.json` holds the examples of the protocol notes, by kind; `data/captures.json` the bodies that
real client programs sent, by capture.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.genai import types

from translators import ir
from translators.base import Call, Reading, Rendered, Target, Writing
from translators.gemini import TRANSLATOR
from translators.grammar import Grammar
from translators.losses import Losses, Mode, Side
from translators.profile import ModelProfile
from translators.seal import Seal
from translators.sse import SseParser
from translators.wire import dumps, loads

_DATA = Path(__file__).parent / "data"
EXAMPLES: dict[str, list[Any]] = json.loads((_DATA / "examples.json").read_text())
CAPTURES: dict[str, list[dict[str, Any]]] = json.loads((_DATA / "captures.json").read_text())
STREAMS: list[list[dict[str, Any]]] = EXAMPLES["stream"]

SEAL = Seal(b"0123456789abcdef0123456789abcdef")
READING = Reading(provider="p", model="m", stream=True)
SIGNATURE = "c2lnbmF0dXJl"


# ------------------------------------------------------------------------------------------ requests


def parse(body: dict[str, Any], seal: Seal | None = SEAL, *, stream: bool = False) -> ir.Request:
    """A client's request."""
    return TRANSLATOR.parse_request(body, Call(model="m", stream=stream), seal)


def parse_parts(*parts: Any, role: str = "model") -> tuple[ir.Part, ...]:
    """The hub parts of one turn."""
    return parse({"contents": [{"role": role, "parts": list(parts)}]}).messages[0].parts


def target(**profile: Any) -> Target:
    """An upstream `p` with model `m` and this profile."""
    return Target(provider="p", model="m", profile=ModelProfile(**profile))


def render(
    request: ir.Request, mode: Mode = Mode.MAX_COMPAT, losses: Losses | None = None, **profile: Any
) -> Rendered:
    """The request for an upstream, judged by the SDK's models."""
    rendered = TRANSLATOR.render_request(request, target(**profile), losses or Losses(mode))
    check_request(rendered.body)
    return rendered


def hub(*messages: ir.Message, **fields: Any) -> ir.Request:
    """A request as another protocol's parser might have made it."""
    fields.setdefault("protocol", "anthropic")
    return ir.Request(model="m", messages=messages, **fields)


def user(*parts: ir.Part | str) -> ir.Message:
    """A user message."""
    return ir.Message(role=ir.Role.USER, parts=_parts(parts), path="messages[0]")


def assistant(*parts: ir.Part | str) -> ir.Message:
    """An assistant message."""
    return ir.Message(role=ir.Role.ASSISTANT, parts=_parts(parts))


def system(*parts: ir.Part | str) -> ir.Message:
    """A system message."""
    return ir.Message(role=ir.Role.SYSTEM, parts=_parts(parts))


def _parts(parts: Iterable[ir.Part | str]) -> tuple[ir.Part, ...]:
    return tuple(ir.Text(text=part) if isinstance(part, str) else part for part in parts)


def call(call_id: str = "c1", name: str = "f", arguments: str = "{}", **fields: Any) -> ir.ToolCall:
    """A call of the history."""
    return ir.ToolCall(call_id=call_id, name=name, arguments=arguments, **fields)


def result(call_id: str = "c1", *content: ir.Part | str, **fields: Any) -> ir.ToolResult:
    """Its result."""
    return ir.ToolResult(call_id=call_id, content=_parts(content), **fields)  # type: ignore[arg-type]


def state(
    value: str = SIGNATURE, provider: str | None = "p", model: str | None = "m"
) -> ir.OpaqueState:
    """A Gemini signature."""
    kind = ir.StateKind.GEMINI_SIGNATURE
    return ir.OpaqueState(kind=kind, value=value, provider=provider, model=model)


def check_request(body: dict[str, Any]) -> None:
    """Judge an upstream request with the SDK's models, which forbid fields that they do not know."""
    for content in body["contents"]:
        types.Content.model_validate(content)
        assert content["parts"], "a content without parts"
        for part in content["parts"]:
            assert part != {"text": ""}, "an empty part"
    if "systemInstruction" in body:
        types.Content.model_validate(body["systemInstruction"])
    for tool in body.get("tools", ()):
        types.Tool.model_validate(tool)
    if "toolConfig" in body:
        types.ToolConfig.model_validate(body["toolConfig"])
    if "generationConfig" in body:
        types.GenerationConfig.model_validate(body["generationConfig"])
    known = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
    assert set(body) <= known | {
        "serviceTier",
        "store",
        "safetySettings",
        "cachedContent",
        "labels",
    }


# ------------------------------------------------------------------------------------------- answers


def check_answer(body: dict[str, Any]) -> types.GenerateContentResponse:
    """Judge an answer, or a chunk of one, as the official SDK reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an unknown enum value is only a warning there
        answer = types.GenerateContentResponse.model_validate(body)
    assert body["candidates"], "an empty list of candidates"
    for candidate in body["candidates"]:
        assert isinstance(candidate["content"]["parts"], list)
    return answer


def writing(raw: dict[str, Any] | None = None, **fields: Any) -> Writing:
    """How to answer a client that sent `raw`."""
    body = {"contents": "hi", **(raw or {})}
    fields.setdefault("seal", SEAL)
    return Writing(request=parse(body), model="shown", now_s=1794000000, raw=body, **fields)


def parse_answer(body: dict[str, Any], losses: Losses | None = None, **reading: Any) -> ir.Response:
    """An upstream's whole answer."""
    how = Reading(**{"provider": "p", "model": "m", **reading})
    return TRANSLATOR.parse_response(body, how, losses or Losses(side=Side.RESPONSE))


def render_answer(
    response: ir.Response, losses: Losses | None = None, how: Writing | None = None
) -> dict[str, Any]:
    """A whole answer for a client, judged by the SDK."""
    body = TRANSLATOR.render_response(
        response, how or writing(), losses or Losses(side=Side.RESPONSE)
    )
    check_answer(body)
    return body


def answer(*parts: ir.Part | str, **fields: Any) -> ir.Response:
    """A whole answer of the hub."""
    fields.setdefault("finish_reason", ir.FinishReason.STOP)
    return ir.Response(id="up", model="m", parts=_parts(parts), **fields)


def wire_answer(*parts: dict[str, Any], **candidate: Any) -> dict[str, Any]:
    """An upstream's whole answer with these parts."""
    candidate.setdefault("finishReason", "STOP")
    content = {"role": "model", "parts": list(parts)}
    return {"candidates": [{"index": 0, "content": content, **candidate}], "responseId": "r"}


# ------------------------------------------------------------------------------------------- streams


def sse(chunks: Iterable[Any], end: bytes = b"\r\n\r\n") -> bytes:
    """Chunks as an upstream frames them with `alt=sse`."""
    return b"".join(b"data: " + dumps(chunk) + end for chunk in chunks)


def array(chunks: Iterable[Any]) -> bytes:
    """Chunks as an upstream frames them without it."""
    return b"[" + b"\n,\r\n".join(dumps(chunk) for chunk in chunks) + b"\n]"


def decode(
    data: bytes | Iterable[bytes], losses: Losses | None = None, reading: Reading = READING
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


def chunk(*parts: dict[str, Any], **candidate: Any) -> dict[str, Any]:
    """One chunk of a stream."""
    content = {"content": {"role": "model", "parts": list(parts)}} if parts else {}
    return {
        "candidates": [{**content, "index": 0, **candidate}],
        "modelVersion": "v",
        "responseId": "r",
    }


def encode(
    events: Iterable[ir.StreamEvent], how: Writing | None = None, losses: Losses | None = None
) -> bytes:
    """The bytes that a client gets."""
    encoder = TRANSLATOR.encoder(how or writing(), losses or Losses(side=Side.RESPONSE))
    return b"".join(encoder.encode(event) for event in events)


def chunks(data: bytes) -> list[dict[str, Any]]:
    """The chunks in a client's SSE stream: nothing but `data: ` lines and blank ones, each judged by the SDK."""
    for line in data.split(b"\r\n"):
        assert line == b"" or line.startswith(b"data: {")
    found = [loads(frame.data) for frame in SseParser().feed(data)]
    for item in found:
        if "error" not in item:
            check_answer(item)
    return found


def parts_of(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """All parts of a client's stream, one after the other."""
    return [part for item in found for part in item["candidates"][0]["content"]["parts"]]
