"""The Responses API over a WebSocket: `response.create` messages become turns, their events become messages.

A turn is a request like any other (turns.py), with the items of the response that it continues put in. What a socket
remembers for that is bounded, lives as long as the socket, and is there with `store: false` too. Turns of one lane
run one after the other, lanes side by side. Words and shapes are in translators/openai_responses/socket.py.
Reference: https://developers.openai.com/api/docs/guides/websocket-mode (read 2026-11-21)
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

from mitmproxy import http
from wsproto.frame_protocol import CloseReason

from addons.admission import refuse
from addons.bodies import too_large
from addons.engine import Engine
from addons.exchange import Exchange, Exchanges, Introduction
from addons.guard import fail_closed
from addons.headers import encoded
from addons.local_socket import LocalSocket
from config.settings import WebSocket
from translators.base import Operation
from translators.errors import ErrorKind, GatewayError
from translators.openai_responses import socket as wire
from translators.openai_responses.side import TRIGGER
from translators.openai_responses.stored import previous_not_found
from translators.wire import JsonObject, dumps

PROTOCOL: Final = "openai_responses"
MAX_WAITING: Final = 64
"""Turns of one socket that wait for their lane or for a place."""
PING_S: Final = 60.0
_OF_THE_UPGRADE: Final = (
    "connection",
    "upgrade",
    "sec-websocket-",
    "content-",
    "transfer-",
    "accept",
)
_BETA: Final = "responses_websockets="


class ResponsesSockets:
    """Accept upgrades on the path of the Responses API; what is refused is refused by the Reader."""

    def __init__(self, exchanges: Exchanges, engine: Engine) -> None:
        self._exchanges = exchanges
        self._engine = engine

    @fail_closed
    def request(self, flow: http.HTTPFlow) -> None:
        """Answer an upgrade with 101, if the configuration allows it."""
        exchange = self._exchanges.get(flow)
        if (
            exchange is None
            or exchange.endpoint.operation is not Operation.GENERATE
            or flow.request.method != "GET"
            or flow.request.headers.get("upgrade", "").lower() != "websocket"
            or exchange.endpoint.protocol != PROTOCOL
            or not exchange.config.websocket.enabled
        ):
            return
        settings = exchange.config.websocket
        session = ResponsesSession(self._exchanges, exchange, flow.request)
        try:
            self._engine.accept_socket(
                flow,
                session,
                max_message_bytes=exchange.config.limits.max_request_bytes,
                tick_s=min(PING_S, settings.lifetime_s),
            )
        except ValueError as error:
            raise GatewayError(ErrorKind.INVALID_REQUEST, str(error)) from error

    def refuse(self, flow: http.HTTPFlow, error: GatewayError) -> None:
        """Answer with an error."""
        refuse(self._exchanges, flow, error)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a later turn may continue."""

    response_id: str
    items: tuple[JsonObject, ...]
    size_bytes: int


class Memory:
    """The latest response of each lane, bounded in bytes; those of lanes that rest longest go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lanes: OrderedDict[str | None, _Kept] = OrderedDict()

    def keep(self, lane: str | None, kept: _Kept) -> None:
        """Put a response in place of the lane's last one.

        Lanes that share items are counted as if they did not; a response that alone is too large is not kept.
        """
        self._lanes.pop(lane, None)
        if kept.size_bytes > self._max_bytes:
            return
        self._lanes[lane] = kept
        while sum(one.size_bytes for one in self._lanes.values()) > self._max_bytes:
            self._lanes.popitem(last=False)

    def find(self, response_id: str) -> _Kept | None:
        """A response by its id, whichever lane it is of."""
        return next((k for k in self._lanes.values() if k.response_id == response_id), None)

    def lane_of(self, response_id: str) -> str | None:
        """The lane whose latest response this is; None also for the unnamed lane."""
        return next((n for n, k in self._lanes.items() if k.response_id == response_id), None)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A `response.create` that has been accepted."""

    lane: str | None
    event: JsonObject
    size_bytes: int


class ResponsesSession:
    """One socket."""

    def __init__(self, exchanges: Exchanges, upgrade: Exchange, request: http.Request) -> None:
        self.exchanges = exchanges
        self.key = upgrade.presented_key
        self.own_credential = upgrade.own_credential
        self._path = request.path
        self._headers = turn_headers(request)
        self._settings: WebSocket = upgrade.config.websocket
        self._max_bytes = upgrade.config.limits.max_request_bytes
        self._memory = Memory(self._settings.max_state_bytes)
        self._active: dict[str | None, ResponsesTurn] = {}
        self._waiting: deque[_Asked] = deque()
        self._lanes: set[str] = set()
        self._ends_at = 0.0
        self._expired = False
        self.socket: LocalSocket

    # --- Session

    def opened(self, socket: LocalSocket, now: float) -> None:
        """See Session."""
        self.socket = socket
        self._ends_at = now + self._settings.lifetime_s

    def received(self, text: str) -> None:
        """See Session."""
        lane = None
        try:
            event = wire.read_event(text)
            match event["type"]:
                case wire.CREATE:
                    lane = wire.lane_of(event)
                    self._accept(_Asked(lane, event, len(text)))
                case wire.STEER:
                    self._steer(event)
                case kind if kind in wire.IGNORED:
                    return
                case kind:
                    raise GatewayError(
                        ErrorKind.INVALID_REQUEST,
                        f'type: unknown event "{kind[:64]}" (known: {wire.CREATE}, {wire.STEER})',
                        path="type",
                        code="unknown_event_type",
                    )
        except GatewayError as error:
            self.socket.send(wire.refusal(error, lane))
            return
        self._advance()

    def oversized(self) -> None:
        """See Session."""
        self.socket.send(wire.refusal(too_large(self._max_bytes), None))

    def tick(self, now: float) -> None:
        """See Session: end a socket that is old enough once nothing runs on it, else keep it alive."""
        self._expired = self._expired or now >= self._ends_at
        if not self._expired:
            self.socket.ping()
        elif not self._active:
            self._end_of_life()

    def closed(self) -> None:
        """See Session: the upstreams of running turns are left at once."""
        self._waiting.clear()
        self._memory = Memory(0)
        for turn in self._active.values():
            self.socket.cancel(turn)
        self._active.clear()

    # --- turns

    def _accept(self, asked: _Asked) -> None:
        if self._expired:
            raise wire.connection_limit(self._settings.lifetime_s)
        if asked.lane is not None and asked.lane not in self._lanes:
            if len(self._lanes) >= wire.MAX_LANES:
                raise wire.lane_limit()
            self._lanes.add(asked.lane)
        held = sum(one.size_bytes for one in self._waiting)
        if len(self._waiting) >= MAX_WAITING or held + asked.size_bytes > self._max_bytes:
            raise GatewayError(
                ErrorKind.RATE_LIMITED, "too many requests wait on this connection already"
            )
        self._waiting.append(asked)

    def _advance(self) -> None:
        """Start what may start: the first one waiting of each lane that is free."""
        passed: set[str | None] = set()
        for asked in tuple(self._waiting):
            if len(self._active) >= wire.MAX_ACTIVE:
                return
            if asked.lane in self._active or asked.lane in passed:
                passed.add(asked.lane)
                continue
            self._waiting.remove(asked)
            try:
                self._start(asked)
            except GatewayError as error:
                self.socket.send(wire.refusal(error, asked.lane))

    def _start(self, asked: _Asked) -> None:
        body = wire.request_body(asked.event)
        previous = body.get("previous_response_id")
        kept = self._memory.find(previous) if isinstance(previous, str) else None
        items: tuple[JsonObject, ...] = tuple(wire.new_items(body))
        size = len(dumps(items))
        if kept is not None:
            items, size = kept.items + items, kept.size_bytes + size
        if not wire.generates(asked.event):
            if previous and kept is None:
                raise previous_not_found(str(previous))
            self._warm_up(asked.lane, body, items, size)
            return
        whole = body
        if kept is not None:
            whole = {k: v for k, v in body.items() if k != "previous_response_id"}
            whole["input"] = [*items]
        turn = ResponsesTurn(self, asked.lane, items, size)
        turn.asked = body if kept is not None else None
        turn.request = self._request(whole)
        self._active[asked.lane] = turn
        self.socket.start(turn)

    def _request(self, body: JsonObject) -> http.Request:
        """The turn as a client would have sent it over HTTP."""
        request = http.Request.make("POST", f"http://gateway{self._path}", dumps(body))
        length = request.headers["content-length"]
        request.headers = current(self._headers, body.get("client_metadata"))
        request.headers["content-length"] = length
        return request

    def _warm_up(
        self, lane: str | None, body: JsonObject, items: tuple[JsonObject, ...], size: int
    ) -> None:
        """Answer here: nothing is generated, and there is no cache of ours to fill (pitfalls WS-03)."""
        response_id = "resp_" + secrets.token_hex(24)
        stream = wire.warmed_up(body, list(items), response_id, int(time.time()))
        for text in wire.TurnEvents(lane).feed(stream):
            self.socket.send(text)
        self._memory.keep(lane, _Kept(response_id, items, size))

    def over(self, turn: ResponsesTurn) -> None:
        """A turn has ended; the next one of its lane may start."""
        if self._active.get(turn.lane) is not turn:
            return
        del self._active[turn.lane]
        if turn.events.keepable and turn.events.response_id:
            said = (*turn.items, *turn.events.output)
            kept = _Kept(
                turn.events.response_id,
                tuple(item for item in said if item.get("type") != TRIGGER),
                turn.size_bytes + turn.events.size_bytes,
            )
            self._memory.keep(turn.lane, kept)
        self._advance()
        if self._expired and not self._active:
            self._end_of_life()

    def _steer(self, event: JsonObject) -> None:
        previous = event.get("previous_response_id")
        lane = self._memory.lane_of(previous) if isinstance(previous, str) else None
        for turn in self._active.values():
            if previous and turn.events.response_id == previous:
                lane = turn.lane
        self.socket.send(wire.steer_failed(event, lane))

    def _end_of_life(self) -> None:
        error = wire.connection_limit(self._settings.lifetime_s)
        self.socket.send(wire.refusal(error, None))
        self.socket.close(CloseReason.NORMAL_CLOSURE, "connection limit reached")


class ResponsesTurn:
    """One turn: the request that the engine carries, and its answer on its way to the socket."""

    request: http.Request

    def __init__(
        self,
        session: ResponsesSession,
        lane: str | None,
        items: tuple[JsonObject, ...],
        size_bytes: int,
    ) -> None:
        self._session = session
        self._flow: http.HTTPFlow | None = None
        self.lane = lane
        self.items = items
        self.size_bytes = size_bytes
        self.asked: JsonObject | None = None
        self.events = wire.TurnEvents(lane)
        self._error: tuple[int, dict[str, str]] | None = None
        self._error_body = bytearray()

    def begin(self, flow: http.HTTPFlow) -> None:
        """See Turn: tell admission who sends it."""
        self._flow = flow
        session = self._session
        session.exchanges.introduce(
            flow,
            Introduction(key=session.key, own_credential=session.own_credential, asked=self.asked),
        )

    def head(self, response: http.Response) -> None:
        """See Turn."""
        if response.status_code >= 300:
            self._error = (response.status_code, dict(response.headers.items()))

    def data(self, data: bytes) -> None:
        """See Turn: a heartbeat without an event becomes a ping."""
        if self._error is not None:
            self._error_body += data
            return
        texts = self.events.feed(data, self._blame)
        for text in texts:
            self._session.socket.send(text, announced=self.events.ended)
        if not texts and data.startswith(b":"):
            self._session.socket.ping()

    def ended(self) -> None:
        """See Turn."""
        if self._error is not None:
            status, headers = self._error
            text = wire.http_error(status, headers, bytes(self._error_body), self.lane)
            self._session.socket.send(text)
        else:
            for text in self.events.feed(b"", self._blame):
                self._session.socket.send(text)
            if not self.events.ended:
                self._lost()
        self._session.over(self)

    def broken(self) -> None:
        """See Turn."""
        if not self.events.ended:
            self._lost()
        self._session.over(self)

    def _lost(self) -> None:
        error = self._blame() or GatewayError(
            ErrorKind.UPSTREAM_CUT, "the answer ended before it was complete"
        )
        self._session.socket.send(wire.refusal(error, self.lane))

    def _blame(self) -> GatewayError | None:
        exchange = self._session.exchanges.get(self._flow) if self._flow is not None else None
        return exchange.error if exchange is not None else None


def current(headers: http.Headers, metadata: object) -> http.Headers:
    """The upgrade's headers with the values of this turn: Codex has no other place for them than the body."""
    headers = headers.copy()
    if isinstance(metadata, dict):
        for name in [name for name in headers if name.lower().startswith("x-")]:
            value = metadata.get(name.lower())
            if isinstance(value, str) and value.isascii() and value.isprintable():
                headers[name] = value
    return headers


def turn_headers(upgrade: http.Request) -> http.Headers:
    """The client's headers as its turns have them: nothing of the upgrade, and no credential (admission took it)."""
    fields = [
        (name, value)
        for name, value in upgrade.headers.items(multi=True)
        if not name.lower().startswith(_OF_THE_UPGRADE)
        and not (name.lower() == "openai-beta" and value.strip().startswith(_BETA))
    ]
    fields += [("content-type", "application/json"), ("accept", "text/event-stream")]
    return http.Headers(encoded(fields))
