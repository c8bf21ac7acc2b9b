"""Pitfalls, group 23: odd providers, where no preset alone answers for them (tests/config/test_presets.py)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.crossfire import (
    ALL,
    A,
    C,
    R,
    chat,
    decoded,
    fragment,
    is_error,
    raises,
    sse,
    told,
    whole,
)
from tests.support.crossing import parse_body
from tests.support.gateway import Gateway
from translators import PROTOCOLS, ir
from translators.base import Target
from translators.losses import Losses
from translators.profile import Echo, ModelProfile

# --------------------------------------------------------------------------------------------- Azure

DEPLOYMENT = "/openai/deployments/gpt"
FILTERED = {
    "error": {
        "message": "The response was filtered by the content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"violence": {"filtered": True, "severity": "high"}},
        },
    }
}


class Azure(BaseHTTPRequestHandler):
    """Notes what it is asked, and refuses what its policy filters."""

    protocol_version = "HTTP/1.1"
    seen: tuple[str, dict[str, str]] = ("", {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        type(self).seen = (self.path, headers)
        body = json.dumps(FILTERED).encode()
        self.send_response(400)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the test's terminal."""


@pytest.fixture(scope="module")
def azure() -> Iterator[Gateway]:
    """A gateway in front of a deployment with a dated version."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Azure)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    entry = {
        "protocol": "openai_chat",
        "base_url": f"http://127.0.0.1:{server.server_address[1]}{DEPLOYMENT}",
        "query": {"api-version": "2024-10-21"},
        "auth": "api-key",
        "api_key": "azure-key",
    }
    with Gateway({"providers": {"azure": entry}, "retry": {"max_attempts": 1}}) as gateway:
        yield gateway
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/chat/completions?api-version=1", {"messages": [{"role": "user", "content": "Hi"}]}),
    ],
    ids=["from another protocol", "at home"],
)
def test_prv_09_path_version_key_and_refusals_of_azure(
    azure: Gateway, path: str, body: dict[str, Any]
) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    sent = json.dumps({**body, "model": "azure/gpt"}).encode()
    status, _headers, answer = azure.post(path, sent, headers)
    asked, given = Azure.seen
    assert asked == f"{DEPLOYMENT}/chat/completions?api-version=2024-10-21"
    assert given["api-key"] == "azure-key"
    assert "authorization" not in given
    assert status == 400
    assert "content management policy" in json.loads(answer)["error"]["message"]


# ---------------------------------------------------------------------------------------- OpenRouter

PROCESSING = b": OPENROUTER PROCESSING\n\n"
DETAIL = {
    "type": "reasoning.text",
    "text": "T",
    "signature": "sig",
    "id": "r1",
    "format": "anthropic-claude-v1",
    "index": 0,
}


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("said", [{"error": {"code": 502, "message": "went away"}}, {}])
def test_prv_12_a_finish_reason_error_is_an_error(client: str, said: dict[str, Any]) -> None:
    data = PROCESSING + sse(chat({"content": "Par"}), chat({}, "error", **said), "[DONE]")
    result = told(C, client, data)
    assert is_error(client, result.frames)
    assert not said or "went away" in json.dumps(result.frames[-1])
    message = {"message": {"content": "Par"}, "finish_reason": "error", **said}
    raises(whole, C, client, {"choices": [message]})


@pytest.mark.parametrize("client", [R, A])
def test_prv_12_reasoning_details_come_back_as_they_were(client: str) -> None:
    message = {"content": "Hi", "reasoning": "T", "reasoning_details": [DETAIL]}
    answer = whole(C, client, {"choices": [{"message": message, "finish_reason": "stop"}]})
    ask = {"role": "user", "content": "Hi"}
    if client == A:
        turns = [ask, {"role": "assistant", "content": answer["content"]}, ask]
        body: dict[str, Any] = {"model": "m", "max_tokens": 99, "messages": turns}
    else:
        body = {"model": "m", "input": [ask, *answer["output"], ask]}
    target = Target(provider="up", model="m", profile=ModelProfile(reasoning_echo=Echo.ALLOWED))
    sent = PROTOCOLS[C].render_request(parse_body(client, body), target, Losses()).body
    assert sent["messages"][1]["reasoning_details"] == [DETAIL]


# -------------------------------------------------------------------------------------- local servers


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("client", [R, A])
def test_prv_15_reasoning_under_either_name(client: str, field: str) -> None:
    data = sse(chat({field: "T"}), chat({"content": "Hi"}), chat({}, "stop"), "[DONE]")
    result = told(C, client, data)
    [thought] = [part for part in result.answer.parts if isinstance(part, ir.Reasoning)]
    assert (thought.text, result.text) == ("T", "Hi")


@pytest.mark.parametrize("client", ALL)
def test_prv_15_calls_without_ids_and_with_a_plain_stop(client: str) -> None:
    """A call decides why the answer ended, whatever word the server has for it."""
    data = sse(chat(fragment(name="f", arguments="{}")), chat({}, "stop"), "[DONE]")
    last = decoded(C, [data])[-1]
    assert isinstance(last, ir.Finish)
    assert last.reason is ir.FinishReason.TOOL_CALLS
    [call] = [part for part in told(C, client, data).answer.parts if isinstance(part, ir.ToolCall)]
    assert (call.name, call.arguments) == ("f", "{}")
    assert call.call_id
