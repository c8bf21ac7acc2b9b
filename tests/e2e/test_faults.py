"""One fault at a time, in a real gateway: handshakes, HTTP/2, timeouts and where they lead, limits, slow clients."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.chaos import PROTOCOLS, PROVIDERS, judge, request_bytes
from scripts.fake import FakeProvider
from scripts.fault_tls import H2_FAULTS, TLS_FAULTS, FaultTls
from scripts.fault_upstream import FaultUpstream
from tests.support.conversation import Talk, events
from tests.support.gateway import KEY, Gateway
from tests.support.providers import four_providers, provider

QUICK = {"connect_s": 0.5, "first_byte_s": 0.5, "idle_s": 0.5, "total_s": 8, "stream_s": 8}
PATIENCE_S = 10.0


@dataclass
class Faults:
    """The failing providers, on a loop of their own."""

    plain: FaultUpstream
    tls: FaultTls


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """Both of them, for all tests of this file."""
    made = Faults(FaultUpstream(), FaultTls(tmp_path_factory.mktemp("ca")))
    ready, loop = threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(made.plain)
            await stack.enter_async_context(made.tls)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    yield made
    loop.call_soon_threadsafe(over.set)
    thread.join(PATIENCE_S)


@pytest.fixture(scope="module")
def gate(faults: Faults) -> Iterator[Gateway]:
    """The failing providers alone, and each of them with a good one behind it (`or-…`)."""
    plain = {
        name: {
            "protocol": protocol,
            "base_url": f"{faults.plain.base_url}/{'v1beta' if protocol == 'gemini' else 'v1'}",
            "api_key": "k",
        }
        for name, protocol in PROVIDERS.items()
    }
    tls = faults.tls.providers(PROVIDERS)
    distrusting = {**tls["h2-chat"]}
    del distrusting["ca_file"]
    good = "h2-claude/fault-h2-none~1"
    broken = {
        **{fault: f"{fault}/fault-{fault}~1" for fault in TLS_FAULTS},
        **{fault: f"h2-chat/fault-{fault}~1" for fault in H2_FAULTS},
        "mute": "chat/fault-mute~1",
        "refuse": "gemini/fault-refuse~1",
    }
    config = {
        "providers": {**plain, **tls, "distrusting": distrusting},
        "models": {f"or-{name}": [target, good] for name, target in broken.items()},
        "timeouts": QUICK,
        "retry": {"max_attempts": 2, "per_candidate": 0},
        "cooldowns": {"enabled": False},
    }
    with Gateway(config) as gateway:
        yield gateway


def ask(gate: Gateway, client: str, model: str, *, stream: bool) -> tuple[str, bytes]:
    """The outcome of one request, and all that came."""
    with socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE_S) as sock:
        sock.sendall(request_bytes(client, model, stream).replace(b"measurement-key", KEY.encode()))
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return judge(client, stream, answer), answer


BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
SOME = pytest.mark.parametrize("client", ["openai_chat", "gemini"])

# --- TLS


@BOTH
@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_ca_file_makes_a_private_ca_trusted(
    gate: Gateway, client: str, name: str, stream: bool
) -> None:
    outcome, answer = ask(gate, client, f"h2-{name}/fault-h2-none~1", stream=stream)
    assert outcome == "whole", answer


def test_a_ca_file_is_for_its_own_provider_only(gate: Gateway) -> None:
    """The same address, asked on the same client connection right behind a provider that trusts it."""
    talk = {"messages": [{"role": "user", "content": "Hi"}]}
    for model, expected in (
        ("h2-chat/fault-h2-none~1", 200),
        ("distrusting/fault-h2-none~1", 502),
        ("h2-chat/fault-h2-none~1", 200),
    ):
        body = json.dumps({**talk, "model": model}).encode()
        status, _headers, answer = gate.post("/v1/chat/completions", body)
        assert status == expected, answer
    assert b"no trusted TLS connection" in answer or expected == 200


@SOME
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param("tls-refused", b"no trusted TLS connection", id="a refused handshake"),
        pytest.param("tls-silent", b"tls-silent took too long", id="a silent one"),
        pytest.param("tls-untrusted", b"no trusted TLS connection", id="another CA"),
        pytest.param("tls-wrong-name", b"no trusted TLS connection", id="another name"),
        pytest.param("tls-cut", b"broke the connection", id="a cut behind the handshake"),
    ],
)
def test_a_broken_handshake_is_an_error_in_the_clients_words(
    gate: Gateway, client: str, fault: str, words: bytes
) -> None:
    outcome, answer = ask(gate, client, f"{fault}/fault-{fault}~1", stream=True)
    assert outcome == "error answer"
    assert words in answer


# --- failover


@BOTH
@pytest.mark.parametrize(
    "fault",
    [
        *TLS_FAULTS,
        *(name for name in H2_FAULTS if name.endswith(("-first", "-mute", "-503"))),
        "mute",
        "refuse",
    ],
)
def test_what_fails_before_its_answer_is_taken_over_unseen(
    gate: Gateway, fault: str, stream: bool
) -> None:
    outcome, answer = ask(gate, "anthropic", f"or-{fault}", stream=stream)
    assert outcome == "whole", answer
    assert b"x-llmgate-attempts: 2" in answer
    assert b"x-llmgate-model: h2-claude/" in answer


@pytest.mark.parametrize(
    "fault",
    [name for name in H2_FAULTS if name.endswith(("-middle", "-stall", "-truncated"))],
)
def test_an_http2_answer_that_breaks_is_whole_from_elsewhere_or_an_error(
    gate: Gateway, fault: str
) -> None:
    outcome, answer = ask(gate, "anthropic", f"or-{fault}", stream=False)
    assert outcome == "whole", answer
    seen = {
        ask(gate, "anthropic", f"h2-claude/fault-{fault}~{n}", stream=True)[0] for n in range(6)
    }
    assert seen <= {"error answer", "error in the stream"}
    assert "error in the stream" in seen


@BOTH
def test_an_answer_of_an_http2_upstream_that_leaves_is_whole(gate: Gateway, stream: bool) -> None:
    for place in range(4):
        model = f"h2-claude/fault-h2-goaway-graceful~{place}"
        outcome, answer = ask(gate, "anthropic", model, stream=stream)
        assert outcome == "whole", answer
        assert b"x-llmgate-attempts: 1" in answer


@SOME
def test_a_stall_after_the_first_events_ends_in_the_protocols_error(
    gate: Gateway, client: str
) -> None:
    answers = [ask(gate, client, f"chat/fault-stall~{n}", stream=True) for n in range(8)]
    assert {outcome for outcome, _ in answers} <= {"error answer", "error in the stream"}
    stalled = [answer for outcome, answer in answers if outcome == "error in the stream"]
    assert stalled
    assert [a for a in stalled if b"stopped in the middle" not in a] == []


def test_a_stream_may_not_last_longer_than_stream_s(fake: FakeProvider) -> None:
    config = four_providers(fake, timeouts={"stream_s": 0.8, "ping_interval_s": 0})
    slow = "fake-text~delay_ms=150~piece_chars=4"
    with Gateway(config) as gateway:
        for client, name in (("anthropic", "chat"), ("anthropic", "claude")):
            talk = Talk.begin(client, f"{name}/{slow}", stream=True)
            status, _headers, answer = talk.post(gateway)
            assert status == 200
            *_, last = events(answer)
            assert last["type"] == "error"
            assert "took too long" in last["error"]["message"]
            status, _headers, answer = Talk.begin(client, f"{name}/{slow}", stream=False).post(
                gateway
            )
            assert status == 200, "whole answers have total_s"


# --- bounds of streams


@pytest.mark.parametrize("name", ["chat", "claude"], ids=["translated", "passing"])
@pytest.mark.parametrize(
    ("limits", "code"),
    [
        pytest.param({"max_frame_bytes": 200}, "stream event of more than 200", id="one event"),
        pytest.param({"max_events": 4}, "more events than the gateway accepts", id="all events"),
    ],
)
def test_a_stream_has_bounds_also_when_it_passes(
    fake: FakeProvider, name: str, limits: dict[str, int], code: str
) -> None:
    fake.play("text", text="word " * 400, piece_chars=500)
    with Gateway(four_providers(fake, limits=limits)) as gateway:
        status, _headers, answer = Talk.begin("anthropic", f"{name}/m", stream=True).post(gateway)
    if status == 200:
        *_, last = events(answer)
        assert last["type"] == "error"
        assert code in last["error"]["message"]
    else:  # it broke its bounds before anything was believed
        assert code in json.loads(answer)["error"]["message"]


# --- places


def test_concurrent_requests_wait_in_line_and_are_refused_in_time(fake: FakeProvider) -> None:
    limits = {"max_concurrent": 3, "max_concurrent_per_key": 2, "queue_s": 0.4}
    keys = [{"name": "test", "key": KEY}, {"name": "other", "key": "other-key"}]
    with Gateway(four_providers(fake, limits=limits, client_keys=keys)) as gateway:

        def one(model: str, key: str = KEY) -> tuple[int, dict[str, str], float]:
            body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
            started = time.monotonic()
            status, headers, _answer = gateway.post(
                "/v1/chat/completions",
                json.dumps(body).encode(),
                {"authorization": f"Bearer {key}"},
            )
            return status, headers, time.monotonic() - started

        with ThreadPoolExecutor(8) as threads:
            long = "chat/fake-text~first_delay_ms=3000"
            held = [threads.submit(one, long) for _ in range(2)]
            wait_for(lambda: active(gateway) >= 2)
            status, headers, took_s = one("chat/fake-text")
            assert status == 429, "two of this key at most"
            assert int(headers["retry-after"]) >= 1
            assert took_s >= 0.4, "it waited for its turn first"
            assert one("chat/fake-text", "other-key")[0] == 200, "another key has its own places"
            held.append(threads.submit(one, long, "other-key"))
            wait_for(lambda: active(gateway) >= 3)
            assert one("chat/fake-text", "other-key")[0] == 429, "three in all"
            assert {done.result()[0] for done in held} == {200}
        assert one("chat/fake-text")[0] == 200, "the places are free again"


def test_who_waits_gets_the_place_that_comes_free(fake: FakeProvider) -> None:
    with Gateway(four_providers(fake, limits={"max_concurrent": 1, "queue_s": 10})) as gateway:
        talk = Talk.begin("openai_chat", "chat/fake-text~first_delay_ms=150", stream=False)
        with ThreadPoolExecutor(4) as threads:
            answers = [threads.submit(talk.post, gateway) for _ in range(4)]
            assert [answer.result()[0] for answer in answers] == [200] * 4


def active(gateway: Gateway) -> int:
    """Requests that are being served, this question left out."""
    _status, _headers, body = gateway.request("GET", "/health")
    return int(json.loads(body)["active"]) - 1


def wait_for(condition: Any) -> None:
    """Until it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- slow clients


class Flood:
    """A Chat provider that streams as fast as it is read, without end; `sent` says how much was taken."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sent = 0
        self.ended = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        conn, _ = self._listener.accept()
        with conn:
            conn.recv(65536)
            conn.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
            )
            delta = {
                "id": "c",
                "model": "m",
                "choices": [{"index": 0, "delta": {"content": "x" * 900}}],
            }
            piece = b"data: " + json.dumps(delta).encode() + b"\n\n"
            try:
                while True:
                    self.sent += conn.send(piece)
            except OSError:
                self.ended.set()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("client", ["openai_chat", "anthropic"], ids=["passing", "translated"])
def test_a_client_that_does_not_read_stops_its_upstream(client: str) -> None:
    flood = Flood()
    entry = {
        "protocol": "openai_chat",
        "base_url": f"http://127.0.0.1:{flood.port}/v1",
        "api_key": "k",
    }
    with Gateway({"providers": {"chat": entry}}) as gateway:
        before = rss_mb(gateway)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        sock.connect(("127.0.0.1", gateway.port))
        request = request_bytes(client, "chat/m", True)
        sock.sendall(request.replace(b"measurement-key", KEY.encode()))
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        taken = still(lambda: flood.sent)
        assert taken < 32 * 1024 * 1024, "the upstream goes on although nobody reads"
        assert rss_mb(gateway) - before < 48
        got = 0
        while got < 8 * 1024 * 1024:  # it reads again: the stream goes on
            got += len(sock.recv(1024 * 1024))
        wait_for(lambda: flood.sent > taken)
        sock.close()
        assert flood.ended.wait(PATIENCE_S), "the client left, and its upstream was not told"


def still(value: Any) -> int:
    """What a number is when it has not changed for half a second."""
    seen, since = value(), time.monotonic()
    deadline = since + PATIENCE_S
    while time.monotonic() - since < 0.5:
        time.sleep(0.02)
        if (now := value()) != seen:
            seen, since = now, time.monotonic()
        assert time.monotonic() < deadline, "it never stands still"
    return int(seen)


def rss_mb(gateway: Gateway) -> float:
    """Resident memory of a gateway."""
    pages = int(Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


# --- files


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "which cannot be read", id="missing"),
        pytest.param("not PEM at all", "which holds no certificate in PEM", id="something else"),
    ],
)
def test_a_ca_file_that_is_none_stops_the_start(
    fake: FakeProvider, tmp_path: Path, content: str | None, words: str
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    config = {"providers": {"chat": provider(fake, "openai_chat", ca_file=str(file))}}
    with pytest.raises(AssertionError, match="ended at once") as caught, Gateway(config):
        pass
    assert words in str(caught.value)
    assert "providers.chat.ca_file" in str(caught.value)


def test_a_socks_proxy_stops_the_start(fake: FakeProvider) -> None:
    entry = provider(fake, "openai_chat", proxy="socks5://127.0.0.1:1080")
    with pytest.raises(AssertionError, match="SOCKS"), Gateway({"providers": {"chat": entry}}):
        pass
