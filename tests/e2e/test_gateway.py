"""The request path through a real mitmdump: keys, bodies, headers, names, errors, pages."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import zstandard

from scripts.fake import DEFAULT_KEY, FakeProvider
from tests.support.gateway import KEY, Gateway, free_port
from tests.support.providers import four_providers, provider

HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai_chat": ("/v1/chat/completions", HELLO),
    "openai_responses": ("/v1/responses", {"input": "Hi"}),
    "anthropic": ("/v1/messages", {"max_tokens": 50, **HELLO}),
    "gemini": (
        "/v1beta/models/MODEL:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    ),
}
OWN = {
    "openai_chat": "chat",
    "openai_responses": "responses",
    "anthropic": "claude",
    "gemini": "gemini",
}
VERSION = {"anthropic-version": "2023-06-01"}


def call(protocol: str, model: str, **more: Any) -> tuple[str, bytes]:
    """Path and body of a small request."""
    path, body = REQUESTS[protocol]
    if protocol == "gemini":
        return path.replace("MODEL", model), json.dumps({**body, **more}).encode()
    return path, json.dumps({"model": model, **body, **more}).encode()


def error_of(protocol: str, body: bytes) -> dict[str, Any]:
    """The error object, after checking that it has the protocol's shape."""
    payload = json.loads(body)
    if protocol == "anthropic":
        assert payload["type"] == "error"
        assert payload["request_id"].startswith("req_")
    error: dict[str, Any] = payload["error"]
    wanted = {
        "openai_chat": {"message", "type", "param", "code"},
        "openai_responses": {"message", "type", "param", "code"},
        "anthropic": {"type", "message"},
        "gemini": {"code", "message", "status"},
    }[protocol]
    assert wanted <= set(error), error
    return error


@pytest.mark.parametrize(
    ("path_suffix", "headers"),
    [
        ("", {"authorization": f"Bearer {KEY}"}),
        ("", {"x-api-key": KEY}),
        ("", {"api-key": KEY}),
        ("", {"x-goog-api-key": KEY}),
        (f"?key={KEY}", {}),
    ],
    ids=["bearer", "x-api-key", "api-key", "x-goog-api-key", "query"],
)
def test_hdr_05_five_forms_of_the_key_and_none_goes_upstream(
    gateway: Gateway, fake: FakeProvider, path_suffix: str, headers: dict[str, str]
) -> None:
    path, body = call("anthropic", "chat/fake-text")
    sent = {
        **headers,
        **VERSION,
        "cookie": "session=1",
        "x-stainless-os": "Linux",
        "x-forwarded-for": "10.0.0.1",
        "originator": "test",
    }
    status, _headers, _body = gateway.request("POST", path + path_suffix, body, sent)
    assert status == 200
    (seen,) = fake.record
    assert seen.header("authorization") == f"Bearer {DEFAULT_KEY}"
    names = {name.lower() for name, _value in seen.headers}
    assert names == {
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    }
    assert KEY not in str(seen.headers)


@pytest.mark.parametrize("protocol", REQUESTS)
def test_a_missing_or_wrong_key_is_refused_in_the_clients_protocol(
    gateway: Gateway, fake: FakeProvider, protocol: str
) -> None:
    path, body = call(protocol, "chat/m")
    for headers in ({}, {"authorization": "Bearer wrong"}):
        status, _headers, answer = gateway.request("POST", path, body, headers)
        assert status in (400, 401)
        error_of(protocol, answer)
    assert not list(fake.record)


def test_conflicting_keys_are_400(gateway: Gateway, fake: FakeProvider) -> None:
    path, body = call("anthropic", "chat/m")
    headers = {"authorization": f"Bearer {KEY}", "x-api-key": "another"}
    status, _headers, answer = gateway.request("POST", path, body, headers)
    assert status == 400
    message = error_of("anthropic", answer)["message"]
    assert "conflicting" in message
    assert KEY not in message


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_enc_01_compressed_requests(gateway: Gateway, fake: FakeProvider, encoding: str) -> None:
    path, body = call("openai_responses", "chat/fake-text")
    packed = gzip.compress(body) if encoding == "gzip" else zstandard.compress(body)
    status, _headers, _answer = gateway.post(path, packed, {"content-encoding": encoding})
    assert status == 200
    (seen,) = fake.record
    assert seen.header("content-encoding") is None
    assert seen.body["messages"][-1]["content"] == "Hi"


@pytest.mark.parametrize("protocol", REQUESTS)
def test_same_protocol_passes_the_bytes_but_for_the_model(
    gateway: Gateway, fake: FakeProvider, protocol: str
) -> None:
    path, body = call(protocol, f"{OWN[protocol]}/fake-text")
    odd = body.replace(b'"Hi"', b'"Hi \\u00e9"').replace(b"{", b"{ ", 1)
    status, _headers, answer = gateway.post(path, odd, VERSION)
    assert status == 200
    (seen,) = fake.record
    expected = odd.replace(f"{OWN[protocol]}/fake-text".encode(), b"fake-text")
    assert seen.raw == expected
    payload = json.loads(answer)
    name = payload.get("modelVersion") or payload.get("model")
    assert name == f"{OWN[protocol]}/fake-text"
    assert "input_tokens=" in gateway.log.splitlines()[-1] or "input_tokens=" in gateway.log


@pytest.mark.parametrize("protocol", REQUESTS)
def test_bad_json_names_the_position(gateway: Gateway, fake: FakeProvider, protocol: str) -> None:
    path, _body = call(protocol, "chat/m")
    status, _headers, answer = gateway.post(path, b'{"model": "m",\n  "x": }', VERSION)
    assert status == 400
    assert "line 2, column 8" in error_of(protocol, answer)["message"]
    assert not list(fake.record)


@pytest.mark.parametrize("protocol", REQUESTS)
def test_mdl_08_an_unknown_model_is_404_and_names_the_known_ones(
    gateway: Gateway, protocol: str
) -> None:
    path, body = call(protocol, 'no"body')
    status, _headers, answer = gateway.post(path.replace('"', "%22"), body, VERSION)
    assert status == 404
    assert "is not known here" in error_of(protocol, answer)["message"]


@pytest.mark.parametrize("protocol", REQUESTS)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_an_unreachable_upstream(protocol: str, stream: bool, tmp_path: Path) -> None:
    config = {
        "providers": {
            "dead": {
                "protocol": "openai_chat",
                "base_url": f"http://127.0.0.1:{free_port()}/v1",
                "api_key": "k",
            }
        },
        "retry": {"max_attempts": 1},
    }
    path, body = call(protocol, "dead/m")
    if stream:
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
        if protocol != "gemini":
            body = json.dumps({**json.loads(body), "stream": True}).encode()
    with Gateway(config) as gate:
        status, headers, answer = gate.post(path, body, VERSION)
    assert status in (500, 502, 503)
    assert headers["content-type"] == "application/json"
    assert "could not connect to the provider" in error_of(protocol, answer)["message"]


def test_the_providers_refusal_of_our_key_is_not_the_clients_401(fake: FakeProvider) -> None:
    wrong = {**provider(fake, "openai_chat"), "api_key": "sk-wrong-secret-1234567890"}
    path, body = call("anthropic", "chat/m")
    with Gateway({"providers": {"chat": wrong}, "retry": {"max_attempts": 1}}) as gate:
        status, _headers, answer = gate.post(path, body, VERSION)
        assert "sk-wrong-secret" not in gate.log
    assert status == 502
    message = error_of("anthropic", answer)["message"]
    assert "credential" in message
    assert "sk-wrong-secret" not in message


def test_the_providers_refusal_of_the_clients_own_key_is_a_401(fake: FakeProvider) -> None:
    theirs = {**provider(fake, "openai_chat"), "auth": "client"}
    del theirs["api_key"]
    path, body = call("anthropic", "chat/m")
    with Gateway({"providers": {"chat": theirs}, "retry": {"max_attempts": 1}}) as gate:
        keys = {"x-llmgate-key": gate.key, "authorization": "Bearer sk-mine-and-wrong"}
        status, _headers, answer = gate.post(path, body, {**VERSION, **keys})
    assert status == 401
    assert error_of("anthropic", answer)["type"] == "authentication_error"


def test_an_alias_and_a_pattern(fake: FakeProvider) -> None:
    config = four_providers(fake, models={"fast": "chat/fake-text", "claude-*": "gemini/fake-text"})
    with Gateway(config) as gate:
        for model in ("fast", "claude-haiku-9"):
            path, body = call("anthropic", model)
            status, _headers, answer = gate.post(path, body, VERSION)
            assert status == 200
            assert json.loads(answer)["model"] == model
    assert [seen.protocol for seen in fake.record] == ["openai_chat", "gemini"]


def test_without_client_keys_one_is_made(fake: FakeProvider) -> None:
    with Gateway(four_providers(fake, client_keys=[])) as gate:
        token = gate.home / "state" / "token"
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        path, body = call("anthropic", "chat/fake-text")
        headers = {"x-api-key": token.read_text().strip(), **VERSION}
        assert gate.request("POST", path, body, headers)[0] == 200
        assert gate.request("POST", path, body, {"x-api-key": "guess"})[0] == 401
        assert token.read_text().strip() not in gate.log


def test_no_secret_in_logs_and_flow_files(fake: FakeProvider, tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    config = four_providers(fake)
    with Gateway(config, options=("-w", str(flows), "--flow-detail", "4")) as gate:
        for protocol in REQUESTS:
            for target in ("chat", "gemini"):
                path, body = call(protocol, f"{target}/fake-text")
                assert gate.post(path, body, VERSION)[0] == 200
        path, body = call("gemini", "gemini/fake-text")
        assert gate.request("POST", f"{path}?key={KEY}", body)[0] == 200
        log = gate.log
    for secret in (KEY, DEFAULT_KEY):
        assert secret not in log
        assert secret.encode() not in flows.read_bytes()


def test_health_is_open_and_lists_need_a_key(gateway: Gateway) -> None:
    status, _headers, body = gateway.request("GET", "/health")
    assert status == 200
    assert json.loads(body)["status"] == "ok"
    assert gateway.request("HEAD", "/")[0] == 200
    assert gateway.request("GET", "/v1/models")[0] == 401


def test_model_lists_in_the_callers_shape(fake: FakeProvider) -> None:
    config = four_providers(fake, models={"fast": "chat/fake-text", "big": "claude/fake-text"})
    auth = {"authorization": f"Bearer {KEY}"}
    with Gateway(config) as gate:
        openai = json.loads(gate.request("GET", "/v1/models", headers=auth)[2])
        assert openai["object"] == "list"
        assert [entry["id"] for entry in openai["data"]] == ["fast", "big"]
        anthropic = json.loads(gate.request("GET", "/v1/models?limit=1", headers=auth | VERSION)[2])
        assert (anthropic["has_more"], anthropic["last_id"]) == (True, "fast")
        assert anthropic["data"][0]["type"] == "model"
        gemini = json.loads(gate.request("GET", "/v1beta/models", headers=auth)[2])
        assert gemini["models"][0]["name"] == "models/fast"
        one = gate.request("GET", "/v1/models/big", headers=auth)
        assert json.loads(one[2])["id"] == "big"
        assert gate.request("GET", "/v1/models/none", headers=auth)[0] == 404


def test_a_bad_configuration_stops_the_start_with_file_line_and_key(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError) as caught,
        Gateway(
            {"providers": {"x": {"protocol": "openai_chat", "base_url": "http://h/v1", "kye": 1}}}
        ),
    ):
        pass
    message = str(caught.value)
    assert "llmgate.yaml:" in message
    assert "providers.x.kye" in message


@pytest.mark.parametrize("upstream", ["claude", "chat"])
@pytest.mark.parametrize(
    ("mode", "wanted"), [("max_compat", 200), ("balanced", 400), ("strict", 400)]
)
def test_only_max_compat_does_without_the_version_of_an_anthropic_client(
    gateway: Gateway, fake: FakeProvider, upstream: str, mode: str, wanted: int
) -> None:
    path, body = call("anthropic", f"{upstream}/m")
    status, _headers, answer = gateway.post(path, body, {"x-llmgate-mode": mode})
    assert status == wanted
    if wanted == 200:
        assert [seen.verdict for seen in fake.record] == ["accepted"]
    else:
        assert "anthropic-version" in error_of("anthropic", answer)["message"]
        assert not fake.record
