"""A scripted dialogue with the engine: no sockets, no loop, no waiting. What happened is a list of short lines.

    talk = Dialogue()
    talk.client(POST)                 # bytes of the client
    talk.upstream(1, b"HTTP/1.1 ...") # bytes of the first upstream connection
    talk.pass_time(5)                 # the clock moves and due timers fire
    assert talk.lines == ["hook requestheaders", ...]

Hooks complete at once unless they are in `held_hooks`; connections open at once unless `connects` holds an error
text, or HELD, for them.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from mitmproxy import http, options
from mitmproxy.addons import proxyserver
from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.proxy import commands, context, events, mode_specs
from mitmproxy.test import taddons

from addons.engine import Attempt, Cause, Engine, Verdict
from addons.phases import LlmgateLocalStreamHook, LocalStream

POST = b"POST /v1/x HTTP/1.1\r\nhost: gate\r\ncontent-length: 2\r\n\r\n{}"
HELD = "held"
RESET = b"<reset>"


def answer(body: bytes, status: int = 200, headers: str = "") -> bytes:
    """A whole response."""
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def stream_head(headers: str = "") -> bytes:
    """The head of a streamed response."""
    return (
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        f"transfer-encoding: chunked\r\n{headers}\r\n"
    ).encode()


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


END = b"0\r\n\r\n"


class Script:
    """A policy whose answers are attributes, and that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.raises: set[str] = set()
        self.max_request_bytes = 1000
        self.verdicts: Callable[[Attempt], Verdict] = default_verdict
        self.peeks: list[Verdict | None] = []
        self.delays: list[float | None] = []
        self.early = False
        self.stream: Callable[[bytes], Iterable[bytes] | bytes] = lambda data: (
            [data] if data else []
        )

    def _note(self, what: str, detail: object = "") -> None:
        self.asked.append(f"{what} {detail}".strip())
        if what in self.raises:
            raise RuntimeError(f"planted in {what}")

    def authorize(self, attempt: Attempt) -> http.Request:
        self._note("authorize", attempt.number)
        request = attempt.request.copy()
        request.headers["authorization"] = f"Bearer key-{attempt.number}"
        return request

    def verdict(self, attempt: Attempt) -> Verdict:
        self._note("verdict", attempt.response.status_code if attempt.response else None)
        return self.verdicts(attempt)

    def peek(self, attempt: Attempt, data: bytes, ended: bool) -> Verdict | None:
        self._note("peek", (data, ended))
        return self.peeks.pop(0)

    def commit(self, attempt: Attempt) -> None:
        self._note("commit", attempt.number)
        response = attempt.flow.response
        assert response is not None
        response.headers["x-attempt"] = str(attempt.number)
        upstream = attempt.response
        if upstream is not None and "event-stream" in upstream.headers.get("content-type", ""):
            response.stream = self.stream

    def retry_delay(self, attempt: Attempt) -> float | None:
        self._note("retry_delay", f"{attempt.number} {attempt.cause}")
        return self.delays.pop(0) if self.delays else None

    def give_up(self, attempt: Attempt) -> http.Response:
        self._note("give_up", f"{attempt.number} {attempt.cause}")
        return http.Response.make(502, f"gave up: {attempt.cause}")

    def stream_broken(self, flow: http.HTTPFlow, cause: Cause, message: str) -> list[bytes]:
        self._note("stream_broken", cause)
        return [b"event: error\n\n", b""]

    def unary_broken(self, flow: http.HTTPFlow, cause: Cause, message: str) -> http.Response:
        self._note("unary_broken", cause)
        return http.Response.make(502, f"broken: {cause}")

    def ping(self, attempt: Attempt) -> bytes:
        self._note("ping")
        return b": ping\n\n"

    def early_start(self, attempt: Attempt) -> http.Response | None:
        self._note("early_start", attempt.number)
        if not self.early:
            return None
        return http.Response.make(200, b"", {"content-type": "text/event-stream"})

    def protocol_error(
        self, flow: http.HTTPFlow, status: int, message: str
    ) -> http.Response | None:
        self._note("protocol_error", status)
        return http.Response.make(status, f"shaped: {message}")

    def internal_error(self, flow: http.HTTPFlow) -> http.Response:
        self._note("internal_error")
        return http.Response.make(500, "our 500")

    def client_gone(self, flow: http.HTTPFlow) -> None:
        self._note("client_gone")

    def settled(self, flow: http.HTTPFlow) -> None:
        self._note("settled")


def default_verdict(attempt: Attempt) -> Verdict:
    """Statuses from 400 fail."""
    assert attempt.response is not None
    return Verdict.FAIL if attempt.response.status_code >= 400 else Verdict.COMMIT


@dataclass
class Dialogue:
    """See the module docstring."""

    policy: Script = field(default_factory=Script)
    on_hook: Callable[[str, object], None] = lambda name, data: None
    on_attempt: Callable[[Attempt], None] = lambda attempt: None
    connects: list[str | None] = field(default_factory=list)
    held_hooks: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    now: float = 1000.0
    at_once: ClassVar[bool] = False
    """Whether hooks run where they arise, as they do when nobody in them waits."""

    def __post_init__(self) -> None:
        self.engine = Engine(self.policy, clock=lambda: self.now)
        if self.at_once:
            self.engine.begin_hook = self._begin
        self.connection = Client(
            peername=("127.0.0.1", 1),
            sockname=("127.0.0.1", 2),
            timestamp_start=time.time(),
            state=ConnectionState.OPEN,
            proxy_mode=mode_specs.ProxyMode.parse("reverse:http://127.0.0.1:1"),
        )
        ctx = context.Context(self.connection, _options())
        ctx.server.address = ("127.0.0.1", 1)
        self.layer = self.engine.make_layer(ctx)
        self.sent_to_client = b""
        self.sent: list[bytes] = []
        self.opened: list[Server] = []
        self.attempts: list[Attempt] = []
        self.flows: list[http.HTTPFlow] = []
        self.pumps: list[LocalStream] = []
        self._held: list[commands.StartHook] = []
        self._opening: dict[Connection, commands.OpenConnection] = {}
        self._timers: list[tuple[float, commands.RequestWakeup]] = []
        self._todo: list[events.Event] = []
        self._busy = False
        self.feed(events.Start())

    # --- what the test does

    def client(self, data: bytes) -> None:
        """The client sends bytes."""
        self.feed(events.DataReceived(self.connection, data))

    def client_leaves(self) -> None:
        """The client closes its connection."""
        self.connection.state = ConnectionState.CLOSED
        self.feed(events.ConnectionClosed(self.connection))

    def upstream(self, number: int, data: bytes) -> None:
        """Upstream connection `number` (from 1) sends bytes."""
        self.feed(events.DataReceived(self.opened[number - 1], data))

    def upstream_closes(self, number: int) -> None:
        """Upstream connection `number` is closed by its peer."""
        conn = self.opened[number - 1]
        conn.state &= ~ConnectionState.CAN_READ
        self.feed(events.ConnectionClosed(conn))

    def pass_time(self, seconds: float) -> None:
        """Move the clock in steps to each timer that becomes due."""
        end = self.now + seconds
        while due := sorted((t for t in self._timers if t[0] <= end), key=lambda t: t[0]):
            self._timers.remove(due[0])
            self.now = max(self.now, due[0][0])
            self.feed(events.Wakeup(due[0][1]))
        self.now = end

    def open_held(self, number: int, error: str | None = None) -> None:
        """Let a held connection open, or fail."""
        conn = self.opened[number - 1]
        self._connected(self._opening.pop(conn), error)

    def release_hooks(self) -> None:
        """Let the held hooks return."""
        self.held_hooks.clear()
        while self._held:
            self.feed(events.HookCompleted(self._held.pop(0)))

    # --- what the test sees

    @property
    def client_text(self) -> bytes:
        """All that the client has got."""
        return self.sent_to_client

    def clear(self) -> None:
        """Forget the lines so far."""
        self.lines.clear()
        self.policy.asked.clear()

    def nothing_left(self) -> bool:
        """Whether no request is left in the layer, and each has settled."""
        return not self.layer.streams

    # --- the driver

    def feed(self, event: events.Event) -> None:
        self._todo.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._todo:
                for command in self.layer.handle_event(self._todo.pop(0)):
                    self._do(command)
        finally:
            self._busy = False

    def _do(self, command: commands.Command) -> None:
        if isinstance(command, commands.OpenConnection):
            self._open(command)
        elif isinstance(command, commands.SendData):
            self._sent(command)
        elif isinstance(command, commands.CloseConnection):
            self._close(command.connection)
        elif isinstance(command, commands.StartHook):
            self._hook(command)
        elif isinstance(command, commands.RequestWakeup):
            self._timers.append((self.now + command.delay, command))

    def _open(self, command: commands.OpenConnection) -> None:
        conn = command.connection
        self.opened.append(conn)
        self.sent.append(b"")
        assert conn.address is not None
        self.lines.append(f"open {len(self.opened)} {conn.address[0]}:{conn.address[1]}")
        outcome = self.connects.pop(0) if self.connects else None
        if outcome == HELD:
            self._opening[conn] = command
        else:
            self._connected(command, outcome)

    def _connected(self, command: commands.OpenConnection, error: str | None) -> None:
        conn = command.connection
        conn.timestamp_start = time.time()
        if error is None:
            conn.state = ConnectionState.OPEN
            conn.timestamp_tcp_setup = time.time()
        else:
            conn.error = error
        self.feed(events.OpenConnectionCompleted(command, error))

    def _sent(self, command: commands.SendData) -> None:
        if command.connection is self.connection:
            self.sent_to_client += command.data
            return
        number = self.opened.index(command.connection)
        if command.data.startswith((b"POST", b"GET")):
            self.lines.append(f"request to {number + 1}")
        self.sent[number] += command.data

    def _close(self, conn: Connection) -> None:
        if conn.state is ConnectionState.CLOSED and conn not in self._opening:
            return
        conn.state = ConnectionState.CLOSED
        if conn is self.connection:
            self.lines.append("close client")
            return
        self.lines.append(f"close {self.opened.index(conn) + 1}")
        if (opening := self._opening.pop(conn, None)) is not None:
            self._todo.append(events.OpenConnectionCompleted(opening, "connection cancelled"))
        else:
            self._todo.append(events.ConnectionClosed(conn))

    def _begin(self, hook: commands.StartHook) -> bool:
        if hook.name in self.held_hooks:
            return False
        self._run(hook)
        return True

    def _hook(self, hook: commands.StartHook) -> None:
        self._run(hook)
        if hook.name in self.held_hooks:
            self._held.append(hook)
        elif hook.blocking:
            self._todo.append(events.HookCompleted(hook))

    def _run(self, hook: commands.StartHook) -> None:
        (data,) = hook.args()
        self.lines.append(f"hook {hook.name}")
        if isinstance(hook, LlmgateLocalStreamHook):
            self.pumps.append(data)
            return
        if isinstance(data, Attempt) and hook.name == "llm_attempt":
            self.attempts.append(data)
            data.request.url = f"http://10.0.0.{data.number}/v1/x"
            data.connect_timeout_s = 5
            self.on_attempt(data)
        elif isinstance(data, http.HTTPFlow) and data not in self.flows:
            self.flows.append(data)
        self.on_hook(hook.name, data)


@functools.cache
def _options() -> options.Options:
    before = list(logging.root.handlers)
    with taddons.context(proxyserver.Proxyserver()) as tctx:
        found: options.Options = tctx.options
    # mitmproxy's handler would go on to log into the loop of a context that is over.
    logging.root.handlers = before
    return found


def body(raw: bytes) -> bytes:
    """What follows the head of a message."""
    return raw.partition(b"\r\n\r\n")[2]


def peeking(*verdicts: Verdict | None) -> Script:
    """A policy that looks into every answer, and what it then says."""
    policy = Script()
    policy.verdicts = lambda attempt: Verdict.PEEK
    policy.peeks = list(verdicts)
    return policy
