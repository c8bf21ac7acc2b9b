"""Idle upstream connections go from client to client, and never one that is not idle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from mitmproxy.proxy import server

from addons.engine import Cause, Engine
from addons.pool import Pool, missing
from tests.addons.live import (
    Client,
    Exchange,
    Gateway,
    H2Client,
    Steered,
    Upstream,
    ask,
    eventually,
    gateway,
    good,
    h2_upstream,
    hang,
    sse,
    status,
)
from tests.addons.test_engine_live import EVENTS, in_a_loop


@asynccontextmanager
async def pooled(
    policy: Steered, idle_s: float = 30, **opts: object
) -> AsyncIterator[tuple[Gateway, Pool]]:
    engine = Engine(policy)
    pool = Pool(engine, idle_s=idle_s)
    async with gateway(policy, pool, engine=engine, **opts) as gate:
        yield gate, pool


async def settle(gate: Gateway) -> None:
    """Until the last client is gone, and its upstreams have been taken over."""
    await eventually(lambda: not gate.connections)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@in_a_loop
async def test_the_next_client_gets_the_connection(tls: bool) -> None:
    async with Upstream(sse(), tls=tls) as up, pooled(Steered(str(up))) as (gate, pool):
        for _ in range(10):
            assert (await ask(gate.port)).body == EVENTS
            await settle(gate)
        assert (up.opened, pool.kept, pool.lent) == (1, 10, 9)
    await eventually(lambda: up.open == 0)


@in_a_loop
async def test_clients_at_the_same_time_get_different_connections() -> None:
    async with Upstream(sse(5, 0.01)) as up, pooled(Steered(str(up))) as (gate, pool):
        for _ in range(3):
            replies = await asyncio.gather(*[ask(gate.port) for _ in range(10)])
            assert all(reply.body.endswith(b"data: 4\n\n") for reply in replies)
            await settle(gate)
        assert up.opened <= 10
        assert pool.lent >= 20


@in_a_loop
async def test_a_connection_that_its_upstream_closed_is_not_lent() -> None:
    async with Upstream(good) as up, pooled(Steered(str(up))) as (gate, pool):
        await ask(gate.port)
        await settle(gate)
        up.exchanges[0].writer.close()
        await eventually(lambda: up.open == 0)
        await asyncio.sleep(0.02)
        assert (await ask(gate.port)).body == b"good"
        assert (up.opened, pool.lent) == (2, 0)


@in_a_loop
async def test_a_lent_connection_that_dies_at_once_is_no_failure() -> None:
    async def second_kills(exchange: Exchange) -> None:
        if len(exchange.upstream.exchanges) == 2:
            exchange.writer.close()
        else:
            await exchange.whole(b"good")

    async with Upstream(second_kills) as up:
        policy = Steered(str(up))
        async with pooled(policy) as (gate, _pool):
            await ask(gate.port)
            await settle(gate)
            assert (await ask(gate.port)).body == b"good"
    assert [attempt.number for attempt in policy.attempts] == [1, 1]


@in_a_loop
async def test_an_aborted_exchange_never_reaches_the_pool() -> None:
    async with Upstream(hang) as up, pooled(Steered(str(up))) as (gate, pool):
        async with Client(gate.port) as client:
            await client.send()
            await eventually(lambda: up.exchanges)
        await settle(gate)
        await eventually(lambda: up.open == 0)
        assert pool.kept == 0


@in_a_loop
async def test_upstream_saying_close_is_believed() -> None:
    async with (
        Upstream(status(200, b"bye", "connection: close\r\n")) as up,
        pooled(Steered(str(up))) as (gate, pool),
    ):
        assert (await ask(gate.port)).body == b"bye"
        await settle(gate)
        assert pool.kept == 0


@in_a_loop
async def test_idle_connections_are_closed_after_a_while() -> None:
    async with Upstream(good) as up, pooled(Steered(str(up)), idle_s=0.05) as (gate, pool):
        await ask(gate.port)
        await eventually(lambda: pool.kept == 1)
        await eventually(lambda: up.open == 0)
        assert len(pool) == 0


@in_a_loop
async def test_different_upstreams_are_kept_apart() -> None:
    async with Upstream(good, "a") as a, Upstream(good, "b") as b:
        policy = Steered(str(a))
        async with pooled(policy) as (gate, _pool):
            for up in (a, b, a, b):
                policy.upstreams = (str(up),)
                assert (await ask(gate.port)).headers["x-up"] == up.name
                await settle(gate)
    assert (a.opened, b.opened) == (1, 1)


@in_a_loop
async def test_http2_upstreams_are_shared_too() -> None:
    async with (
        h2_upstream(lambda headers: "ok") as (url, seen),
        pooled(Steered(url, http2=True)) as (gate, pool),
    ):
        for _ in range(3):
            async with H2Client(gate.port) as client:
                streams = [client.send() for _ in range(5)]
                await eventually(lambda c=client, s=streams: c.ended >= set(s))  # type: ignore[misc]
                assert {client.bodies[stream] for stream in streams} == {EVENTS}
            await settle(gate)
        assert pool.lent == 2
    assert seen.count("connection") == 1


@in_a_loop
async def test_an_http1_attempt_never_gets_an_http2_connection() -> None:
    async with h2_upstream(lambda headers: "ok") as (url, seen):
        policy = Steered(url, http2=True, tries=1)
        async with pooled(policy) as (gate, pool):
            await ask(gate.port)
            await settle(gate)
            policy.limits = {"first_byte_timeout_s": 0.2}  # the fake speaks only HTTP/2
            assert (await ask(gate.port)).status == 502
            assert pool.lent == 0
    assert policy.attempts[1].cause in (Cause.PROTOCOL, Cause.FIRST_BYTE_TIMEOUT)
    assert seen.count("connection") == 2


@in_a_loop
async def test_the_old_client_is_not_kept_alive_by_its_connection() -> None:
    async with Upstream(good) as up, pooled(Steered(str(up))) as (gate, pool):
        await ask(gate.port)
        await settle(gate)
        (queue,) = pool._free.values()
        layers = [type(one).__name__ for one in queue[0].stack.context.layers]
        assert "GatewayLayer" not in layers


def test_it_is_off_when_mitmproxy_lacks_a_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert missing() == []
    monkeypatch.delattr(server.ConnectionHandler, "handle_connection")
    engine = Engine(Steered())
    Pool(engine).load(None)  # type: ignore[arg-type]
    assert engine.pool is None
    assert "the upstream pool is off" in caplog.text
