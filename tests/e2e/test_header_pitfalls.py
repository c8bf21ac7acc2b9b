"""Pitfalls of headers, keys and native bodies, through a real mitmdump: what crosses, and what must not."""

from __future__ import annotations

import gzip
import json
import socket
from typing import Any

import pytest

from scripts.fake import DEFAULT_KEY, FakeProvider
from tests.support.gateway import KEY, Gateway
from tests.support.pitfalls import ALL, PAIRS, TEXTS, A, C, G, R
from tests.support.providers import PROVIDERS

UPSTREAMS = {protocol: name for name, protocol in PROVIDERS.items()}
PATHS = {C: "/v1/chat/completions", R: "/v1/responses", A: "/v1/messages"}
VERSION = {"anthropic-version": "2023-06-01"}
OWN = {
    "accept",
    "accept-encoding",
    "authorization",
    "content-length",
    "content-type",
    "host",
    "user-agent",
}
"""What every upstream request has; Anthropic and Gemini have their own header for the key."""
STRANGE = {
    "x-stainless-os": "Linux",
    "x-stainless-retry-count": "1",
    "anthropic-dangerous-direct-browser-access": "true",
    "openai-organization": "org-1",
    "openai-project": "proj-1",
    "x-claude-code-session-id": "s-1",
    "x-codex-window-id": "w-1",
    "originator": "codex_cli_rs",
    "chatgpt-account-id": "acct-1",
    "cookie": "session=1",
    "x-forwarded-for": "10.0.0.1",
    "referer": "https://private.example/page",
}


def request_of(client: str, model: str, *, stream: bool = False) -> tuple[str, bytes]:
    """Path and body of a small request."""
    if client == G:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{verb}", json.dumps(TEXTS[G]).encode()
    body = {**TEXTS[client], "model": model, **({"stream": True} if stream else {})}
    return PATHS[client], json.dumps(body).encode()


def names_of(fake: FakeProvider) -> set[str]:
    """The header names of the one request that arrived."""
    (seen,) = fake.record
    return {name.lower() for name, _value in seen.headers}


# ------------------------------------------------------------------------------- towards the provider


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({"authorization": f"Bearer {KEY}", "x-api-key": KEY}, id="the same twice"),
        pytest.param({"x-api-key": KEY, "x-goog-api-key": KEY, "api-key": KEY}, id="in three"),
        pytest.param({"authorization": f"bearer  Bearer {KEY} "}, id="AUTH-05 pasted badly"),
    ],
)
def test_hdr_06_a_key_that_is_sent_twice_is_one_and_stays_here(
    gateway: Gateway, fake: FakeProvider, sent: dict[str, str]
) -> None:
    path, body = request_of(A, "chat/m")
    status, _headers, answer = gateway.request("POST", path, body, {**VERSION, **sent})
    assert status == 200, answer
    (seen,) = fake.record
    assert KEY not in str(seen.headers)
    assert [value for name, value in seen.headers if value.endswith(DEFAULT_KEY)]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_hdr_08_headers_of_the_connection_and_the_body_are_made_anew(
    gateway: Gateway, fake: FakeProvider, client: str, upstream: str
) -> None:
    path, body = request_of(client, f"{UPSTREAMS[upstream]}/m")
    sent = {
        **VERSION,
        "content-encoding": "gzip",
        "accept-encoding": "gzip, br, zstd",
        "te": "trailers",
        "keep-alive": "timeout=5",
        "proxy-authorization": "Basic eDp5",
        "expect": "100-continue",
    }
    status, _headers, answer = gateway.post(path, gzip.compress(body), sent)
    assert status == 200, answer
    (seen,) = fake.record
    assert seen.header("content-length") == str(len(seen.raw))
    assert seen.header("host") == fake.base_url.removeprefix("http://")
    assert seen.header("accept-encoding") == "identity"
    assert not names_of(fake) & {
        "content-encoding",
        "transfer-encoding",
        "te",
        "keep-alive",
        "proxy-authorization",
        "expect",
        "connection",
    }


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_hdr_09_what_tells_one_vendor_about_the_client_goes_to_no_other(
    gateway: Gateway, fake: FakeProvider, client: str, upstream: str
) -> None:
    path, body = request_of(client, f"{UPSTREAMS[upstream]}/m")
    status, _headers, answer = gateway.post(path, body, {**VERSION, **STRANGE})
    assert status == 200, answer
    allowed = OWN | {"x-api-key", "x-goog-api-key"}
    if upstream == A:
        allowed |= {"anthropic-version"}
    assert names_of(fake) <= allowed


@pytest.mark.parametrize("upstream", ALL)
def test_hdr_14_headers_of_codex_reach_a_provider_of_its_own_protocol(
    gateway: Gateway, fake: FakeProvider, upstream: str
) -> None:
    own = {
        "openai-beta": "responses=experimental",
        "session_id": "s-1",
        "x-codex-turn-state": "opaque",
        "x-codex-turn-metadata": '{"cwd":"/tmp/\u00e4\u65e5"}',
    }
    path, body = request_of(R, f"{UPSTREAMS[upstream]}/m")
    raw = [*({**own, "authorization": f"Bearer {KEY}"}).items(), ("content-length", str(len(body)))]
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in raw) + "\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    (seen,) = fake.record
    for name, value in own.items():
        found = seen.header(name)
        if upstream == R:
            assert found is not None, name
            assert value in (found, found.encode("latin-1").decode())
        else:
            assert found is None, name


# --------------------------------------------------------------------------------- towards the client


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_hdr_10_hdr_11_an_answer_has_our_headers(
    gateway: Gateway, fake: FakeProvider, client: str, upstream: str, stream: bool
) -> None:
    path, body = request_of(
        client, f"{UPSTREAMS[upstream]}/fake-text{'' if stream else '~gzip'}", stream=stream
    )
    sent = {**VERSION, "accept-encoding": "gzip, br"}
    status, headers, answer = gateway.post(path, body, sent)
    assert status == 200, answer
    assert b"Fake" in answer, "not compressed"
    assert not headers.keys() & {"set-cookie", "server", "content-encoding", "connection", "via"}
    if stream:
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-cache"
        assert headers["x-accel-buffering"] == "no"
        assert "content-length" not in headers
    else:
        assert headers["content-length"] == str(len(answer))
    if client != upstream:
        assert not [name for name in headers if name.startswith(("openai-", "anthropic-", "cf-"))]


# ---------------------------------------------------------------------------------------- other paths


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        pytest.param("HEAD", "/", {200}, id="a probe of the host"),
        pytest.param("GET", "/", {200}, id="the host"),
        pytest.param("GET", "/api/hello", {200, 404}, id="hello"),
        pytest.param("POST", "/api/event_logging/batch", {200, 404}, id="telemetry"),
        pytest.param("GET", "/api/oauth/usage", {200, 404}, id="the account's usage"),
        pytest.param("GET", "/api/claude_cli/bootstrap", {200, 404}, id="the start of Claude Code"),
        pytest.param("POST", "/v1/unheard-of", {404}, id="an unknown path"),
    ],
)
def test_auth_06_what_claude_code_asks_of_its_vendor_is_answered_here(
    gateway: Gateway, fake: FakeProvider, method: str, path: str, statuses: set[int]
) -> None:
    body = b"{}" if method == "POST" else None
    status, _headers, answer = gateway.request(method, path, body, {"x-api-key": KEY})
    assert status in statuses, answer
    assert KEY.encode() not in answer
    assert not list(fake.record), "nothing of it goes to a provider"


# -------------------------------------------------------------------------------------- native bodies

BILLING = "x-anthropic-billing-header: cc_version=2.1; cch=ab12"
NATIVE: dict[str, dict[str, Any]] = {
    C: {
        "messages": [{"role": "user", "content": "Hi", "x_future_part": [1.50]}],
        "quantum_mode": {"on": True},
    },
    R: {
        "input": [{"role": "user", "content": "Hi", "x_future_part": [1.50]}],
        "quantum_mode": {"on": True},
    },
    A: {
        "max_tokens": 100,
        "system": [{"type": "text", "text": BILLING}, {"type": "text", "text": "S"}],
        "messages": [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "thinking",
                        "thinking": " a\u2028\t\u00e9 \n",
                        "signature": "EqQB+/==",
                    },
                    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": 1e2, "a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": [{"type": "tool_reference", "tool_name": "f"}],
                    }
                ],
            },
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "defer_loading": True}],
        "quantum_mode": {"on": True},
    },
    G: {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "cachedContent": "cachedContents/a",
        "labels": {"team": "x"},
        "quantumMode": {"on": True},
    },
}


@pytest.mark.parametrize(
    "protocol",
    [
        pytest.param(C, id="PAR-15 chat"),
        pytest.param(R, id="PAR-15 responses"),
        pytest.param(A, id="SYS-16 RSN-01 RES-14 anthropic"),
        pytest.param(G, id="PAR-17 CAC-10 gemini"),
    ],
)
def test_at_home_every_byte_but_the_models_name_is_the_clients(
    gateway: Gateway, fake: FakeProvider, protocol: str
) -> None:
    """Whether the strict fake takes these fields does not matter: what it got does."""
    name = f"{UPSTREAMS[protocol]}/m"
    head = {} if protocol == G else {"model": name}
    raw = json.dumps({**NATIVE[protocol], **head}, indent=1, ensure_ascii=protocol != C).encode()
    path = PATHS.get(protocol, f"/v1beta/models/{name}:generateContent")
    gateway.post(path, raw, VERSION)
    (seen,) = fake.record
    assert seen.raw == raw.replace(json.dumps(name).encode(), b'"m"')


@pytest.mark.parametrize("upstream", ALL)
def test_rsn_25_no_beta_that_hides_thinking_is_ever_sent(
    gateway: Gateway, fake: FakeProvider, upstream: str
) -> None:
    """A Responses client that wants summaries gets them asked for, and the gateway adds no beta of its own."""
    body = {
        "model": f"{UPSTREAMS[upstream]}/fake-reasoning",
        "input": "Hi",
        "reasoning": {"effort": "high", "summary": "auto"},
    }
    sent = {"anthropic-beta": "redact-thinking-2026-02-12"}
    status, _headers, answer = gateway.post(PATHS[R], json.dumps(body).encode(), sent)
    assert status == 200, answer
    (seen,) = fake.record
    assert seen.header("anthropic-beta") is None
    if upstream == A:
        assert seen.body["thinking"]["display"] == "summarized"
    if upstream != C:
        [reasoning] = [item for item in json.loads(answer)["output"] if item["type"] == "reasoning"]
        assert reasoning["summary"][0]["text"]


@pytest.mark.parametrize("upstream", ALL)
def test_sys_06_both_spellings_of_the_system_text_are_counted(
    gateway: Gateway, fake: FakeProvider, upstream: str
) -> None:
    def count(**more: Any) -> int:
        body = {"model": f"{UPSTREAMS[upstream]}/m", "messages": TEXTS[A]["messages"], **more}
        path = "/v1/messages/count_tokens"
        status, _headers, answer = gateway.post(path, json.dumps(body).encode(), VERSION)
        assert status == 200, answer
        counted: int = json.loads(answer)["input_tokens"]
        return counted

    rules = "Follow these rules to the letter. " * 20
    for system in (rules, [{"type": "text", "text": rules}]):
        assert count(system=system) > count() + 50
