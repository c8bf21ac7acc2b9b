"""Clients that put into names, keys and headers what means something else there, through a real mitmdump."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import KEY, Gateway
from tests.support.providers import four_providers

CHAT = "/v1/chat/completions"
TEXT = [{"role": "user", "content": "Hello"}]


def asked(gateway: Gateway, body: bytes, path: str = CHAT) -> tuple[int, dict[str, str], bytes]:
    """A POST with the gateway's key."""
    return gateway.request("POST", path, body, {"authorization": f"Bearer {KEY}"})


def exchanged(gateway: Gateway, head: bytes, body: bytes = b"") -> bytes:
    """What the gateway says to raw bytes."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client:
        client.sendall(head + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("chat/x\r\nset-cookie: a=b", id="a line of a header"),
        pytest.param("gemini/x\ny", id="a line break towards an upstream that has it in the path"),
        pytest.param("chat/\x00", id="a NUL"),
        pytest.param("gemini/../../files/x", id="a way out of the provider's path"),
        pytest.param("gemini/projects/p/./x", id="a dot as a folder"),
        pytest.param("chat/" + "x" * 1024, id="a name that is remembered, of any size"),
    ],
)
def test_a_name_that_means_something_else_in_a_header_or_path_is_refused(
    gateway: Gateway, fake: FakeProvider, model: str
) -> None:
    status, headers, body = asked(gateway, json.dumps({"model": model, "messages": TEXT}).encode())
    assert (status, json.loads(body)["error"]["param"]) == (400, "model")
    assert "set-cookie" not in headers
    assert not len(fake.record)


def test_a_name_in_a_path_is_held_to_the_same(gateway: Gateway, fake: FakeProvider) -> None:
    body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}).encode()
    path = "/v1beta/models/gemini%2f%2e%2e%2fx%0d%0ay:generateContent"
    status, _headers, _body = asked(gateway, body, path)
    assert status == 400
    assert not len(fake.record)


def test_a_name_with_other_letters_comes_back_in_the_header_as_it_was(gateway: Gateway) -> None:
    status, headers, _body = asked(
        gateway, json.dumps({"model": "chat/größe", "messages": TEXT}).encode()
    )
    assert status == 200
    assert headers["x-llmgate-model"].encode("latin-1").decode() == "chat/größe"


def test_a_line_break_in_a_path_makes_no_second_line_in_the_log(gateway: Gateway) -> None:
    status, _headers, _body = gateway.request(
        "GET", "/v1/models/a%0arequest_done%20forged=1", headers={"x-api-key": KEY}
    )
    assert status == 404
    assert "\nrequest_done forged=1" not in gateway.log
    assert "forged=1" in gateway.log


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(rb'{"mod\u0065l":"chat/m","messages":[%s]}', id="alone"),
        pytest.param(rb'{"model":"claude/n","mod\u0065l":"chat/m","messages":[%s]}', id="second"),
    ],
)
def test_an_escaped_model_key_is_swapped_like_any_other(
    gateway: Gateway, fake: FakeProvider, body: bytes
) -> None:
    status, _headers, _body = asked(gateway, body % json.dumps(TEXT[0]).encode())
    assert status == 200
    (seen,) = fake.record
    assert seen.body["model"] == "m"


def test_bytes_that_are_no_text_pass_in_a_header_as_they_are(
    gateway: Gateway, fake: FakeProvider
) -> None:
    body = json.dumps({"model": "claude/m", "max_tokens": 9, "messages": TEXT}).encode()
    answer = exchanged(
        gateway,
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: " + KEY.encode() + b"\r\n"
        b"anthropic-version: 2023-06-01\r\nidempotency-key: a\xff\xfe\r\n",
        body,
    )
    assert answer.startswith(b"HTTP/1.1 200"), answer
    (seen,) = fake.record
    values = [value for name, value in seen.headers if name.lower() == "idempotency-key"]
    assert [value.encode("latin-1", "surrogateescape") for value in values] == [b"a\xff\xfe"]


@pytest.mark.parametrize("path", ["/metrics", "/dashboard", "/dashboard/app.js", "/nowhere"])
def test_a_page_that_is_not_there_says_so(gateway: Gateway, path: str) -> None:
    status, _headers, body = gateway.request("GET", path)
    assert status == 404
    assert json.loads(body)["error"]["message"] == f"there is nothing at GET {path}"


@pytest.fixture(scope="module")
def tenants(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """A gateway without client keys and with one tenant."""
    providers = four_providers(shared_fake)
    config = {**providers, "client_keys": [], "namespaces": {"a": {"providers": {}}}}
    with Gateway(config) as gateway:
        yield gateway


@pytest.mark.parametrize(("namespace", "expected"), [("a", 200), ("other", 401), ("%2e%2e", 401)])
def test_the_generated_key_opens_no_namespace_that_is_not_configured(
    tenants: Gateway, namespace: str, expected: int
) -> None:
    key = (tenants.state / "token").read_text().strip()
    status, _headers, _body = tenants.request(
        "GET", f"/namespaces/{namespace}/v1/models", headers={"x-api-key": key}
    )
    assert status == expected
