"""Joined writes: fewer system calls, and nothing else that anybody could notice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from addons.joinwrites import MAX_HELD_BYTES, JoinedWriter, JoinWrites, Single, missing
from tests.addons.live import (
    Client,
    Exchange,
    H2Client,
    Steered,
    Upstream,
    eventually,
    gateway,
    sse,
)
from tests.addons.test_engine_live import EVENTS, in_a_loop


class FakeWriter:
    """What reached the real writer, call by call."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.closing = False
        self.unsent = 1
        self.transport = self

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    async def drain(self) -> None:
        self.calls.append("drain")

    def write_eof(self) -> None:
        self.calls.append("eof")

    def close(self) -> None:
        self.closing = True
        self.calls.append("close")

    def is_closing(self) -> bool:
        return self.closing

    def get_extra_info(self, name: str) -> str:
        return f"extra {name}"


def joined() -> tuple[JoinedWriter, list[Any], FakeWriter]:
    fake = FakeWriter()
    return JoinedWriter(fake), fake.calls, fake  # type: ignore[arg-type]


@in_a_loop
async def test_the_writes_of_one_iteration_become_one() -> None:
    writer, calls, _ = joined()
    writer.write(b"a")
    writer.write(b"b")
    assert calls == []
    await asyncio.sleep(0)
    assert calls == [b"ab"]
    await asyncio.sleep(0)
    assert calls == [b"ab"]


@in_a_loop
async def test_a_drain_sends_before_it_waits() -> None:
    writer, calls, _ = joined()
    writer.write(b"a")
    writer.write(b"b")
    await writer.drain()
    writer.write(b"c")
    await asyncio.sleep(0)
    assert calls == [b"ab", "drain", b"c"]


@pytest.mark.parametrize(
    ("unsent", "closing", "waits"),
    [
        pytest.param(0, False, False, id="all has been sent"),
        pytest.param(1, False, True, id="the peer is slow"),
        pytest.param(0, True, True, id="the connection is being closed"),
    ],
)
@in_a_loop
async def test_a_drain_waits_where_there_is_something_to_wait_for(
    unsent: int, closing: bool, waits: bool
) -> None:
    writer, calls, fake = joined()
    fake.unsent, fake.closing = unsent, closing
    await writer.drain()
    assert calls == (["drain"] if waits else [])


@in_a_loop
async def test_what_is_alone_in_its_iteration_goes_out_at_once() -> None:
    writer, calls, _ = joined()
    writer.write(Single(b"a"))
    assert calls == [b"a"]
    writer.write(b"b")
    writer.write(Single(b"c"))
    assert calls == [b"a"]
    await asyncio.sleep(0)
    assert calls == [b"a", b"bc"]


@pytest.mark.parametrize("how", ["close", "write_eof"])
@in_a_loop
async def test_what_was_written_is_sent_before_an_end(how: str) -> None:
    writer, calls, _ = joined()
    writer.write(b"a")
    getattr(writer, how)()
    await asyncio.sleep(0)
    assert calls == [b"a", "close" if how == "close" else "eof"]


@in_a_loop
async def test_nothing_is_written_to_a_closing_connection() -> None:
    writer, calls, fake = joined()
    writer.write(b"a")
    fake.closing = True
    await asyncio.sleep(0)
    assert calls == []


@in_a_loop
async def test_much_is_passed_on_at_once() -> None:
    writer, calls, _ = joined()
    writer.write(b"x" * MAX_HELD_BYTES)
    assert calls == []
    writer.write(b"y")
    assert [len(call) for call in calls] == [MAX_HELD_BYTES + 1]


@in_a_loop
async def test_everything_else_is_the_writers_own() -> None:
    writer, _, _ = joined()
    assert writer.get_extra_info("peername") == "extra peername"
    assert not writer.is_closing()


def count_writes(writes: list[int]) -> type:
    class Counting(JoinWrites):
        def _wrap(self, client: Any, conn: Any) -> None:
            from addons.internals import handler_of

            super()._wrap(client, conn)
            io = handler_of(client).transports[conn]
            if conn is client:
                original = io.writer._writer.write

                def write(data: bytes) -> None:
                    writes.append(len(data))
                    original(data)

                io.writer._writer.write = write

    return Counting


def bulk(count: int) -> Any:
    """All events in one piece, as a fast upstream sends them."""

    async def behave(exchange: Exchange) -> None:
        await exchange.stream_head()
        pieces = [b"data: %d\n\n" % number for number in range(count)]
        await exchange.write(b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces))
        await exchange.end()

    return behave


@in_a_loop
async def test_a_bulk_stream_takes_few_writes_and_loses_nothing() -> None:
    writes: list[int] = []
    async with (
        Upstream(bulk(500)) as up,
        gateway(Steered(str(up)), count_writes(writes)()) as gate,
        Client(gate.port) as client,
    ):
        reply = await client.ask()
    assert reply.body == b"".join(b"data: %d\n\n" % number for number in range(500))
    assert len(writes) < 20


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@in_a_loop
async def test_paced_events_arrive_one_by_one(tls: bool) -> None:
    go = asyncio.Event()

    async def stepwise(exchange: Exchange) -> None:
        await exchange.stream_head()
        for number in range(5):
            await exchange.event(str(number))
            await go.wait()
            go.clear()
        await exchange.end()

    async with (
        Upstream(stepwise) as up,
        gateway(Steered(str(up)), JoinWrites()) as gate,
        Client(gate.port, tls) as client,
    ):
        await client.send()
        for number in range(5):  # the next event is made only once this one has arrived
            async with asyncio.timeout(5):
                await client.reader.readuntil(b"data: %d\n\n" % number)
            go.set()


@in_a_loop
async def test_http2_clients_and_tls_upstreams() -> None:
    async with (
        Upstream(sse(), tls=True) as up,
        gateway(Steered(str(up)), JoinWrites()) as gate,
        H2Client(gate.port) as client,
    ):
        streams = [client.send() for _ in range(10)]
        await eventually(lambda: client.ended >= set(streams))
        assert {client.bodies[stream] for stream in streams} == {EVENTS}


@in_a_loop
async def test_a_slow_client_still_pauses_the_upstream() -> None:
    written = 0

    async def flood(exchange: Exchange) -> None:
        nonlocal written
        await exchange.stream_head()
        piece = b"x" * 65536
        while True:
            await exchange.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            written += len(piece)

    async with (
        Upstream(flood) as up,
        gateway(Steered(str(up)), JoinWrites()) as gate,
        Client(gate.port) as client,
    ):
        await client.send()
        await client.head()
        last = -1
        while written != last:
            last = written
            await asyncio.sleep(0.2)
        assert written < 64 * 1024 * 1024


def test_it_is_off_when_mitmproxy_lacks_a_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mitmproxy.proxy import server

    assert missing() == []
    monkeypatch.delattr(server.ConnectionHandler, "drain_writers")
    addon = JoinWrites()
    addon.load(None)  # type: ignore[arg-type]
    assert "joined writes are off" in caplog.text
    addon.client_connected(None)  # type: ignore[arg-type]
