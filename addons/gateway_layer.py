"""One client connection: its requests, its upstream connections, and one lazy timer for all of them.

`GatewayLayer` replaces mitmproxy's HTTP layer. It gives each attempt a stream id of its own, answers for
connections that take too long, keeps dead ones from answering later requests, and looks after what is due.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from mitmproxy import http
from mitmproxy.connection import Connection, Server
from mitmproxy.net.server_spec import ServerSpec
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator as Commands

from addons.farewell import be_patient
from addons.internals import (
    FROM_UPSTREAM,
    TO_UPSTREAM,
    ErrorCode,
    GetHttpConnection,
    GetHttpConnectionCompleted,
    Http2Client,
    HttpConnection,
    HttpLayer,
    HTTPMode,
    HttpStream,
    RegisterHttpConnection,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    discard_head,
    http_client,
    is_usable,
    request_head_size,
)
from addons.local_socket import LocalSocket
from addons.machine import GatewayStream
from addons.phases import (
    CLIENT_LEFT,
    CONNECT_TIMED_OUT,
    NEVER,
    ClientGone,
    Connect,
    Flush,
    Inject,
    Stopping,
    Tick,
)
from addons.trust import trust
from addons.turns import (
    CancelTurn,
    StartTurn,
    Turn,
    TurnOutput,
    client_of,
    next_id,
    request_events,
)

if TYPE_CHECKING:
    from addons.engine import Engine
    from addons.shortcut import Lane

log = logging.getLogger(__name__)

MAX_HEAD_BYTES: Final = 256 * 1024
"""Of a message head that does not end; mitmproxy itself has no limit."""
PRUNE_ABOVE: Final = 8
MIN_TIMER_S: Final = 0.001


class GatewayLayer(HttpLayer):
    """See the module docstring."""

    streams: dict[int, HttpStream]

    def __init__(self, context: Context, engine: Engine) -> None:
        super().__init__(context, HTTPMode.transparent)
        self.engine = engine
        self._abandoned: dict[Connection, layer.Layer] = {}  # their last events still need a home
        self.unflushed: list[GatewayStream] = []
        """Streams that have got pieces in this event and not relayed them."""
        self.lane: Lane | None = None
        """The short way of the stream that is running, if it begins at a connection."""
        self.socket: LocalSocket | None = None
        """What the client's connection has become, if it was upgraded and ends here."""
        self._timers: set[commands.RequestWakeup] = set()
        self._armed_at = NEVER
        self._wake_at = NEVER

    # --- events

    def handle_event(self, event: events.Event) -> Commands[None]:
        """As the base class does; pieces of a running stream, which most events are, go a short way."""
        lane = self.lane
        if (
            lane is not None
            and type(event) is events.DataReceived
            and event.connection is lane.conn
        ):
            if (taken := lane.take(event.data)) is not None:
                return self._behind(taken)
        return super().handle_event(event)

    def _behind(self, taken: tuple[commands.Command, ...]) -> Commands[None]:
        """What a lane took, and what has to be done then."""
        yield from taken
        if self.unflushed or self._wake_at < self._armed_at:
            yield from super().handle_event(Flush())

    def open_lane(self, lane: Lane) -> None:
        """Have the pieces of a stream go the short way."""
        lane.open()
        self.lane = lane

    def close_lane(self, lane: Lane) -> None:
        """Have them go the long way again."""
        lane.close()
        if self.lane is lane:
            self.lane = None

    def _handle_event(self, event: events.Event) -> Commands[None]:
        try:
            yield from self._route(event)
        except Exception:  # mitmproxy would log it and let the client hang
            log.exception("the engine failed at %s", type(event).__name__)
            yield commands.CloseConnection(self.context.client)

    def _route(self, event: events.Event) -> Commands[None]:
        if isinstance(event, events.Wakeup) and event.command in self._timers:
            self._timers.discard(event.command)
            yield from self._on_timer()
        elif isinstance(event, Inject):
            yield from self.event_to_child(event.stream, event)
        elif isinstance(event, ClientGone):
            yield from self._end_all()
        elif isinstance(event, Stopping):
            for stream in set(self.streams.values()):
                yield from self.event_to_child(stream, event)
        elif isinstance(event, Flush):
            pass  # below
        elif isinstance(event, events.ConnectionEvent) and event.connection in self._abandoned:
            home = self._abandoned[event.connection]
            if isinstance(event, events.ConnectionClosed):
                del self._abandoned[event.connection]
            yield from self.event_to_child(home, event)
        else:
            yield from super()._handle_event(event)
            if isinstance(event, events.DataReceived):
                yield from self._limit_head(event.connection)
        while self.unflushed:
            yield from self.event_to_child(self.unflushed.pop(), Flush())
        if self.socket is not None:
            yield from self._serve(self.socket)
        if self._wake_at < self._armed_at:
            yield from self._arm()

    def event_to_child(self, child: layer.Layer, event: events.Event) -> Commands[None]:
        """Every HTTP event crosses here: swap stream ids, and replace mitmproxy's own error pages."""
        if isinstance(child, GatewayStream):
            if isinstance(event, FROM_UPSTREAM):
                # late ones of an abandoned attempt found no stream
                event.stream_id = child.stream_id
            elif isinstance(event, RequestProtocolError):
                return self._client_gone(child, event)
        elif isinstance(event, TO_UPSTREAM):
            stream = self.streams.get(event.stream_id)
            if isinstance(stream, GatewayStream):
                event.stream_id = stream.attempt_id
        elif isinstance(event, ResponseHeaders):
            stream = self.streams.get(event.stream_id)
            if isinstance(stream, GatewayStream) and event.response.status_code >= 101:
                stream.head_sent = True
        elif isinstance(event, ResponseProtocolError) and isinstance(child, HttpConnection):
            return self._answer_error(child, event)
        return super().event_to_child(child, event)

    def _answer_error(self, child: layer.Layer, event: ResponseProtocolError) -> Commands[None]:
        yield from self._shape_error(child, event)
        yield from super().event_to_child(child, event)

    def _client_gone(self, stream: GatewayStream, event: RequestProtocolError) -> Commands[None]:
        stream.note_client_gone()
        yield from super().event_to_child(stream, event)
        yield from self._end_connect(stream, CLIENT_LEFT)

    def _end_all(self) -> Commands[None]:
        for stream in set(self.streams.values()):
            yield from self._end_stream(stream)

    def _end_stream(self, stream: HttpStream) -> Commands[None]:
        error = RequestProtocolError(
            stream.stream_id, "Client disconnected.", ErrorCode.CLIENT_DISCONNECTED
        )
        yield from self.event_to_child(stream, error)

    def make_stream(self, stream_id: int) -> Commands[None]:
        """As the base class does, with our stream; forgets upstream connections that are closed."""
        if len(self.connections) > PRUNE_ABOVE:
            for conn in [c for c in self.connections if self._is_closed(c)]:
                self._abandoned[conn] = self.connections.pop(conn)
        stream = GatewayStream(self.context.fork(), stream_id, self)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    def dissolve(self) -> None:
        """Break the cycles of a connection that is over: what its layers hold goes now and not at a collection.

        Each layer is in the list of layers of its context, and many hold methods of their own as their states. Where
        a hook still runs, which will come back to them, they are left to the collector.
        """
        if self.streams or self.command_sources:
            return
        tops = {*self.connections.values(), *self._abandoned.values()}
        if self.socket is not None:
            tops.add(self.socket.stream)
            self.socket.dissolve()
        own = {one for top in tops for one in top.context.layers} | tops
        own -= {*self.context.layers}  # the husk stays: what mitmproxy has above it leads here
        for one in own:
            one.context.layers.clear()
            one.__dict__.clear()
        self.connections.clear()
        self._abandoned.clear()
        self.unflushed.clear()
        self.socket = self.lane = None

    # --- turns of a WebSocket

    def _serve(self, socket: LocalSocket) -> Commands[None]:
        """Do what the socket's session wants done; turns that end meanwhile may want more."""
        while socket.todo:
            match socket.todo.popleft():
                case StartTurn(turn):
                    yield from self._start_turn(socket, turn)
                case CancelTurn(turn):
                    yield from self._cancel_turn(turn)
                case event:
                    yield from self.event_to_child(socket.stream, event)
            while self.unflushed:
                yield from self.event_to_child(self.unflushed.pop(), Flush())
        if socket.turn_over:
            self._forget_turns(socket)

    def _forget_turns(self, socket: LocalSocket) -> None:
        """Let go of turns that are over: a socket may live for an hour."""
        rest = []
        for output in self._outputs():
            if output.over and output.stream.stream_id not in self.streams:
                del self.connections[output.conn]
                output.context.layers.clear()
            elif output.over:
                rest.append(output)
        socket.turn_over = bool(rest)

    def _start_turn(self, socket: LocalSocket, turn: Turn) -> Commands[None]:
        context = self.context.fork()
        context.client = client = client_of(self.context.client)
        stream = GatewayStream(context, next_id(), self)
        self.streams[stream.stream_id] = stream
        context = self.context.fork()
        self.connections[client] = TurnOutput(context, client, turn, stream, socket)
        flow = http.HTTPFlow(client, context.server)
        turn.begin(flow)
        for event in (events.Start(), *request_events(stream.stream_id, turn, flow)):
            yield from self.event_to_child(stream, event)

    def _cancel_turn(self, turn: Turn) -> Commands[None]:
        for output in self._outputs():
            if output.turn is turn and output.stream.stream_id in self.streams:
                output.silence()
                yield from self._end_stream(output.stream)

    def _outputs(self) -> list[TurnOutput]:
        return [top for top in self.connections.values() if isinstance(top, TurnOutput)]

    # --- the base class's part

    def _is_closed(self, conn: Connection) -> bool:
        return (
            conn is not self.context.client
            and not conn.connected
            and conn not in self.waiting_for_establishment
        )

    def _shape_error(self, child: layer.Layer, event: ResponseProtocolError) -> Commands[None]:
        """Before mitmproxy writes its HTML page, answer in the client's protocol."""
        stream = self.streams.get(event.stream_id)
        status = event.code.http_status_code()
        if not isinstance(stream, GatewayStream) or stream.head_sent or status is None:
            return
        response = stream.flow.response or self.engine.error_page(
            stream.flow, status, event.message
        )
        response.headers["connection"] = "close"
        stream.flow.response = response
        stream.head_sent = True
        body = response.raw_content or b""
        yield from super().event_to_child(child, ResponseHeaders(event.stream_id, response, False))
        yield from super().event_to_child(child, ResponseData(event.stream_id, body))
        yield from super().event_to_child(child, ResponseEndOfMessage(event.stream_id))

    def _limit_head(self, conn: Connection) -> Commands[None]:
        """Close a connection whose peer sends a message head without end."""
        if request_head_size(self.connections.get(conn)) > MAX_HEAD_BYTES:
            yield commands.Log(f"message head exceeds {MAX_HEAD_BYTES} bytes: {conn}")
            discard_head(self.connections.get(conn))
            yield from self._drop(conn)

    def _drop(self, conn: Connection) -> Commands[None]:
        yield commands.CloseConnection(conn)
        for attempt_id, stream in list(self.streams.items()):
            if isinstance(stream, GatewayStream) and stream.attempt_id == attempt_id:
                if stream.context.server is conn:
                    message = "the response head is too long"
                    error = ResponseProtocolError(
                        attempt_id, message, ErrorCode.GENERIC_SERVER_ERROR
                    )
                    yield from self.event_to_child(stream, error)

    # --- upstream connections

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> Commands[None]:
        """An idle connection if there is one, else a new one; HTTP/2 only where the attempt asks for it.

        The base class would hand out a busy HTTP/1.1 connection, never reuse one for an HTTP/2 client, and offer
        the upstream whatever the client's TLS had offered.
        """
        if not isinstance(event, Connect):
            yield from super().get_connection(event, reuse=reuse)
            return
        if reuse and not event.fresh:
            for conn, top in self.connections.items():
                if not event.connection_spec_matches(conn):
                    continue
                if conn in self.waiting_for_establishment:
                    if event.http2:
                        self.waiting_for_establishment[conn].append(event)
                        return
                elif conn.connected and is_usable(top):
                    yield from self._hand_over(event, conn)
                    return
            if (borrowed := self.engine.borrow(self, event)) is not None:
                yield from self._hand_over(event, borrowed)
                return
        yield from super().get_connection(event, reuse=False)
        offers = (b"h2", b"http/1.1") if event.http2 else (b"http/1.1",)
        for conn, waiting in self.waiting_for_establishment.items():
            if event in waiting:
                conn.alpn_offers = offers
                trust(conn, event.ca_file)

    def via_of(self, tunnel: Connection) -> ServerSpec | None:
        """The egress proxy that a connection to a proxy was opened for."""
        for conn, top in self.connections.items():
            if isinstance(conn, Server) and getattr(top, "tunnel_connection", None) is tunnel:
                return conn.via
        return None

    def _hand_over(self, event: GetHttpConnection, conn: Connection) -> Commands[None]:
        """Give a stream the connection that it asked for."""
        stream = self.command_sources.pop(event)
        yield from self.event_to_child(stream, GetHttpConnectionCompleted(event, (conn, None)))

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
        elif isinstance(http := http_client(self.connections.get(conn)), Http2Client):
            be_patient(http)
        apart: list[GetHttpConnection] = []
        if not command.err and conn.alpn != b"h2":
            # They hoped for HTTP/2. The base class parts them for HTTP/2 clients only, and turns have no such client.
            hopeful = self.waiting_for_establishment[conn]
            apart, hopeful[1:] = hopeful[1:], []
        yield from super().register_connection(command)
        for event in apart:
            yield from self.get_connection(event, reuse=False)

    def _end_connect(self, stream: GatewayStream, why: str) -> Commands[None]:
        """Answer a stream that waits for a connection with an error; close what is half open for it alone."""
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

    # --- the timer

    def wake_by(self, at: float) -> None:
        """Ask to be woken at `at` or earlier."""
        self._wake_at = min(self._wake_at, at)

    def _arm(self) -> Commands[None]:
        if not self.context.client.connected:
            return  # nobody would cancel the timer
        self._armed_at = self._wake_at
        timer = commands.RequestWakeup(max(MIN_TIMER_S, self._wake_at - self.engine.clock()))
        self._timers.add(timer)
        yield timer

    def _on_timer(self) -> Commands[None]:
        now = self.engine.clock()
        self._armed_at = self._wake_at = NEVER
        for stream in set(self.streams.values()):
            if isinstance(stream, GatewayStream):
                yield from self._look_after(stream, now)
                self.wake_by(stream.next_due(now))

    def _look_after(self, stream: GatewayStream, now: float) -> Commands[None]:
        """Do what is due for a stream. Promises and pings go out even while one of its hooks runs."""
        client = self.connections[stream.context.client]
        if stream.due.early <= now and (response := stream.promise()) is not None:
            head = ResponseHeaders(stream.stream_id, response, False)
            yield from self.event_to_child(client, head)
        if stream.ping_at() <= now and (data := stream.ping(now)):
            yield from self.event_to_child(client, ResponseData(stream.stream_id, data))
        if stream.due.next() > now:
            return
        if stream.connecting is not None:
            yield from self._end_connect(stream, CONNECT_TIMED_OUT)
        elif not stream.paused:
            yield from self.event_to_child(stream, Tick())
