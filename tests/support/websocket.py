"""A client of the Responses API over a WebSocket, as strict as the official SDK's types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter
from websockets.sync.client import ClientConnection, connect

from tests.support.gateway import Gateway

PATIENCE_S = 20.0
TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")
_EVENT: TypeAdapter[Any] = TypeAdapter(ResponsesServerEvent)


class Socket:
    """One connection; `turn` sends a request and reads its answer to the end."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def create(self, model: str, said: Any, **fields: Any) -> None:
        """Send a `response.create`."""
        event = {"type": "response.create", "model": model, "input": said, "store": False}
        self.connection.send(json.dumps(event | fields))

    def event(self) -> dict[str, Any]:
        """The next event, which has the form that the SDK expects."""
        event: dict[str, Any] = json.loads(self.connection.recv(timeout=PATIENCE_S))
        _EVENT.validate_python(event)
        return event

    def answer(self, until: Callable[[dict[str, Any]], bool] | None = None) -> list[dict[str, Any]]:
        """All events up to a terminal one, or the one that is waited for."""
        ended = until or (lambda event: event["type"] in TERMINAL)
        events = [self.event()]
        while not ended(events[-1]):
            events.append(self.event())
        return events

    def turn(self, model: str, said: Any, **fields: Any) -> dict[str, Any]:
        """The final response object of one turn, which is also what its events say."""
        self.create(model, said, **fields)
        events = self.answer()
        assert [e["type"] for e in events[:2]] == ["response.created", "response.in_progress"], (
            events
        )
        assert [e["sequence_number"] for e in events] == list(range(len(events)))
        last = events[-1]
        assert last["type"] in ("response.completed", "response.incomplete"), last
        response: dict[str, Any] = last["response"]
        assert response["id"] == events[0]["response"]["id"]
        return response

    def error(self) -> dict[str, Any]:
        """The next event, which is an error."""
        event = self.event()
        assert event["type"] == "error", event
        return event


def text_of(response: dict[str, Any]) -> str:
    """What an answer says."""
    parts = [p for i in response["output"] if i["type"] == "message" for p in i["content"]]
    return "".join(part.get("text", "") for part in parts)


@contextmanager
def opened(
    gateway: Gateway, path: str = "/v1/responses", key: str | None = None, **options: Any
) -> Iterator[Socket]:
    """An open socket with the gateway's key."""
    given = {"authorization": f"Bearer {key or gateway.key}"} | options.pop("headers", {})
    headers = {name: value for name, value in given.items() if value}
    url = f"ws://127.0.0.1:{gateway.port}{path}"
    with connect(
        url, additional_headers=headers, proxy=None, max_size=None, **options
    ) as connection:
        yield Socket(connection)
