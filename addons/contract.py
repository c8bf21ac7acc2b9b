"""What the engine and the addons say to each other: attempts, their outcomes, and the questions of policy.

The engine moves bytes and keeps time; everything that is a decision is asked of an `EnginePolicy`, which our addons
implement. All its methods are synchronous and cheap, for they run inside the proxy's state machine; what needs to
wait (credentials, media) belongs in the `llm_attempt` hook, which may be `async def`. Import these names from
`addons.engine`.
"""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from mitmproxy.proxy.commands import StartHook

if TYPE_CHECKING:
    from mitmproxy import http
    from mitmproxy.connection import Server
    from mitmproxy.net.server_spec import ServerSpec


class Cause(enum.StrEnum):
    """Why an attempt, or a stream that had begun, ended badly."""

    CONNECT = "connect"
    """Refused, unreachable, reset, or an egress proxy that said no."""
    DNS = "dns"
    TLS = "tls"
    CONNECT_TIMEOUT = "connect_timeout"
    """TCP, proxy and TLS handshakes together took too long."""
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    """No headers, or with PEEK no first event, in time."""
    IDLE_TIMEOUT = "idle_timeout"
    """A committed answer stood still."""
    TOTAL_TIMEOUT = "total_timeout"
    PROTOCOL = "protocol"
    """The upstream closed before it answered, or what it said was not HTTP."""
    STATUS = "status"
    """`verdict` said FAIL on the response headers."""
    FIRST_EVENT = "first_event"
    """`peek` said FAIL on what came after them."""
    CUT = "cut"
    """A committed answer broke off."""
    TOO_LARGE = "too_large"
    """A buffered answer outgrew `Attempt.max_body_bytes`."""
    STOPPING = "stopping"
    """The gateway stops, and the answer took too long to wait for."""
    REFUSED = "refused"
    """A `llm_attempt` hook gave an answer instead, to a client that has the head of a stream already."""
    INTERNAL = "internal"
    """A bug of ours or of a user's script."""


class Verdict(enum.Enum):
    """What to do with an answer of which the client has seen nothing yet."""

    COMMIT = "commit"
    """This is the answer. From here on there is no failover."""
    FAIL = "fail"
    """Read the error body (bounded), then `llm_attempt_failed` and `retry_delay`."""
    PEEK = "peek"
    """Hold the headers and ask `peek` about the body."""
    GO_ON = "go_on"
    """At the end of a body: a good answer, kept by the policy, that another attempt has to complete."""


class Via(tuple[Any, Any]):
    """An egress proxy with credentials: a `ServerSpec` that is equal only to one with the same credentials.

    Connections are matched by it, so that two keys with users of their own at one proxy never share a connection.
    """

    auth: str
    """`user:password`, sent as Basic credentials in CONNECT and nowhere else."""

    def __new__(cls, scheme: str, host: str, port: int, auth: str = "") -> Self:
        """`scheme` is http or https."""
        made = super().__new__(cls, (scheme, (host, port)))
        made.auth = auth
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple) or tuple(self) != tuple(other):
            return False
        return getattr(other, "auth", "") == self.auth

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((*self, self.auth))


@dataclass(slots=True, eq=False, kw_only=True, weakref_slot=True)
class Attempt:
    """One upstream try.

    `llm_attempt` hooks fill the first two groups; the engine fills the outcome. Durations are seconds, None = no
    limit. The client's own `flow.request` is never touched by an attempt.
    """

    flow: http.HTTPFlow
    number: int
    """From 1. A stale keep-alive connection tried afresh is the same attempt."""

    # where to and what: set by llm_attempt
    request: http.Request
    """A copy of the client's request to edit; `request.url = ...` sets host, port, scheme, path and Host header."""
    via: ServerSpec | None = None
    """Egress proxy: `("http", (host, port))`, `("https", (host, port))`, or a `Via` that has credentials."""
    http2: bool = False
    """Offer HTTP/2 to a TLS upstream."""
    ca_file: Path | None = None
    """CA certificates to trust there, beside the usual ones."""
    data: object = None
    """For whoever prepares attempts; the engine never looks."""

    # limits: set by llm_attempt
    connect_timeout_s: float | None = 10.0
    first_byte_timeout_s: float | None = 300.0
    """From the request's last byte to the response headers; with PEEK, to the first good event."""
    idle_timeout_s: float | None = 300.0
    """Between two pieces of the upstream's body."""
    total_timeout_s: float | None = None
    """From the attempt's start to the end of its answer."""
    ping_interval_s: float | None = None
    """After this long without a byte to the client of a streamed answer, `ping` is asked for one."""
    early_start_s: float | None = None
    """After this long since the first attempt began, `early_start` may promise the client its stream."""
    max_body_bytes: int = 64 * 1024 * 1024
    """Of an answer that is buffered, not streamed."""
    max_error_bytes: int = 64 * 1024
    max_peek_bytes: int = 1024 * 1024
    """If `peek` has not decided by then, the attempt fails as TOO_LARGE."""
    error_body_timeout_s: float = 5.0

    # outcome: set by the engine
    cause: Cause | None = None
    """None while it lasts, and when it was committed and ended well."""
    error: str = ""
    """One line for operators; no secret, but host names."""
    response: http.Response | None = None
    """What the upstream answered. A failed attempt has its (bounded) body as content."""
    server_conn: Server | None = None
    reused: bool = False
    """Sent on a connection that had served a request before."""
    committed: bool = False
    started_s: float = 0.0
    """Monotonic, by the engine's clock; `ended_s` too."""
    ended_s: float | None = None
    started_at: float = field(default_factory=time.time)
    """Unix time, for people."""
    finished: bool = field(default=False, init=False)
    paused: bool = field(default=False, init=False)

    def finish_now(self) -> None:
        """Say from inside the stream callable that the client's answer is complete.

        The engine closes the upstream at once, calls the stream callable with b"" as at any end, and ends the
        client's response properly.
        """
        self.finished = True

    def go_on_later(self) -> None:
        """Say from inside the stream callable that this upstream's part of the client's stream is over.

        At its end another attempt begins; the client's stream stays open, and `commit` may set another callable.
        """
        self.paused = True

    @property
    def duration_s(self) -> float | None:
        """How long it took, None while it lasts."""
        return None if self.ended_s is None else self.ended_s - self.started_s


@dataclass
class LlmAttemptHook(StartHook):
    """About to try an upstream: edit `attempt.request`. Setting `attempt.flow.response` answers instead."""

    data: Attempt


@dataclass
class LlmAttemptFailedHook(StartHook):
    """A try failed before the client saw a byte. Setting `attempt.flow.response` ends the tries with that answer."""

    data: Attempt


class EnginePolicy(Protocol):
    """What the engine asks. An exception in any method becomes `internal_error`, and nothing goes upstream.

    In the order of a request's life:

        llm_attempt hooks -> [connect] -> authorize -> [send] -> verdict -> (peek)* -> commit -> ... -> settled
                    ^                                     |         |
                    '-- retry_delay <- llm_attempt_failed hooks ----'     retry_delay None -> give_up

    An answer may take several attempts that go well: `peek` says GO_ON, or the stream callable `go_on_later`; then the
    next `llm_attempt` follows at once.
    """

    @property
    def max_request_bytes(self) -> int:
        """Larger request bodies are refused with 413 through `protocol_error`."""
        ...

    def authorize(self, attempt: Attempt) -> http.Request:
        """Return the request to send: `attempt.request.copy()` with the credential added.

        Asked after all hooks and once connected, so that no script, flow file or record sees the credential. It
        may not change host, port or scheme.
        """
        ...

    def verdict(self, attempt: Attempt) -> Verdict:
        """Judge the response headers (`attempt.response`)."""
        ...

    def peek(self, attempt: Attempt, data: bytes, ended: bool) -> Verdict | None:
        """Judge the next piece of a held body; None = need more. `ended` = nothing follows `data`: GO_ON is allowed.

        After COMMIT the stream callable gets all held pieces again, from the first byte.
        """
        ...

    def commit(self, attempt: Attempt) -> None:
        """Take the answer; called before the client sees headers, and again for each attempt that goes on with a stream.

        Set `attempt.flow.response.stream` to a callable to stream, leave it to buffer. The callable gets each piece
        and once b"" at a proper end. Response headers may be changed; framing headers are the engine's business. If
        the stream was promised by `early_start` its headers are gone; an answer that is buffered then is sent in one
        piece behind them, as the `response` hook left it.
        """
        ...

    def retry_delay(self, attempt: Attempt) -> float | None:
        """After a failed attempt and its hooks: None = give up, 0 = try again now, else wait so many seconds."""
        ...

    def give_up(self, attempt: Attempt) -> http.Response:
        """The client's answer after the last failed attempt."""
        ...

    def stream_broken(self, flow: http.HTTPFlow, cause: Cause, message: str) -> list[bytes]:
        """The bytes that end a client's stream in its protocol's error, whatever it has seen so far.

        Also asked, in place of `give_up`, when all attempts failed after `early_start`.
        """
        ...

    def unary_broken(self, flow: http.HTTPFlow, cause: Cause, message: str) -> http.Response:
        """The answer in place of a committed, buffered one that broke; the client has seen nothing."""
        ...

    def ping(self, attempt: Attempt) -> bytes:
        """A heartbeat for the client of a streamed answer, b"" when none is safe now."""
        ...

    def early_start(self, attempt: Attempt) -> http.Response | None:
        """Promise a waiting client its stream: the headers to send now, None to go on waiting.

        From then on pings flow; attempts go on, but a final failure ends in `stream_broken`.
        """
        ...

    def protocol_error(
        self, flow: http.HTTPFlow, status: int, message: str
    ) -> http.Response | None:
        """An answer in place of mitmproxy's own HTML error page (413, 400, 502); None keeps the page."""
        ...

    def internal_error(self, flow: http.HTTPFlow) -> http.Response:
        """The 500 in the client's protocol after an exception in a policy method or hook."""
        ...

    def client_gone(self, flow: http.HTTPFlow) -> None:
        """The client left; a hook of this flow may still be running. Comes at once, at most once, before `settled`."""
        ...

    def settled(self, flow: http.HTTPFlow) -> None:
        """The request is over: exactly once, however it ended, after its `response` or `error` hook."""
        ...
