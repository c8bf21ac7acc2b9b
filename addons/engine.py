"""The engine's addon: installs the gateway's HTTP layer, and does what that needs from outside the layers.

mitmproxy cannot send a request again once response headers have come, cannot end a cut stream with bytes of ours,
cannot ping a silent one, and cannot stream a local answer. The engine can:

    contract.py        Attempt, EnginePolicy and the hooks: what the engine and the addons say to each other
    phases.py          the picture of a request's life
    machine.py         the same in code: one request
    client_side.py     its half that faces the client
    gateway_layer.py   one client connection: upstream connections, stream ids, the timer
    framing.py         which headers travel, and how bodies are framed
    local_socket.py    a WebSocket that ends here
    turns.py           its turns: requests without an HTTP client
    internals.py       every mitmproxy internal that is touched, in one place
    selfcheck.py       refuses a mitmproxy that the engine does not know
"""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from mitmproxy import ctx, exceptions, http
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Client, Server
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, events, layer, server_hooks
from mitmproxy.proxy.context import Context
from mitmproxy.tls import ClientHelloData

from addons import farewell, local_socket
from addons.contract import (
    Attempt,
    Cause,
    EnginePolicy,
    LlmAttemptFailedHook,
    LlmAttemptHook,
    Verdict,
    Via,
)
from addons.gateway_layer import GatewayLayer
from addons.internals import ClientTLSLayer, ReverseProxy, handler_of
from addons.local_socket import LocalSocket, Session
from addons.phases import ClientGone, Connect, Inject, LocalStream, Stopping
from addons.selfcheck import IncompatibleMitmproxy, self_check

if TYPE_CHECKING:
    from addons.machine import GatewayStream
    from addons.pool import Pool
    from addons.shortcut import Lane

__all__ = [
    "Attempt",
    "Cause",
    "Engine",
    "EnginePolicy",
    "LlmAttemptFailedHook",
    "LlmAttemptHook",
    "Verdict",
    "Via",
]

log = logging.getLogger(__name__)

MAX_UPSTREAM_CONNECTIONS: Final = 1000
"""Per address and client connection; mitmproxy's own 5 would queue parallel HTTP/2 streams."""


class Engine:
    """Attempts, timers, pings and local streams, for a policy that decides."""

    def __init__(
        self, policy: EnginePolicy, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.policy = policy
        self.clock = clock
        self.failed_flows: WeakSet[http.HTTPFlow] = WeakSet()
        """Flows of which some addon's hook raised; mitmproxy itself would carry on with them."""
        self.layers: WeakValueDictionary[str, GatewayLayer] = WeakValueDictionary()
        """By the id of the client connection."""
        self.pool: Pool | None = None
        self.join_chunks: Callable[[layer.Layer | None], None] = lambda top: None
        """Have an upstream's chunked body come in larger pieces. What `JoinChunks` offers."""
        self.shorten: Callable[[GatewayStream], Lane | None] = lambda stream: None
        """The short way of a running stream's pieces. What `Shortcut` offers."""
        self.begin_hook: Callable[[commands.StartHook], bool] = lambda hook: False
        """Run a hook at once; False = mitmproxy has to run it, or its rest. What `Dispatch` offers."""
        self._used: WeakSet[Server] = WeakSet()
        self._local_sources: WeakKeyDictionary[http.HTTPFlow, AsyncIterator[bytes]] = (
            WeakKeyDictionary()
        )
        self._pumps: set[LocalStream] = set()
        self._sockets: WeakKeyDictionary[http.HTTPFlow, LocalSocket] = WeakKeyDictionary()
        self._refused: str | None = None
        self._manager: Any = None

    # --- for addons

    def stream_local(self, flow: http.HTTPFlow, source: AsyncIterator[bytes]) -> None:
        """Stream the body of `flow.response`, which must be set, from `source` instead of sending its content.

        The source is read no faster than the client takes it, and closed when the client leaves.
        """
        self._local_sources[flow] = source

    def accept_socket(
        self,
        flow: http.HTTPFlow,
        session: Session,
        *,
        max_message_bytes: int = local_socket.MAX_MESSAGE_BYTES,
        tick_s: float = local_socket.TICK_S,
    ) -> None:
        """Answer a WebSocket upgrade here, in a `request` hook, for `session`; ValueError if it is none."""
        self._sockets[flow] = local_socket.accept(
            flow, session, max_message_bytes=max_message_bytes, tick_s=tick_s
        )

    def note_failed_hook(self, args: list[Any]) -> None:
        """Some addon raised in a hook with these arguments: its flow must not go on as if nothing had happened."""
        subject = args[0] if args else None
        if isinstance(subject, Attempt):
            subject = subject.flow
        if isinstance(subject, http.HTTPFlow):
            self.failed_flows.add(subject)

    async def end_answers(self) -> None:
        """End every answer that an upstream is still giving: the gateway stops."""
        for gateway_layer in list(self.layers.values()):
            if (handler := handler_of(gateway_layer.context.client)) is not None:
                await handler.server_event(Stopping())
                await handler.drain_writers()

    # --- for the layers

    def take_local_source(self, flow: http.HTTPFlow) -> AsyncIterator[bytes] | None:
        """The source that `stream_local` set, once."""
        return self._local_sources.pop(flow, None)

    def take_socket(self, flow: http.HTTPFlow) -> LocalSocket | None:
        """The socket that `accept_socket` accepted, once."""
        return self._sockets.pop(flow, None)

    def mark_used(self, conn: Server) -> bool:
        """Note that a request goes out on a connection; True if it is not the first."""
        reused = conn in self._used
        self._used.add(conn)
        return reused

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

    def error_page(self, flow: http.HTTPFlow, status: int, message: str) -> http.Response:
        """What the client hears in place of mitmproxy's HTML page."""
        response = self.quietly(lambda policy: policy.protocol_error(flow, status, message))
        return response or http.Response.make(status, message, {"content-type": "text/plain"})

    def make_layer(self, context: Context) -> GatewayLayer:
        """The HTTP layer of one client connection."""
        made = self.layers[context.client.id] = GatewayLayer(context, self)
        return made

    def borrow(self, gateway_layer: GatewayLayer, want: Connect) -> Server | None:
        """An idle upstream connection of another client, if the pool has one."""
        return None if self.pool is None else self.pool.lend(gateway_layer, want)

    # --- hooks

    def load(self, loader: Loader) -> None:
        """Refuse an unknown mitmproxy, and watch for hooks that raise.

        An error in the log at start makes mitmproxy exit. Raising here would only keep us from being loaded, and the
        requests would go by.
        """
        try:
            self_check(loader.master.options, self.rehearsal)
        except IncompatibleMitmproxy as error:
            self._refused = str(error)
            log.error("%s", error)
        self._watch_hooks(loader.master.addons)

    @staticmethod
    def rehearsal(policy: EnginePolicy, context: Context) -> GatewayLayer:
        """The layers that the self-check drives."""
        return Engine(policy).make_layer(context)

    def _watch_hooks(self, manager: Any) -> None:
        original = manager.invoke_addon
        self._manager = manager

        async def invoke_addon(addon: object, event: Any) -> None:
            try:
                await original(addon, event)
            except exceptions.AddonHalt:
                raise
            except Exception:
                self.note_failed_hook(event.args())
                raise

        manager.invoke_addon = invoke_addon

    def configure(self, updated: set[str]) -> None:
        """Refuse options that the engine cannot work with."""
        if "stream_large_bodies" in updated and ctx.options.stream_large_bodies:
            raise exceptions.OptionsError("llmgate cannot work with stream_large_bodies; unset it")

    def running(self) -> None:
        """Force the settings that the engine needs."""
        if absent := farewell.missing():
            log.warning("a GOAWAY cuts an upstream's answers: there is no %s", ", ".join(absent))
        if ctx.options.connection_strategy != "lazy":
            log.info("connection_strategy is now lazy: the upstream is chosen per request")
            ctx.options.connection_strategy = "lazy"

    def done(self) -> None:
        """Stop what still streams, and give mitmproxy its own method back."""
        for pump in self._pumps:
            pump.cancel()
        if self._manager is not None:
            self._manager.__dict__.pop("invoke_addon", None)

    def client_connected(self, client: Client) -> None:
        """Lift mitmproxy's cap of 5 upstream connections per address and client."""
        if (handler := handler_of(client)) is not None:
            handler.max_conns = collections.defaultdict(
                lambda: asyncio.Semaphore(MAX_UPSTREAM_CONNECTIONS)
            )

    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Close an upstream's socket when its task ends, however that ends.

        mitmproxy forgets the socket if the task is cancelled twice: once by a command, once because the client left.
        """
        handler = handler_of(data.client)
        io = handler.transports.get(data.server) if handler is not None else None
        if io is not None and io.handler is not None:
            io.handler.add_done_callback(lambda _task: io.writer.close())

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        """Add the credentials of an egress proxy to the CONNECT that goes to it."""
        gateway_layer = self.layers.get(flow.client_conn.id)
        via = gateway_layer.via_of(flow.server_conn) if gateway_layer is not None else None
        if isinstance(via, Via) and via.auth:
            credentials = base64.b64encode(via.auth.encode()).decode()
            flow.request.headers["proxy-authorization"] = f"Basic {credentials}"

    async def client_disconnected(self, client: Client) -> None:
        """End what the client left behind, should its own event have been lost in the same way."""
        handler = handler_of(client)
        gateway_layer = self.layers.get(client.id)
        if handler is None or gateway_layer is None:
            return
        if gateway_layer.streams:
            await handler.server_event(ClientGone())
        if (io := handler.transports.get(client)) is not None:
            io.writer.close()
        if (serving := asyncio.current_task()) is not None:
            serving.add_done_callback(lambda _task: self._forget(client.id))

    def _forget(self, client_id: str) -> None:
        """Nothing will happen to the layers of a client any more: its upstreams are closed, too."""
        if (gateway_layer := self.layers.pop(client_id, None)) is not None:
            gateway_layer.dissolve()

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

    def tls_clienthello(self, data: ClientHelloData) -> None:
        """Prefer HTTP/2: mitmproxy follows the client's order, and some clients list HTTP/1.1 first."""
        if ctx.options.http2 and b"h2" in data.client_hello.alpn_protocols:
            data.context.client.alpn = b"h2"

    async def llmgate_local_stream(self, local: LocalStream) -> None:
        """Pump a local answer into its stream, as fast as the client takes it."""
        local.task = asyncio.current_task()
        self._pumps.add(local)
        try:
            await self._pump(local)
        except asyncio.CancelledError:
            if not local.cancelled:
                raise
        finally:
            self._pumps.discard(local)
            if (aclose := getattr(local.source, "aclose", None)) is not None:
                with contextlib.suppress(Exception):
                    await aclose()

    async def _pump(self, local: LocalStream) -> None:
        handler = handler_of(local.stream.context.client)
        if handler is None or local.cancelled:
            return
        try:
            async for data in local.source:
                if data:
                    await handler.server_event(Inject(local.stream, data))
                    await handler.drain_writers()
        except Exception:
            log.exception("a local stream failed")
        await handler.server_event(Inject(local.stream, b""))


class Refusal(layer.Layer):
    """Close a client's connection: llmgate does not run on this mitmproxy, and nothing may pass it by."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)
