"""What clients that have gone leave behind is freed at once: a real gateway whose garbage collector never looks."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator

import pytest
from websockets.sync.client import connect

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.providers import four_providers

PROBE = """
import collections, gc, json
from mitmproxy import http

def running():
    gc.disable()

def request(flow):
    if flow.request.path == "/probe":
        kinds = collections.Counter(type(one).__name__ for one in gc.get_objects())
        names = ("Exchange", "Try", "TranslatingRelay", "PassingRelay", "HTTPFlow", "GatewayStream",
                 "LocalSocket", "SocketLayer", "ResponsesSession", "ResponsesTurn", "TurnOutput")
        flow.response = http.Response.make(200, json.dumps({n: kinds[n] for n in names}).encode())
"""
LOOKS = 100
MODELS = ("chat/fake-text", "responses/fake-text", "claude/fake-text", "gemini/fake-text")


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    script = tmp_path_factory.mktemp("probe") / "probe.py"
    script.write_text(PROBE)
    with (
        FakeProvider.running() as fake,
        Gateway(four_providers(fake), scripts=(script,), options=("-q",)) as running,
    ):
        yield running


def held(gate: Gateway) -> dict[str, int]:
    """What the gateway holds, of what belongs to one client."""
    counts: dict[str, int] = json.loads(gate.request("GET", "/probe")[2])
    return counts


def over_http(gate: Gateway, model: str, *, leaves: bool) -> None:
    """Ask for a stream and read all of it, or its beginning."""
    body = json.dumps({"model": model, "input": "Hi", "store": False, "stream": True})
    headers = {"authorization": f"Bearer {gate.key}", "content-type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", gate.port)
    connection.request("POST", "/v1/responses", body, headers)
    answer = connection.getresponse()
    assert answer.read(10 if leaves else None)
    answer.close()
    connection.close()


def over_a_socket(gate: Gateway, model: str, *, leaves: bool) -> None:
    """Ask on a WebSocket and read all of the answer, or its beginning."""
    asked = {"type": "response.create", "model": model, "input": "Hi", "store": False}
    with connect(
        f"ws://127.0.0.1:{gate.port}/v1/responses",
        additional_headers={"authorization": f"Bearer {gate.key}"},
        proxy=None,
    ) as socket:
        socket.send(json.dumps(asked))
        told = str(socket.recv())
        while not leaves and '"response.completed"' not in told[:60]:
            told = str(socket.recv())
        if leaves:
            socket.socket.close()


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "stays"])
@pytest.mark.parametrize("ask", [over_http, over_a_socket])
def test_nothing_of_a_client_waits_for_the_garbage_collector(
    gate: Gateway, ask: Callable[..., None], leaves: bool
) -> None:
    held(gate)
    before = held(gate)
    for model in MODELS:
        ask(gate, model, leaves=leaves)
    for _ in range(LOOKS):
        if (left := held(gate)) == before:
            break
    assert left == before
