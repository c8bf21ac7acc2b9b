"""The short way of streams: the same bytes, hooks, questions and ends as by mitmproxy's layers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.connection import Server
from mitmproxy.proxy import tunnel

from addons import shortcut
from addons.contract import Attempt, Verdict
from addons.engine import Engine
from addons.internals import Http1Client
from addons.joinchunks import JoinChunks, whole_chunks
from addons.shortcut import Lane, Shortcut, missing
from tests.addons.dialogue import END, POST, Dialogue, chunk, stream_head
from tests.addons.live import Steered, Upstream, ask, gateway, sse
from tests.addons.test_engine_live import in_a_loop


def talking(*, short: bool, request: bytes = POST) -> Dialogue:
    """A stream whose first event has come."""
    talk = Dialogue()
    JoinChunks(talk.engine).load(None)  # type: ignore[arg-type]
    if short:
        Shortcut(talk.engine).load(None)  # type: ignore[arg-type]
    talk.policy.verdicts = lambda attempt: Verdict.PEEK
    talk.policy.peeks = [Verdict.COMMIT]
    talk.on_attempt = _with_limits
    talk.client(request)
    talk.upstream(1, stream_head() + chunk(b"data: first\n\n"))
    return talk


def _with_limits(attempt: Attempt) -> None:
    attempt.idle_timeout_s = 30
    attempt.ping_interval_s = 10


def _raises(talk: Dialogue) -> None:
    def fail(data: bytes) -> list[bytes]:
        raise RuntimeError("planted in the stream")

    response = talk.flows[0].response
    assert response is not None
    response.stream = fail
    talk.upstream(1, chunk(b"data: lost\n\n"))


def _finishes(talk: Dialogue) -> None:
    def last(data: bytes) -> list[bytes]:
        talk.attempts[-1].finished = True
        return [b"data: last\n\n"] if data else []

    response = talk.flows[0].response
    assert response is not None
    response.stream = last
    talk.upstream(1, chunk(b"data: one too many\n\n"))


def _events(talk: Dialogue) -> None:
    talk.upstream(1, chunk(b"data: 1\n\n"))
    talk.upstream(1, chunk(b"data: 2\n\n") + chunk(b"data: 3\n\n"))


def _ends(talk: Dialogue) -> None:
    _events(talk)
    talk.upstream(1, chunk(b"data: 4\n\n") + END)


def _next_request(talk: Dialogue) -> None:
    _ends(talk)
    talk.policy.peeks = [Verdict.COMMIT]
    talk.client(POST)
    talk.upstream(1, stream_head() + chunk(b"data: second answer\n\n"))
    _ends(talk)


def _cut(talk: Dialogue) -> None:
    _events(talk)
    talk.upstream_closes(1)


def _leaves(talk: Dialogue) -> None:
    _events(talk)
    talk.client_leaves()


def _silent(talk: Dialogue) -> None:
    talk.pass_time(8)
    _events(talk)
    talk.pass_time(9)
    talk.upstream(1, chunk(b"data: late\n\n"))
    talk.pass_time(40)


def _broken_chunk(talk: Dialogue) -> None:
    talk.upstream(1, b"nonsense\r\n")


def _nothing_yet(talk: Dialogue) -> None:
    response = talk.flows[0].response
    assert response is not None
    response.stream = lambda data: []
    talk.upstream(1, chunk(b"data: held\n\n"))


WAYS = [
    pytest.param(_events, id="events one by one and together"),
    pytest.param(_ends, id="the end"),
    pytest.param(_next_request, id="another request on the same connections"),
    pytest.param(_cut, id="the upstream closes in the middle"),
    pytest.param(_leaves, id="the client leaves in the middle"),
    pytest.param(_silent, id="pings and the limit on silence count from the last event"),
    pytest.param(_broken_chunk, id="a malformed chunk"),
    pytest.param(_nothing_yet, id="a piece that makes nothing yet"),
    pytest.param(_raises, id="the stream callable raises"),
    pytest.param(_finishes, id="the answer is complete before the upstream is"),
]


@pytest.mark.parametrize("go_on", WAYS)
def test_whatever_happens_in_a_stream_looks_the_same(go_on: Callable[[Dialogue], None]) -> None:
    long, short = talking(short=False), talking(short=True)
    assert long.layer.lane is None
    assert short.layer.lane is not None
    for talk in (long, short):
        go_on(talk)
    assert short.client_text == long.client_text
    assert short.lines == long.lines
    assert short.policy.asked == long.policy.asked
    assert short.sent == long.sent


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=12),
    cuts=st.lists(st.integers(0, 600), max_size=8),
    tail=st.sampled_from([END, b"", b"zz\r\n", b"1\r\naXX", b"2;e\r\nhi\r\n" + END]),
)
def test_any_body_in_any_reads_becomes_the_same_answer(
    chunks: list[bytes], cuts: list[int], tail: bytes
) -> None:
    body = b"".join(chunk(one) for one in chunks) + tail
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    long, short = talking(short=False), talking(short=True)
    for talk in (long, short):
        for start, end in pairwise(places):
            talk.upstream(1, body[start:end])
    assert (short.client_text, short.lines) == (long.client_text, long.lines)


def test_whole_chunks_of_a_running_stream_pass_the_layers_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk = talking(short=True)
    monkeypatch.setattr(Http1Client, "handle_event", None)  # whoever asks it fails
    talk.upstream(1, chunk(b"data: 1\n\n"))
    assert talk.client_text.endswith(chunk(b"data: 1\n\n"))


def test_the_lane_is_closed_with_its_stream() -> None:
    talk = talking(short=True)
    _ends(talk)
    assert talk.layer.lane is None
    assert talk.nothing_left()


def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    talk = talking(short=True, request=POST.replace(b"HTTP/1.1", b"HTTP/1.0"))
    talk.upstream(1, chunk(b"data: 1\n\n"))
    assert talk.client_text.endswith(b"\r\n\r\ndata: first\n\ndata: 1\n\n")


class Turned(tunnel.TunnelLayer):
    """A tunnel whose bytes are those of the upstream with each bit turned."""

    def receive_data(self, data: bytes):  # type: ignore[no-untyped-def]
        yield from super().receive_data(bytes(255 - byte for byte in data))

    def send_data(self, data: bytes):  # type: ignore[no-untyped-def]
        yield from super().send_data(bytes(255 - byte for byte in data))


def _through_tunnel(talk: Dialogue) -> Callable[[bytes], None]:
    """Put a tunnel around a running stream's upstream connection; gives what sends through it."""
    conn: Server = talk.opened[0]
    http = talk.layer.connections[conn]
    around = Turned(talk.layer.context.fork(), conn, conn)
    around.tunnel_state = tunnel.TunnelState.OPEN
    around.child_layer = http
    talk.layer.connections[conn] = around
    return lambda data: talk.upstream(1, bytes(255 - byte for byte in data))


@pytest.mark.parametrize("ending", [b"", END, b"nonsense\r\n"])
def test_a_tunnel_decrypts_before(monkeypatch: pytest.MonkeyPatch, ending: bytes) -> None:
    texts, lines, taken = [], [], []
    original = Lane.take

    def take(lane: Lane, data: bytes) -> object:
        out = original(lane, data)
        taken.append(out is not None)
        return out

    monkeypatch.setattr(Lane, "take", take)
    for short in (False, True):
        talk = talking(short=True)
        upstream = _through_tunnel(talk)
        (stream,) = set(talk.layer.streams.values())
        talk.layer.close_lane(stream.lane)
        stream.lane = shortcut.lane_of(stream) if short else None
        if stream.lane is not None:
            assert stream.lane.conn is None
            talk.layer.open_lane(stream.lane)
        upstream(chunk(b"data: 1\n\n"))
        upstream(chunk(b"data: 2\n\n"))
        if ending:
            upstream(ending)
        texts.append(talk.client_text)
        lines.append(talk.lines)
    assert texts[0] == texts[1]
    assert lines[0] == lines[1]
    assert chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n") in texts[1]
    assert taken[:2] == [True, True]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(chunk(b"a"), b"a", id="one"),
        pytest.param(chunk(b"a") + chunk(b"bc"), b"abc", id="two"),
        pytest.param(chunk(b"a\r\n"), b"a\r\n", id="a line end in the data"),
        pytest.param(chunk(b"a")[:-1], None, id="cut"),
        pytest.param(chunk(b"a") + END, None, id="with the end"),
        pytest.param(END, None, id="the end alone"),
        pytest.param(b"\r\n", None, id="half a chunk"),
        pytest.param(b"1;x\r\na\r\n", None, id="an extension"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_only_whole_and_plain_chunks_are_cut(data: bytes, expected: bytes | None) -> None:
    assert whole_chunks(data) == expected


def test_it_is_off_with_a_mitmproxy_that_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert missing() == []
    talk = Dialogue()
    before = talk.engine.shorten
    monkeypatch.setitem(shortcut.NEEDED, Http1Client, ("read_body", "gone"))  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        Shortcut(talk.engine).load(None)  # type: ignore[arg-type]
    assert "the short way of streams is off: mitmproxy has no Http1Client.gone" in caplog.text
    assert talk.engine.shorten is before


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@in_a_loop
async def test_a_real_stream_goes_the_short_way(monkeypatch: pytest.MonkeyPatch, tls: bool) -> None:
    taken: list[bool] = []
    original = Lane.take

    def take(lane: Lane, data: bytes) -> object:
        out = original(lane, data)
        taken.append(out is not None)
        return out

    monkeypatch.setattr(Lane, "take", take)
    async with Upstream(sse(6, pause=0.02), tls=tls) as fine:
        policy = Steered(str(fine))
        policy.verdicts = lambda attempt: Verdict.PEEK
        policy.peeks = [Verdict.COMMIT]
        engine = Engine(policy)
        async with gateway(policy, JoinChunks(engine), Shortcut(engine), engine=engine) as gate:
            reply = await ask(gate.port)
    assert reply.body == b"".join(b"data: %d\n\n" % number for number in range(6))
    assert True in taken
