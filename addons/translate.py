"""Between the client's protocol and a candidate's: requests out, answers back. Knows no flow and no socket.

Same protocol on both sides never goes through the hub: the client's bytes pass with the model's name swapped.
Otherwise the hub request is rendered afresh for each attempt, so that failover may change the protocol.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from addons import cache_hints, legs
from addons.affinity import session_of
from addons.counting import counted_body, quick_estimate
from addons.exchange import Candidate, Exchange, Try
from addons.pace import paced
from addons.passthrough import (
    ANSWER_FIELDS,
    MODEL_FIELDS,
    ModelRenamer,
    PreviousId,
    swap_answer_model,
    swap_model,
)
from addons.payload import changed_body, finish_passed, finish_rendered
from addons.pictures import must_strip, without_pictures
from addons.relay import EventSink, OnEvent, PassingRelay, Relay, Shadow, TranslatingRelay
from translators import PROTOCOLS, ir
from translators.anthropic.words import SAMPLING_VERSION
from translators.base import Call, Operation, Reading, Rendered, Target, Translator, Writing
from translators.errors import ErrorKind, GatewayError
from translators.filters import filter_response, filters_for
from translators.fold import Folder, unfold
from translators.losses import Action, Losses, Side
from translators.memory import ReasoningMemory
from translators.profile import ModelProfile
from translators.seal import Seal
from translators.sse import SseParser
from translators.wire import JsonObject, JsonSyntaxError, dumps, loads

VERSION_HEADER: Final = "anthropic-version"
_BODY_HEADERS: Final = (VERSION_HEADER, "anthropic-beta")
_SEALED: Final = re.compile(rb'"bGxtZz[AE]u')
"""The beginning of an envelope, or of the mark of unsigned thinking, as a JSON string."""
_SIDE: Final = (Operation.COUNT_TOKENS, Operation.COMPACT)
"""Operations that have an endpoint of their own upstream; only a client of the same protocol gets there."""
_EVENT_STREAM: Final = re.compile(r"^\s*text/event-stream\b", re.IGNORECASE)
HEARTBEATS: Final[Mapping[str, bytes]] = {
    "openai_chat": b": keep-alive\n\n",
    "openai_responses": b": keep-alive\n\n",
    "anthropic": b'event: ping\ndata: {"type":"ping"}\n\n',
    "gemini": b"\r\n\r\n",
}
"""What may stand between two events of a passed stream, per client protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What goes to an upstream: path below its base URL, body, and the headers that the body needs."""

    path: str
    body: bytes
    headers: Mapping[str, str]


class Translate:
    """Render requests and read answers for exchanges; holds what outlives one request (seal, memory)."""

    def __init__(self, memory: ReasoningMemory) -> None:
        self.seal = Seal(secrets.token_bytes(32))
        """Replaced at start by the one whose key outlives the process."""
        self._memory = memory

    # -- requests

    def hub_request(self, exchange: Exchange) -> ir.Request:
        """The client's request in the hub, parsed once; reasoning that its protocol cannot carry is put back."""
        if exchange.hub is None:
            call = Call(
                model=exchange.endpoint.model or exchange.model,
                stream=exchange.endpoint.stream,
                headers={k: v for k, v in exchange.headers.items() if k in _BODY_HEADERS},
                operation=exchange.endpoint.operation or Operation.GENERATE,
            )
            request = exchange.translator.parse_request(exchange.body, call, self.seal)
            if request.protocol == "openai_chat":
                request = self._memory.restore(exchange.tenant, request, exchange.started_s)
            exchange.hub = request
        return exchange.hub

    def outgoing(self, exchange: Exchange, attempt: Try, profile: ModelProfile) -> Outgoing:
        """The request of one attempt; fills the attempt's `reading` unless the bytes pass."""
        candidate = attempt.candidate
        upstream = PROTOCOLS[candidate.protocol]
        native = candidate.protocol == exchange.endpoint.protocol
        versionless = lacks_version(exchange, attempt)
        passes = native and candidate.reasoning is None and not must_translate(exchange)
        if passes and not must_strip(exchange, profile, lambda: self.hub_request(exchange)):
            attempt.reading = None
            passed = self._passing_request(exchange, attempt, upstream, profile)
            if versionless and not profile.vertex:
                passed = replace(passed, headers={VERSION_HEADER: SAMPLING_VERSION})
            return passed
        path = upstream_path(candidate, upstream, attempt.stream)
        rendered = self._render(exchange, attempt, upstream, profile)
        attempt.reading = legs.settled_reading(exchange, attempt, rendered.reading)
        body = finish_rendered(exchange, attempt, rendered.body, profile)
        return Outgoing(path=path, body=body, headers=rendered.headers)

    def _passing_request(
        self, exchange: Exchange, attempt: Try, upstream: Translator, profile: ModelProfile
    ) -> Outgoing:
        candidate = attempt.candidate
        operation = exchange.endpoint.operation
        body: bytes | None
        if operation in _SIDE:
            usual = upstream.upstream_path(operation, candidate.wire_model, False)
            path = candidate.endpoint.path(operation.value, candidate.wire_model, usual)
        else:
            path = upstream_path(candidate, upstream, attempt.stream)
        if operation is Operation.COUNT_TOKENS:
            body = counted_body(
                exchange,
                candidate,
                lambda asked: changed_body(exchange, attempt, asked, profile, self.seal),
            )
        else:
            body = finish_passed(exchange, attempt, profile, self.seal)
        if body is None:
            body = self._passed(exchange, candidate)
        return Outgoing(path=path, body=body, headers={})

    def _passed(self, exchange: Exchange, candidate: Candidate) -> bytes:
        if exchange.endpoint.model is not None:  # Gemini names the model in the path
            return exchange.raw
        return swap_model(exchange.raw, exchange.body, candidate.wire_model)

    def _render(
        self, exchange: Exchange, attempt: Try, upstream: Translator, profile: ModelProfile
    ) -> Rendered:
        request = self.hub_request(exchange)
        if request.stream != attempt.stream:
            request = replace(request, stream=attempt.stream)
        candidate = attempt.candidate
        if candidate.reasoning is not None:
            request = replace(request, reasoning=thinking(request.reasoning, candidate.reasoning))
        if not profile.image_types:
            notice = exchange.config.media.strip_notice
            request = without_pictures(request, notice, attempt.losses)
        request = hinted(exchange, candidate, request, profile)
        if exchange.legs is not None:
            request = exchange.legs.asked(request)
        target = Target(provider=candidate.provider, model=candidate.wire_model, profile=profile)
        return upstream.render_request(request, target, attempt.losses)

    # -- answers

    def relay(
        self,
        exchange: Exchange,
        attempt: Try,
        *,
        on_event: OnEvent | None = None,
        on_finished: Callable[[], None] | None = None,
        on_pause: Callable[[], None] | None = None,
        keep: bool = False,
    ) -> Relay:
        """The machine for a streamed answer to a streaming client, or the one that goes on with a further leg of it.

        `keep` collects the whole answer too. `on_pause` is called when another leg is due.
        """
        client = exchange.translator
        upstream = PROTOCOLS[attempt.candidate.protocol]
        sink: EventSink | None = Folder() if keep else None
        if attempt.reading is None:
            attempt.trail = sink
            return self._passing(exchange, attempt, sink, on_event, on_finished)
        begun = legs.streaming(exchange)
        losses = Losses(attempt.losses.mode, Side.RESPONSE) if begun is None else begun.losses
        decoder = upstream.decoder(attempt.reading, losses)
        decoder = legs.leg_decoder(exchange, attempt, decoder, on_pause)
        if begun is not None:
            begun.go_on(decoder, on_finished)
            attempt.trail = begun.keep
            return begun
        if sink is None and exchange.endpoint.protocol == "openai_chat":
            sink = ReasoningTrail()
        attempt.trail = sink
        return TranslatingRelay(
            decoder,
            paced(exchange, client.encoder(self.writing(exchange), losses)),
            filters_for(attempt.reading, losses),
            losses=losses,
            keep=sink,
            on_event=on_event,
            on_finished=on_finished,
        )

    def _passing(
        self,
        exchange: Exchange,
        attempt: Try,
        keep: EventSink | None,
        on_event: OnEvent | None,
        on_finished: Callable[[], None] | None,
    ) -> Relay:
        client, request_id = (
            exchange.translator,
            exchange.id,
        )  # never the exchange: it holds the relay
        upstream_model = attempt.candidate.wire_model
        steps: list[Callable[[bytes], bytes]] = []
        if upstream_model != exchange.model:
            field = MODEL_FIELDS.get(client.name, "model")
            steps.append(ModelRenamer(field, upstream_model, exchange.model))
        if previous := previous_id(exchange):
            steps.append(PreviousId(previous))
        if exchange.array_framing:
            steps.append(ArrayFraming())
        probe = Reading(provider=attempt.candidate.provider, model=upstream_model, stream=True)
        shadow: Shadow | None = None
        if keep is not None or on_event is not None:
            shadow = Shadow(client.decoder(probe, Losses()), keep, on_event)
        return PassingRelay(
            client.observer(),
            client.decoder(probe, Losses()),
            lambda error: client.render_stream_error(error, request_id),
            steps=steps,
            ping=HEARTBEATS[client.name],
            shadow=shadow,
            on_finished=on_finished,
        )

    @staticmethod
    def heartbeat(exchange: Exchange) -> bytes:
        """A heartbeat before anything is known of the answer."""
        return HEARTBEATS[exchange.translator.name]

    def writing(self, exchange: Exchange) -> Writing:
        """How to write for this exchange's client."""
        request = exchange.hub or self.hub_request(exchange)
        return Writing(
            request=request,
            model=exchange.model,
            now_s=int(exchange.created_s),
            raw=exchange.asked or exchange.body,
            stored=exchange.recorder is not None,
            seal=self.seal,
            chat_reasoning=exchange.config.chat_reasoning,
            input_tokens_estimate=self._input_estimate(exchange, request),
            array_framing=exchange.array_framing,
        )

    @staticmethod
    def _input_estimate(exchange: Exchange, request: ir.Request) -> int | None:
        """Claude Code reads the input's size from the first event; most other protocols tell it in the last."""
        current = exchange.current
        if exchange.translator.name != "anthropic" or not exchange.stream or current is None:
            return None
        if exchange.input_estimate is None:
            exchange.input_estimate = quick_estimate(request, current.candidate.protocol)
        return exchange.input_estimate

    def unary(
        self,
        exchange: Exchange,
        attempt: Try,
        content_type: str,
        body: bytes,
        on_event: OnEvent | None = None,
    ) -> bytes | None:
        """A whole answer for the client, whichever way the upstream chose to answer; None = it takes another call.

        `on_event` is for a client that streams. Raises GatewayError for a body that cannot be read, or that is an
        error in disguise (status 200).
        """
        upstream = PROTOCOLS[attempt.candidate.protocol]
        streamed = _is_event_stream(content_type, body)
        if attempt.reading is None and not streamed and not exchange.stream:
            payload = _json_object(body)
            self._refuse_disguised(exchange, upstream, payload, attempt)
            attempt.usage = upstream.usage(payload)
            body = self._renamed(exchange, attempt, body)
            previous = previous_id(exchange)
            return PreviousId(previous).whole(body) if previous else body
        response = self._read_whole(attempt, upstream, body, streamed=streamed)
        attempt.usage = response.usage
        whole = legs.take(exchange, attempt, response)
        if whole is None:
            return None
        attempt.response = response = whole
        attempt.finish_reason = response.finish_reason
        self.remember(exchange, response.parts)
        losses = Losses(attempt.losses.mode, Side.RESPONSE)
        out = self.write_whole(exchange, response, losses, on_event)
        attempt.losses.extend(losses)
        return out

    @staticmethod
    def spent(attempt: Try, body: bytes) -> ir.Usage:
        """What a whole answer took that the model gave up."""
        return PROTOCOLS[attempt.candidate.protocol].usage(_json_object(body))

    def write_whole(
        self,
        exchange: Exchange,
        response: ir.Response,
        losses: Losses,
        on_event: OnEvent | None = None,
    ) -> bytes:
        """A hub answer in the client's protocol: one JSON body, or all events of a stream at once."""
        writing = self.writing(exchange)
        if not exchange.stream:
            return dumps(exchange.translator.render_response(response, writing, losses))
        encoder = exchange.translator.encoder(writing, losses)
        events = unfold(response)
        if on_event is not None:
            events = (made for event in events for made in on_event(event))
        return b"".join(map(encoder.encode, events))

    def read_passed(self, attempt: Try) -> ir.Response:
        """The hub's view of a whole answer whose bytes passed."""
        candidate = attempt.candidate
        reading = Reading(provider=candidate.provider, model=candidate.wire_model)
        body = _json_object(attempt.unary or b"")
        return PROTOCOLS[candidate.protocol].parse_response(body, reading, Losses())

    def _read_whole(
        self, attempt: Try, upstream: Translator, body: bytes, *, streamed: bool
    ) -> ir.Response:
        reading = attempt.reading or Reading(
            provider=attempt.candidate.provider, model=attempt.candidate.wire_model
        )
        losses = Losses(attempt.losses.mode, Side.RESPONSE)
        if streamed:
            folder = Folder()
            decoder = upstream.decoder(reading, losses)
            for event in (*decoder.feed(body), *decoder.close()):
                folder.add(event)
            response = folder.response()
        else:
            response = upstream.parse_response(_json_object(body), reading, losses)
        response = filter_response(response, reading, losses)
        attempt.losses.extend(losses)
        return response

    def _refuse_disguised(
        self, exchange: Exchange, upstream: Translator, payload: JsonObject, attempt: Try
    ) -> None:
        """An error under status 200 (pitfalls ERR-12) must not pass as an answer.

        What holds an answer passes unread; of anything else the protocol's own reader says what it is.
        """
        if exchange.endpoint.operation in _SIDE:
            if payload.get("error"):
                raise upstream.parse_error(200, {}, dumps(payload))
        elif payload.get("error") or payload.get(ANSWER_FIELDS[upstream.name]) is None:
            candidate = attempt.candidate
            reading = Reading(provider=candidate.provider, model=candidate.wire_model)
            upstream.parse_response(payload, reading, Losses())

    def _renamed(self, exchange: Exchange, attempt: Try, body: bytes) -> bytes:
        if attempt.candidate.wire_model == exchange.model:
            return body
        field = MODEL_FIELDS.get(exchange.translator.name, "model")
        return swap_answer_model(body, field, attempt.candidate.wire_model, exchange.model)

    def remember(self, exchange: Exchange, parts: tuple[ir.Part, ...]) -> None:
        """Keep reasoning state for clients that cannot carry it themselves."""
        if exchange.endpoint.protocol == "openai_chat" and parts:
            self._memory.remember(exchange.tenant, parts, exchange.started_s)


class ReasoningTrail:
    """Of a stream, only the reasoning that has state, and the calls that it led to."""

    def __init__(self) -> None:
        self._parts: list[ir.Part] = []
        self._open: ir.Part | None = None
        self._text: list[str] = []

    def add(self, event: ir.StreamEvent) -> None:
        """Take one event."""
        if isinstance(event, ir.PartDelta):
            if isinstance(self._open, ir.Reasoning):
                self._text.append(event.text)
        elif isinstance(event, ir.PartStart):
            self._open, self._text = event.part, []
        elif isinstance(event, ir.PartEnd) and self._open is not None:
            part, self._open = self._open, None
            if isinstance(part, ir.Reasoning):
                text = part.text + "".join(self._text)
                self._parts.append(replace(part, text=text, state=event.state or part.state))
            elif isinstance(part, ir.ToolCall):
                self._parts.append(part)

    @property
    def parts(self) -> tuple[ir.Part, ...]:
        """Reasoning and calls in order; () when there is nothing to remember."""
        has_state = any(isinstance(p, ir.Reasoning) and p.state is not None for p in self._parts)
        return tuple(self._parts) if has_state else ()


class ArrayFraming:
    """SSE to one JSON array, for Gemini clients that did not ask for `alt=sse`; b"" ends the array."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._open = False

    def __call__(self, data: bytes) -> bytes:
        """The array's next elements."""
        frames = self._parser.feed(data) if data else self._parser.close()
        out = b""
        for frame in frames:
            out += (b",\r\n" if self._open else b"[") + frame.data
            self._open = True
        if not data:
            out += b"]" if self._open else b"[]"
        return out


def hinted(
    exchange: Exchange, candidate: Candidate, request: ir.Request, profile: ModelProfile
) -> ir.Request:
    """The request with the caching hints that its client left to the gateway."""
    caching = candidate.upstream.caching or exchange.config.caching
    if candidate.protocol == "anthropic":
        if caching.inject_marks and not cache_hints.declines(exchange.body):
            return cache_hints.with_marks(request)
    elif caching.cache_key and profile.cache_marks and request.cache_key is None:
        session = exchange.session or session_of(
            exchange.config.affinity,
            exchange.headers,
            exchange.body,
            exchange.tenant,
            lambda: request,
        )
        return cache_hints.with_key(request, session)
    return request


def thinking(
    asked: ir.ReasoningControl | None, wanted: ir.ReasoningControl
) -> ir.ReasoningControl | None:
    """The thinking that the candidate's name says, shown as the client wants it; None = automatic."""
    if wanted.level is None and wanted.budget_tokens is None:
        return None
    return replace(wanted, summary=asked.summary if asked is not None else None)


def upstream_path(candidate: Candidate, upstream: Translator, stream: bool) -> str:
    """The path of a generation below the base URL: the endpoint's own, else the protocol's.

    A protocol that streams on the very path of whole answers needs one configured path only.
    """
    endpoint, model = candidate.endpoint, candidate.wire_model
    usual = upstream.upstream_path(Operation.GENERATE, model, stream)
    whole = upstream.upstream_path(Operation.GENERATE, model, False)
    streams_apart = usual != whole or "stream" in endpoint.paths
    return endpoint.path("stream" if stream and streams_apart else "generate", model, usual)


def lacks_version(exchange: Exchange, attempt: Try) -> bool:
    """Whether an Anthropic client did not say which version it speaks; only `max_compat` reads it as the older one."""
    if exchange.endpoint.protocol != "anthropic" or VERSION_HEADER in exchange.headers:
        return False
    if "anthropic_version" in exchange.body:
        return False
    attempt.losses.choose(
        VERSION_HEADER,
        "the header is required",
        strict=Action.REJECT,
        balanced=Action.REJECT,
        max_compat=Action.SILENT,
    )
    return True


def previous_id(exchange: Exchange) -> str | None:
    """The earlier response whose items were put into the request."""
    return exchange.asked.get("previous_response_id") if exchange.asked is not None else None


def must_translate(exchange: Exchange) -> bool:
    """Whether the hub is needed although both sides speak the same protocol.

    So it is when a script edited the request, for legacy completions, which become a chat, and when the history
    holds what this gateway wrote for an upstream of another protocol: sealed reasoning that no provider can verify.
    Responses are spared that: there sealed items are taken out one by one (Translator.fit).
    """
    if exchange.hub_edited or exchange.endpoint.operation is Operation.LEGACY_COMPLETION:
        return True
    if exchange.endpoint.protocol == "openai_responses":
        return False
    return _SEALED.search(exchange.raw) is not None


def _is_event_stream(content_type: str, body: bytes) -> bool:
    """By the first bytes, else by content type: some upstreams answer under the other one's (pitfalls STR-45, STR-46)."""
    head = body[:64].lstrip()
    if head.startswith(b"{"):
        return False
    if _EVENT_STREAM.match(content_type):
        return True
    return head.startswith((b"data:", b"event:", b":", b"id:", b"retry:"))


def _json_object(body: bytes) -> JsonObject:
    try:
        payload = loads(body)
    except JsonSyntaxError as error:
        raise GatewayError(
            ErrorKind.UPSTREAM_MALFORMED, f"the provider's answer is not JSON: {error}"
        ) from error
    if isinstance(payload, list) and len(payload) == 1:
        payload = payload[0]  # Google wraps some errors in an array
    if not isinstance(payload, dict):
        raise GatewayError(ErrorKind.UPSTREAM_MALFORMED, "the provider's answer is no JSON object")
    return payload
