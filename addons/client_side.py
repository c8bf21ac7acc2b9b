"""A request as its client sees it: reading it, answering it, ending it, and telling it that somebody is still there.

`ClientSide` is the half of the stream that knows nothing of attempts: requests that are refused, answers of every
kind on their way out, the client that leaves, pings and promises. machine.py builds the other half on it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from mitmproxy import flow, http
from mitmproxy.proxy import events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator as Commands

from addons import framing
from addons.contract import Attempt, Cause
from addons.internals import (
    DropStream,
    ErrorCode,
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
    HttpStream,
    RequestData,
    RequestEndOfMessage,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    SendHttp,
    forget_stream,
)
from addons.local_socket import SocketLayer
from addons.phases import (
    CLIENT_LEFT,
    NEVER,
    TRYING,
    UNANSWERED,
    Connect,
    Deadlines,
    LlmgateLocalStreamHook,
    LocalStream,
    Phase,
    Tick,
    or_never,
    present,
)

if TYPE_CHECKING:
    from addons.gateway_layer import GatewayLayer
    from addons.shortcut import Lane

NO_STREAM: Final = -1
LINGER_S: Final = 5.0
"""How long the rest of a refused request body is read, so that the client sees the answer and not a reset."""
OVERDUE_POLL_S: Final = 0.05
"""How soon a deadline that passed while a hook was running is looked at again."""


def deaf(event: events.Event) -> Commands[None]:
    """The state of a stream that is over: whatever is still said to it was meant for another time."""
    yield from ()


class ClientSide(HttpStream):
    """See the module docstring."""

    def __init__(self, context: Context, stream_id: int, parent: GatewayLayer) -> None:
        super().__init__(context, stream_id)
        self.parent = parent
        self.engine = parent.engine
        self.policy = parent.engine.policy
        self.clock = parent.engine.clock
        self.phase = Phase.READING
        self.due = Deadlines()
        self.attempt: Attempt | None = None
        self.attempt_id = NO_STREAM  # the stream id towards the upstream
        self.connecting: Connect | None = None
        self.lane: Lane | None = None  # of a stream, while its pieces go the short way
        self.head_sent = False
        self._head: http.Response | None = None  # of a stream, which went out
        self._gone = False
        self._settled = False
        self._local: LocalStream | None = None
        self._storing = context.options.store_streamed_bodies

    @property
    def paused(self) -> bool:
        """Whether a hook is running or a connection is being opened."""
        return self._paused is not None

    def _current(self) -> Attempt:
        return present(self.attempt)

    def _settle(self) -> None:
        if self._settled:
            return
        self._settled = True
        if self.attempt is not None and self.attempt.ended_s is None:
            self.attempt.ended_s = self.clock()
        self.engine.quietly(lambda policy: policy.settled(self.flow))

    def _let_go(self) -> None:
        """Break the cycles of a stream that is over: its flow, and the bodies in it, go now and not at a collection.

        The base class holds methods of its own as its states, and the context the layers that it was made for.
        """
        self.client_state = self.server_state = deaf
        self.context.layers.clear()

    def _over(self) -> Commands[None]:
        """The request is over and nothing is sent any more."""
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        self.phase = Phase.DONE
        self.due.clear()
        self._unbind()
        yield DropStream(self.stream_id)

    def _reset(self, why: str) -> Commands[None]:
        """Close the client's connection, or reset its HTTP/2 stream."""
        kill = ResponseProtocolError(self.stream_id, why, ErrorCode.KILL)
        yield SendHttp(kill, self.context.client)
        yield from self._over()

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
        limit = self.policy.max_request_bytes
        if (len(self.request_body_buf) or framing.announced_size(self.flow.request)) <= limit:
            return False
        if not self.request_body_buf:  # addons have not seen the flow yet
            yield HttpRequestHeadersHook(self.flow)
        yield from self._refuse(413, f"the request body exceeds {limit} bytes")
        return True

    def _refuse(self, status: int, message: str) -> Commands[None]:
        """Answer at once and read on for a while: a close with unread input would reset the connection."""
        response = self.flow.response or self.engine.error_page(self.flow, status, message)
        self.request_body_buf.clear()
        self.flow.response = response
        self.flow.error = flow.Error(message)
        yield HttpErrorHook(self.flow)
        response.headers["connection"] = "close"
        client = self.context.client
        yield SendHttp(ResponseHeaders(self.stream_id, response, False), client)
        yield SendHttp(ResponseData(self.stream_id, response.raw_content or b""), client)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), client)
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        self.phase = Phase.LINGERING
        self._due_in(LINGER_S)

    def check_killed(self, emit_error_hook: bool) -> Commands[bool]:
        """Called after each hook: was the flow killed, did the client leave, did a hook fail?"""
        if (yield from super().check_killed(emit_error_hook)):
            yield from self._cancel_upstream("killed")
            yield from self._over()
            return True
        if self.flow in self.engine.failed_flows and not self.head_sent:
            self.flow.response = self.engine.internal_error(self.flow)
        return False

    # --- the answer

    def _answer(self, response: http.Response) -> Commands[None]:
        """Send an answer of our own, with the hooks that mitmproxy runs for one."""
        self.phase = Phase.LEAVING
        self.due.clear()
        self.flow.response = response
        response.timestamp_start = time.time()
        yield HttpResponseHeadersHook(self.flow)
        if not (yield from self.check_killed(True)):
            yield from self.send_response()

    def send_response(self, already_streamed: bool = False) -> Commands[None]:
        """The last step of every answer: the base class's, or the start of a local stream."""
        self.due.clear()
        source = None if already_streamed else self.engine.take_local_source(self.flow)
        if source is not None:
            yield from self._start_local(source)
            return
        self.phase = Phase.LEAVING
        if self.head_sent and not already_streamed:
            yield from self._send_behind_promise()
        else:
            yield from super().send_response(already_streamed)

    def _send_behind_promise(self) -> Commands[None]:
        """A whole answer where a stream was promised: what the `response` hook makes of it, in one piece."""
        response = present(self.flow.response)
        response.timestamp_end = time.time()
        yield HttpResponseHook(self.flow)
        if (yield from self.check_killed(False)):
            return
        if self.flow in self.engine.failed_flows:
            yield from self._end_broken(Cause.INTERNAL, "a hook failed")
            return
        if content := response.raw_content:
            yield SendHttp(ResponseData(self.stream_id, content), self.context.client)
        self.server_state = self.state_done
        yield from self.flow_done()

    def _end_broken(self, cause: Cause, message: str) -> Commands[None]:
        """End a stream that the client sees in its protocol's error; the `error` hook fires, not `response`."""
        self.phase = Phase.LEAVING
        self.due.clear()
        tail = b"".join(self.policy.stream_broken(self.flow, cause, message))
        if tail:
            self._store(tail)
            yield SendHttp(ResponseData(self.stream_id, tail), self.context.client)
        self._keep_stored()
        self.flow.error = flow.Error(message)
        yield HttpErrorHook(self.flow)
        self.server_state = self.state_done
        yield from self.flow_done()

    def _store(self, data: bytes) -> None:
        """For mitmweb, if `store_streamed_bodies` is on: what the client got, up to the limit of a buffered body."""
        if self._storing and self.attempt is not None:
            if len(self.response_body_buf) + len(data) <= self.attempt.max_body_bytes:
                self.response_body_buf += data

    def _keep_stored(self) -> None:
        if self.flow.response is not None and self.response_body_buf:
            self.flow.response.data.content = bytes(self.response_body_buf)
            self.response_body_buf.clear()

    def flow_done(self) -> Commands[None]:
        """As the base class does; an upgraded connection talks on."""
        upgraded = present(self.flow.response).status_code == 101
        if not upgraded:
            self._unbind()
        self.phase = Phase.UPGRADED if upgraded else Phase.DONE
        socket = self.engine.take_socket(self.flow) if upgraded else None
        if socket is None:
            yield from super().flow_done()
            return
        socket.stream = self
        self.parent.socket = socket
        self.child_layer = SocketLayer(self.context, socket)
        self._handle_event = self.passthrough
        self._due_in(socket.tick_s)
        socket.session.opened(socket, self.clock())
        yield from self.child_layer.handle_event(events.Start())
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def passthrough(self, event: events.Event) -> Commands[None]:
        """WebSocket frames; the request settles when the socket ends."""
        if isinstance(event, RequestProtocolError):
            event = RequestEndOfMessage(self.stream_id)
        elif isinstance(event, Tick) and self.parent.socket is not None:
            self._due_in(self.parent.socket.tick_s)
        yield from super().passthrough(event)
        if not self.flow.live:
            yield from self._over()
            self._settle()

    # --- local answers that stream

    def _start_local(self, source: AsyncIterator[bytes]) -> Commands[None]:
        response = present(self.flow.response)
        self.phase = Phase.LOCAL
        self._local = LocalStream(self, source)
        framing.frame_stream(response, self.flow.request)
        yield SendHttp(ResponseHeaders(self.stream_id, response, False), self.context.client)
        yield LlmgateLocalStreamHook(self._local)

    def _on_local_piece(self, data: bytes) -> Commands[None]:
        if self.phase is not Phase.LOCAL:
            return
        if data:
            yield SendHttp(ResponseData(self.stream_id, data), self.context.client)
        else:
            self._local = None
            yield from self.send_response(already_streamed=True)

    # --- the client leaves

    def note_client_gone(self) -> None:
        """The client has left; the event itself may have to wait until a hook returns."""
        if self._gone or self.phase in (Phase.DONE, Phase.LINGERING):
            return
        self._gone = True
        if self._local is not None:
            self._local.cancel()
        self.engine.quietly(lambda policy: policy.client_gone(self.flow))

    def _client_left(self, message: str) -> Commands[None]:
        if self.phase is Phase.DONE:
            return
        if self.phase is not Phase.LINGERING:
            yield from self._cancel_upstream(CLIENT_LEFT)
            self._keep_stored()
            if self.flow.error is None:
                self.flow.error = flow.Error(message)
            yield HttpErrorHook(self.flow)
        yield from self._over()

    # --- the upstream is left behind

    def _cancel_upstream(self, why: str) -> Commands[None]:
        """Leave an attempt behind: HTTP/1.1 closes the connection, HTTP/2 resets the stream. Idempotent."""
        if self.attempt_id == NO_STREAM:
            return
        conn = self.context.server
        top = self.parent.connections.get(conn)
        if top is not None and not forget_stream(top, self.attempt_id):
            yield SendHttp(RequestProtocolError(self.stream_id, why, ErrorCode.CANCEL), conn)
        self._unbind()

    def _unbind(self) -> None:
        """Nothing that this upstream still says concerns us."""
        self.parent.streams.pop(self.attempt_id, None)
        self.attempt_id = NO_STREAM
        if self.lane is not None:
            self.parent.close_lane(self.lane)
            self.lane = None

    # --- time

    def _due_in(self, seconds: float | None) -> None:
        self.due.phase = self.clock() + or_never(seconds)
        self.parent.wake_by(self.due.phase)

    def next_due(self, now: float) -> float:
        """When the layer should look after this stream again."""
        deadline = self.due.next()
        if deadline <= now:
            deadline = now + OVERDUE_POLL_S
        return min(deadline, self.due.early, self.ping_at())

    def ping_at(self) -> float:
        """When the client will have heard nothing for too long; NEVER unless it has the headers of a stream."""
        attempt = self.attempt
        if attempt is None or not attempt.ping_interval_s:
            return NEVER
        if self.phase is Phase.STREAMING or (self.head_sent and self.phase in UNANSWERED):
            return self.due.last_tx + attempt.ping_interval_s
        return NEVER

    def ping(self, now: float) -> bytes:
        """The heartbeat to send now."""
        attempt = self._current()
        self.due.last_tx = now
        return self.engine.quietly(lambda policy: policy.ping(attempt)) or b""

    def promise(self) -> http.Response | None:
        """The headers to send before any upstream has answered, if the policy wants that."""
        self.due.early = NEVER
        attempt = self._current()
        if self.head_sent or self._gone or self.phase not in TRYING:
            return None
        response = self.engine.quietly(lambda policy: policy.early_start(attempt))
        if response is not None:
            framing.frame_stream(response, self.flow.request)
            self.flow.response = response
            self.due.last_tx = self.clock()
            self._head = response
        return response
