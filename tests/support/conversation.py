"""Clients of the four protocols by hand: ask with a tool, echo back exactly what came, answer the calls.

They do what the official programs do with an answer: keep every item as it came, opaque fields included, and send
the whole history again. Nothing of the gateway's is used here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.gateway import Gateway

type Body = dict[str, Any]

SCHEMA: Body = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
QUESTION = "What is the weather in Oslo and in Rome?"


@dataclass(slots=True)
class Talk:
    """One conversation of a client; `model` may be changed between two turns."""

    protocol: str
    model: str
    stream: bool
    body: Body
    text: str = ""
    calls: int = 0

    @classmethod
    def begin(cls, protocol: str, model: str, *, stream: bool) -> Talk:
        """A conversation that has not been sent yet."""
        return cls(protocol, model, stream, _FIRST[protocol]())

    def turn(self, gateway: Gateway) -> bytes:
        """Ask, and take the answer into the history; the answer as it came."""
        status, _headers, answer = self.post(gateway)
        assert status == 200, answer
        calls = self.take(answer)
        self.calls = len(calls)
        return answer

    def post(
        self, gateway: Gateway, more: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask only; `more` are headers."""
        body: Body = dict(self.body)
        path = _PATHS.get(self.protocol, "")
        if self.protocol == "gemini":
            action = "streamGenerateContent?alt=sse" if self.stream else "generateContent"
            path = f"/v1beta/models/{self.model}:{action}"
        else:
            body |= {"model": self.model, "stream": self.stream}
        headers = {"anthropic-version": "2026-10-21"} if self.protocol == "anthropic" else {}
        headers |= more or {}
        return gateway.post(path, json.dumps(body).encode(), headers)

    def take(self, answer: bytes) -> list[Body]:
        """Put the answer and the results of its calls into the history; the calls."""
        content = _STREAMED[self.protocol](answer) if self.stream else json.loads(answer)
        self.text, calls = _ECHO[self.protocol](self.body, content)
        return calls

    def to_the_end(self, gateway: Gateway, most: int = 6) -> None:
        """Go on until an answer calls nothing."""
        for _turn in range(most):
            self.turn(gateway)
            if not self.calls:
                return
        raise AssertionError("the model never stops calling")


_PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic": "/v1/messages",
}


def events(answer: bytes) -> Iterator[Body]:
    """The JSON events of a stream; `[DONE]` is left out."""
    for line in answer.replace(b"\r\n", b"\n").split(b"\n"):
        if line.startswith(b"data: ") and line != b"data: [DONE]":
            yield json.loads(line[6:])


# ----------------------------------------------------------------------------------------- Chat


def _chat() -> Body:
    return {
        "messages": [{"role": "user", "content": QUESTION}],
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}],
        "reasoning_effort": "high",
    }


def _chat_stream(answer: bytes) -> Body:
    message: Body = {"role": "assistant", "content": None}
    calls: list[Body] = []
    finish = None
    for event in events(answer):
        assert "error" not in event, event
        for choice in event["choices"]:
            delta = choice["delta"]
            finish = choice["finish_reason"] or finish
            for key in ("content", "reasoning_content"):
                if delta.get(key):
                    message[key] = (message.get(key) or "") + delta[key]
            for piece in delta.get("tool_calls") or ():
                if piece["index"] == len(calls):
                    calls.append({"type": "function", "function": {"name": "", "arguments": ""}})
                call = calls[piece["index"]]
                call["id"] = piece.get("id") or call["id"]
                for key, value in piece.get("function", {}).items():
                    call["function"][key] += value
    if calls:
        message["tool_calls"] = calls
    return {"choices": [{"message": message, "finish_reason": finish}]}


def _chat_echo(body: Body, answer: Body) -> tuple[str, list[Body]]:
    message = answer["choices"][0]["message"]
    calls = message.get("tool_calls") or []
    body["messages"].append({key: value for key, value in message.items() if value is not None})
    for call in calls:
        assert json.loads(call["function"]["arguments"])["city"]
        body["messages"].append({"role": "tool", "tool_call_id": call["id"], "content": "4 C"})
    return message.get("content") or "", calls


# ------------------------------------------------------------------------------------ Responses


def _responses() -> Body:
    return {
        "input": [{"type": "message", "role": "user", "content": QUESTION}],
        "tools": [
            {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}
        ],
        "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }


def _responses_stream(answer: bytes) -> Body:
    last = list(events(answer))[-1]
    assert last["type"] == "response.completed", last
    response: Body = last["response"]
    done = [
        event["item"] for event in events(answer) if event["type"] == "response.output_item.done"
    ]
    assert response["output"] == done
    return response


def _responses_echo(body: Body, answer: Body) -> tuple[str, list[Body]]:
    calls = [item for item in answer["output"] if item["type"] == "function_call"]
    body["input"] += answer["output"]
    for call in calls:
        assert json.loads(call["arguments"])["city"]
        body["input"].append(
            {"type": "function_call_output", "call_id": call["call_id"], "output": "4 C"}
        )
    texts = [item["content"][0]["text"] for item in answer["output"] if item["type"] == "message"]
    return "".join(texts), calls


# ------------------------------------------------------------------------------------ Anthropic


def _anthropic() -> Body:
    return {
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": QUESTION}],
        "tools": [{"name": "get_weather", "input_schema": SCHEMA}],
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "high"},
    }


_GROWS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}


def _anthropic_stream(answer: bytes) -> Body:
    content: list[Body] = []
    for event in events(answer):
        assert event["type"] != "error", event
        if event["type"] == "content_block_start":
            content.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], content[event["index"]]
            field = _GROWS[delta["type"]]
            block[field] = block.get(field, "") + delta[field]
    for block in content:
        if "partial_json" in block:
            block["input"] = json.loads(block.pop("partial_json"))
    return {"content": content}


def _anthropic_echo(body: Body, answer: Body) -> tuple[str, list[Body]]:
    content = answer["content"]
    calls = [block for block in content if block["type"] == "tool_use"]
    body["messages"].append({"role": "assistant", "content": content})
    results = []
    for call in calls:
        assert call["input"]["city"]
        results.append({"type": "tool_result", "tool_use_id": call["id"], "content": "4 C"})
    if results:
        body["messages"].append({"role": "user", "content": results})
    return "".join(block["text"] for block in content if block["type"] == "text"), calls


# --------------------------------------------------------------------------------------- Gemini


def _gemini() -> Body:
    return {
        "contents": [{"role": "user", "parts": [{"text": QUESTION}]}],
        "tools": [
            {"functionDeclarations": [{"name": "get_weather", "parametersJsonSchema": SCHEMA}]}
        ],
        "generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True}},
    }


def _gemini_stream(answer: bytes) -> Body:
    parts: list[Body] = []
    for event in events(answer):
        assert "error" not in event, event
        parts += event["candidates"][0]["content"]["parts"]
    return {"candidates": [{"content": {"role": "model", "parts": parts}}]}


def _gemini_echo(body: Body, answer: Body) -> tuple[str, list[Body]]:
    """As Gemini CLI does it: thoughts are shown and not sent back, signatures stay on their parts."""
    parts = answer["candidates"][0]["content"]["parts"]
    kept = [part for part in parts if not part.get("thought")]
    calls = [part["functionCall"] for part in kept if "functionCall" in part]
    body["contents"].append({"role": "model", "parts": kept})
    results = []
    for call in calls:
        assert call["args"]["city"]
        response: Body = {"name": call["name"], "response": {"output": "4 C"}}
        if "id" in call:
            response["id"] = call["id"]
        results.append({"functionResponse": response})
    if results:
        body["contents"].append({"role": "user", "parts": results})
    return "".join(part.get("text", "") for part in kept), calls


_FIRST: dict[str, Callable[[], Body]] = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
}
_STREAMED: dict[str, Callable[[bytes], Body]] = {
    "openai_chat": _chat_stream,
    "openai_responses": _responses_stream,
    "anthropic": _anthropic_stream,
    "gemini": _gemini_stream,
}
_ECHO: dict[str, Callable[[Body, Body], tuple[str, list[Body]]]] = {
    "openai_chat": _chat_echo,
    "openai_responses": _responses_echo,
    "anthropic": _anthropic_echo,
    "gemini": _gemini_echo,
}
