"""Helpers of the Chat Completions tests: examples, captures, and the official SDK as a judge.

`data/examples.json` holds the examples of the protocol notes, by kind; `data/captures.json` the bodies that
real client programs sent, by capture.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.support.streams import encoded
from translators import ir
from translators.base import Call, Reading, Rendered, Target, Writing
from translators.errors import ErrorKind, GatewayError
from translators.fold import Folder
from translators.grammar import Grammar
from translators.losses import Losses, Mode, Side
from translators.openai_chat import TRANSLATOR
from translators.profile import ModelProfile
from translators.seal import Seal
from translators.sse import SseParser
from translators.wire import dumps

_DATA = Path(__file__).parent / "data"
EXAMPLES: dict[str, list[Any]] = json.loads((_DATA / "examples.json").read_text())
CAPTURES: dict[str, list[dict[str, Any]]] = json.loads((_DATA / "captures.json").read_text())

STREAMS: list[list[dict[str, Any]]] = EXAMPLES["stream"]
BROKEN: list[list[dict[str, Any]]] = EXAMPLES["stream_error"]

SEAL = Seal(b"0123456789abcdef0123456789abcdef")
READING = Reading(provider="prov", model="up-model")
OPENAI = ModelProfile(openai_extras=True, cache_marks=True, custom_tools=True, developer_role=True)
USER = ir.Message(role=ir.Role.USER, parts=(ir.Text(text="hi"),), path="messages[0]")
CALL = ir.ToolCall(call_id="call_1", name="f", arguments='{"a":1}')
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def parse(seal: Seal | None = None, **fields: Any) -> ir.Request:
    """A client's request: the smallest body and these fields."""
    return TRANSLATOR.parse_request(BODY | fields, Call(), seal)


def parse_messages(*messages: dict[str, Any], **fields: Any) -> ir.Request:
    """A client's request of these messages."""
    return parse(messages=list(messages), **fields)


def hub(*messages: ir.Message, **fields: Any) -> ir.Request:
    """A hub request from another protocol."""
    return ir.Request(
        **{"protocol": "anthropic", "model": "m", "messages": messages or (USER,)} | fields
    )


def assistant(*parts: ir.Part) -> ir.Message:
    """An assistant turn."""
    return ir.Message(role=ir.Role.ASSISTANT, parts=parts, path="messages[1]")


def user(*parts: ir.Part) -> ir.Message:
    """A user turn."""
    return ir.Message(role=ir.Role.USER, parts=parts, path="messages[2]")


def render(
    request: ir.Request,
    profile: ModelProfile | None = None,
    mode: Mode = Mode.MAX_COMPAT,
    losses: Losses | None = None,
) -> Rendered:
    """The request for an upstream of this profile."""
    target = Target(provider="prov", model="up-model", profile=profile or ModelProfile())
    return TRANSLATOR.render_request(request, target, losses or Losses(mode))


def body(request: ir.Request, profile: ModelProfile | None = None, **options: Any) -> Any:
    """The body of `render`."""
    return render(request, profile, **options).body


def degraded(request: ir.Request, profile: ModelProfile | None = None) -> dict[str, str]:
    """What rendering gives up in the lenient mode, reasons by path."""
    losses = Losses(Mode.MAX_COMPAT)
    render(request, profile, losses=losses)
    return {item.path: item.reason for item in losses.degradations}


def response_losses(mode: Mode = Mode.MAX_COMPAT) -> Losses:
    """A collector for the answer's side."""
    return Losses(mode, Side.RESPONSE)


def frames(chunks: Iterable[Any], done: bool = True) -> bytes:
    """Chunks as an upstream writes them."""
    out = b"".join(b"data: " + dumps(chunk) + b"\n\n" for chunk in chunks)
    return out + (b"data: [DONE]\n\n" if done else b"")


def chunk(
    delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any
) -> dict[str, Any]:
    """One chunk of a well-behaved server."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    head = {"id": "chatcmpl-u", "object": "chat.completion.chunk", "created": 7, "model": "real"}
    return head | {"choices": [choice]} | fields


def decode(
    data: bytes, losses: Losses | None = None, reading: Reading = READING, size: int = 0
) -> list[ir.StreamEvent]:
    """All events of a body, fed in pieces of `size` bytes (0 = whole), walked through the grammar."""
    decoder = TRANSLATOR.decoder(reading, losses or response_losses())
    pieces = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()
    grammar = Grammar()
    for event in events:
        grammar.advance(event)
    assert grammar.ended
    return events


def decode_chunks(*chunks: Any, done: bool = True, losses: Losses | None = None) -> Any:
    """The folded answer of a stream; a failed one raises."""
    return fold(decode(frames(chunks, done), losses))


def fold(events: Iterable[ir.StreamEvent]) -> ir.Response:
    """The whole answer of events."""
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.response()


def failure(events: list[ir.StreamEvent]) -> ir.StreamFailed:
    """The failure that must end these events."""
    last = events[-1]
    assert isinstance(last, ir.StreamFailed), last
    return last


def writing(stream_usage: bool = True, **fields: Any) -> Writing:
    """How to write for a client that asked for the smallest thing."""
    request = fields.pop("request", None) or parse(
        stream=True, stream_options={"include_usage": stream_usage}
    )
    return Writing(**{"request": request, "model": "shown", "now_s": 1000} | fields)


def encode(
    events: Iterable[ir.StreamEvent], how: Writing | None = None, losses: Losses | None = None
) -> bytes:
    """The client's bytes of events."""
    encoder = TRANSLATOR.encoder(how or writing(), losses or response_losses())
    return encoded(encoder, events)


def read_frames(data: bytes) -> list[Any]:
    """The frames of a client's stream as JSON, `[DONE]` as a string; each chunk passes the SDK's own check."""
    out: list[Any] = []
    parser = SseParser()
    for frame in parser.feed(data) + parser.close():
        if frame.data == b"[DONE]":
            out.append("[DONE]")
            continue
        value = json.loads(frame.data)
        if "error" not in value:
            ChatCompletionChunk.model_validate(_typed(value), strict=True)
        out.append(value)
    return out


def _typed(value: dict[str, Any]) -> dict[str, Any]:
    """Custom calls stream in a shape that the SDK's types lack: judge them without their `type`."""
    copy: dict[str, Any] = json.loads(json.dumps(value))
    for choice in copy["choices"]:
        for call in choice["delta"].get("tool_calls", ()):
            if call.get("type") == "custom":
                del call["type"]
    return copy


def response_body(response: ir.Response, how: Writing | None = None, **options: Any) -> Any:
    """The client's body of a whole answer, judged by the SDK."""
    wire = TRANSLATOR.render_response(
        response, how or writing(), options.get("losses") or response_losses()
    )
    ChatCompletion.model_validate(wire, strict=True)
    return wire


def answer(*parts: ir.Part, **fields: Any) -> ir.Response:
    """A whole answer in the hub."""
    defaults: dict[str, Any] = {
        "id": "msg_1",
        "model": "real",
        "parts": parts,
        "finish_reason": ir.FinishReason.STOP,
    }
    return ir.Response(**defaults | fields)


def parse_body(message: dict[str, Any], finish: str | None = "stop", **fields: Any) -> ir.Response:
    """An upstream's whole answer with this message."""
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}
    wire = {"id": "chatcmpl-u", "model": "real", "created": 7, "choices": [choice]} | fields
    return TRANSLATOR.parse_response(wire, READING, fields.pop("losses", response_losses()))


def unplaced(events: Iterable[ir.StreamEvent]) -> list[ir.StreamEvent]:
    """Adjacent deltas of a part joined, so that pieces of any size compare equal."""
    out: list[ir.StreamEvent] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(event, ir.PartDelta) and isinstance(last, ir.PartDelta):
            out[-1] = ir.PartDelta(
                last.index, last.text + event.text, last.logprobs + event.logprobs
            )
        else:
            out.append(event)
    return out


def without_times(response: ir.Response) -> ir.Response:
    """An answer without what only one of two servers said."""
    return replace(response, id="", model="", created_s=None)


PLAIN = ModelProfile()
PNG = ir.Image(source=ir.Inline(media_type="image/png", data="iVBORw0KGgo="), path="img")
PDF = ir.Document(source=ir.Inline(media_type="application/pdf", data="JVBERi0="), path="doc")
RESULT = ir.ToolResult(call_id="call_1", content=(ir.Text(text="4 C"),), path="res")
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
OPEN_MAP = {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}
LOOSE = {"type": "object", "properties": {"a": {"type": "integer"}}}
F = ir.FunctionTool(name="f", schema=SCHEMA, path="tools[0]")
G = ir.FunctionTool(name="g", path="tools[1]")
SQL = ir.CustomTool(name="sql", description="Run SQL", path="tools[2]")


def system(*texts: str) -> ir.Message:
    """A system message."""
    return ir.Message(
        role=ir.Role.SYSTEM, parts=tuple(ir.Text(text=t) for t in texts), path="system"
    )


def refused(
    request: ir.Request, profile: ModelProfile = PLAIN, mode: Mode = Mode.MAX_COMPAT
) -> str | None:
    """The path at which rendering refuses a request."""
    with pytest.raises(GatewayError) as caught:
        render(request, profile, mode)
    assert caught.value.kind is ErrorKind.UNTRANSLATABLE
    return caught.value.path


def refusing_modes(request: ir.Request, profile: ModelProfile = PLAIN) -> set[str]:
    """The modes that refuse a request."""
    modes = set()
    for mode in Mode:
        try:
            render(request, profile, mode)
        except GatewayError:
            modes.add(mode.value)
    return modes


def roles(messages: list[dict[str, Any]]) -> list[str]:
    """The roles of messages."""
    return [message["role"] for message in messages]


def keys_with_null(value: Any, path: str = "") -> list[str]:
    """Paths of null values."""
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in keys_with_null(v, f"{path}.{k}")]
    if isinstance(value, list):
        return [p for v in value for p in keys_with_null(v, f"{path}[]")]
    return [path] if value is None else []
