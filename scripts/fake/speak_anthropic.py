"""Says a turn in Messages: the message object, the event stream, errors, model list.

Reference: https://platform.claude.com/docs/en/build-with-claude/streaming (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import orjson

from scripts.fake import signing
from scripts.fake.rejection import OVERLOADED, Rejection
from scripts.fake.rendering import call_item_id, named_frame, new_id, pieces
from scripts.fake.view import (
    Call,
    JsonObject,
    Part,
    Refuse,
    Say,
    Stream,
    Think,
    Turn,
    Usage,
    View,
)

SIGNED_AS: Final = "anthropic.thinking"
CALL_PREFIX: Final = "toolu_01"
REDACTED_AS: Final = "anthropic.redacted_thinking"
_STOP: Final = {
    "stop": "end_turn",
    "tool": "tool_use",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
}
_ERROR_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}
_REFUSAL: Final = {
    "type": "refusal",
    "category": None,
    "explanation": "This request was declined.",
}


def unary(turn: Turn, view: View) -> JsonObject:
    """The message object."""
    message = _message(turn, view)
    message["content"] = [
        _block(view, index, part, thought=_thought(turn)) for index, part in enumerate(turn.parts)
    ]
    message.update(_ending(turn))
    message["usage"] = _usage(turn.usage, turn.usage.output)
    return message


def stream(turn: Turn, view: View) -> Stream:
    """The events; `message_delta` and `message_stop` are the tail."""
    message = _message(turn, view)
    message["usage"] = _usage(turn.usage, 1)
    frames = [named_frame({"type": "message_start", "message": message})]
    for index, part in enumerate(turn.parts):
        frames.extend(_block_frames(turn, view, index, part))
        if not index:
            frames.insert(2, named_frame({"type": "ping"}))
    usage = _usage(turn.usage, turn.usage.output)
    if turn.usage_style != "normal":
        usage = {"output_tokens": turn.usage.output}
    delta = {"type": "message_delta", "delta": _ending(turn), "usage": usage}
    return Stream([*frames, named_frame(delta), named_frame({"type": "message_stop"})], 2)


def _thought(turn: Turn) -> bool:
    return any(isinstance(part, Think) for part in turn.parts)


def _block_frames(turn: Turn, view: View, index: int, part: Part) -> Iterator[bytes]:
    block = _block(view, index, part, thought=_thought(turn))
    start, deltas = _opened(block, part, turn.piece_chars)
    yield named_frame({"type": "content_block_start", "index": index, "content_block": start})
    for delta in deltas:
        yield named_frame({"type": "content_block_delta", "index": index, "delta": delta})
    yield named_frame({"type": "content_block_stop", "index": index})


def _opened(block: JsonObject, part: Part, size: int) -> tuple[JsonObject, list[JsonObject]]:
    """The block as `content_block_start` shows it, and the deltas that fill it."""
    match block["type"]:
        case "text":
            deltas = [
                {"type": "text_delta", "text": piece} for piece in pieces(block["text"], size)
            ]
            return {**block, "text": ""}, deltas
        case "thinking":
            deltas = [
                {"type": "thinking_delta", "thinking": piece}
                for piece in pieces(block["thinking"], size)
            ]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            return {**block, "thinking": "", "signature": ""}, deltas
        case "tool_use":
            text = part.arguments if isinstance(part, Call) else "{}"
            # A call without arguments comes as one empty fragment.
            chunks = ["", *pieces(text, size)] if block["input"] else [""]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in chunks]
            return {**block, "input": {}}, deltas
        case _:
            return block, []


def _block(view: View, index: int, part: Part, *, thought: bool) -> JsonObject:
    match part:
        case Say(text) | Refuse(text):
            return {"type": "text", "text": text, "citations": None}
        case Think(text):
            return _thinking(view, text)
        case Call():
            return {
                "type": "tool_use",
                "id": call_item_id(view, CALL_PREFIX, index, thought=thought, length=22),
                "name": part.offer.name,
                "input": orjson.loads(part.arguments or "{}"),
                "caller": {"type": "direct"},
            }


def _thinking(view: View, text: str) -> JsonObject:
    if text.startswith("redacted:"):
        data = signing.issue(REDACTED_AS, view.model, "", text)
        return {"type": "redacted_thinking", "data": data}
    shown = text if view.shows_thoughts else ""
    signature = signing.issue(SIGNED_AS, view.model, shown, text)
    return {"type": "thinking", "thinking": shown, "signature": signature}


def _message(turn: Turn, view: View) -> JsonObject:
    return {
        "id": new_id(view, "msg_01", length=22),
        "type": "message",
        "role": "assistant",
        "model": view.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
    }


def _ending(turn: Turn) -> JsonObject:
    return {
        "stop_reason": _STOP[turn.finish],
        "stop_sequence": turn.stopped_at,
        "stop_details": _REFUSAL if turn.finish in ("refusal", "filter") else None,
    }


def _usage(usage: Usage, output: int) -> JsonObject:
    return {
        "input_tokens": usage.input - usage.cache_read - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": min(usage.reasoning, output)},
        "service_tier": "standard",
    }


def error(rejection: Rejection) -> JsonObject:
    """Anthropic's error envelope."""
    kind = _ERROR_TYPES.get(rejection.status, "invalid_request_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": rejection.message},
        "request_id": "req_011CSfakefakefakefake",
    }


def stream_error(rejection: Rejection, view: View, sent: int) -> list[bytes]:
    """The `error` event; nothing follows it."""
    return [named_frame(error(rejection))]


def overflow(view: View) -> Rejection:
    """The prompt does not fit, in Anthropic's words."""
    tokens = max(200_001, view.size // 4)
    return Rejection(400, f"prompt is too long: {tokens} tokens > 200000 maximum", overflow=True)


def models(names: tuple[str, ...]) -> JsonObject:
    """The model list in Anthropic's shape."""
    return {
        "data": [model(name) for name in names],
        "has_more": False,
        "first_id": names[0] if names else None,
        "last_id": names[-1] if names else None,
    }


def model(name: str) -> JsonObject:
    """One entry of the model list."""
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "2026-10-01T00:00:00Z",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
    }


def count(tokens: int) -> JsonObject:
    """The answer of `/count_tokens`."""
    return {"input_tokens": tokens}


def not_found(name: str) -> Rejection:
    """A model that does not exist."""
    return Rejection(404, f"model: {name}")


def bad_key(key: str) -> Rejection:
    """A missing or wrong key, in Anthropic's words."""
    if not key:
        return Rejection(401, "x-api-key header is required")
    return Rejection(401, "invalid x-api-key")
