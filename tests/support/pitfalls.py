"""Take a request or an answer across the gateway in memory: client protocol, hub, upstream protocol.

What is written for an upstream goes through the fake provider's strict validator of that protocol.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scripts.fake.dialects import DIALECTS
from scripts.fake.http import Request
from translators import PROTOCOLS, ir
from translators.base import Call, Operation, Reading, Target, Writing
from translators.filters import filter_response, filters_for, run
from translators.fold import Folder
from translators.grammar import Grammar
from translators.losses import Degradation, Losses, Mode, Side
from translators.profile import ModelProfile
from translators.seal import Seal
from translators.sse import SseParser, event_frame
from translators.wire import dumps, loads

C, R, A, G = "openai_chat", "openai_responses", "anthropic", "gemini"
ALL = (C, R, A, G)
PAIRS = [(client, upstream) for client in ALL for upstream in ALL]
SEAL = Seal(b"0123456789abcdef0123456789abcdef")
UPSTREAM_MODEL = {C: "gpt-4.1", R: "gpt-5.2", A: "claude-sonnet-5", G: "gemini-3-pro"}
TEXTS: dict[str, dict[str, Any]] = {
    C: {"messages": [{"role": "user", "content": "Hi"}]},
    R: {"input": "Hi"},
    A: {"max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]},
    G: {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@dataclass(frozen=True, slots=True)
class Crossed:
    """A request on the other side: body, how to read its answer, and what was given up."""

    body: dict[str, Any]
    reading: Reading
    losses: tuple[Degradation, ...]
    request: ir.Request
    raw: dict[str, Any]

    @property
    def text(self) -> str:
        """The body as JSON text, to look for what must not be in it."""
        return dumps(self.body).decode()

    @property
    def lost(self) -> str:
        """Everything given up, as one text."""
        return "\n".join(f"{loss.path}: {loss.reason}" for loss in self.losses)


def parse(client: str, body: dict[str, Any], *, stream: bool | None = None) -> ir.Request:
    """A client's request in the hub; what a real one always says is added."""
    whole = {"model": "m", **(TEXTS[A] if client == A else {}), **body}
    if client == G:
        whole = body
        call = Call(model="m", stream=bool(stream))
    else:
        call = Call(headers={"anthropic-version": "2023-06-01"} if client == A else {})
        if stream:
            whole["stream"] = True
    return PROTOCOLS[client].parse_request(loads(dumps(whole)), call, SEAL)


def cross(
    client: str,
    upstream: str,
    body: dict[str, Any],
    *,
    mode: Mode = Mode.MAX_COMPAT,
    stream: bool = False,
    check: bool = True,
    **profile: Any,
) -> Crossed:
    """Translate a client's request for an upstream, and check it as the provider would."""
    request = parse(client, body, stream=stream)
    losses = Losses(mode)
    model = UPSTREAM_MODEL[upstream]
    if upstream == G:
        profile.setdefault("signatures_required", True)
    target = Target(provider="p", model=model, profile=ModelProfile(**profile))
    rendered = PROTOCOLS[upstream].render_request(request, target, losses)
    if check:
        validate(upstream, model, loads(dumps(rendered.body)), dict(rendered.headers))
    return Crossed(rendered.body, rendered.reading, losses.degradations, request, body)


def validate(protocol: str, model: str, body: dict[str, Any], headers: dict[str, str]) -> None:
    """What the strict fake says about a body; a Rejection fails the test with the provider's words."""
    path = PROTOCOLS[protocol].upstream_path(Operation.GENERATE, model, stream=False)
    request = Request("POST", path, {}, headers, (), b"")
    DIALECTS[protocol].validate(body, model, request, "create")


def answer(
    upstream: str, client: str, body: dict[str, Any], asked: Crossed | None = None
) -> tuple[dict[str, Any], Losses]:
    """A provider's whole answer as the client gets it."""
    reading = asked.reading if asked else Reading(provider="p", model="m")
    losses = Losses(Mode.MAX_COMPAT, Side.RESPONSE)
    response = PROTOCOLS[upstream].parse_response(loads(dumps(body)), reading, losses)
    response = filter_response(response, reading, losses)
    return PROTOCOLS[client].render_response(response, _writing(client, asked), losses), losses


def hub_answer(upstream: str, body: dict[str, Any]) -> ir.Response:
    """A provider's whole answer in the hub."""
    reading = Reading(provider="p", model="m")
    return PROTOCOLS[upstream].parse_response(loads(dumps(body)), reading, Losses())


def stream(
    upstream: str, client: str, data: bytes | Iterable[bytes], asked: Crossed | None = None
) -> list[dict[str, Any]]:
    """A provider's stream as the client's events; the hub's grammar is checked in between."""
    reading = asked.reading if asked else Reading(provider="p", model="m", stream=True)
    losses = Losses(Mode.MAX_COMPAT, Side.RESPONSE)
    decoder = PROTOCOLS[upstream].decoder(reading, losses)
    encoder = PROTOCOLS[client].encoder(_writing(client, asked, stream=True), losses)
    events: list[ir.StreamEvent] = []
    for piece in [data] if isinstance(data, bytes) else data:
        events += decoder.feed(piece)
    events += decoder.close()
    chain = filters_for(reading, losses)
    events = [out for event in events for out in run(chain, event)]
    grammar, out = Grammar(), b""
    for event in events:
        grammar.advance(event)
        out += encoder.encode(event)
    assert grammar.ended
    return events_of(out)


def events_of(data: bytes) -> list[dict[str, Any]]:
    """The JSON events of an SSE body, without `[DONE]`."""
    parser = SseParser()
    frames = [*parser.feed(data), *parser.close()]
    return [loads(frame.data) for frame in frames if frame.data not in (b"", b"[DONE]")]


def folded(upstream: str, data: bytes) -> ir.Response:
    """A provider's stream, folded in the hub."""
    decoder = PROTOCOLS[upstream].decoder(Reading(provider="p", model="m", stream=True), Losses())
    folder = Folder()
    for event in (*decoder.feed(data), *decoder.close()):
        folder.add(event)
    return folder.response()


def sse(*payloads: dict[str, Any], done: bool = False) -> bytes:
    """Payloads as SSE frames; those with a `type` are named by it."""
    frames = [
        event_frame(payload["type"], payload)
        if "type" in payload
        else b"data: " + dumps(payload) + b"\n\n"
        for payload in payloads
    ]
    return b"".join(frames) + (b"data: [DONE]\n\n" if done else b"")


def _writing(client: str, asked: Crossed | None, *, stream: bool = False) -> Writing:
    request = asked.request if asked else parse(client, TEXTS[client], stream=stream)
    raw = {"model": "m", **(asked.raw if asked else TEXTS[client])}
    return Writing(request=request, model="shown", now_s=1794000000, raw=raw, seal=SEAL)
