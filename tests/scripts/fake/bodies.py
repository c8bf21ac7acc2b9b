"""Requests for the tests of the fake provider: the smallest good one per protocol, and histories with tools."""

from __future__ import annotations

import http.client
import json
from typing import Any

from scripts.fake import FakeProvider

type Body = dict[str, Any]

CITY: Body = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
QUESTION = "What is the weather in Oslo and in Rome?"
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{model}:{action}",
}
PROTOCOLS = tuple(PATHS)


def chat(**changes: Any) -> Body:
    """A Chat request."""
    return {"model": "fake-text", "messages": [{"role": "user", "content": QUESTION}], **changes}


def chat_tool(**changes: Any) -> Body:
    """A Chat function tool."""
    return {"type": "function", "function": {"name": "get_weather", "parameters": CITY, **changes}}


def responses(**changes: Any) -> Body:
    """A Responses request."""
    return {"model": "fake-text", "input": QUESTION, **changes}


def responses_tool(**changes: Any) -> Body:
    """A Responses function tool."""
    return {
        "type": "function",
        "name": "get_weather",
        "parameters": CITY,
        "strict": True,
        **changes,
    }


def anthropic(**changes: Any) -> Body:
    """A Messages request."""
    messages = [{"role": "user", "content": QUESTION}]
    return {"model": "fake-text", "max_tokens": 100, "messages": messages, **changes}


def anthropic_tool(**changes: Any) -> Body:
    """A Messages tool."""
    return {"name": "get_weather", "input_schema": CITY, **changes}


def gemini(**changes: Any) -> Body:
    """A generateContent request."""
    return {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}], **changes}


def gemini_tool(**changes: Any) -> Body:
    """A tool with one function declaration."""
    declaration = {"name": "get_weather", "parametersJsonSchema": CITY, **changes}
    return {"functionDeclarations": [declaration]}


def plain(protocol: str, model: str, *, stream: bool = False, tools: bool = False) -> Body:
    """The smallest request of a protocol, with or without a weather tool."""
    match protocol:
        case "openai_chat":
            body = chat(model=model, **({"tools": [chat_tool()]} if tools else {}))
        case "openai_responses":
            body = responses(model=model, **({"tools": [responses_tool()]} if tools else {}))
        case "anthropic":
            body = anthropic(model=model, **({"tools": [anthropic_tool()]} if tools else {}))
        case _:
            return gemini(**({"tools": [gemini_tool()]} if tools else {}))
    return {**body, "stream": True} if stream else body


def path_of(protocol: str, model: str, *, stream: bool = False) -> str:
    """Where a request of that protocol goes."""
    action = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return PATHS[protocol].format(model=model, action=action)


HEADERS = {
    "authorization": "Bearer fake-key",
    "x-goog-api-key": "fake-key",
    "anthropic-version": "2026-10-21",
    "content-type": "application/json",
}


def send(
    fake: FakeProvider, method: str, path: str, body: Any = None, headers: Body | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Send one request straight to the fake; status, headers and what was read of the body."""
    connection = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=10)
    try:
        data = json.dumps(body).encode() if body is not None else None
        connection.request(method, path, data, HEADERS if headers is None else headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def post(
    fake: FakeProvider, protocol: str, model: str, *, stream: bool = False, tools: bool = False
) -> tuple[int, dict[str, str], bytes]:
    """Send the smallest request of a protocol."""
    body = plain(protocol, model, stream=stream, tools=tools)
    return send(fake, "POST", path_of(protocol, model, stream=stream), body)
