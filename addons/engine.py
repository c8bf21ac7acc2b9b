"""Attempts, timers, pings and local streams inside mitmproxy's HTTP layer.

mitmproxy cannot send a request again once response headers have come, cannot end a cut stream with bytes of ours,
cannot ping a silent one, and cannot stream a local answer. Two subclasses of its HTTP layer and stream can. This is
the only file that imports `mitmproxy.proxy.layers`; there is no policy in it: every decision is asked of an
`EnginePolicy` (contract.py, whose names are exported here).

One request goes through these phases; the tables `_ON_RESPONSE`, `_ON_BREAK` and `_ON_DEADLINE` below are this
picture in code, and a client that leaves ends any of them at once.

    phase        waits for                good news         upstream breaks     deadline
    READING      request, its hooks       CONNECTING        -                   -
    CONNECTING   hooks, TCP, TLS          WAITING           BETWEEN             BETWEEN (the layer ends it)
    WAITING      response headers         PEEKING, FAILING, BETWEEN, or once    BETWEEN
                                          STREAMING, ...    more if it was stale
    PEEKING      first event              STREAMING, ...    BETWEEN             BETWEEN
    FAILING      body of an error         BETWEEN           BETWEEN             BETWEEN
    BETWEEN      failed hooks, back-off   CONNECTING, or LEAVING with give_up   CONNECTING
    STREAMING    more of the body         DONE              stream_broken       stream_broken
    BUFFERING    more of the body         LEAVING           unary_broken        unary_broken
    LOCAL        pieces of our own        DONE              -                   -
    LEAVING      hooks of a whole answer  DONE              -                   -
    UPGRADED     WebSocket frames         DONE              -                   -

Internals touched, all checked by selfcheck.py at start:

    HttpLayer    make_stream, _handle_event, event_to_child, get_connection, register_connection;
                 streams, connections, command_sources, waiting_for_establishment
    HttpStream   _handle_event, handle_event, start_request_stream, make_server_connection, check_killed,
                 check_body_size, check_invalid, state_consume_request_body, start_response_stream,
                 handle_protocol_error, send_response, flow_done, passthrough; state_*, _paused_event_queue
    commands     GetHttpConnection(+Completed), SendHttp, DropStream, the request and response events, ErrorCode
    Http2Client  stream_queue (an abandoned request that was never sent)
    handlers     proxyserver.connections[id]: server_event, drain_writers, max_conns
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import enum
import itertools
import logging
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import ctx, exceptions, flow, http
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Client, Connection, Server
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    DropStream,
    ErrorCode,
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpConnection,
    HttpErrorHook,
    HttpLayer,
    HTTPMode,
    HttpResponseHeadersHook,
    HttpStream,
    RegisterHttpConnection,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
    SendHttp,
)
from mitmproxy.proxy.layers.http._http2 import Http2Client
from mitmproxy.proxy.layers.modes import ReverseProxy
from mitmproxy.proxy.layers.tls import ClientTLSLayer
from mitmproxy.tls import ClientHelloData

from addons.contract import (
    Attempt,
    Cause,
    EnginePolicy,
    LlmAttemptFailedHook,
    LlmAttemptHook,
    Verdict,
)

__all__ = [
    "Attempt",
    "Cause",
    "Engine",
    "EnginePolicy",
    "LlmAttemptFailedHook",
    "LlmAttemptHook",
    "Verdict",
]

log = logging.getLogger(__name__)

type Commands[T] = layer.CommandGenerator[T]

TO_UPSTREAM: Final = (
    RequestHeaders,
    RequestData,
    RequestTrailers,
    RequestEndOfMessage,
    RequestProtocolError,
)
FROM_UPSTREAM: Final = (
    ResponseHeaders,
    ResponseData,
    ResponseTrailers,
    ResponseEndOfMessage,
    ResponseProtocolError,
)

NEVER: Final = math.inf
CLIENT_LEFT: Final = "client left"
CONNECT_TIMED_OUT: Final = "connect timeout"
MAX_IDLE_UPSTREAMS: Final = 8
OVERDUE_POLL_S: Final = 0.05
"""How soon a deadline that passed while a hook was running is looked at again."""
MAX_UPSTREAM_CONNECTIONS: Final = 1000
"""Per address and client connection; mitmproxy's own 5 would queue parallel HTTP/2 streams."""

CLOSED_WHILE_IDLE: Final = re.compile(
    r"server closed connection|peer closed connection|HTTP/2 connection closed"
)
"""mitmproxy's words for an upstream that closed without a byte of answer."""
DNS_FAILURE: Final = re.compile(
    r"\[Errno -\d+\]|getaddrinfo|nodename nor servname|[Nn]ame or service"
)
HOP_BY_HOP: Final = (
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)

_attempt_ids = itertools.count(1 << 40)
"""Each try gets a stream id of its own towards the upstream, far above any real one, so that late events of an
abandoned try carry a dead id and are dropped by code that mitmproxy already has. Global, since pooled upstream
connections see the ids of many clients."""


class Phase(enum.Enum):
    """Where the answer to one request stands; the picture is in the module docstring."""

    READING = enum.auto()
    CONNECTING = enum.auto()
    WAITING = enum.auto()
    PEEKING = enum.auto()
    FAILING = enum.auto()
    BETWEEN = enum.auto()
    STREAMING = enum.auto()
    BUFFERING = enum.auto()
    LOCAL = enum.auto()
    LEAVING = enum.auto()
    UPGRADED = enum.auto()
    DONE = enum.auto()


@dataclass
class Tick(events.Event):
    """A deadline of a stream has passed."""


@dataclass
class Inject(events.Event):
    """A piece of a local answer (b"" = its end), pushed into a live stream from outside the layers."""

    stream: GatewayStream
    data: bytes


@dataclass
class LlmgateLocalStreamHook(commands.StartHook):
    """Internal: the engine's addon pumps a local answer into its stream."""

    data: LocalStream
    blocking = False


@dataclass(eq=False, slots=True)
class LocalStream:
    """A local answer on its way to the client."""

    stream: GatewayStream
    source: AsyncIterator[bytes]
    task: asyncio.Task[object] | None = None
    cancelled: bool = False

    def cancel(self) -> None:
        """The client left: stop the pump, which closes the source."""
        self.cancelled = True
        if self.task is not None:
            self.task.cancel()


@dataclass
class Connect(GetHttpConnection):
    """Open or reuse an upstream connection for an attempt."""

    http2: bool = False
    fresh: bool = False
    failed: Connection | None = None
    """Filled when it could not be opened."""

    __hash__ = GetHttpConnection.__hash__


class GatewayLayer(HttpLayer):
    """One client connection: its streams, its upstream connections, and one lazy timer for all of them."""

    streams: dict[int, HttpStream]

    def __init__(self, context: Context, mode: HTTPMode, engine: Engine) -> None:
        super().__init__(context, mode)
        self.engine = engine
        self.clock = engine.clock
        self._abandoned: dict[Connection, layer.Layer] = {}  # their last events still need a home
        self._timers: set[commands.RequestWakeup] = set()
        self._armed_at = NEVER
        self._wake_at = NEVER

    # --- events

    def _handle_event(self, event: events.Event) -> Commands[None]:
        if isinstance(event, events.Wakeup) and event.command in self._timers:
            self.command_sources.pop(event.command, None)
            self._timers.discard(event.command)
            yield from self._on_timer()
        elif isinstance(event, Inject):
            yield from self.event_to_child(event.stream, event)
        elif isinstance(event, events.ConnectionEvent) and event.connection in self._abandoned:
            if isinstance(event, events.ConnectionClosed):
                home = self._abandoned.pop(event.connection)
            else:
                home = self._abandoned[event.connection]
            yield from self.event_to_child(home, event)
        else:
            yield from super()._handle_event(event)
        if self._wake_at < self._armed_at:
            yield from self._arm()

    def event_to_child(self, child: layer.Layer, event: events.Event) -> Commands[None]:
        """Every HTTP event crosses here: swap stream ids, and replace mitmproxy's own error pages."""
        if isinstance(child, GatewayStream):
            if isinstance(event, FROM_UPSTREAM):
                if event.stream_id != child.attempt_id:
                    return  # left over from an abandoned try
                event.stream_id = child.stream_id
            elif isinstance(event, RequestProtocolError):
                yield from self._client_leaves(child, event)
                return
        elif isinstance(event, TO_UPSTREAM):
            stream = self.streams.get(event.stream_id)
            if isinstance(stream, GatewayStream):
                event.stream_id = stream.attempt_id
        elif isinstance(event, ResponseHeaders):
            stream = self.streams.get(event.stream_id)
            if isinstance(stream, GatewayStream) and event.response.status_code >= 101:
                stream.head_sent = True
        elif isinstance(event, ResponseProtocolError) and isinstance(child, HttpConnection):
            yield from self._shape_error(child, event)
        yield from super().event_to_child(child, event)

    def make_stream(self, stream_id: int) -> Commands[None]:
        """As the base class does, with our stream; drops upstream connections that are closed."""
        if len(self.connections) > MAX_IDLE_UPSTREAMS:
            self._prune()
        stream = GatewayStream(self.context.fork(), stream_id, self)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    def _prune(self) -> None:
        for conn in list(self.connections):
            if (
                conn is not self.context.client
                and not conn.connected
                and conn not in self.waiting_for_establishment
            ):
                self._abandoned[conn] = self.connections.pop(conn)

    def _client_leaves(self, stream: GatewayStream, event: RequestProtocolError) -> Commands[None]:
        """Tell the stream, even while one of its hooks runs, and end a connect that it waits for."""
        stream.note_client_gone()
        yield from super().event_to_child(stream, event)
        yield from self.end_connect(stream, CLIENT_LEFT)

    def _shape_error(self, child: layer.Layer, event: ResponseProtocolError) -> Commands[None]:
        """Before mitmproxy writes its HTML page, answer in the client's protocol if the policy has words for it."""
        stream = self.streams.get(event.stream_id)
        status = event.code.http_status_code()
        if not isinstance(stream, GatewayStream) or stream.head_sent or status is None:
            return
        response = self.engine.quietly(
            lambda policy: policy.protocol_error(stream.flow, status, event.message)
        )
        if response is None:
            return
        stream.head_sent = True
        response.headers["connection"] = "close"
        stream.flow.response = response
        send = super().event_to_child
        yield from send(child, ResponseHeaders(event.stream_id, response, False))
        yield from send(child, ResponseData(event.stream_id, response.raw_content or b""))
        yield from send(child, ResponseEndOfMessage(event.stream_id))

    # --- upstream connections

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> Commands[None]:
        """As the base class does; a stale attempt gets a fresh one, and HTTP/2 is offered where asked."""
        fresh = isinstance(event, Connect) and event.fresh
        yield from super().get_connection(event, reuse=reuse and not fresh)
        if isinstance(event, Connect) and event.http2:
            for conn, waiting in self.waiting_for_establishment.items():
                if event in waiting:
                    conn.alpn_offers = (b"h2", b"http/1.1")

    def register_connection(self, command: RegisterHttpConnection) -> Commands[None]:
        """As the base class does, but a dead connection never answers later requests from its cached error."""
        conn = command.connection
        if conn not in self.waiting_for_establishment:
            return  # given up on meanwhile
        if command.err:
            for waiting in self.waiting_for_establishment[conn]:
                if isinstance(waiting, Connect):
                    waiting.failed = conn
            if conn in self.connections:
                self._abandoned[conn] = self.connections.pop(conn)
        yield from super().register_connection(command)

    def end_connect(self, stream: GatewayStream, why: str) -> Commands[None]:
        """Answer a stream that waits for a connection with an error, and close what is half open for it alone."""
        command = stream.connecting
        if command is None:
            return
        stream.connecting = None
        for conn, waiting in list(self.waiting_for_establishment.items()):
            if command in waiting:
                waiting.remove(command)
                if not waiting:
                    del self.waiting_for_establishment[conn]
                    top = self._abandoned[conn] = self.connections.pop(conn)
                    yield commands.CloseConnection(getattr(top, "tunnel_connection", conn))
        if self.command_sources.pop(command, None) is not None:
            yield from self.event_to_child(stream, GetHttpConnectionCompleted(command, (None, why)))

    def unqueue(self, conn: Connection, attempt_id: int) -> bool:
        """Take back a request that an HTTP/2 connection has not sent yet; False if it is on its way."""
        top = self.connections.get(conn)
        while top is not None and not isinstance(top, Http2Client):
            top = getattr(top, "child_layer", None)
        return top is not None and top.stream_queue.pop(attempt_id, None) is not None

    # --- the timer

    def wake_by(self, at: float) -> None:
        """Ask to be woken at `at` or earlier."""
        self._wake_at = min(self._wake_at, at)

    def _arm(self) -> Commands[None]:
        if not self.context.client.connected:
            return  # nobody would cancel the timer
        self._armed_at = self._wake_at
        timer = commands.RequestWakeup(max(0.001, self._wake_at - self.clock()))
        self._timers.add(timer)
        yield timer

    def _on_timer(self) -> Commands[None]:
        now = self.clock()
        self._armed_at = self._wake_at = NEVER
        for stream in set(self.streams.values()):
            if isinstance(stream, GatewayStream):
                yield from self._look_after(stream, now)
                self.wake_by(stream.next_due(now))

    def _look_after(self, stream: GatewayStream, now: float) -> Commands[None]:
        """Do what is due for a stream. Promises and pings go out even while one of its hooks runs."""
        client = self.connections[self.context.client]
        if stream.early_at <= now and (response := stream.promise()) is not None:
            yield from self.event_to_child(
                client, ResponseHeaders(stream.stream_id, response, False)
            )
        if stream.ping_at() <= now and (data := stream.ping(now)):
            yield from self.event_to_child(client, ResponseData(stream.stream_id, data))
        if stream.deadline() > now:
            return
        if stream.connecting is not None:
            yield from self.end_connect(stream, CONNECT_TIMED_OUT)
        elif not stream.paused:
            yield from self.event_to_child(stream, Tick())


class GatewayStream(HttpStream):
    """One request of a client, its attempts and its answer."""

    def __init__(self, context: Context, stream_id: int, parent: GatewayLayer) -> None:
        super().__init__(context, stream_id)
        self.parent = parent
        self.engine = parent.engine
        self.policy = parent.engine.policy
        self.clock = parent.clock
        self.phase = Phase.READING
        self.attempt: Attempt | None = None
        self.attempt_id = -1  # the stream id towards the upstream; -1 = none
        self.connecting: Connect | None = None
        self.head_sent = False
        self.early_at = NEVER
        self._early: http.Response | None = None
        self._gone = False
        self._settled = False
        self._stale_retried = False
        self._local: LocalStream | None = None
        self._held: list[bytes] = []
        self._received = 0
        self._phase_due = NEVER
        self._total_due = NEVER
        self._last_rx = 0.0
        self._last_tx = 0.0

    @property
    def paused(self) -> bool:
        """Whether a hook is running or a connection is being opened."""
        return bool(self._paused)

    # --- entry

    def _handle_event(self, event: events.Event) -> Commands[None]:
        try:
            if isinstance(event, (ResponseData, ResponseHeaders, ResponseEndOfMessage)):
                handler = _ON_RESPONSE.get((self.phase, type(event)))
                if handler is not None:
                    yield from handler(self, event)
            elif isinstance(event, Inject):
                yield from self._on_local_piece(event.data)
            elif isinstance(event, Tick):
                yield from self._on_deadline()
            elif not isinstance(event, ResponseTrailers):  # trailers are dropped
                yield from super()._handle_event(event)
        except Exception:  # the alternative is a client that hangs until tcp_timeout
            name = type(event).__name__  # never the event itself: it may hold a prompt
            log.exception("the engine failed at %s in phase %s", name, self.phase.name)
            yield from self._crashed()
        if self.phase is Phase.DONE or self._base_is_over():
            self._settle()

    def _base_is_over(self) -> bool:
        """Whether the base class ended the request (refused, too large, killed)."""
        return self.client_state == self.state_errored or self.server_state == self.state_errored

    def _settle(self) -> None:
        self.phase = Phase.DONE
        self.early_at = self._phase_due = self._total_due = NEVER
        if not self._settled:
            self._settled = True
            self.engine.quietly(lambda policy: policy.settled(self.flow))

    # --- the request

    def start_request_stream(self) -> Commands[None]:
        """A streamed request cannot be sent twice: buffer it whatever an addon wants."""
        self.flow.request.stream = False
        self.client_state = self.state_consume_request_body
        yield from ()

    def state_consume_request_body(self, event: events.Event) -> Commands[None]:
        """As the base class does, but the body of a request that has its answer is not kept."""
        if isinstance(event, RequestData) and self.flow.response is not None:
            return
        yield from super().state_consume_request_body(event)

    def check_body_size(self, request: bool) -> Commands[bool]:
        """Refuse a request body over the policy's limit; answers have limits of their own."""
        if not request:
            return False
        size = len(self.request_body_buf) or _announced_size(self.flow.request)
        if size <= self.policy.max_request_bytes:
            return False
        message = f"The request body exceeds {self.policy.max_request_bytes} bytes."
        self.flow.error = flow.Error(message)
        self.request_body_buf.clear()
        yield HttpErrorHook(self.flow)
        yield SendHttp(
            ResponseProtocolError(self.stream_id, message, ErrorCode.REQUEST_TOO_LARGE),
            self.context.client,
        )
        yield from self._over()
        return True

    def check_killed(self, emit_error_hook: bool) -> Commands[bool]:
        """Called after each hook: was the flow killed, did the client leave, did a hook fail?"""
        if (yield from super().check_killed(emit_error_hook)):
            yield from self._cancel_upstream("killed")
            yield from self._over()
            return True
        if self.flow in self.engine.failed_flows and not self.head_sent:
            self.flow.response = self.engine.internal_error(self.flow)
        return False

    def make_server_connection(self) -> Commands[bool]:
        """The base class asks for a connection here; we run all attempts and tell it that nothing is left to do."""
        yield from self._attempts()
        return False

    # --- attempts

    def _attempts(self) -> Commands[None]:
        """Try until a request is under way, the client is answered, or a back-off begins."""
        while True:
            attempt = self._new_attempt()
            yield LlmAttemptHook(attempt)
            if (yield from self._answered_by_addon()):
                return
            if (yield from self._send(attempt)):
                return
            if not (yield from self._try_again(attempt)):
                return

    def _new_attempt(self) -> Attempt:
        number = 1 if self.attempt is None else self.attempt.number + 1
        self.attempt = Attempt(
            flow=self.flow,
            number=number,
            request=_attempt_request(self.flow.request),
            started_s=self.clock(),
        )
        self.phase = Phase.CONNECTING
        self._stale_retried = False
        return self.attempt

    def _send(self, attempt: Attempt, *, fresh: bool = False) -> Commands[bool]:
        """Connect and send; False = it could not connect."""
        self.phase = Phase.CONNECTING
        self._schedule(attempt)
        target = _target(attempt.request)
        command = Connect(
            target[1:], target[0] == "https", attempt.via, http2=attempt.http2, fresh=fresh
        )
        self.connecting = command
        self._due_in(attempt.connect_timeout_s)
        conn, error = yield command
        self.connecting = None
        self._phase_due = NEVER
        if self._gone:
            return True  # the queued event is handled next
        if not isinstance(conn, Server):
            self._fail(attempt, *_connect_failure(command, error or "connect failed"))
            return False
        self._attach(attempt, conn)
        request = self.policy.authorize(attempt)
        if _target(request) != target:
            raise RuntimeError("authorize() changed where the request goes")
        self.attempt_id = next(_attempt_ids)
        self.parent.streams[self.attempt_id] = self
        self.phase = Phase.WAITING
        self._due_in(attempt.first_byte_timeout_s)
        content = request.raw_content
        yield SendHttp(RequestHeaders(self.stream_id, request, not content), conn)
        if content:
            yield SendHttp(RequestData(self.stream_id, content), conn)
        yield SendHttp(RequestEndOfMessage(self.stream_id), conn)
        return True

    def _schedule(self, attempt: Attempt) -> None:
        self._total_due = attempt.started_s + _or_never(attempt.total_timeout_s)
        self.parent.wake_by(self._total_due)
        if not self.head_sent and attempt.early_start_s is not None:
            if attempt.number == 1 or self.early_at is NEVER:
                self.early_at = attempt.started_s + attempt.early_start_s
            self.parent.wake_by(self.early_at)

    def _attach(self, attempt: Attempt, conn: Server) -> None:
        attempt.server_conn = self.context.server = self.flow.server_conn = conn
        attempt.reused = conn in self.engine.used_connections
        self.engine.used_connections.add(conn)

    def _fail(self, attempt: Attempt, cause: Cause, error: str) -> None:
        attempt.cause = cause
        attempt.error = error

    def _try_again(self, attempt: Attempt) -> Commands[bool]:
        """After a failed attempt: True = try again now. Else the client is answered, gone, or waits."""
        attempt.ended_s = self.clock()
        self.phase = Phase.BETWEEN
        self._phase_due = self._total_due = NEVER
        if not self.head_sent:
            self.flow.response = None
        yield LlmAttemptFailedHook(attempt)
        if (yield from self._answered_by_addon()):
            return False
        delay = self.policy.retry_delay(attempt)
        if delay is None:
            yield from self._give_up(attempt)
            return False
        if delay <= 0:
            return True
        self._due_in(delay)
        return False

    def _next(self, attempt: Attempt) -> Commands[None]:
        if (yield from self._try_again(attempt)):
            yield from self._attempts()

    def _answered_by_addon(self) -> Commands[bool]:
        """After one of our hooks: True when there is nothing left to try."""
        if (yield from self.check_killed(True)):
            return True
        if self.head_sent:
            if self.flow in self.engine.failed_flows:
                yield from self._end_broken(Cause.INTERNAL, "a hook failed")
                return True
            return False
        if self.flow.response is None:
            return False
        yield from self._answer(self.flow.response)
        return True

    def _give_up(self, attempt: Attempt) -> Commands[None]:
        if self.head_sent:
            yield from self._end_broken(attempt.cause or Cause.INTERNAL, attempt.error)
        else:
            yield from self._answer(self.policy.give_up(attempt))

    def _answer(self, response: http.Response) -> Commands[None]:
        """Send a local answer, with the hooks that mitmproxy runs for one."""
        self.phase = Phase.LEAVING
        self._phase_due = self._total_due = self.early_at = NEVER
        self.flow.response = response
        response.timestamp_start = time.time()
        yield HttpResponseHeadersHook(self.flow)
        if not (yield from self.check_killed(True)):
            yield from self.send_response()

    # --- the response, phase by phase

    def _on_headers(self, event: ResponseHeaders) -> Commands[None]:
        attempt = self._current()
        attempt.response = event.response
        if self.context.options.validate_inbound_headers:
            try:
                validate_headers(event.response)
            except ValueError as error:
                yield from self._fail_now(attempt, Cause.PROTOCOL, f"invalid response: {error}")
                return
        match self.policy.verdict(attempt):
            case Verdict.COMMIT:
                yield from self._commit(attempt)
            case Verdict.FAIL:
                self._hold(Phase.FAILING)
                self._due_in(attempt.error_body_timeout_s)
            case Verdict.PEEK:
                self._hold(Phase.PEEKING)

    def _hold(self, phase: Phase) -> None:
        self.phase = phase
        self._held = []
        self._received = 0

    def _on_error_body(self, event: ResponseData) -> Commands[None]:
        attempt = self._current()
        self._held.append(event.data)
        self._received += len(event.data)
        if self._received > attempt.max_error_bytes:
            yield from self._on_error_end()

    def _on_error_end(self, event: events.Event | None = None) -> Commands[None]:
        """The error body is complete, too long or too slow; a complete one leaves the connection reusable."""
        attempt = self._current()
        response = _present(attempt.response)
        if isinstance(event, ResponseEndOfMessage):
            self._unbind()
        else:
            yield from self._cancel_upstream("error body not awaited")
        response.raw_content = b"".join(self._held)[: attempt.max_error_bytes]
        self._fail(attempt, Cause.STATUS, f"HTTP {response.status_code}")
        yield from self._next(attempt)

    def _on_peek(self, event: ResponseData) -> Commands[None]:
        self._held.append(event.data)
        self._received += len(event.data)
        yield from self._judge(event.data, ended=False)

    def _on_peek_end(self, event: ResponseEndOfMessage) -> Commands[None]:
        yield from self._judge(b"", ended=True)

    def _judge(self, data: bytes, *, ended: bool) -> Commands[None]:
        attempt = self._current()
        verdict = self.policy.peek(attempt, data, ended)
        if verdict is Verdict.FAIL:
            _present(attempt.response).raw_content = b"".join(self._held)
            if ended:
                self._unbind()
            yield from self._fail_now(attempt, Cause.FIRST_EVENT, "the stream began with an error")
            return
        if verdict is not Verdict.COMMIT and not ended:
            if self._received <= attempt.max_peek_bytes:
                return
        held = b"".join(self._held)
        self._held = []
        yield from self._commit(attempt)
        for late in (ResponseData(self.stream_id, held),) if held else ():
            yield from self._replay(late)
        if ended:
            yield from self._replay(ResponseEndOfMessage(self.stream_id))

    def _replay(self, event: ResponseData | ResponseEndOfMessage) -> Commands[None]:
        handler = _ON_RESPONSE.get((self.phase, type(event)))
        if handler is not None:
            yield from handler(self, event)

    def _commit(self, attempt: Attempt) -> Commands[None]:
        """From here on this upstream's answer is the client's."""
        if not self.head_sent:
            self.flow.response = _client_head(_present(attempt.response))
        attempt.committed = True
        self.early_at = NEVER
        self.policy.commit(attempt)
        response = _present(self.flow.response)
        if not self.head_sent:
            yield HttpResponseHeadersHook(self.flow)
            if (yield from self.check_killed(True)):
                return
            if self.flow.response is not response:  # a hook failed, or put its own answer there
                yield from self._cancel_upstream("answered by an addon")
                yield from self.send_response()
                return
        self._last_rx = self._last_tx = self.clock()
        self._received = 0
        self._due_in(attempt.idle_timeout_s)
        if not response.stream:
            if self.head_sent:
                raise RuntimeError("commit() did not stream an answer promised by early_start()")
            self.phase = Phase.BUFFERING
            return
        self.phase = Phase.STREAMING
        if not self.head_sent:
            _frame_for_streaming(response, self.flow.request)
            yield SendHttp(
                ResponseHeaders(self.stream_id, response, end_stream=False), self.context.client
            )
            self.parent.wake_by(self.ping_at())

    def _on_stream(self, event: ResponseData) -> Commands[None]:
        self._last_rx = self.clock()
        yield from self._relay(event.data)
        if self._current().finished:
            yield from self._cancel_upstream("answer complete")
            yield from self._on_stream_end()

    def _relay(self, data: bytes) -> Commands[None]:
        """Through the stream callable to the client; an empty piece would end an HTTP/1.1 body."""
        response = _present(self.flow.response)
        pieces = response.stream(data) if callable(response.stream) else data
        out = pieces if isinstance(pieces, bytes) else b"".join(pieces)
        if out:
            self._last_tx = self._last_rx
            if self.context.options.store_streamed_bodies:
                self._store(out)
            yield SendHttp(ResponseData(self.stream_id, out), self.context.client)

    def _store(self, data: bytes) -> None:
        if len(self.response_body_buf) + len(data) <= self._current().max_body_bytes:
            self.response_body_buf += data

    def _on_stream_end(self, event: events.Event | None = None) -> Commands[None]:
        yield from self._relay(b"")
        self._keep_stored()
        yield from self.send_response(already_streamed=True)

    def _keep_stored(self) -> None:
        if self.flow.response is not None and self.context.options.store_streamed_bodies:
            self.flow.response.data.content = bytes(self.response_body_buf)
            self.response_body_buf.clear()

    def _on_body(self, event: ResponseData) -> Commands[None]:
        self._last_rx = self.clock()
        self.response_body_buf += event.data
        limit = self._current().max_body_bytes
        if len(self.response_body_buf) > limit:
            self.response_body_buf.clear()
            yield from self._broken(Cause.TOO_LARGE, f"the answer exceeds {limit} bytes")

    def _on_body_end(self, event: ResponseEndOfMessage) -> Commands[None]:
        _present(self.flow.response).data.content = bytes(self.response_body_buf)
        self.response_body_buf.clear()
        yield from self.send_response()

    def send_response(self, already_streamed: bool = False) -> Commands[None]:
        """The last step of every answer: the base class's, or the start of a local stream."""
        self._phase_due = self._total_due = self.early_at = NEVER
        source = None if already_streamed else self.engine.take_local_source(self.flow)
        if source is not None:
            yield from self._start_local(source)
            return
        self.phase = Phase.LEAVING
        yield from super().send_response(already_streamed)

    def flow_done(self) -> Commands[None]:
        """The base class's, after which nothing points at the stream any more; an upgraded one talks on."""
        upgraded = _present(self.flow.response).status_code == 101
        self.phase = Phase.UPGRADED if upgraded else Phase.DONE
        if self.attempt is not None and self.attempt.committed:
            self.attempt.ended_s = self.clock()
        if not upgraded:
            self._unbind()
        yield from super().flow_done()

    def passthrough(self, event: events.Event) -> Commands[None]:
        """WebSocket frames; the request settles when the socket ends."""
        if isinstance(event, RequestProtocolError):
            event = RequestEndOfMessage(self.stream_id)
        yield from super().passthrough(event)
        if not self.flow.live:
            self._unbind()
            yield DropStream(self.stream_id)
            self._settle()

    # --- local answers that stream

    def _start_local(self, source: AsyncIterator[bytes]) -> Commands[None]:
        response = _present(self.flow.response)
        self.phase = Phase.LOCAL
        self._local = LocalStream(self, source)
        _frame_for_streaming(response, self.flow.request)
        yield SendHttp(ResponseHeaders(self.stream_id, response, False), self.context.client)
        yield LlmgateLocalStreamHook(self._local)

    def _on_local_piece(self, data: bytes) -> Commands[None]:
        if self.phase is not Phase.LOCAL:
            return
        if data:
            yield SendHttp(ResponseData(self.stream_id, data), self.context.client)
        else:
            self._local = None
            self.phase = Phase.LEAVING
            yield from super().send_response(already_streamed=True)

    # --- what goes wrong

    def handle_protocol_error(
        self, event: RequestProtocolError | ResponseProtocolError
    ) -> Commands[None]:
        """The client left (or broke HTTP), or the upstream did."""
        if isinstance(event, RequestProtocolError):
            yield from self._client_left(event.message)
        elif (handler := _ON_BREAK.get(self.phase)) is not None:
            self._unbind()
            yield from handler(self, event.message)

    def note_client_gone(self) -> None:
        """The client has left; the event itself may have to wait until a hook returns."""
        if not self._gone and self.phase is not Phase.DONE:
            self._gone = True
            if self._local is not None:
                self._local.cancel()
            self.engine.quietly(lambda policy: policy.client_gone(self.flow))

    def _client_left(self, message: str) -> Commands[None]:
        if self.phase is Phase.DONE:
            return
        yield from self._cancel_upstream(CLIENT_LEFT)
        self._keep_stored()
        if self.flow.error is None:
            self.flow.error = flow.Error(message)
        yield HttpErrorHook(self.flow)
        yield from self._over()

    def _on_break_waiting(self, message: str) -> Commands[None]:
        attempt = self._current()
        if attempt.reused and not self._stale_retried and CLOSED_WHILE_IDLE.match(message):
            # the upstream had closed an idle connection; RFC 9110 section 9.3.1 race, not a failure
            self._stale_retried = True
            if (yield from self._send(attempt, fresh=True)):
                return
            yield from self._next(attempt)
            return
        yield from self._fail_now(attempt, Cause.PROTOCOL, message)

    def _on_break_peeking(self, message: str) -> Commands[None]:
        yield from self._fail_now(self._current(), Cause.PROTOCOL, message)

    def _on_break_failing(self, message: str) -> Commands[None]:
        yield from self._on_error_end()

    def _on_break_committed(self, message: str) -> Commands[None]:
        yield from self._broken(Cause.CUT, message)

    def _fail_now(self, attempt: Attempt, cause: Cause, error: str) -> Commands[None]:
        """End an attempt that the client knows nothing of, and go on to the next."""
        yield from self._cancel_upstream(error)
        self._held = []
        self._fail(attempt, cause, error)
        yield from self._next(attempt)

    def _broken(self, cause: Cause, message: str) -> Commands[None]:
        """End a committed answer that cannot be completed."""
        attempt = self._current()
        yield from self._cancel_upstream(message)
        self._fail(attempt, cause, message)
        attempt.ended_s = self.clock()
        if self.head_sent:
            yield from self._end_broken(cause, message)
        else:
            self.response_body_buf.clear()
            yield from self._answer(self.policy.unary_broken(self.flow, cause, message))

    def _end_broken(self, cause: Cause, message: str) -> Commands[None]:
        """End a stream that the client sees with its protocol's error; the `error` hook fires, not `response`."""
        self.phase = Phase.LEAVING
        self._phase_due = self._total_due = self.early_at = NEVER
        tail = b"".join(self.policy.stream_broken(self.flow, cause, message))
        self.flow.error = flow.Error(message)
        if tail:
            if self.context.options.store_streamed_bodies:
                self._store(tail)
            yield SendHttp(ResponseData(self.stream_id, tail), self.context.client)
        self._keep_stored()
        yield HttpErrorHook(self.flow)
        self.server_state = self.state_done
        yield from self.flow_done()

    def _crashed(self) -> Commands[None]:
        """An exception in the policy or in this file: end the client's answer in an error, never hang."""
        if self.phase is Phase.DONE:
            return
        try:
            yield from self._cancel_upstream("internal error")
            if self.attempt is not None and self.attempt.cause is None:
                self._fail(self.attempt, Cause.INTERNAL, "internal error")
            if self.head_sent:
                yield from self._end_broken(Cause.INTERNAL, "internal error")
            elif self.client_state == self.state_done:
                yield from self._answer(self.engine.internal_error(self.flow))
            else:  # answered when the request is complete
                self.flow.response = self.engine.internal_error(self.flow)
        except Exception:
            log.exception("ending a failed request failed too")
            yield SendHttp(
                ResponseProtocolError(self.stream_id, "internal error", ErrorCode.KILL),
                self.context.client,
            )
            yield from self._over()

    def _cancel_upstream(self, why: str) -> Commands[None]:
        """Leave an attempt behind: HTTP/1.1 closes the connection, HTTP/2 resets the stream. Idempotent."""
        if self.attempt_id == -1:
            return
        conn = self.context.server
        queued = self.parent.unqueue(conn, self.attempt_id)
        if not queued and conn in self.parent.connections:
            yield SendHttp(RequestProtocolError(self.stream_id, why, ErrorCode.CANCEL), conn)
        self._unbind()

    def _unbind(self) -> None:
        self.parent.streams.pop(self.attempt_id, None)
        self.attempt_id = -1

    def _over(self) -> Commands[None]:
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        self._unbind()
        self.phase = Phase.DONE
        yield DropStream(self.stream_id)

    def _current(self) -> Attempt:
        return _present(self.attempt)

    # --- time

    def _due_in(self, seconds: float | None) -> None:
        self._phase_due = self.clock() + _or_never(seconds)
        self.parent.wake_by(self._phase_due)

    def deadline(self) -> float:
        """When this phase, or the whole attempt, has lasted too long."""
        return min(self._phase_due, self._total_due)

    def next_due(self, now: float) -> float:
        """When the layer should look after this stream again."""
        deadline = self.deadline()
        if deadline <= now:
            deadline = now + OVERDUE_POLL_S
        return min(deadline, self.early_at, self.ping_at())

    def ping_at(self) -> float:
        """When the client has heard nothing for too long; only once it has the headers of a stream."""
        attempt = self.attempt
        if attempt is None or not attempt.ping_interval_s or not self.head_sent:
            return NEVER
        if self.phase is not Phase.STREAMING and self._early is None:
            return NEVER
        return self._last_tx + attempt.ping_interval_s

    def ping(self, now: float) -> bytes:
        """The heartbeat to send now."""
        attempt = self._current()
        self._last_tx = now
        return self.engine.quietly(lambda policy: policy.ping(attempt)) or b""

    def promise(self) -> http.Response | None:
        """The headers to send before any upstream has answered, if the policy wants that."""
        self.early_at = NEVER
        attempt = self.attempt
        if attempt is None or self.head_sent or self._gone or attempt.committed:
            return None
        response = self.engine.quietly(lambda policy: policy.early_start(attempt))
        if response is not None:
            _frame_for_streaming(response, self.flow.request)
            self.flow.response = self._early = response
            self._last_tx = self.clock()
        return response

    def _on_deadline(self) -> Commands[None]:
        total = self._total_due <= self.clock()
        handler = _ON_DEADLINE.get(self.phase)
        if handler is None:
            self._phase_due = self._total_due = NEVER
        else:
            yield from handler(self, total)

    def _late_headers(self, total: bool) -> Commands[None]:
        cause = Cause.TOTAL_TIMEOUT if total else Cause.FIRST_BYTE_TIMEOUT
        yield from self._fail_now(self._current(), cause, "no answer in time")

    def _late_error_body(self, total: bool) -> Commands[None]:
        yield from self._on_error_end()

    def _back_off_over(self, total: bool) -> Commands[None]:
        self._phase_due = NEVER
        yield from self._attempts()

    def _late_body(self, total: bool) -> Commands[None]:
        attempt = self._current()
        due = self._last_rx + _or_never(attempt.idle_timeout_s)
        if total:
            limit = attempt.total_timeout_s
            yield from self._broken(Cause.TOTAL_TIMEOUT, f"the answer took longer than {limit:g} s")
        elif due <= self.clock():
            idle = attempt.idle_timeout_s
            yield from self._broken(Cause.IDLE_TIMEOUT, f"the upstream was silent for {idle:g} s")
        else:  # something came meanwhile; the hot path does not move timers
            self._phase_due = due


type _Handler = Callable[[GatewayStream, Any], Commands[None]]

_ON_RESPONSE: Final[Mapping[tuple[Phase, type], _Handler]] = {
    (Phase.WAITING, ResponseHeaders): GatewayStream._on_headers,
    (Phase.PEEKING, ResponseData): GatewayStream._on_peek,
    (Phase.PEEKING, ResponseEndOfMessage): GatewayStream._on_peek_end,
    (Phase.FAILING, ResponseData): GatewayStream._on_error_body,
    (Phase.FAILING, ResponseEndOfMessage): GatewayStream._on_error_end,
    (Phase.STREAMING, ResponseData): GatewayStream._on_stream,
    (Phase.STREAMING, ResponseEndOfMessage): GatewayStream._on_stream_end,
    (Phase.BUFFERING, ResponseData): GatewayStream._on_body,
    (Phase.BUFFERING, ResponseEndOfMessage): GatewayStream._on_body_end,
}

_ON_BREAK: Final[Mapping[Phase, _Handler]] = {
    Phase.WAITING: GatewayStream._on_break_waiting,
    Phase.PEEKING: GatewayStream._on_break_peeking,
    Phase.FAILING: GatewayStream._on_break_failing,
    Phase.STREAMING: GatewayStream._on_break_committed,
    Phase.BUFFERING: GatewayStream._on_break_committed,
}

_ON_DEADLINE: Final[Mapping[Phase, _Handler]] = {
    Phase.WAITING: GatewayStream._late_headers,
    Phase.PEEKING: GatewayStream._late_headers,
    Phase.FAILING: GatewayStream._late_error_body,
    Phase.BETWEEN: GatewayStream._back_off_over,
    Phase.STREAMING: GatewayStream._late_body,
    Phase.BUFFERING: GatewayStream._late_body,
}


# --- small helpers


def _present[T](value: T | None) -> T:
    """What a phase guarantees to be there."""
    if value is None:
        raise RuntimeError("the engine is in a phase that it cannot be in")
    return value


def _or_never(seconds: float | None) -> float:
    return NEVER if seconds is None else seconds


def _target(request: http.Request) -> tuple[str, str, int]:
    return request.scheme, request.host, request.port


def _announced_size(request: http.Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _is_websocket(request: http.Request) -> bool:
    return request.headers.get("upgrade", "").lower() == "websocket"


def _attempt_request(request: http.Request) -> http.Request:
    """A copy for an attempt to edit, without what belongs to the client's own connection."""
    copy = request.copy()
    if not _is_websocket(request):
        for name in HOP_BY_HOP:
            copy.headers.pop(name, None)
        if copy.raw_content:
            copy.headers["content-length"] = str(len(copy.raw_content))
    return copy


def _client_head(upstream: http.Response) -> http.Response:
    """The upstream's response head for the client to get and the policy to edit; the original stays as it was."""
    head = http.Response(
        upstream.data.http_version,
        upstream.data.status_code,
        upstream.data.reason,
        upstream.headers.copy(),
        None,
        None,
        upstream.timestamp_start or time.time(),
        None,
    )
    if upstream.status_code != 101:
        for name in HOP_BY_HOP:
            head.headers.pop(name, None)
    return head


def _frame_for_streaming(response: http.Response, request: http.Request) -> None:
    """Make the length unknown: chunked for HTTP/1.1, end of connection for HTTP/1.0; HTTP/2 needs no word."""
    response.headers.pop("content-length", None)
    if request.http_version == "HTTP/1.1":
        response.headers["transfer-encoding"] = "chunked"
    elif request.http_version == "HTTP/1.0":
        response.headers["connection"] = "close"


def _connect_failure(command: Connect, error: str) -> tuple[Cause, str]:
    conn = command.failed
    if error == CONNECT_TIMED_OUT:
        return Cause.CONNECT_TIMEOUT, error
    if isinstance(conn, Server) and command.tls:
        if conn.timestamp_tcp_setup is not None or (conn.via and conn.timestamp_start):
            return Cause.TLS, error
    return (Cause.DNS if DNS_FAILURE.search(error) else Cause.CONNECT), error


# --- the addon


class Engine:
    """Install the gateway's HTTP layer in reverse mode, and run what it needs from outside the layers."""

    def __init__(
        self, policy: EnginePolicy, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.policy = policy
        self.clock = clock
        self.failed_flows: WeakSet[http.HTTPFlow] = WeakSet()
        """Flows of which some addon's hook raised; mitmproxy itself would carry on with them."""
        self.used_connections: WeakSet[Server] = WeakSet()
        self._local_sources: WeakKeyDictionary[http.HTTPFlow, AsyncIterator[bytes]] = (
            WeakKeyDictionary()
        )
        self._refused: str | None = None

    # --- for addons

    def stream_local(self, flow: http.HTTPFlow, source: AsyncIterator[bytes]) -> None:
        """Stream the body of `flow.response`, which must be set, from `source` instead of sending its content.

        The source is read no faster than the client takes it, and closed when the client leaves.
        """
        self._local_sources[flow] = source

    # --- for the layers

    def take_local_source(self, flow: http.HTTPFlow) -> AsyncIterator[bytes] | None:
        """The source that `stream_local` set, once."""
        return self._local_sources.pop(flow, None)

    def quietly[T](self, question: Callable[[EnginePolicy], T]) -> T | None:
        """Ask the policy where an exception cannot be answered any more: log it, None."""
        try:
            return question(self.policy)
        except Exception:
            log.exception("the engine's policy failed")
            return None

    def internal_error(self, flow: http.HTTPFlow) -> http.Response:
        """The policy's 500, or a plain one if even that fails."""
        response = self.quietly(lambda policy: policy.internal_error(flow))
        return response or http.Response.make(500, b"internal error in the gateway")

    # --- hooks

    def load(self, loader: Loader) -> None:
        """Refuse an unknown mitmproxy, and watch for hooks that raise."""
        from addons.selfcheck import self_check

        try:
            self_check(loader.master.options)
        except Exception as error:
            self._refused = str(error)
            raise
        self._watch_hooks(loader.master.addons)

    def _watch_hooks(self, manager: Any) -> None:
        original = manager.invoke_addon

        async def invoke_addon(addon: object, event: Any) -> None:
            try:
                await original(addon, event)
            except exceptions.AddonHalt:
                raise
            except Exception:
                self.note_failed_hook(event.args())
                raise

        manager.invoke_addon = invoke_addon

    def note_failed_hook(self, args: list[object]) -> None:
        """Some addon raised in a hook with these arguments: the flow must not go on as if nothing had happened."""
        subject = args[0] if args else None
        if isinstance(subject, Attempt):
            subject = subject.flow
        if isinstance(subject, http.HTTPFlow):
            self.failed_flows.add(subject)

    def configure(self, updated: set[str]) -> None:
        """Refuse options that the engine cannot work with."""
        if "stream_large_bodies" in updated and ctx.options.stream_large_bodies:
            raise exceptions.OptionsError("llmgate cannot work with stream_large_bodies; unset it.")

    def running(self) -> None:
        """Force the settings that the engine needs."""
        if ctx.options.connection_strategy != "lazy":
            log.info("llmgate sets connection_strategy=lazy: upstreams are chosen per request")
            ctx.options.connection_strategy = "lazy"

    def client_connected(self, client: Client) -> None:
        """Lift mitmproxy's cap of 5 upstream connections per address and client."""
        handler = ctx.master.addons.get("proxyserver").connections.get(client.id)
        if handler is not None:
            handler.max_conns = collections.defaultdict(
                lambda: asyncio.Semaphore(MAX_UPSTREAM_CONNECTIONS)
            )

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """Put our HTTP layer where mitmproxy would put its own."""
        context = nextlayer.context
        if not context.layers or not isinstance(context.layers[0], ReverseProxy):
            return
        data = nextlayer.data_client()
        if not data:
            return
        if self._refused is not None:
            nextlayer.layer = Refusal(context)
        elif starts_like_tls_record(data):
            nextlayer.layer = ClientTLSLayer(context)
            nextlayer.layer.child_layer = self.make_layer(context)
        else:
            nextlayer.layer = self.make_layer(context)

    def make_layer(self, context: Context) -> GatewayLayer:
        """The HTTP layer of one client connection."""
        return GatewayLayer(context, HTTPMode.transparent, self)

    def tls_clienthello(self, data: ClientHelloData) -> None:
        """Prefer HTTP/2: mitmproxy follows the client's order, and some clients list HTTP/1.1 first."""
        if ctx.options.http2 and b"h2" in data.client_hello.alpn_protocols:
            data.context.client.alpn = b"h2"

    async def llmgate_local_stream(self, local: LocalStream) -> None:
        """Pump a local answer into its stream, as fast as the client takes it."""
        if local.cancelled:
            return
        local.task = asyncio.current_task()
        client = local.stream.context.client
        handler = ctx.master.addons.get("proxyserver").connections.get(client.id)
        try:
            async for data in local.source:
                if data:
                    await handler.server_event(Inject(local.stream, data))
                    await handler.drain_writers()
        except asyncio.CancelledError:
            if not local.cancelled:
                raise
            return
        except Exception:
            log.exception("a local stream failed")
        finally:
            with contextlib.suppress(Exception):
                await local.source.aclose()  # type: ignore[attr-defined]
        await handler.server_event(Inject(local.stream, b""))


class Refusal(layer.Layer):
    """Close a client's connection: llmgate does not run on this mitmproxy, and nothing may pass it by."""

    def _handle_event(self, event: events.Event) -> Commands[None]:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)
