"""The official OpenAI SDK over a WebSocket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.providers import PROVIDERS
from tests.support.sdk import UPSTREAMS

LOOK_UP: Any = {
    "type": "function",
    "name": "look_up",
    "description": "Look something up.",
    "parameters": {
        "type": "object",
        "properties": {"query": {"type": "string"}},
        "required": ["query"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.fixture
def connection(gateway: Gateway) -> Iterator[Any]:
    """A connection of the SDK."""
    client = openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=20
    )
    options: Any = {"proxy": None}
    with (
        client,
        client.responses.connect(websocket_connection_options=options, max_retries=0) as one,
    ):
        yield one


def finished(connection: Any) -> Response:
    """Read one turn to its end."""
    for event in connection:
        if event.type in ("response.failed", "error"):
            raise AssertionError(event)
        if event.type in ("response.completed", "response.incomplete"):
            response: Response = event.response
            return response
    raise AssertionError("the connection was closed")


@pytest.mark.parametrize("up", UPSTREAMS)
def test_a_call_and_its_result(connection: Any, fake: FakeProvider, up: str) -> None:
    fake.play("tool")
    model = f"{up}/test-model"
    connection.response.create(model=model, input="Do it.", tools=[LOOK_UP], store=False)
    first = finished(connection)
    call = next(item for item in first.output if item.type == "function_call")
    connection.response.create(
        model=model,
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "found it"}],
        tools=[LOOK_UP],
        store=False,
    )
    assert "found it" in finished(connection).output_text
    assert [(seen.protocol, seen.verdict) for seen in fake.record] == [
        (PROVIDERS[up], "accepted")
    ] * 2


def test_warming_and_lanes(connection: Any, fake: FakeProvider) -> None:
    model = "claude/test-model"
    connection.response.create(model=model, input="Hi", generate=False, stream_id="a", store=False)
    warmed = finished(connection)
    connection.response.create(
        model=model, input="So?", previous_response_id=warmed.id, stream_id="b", store=False
    )
    events = []
    for event in connection:
        events.append(event)
        if event.type == "response.completed":
            break
    assert {event.stream_id for event in events} == {"b"}
    assert len(fake.record) == 1


def test_an_error_is_typed(connection: Any, fake: FakeProvider) -> None:
    connection.response.create(model="chat/fake-status-429~retry_after=3", input="Hi")
    error = connection.recv()
    assert (error.type, error.status) == ("error", 429)
    assert error.error.headers["retry-after"] == "3"
    connection.response.create(model="chat/fake-text", input="Hi")
    assert finished(connection).output_text == "Fake answer to: Hi"


def test_steering_is_refused_with_its_own_event(connection: Any, fake: FakeProvider) -> None:
    connection.send({"type": "response.steer", "previous_response_id": "resp_1", "input": "Stop"})
    event = connection.recv()
    assert event.type == "response.steer.failed"
    assert event.steer.input == "Stop"
