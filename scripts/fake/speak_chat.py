"""Says a turn in Chat Completions: the whole object, the chunks, errors, model list.

Reference: https://platform.openai.com/docs/api-reference/chat (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from scripts.fake.read_chat import sends_reasoning_text
from scripts.fake.rejection import Rejection
from scripts.fake.rendering import CREATED, data_frame, new_id, pieces, token_logprobs
from scripts.fake.view import (
    Call,
    JsonObject,
    Refuse,
    Say,
    Stream,
    Think,
    Turn,
    Usage,
    View,
)

DONE: Final = b"data: [DONE]\n\n"
_FINISH: Final = {
    "stop": "stop",
    "tool": "tool_calls",
    "length": "length",
    "stop_sequence": "stop",
    "filter": "content_filter",
    "refusal": "stop",
}
_ERROR_TYPES: Final = {
    429: "rate_limit_error",
    500: "server_error",
    503: "service_unavailable_error",
    529: "service_unavailable_error",
}
_ERROR_CODES: Final = {
    401: "invalid_api_key",
    429: "rate_limit_exceeded",
    503: "overloaded",
    529: "overloaded",
}
OVERFLOW: Final = (
    "This model's maximum context length is 128000 tokens. However, your messages resulted in "
    "{tokens} tokens. Please reduce the length of the messages."
)


def unary(turn: Turn, view: View) -> JsonObject:
    """The `chat.completion` object."""
    message: JsonObject = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    calls: list[JsonObject] = []
    for index, part in enumerate(turn.parts):
        match part:
            case Say(text):
                message["content"] = (message["content"] or "") + text
            case Refuse(text):
                message["refusal"] = text
            case Think(text):
                if sends_reasoning_text(view.model):
                    message["reasoning_content"] = text
            case Call():
                calls.append(_call(view, index, part, part.arguments))
    if calls:
        message["tool_calls"] = calls
    finish = _FINISH[turn.finish]
    said = _logprobs(view, message["content"], turn.piece_chars)
    choice = {"message": message, "logprobs": said, "finish_reason": finish}
    choices = [{"index": index, **choice} for index in range(view.body.get("n") or 1)]
    answer = {**_head(view, "chat.completion"), "choices": choices}
    if turn.usage_style != "none":
        answer["usage"] = _usage(turn.usage)
    return answer


def stream(turn: Turn, view: View) -> Stream:
    """The chunks: role first, deltas, finish, usage when asked for, `[DONE]`."""
    head = _head(view, "chat.completion.chunk")
    nulls = {"usage": None} if view.include_usage else {}
    places = range(view.body.get("n") or 1)
    frames = [
        _chunk(
            head,
            delta,
            nulls,
            said=_logprobs(view, delta.get("content"), turn.piece_chars),
            index=index,
        )
        for delta in ({"role": "assistant", "content": ""}, *_deltas(turn, view))
        for index in places
    ]
    usage = _usage(turn.usage)
    last: JsonObject = {"usage": usage} if turn.usage_style == "finish" else nulls
    tail = [_chunk(head, {}, last, _FINISH[turn.finish], index=index) for index in places]
    if view.include_usage and turn.usage_style == "normal":
        tail.append(data_frame({**head, "choices": [], "usage": usage}))
    tail.append(DONE)
    if view.include_usage and turn.usage_style == "late":
        tail.append(data_frame({**head, "choices": [], "usage": usage}))
    return Stream(frames + tail, len(tail))


def _deltas(turn: Turn, view: View) -> Iterator[JsonObject]:
    ordinal = -1
    for index, part in enumerate(turn.parts):
        match part:
            case Say(text):
                yield from ({"content": piece} for piece in pieces(text, turn.piece_chars))
            case Refuse(text):
                yield from ({"refusal": piece} for piece in pieces(text, turn.piece_chars))
            case Think(text):
                if sends_reasoning_text(view.model):
                    for piece in pieces(text, turn.piece_chars):
                        yield {"content": None, "reasoning_content": piece}
            case Call():
                ordinal += 1
                yield {"tool_calls": [{"index": ordinal, **_call(view, index, part, "")}]}
                kind, key = (
                    ("custom", "input") if part.offer.freeform else ("function", "arguments")
                )
                for piece in pieces(part.arguments, turn.piece_chars):
                    yield {"tool_calls": [{"index": ordinal, kind: {key: piece}}]}


def _head(view: View, kind: str) -> JsonObject:
    return {
        "id": new_id(view, "chatcmpl-"),
        "object": kind,
        "created": CREATED,
        "model": view.model,
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }


def _chunk(
    head: JsonObject,
    delta: JsonObject,
    more: JsonObject,
    finish: str | None = None,
    said: JsonObject | None = None,
    *,
    index: int = 0,
) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": said, "finish_reason": finish}
    return data_frame({**head, "choices": [choice], **more, "obfuscation": "Zq3"})


def _logprobs(view: View, text: str | None, size: int) -> JsonObject | None:
    """Of visible text, when they were asked for."""
    if not text or not view.body.get("logprobs"):
        return None
    return {"content": token_logprobs(text, size), "refusal": None}


def _call(view: View, index: int, call: Call, arguments: str) -> JsonObject:
    identity = new_id(view, "call_", index)
    if call.offer.freeform:
        custom = {"name": call.offer.name, "input": arguments}
        return {"id": identity, "type": "custom", "custom": custom}
    function = {"name": call.offer.name, "arguments": arguments}
    return {"id": identity, "type": "function", "function": function}


def _usage(usage: Usage) -> JsonObject:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def error(rejection: Rejection) -> JsonObject:
    """OpenAI's error envelope."""
    status = rejection.status
    return {
        "error": {
            "message": rejection.message,
            "type": _ERROR_TYPES.get(status, "invalid_request_error"),
            "param": rejection.param,
            "code": rejection.code or _ERROR_CODES.get(status),
        }
    }


def stream_error(rejection: Rejection, view: View, sent: int) -> list[bytes]:
    """An error inside a 200 stream: one `data:` event, no finish reason, no `[DONE]`."""
    return [data_frame(error(rejection))]


def overflow(view: View) -> Rejection:
    """The prompt does not fit, in OpenAI's words."""
    message = OVERFLOW.format(tokens=max(128_001, view.size // 4))
    return Rejection(400, message, param="messages", code="context_length_exceeded", overflow=True)


def models(names: tuple[str, ...]) -> JsonObject:
    """The model list in OpenAI's shape."""
    return {"object": "list", "data": [model(name) for name in names]}


def model(name: str) -> JsonObject:
    """One entry of the model list."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "fake"}


def count(tokens: int) -> JsonObject:
    """Chat has no token counting; the Responses form is the nearest."""
    return {"object": "response.input_tokens", "input_tokens": tokens}


def not_found(name: str) -> Rejection:
    """A model that does not exist."""
    message = f"The model `{name}` does not exist or you do not have access to it."
    return Rejection(404, message, code="model_not_found")


def bad_key(key: str) -> Rejection:
    """A missing or wrong key, in OpenAI's words; the key is masked as there."""
    if not key:
        return Rejection(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization "
            "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    message = (
        f"Incorrect API key provided: {key[:2]}***. You can find your API key in the dashboard."
    )
    return Rejection(401, message)
