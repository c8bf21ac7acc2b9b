"""A second opinion on request bodies: the request types of the official SDKs, where those are installed.

Only tests ask for it. The SDKs' types are looser than the providers, so what they complain about is surely wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

type Body = dict[str, Any]


def complaints(protocol: str, body: Body) -> list[str]:
    """What the SDK's types say against this body, as `sdk: path: message`; `ImportError` without the SDK."""
    return [f"sdk: {text}" for text in _JUDGES[protocol](body)]


def _chat(body: Body) -> Iterator[str]:
    from openai.types.chat import completion_create_params as params

    kind = (
        params.CompletionCreateParamsStreaming
        if body.get("stream")
        else params.CompletionCreateParamsNonStreaming
    )
    yield from _judge(kind, body)


def _responses(body: Body) -> Iterator[str]:
    from openai.types.responses import response_create_params as params

    kind = (
        params.ResponseCreateParamsStreaming
        if body.get("stream")
        else params.ResponseCreateParamsNonStreaming
    )
    yield from _judge(kind, body)


def _anthropic(body: Body) -> Iterator[str]:
    from anthropic.types import message_create_params as params

    kind = (
        params.MessageCreateParamsStreaming
        if body.get("stream")
        else params.MessageCreateParamsNonStreaming
    )
    yield from _judge(kind, body)


def _gemini(body: Body) -> Iterator[str]:
    from google.genai import types

    lists: dict[str, type[BaseModel]] = {
        "contents": types.Content,
        "tools": types.Tool,
        "safetySettings": types.SafetySetting,
    }
    single: dict[str, type[BaseModel]] = {
        "systemInstruction": types.Content,
        "toolConfig": types.ToolConfig,
        "generationConfig": types.GenerationConfig,
    }
    for name, model in lists.items():
        for index, item in enumerate(body.get(name) or ()):
            yield from _judge(model, item, (name, index))
    for name, model in single.items():
        if body.get(name) is not None:
            yield from _judge(model, body[name], (name,))


_JUDGES: dict[str, Callable[[Body], Iterator[str]]] = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
}


@lru_cache(maxsize=64)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _judge(kind: Any, value: Any, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    try:
        _exhaust(_adapter(kind).validate_python(value))
    except ValidationError as error:
        for item in error.errors():
            place = ".".join(map(str, (*path, *item["loc"])))
            yield f"{place}: {item['msg']}"


def _exhaust(value: Any) -> None:
    """Walk the whole result: pydantic checks what is typed `Iterable` only when it is read."""
    if isinstance(value, dict):
        for item in value.values():
            _exhaust(item)
    elif not isinstance(value, (str, bytes, int, float, type(None), BaseModel)):
        for item in value:
            _exhaust(item)
