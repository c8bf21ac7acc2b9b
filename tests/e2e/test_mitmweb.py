"""The exchange opened and read in mitmweb: the client's flow, and the attempt that went upstream."""

from __future__ import annotations

import http.client
import json
from typing import Any

from scripts.fake import DEFAULT_KEY, FakeProvider
from tests.support.gateway import KEY, Gateway, free_port
from tests.support.providers import four_providers

PASSWORD = "web-password"


def web(port: int, path: str) -> bytes:
    """A page of mitmweb."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {PASSWORD}"})
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, (response.status, body[:500])
        return body
    finally:
        connection.close()


def test_both_sides_of_a_translated_stream_can_be_read(fake: FakeProvider) -> None:
    port = free_port()
    options = (
        "--web-port", str(port), "--no-web-open-browser", "--set", f"web_password={PASSWORD}",
    )  # fmt: skip
    body = {
        "model": "chat/fake-text",
        "max_tokens": 50,
        "stream": True,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    with Gateway(four_providers(fake), program="mitmweb", options=options) as gate:
        status, _headers, answer = gate.post("/v1/messages", json.dumps(body).encode())
        assert status == 200
        flows: list[dict[str, Any]] = json.loads(web(port, "/flows"))
        by_path = {f["request"]["path"]: f for f in flows if f["request"]["method"] == "POST"}
        client, attempt = by_path["/v1/messages"], by_path["/v1/chat/completions"]
        assert json.loads(web(port, f"/flows/{client['id']}/request/content.data")) == body
        assert web(port, f"/flows/{client['id']}/response/content.data") == answer
        sent = json.loads(web(port, f"/flows/{attempt['id']}/request/content.data"))
        assert sent["model"] == "fake-text"
        assert attempt["comment"].startswith("attempt 1 of ")
        everything = json.dumps(flows)
        assert KEY not in everything
        assert DEFAULT_KEY not in everything
