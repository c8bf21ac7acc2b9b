"""Pitfalls of keys, providers and accounts, through a real mitmdump: who is tried, who rests, who is blamed."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.conversation import Talk
from tests.support.gateway import Gateway
from tests.support.pitfalls import ALL, TEXTS, A, C, G, R
from tests.support.providers import PROVIDERS, VERSIONS, provider
from tests.support.wirecheck import check_response, check_stream

PATHS = {C: "/v1/chat/completions", R: "/v1/responses", A: "/v1/messages"}
VERSION = {"anthropic-version": "2023-06-01"}
SESSION = {"x-claude-code-session-id": "session-1"}
UPSTREAMS = {protocol: name for name, protocol in PROVIDERS.items()}


class Answers(BaseHTTPRequestHandler):
    """A provider that says what it is told to say: content type, body, further headers."""

    protocol_version = "HTTP/1.1"
    says: tuple[str, bytes] = ("application/json", b"{}")
    more: tuple[tuple[str, str], ...] = ()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        kind, body = type(self).says
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in type(self).more:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the test's terminal."""


@pytest.fixture(scope="module")
def fakes() -> Iterator[list[FakeProvider]]:
    """Two providers of their own."""
    with FakeProvider.running() as one, FakeProvider.running() as two:
        yield [one, two]


@pytest.fixture(scope="module")
def pool(fakes: list[FakeProvider]) -> Iterator[Gateway]:
    """Two providers behind each name, one of them odd in four protocols."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    odd_url = f"http://127.0.0.1:{server.server_address[1]}"
    config: dict[str, Any] = {
        "providers": {
            "first": provider(fakes[0], C),
            "second": provider(fakes[1], A),
            "responses": provider(fakes[0], R),
            "responses-2": provider(fakes[1], R),
            **{
                f"odd-{name}": {
                    "protocol": protocol,
                    "base_url": f"{odd_url}/{VERSIONS[protocol]}",
                    "api_key": "x",
                }
                for name, protocol in PROVIDERS.items()
            },
            "priced": provider(
                fakes[0],
                C,
                models={
                    "gpt-5": {"prices": {"input": 1, "output": 1}},
                    "gpt-5-mini": {"prices": {"input": 1000, "output": 1000}},
                },
            ),
        },
        "models": {
            "both": ["first/m", "second/m"],
            "other": ["first/n", "second/n"],
            "turns": {"candidates": ["first/m", "second/m"], "strategy": "round_robin"},
            "accounts/*": {
                "candidates": ["responses/*", "responses-2/*"],
                "strategy": "round_robin",
            },
            "gpt-5": "priced/gpt-5-mini",
            **{f"odd-{name}-first": [f"odd-{name}/m", "second/m"] for name in PROVIDERS},
        },
        "affinity": {"first_message": False},
        "retry": {"max_attempts": 6, "per_candidate": 0, "max_wait_s": 0},
    }
    with Gateway(config) as made:
        yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def rested(pool: Gateway, fakes: list[FakeProvider]) -> Gateway:
    """That gateway, with everything rested and everybody well."""
    Answers.more = ()
    for fake in fakes:
        fake.reset()
        fake.play("text")
    assert pool.request("POST", "/admin/reset", b"{}")[0] == 200
    return pool


def ask(
    gateway: Gateway,
    model: str,
    client: str = A,
    *,
    stream: bool = False,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> tuple[int, dict[str, str], bytes]:
    """One small request."""
    if client == G:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path, body = f"/v1beta/models/{model}:{verb}", {**TEXTS[G], **more}
    else:
        path = PATHS[client]
        body = {**TEXTS[client], "model": model, **({"stream": True} if stream else {}), **more}
    return gateway.post(path, json.dumps(body).encode(), VERSION | (headers or {}))


def rests(gateway: Gateway) -> list[dict[str, Any]]:
    """What the operator sees."""
    found: list[dict[str, Any]] = json.loads(gateway.request("GET", "/admin/status")[2])[
        "cooldowns"
    ]
    return found


def served_by(answer: tuple[int, dict[str, str], bytes]) -> str:
    """The provider and model that answered."""
    assert answer[0] == 200, answer[2]
    return answer[1]["x-llmgate-model"]


# ---------------------------------------------------------------------------------- whose fault it is


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [400, 413, 422])
def test_err_09_the_clients_own_fault_is_told_once_and_nobody_rests(
    rested: Gateway, fakes: list[FakeProvider], status: int, stream: bool
) -> None:
    fakes[0].play("text", failure="status", status=status, times=0)
    got, _headers, body = ask(rested, "both", stream=stream)
    assert 400 <= got < 500, body
    assert len(fakes[0].record) == 1
    assert not fakes[1].record
    assert rests(rested) == []


@pytest.mark.parametrize(
    ("status", "model", "next_model_goes_to"),
    [
        pytest.param(401, None, "second/n", id="401 rests the key"),
        pytest.param(402, None, "second/n", id="402 rests the key"),
        pytest.param(403, "m", "first/n", id="403 rests the key for this model"),
        pytest.param(429, "m", "first/n", id="429 rests the key for this model"),
        pytest.param(500, "m", "first/n", id="500 rests the key for this model"),
    ],
)
def test_err_10_a_rest_is_as_wide_as_the_failure(
    rested: Gateway,
    fakes: list[FakeProvider],
    status: int,
    model: str | None,
    next_model_goes_to: str,
) -> None:
    fakes[0].play("text", failure="status", status=status, retry_after_s=60, times=0)
    assert served_by(ask(rested, "both")) == "second/m"
    (rest,) = rests(rested)
    assert (rest["provider"], rest["model"]) == ("first", model)
    fakes[0].play("text")
    assert served_by(ask(rested, "both")) == "second/m", "it still rests"
    assert served_by(ask(rested, "other")) == next_model_goes_to


@pytest.mark.parametrize("client", ALL)
def test_err_11_when_all_rest_the_client_hears_when_the_first_is_back(
    rested: Gateway, fakes: list[FakeProvider], client: str
) -> None:
    for fake, seconds in zip(fakes, (50, 30), strict=True):
        fake.play("text", failure="status", status=429, retry_after_s=seconds, times=0)
    assert ask(rested, "both", client)[0] == 429
    asked = len(fakes[0].record) + len(fakes[1].record)
    status, headers, body = ask(rested, "both", client)
    assert status == 429
    assert 20 < int(headers["retry-after"]) <= 30
    assert json.loads(body)["error"]["message"]
    assert len(fakes[0].record) + len(fakes[1].record) == asked, "nobody was asked in vain"


def test_str_31_an_error_as_first_event_moves_on_and_rests_the_key(
    rested: Gateway, fakes: list[FakeProvider]
) -> None:
    fakes[0].play("text", failure="error-first", status=429, times=0)
    status, headers, body = ask(rested, "both", stream=True)
    assert (status, headers["x-llmgate-model"]) == (200, "second/m")
    assert b"message_stop" in body
    (rest,) = rests(rested)
    assert rest["provider"] == "first"


ENVELOPES = [
    pytest.param(C, {"code": 1113, "msg": "out of widgets"}, id="code and msg"),
    pytest.param(
        C,
        {"base_resp": {"status_code": 1008, "status_msg": "out of widgets"}, "choices": None},
        id="base_resp",
    ),
    pytest.param(C, {"error": {"message": "out of widgets"}}, id="chat"),
    pytest.param(R, {"error": {"message": "out of widgets", "code": "x"}}, id="responses"),
    pytest.param(
        R,
        {"id": "r", "status": "failed", "output": [], "error": {"code": "server_error", "message": "out of widgets"}},
        id="a failed response",
    ),
    pytest.param(
        A, {"type": "error", "error": {"type": "api_error", "message": "out of widgets"}}, id="anthropic"
    ),
    pytest.param(
        G, {"error": {"code": 500, "message": "out of widgets", "status": "INTERNAL"}}, id="gemini"
    ),
    pytest.param(G, [{"error": {"code": 500, "message": "out of widgets"}}], id="gemini's array"),
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize(("upstream", "body"), ENVELOPES)
def test_err_12_an_error_under_status_200_fails_over(
    rested: Gateway, upstream: str, body: Any, client: str, stream: bool
) -> None:
    Answers.says = ("application/json", json.dumps(body).encode())
    name = UPSTREAMS[upstream]
    answer = ask(rested, f"odd-{name}-first", client, stream=stream)
    assert served_by(answer) == "second/m"
    rested.request("POST", "/admin/reset", b"{}")
    status, _headers, told = ask(rested, f"odd-{name}/m", client, stream=stream)
    assert status >= 400, "alone it is an error, not an empty success"
    assert b"out of widgets" in told


# ------------------------------------------------------------------------------------- odd encodings


def good_answer(fake: FakeProvider, protocol: str, *, stream: bool) -> bytes:
    """What the fake says in a protocol, as bytes."""
    fake.reset()
    client = Gateway.__new__(Gateway)  # only its way to send a request is needed
    client.port = int(fake.base_url.rpartition(":")[2])
    client.key = "fake-key"
    headers = {A: {"x-api-key": "fake-key", **VERSION}, G: {"x-goog-api-key": "fake-key"}}
    status, _headers, body = ask(
        client, "m", protocol, stream=stream, headers=headers.get(protocol)
    )
    assert status == 200, body
    return body


def assert_good(
    client: str, upstream: str, answer: tuple[int, Any, bytes], *, stream: bool
) -> None:
    """A whole answer, or a stream, that says what the fake said, as the client's SDK would check it."""
    status, _headers, body = answer
    assert status == 200, body
    assert b"Fake" in body
    if client == upstream and not stream:
        return  # the fake's own bytes
    if stream:
        assert check_stream(client, body)
    else:
        check_response(client, json.loads(body))


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param(True, id="ENC-04 and it says so"),
        pytest.param(False, id="ENC-05 and it does not say so"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", ALL)
def test_an_answer_that_is_compressed_although_nobody_asked_is_read(
    rested: Gateway,
    fakes: list[FakeProvider],
    client: str,
    upstream: str,
    stream: bool,
    declared: bool,
) -> None:
    data = gzip.compress(good_answer(fakes[0], upstream, stream=stream))
    Answers.says = ("text/event-stream" if stream else "application/json", data)
    Answers.more = (("content-encoding", "gzip"),) if declared else ()
    answer = ask(rested, f"odd-{UPSTREAMS[upstream]}/m", client, stream=stream)
    assert "content-encoding" not in answer[1]
    assert_good(client, upstream, answer, stream=stream)


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json", "text/plain"])
@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", ALL)
def test_str_45_a_stream_for_who_wanted_one_body(
    rested: Gateway, fakes: list[FakeProvider], client: str, upstream: str, kind: str
) -> None:
    Answers.says = (kind, good_answer(fakes[0], upstream, stream=True))
    answer = ask(rested, f"odd-{UPSTREAMS[upstream]}/m", client)
    assert answer[1]["content-type"] == "application/json"
    assert_good(client, "a stream", answer, stream=False)


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", ALL)
def test_str_46_one_body_for_who_wanted_a_stream(
    rested: Gateway, fakes: list[FakeProvider], client: str, upstream: str, kind: str
) -> None:
    Answers.says = (kind, good_answer(fakes[0], upstream, stream=False))
    answer = ask(rested, f"odd-{UPSTREAMS[upstream]}/m", client, stream=True)
    assert answer[1]["content-type"].startswith("text/event-stream")
    assert_good(client, "one body", answer, stream=True)


# --------------------------------------------------------------------------- sessions and their state


def test_cac_11_a_session_stays_where_its_cache_is_until_that_fails(
    rested: Gateway, fakes: list[FakeProvider]
) -> None:
    alone = {served_by(ask(rested, "turns")) for _ in range(4)}
    assert alone == {"first/m", "second/m"}, "requests without a session take turns"
    home = {served_by(ask(rested, "turns", headers=SESSION)) for _ in range(4)}
    (place,) = home
    fake, other = fakes if place == "first/m" else reversed(fakes)
    fake.play("text", failure="status", status=500, times=0)
    moved = served_by(ask(rested, "turns", headers=SESSION))
    assert moved != place
    fake.play("text")
    rested.request("POST", "/admin/reset", b'{"provider": "first"}')
    assert {served_by(ask(rested, "turns", headers=SESSION)) for _ in range(3)} == {moved}
    assert other.record


def thinking(*state: str) -> list[dict[str, Any]]:
    """A Responses conversation with reasoning that another account sealed."""
    reasoning = [
        {"type": "reasoning", "id": f"rs_{n}", "summary": [], "encrypted_content": one}
        for n, one in enumerate(state)
    ]
    return [
        {"role": "user", "content": "Hi"},
        *reasoning,
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
        },
        {"role": "user", "content": "Go on"},
    ]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_rsn_06_reasoning_of_another_account_is_left_out_and_asked_once_more(
    rested: Gateway, fakes: list[FakeProvider], stream: bool
) -> None:
    body = {"input": thinking("gAAAABfirst", "gAAAABsecond"), "store": False}
    status, headers, answer = ask(rested, "responses/m", R, stream=stream, **body)
    assert status == 200, answer
    refused, taken = fakes[0].record
    assert (refused.verdict, taken.verdict) == ("rejected", "accepted")
    assert "encrypted" in refused.reason
    assert [item.get("type", "message") for item in taken.body["input"]] == ["message"] * 3
    assert "id" not in taken.body["input"][1], "its id would ask for the reasoning"
    assert taken.body["input"][2] == body["input"][-1]
    assert headers["x-llmgate-attempts"] == "2"
    assert "input[1]: the provider could not read" in headers["x-llmgate-degraded"]
    assert rests(rested) == []


def test_rsn_06_a_session_stays_with_the_account_that_can_read_it(
    rested: Gateway, fakes: list[FakeProvider]
) -> None:
    """Two accounts in turns: each step of one conversation goes to the same, so that its reasoning is accepted."""
    talk = Talk.begin(R, "accounts/fake-reasoning-tool", stream=True)
    talk.body["prompt_cache_key"] = "session-2"
    talk.to_the_end(rested)
    busy = [fake for fake in fakes if fake.record]
    assert len(busy) == 1
    assert [seen.reasoning_returned for seen in busy[0].record] == [0, 1, 2]


# -------------------------------------------------------------------------------------------- money


def test_use_15_an_answer_costs_what_the_upstreams_model_costs(
    rested: Gateway, fakes: list[FakeProvider]
) -> None:
    """An alias that has the name of another, cheaper model."""
    status, _headers, body = ask(rested, "gpt-5", C)
    assert status == 200
    assert [seen.body["model"] for seen in fakes[0].record] == ["gpt-5-mini"]
    lines = [line for line in rested.log.splitlines() if "upstream_model=gpt-5-mini" in line]
    [cost] = re.findall(r"cost_usd=(\S+)", lines[-1])
    tokens = json.loads(body)["usage"]["total_tokens"]
    assert Decimal(cost) == Decimal(tokens) * 1000 / 1_000_000
