"""What the tests of this package share: its data, the official SDK's strict types, and short ways to build things."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

from scripts.fake.sdk_types import complaints
from tests.support.streams import encoded
from translators import ir
from translators.anthropic import TRANSLATOR
from translators.base import Call, Reading, Rendered, Target, Writing
from translators.grammar import Grammar
from translators.losses import Losses, Mode, Side
from translators.profile import DEFAULT_PROFILE, ModelProfile
from translators.seal import Seal
from translators.sse import SseParser

DATA = Path(__file__).parent / "data"
STREAMS: dict[str, list[dict[str, Any]]] = json.loads((DATA / "streams.json").read_text())
EXAMPLES: dict[str, list[Any]] = json.loads((DATA / "examples.json").read_text())
CAPTURES = [
    (f"{path.stem}-{place}", request)
    for path in sorted((DATA / "captures").glob("*.json"))
    for place, request in enumerate(json.loads(path.read_text())["requests"])
]

SEAL = Seal(b"a key of sixteen bytes or more")
READING = Reading(provider="claude", model="m")
SDK_EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


# ---------------------------------------------------------------------------------------- requests


def parse(body: dict[str, Any], call: Call | None = None, seal: Seal | None = SEAL) -> ir.Request:
    """Read a client's body."""
    return TRANSLATOR.parse_request(body, call or Call(), seal)


def body_of(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A small valid body; without messages it says hi."""
    default = [{"role": "user", "content": "hi"}]
    return {"model": "m", "max_tokens": 100, "messages": list(messages) or default, **fields}


def parts_of(*blocks: Any, role: str = "user") -> tuple[ir.Part, ...]:
    """The parts of one message with these blocks."""
    request = parse(body_of({"role": role, "content": list(blocks)}))
    return request.messages[-1].parts


def unshared(request: ir.Request) -> dict[str, str]:
    """Path -> loss of what only this protocol says."""
    return {field.path: field.loss.value for field in request.unshared}


def ask(*messages: ir.Message, protocol: str = "openai_chat", **fields: Any) -> ir.Request:
    """A hub request of another protocol's client."""
    default = (user("hi"),)
    return ir.Request(protocol=protocol, model="alias", messages=messages or default, **fields)


def user(*parts: ir.Part | str) -> ir.Message:
    """A user message."""
    return _message(ir.Role.USER, parts)


def assistant(*parts: ir.Part | str) -> ir.Message:
    """An assistant message."""
    return _message(ir.Role.ASSISTANT, parts)


def system(*parts: ir.Part | str) -> ir.Message:
    """A system message."""
    return _message(ir.Role.SYSTEM, parts)


def _message(role: ir.Role, parts: tuple[ir.Part | str, ...]) -> ir.Message:
    built = tuple(ir.Text(text=part) if isinstance(part, str) else part for part in parts)
    return ir.Message(role=role, parts=built, path="messages[9]")


def call(call_id: str, arguments: str = "{}", name: str = "f") -> ir.ToolCall:
    """A tool call."""
    return ir.ToolCall(call_id=call_id, name=name, arguments=arguments)


def result(
    call_id: str, *content: ir.Text | ir.Image | ir.Document, **fields: Any
) -> ir.ToolResult:
    """A tool result, "ok" by default."""
    return ir.ToolResult(call_id=call_id, content=content or (ir.Text(text="ok"),), **fields)


def tool(name: str = "f", **fields: Any) -> ir.FunctionTool:
    """A function tool with one string argument."""
    schema = {
        "type": "object",
        "properties": {"x": {"type": "string"}},
        "required": ["x"],
        "additionalProperties": False,
    }
    return ir.FunctionTool(name=name, schema=schema, path="tools[0]", **fields)


def render(
    request: ir.Request, mode: Mode = Mode.MAX_COMPAT, **profile: Any
) -> tuple[Rendered, Losses]:
    """Write a request for an upstream; the SDK's own types must take it."""
    losses = Losses(mode)
    wanted = ModelProfile(**profile) if profile else DEFAULT_PROFILE
    rendered = TRANSLATOR.render_request(
        request, Target(provider="claude", model="m", profile=wanted), losses
    )
    return rendered, losses


def rendered_body(request: ir.Request, mode: Mode = Mode.MAX_COMPAT, **profile: Any) -> Any:
    """The body of a rendered request that the SDK's types take."""
    body = render(request, mode, **profile)[0].body
    assert complaints("anthropic", body) == []
    return body


# ----------------------------------------------------------------------------------------- answers


def writing(**fields: Any) -> Writing:
    """How to write for a client of this protocol."""
    fields.setdefault("seal", SEAL)
    return Writing(request=ask(protocol="anthropic"), model="alias", now_s=1, **fields)


def response_losses(mode: Mode = Mode.MAX_COMPAT) -> Losses:
    """A collector for the response side."""
    return Losses(mode, Side.RESPONSE)


def strict_message(body: dict[str, Any]) -> Message:
    """The answer as the SDK's strict type; unknown keys fail."""
    message = Message.model_validate(body, strict=True)
    _no_extras(message)
    return message


def strict_events(data: bytes) -> list[Any]:
    """The events of a stream, each as the SDK's strict type; `error` and `ping` are the SDK's own affair."""
    parser = SseParser()
    events = []
    for frame in [*parser.feed(data), *parser.close()]:
        payload = json.loads(frame.data)
        assert frame.event == payload["type"]
        if frame.event not in ("ping", "error"):
            event = SDK_EVENTS.validate_python(payload, strict=True)
            _no_extras(event)
        events.append(payload)
    return events


def _no_extras(value: Any) -> None:
    if isinstance(value, BaseModel):
        assert not value.model_extra, f"{type(value).__name__} has {value.model_extra}"
        for name in type(value).model_fields:
            _no_extras(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            _no_extras(item)


def sse(events: list[dict[str, Any]]) -> list[bytes]:
    """Wire frames of events."""
    return [
        f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
        for event in events
    ]


def decode(*pieces: bytes, reading: Reading = READING, mode: Mode = Mode.MAX_COMPAT) -> Any:
    """All events of these pieces, checked against the grammar, to the terminal one."""
    decoder = TRANSLATOR.decoder(reading, response_losses(mode))
    events: list[ir.StreamEvent] = []
    for piece in pieces:
        events.extend(decoder.feed(piece))
    events.extend(decoder.close())
    grammar = Grammar()
    for event in events:
        grammar.advance(event)
    assert grammar.ended
    return events


def encode(*events: ir.StreamEvent, mode: Mode = Mode.MAX_COMPAT, **fields: Any) -> Any:
    """The payloads of a client's stream."""
    encoder = TRANSLATOR.encoder(writing(**fields), response_losses(mode))
    return strict_events(encoded(encoder, events))


def without_pings(events: list[ir.StreamEvent]) -> list[ir.StreamEvent]:
    """What a client sees of events."""
    return [event for event in events if not isinstance(event, ir.Ping)]


PNG = ir.Inline(media_type="image/png", data="iVBORw0KGgo=")


def reasons(losses):
    return [degradation.reason for degradation in losses.degradations]


def roles(body):
    return [message["role"] for message in body["messages"]]


def thought(kind=ir.StateKind.ANTHROPIC_SIGNATURE, provider="claude", model="m"):
    return ir.Reasoning(
        text="t", state=ir.OpaqueState(kind=kind, value="EqQB", provider=provider, model=model)
    )
