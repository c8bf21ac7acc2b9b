"""The phases of a request, and the small things that its machine, its layer and the addon pass to each other.

    phase        waits for                good news            upstream breaks       deadline
    READING      request, its hooks       CONNECTING           -                     -
    CONNECTING   hooks, TCP, TLS          WAITING              BETWEEN               BETWEEN (by the layer)
    WAITING      response headers         PEEKING, FAILING,    BETWEEN; a stale      BETWEEN
                                          STREAMING, ...       connection: again
    PEEKING      first event              STREAMING, ...; with BETWEEN               BETWEEN
                                          GO_ON CONNECTING
    FAILING      body of an error         BETWEEN              BETWEEN               BETWEEN
    BETWEEN      failed hooks, back-off   CONNECTING; with     -                     CONNECTING
                                          give_up LEAVING
    STREAMING    more of the body         LEAVING; paused      stream_broken         stream_broken
                                          CONNECTING
    BUFFERING    more of the body         LEAVING              unary_broken          unary_broken
    LOCAL        pieces of our own        LEAVING              -                     -
    LEAVING      hooks of the answer      DONE, UPGRADED       -                     -
    LINGERING    rest of a refused body   DONE                 -                     DONE, connection closed
    UPGRADED     WebSocket frames         DONE                 -                     -

machine.py holds this picture in code. A client that leaves ends any phase at once.
"""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import commands, events

from addons import framing
from addons.contract import Cause
from addons.internals import GetHttpConnection
from addons.trust import trusted_by

if TYPE_CHECKING:
    from addons.client_side import ClientSide

NEVER: Final = math.inf
CLIENT_LEFT: Final = "client left"
CONNECT_TIMED_OUT: Final = "connect timeout"


class Phase(enum.Enum):
    """Where the answer to one request stands; see the picture above."""

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
    LINGERING = enum.auto()
    UPGRADED = enum.auto()
    DONE = enum.auto()


TRYING: Final = frozenset(
    {Phase.CONNECTING, Phase.WAITING, Phase.PEEKING, Phase.FAILING, Phase.BETWEEN}
)
"""Attempts go on; the client has been told nothing, or been promised a stream."""
UNANSWERED: Final = TRYING | {Phase.BUFFERING}
"""A client that was promised a stream has had nothing of it."""


@dataclass
class Tick(events.Event):
    """A deadline of a stream has passed."""


@dataclass
class Flush(events.Event):
    """What one read brought is complete: relay it."""


@dataclass
class ClientGone(events.Event):
    """The client's connection is closed, whether or not the layers have been told."""


@dataclass
class Stopping(events.Event):
    """The gateway stops, and has waited long enough: running answers end now."""


@dataclass
class Inject(events.Event):
    """A piece of a local answer (b"" = its end), pushed into a live stream from outside the layers."""

    stream: ClientSide
    data: bytes


@dataclass(eq=False, slots=True)
class LocalStream:
    """A local answer on its way to the client."""

    stream: ClientSide
    source: AsyncIterator[bytes]
    task: asyncio.Task[Any] | None = None
    cancelled: bool = False

    def cancel(self) -> None:
        """The client left: stop the pump, which closes the source."""
        self.cancelled = True
        if self.task is not None:
            self.task.cancel()


@dataclass
class LlmgateLocalStreamHook(commands.StartHook):
    """Internal: the engine's addon pumps a local answer into its stream."""

    data: LocalStream
    blocking = False


@dataclass
class Connect(GetHttpConnection):
    """Open or reuse an upstream connection for an attempt. `fresh` = not an idle one."""

    http2: bool = False
    fresh: bool = False
    ca_file: Path | None = None
    """Trusted beside the usual roots; only connections that trust the same are shared."""
    failed: Connection | None = None
    """Filled when it could not be opened."""

    __hash__ = GetHttpConnection.__hash__

    def connection_spec_matches(self, connection: Connection) -> bool:
        """As the base class does; what is trusted has to be the same, too."""
        matches: bool = super().connection_spec_matches(connection)
        return matches and trusted_by(connection) == self.ca_file

    def failure(self, error: str) -> Cause:
        """What kind of failure mitmproxy's text describes."""
        conn = self.failed
        if error == CONNECT_TIMED_OUT:
            return Cause.CONNECT_TIMEOUT
        if self.tls and isinstance(conn, Server):
            if conn.timestamp_tcp_setup is not None or (conn.via and conn.timestamp_start):
                return Cause.TLS
        return Cause.DNS if framing.DNS_FAILURE.search(error) else Cause.CONNECT


@dataclass(slots=True)
class Deadlines:
    """When what is due, by the engine's clock. The hot path writes `last_rx` and `last_tx` only."""

    phase: float = NEVER
    """This phase has lasted too long, or a back-off is over."""
    total: float = NEVER
    """The attempt has lasted too long."""
    early: float = NEVER
    """A waiting client may be promised its stream."""
    last_rx: float = 0.0
    """The last piece from the upstream."""
    last_tx: float = 0.0
    """The last piece to the client."""

    def clear(self) -> None:
        """Nothing is due any more."""
        self.phase = self.total = self.early = NEVER

    def next(self) -> float:
        """When the phase or the attempt is overdue."""
        return min(self.phase, self.total)


def present[T](value: T | None) -> T:
    """What a phase guarantees to be there."""
    if value is None:
        raise RuntimeError("the engine is in a phase that it cannot be in")
    return value


def or_never(seconds: float | None) -> float:
    """A duration, or the one that never ends."""
    return NEVER if seconds is None else seconds
