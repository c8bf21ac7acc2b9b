"""Streams through a real mitmdump: errors before the first byte, and answers of the wrong kind."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.conversation import Talk, events
from tests.support.gateway import Gateway
from tests.support.providers import PROVIDERS, four_providers

CLIENTS = tuple(PROVIDERS.values())
CHUNKS: list[dict[str, Any]] = [
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant"}}]},
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "Hi there"}}]},
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
]
WHOLE: dict[str, Any] = {
    "id": "c",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi there"},
            "finish_reason": "stop",
        }
    ],
}


class Contrary(BaseHTTPRequestHandler):
    """A Chat provider that streams to those who want one body, and the other way round."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        streamed = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in CHUNKS)
        body = (
            json.dumps(WHOLE).encode() if request.get("stream") else streamed + b"data: [DONE]\n\n"
        )
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture(scope="module")
def streams(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """The four providers and a contrary one."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Contrary)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    config = four_providers(shared_fake)
    config["providers"]["contrary"] = {
        "protocol": "openai_chat",
        "base_url": f"http://127.0.0.1:{server.server_address[1]}/v1",
        "api_key": "x",
    }
    with Gateway(config) as gateway:
        yield gateway
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("provider", ["chat", "claude", "gemini"])
@pytest.mark.parametrize("client", CLIENTS)
def test_str_31_an_error_as_the_first_event_is_a_status(
    streams: Gateway, fake: FakeProvider, client: str, provider: str
) -> None:
    talk = Talk.begin(client, f"{provider}/fake-error-first", stream=True)
    status, headers, body = talk.post(streams)
    assert status >= 400
    assert headers["content-type"].startswith("application/json")
    assert json.loads(body)["error"]


@pytest.mark.parametrize("client", CLIENTS)
def test_str_45_a_stream_for_who_wanted_one_body(
    streams: Gateway, fake: FakeProvider, client: str
) -> None:
    talk = Talk.begin(client, "contrary/m", stream=False)
    talk.turn(streams)
    assert talk.text == "Hi there"


@pytest.mark.parametrize("client", CLIENTS)
def test_str_46_one_body_for_who_wanted_a_stream(
    streams: Gateway, fake: FakeProvider, client: str
) -> None:
    talk = Talk.begin(client, "contrary/m", stream=True)
    answer = talk.turn(streams)
    assert talk.text == "Hi there"
    assert len(list(events(answer))) >= 1
    assert not answer.lstrip().startswith(b"{")
