"""The Responses API over a WebSocket: what clients send, and what a turn's answer looks like in messages. Pure.

A turn's events are those of a stream, one per text message; on a named lane (`stream_id`) each says which. Errors
that HTTP would answer with a status are `error` events that carry the status.
Reference: https://developers.openai.com/api/docs/guides/websocket-mode (read 2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from translators import ir
from translators.base import Call, Writing
from translators.errors import ErrorKind, GatewayError, invalid
from translators.losses import Losses, Side
from translators.openai_errors import render_error
from translators.openai_responses.encoder import Encoder
from translators.openai_responses.request import parse_request
from translators.openai_responses.stored import input_items
from translators.sse import Frame, SseParser
from translators.wire import Json, JsonObject, JsonSyntaxError, dumps, loads

CREATE: Final = "response.create"
STEER: Final = "response.steer"
IGNORED: Final = frozenset({"response.processed"})
"""Codex says that it has read an answer; nobody answers that."""
MAX_LANES: Final = 32
"""Named lanes of one socket, over its whole life."""
MAX_ACTIVE: Final = 16
"""Turns of one socket at the same time; more wait."""

_LANE: Final = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_ENVELOPE: Final = frozenset({"type", "stream_id", "generate", "background"})
"""What a `response.create` has beside the fields of a request over HTTP."""
_KEPT: Final = frozenset({"response.completed", "response.incomplete"})
_TERMINAL: Final = _KEPT | {"response.failed"}
_READ: Final = _TERMINAL | {"response.created", "response.output_item.done", "error"}
"""Events that are parsed; all others pass as they are."""
_FRAMING: Final = ("content-", "transfer-", "connection", "cache-control", "x-accel-")


def read_event(text: str) -> JsonObject:
    """One message of a client as an object with a `type`; errors are about the message as a whole."""
    try:
        event = loads(text)
    except JsonSyntaxError as error:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST,
            f"the message is not valid JSON: {error}",
            code="invalid_json",
        ) from error
    if not isinstance(event, dict):
        raise invalid("$", "an object", event)
    if not isinstance(event.get("type"), str):
        raise invalid("type", "a string", event.get("type"))
    return event


def lane_of(event: JsonObject) -> str | None:
    """The lane of a `response.create`; None = the one without a name."""
    if "stream_id" not in event:
        return None
    lane = event["stream_id"]
    if not isinstance(lane, str) or _LANE.fullmatch(lane) is None:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST,
            "stream_id: expected 1 to 256 letters, digits, underscores, hyphens and periods",
            path="stream_id",
            code="invalid_stream_id",
        )
    return lane


def request_body(event: JsonObject) -> JsonObject:
    """The body of the same request over HTTP."""
    if event.get("background"):
        raise GatewayError(
            ErrorKind.INVALID_REQUEST,
            "background: not possible over a WebSocket",
            path="background",
        )
    return {key: value for key, value in event.items() if key not in _ENVELOPE} | {"stream": True}


def new_items(body: JsonObject) -> list[JsonObject]:
    """The `input` of a turn as items: what cannot be one is refused here, since it may be joined to earlier ones."""
    given = body.get("input")
    for index, item in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(item, dict):
            raise invalid(f"input[{index}]", "an object", item)
    if not isinstance(given, str | list | None):
        raise invalid("input", "a string or an array", given)
    return input_items(given)


def generates(event: JsonObject) -> bool:
    """Whether an answer is wanted; False = only the state is to be prepared."""
    wanted = event.get("generate", True)
    if wanted is not None and not isinstance(wanted, bool):
        raise invalid("generate", "a boolean", wanted)
    return wanted is not False


def warmed_up(body: JsonObject, items: list[JsonObject], response_id: str, now_s: int) -> bytes:
    """The event stream of a request that generates nothing; refused if the request could not be answered."""
    call = Call(stream=True)
    whole = {k: v for k, v in body.items() if k != "previous_response_id"} | {"input": items}
    request = parse_request(whole, call, None)
    losses = Losses(side=Side.RESPONSE)
    encoder = Encoder(Writing(request=request, model=request.model, now_s=now_s, raw=body), losses)
    start = ir.MessageStart(id=response_id, model=request.model, created_s=now_s)
    return encoder.encode(start) + encoder.encode(ir.Finish(reason=ir.FinishReason.STOP))


# -- what the socket says


def error_event(
    status: int, error: JsonObject, lane: str | None, headers: Mapping[str, str] | None = None
) -> str:
    """An `error` event. Codex reads the headers beside the error, the SDK inside of it."""
    event: JsonObject = {"type": "error", "status": status, "error": error}
    if headers:
        event["error"] = {**error, "headers": dict(headers)}
        event["headers"] = dict(headers)
    return _text(dumps(event), lane)


def refusal(error: GatewayError, lane: str | None) -> str:
    """An error of ours as an `error` event."""
    reply = render_error(error, "")
    headers = {name: value for name, value in reply.headers.items() if value}
    return error_event(error.status or reply.status, reply.body["error"], lane, headers)


def http_error(status: int, headers: Mapping[str, str], body: bytes, lane: str | None) -> str:
    """An answer with an error status as an `error` event."""
    try:
        payload = loads(body)
    except JsonSyntaxError:
        payload = None
    told = payload.get("error") if isinstance(payload, dict) else None
    error = told if isinstance(told, dict) else {"message": str(told or f"HTTP status {status}")}
    error = {"type": "server_error" if status >= 500 else "invalid_request_error"} | error
    shown = {
        name.lower(): value
        for name, value in headers.items()
        if not name.lower().startswith(_FRAMING)
    }
    return error_event(status, {"code": None, "param": None, **error}, lane, shown)


def connection_limit(lifetime_s: float) -> GatewayError:
    """A socket has lived long enough. Clients know the code, and open a new one."""
    return GatewayError(
        ErrorKind.INVALID_REQUEST,
        f"Responses websocket connection limit reached ({lifetime_s / 60:g} minutes). "
        "Create a new websocket connection to continue.",
        code="websocket_connection_limit_reached",
    )


def lane_limit() -> GatewayError:
    """One lane too many."""
    return GatewayError(
        ErrorKind.INVALID_REQUEST,
        f"stream_id: this connection has used its {MAX_LANES} distinct values; "
        "use one of them again, or open a new connection",
        path="stream_id",
        code="websocket_stream_limit_reached",
    )


def steer_failed(event: JsonObject, lane: str | None) -> str:
    """The answer to a `response.steer`: no other provider's protocol can be steered."""
    previous, given = event.get("previous_response_id"), event.get("input")
    valid = isinstance(previous, str) and isinstance(given, str | list) and bool(given)
    failed: JsonObject = {
        "type": "response.steer.failed",
        "sequence_number": 0,
        "error": {
            "type": "invalid_request_error",
            "code": "steering_not_supported" if valid else "invalid_input",
            "message": "the gateway cannot steer a running response; send the input as a new turn"
            if valid
            else "previous_response_id and input are needed to steer a response",
        },
        "steer": {
            "previous_response_id": previous if isinstance(previous, str) else "",
            "input": given if isinstance(given, str | list) else "",
        },
    }
    return _text(dumps(failed), lane)


type Blame = Callable[[], GatewayError | None]


def nobody() -> GatewayError | None:
    """Nothing is known of what went wrong."""
    return None


class TurnEvents:
    """The event stream of one turn as messages, and what a later turn needs of it."""

    def __init__(self, lane: str | None) -> None:
        self.response_id = ""
        self.ended = False
        """The terminal event has come: exactly one per turn."""
        self.keepable = False
        """It ended well: a later turn may continue it."""
        self.size_bytes = 0
        """Of the output."""
        self._lane = lane
        self._parser = SseParser()
        self._items: dict[int, JsonObject] = {}
        self._output: list[JsonObject] = []

    @property
    def output(self) -> list[JsonObject]:
        """The output items; some upstreams leave them out of the terminal event (pitfalls STR-15)."""
        return self._output or [self._items[index] for index in sorted(self._items)]

    def feed(self, data: bytes, blame: Blame = nobody) -> list[str]:
        """The messages that a piece of the stream becomes; b"" = its end.

        `blame` tells the error behind a bare `error` event, which itself has no status.
        """
        frames = self._parser.feed(data) if data else self._parser.close()
        texts = []
        for frame in frames:
            if not self.ended and frame.data[:1] == b"{":
                texts.append(self._message(frame, blame))
        return texts

    def _message(self, frame: Frame, blame: Blame) -> str:
        kind = frame.event or ""
        if kind.startswith("response.") and kind not in _READ:
            return _text(frame.data, self._lane)  # the many: their names need no second look
        try:
            event = loads(frame.data)
        except JsonSyntaxError:
            return _text(frame.data, self._lane)
        kind = event.get("type")
        if kind == "error":
            self.ended = True
            return self._error(event, blame())
        if kind == "response.output_item.done":
            self._item(event.get("output_index"), event.get("item"), len(frame.data))
        response = event.get("response")
        if kind in _TERMINAL or kind == "response.created":
            self._respond(kind, response if isinstance(response, dict) else {})
        return _text(frame.data, self._lane)

    def _item(self, index: Json, item: Json, size_bytes: int) -> None:
        if isinstance(item, dict):
            self._items[index if isinstance(index, int) else len(self._items)] = item
            self.size_bytes += size_bytes

    def _respond(self, kind: str, response: JsonObject) -> None:
        told = response.get("id")
        if isinstance(told, str):
            self.response_id = told
        if kind in _TERMINAL:
            self.ended = True
            self.keepable = kind in _KEPT
            output = response.get("output")
            self._output = [item for item in output or () if isinstance(item, dict)]

    def _error(self, event: JsonObject, known: GatewayError | None) -> str:
        if known is not None:
            return refusal(known, self._lane)
        inner = event.get("error")
        told = inner if isinstance(inner, dict) else event
        error = {key: told.get(key) for key in ("code", "message", "param")}
        error["message"] = str(error["message"] or "the provider failed to answer")
        status = event.get("status")
        return error_event(
            status if isinstance(status, int) else 500,
            {"type": told.get("type") if told is inner else "server_error", **error},
            self._lane,
        )


def _text(data: bytes, lane: str | None) -> str:
    """A JSON object as a message; on a named lane it says so."""
    text = data.decode("utf-8", "replace")
    if lane is None:
        return text
    mark = f'{{"stream_id":"{lane}"'  # nothing in a lane's name needs escaping
    return mark + ("," if text[1:].lstrip() != "}" else "") + text[1:]
