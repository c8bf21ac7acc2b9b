"""One request as a state machine: attempts, judgement, the answer, and every way that it can end.

`GatewayStream` replaces mitmproxy's HTTP stream. The phases and what moves a request between them are drawn in
phases.py; the three tables at the end of the class are that picture in code. What concerns the client alone is in
client_side.py.

No policy here: every decision is asked of the `EnginePolicy`. Any exception of its methods, of a stream callable or
of this file ends in the client protocol's error (`_crashed`), never in a client that hangs.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import events
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator as Commands

from addons import framing
from addons.client_side import ClientSide
from addons.contract import Attempt, Cause, LlmAttemptFailedHook, LlmAttemptHook, Verdict
from addons.farewell import UNPROCESSED
from addons.internals import (
    HttpResponseHeadersHook,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
    SendHttp,
)
from addons.phases import (
    NEVER,
    Connect,
    Flush,
    Inject,
    Phase,
    Stopping,
    Tick,
    or_never,
    present,
)

if TYPE_CHECKING:
    from addons.gateway_layer import GatewayLayer

log = logging.getLogger(__name__)

MAX_ERROR_TEXT: Final = 300
CLOSED_WHILE_IDLE: Final = re.compile(
    r"server closed connection|peer closed connection|HTTP/2 connection closed"
)
"""mitmproxy's words for an upstream that closed without a byte of answer."""
REFUSED_STREAM: Final = "stream reset by client (REFUSED_STREAM)"
"""mitmproxy's words for an HTTP/2 upstream that has not looked at a request, either."""

ANSWERING: Final = frozenset(
    {Phase.WAITING, Phase.PEEKING, Phase.FAILING, Phase.STREAMING, Phase.BUFFERING}
)
"""An upstream has the request."""
_attempt_ids = itertools.count(1 << 40)
"""Each try gets a stream id of its own towards the upstream, far above any real one: late events of an abandoned
try carry a dead id and are dropped by code that mitmproxy already has. Global, since pooled upstream connections
see the ids of many clients."""


class GatewayStream(ClientSide):
    """One request of a client, its attempts and its answer."""

    def __init__(self, context: Context, stream_id: int, parent: GatewayLayer) -> None:
        super().__init__(context, stream_id, parent)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._pieces: list[bytes] = []  # of one read, not relayed yet
        self._unprocessed: Attempt | None = None  # has been sent again because of that
        self._failure: Exception | None = None  # of the short way, not dealt with yet

    # --- entry

    def _handle_event(self, event: events.Event) -> Commands[None]:
        """Run the hooks that need not wait at once; all other commands are mitmproxy's to carry out."""
        if type(event) is ResponseData and self.phase is Phase.STREAMING:
            self._collect(event.data)  # most events are these
            return
        steps = self._advance(event)
        reply = None
        while True:
            try:
                command = steps.send(reply)
            except StopIteration:
                return
            reply = None
            # a layer of a WebSocket's waits for its own hooks: it is `blocking` there
            if isinstance(command, StartHook) and command.blocking is True and self.debug is None:
                if self.engine.begin_hook(command):
                    continue
            reply = yield command

    def _advance(self, event: events.Event) -> Commands[None]:
        try:
            if isinstance(event, (ResponseData, ResponseHeaders, ResponseEndOfMessage)):
                handler = self.ON_RESPONSE.get((self.phase, type(event)))
                if handler is not None:
                    yield from handler(self, event)
            elif isinstance(event, Flush):
                yield from self._flush()
            elif isinstance(event, Inject):
                yield from self._on_local_piece(event.data)
            elif isinstance(event, Tick):
                yield from self._on_deadline()
            elif isinstance(event, Stopping):
                yield from self._stop()
            elif not isinstance(event, ResponseTrailers):  # trailers are dropped
                yield from self._on_request_event(event)
        except Exception:
            name = type(event).__name__  # never the event itself: it may hold a prompt
            log.exception("the engine failed at %s in phase %s", name, self.phase.name)
            yield from self._crashed()
        if self.phase in (Phase.DONE, Phase.LINGERING):
            self._settle()
            if self.phase is Phase.DONE:
                self._let_go()

    def _on_request_event(self, event: events.Event) -> Commands[None]:
        if self.phase is Phase.LINGERING and isinstance(event, RequestEndOfMessage):
            yield from self._over()
            return
        yield from super()._handle_event(event)
        if self.client_state == self.state_errored and self.phase is Phase.READING:
            yield from self._over()  # the base class refused the request

    # --- the request

    def make_server_connection(self) -> Commands[bool]:
        """The base class asks for a connection here; we run all attempts and leave it nothing to do."""
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
            if self.head_sent and self.flow.response is not self._head:
                self.flow.response = self._head
                yield from self._end_broken(Cause.REFUSED, "no further attempt could be made")
                return
            if (yield from self._send(attempt)):
                return
            if not (yield from self._try_again(attempt)):
                return

    def _new_attempt(self) -> Attempt:
        self.phase = Phase.CONNECTING
        self.attempt = Attempt(
            flow=self.flow,
            number=1 if self.attempt is None else self.attempt.number + 1,
            request=framing.attempt_request(self.flow.request),
            started_s=self.clock(),
        )
        return self.attempt

    def _send(self, attempt: Attempt, *, fresh: bool = False) -> Commands[bool]:
        """Connect and send; False = it could not connect."""
        self.phase = Phase.CONNECTING
        self._schedule(attempt)
        scheme, host, port = target = framing.target(attempt.request)
        self.connecting = command = Connect(
            (host, port),
            scheme == "https",
            attempt.via,
            http2=attempt.http2,
            fresh=fresh,
            ca_file=attempt.ca_file,
        )
        conn, error = yield command
        self.connecting = None
        self.due.phase = NEVER
        if self._gone:
            return True  # the queued event is handled next
        if not isinstance(conn, Server):
            self._blame(attempt, command.failure(error or ""), error or "cannot connect")
            return False
        attempt.server_conn = self.context.server = self.flow.server_conn = conn
        attempt.reused = self.engine.mark_used(conn)
        request = self.policy.authorize(attempt)
        if framing.target(request) != target:
            raise RuntimeError("authorize() changed where the request goes")
        framing.seal_request(request)
        yield from self._transmit(request, conn)
        self._due_in(attempt.first_byte_timeout_s)
        return True

    def _transmit(self, request: http.Request, conn: Server) -> Commands[None]:
        self.attempt_id = next(_attempt_ids)
        self.parent.streams[self.attempt_id] = self
        self.phase = Phase.WAITING
        content = request.raw_content
        yield SendHttp(RequestHeaders(self.stream_id, request, not content), conn)
        if content:
            yield SendHttp(RequestData(self.stream_id, content), conn)
        yield SendHttp(RequestEndOfMessage(self.stream_id), conn)

    def _schedule(self, attempt: Attempt) -> None:
        self._due_in(attempt.connect_timeout_s)
        self.due.total = attempt.started_s + or_never(attempt.total_timeout_s)
        if not self.head_sent and attempt.early_start_s is not None:
            self.due.early = min(self.due.early, attempt.started_s + attempt.early_start_s)
        self.parent.wake_by(min(self.due.total, self.due.early))

    def _blame(self, attempt: Attempt, cause: Cause, error: str) -> None:
        attempt.cause = cause
        attempt.error = error[:MAX_ERROR_TEXT]
        attempt.ended_s = self.clock()
        self._held, self._held_bytes = [], 0

    def _fail(self, attempt: Attempt, cause: Cause, error: str) -> Commands[None]:
        """End an attempt that the client knows nothing of, and go on to the next."""
        yield from self._cancel_upstream(error)
        self._blame(attempt, cause, error)
        if (yield from self._try_again(attempt)):
            yield from self._attempts()

    def _try_again(self, attempt: Attempt) -> Commands[bool]:
        """After a failed attempt: True = try now. Else the client is answered, gone, or waits."""
        self.phase = Phase.BETWEEN
        self.due.phase = self.due.total = NEVER
        if not self.head_sent:
            self.flow.response = None
        yield LlmAttemptFailedHook(attempt)
        if (yield from self._answered_by_addon()):
            return False
        delay = self.policy.retry_delay(attempt)
        if delay is None:
            yield from self._give_up(attempt)
            return False
        if delay > 0:
            self._due_in(delay)
            return False
        return True

    def _answered_by_addon(self) -> Commands[bool]:
        """After one of our hooks: True when there is nothing left to try."""
        if (yield from self.check_killed(True)):
            return True
        if not self.head_sent:
            if self.flow.response is not None:
                yield from self._answer(self.flow.response)
            return self.flow.response is not None
        if self.flow in self.engine.failed_flows:
            yield from self._end_broken(Cause.INTERNAL, "a hook failed")
            return True
        return False

    def _give_up(self, attempt: Attempt) -> Commands[None]:
        if self.head_sent:
            yield from self._end_broken(attempt.cause or Cause.INTERNAL, attempt.error)
        else:
            yield from self._answer(self.policy.give_up(attempt))

    # --- judging the answer

    def _on_headers(self, event: ResponseHeaders) -> Commands[None]:
        attempt = self._current()
        attempt.response = event.response
        if (problem := self._invalid_head(event.response)) is not None:
            yield from self._fail(attempt, Cause.PROTOCOL, problem)
            return
        match self.policy.verdict(attempt):
            case Verdict.COMMIT:
                yield from self._commit(attempt)
            case Verdict.FAIL:
                self.phase = Phase.FAILING
                self._due_in(attempt.error_body_timeout_s)
            case Verdict.PEEK:
                self.phase = Phase.PEEKING
            case Verdict.GO_ON:
                raise RuntimeError("nothing of the answer has been read")

    def _invalid_head(self, response: http.Response) -> str | None:
        if response.status_code < 200 and response.status_code != 101:
            return f"unexpected interim response {response.status_code}"
        if self.context.options.validate_inbound_headers:
            try:
                validate_headers(response)
            except ValueError as error:
                return f"invalid response headers: {error}"
        return None

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._held_bytes += len(data)

    def _release(self) -> bytes:
        held = b"".join(self._held)
        self._held, self._held_bytes = [], 0
        return held

    def _on_error_body(self, event: ResponseData) -> Commands[None]:
        self._hold(event.data)
        if self._held_bytes > self._current().max_error_bytes:
            yield from self._conclude_error()

    def _on_error_end(self, event: ResponseEndOfMessage) -> Commands[None]:
        self._unbind()  # read to its end, so the connection can be used again
        yield from self._conclude_error()

    def _conclude_error(self) -> Commands[None]:
        """The error body is complete, or too long, too slow or cut: whatever there is will do."""
        attempt = self._current()
        response = present(attempt.response)
        response.raw_content = self._release()[: attempt.max_error_bytes]
        yield from self._fail(attempt, Cause.STATUS, f"HTTP {response.status_code}")

    def _on_peek(self, event: ResponseData) -> Commands[None]:
        self._hold(event.data)
        attempt = self._current()
        if self._held_bytes > attempt.max_peek_bytes:
            self._release()
            yield from self._fail(
                attempt, Cause.TOO_LARGE, f"nothing decided in {attempt.max_peek_bytes} bytes"
            )
        else:
            yield from self._judge(attempt, event.data, ended=False)

    def _on_peek_end(self, event: ResponseEndOfMessage) -> Commands[None]:
        self._unbind()
        yield from self._judge(self._current(), b"", ended=True)

    def _judge(self, attempt: Attempt, data: bytes, *, ended: bool) -> Commands[None]:
        verdict = self.policy.peek(attempt, data, ended)
        if verdict is Verdict.FAIL:
            present(attempt.response).raw_content = self._release()[: attempt.max_error_bytes]
            yield from self._fail(attempt, Cause.FIRST_EVENT, "the answer began with an error")
        elif verdict is Verdict.GO_ON:
            present(attempt.response).raw_content = self._release()  # for whoever shows attempts
            yield from self._go_on(attempt)
        elif verdict is Verdict.COMMIT or ended:
            held = self._release()
            yield from self._commit(attempt)
            if held:
                yield from self._replay(ResponseData(self.stream_id, held))
            if ended:
                yield from self._replay(ResponseEndOfMessage(self.stream_id))

    def _go_on(self, attempt: Attempt) -> Commands[None]:
        """What this upstream gave was good and is not all: ask again. A client that has its head waits."""
        attempt.ended_s = self.clock()
        self.due.phase = self.due.total = NEVER
        yield from self._attempts()

    def _replay(self, event: ResponseData | ResponseEndOfMessage) -> Commands[None]:
        if (handler := self.ON_RESPONSE.get((self.phase, type(event)))) is not None:
            yield from handler(self, event)

    # --- the committed answer

    def _commit(self, attempt: Attempt) -> Commands[None]:
        """From here on this upstream's answer is the client's."""
        attempt.committed = True
        self.due.early = NEVER
        if not self.head_sent:
            self.flow.response = framing.client_head(present(attempt.response))
        self.policy.commit(attempt)
        response = present(self.flow.response)
        if not self.head_sent:
            yield HttpResponseHeadersHook(self.flow)
            if (yield from self.check_killed(True)):
                return
            if self.flow.response is not response:  # a hook failed, or put its own answer there
                yield from self._cancel_upstream("answered by an addon")
                yield from self.send_response()
                return
        self.due.last_rx = self.due.last_tx = self.clock()
        self._due_in(attempt.idle_timeout_s)
        self.engine.join_chunks(self.parent.connections.get(self.context.server))
        if response.stream:
            yield from self._start_streaming(response)
        else:
            self.phase = Phase.BUFFERING

    def _start_streaming(self, response: http.Response) -> Commands[None]:
        self.phase = Phase.STREAMING
        self._head = response
        if not self.head_sent:
            framing.frame_stream(response, self.flow.request)
            yield SendHttp(ResponseHeaders(self.stream_id, response, False), self.context.client)
        self.parent.wake_by(self.ping_at())
        if (lane := self.engine.shorten(self)) is not None:
            self.lane = lane
            self.parent.open_lane(lane)

    def _on_stream(self, event: ResponseData) -> Commands[None]:
        """What was held while it was judged."""
        self._collect(event.data)
        yield from ()

    def _collect(self, data: bytes) -> None:
        """Collect what one read brought: a relay works once on many events faster than many times on one."""
        if not self._pieces:
            self.parent.unflushed.append(self)
        self._pieces.append(data)

    def _flush(self) -> Commands[None]:
        """Relay the pieces of one read, and see to what came of it; the layer asks for it before it returns."""
        if self.phase is not Phase.STREAMING:
            return
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._pieces:
            data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces = []
            self.due.last_rx = self.clock()
            yield from self._relay(data)
        if self._current().finished:
            yield from self._cancel_upstream("answer complete")
            yield from self._end_stream()

    def _on_stream_end(self, event: ResponseEndOfMessage) -> Commands[None]:
        self._unbind()
        yield from self._flush()
        if self.phase is Phase.STREAMING:
            yield from self._end_stream()

    def _relay(self, data: bytes) -> Commands[None]:
        """Through the stream callable to the client; an empty piece would end an HTTP/1.1 body."""
        if out := self._relayed(data):
            yield SendHttp(ResponseData(self.stream_id, out), self.context.client)

    def _relayed(self, data: bytes) -> bytes:
        stream = present(self.flow.response).stream
        pieces = stream(data) if callable(stream) else data
        out = pieces if isinstance(pieces, bytes) else b"".join(pieces)
        if out:
            self.due.last_tx = self.due.last_rx
            self._store(out)
        return out

    def relay_now(self, data: bytes) -> bytes:
        """What the client gets of one read, for the short way; the layer asks for the rest at once if there is any."""
        self.due.last_rx = self.clock()
        try:
            out = self._relayed(data)
        except Exception as failure:  # noqa: BLE001 - raised again where it can be answered
            self._failure = failure
            out = b""
        if self._failure is not None or self._current().finished:
            self.parent.unflushed.append(self)
        return out

    def _end_stream(self) -> Commands[None]:
        yield from self._relay(b"")
        if self._current().paused:
            yield from self._go_on(self._current())
            return
        self._keep_stored()
        yield from self.send_response(already_streamed=True)

    def _on_body(self, event: ResponseData) -> Commands[None]:
        self.due.last_rx = self.clock()
        self.response_body_buf += event.data
        limit = self._current().max_body_bytes
        if len(self.response_body_buf) > limit:
            yield from self._broken(Cause.TOO_LARGE, f"the answer exceeds {limit} bytes")

    def _on_body_end(self, event: ResponseEndOfMessage) -> Commands[None]:
        response = present(self.flow.response)
        if response.status_code != 101:
            self._unbind()
        body = bytes(self.response_body_buf)
        self.response_body_buf.clear()
        present(self._current().response).raw_content = body  # for whoever shows attempts
        if self.head_sent:
            response.raw_content = body
        else:
            framing.frame_whole(response, self.flow.request, body)
        yield from self.send_response()

    # --- what goes wrong

    def handle_protocol_error(
        self, event: RequestProtocolError | ResponseProtocolError
    ) -> Commands[None]:
        """The client left (or broke HTTP), or the upstream did."""
        if isinstance(event, RequestProtocolError):
            yield from self._client_left(event.message)
        else:
            self._unbind()
            yield from self._flush()
            if (handler := self.ON_BREAK.get(self.phase)) is not None:
                yield from handler(self, event.message)

    def _broke_waiting(self, message: str) -> Commands[None]:
        attempt = self._current()
        stale = attempt.reused and CLOSED_WHILE_IDLE.match(message) is not None
        unprocessed = message in (UNPROCESSED, REFUSED_STREAM) and attempt is not self._unprocessed
        if not (stale or unprocessed):
            yield from self._fail(attempt, Cause.PROTOCOL, message)
            return
        # closed while idle, or not looked at, as every server may do at any time: no failure of this
        # upstream. A fresh connection cannot be stale, and one that refuses, too, fails: this ends
        if unprocessed:
            self._unprocessed = attempt
        if not (yield from self._send(attempt, fresh=True)):
            if (yield from self._try_again(attempt)):
                yield from self._attempts()

    def _broke_peeking(self, message: str) -> Commands[None]:
        yield from self._fail(self._current(), Cause.PROTOCOL, message)

    def _broke_failing(self, message: str) -> Commands[None]:
        yield from self._conclude_error()

    def _broke_committed(self, message: str) -> Commands[None]:
        if self._current().paused:  # it had said all that it would
            yield from self._end_stream()
        else:
            yield from self._broken(Cause.CUT, message)

    def _broken(self, cause: Cause, message: str) -> Commands[None]:
        """End a committed answer that cannot be completed."""
        yield from self._cancel_upstream(message)
        self._blame(self._current(), cause, message)
        if self.head_sent:
            yield from self._end_broken(cause, message)
        else:
            self.response_body_buf.clear()
            yield from self._answer(self.policy.unary_broken(self.flow, cause, message))

    def _stop(self) -> Commands[None]:
        """The gateway stops: what waits for an upstream's answer, or for the rest of it, is told."""
        if self.phase in ANSWERING:
            yield from self._broken(Cause.STOPPING, "the gateway stops")

    def _crashed(self) -> Commands[None]:
        """After an exception: end the client's answer in an error, whatever phase it was in."""
        if self.phase in (Phase.DONE, Phase.LINGERING):
            return
        try:
            yield from self._cancel_upstream("internal error")
            if self.attempt is not None and self.attempt.cause is None:
                self._blame(self.attempt, Cause.INTERNAL, "internal error")
            if self.head_sent:
                yield from self._end_broken(Cause.INTERNAL, "internal error")
            elif self.client_state == self.state_done:
                yield from self._answer(self.engine.internal_error(self.flow))
            else:  # answered when the request has been read
                self.flow.response = self.engine.internal_error(self.flow)
                self.client_state = self.state_consume_request_body
        except Exception:
            log.exception("ending a failed request failed too")
            yield from self._reset("internal error")

    # --- time

    def _on_deadline(self) -> Commands[None]:
        handler = self.ON_DEADLINE.get(self.phase)
        if handler is None:
            self.due.phase = self.due.total = NEVER
        else:
            yield from handler(self, self.due.total <= self.clock())

    def _late_head(self, total: bool) -> Commands[None]:
        cause = Cause.TOTAL_TIMEOUT if total else Cause.FIRST_BYTE_TIMEOUT
        yield from self._fail(self._current(), cause, "no answer in time")

    def _late_error_body(self, total: bool) -> Commands[None]:
        yield from self._conclude_error()

    def _backed_off(self, total: bool) -> Commands[None]:
        self.due.phase = NEVER
        yield from self._attempts()

    def _late_body(self, total: bool) -> Commands[None]:
        attempt = self._current()
        idle_at = self.due.last_rx + or_never(attempt.idle_timeout_s)
        if total:
            message = f"the answer took longer than {attempt.total_timeout_s:g} s"
            yield from self._broken(Cause.TOTAL_TIMEOUT, message)
        elif idle_at <= self.clock():
            message = f"the upstream was silent for {attempt.idle_timeout_s:g} s"
            yield from self._broken(Cause.IDLE_TIMEOUT, message)
        else:  # something came meanwhile; the hot path does not move timers
            self.due.phase = idle_at

    def _lingered(self, total: bool) -> Commands[None]:
        yield from self._reset("the rest of the request did not come")

    # --- the tables

    ON_RESPONSE: ClassVar[Mapping[tuple[Phase, type], Callable[..., Commands[None]]]] = {
        (Phase.WAITING, ResponseHeaders): _on_headers,
        (Phase.PEEKING, ResponseData): _on_peek,
        (Phase.PEEKING, ResponseEndOfMessage): _on_peek_end,
        (Phase.FAILING, ResponseData): _on_error_body,
        (Phase.FAILING, ResponseEndOfMessage): _on_error_end,
        (Phase.STREAMING, ResponseData): _on_stream,
        (Phase.STREAMING, ResponseEndOfMessage): _on_stream_end,
        (Phase.BUFFERING, ResponseData): _on_body,
        (Phase.BUFFERING, ResponseEndOfMessage): _on_body_end,
    }
    ON_BREAK: ClassVar[Mapping[Phase, Callable[..., Commands[None]]]] = {
        Phase.WAITING: _broke_waiting,
        Phase.PEEKING: _broke_peeking,
        Phase.FAILING: _broke_failing,
        Phase.STREAMING: _broke_committed,
        Phase.BUFFERING: _broke_committed,
    }
    ON_DEADLINE: ClassVar[Mapping[Phase, Callable[..., Commands[None]]]] = {
        Phase.WAITING: _late_head,
        Phase.PEEKING: _late_head,
        Phase.FAILING: _late_error_body,
        Phase.BETWEEN: _backed_off,
        Phase.STREAMING: _late_body,
        Phase.BUFFERING: _late_body,
        Phase.LINGERING: _lingered,
    }
