"""The engine inside a real mitmproxy master, against upstreams that fail in every way that real ones do."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from functools import wraps
from typing import Any

import pytest

from addons.dispatch import Dispatch
from addons.engine import Attempt, Cause, Engine, Verdict, Via
from addons.joinwrites import JoinWrites
from addons.pool import Pool
from tests.addons.live import (
    Behaviour,
    Client,
    Exchange,
    Gateway,
    H2Client,
    Reply,
    Steered,
    Upstream,
    ask,
    close_early,
    die_in_the_middle,
    error_first,
    eventually,
    gateway,
    good,
    h2_upstream,
    hang,
    sse,
    stall_in_the_middle,
    status,
)

REFUSED = "http://127.0.0.1:1/v1/x"


def in_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test to its end."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))  # type: ignore[arg-type]

    return run


EVENTS = b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


# --- a failed attempt is invisible


@pytest.mark.parametrize(
    ("first", "then", "body"),
    [
        pytest.param(status(429), good, b"good", id="429, then JSON"),
        pytest.param(status(429), sse(), EVENTS, id="429, then a stream"),
        pytest.param(close_early, good, b"good", id="closed before the head"),
        pytest.param(status(500, b"x" * 300_000), good, b"good", id="500 with a 300 kB body"),
    ],
)
@in_a_loop
async def test_the_next_attempt_answers(first: Behaviour, then: Behaviour, body: bytes) -> None:
    async with Upstream(first, "bad") as bad, Upstream(then, "good") as fine:
        policy = Steered(str(bad), str(fine))
        async with gateway(policy) as gate:
            reply = await ask(gate.port)
    assert (reply.status, reply.body) == (200, body)
    assert reply.headers["x-up"] == "good"
    assert reply.headers["x-attempt"] == "2"


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        pytest.param(REFUSED, Cause.CONNECT, id="refused"),
        pytest.param("http://nope.invalid/v1/x", Cause.DNS, id="no such host"),
    ],
)
@in_a_loop
async def test_an_upstream_that_cannot_be_reached(url: str, cause: Cause) -> None:
    async with Upstream(good) as fine:
        policy = Steered(url, str(fine))
        async with gateway(policy) as gate:
            assert (await ask(gate.port)).body == b"good"
    assert policy.attempts[0].cause is cause


@in_a_loop
async def test_a_connect_timeout() -> None:
    """A full accept queue: the SYN is never answered."""
    with socket.socket() as full, ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(full.getsockname())
        await asyncio.sleep(0.05)
        async with Upstream(good) as fine:
            url = f"http://127.0.0.1:{full.getsockname()[1]}/"
            policy = Steered(url, str(fine), connect_timeout_s=0.2)
            async with gateway(policy) as gate:
                assert (await ask(gate.port)).body == b"good"
    assert policy.attempts[0].cause is Cause.CONNECT_TIMEOUT


@in_a_loop
async def test_a_tls_handshake_timeout() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server, Upstream(good) as fine:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        policy = Steered(url, str(fine), connect_timeout_s=0.2)
        async with gateway(policy) as gate:
            assert (await ask(gate.port)).body == b"good"
    assert policy.attempts[0].cause is Cause.CONNECT_TIMEOUT


@in_a_loop
async def test_tls_to_a_port_that_speaks_http() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 what\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server, Upstream(good) as fine:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        policy = Steered(url, str(fine))
        async with gateway(policy) as gate:
            assert (await ask(gate.port)).body == b"good"
    assert policy.attempts[0].cause is Cause.TLS


@in_a_loop
async def test_an_untrusted_certificate_is_a_tls_failure() -> None:
    async with Upstream(good, tls=True) as shady, Upstream(good) as fine:
        policy = Steered(str(shady), str(fine))
        async with gateway(policy, ssl_insecure=False) as gate:
            assert (await ask(gate.port)).body == b"good"
        assert policy.attempts[0].cause is Cause.TLS
        assert "ertificate" in policy.attempts[0].error
        assert shady.exchanges == []


@in_a_loop
async def test_a_tls_upstream() -> None:
    async with Upstream(good, "tls", tls=True) as fine, gateway(Steered(str(fine))) as gate:
        assert (await ask(gate.port)).headers["x-up"] == "tls"


@in_a_loop
async def test_a_first_byte_timeout_closes_the_hung_upstream() -> None:
    async with Upstream(hang) as hung, Upstream(good) as fine:
        policy = Steered(str(hung), str(fine), first_byte_timeout_s=0.2)
        async with gateway(policy) as gate:
            assert (await ask(gate.port)).body == b"good"
            await eventually(lambda: hung.aborted == 1)
    assert policy.attempts[0].cause is Cause.FIRST_BYTE_TIMEOUT


class Peeking(Steered):
    """Look at the first event before believing a 200."""

    def verdict(self, attempt: Attempt) -> Verdict:
        verdict = super().verdict(attempt)
        return Verdict.PEEK if verdict is Verdict.COMMIT else verdict

    def peek(self, attempt: Attempt, data: bytes, ended: bool) -> Verdict | None:
        if b"data: error" in data:
            return Verdict.FAIL
        return Verdict.COMMIT if data else None

    def commit(self, attempt: Attempt) -> None:
        super().commit(attempt)
        if self.early and attempt.flow.response is not None:  # what was promised is streamed
            attempt.flow.response.stream = self.stream


@in_a_loop
async def test_an_error_as_first_event_of_a_200() -> None:
    async with Upstream(error_first) as liar, Upstream(sse()) as fine:
        policy = Peeking(str(liar), str(fine))
        async with gateway(policy) as gate:
            assert (await ask(gate.port)).body == EVENTS
    assert policy.attempts[0].cause is Cause.FIRST_EVENT


@in_a_loop
async def test_peeking_passes_a_healthy_stream() -> None:
    async with Upstream(sse()) as fine:
        policy = Peeking(str(fine))
        async with gateway(policy) as gate:
            assert (await ask(gate.port)).body == EVENTS
    assert len(policy.attempts) == 1


@in_a_loop
async def test_when_all_fail_the_policy_answers() -> None:
    async with Upstream(status(429)) as bad:
        policy = Steered(str(bad), REFUSED, tries=2)
        async with gateway(policy) as gate:
            reply = await ask(gate.port)
    assert (reply.status, reply.body) == (502, b"gave up: connect")
    assert [attempt.cause for attempt in policy.attempts] == [Cause.STATUS, Cause.CONNECT]


@in_a_loop
async def test_a_back_off_on_the_same_upstream_keeps_its_connection() -> None:
    async with (
        Upstream(status(429)) as bad,
        gateway(Steered(str(bad), tries=3, back_off=0.05)) as gate,
    ):
        assert (await ask(gate.port)).status == 502
    assert len(bad.exchanges) == 3
    assert bad.opened == 1


# --- an answer that breaks


@in_a_loop
async def test_a_stream_that_dies_ends_in_the_protocols_error() -> None:
    async with Upstream(die_in_the_middle) as dying, gateway(Steered(str(dying))) as gate:
        reply = await ask(gate.port)
    assert reply.body == b"data: 0\n\nevent: error\n\n"


@in_a_loop
async def test_a_stream_that_stalls_ends_in_the_protocols_error() -> None:
    async with (
        Upstream(stall_in_the_middle) as stalled,
        gateway(Steered(str(stalled), idle_timeout_s=0.2)) as gate,
    ):
        reply = await ask(gate.port)
        await eventually(lambda: stalled.aborted == 1)
    assert reply.body == b"data: 0\n\nevent: error\n\n"


@in_a_loop
async def test_a_silent_stream_is_pinged() -> None:
    async def pause(exchange: Exchange) -> None:
        await exchange.stream_head()
        await exchange.event("0")
        await asyncio.sleep(0.5)
        await exchange.end()

    async with Upstream(pause) as slow, gateway(Steered(str(slow), ping_interval_s=0.15)) as gate:
        reply = await ask(gate.port)
    assert reply.body.count(b": ping\n\n") in (2, 3)
    assert reply.body.startswith(b"data: 0\n\n: ping\n\n")


@in_a_loop
async def test_a_promised_stream_is_kept() -> None:
    async def late(exchange: Exchange) -> None:
        await asyncio.sleep(0.3)
        await sse()(exchange)

    async with Upstream(late) as slow:
        policy = Steered(str(slow), early_start_s=0.1, ping_interval_s=0.05)
        policy.early = True
        async with gateway(policy) as gate, Client(gate.port) as client:
            await client.send()
            await client.head()
            assert slow.exchanges[0].writer.is_closing() is False
            body = await client._chunks()
    assert body.startswith(b": ping\n\n")
    assert body.replace(b": ping\n\n", b"") == EVENTS


# --- connections


@in_a_loop
async def test_keep_alive_requests_that_fail_over_reuse_both_upstreams() -> None:
    async with (
        Upstream(status(429)) as bad,
        Upstream(good) as fine,
        gateway(Steered(str(bad), str(fine))) as gate,
        Client(gate.port) as client,
    ):
        for _ in range(20):
            assert (await client.ask()).body == b"good"
    assert (len(bad.exchanges), len(fine.exchanges)) == (20, 20)
    assert (bad.opened, fine.opened) == (1, 1)


@in_a_loop
async def test_a_stale_keep_alive_connection_is_no_failure() -> None:
    closing: list[Exchange] = []

    async def once(exchange: Exchange) -> None:
        closing.append(exchange)
        if len(closing) == 2:  # the server closes the idle connection just as the request arrives
            exchange.writer.close()
        else:
            await exchange.whole(b"good")

    async with Upstream(once) as fine:
        policy = Steered(str(fine))
        async with gateway(policy) as gate, Client(gate.port) as client:
            assert (await client.ask()).body == b"good"
            assert (await client.ask()).body == b"good"
    assert [attempt.number for attempt in policy.attempts] == [1, 1]
    assert fine.opened == 2


@in_a_loop
async def test_an_idle_connection_that_was_closed_is_not_used() -> None:
    async with (
        Upstream(good) as fine,
        gateway(Steered(str(fine))) as gate,
        Client(gate.port) as client,
    ):
        await client.ask()
        fine.exchanges[0].writer.close()
        await eventually(lambda: fine.open == 0)
        assert (await client.ask()).body == b"good"


@in_a_loop
async def test_a_large_request_body_is_sent_again() -> None:
    body = bytes(range(256)) * 20_000
    async with (
        Upstream(status(429)) as bad,
        Upstream(good) as fine,
        gateway(Steered(str(bad), str(fine))) as gate,
        Client(gate.port) as client,
    ):
        assert (await client.ask(body)).body == b"good"
    assert fine.exchanges[0].body == body


@pytest.mark.parametrize("target_tls", [False, True], ids=["http", "https"])
@in_a_loop
async def test_an_egress_proxy(target_tls: bool) -> None:
    tunnels: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tunnels.append(await reader.readuntil(b"\r\n\r\n"))
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", fine.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server, Upstream(good, tls=target_tls) as fine:
        port = server.sockets[0].getsockname()[1]
        policy = Steered(str(fine), via=Via("http", "127.0.0.1", port, "me:planted"))
        async with gateway(policy) as gate, Client(gate.port) as client:
            assert (await client.ask()).body == b"good"
            assert (await client.ask()).body == b"good"
            assert len(tunnels) == 1
            policy.limits = {"via": Via("http", "127.0.0.1", port, "another:planted")}
            assert (await client.ask()).body == b"good"
    assert [b"CONNECT" in head for head in tunnels] == [True, True]
    assert b"proxy-authorization: Basic bWU6cGxhbnRlZA==" in tunnels[0]
    assert b"proxy-authorization" not in fine.exchanges[0].head


@in_a_loop
async def test_an_egress_proxy_that_is_down_fails_the_attempt() -> None:
    async with Upstream(good) as fine:
        policy = Steered(str(fine), via=("http", ("127.0.0.1", 1)), tries=1)
        async with gateway(policy) as gate:
            assert (await ask(gate.port)).status == 502
    assert policy.attempts[0].cause is Cause.CONNECT
    assert fine.exchanges == []


# --- the client leaves


@pytest.mark.parametrize(
    ("behave", "until"),
    [
        pytest.param(hang, b"", id="while waiting"),
        pytest.param(sse(1000, 0.01), b"data: 3", id="in the middle of a stream"),
    ],
)
@in_a_loop
async def test_a_client_that_leaves_closes_its_upstream(behave: Behaviour, until: bytes) -> None:
    async with Upstream(behave) as slow:
        policy = Steered(str(slow))
        async with gateway(policy) as gate:
            async with Client(gate.port) as client:
                await client.send()
                await eventually(lambda: slow.exchanges)
                if until:
                    await client.reader.readuntil(until)
            await eventually(lambda: slow.aborted == 1)
            await eventually(lambda: policy.count("settled") == 1)
    assert policy.count("client_gone") == 1
    assert policy.errors == ["Client disconnected."]


@in_a_loop
async def test_a_client_that_leaves_during_a_back_off_ends_the_tries() -> None:
    async with Upstream(status(429)) as bad:
        policy = Steered(str(bad), back_off=0.1)
        async with gateway(policy) as gate:
            async with Client(gate.port) as client:
                await client.send()
                await eventually(lambda: len(bad.exchanges) == 1)
            await eventually(lambda: policy.count("settled") == 1)
            await asyncio.sleep(0.2)
    assert len(bad.exchanges) == 1


@in_a_loop
async def test_a_local_stream_keeps_the_clients_pace_and_stops_with_it() -> None:
    ended: list[str] = []
    made = 0

    async def feed() -> AsyncIterator[bytes]:
        nonlocal made
        try:
            while True:
                made += 1
                yield b"x" * 65536
        finally:
            ended.append("closed")

    policy = Steered(REFUSED)
    policy.local = feed
    async with gateway(policy) as gate:
        async with Client(gate.port) as client:
            await client.send()
            await client.head()
            last = -1
            while made != last:  # the pump stops by itself when nobody reads
                last = made
                await asyncio.sleep(0.1)
            assert made < 1000
        await eventually(lambda: ended == ["closed"])
        await eventually(lambda: policy.count("settled") == 1)


@in_a_loop
async def test_a_local_stream_that_ends() -> None:
    async def feed() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d" % number

    policy = Steered(REFUSED)
    policy.local = feed
    async with gateway(policy) as gate, Client(gate.port) as client:
        assert (await client.ask()).body == b"012"
        assert (await client.ask()).body == b"012"


# --- HTTP/2


@in_a_loop
async def test_parallel_failovers_of_an_http2_client() -> None:
    async with Upstream(status(429)) as bad, Upstream(sse()) as fine:
        policy = Steered(str(bad), str(fine))
        async with gateway(policy) as gate, H2Client(gate.port) as client:
            streams = [client.send() for _ in range(20)]
            await eventually(lambda: client.ended >= set(streams))
            assert {client.bodies[stream] for stream in streams} == {EVENTS}
            again = client.send()
            await eventually(lambda: again in client.ended)
    assert policy.count("settled") == 21
    assert fine.opened <= 20  # the last request found an idle connection


@in_a_loop
async def test_an_http2_client_is_not_limited_to_five_upstream_connections() -> None:
    gathered = asyncio.Event()

    async def together(exchange: Exchange) -> None:
        if exchange.upstream.open == 20:
            gathered.set()
        await gathered.wait()
        await exchange.whole(b"good")

    async with (
        Upstream(together) as fine,
        gateway(Steered(str(fine))) as gate,
        H2Client(gate.port) as client,
    ):
        streams = [client.send() for _ in range(20)]
        await eventually(lambda: client.ended >= set(streams))


@pytest.mark.parametrize("what", ["429", "rst", "hang", "goaway"])
@in_a_loop
async def test_an_http2_upstream_that_fails_first(what: str) -> None:
    plan = [what]
    async with h2_upstream(lambda headers: plan.pop() if plan else "ok") as (url, seen):
        policy = Steered(url, http2=True, first_byte_timeout_s=0.3)
        async with gateway(policy) as gate:
            reply = await ask(gate.port)
    assert (reply.status, reply.body) == (200, EVENTS)
    assert [line for line in seen if line in (what, "ok")] == [what, "ok"]
    assert policy.attempts[0].cause is not None


@in_a_loop
async def test_an_http2_upstream_that_leaves_finishes_its_answer_and_gets_no_further_request() -> (
    None
):
    async with h2_upstream(lambda headers: "leaving") as (url, seen):
        policy = Steered(url, http2=True, tries=1, first_byte_timeout_s=2)
        async with gateway(policy) as gate, Client(gate.port) as client:
            replies = [await client.ask() for _ in range(2)]
    assert [(reply.status, reply.body) for reply in replies] == [(200, EVENTS)] * 2
    assert seen == ["connection", "leaving"] * 2


def without_resets(seen: list[str]) -> list[str]:
    """A stream that will not be answered may be reset or not."""
    return [line for line in seen if not line.startswith("reset")]


@pytest.mark.parametrize("what", ["refused", "unseen"])
@in_a_loop
async def test_a_request_that_was_not_looked_at_is_sent_again_and_no_failure(what: str) -> None:
    plan = [what]
    async with h2_upstream(lambda headers: plan.pop() if plan else "ok") as (url, seen):
        policy = Steered(url, http2=True, tries=1)
        async with gateway(policy) as gate:
            reply = await ask(gate.port)
    assert (reply.status, reply.body) == (200, EVENTS)
    assert without_resets(seen) == ["connection", what, "connection", "ok"]
    assert [attempt.cause for attempt in policy.attempts] == [None]


@pytest.mark.parametrize("what", ["refused", "unseen"])
@in_a_loop
async def test_an_upstream_that_never_looks_fails(what: str) -> None:
    async with h2_upstream(lambda headers: what) as (url, seen):
        policy = Steered(url, http2=True, tries=1)
        async with gateway(policy) as gate:
            assert (await ask(gate.port)).status == 502
    assert without_resets(seen) == ["connection", what] * 2
    assert policy.attempts[0].cause is Cause.PROTOCOL


@in_a_loop
async def test_streams_that_wait_for_a_place_go_elsewhere_when_the_upstream_leaves() -> None:
    async with (
        h2_upstream(lambda headers: "leaving") as (url, _seen),
        gateway(Steered(url, http2=True, tries=1)) as gate,
        H2Client(gate.port) as client,
    ):
        streams = [client.send() for _ in range(30)]
        await eventually(lambda: client.ended >= set(streams))
        assert [client.statuses[stream] for stream in streams] == ["200"] * 30
        assert {client.bodies[stream] for stream in streams} == {EVENTS}


@in_a_loop
async def test_http2_on_both_sides_with_a_failover_in_each_stream() -> None:
    def by_key(headers: dict[str, str]) -> str:
        return "429" if headers["authorization"] == "Bearer key-1" else "ok"

    async with (
        h2_upstream(by_key) as (url, seen),
        gateway(Steered(url, http2=True)) as gate,
        H2Client(gate.port) as client,
    ):
        streams = [client.send() for _ in range(20)]
        await eventually(lambda: client.ended >= set(streams))
        assert {client.bodies[stream] for stream in streams} == {EVENTS}
    assert seen.count("connection") == 1


@in_a_loop
async def test_an_http2_client_cancels_one_of_two_streams() -> None:
    plan = ["slow", "ok"]
    async with h2_upstream(lambda headers: plan.pop(0)) as (url, seen):
        policy = Steered(url, http2=True)
        async with gateway(policy) as gate, H2Client(gate.port) as client:
            first = client.send()
            await eventually(lambda: client.bodies[first])
            second = client.send()
            client.cancel(first)
            await eventually(lambda: second in client.ended)
            await eventually(lambda: "reset 8" in seen)
            assert client.bodies[second] == EVENTS
            await eventually(lambda: policy.count("settled") == 2)
    assert policy.count("client_gone") == 1


@in_a_loop
async def test_an_http2_client_cancels_while_connecting() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        closed.set()
        writer.close()

    closed = asyncio.Event()
    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server:
        policy = Steered(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        async with gateway(policy) as gate, H2Client(gate.port) as client:
            stream = client.send()
            await eventually(lambda: policy.attempts)
            await asyncio.sleep(0.05)
            client.cancel(stream)
            await eventually(closed.is_set)
            await eventually(lambda: policy.count("settled") == 1)


# --- WebSocket


@in_a_loop
async def test_a_websocket_passes_and_settles_at_its_end() -> None:
    async def echo(exchange: Exchange) -> None:
        assert b"\r\nupgrade: websocket\r\n" in exchange.head.lower()
        await exchange.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi"
        )
        await asyncio.Event().wait()

    async with Upstream(echo) as up:
        policy = Steered(str(up))
        async with gateway(policy) as gate:
            async with Client(gate.port) as client:
                client.writer.write(
                    b"GET /v1/x HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                )
                code, _headers = await client.head()
                assert code == 101
                assert await client.reader.readexactly(4) == b"\x81\x02hi"
                assert policy.count("settled") == 0
            await eventually(lambda: policy.count("settled") == 1)


# --- failing closed


class Raises:
    """A user's script with a bug."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, self._raise)

    def _raise(self, data: object) -> None:
        raise ValueError("planted")


@pytest.mark.parametrize(
    "hook", ["requestheaders", "request", "llm_attempt", "responseheaders", "response"]
)
@in_a_loop
async def test_a_script_that_raises_is_a_500(hook: str) -> None:
    async with Upstream(good) as fine:
        policy = Steered(str(fine))
        async with gateway(policy, Raises(hook), quiet=False) as gate:
            reply = await ask(gate.port)
            assert gate.complaints == ["Addon error: planted"] * len(gate.complaints)
    assert (reply.status, reply.body) == (500, b"our 500")
    assert bool(fine.exchanges) is (hook in ("responseheaders", "response"))


@in_a_loop
async def test_stream_large_bodies_is_refused() -> None:
    from mitmproxy.exceptions import OptionsError

    with pytest.raises(OptionsError, match="stream_large_bodies"):
        async with gateway(Steered(REFUSED), stream_large_bodies="1m"):
            pass


@in_a_loop
async def test_the_settings_that_the_engine_needs_are_forced() -> None:
    async with gateway(Steered(REFUSED)) as gate:
        assert gate.master.options.connection_strategy == "lazy"


@in_a_loop
async def test_an_oversize_body_is_refused_without_a_reset() -> None:
    policy = Steered(REFUSED)
    policy.max_request_bytes = 1000
    async with gateway(policy) as gate, Client(gate.port) as client:
        reply = await client.ask(b"x" * 2_000_000)
    assert reply.status == 413


# --- nothing is left behind


async def abort_somewhere(gate: Gateway, dice: random.Random) -> Reply | None:
    async with Client(gate.port) as client:
        await client.send(body=b"x" * dice.choice((2, 100_000)))
        try:
            async with asyncio.timeout(dice.uniform(0, 0.06)):
                return await client.reply()
        except TimeoutError:
            client.writer.transport.abort()
            return None


@pytest.mark.parametrize("optional", [False, True], ids=["engine alone", "pool, joins, dispatch"])
@in_a_loop
async def test_aborts_at_random_moments_leave_nothing_behind(optional: bool) -> None:
    dice = random.Random(4)  # noqa: S311
    async with AsyncExitStack() as stack:
        ups = [
            await stack.enter_async_context(Upstream(behave))
            for behave in (sse(8, 0.005), status(429), hang, close_early, good, die_in_the_middle)
        ]
        policy = Peeking()
        policy.limits = {
            "first_byte_timeout_s": 0.03,
            "ping_interval_s": 0.01,
            "early_start_s": 0.02,
        }
        policy.early = True
        policy.back_off = 0.005
        engine = Engine(policy)
        more = (
            [Dispatch(engine.note_failed_hook), JoinWrites(), Pool(engine, idle_s=0.5)]
            if optional
            else []
        )
        async with gateway(policy, *more, engine=engine) as gate:
            tasks = asyncio.all_tasks()
            for _ in range(30):
                policy.upstreams = tuple(str(up) for up in dice.sample(ups, 4))
                await asyncio.gather(*[abort_somewhere(gate, dice) for _ in range(10)])
            await eventually(lambda: not gate.connections)
            await eventually(lambda: policy.count("settled") == policy.flows_seen)
            await eventually(lambda: all(up.open == 0 for up in ups))
            await eventually(lambda: not (mine(asyncio.all_tasks()) - tasks))
            assert policy.flows_seen > 200


def mine(tasks: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Tasks of the gateway, not of the test's own servers."""
    return {task for task in tasks if "Upstream" not in repr(task)}
