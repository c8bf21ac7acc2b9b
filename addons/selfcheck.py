"""Does the installed mitmproxy fit the engine? Names and signatures first, then a rehearsal without sockets.

The engine leans on internals that mitmproxy may change in any release. `self_check` runs at start, takes a few
milliseconds, and raises one sentence that an operator can act on.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any, Final

from mitmproxy import http, options, version
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.proxy import commands, context, events, mode_specs

from addons import internals
from addons.contract import Attempt, Cause, EnginePolicy, LlmAttemptHook, Verdict
from addons.internals import SIGNATURES, HttpLayer

KNOWN_MAJOR: Final = 12


class IncompatibleMitmproxy(Exception):
    """The installed mitmproxy is not one that the engine was made for."""


type MakeLayer = Callable[[EnginePolicy, context.Context], HttpLayer]


def self_check(opts: options.Options, make_layer: MakeLayer) -> None:
    """Raise IncompatibleMitmproxy unless the layers that `make_layer` builds work on this mitmproxy."""
    problem = _wrong_version() or _wrong_signature() or _rehearsal_problem(opts, make_layer)
    if problem is not None:
        raise IncompatibleMitmproxy(
            f"llmgate cannot run on mitmproxy {version.VERSION}: {problem}. "
            f"Install a version that it knows: pip install 'mitmproxy>=12,<13'"
        )


def _wrong_version() -> str | None:
    major = version.VERSION.partition(".")[0]
    return None if major == str(KNOWN_MAJOR) else f"it knows {KNOWN_MAJOR}.x"


def _wrong_signature() -> str | None:
    for name, expected in SIGNATURES.items():
        class_name, _, method = name.partition(".")
        function = getattr(getattr(internals, class_name), method, None)
        if function is None:
            return f"{name} is gone"
        found = _signature(function)
        if found != expected:
            return f"{name} takes {found} instead of {expected}"
    return None


def _signature(function: Callable[..., Any]) -> str:
    parts: list[str] = []
    for name, parameter in inspect.signature(inspect.unwrap(function)).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        parts.append(name)
    return f"({', '.join(parts)})"


def _rehearsal_problem(opts: options.Options, make_layer: MakeLayer) -> str | None:
    try:
        return Rehearsal(opts, make_layer).run()
    except Exception as error:  # noqa: BLE001 - whatever an unknown mitmproxy raises is the finding
        return f"the rehearsal raised {type(error).__name__}: {error}"


class RehearsalPolicy:
    """A policy that fails over on 429 and does nothing else."""

    max_request_bytes = 1000

    def __init__(self) -> None:
        self.settled_flows = 0

    def authorize(self, attempt: Attempt) -> http.Request:
        """See EnginePolicy."""
        return attempt.request

    def verdict(self, attempt: Attempt) -> Verdict:
        """See EnginePolicy."""
        failed = attempt.response is not None and attempt.response.status_code == 429
        return Verdict.FAIL if failed else Verdict.COMMIT

    def peek(self, attempt: Attempt, data: bytes, ended: bool) -> Verdict | None:
        """See EnginePolicy."""
        return Verdict.COMMIT

    def commit(self, attempt: Attempt) -> None:
        """See EnginePolicy."""

    def retry_delay(self, attempt: Attempt) -> float | None:
        """See EnginePolicy."""
        return 0.0

    def give_up(self, attempt: Attempt) -> http.Response:
        """See EnginePolicy."""
        return http.Response.make(502)

    def stream_broken(self, flow: http.HTTPFlow, cause: Cause, message: str) -> list[bytes]:
        """See EnginePolicy."""
        return []

    def unary_broken(self, flow: http.HTTPFlow, cause: Cause, message: str) -> http.Response:
        """See EnginePolicy."""
        return http.Response.make(502)

    def ping(self, attempt: Attempt) -> bytes:
        """See EnginePolicy."""
        return b""

    def early_start(self, attempt: Attempt) -> http.Response | None:
        """See EnginePolicy."""
        return None

    def protocol_error(
        self, flow: http.HTTPFlow, status: int, message: str
    ) -> http.Response | None:
        """See EnginePolicy."""
        return None

    def internal_error(self, flow: http.HTTPFlow) -> http.Response:
        """See EnginePolicy."""
        return http.Response.make(500)

    def client_gone(self, flow: http.HTTPFlow) -> None:
        """See EnginePolicy."""

    def settled(self, flow: http.HTTPFlow) -> None:
        """See EnginePolicy."""
        self.settled_flows += 1


class Rehearsal:
    """One request that fails over once, driven through the real layers by hand."""

    REQUEST: Final = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}"
    REPLIES: Final = (
        b"HTTP/1.1 429 Slow Down\r\ncontent-length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    )
    HOOKS: Final = (
        "requestheaders request llm_attempt llm_attempt_failed llm_attempt responseheaders response"
    )
    MAX_STEPS: Final = 100

    def __init__(self, opts: options.Options, make_layer: MakeLayer) -> None:
        self.policy = RehearsalPolicy()
        self.client = _client()
        ctx = context.Context(self.client, opts)
        ctx.server.address = ("127.0.0.1", 1)
        self.layer = make_layer(self.policy, ctx)
        self.hooks: list[str] = []
        self.opened: list[Server] = []
        self.sent: dict[object, bytes] = {self.client: b""}
        self.todo: list[events.Event] = [
            events.Start(),
            events.DataReceived(self.client, self.REQUEST),
        ]

    def run(self) -> str | None:
        """Play it; None = all went as it should, else what did not."""
        for _ in range(self.MAX_STEPS):
            if not self.todo:
                break
            for command in self.layer.handle_event(self.todo.pop(0)):
                self._do(command)
        answer = self.sent[self.client]
        if " ".join(self.hooks) != self.HOOKS:
            return f"a failover ran the hooks {self.hooks}"
        if not (answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"ok")):
            return f"after a failover the client got {answer!r}"
        if [conn.address for conn in self.opened] != [("10.0.0.1", 80), ("10.0.0.2", 80)]:
            return "a failover connected to the wrong upstreams"
        if self.layer.streams or self.policy.settled_flows != 1:
            return "a finished request left something behind"
        return None

    def _do(self, command: commands.Command) -> None:
        if isinstance(command, commands.OpenConnection):
            conn = command.connection
            conn.state = ConnectionState.OPEN
            conn.timestamp_start = time.time()
            self.sent[conn] = b""
            self.opened.append(conn)
            self.todo.append(events.OpenConnectionCompleted(command, None))
        elif isinstance(command, commands.SendData):
            self.sent[command.connection] += command.data
            if command.connection in self.opened and command.data.endswith(b"{}"):
                reply = self.REPLIES[len(self.opened) - 1]
                self.todo.append(events.DataReceived(command.connection, reply))
        elif isinstance(command, commands.StartHook):
            self._run_hook(command)

    def _run_hook(self, hook: commands.StartHook) -> None:
        self.hooks.append(hook.name)
        if isinstance(hook, LlmAttemptHook):
            hook.data.request.url = f"http://10.0.0.{hook.data.number}/x"
        if hook.blocking:
            self.todo.append(events.HookCompleted(hook))


def _client() -> Client:
    return Client(
        peername=("127.0.0.1", 1),
        sockname=("127.0.0.1", 2),
        timestamp_start=time.time(),
        state=ConnectionState.OPEN,
        proxy_mode=mode_specs.ProxyMode.parse("reverse:http://127.0.0.1:1"),
    )
