"""Where the WebSocket is switched off, Codex must hear 426 at once, in its own error shape, and goes on over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.providers import four_providers

UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-extensions": "permessage-deflate; client_max_window_bits",
    "openai-beta": "responses_websockets=2026-02-06",
}


@pytest.fixture(scope="module")
def gateway(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """A gateway that speaks HTTP only."""
    with Gateway(four_providers(shared_fake, websocket={"enabled": False})) as one:
        yield one


def get(gateway: Gateway, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
    """Status and error of a GET with the gateway's key."""
    key = {"authorization": f"Bearer {gateway.key}"}
    status, _headers, body = gateway.request("GET", path, None, key | headers, timeout_s=5)
    error: dict[str, Any] = json.loads(body)["error"]
    return status, error


@pytest.mark.parametrize("path", ["/v1/responses", "/responses", "/openai/v1/responses?x=1"])
def test_ws_01_an_upgrade_is_refused_so_that_codex_falls_back(gateway: Gateway, path: str) -> None:
    status, error = get(gateway, path, **UPGRADE)
    assert status == 426
    assert "POST" in error["message"]


def test_a_get_without_upgrade_is_a_wrong_method(gateway: Gateway) -> None:
    status, error = get(gateway, "/v1/responses")
    assert status == 405
    assert "POST" in error["message"]


def test_an_upgrade_without_a_key_is_refused_as_any_request(gateway: Gateway) -> None:
    status, _headers, _body = gateway.request("GET", "/v1/responses", None, dict(UPGRADE))
    assert status == 401


def test_the_connection_serves_the_fallback(gateway: Gateway, fake: FakeProvider) -> None:
    get(gateway, "/v1/responses", **UPGRADE)
    body = json.dumps({"model": "chat/m", "input": "Hi"}).encode()
    assert gateway.post("/v1/responses", body)[0] == 200
