"""How an answer streams to its client: as asked, in one piece, sentence by sentence, or always (`streaming`).

Decides nothing about upstreams but whether they are asked to stream; the answer's content is never changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from mitmproxy import http

from addons.admission import refuse
from addons.exchange import Exchange, Exchanges, now_s
from addons.guard import fail_closed
from config.patterns import matches, matches_any
from config.settings import Streaming, StreamMode, StreamRule
from translators import ir
from translators.base import Operation, StreamEncoder
from translators.errors import GatewayError
from translators.wire import dumps

PACED: Final = frozenset({Operation.GENERATE, Operation.LEGACY_COMPLETION})
SENTENCE_ENDS: Final = (".", "!", "?", "\n", "。", "！", "？", ":")


class Pace:
    """Stands behind the Reader: make a request what its client's mode says."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges

    @fail_closed
    def request(self, flow: http.HTTPFlow) -> None:
        """Apply `always`, and see that the hub is there where the stream is not the upstream's own."""
        exchange = self._exchanges.get(flow)
        if exchange is None:
            return
        match mode_of(exchange):
            case "always" if not exchange.stream:
                exchange.stream = True
                if exchange.endpoint.stream is None:
                    exchange.body = {**exchange.body, "stream": True}
                    exchange.raw = dumps(exchange.body)
                else:
                    exchange.endpoint = replace(exchange.endpoint, stream=True)
            case "never" | "buffered" if exchange.stream:
                exchange.hub_edited = True
            case _:
                pass

    def refuse(self, flow: http.HTTPFlow, error: GatewayError) -> None:
        """Answer with an error."""
        refuse(self._exchanges, flow, error)


def mode_of(exchange: Exchange) -> StreamMode:
    """The mode of an exchange; the first rule that matches its client wins."""
    settings = exchange.config.streaming
    if not settings.rules and settings.mode == "auto":
        return "auto"
    if exchange.endpoint.operation not in PACED:
        return "auto"
    found = (rule.mode for rule in settings.rules if _matches(rule, exchange))
    return next(found, settings.mode)


def _matches(rule: StreamRule, exchange: Exchange) -> bool:
    headers = exchange.headers
    name = exchange.principal.name if exchange.principal is not None else ""
    return (
        (not rule.user_agent or matches_any(rule.user_agent, headers.get("user-agent", "")))
        and (not rule.client_key or matches_any(rule.client_key, name))
        and (not rule.client_protocol or exchange.endpoint.protocol in rule.client_protocol)
        and all(
            key.lower() in headers and matches(pattern, headers[key.lower()])
            for key, pattern in rule.headers.items()
        )
    )


def asks_stream(exchange: Exchange) -> bool:
    """Whether the upstream is asked to stream: under `never` the client gets its events at once, at the end."""
    return exchange.stream and mode_of(exchange) != "never"


def ping_interval_s(exchange: Exchange) -> float | None:
    """Silence after which something is written: a heartbeat, or text that is held back."""
    usual = exchange.config.timeouts.ping_interval_s or None
    if mode_of(exchange) != "buffered":
        return usual
    held_s = exchange.config.streaming.buffer_s or None
    return min((one for one in (usual, held_s) if one is not None), default=None)


def paced(exchange: Exchange, encoder: StreamEncoder) -> StreamEncoder:
    """The encoder, joining text where the mode says so."""
    if mode_of(exchange) != "buffered":
        return encoder
    return JoiningEncoder(encoder, exchange.config.streaming)


class JoiningEncoder:
    """Hold text back until a sentence ends, there is enough of it, or it has waited long enough."""

    def __init__(
        self, inner: StreamEncoder, settings: Streaming, clock: Callable[[], float] = now_s
    ) -> None:
        self._inner = inner
        self._settings = settings
        self._clock = clock
        self._joins = False
        self._held: list[ir.PartDelta] = []
        self._chars = 0
        self._since_s = 0.0

    def encode(self, event: ir.StreamEvent) -> bytes:
        """See StreamEncoder."""
        if isinstance(event, ir.PartDelta) and self._joins:
            if not self._held:
                self._since_s = self._clock()
            self._held.append(event)
            self._chars += len(event.text)
            return self._flush() if self._is_due(event.text) else b""
        if isinstance(event, ir.PartStart):
            self._joins = isinstance(event.part, ir.Text | ir.Refusal | ir.Reasoning)
        held = self._flush()
        return held + self._inner.encode(event)

    def ping(self) -> bytes:
        """See StreamEncoder: text that waits is as good as a heartbeat."""
        return self._flush() or self._inner.ping()

    def _is_due(self, text: str) -> bool:
        return (
            self._chars >= self._settings.buffer_chars
            or text.rstrip(" ").endswith(SENTENCE_ENDS)
            or self._clock() - self._since_s >= self._settings.buffer_s
        )

    def _flush(self) -> bytes:
        if not self._held:
            return b""
        held, self._held, self._chars = self._held, [], 0
        text = "".join(one.text for one in held)
        logprobs = tuple(each for one in held for each in one.logprobs)
        return self._inner.encode(ir.PartDelta(held[0].index, text, logprobs))
