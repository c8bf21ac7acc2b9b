"""The conversation of the demo: a streamed, tool-using exchange in the Anthropic protocol, and its two views.

The client is plain `http.client`, so that what is shown is what went over the wire. It must not know how the
gateway translates: the provider's view comes from the fake provider's record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import groupby, zip_longest
from typing import Any, Final
from urllib.parse import urlsplit

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.fake import FakeProvider

type JsonObject = dict[str, Any]

MODEL: Final = "claude-sonnet-demo"
SYSTEM: Final = "Answer in one short sentence."
QUESTION: Final = "What is the weather like in Oslo and in Rome?"
TOOL: Final[JsonObject] = {
    "name": "get_weather",
    "description": "The weather of a city right now.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
_REPORTS: Final = {"Oslo": "4 °C, rain", "Rome": "17 °C, sun"}
_MAX_ROUNDS: Final = 4
_TIMEOUT_S: Final = 20
_WIDE_COLUMNS: Final = 100


class ConversationError(Exception):
    """The conversation did not go as it should; the message says what happened instead."""


@dataclass(frozen=True, slots=True)
class Round:
    """One request and its streamed answer, as the client and as the provider saw them.

    The requests hold only what is new since the round before.
    """

    client_request: list[str]
    client_events: list[JsonObject]
    provider_request: list[str]
    provider_chunks: list[JsonObject | str]


@dataclass(frozen=True, slots=True)
class Transcript:
    """The whole conversation; `answer` is the final text."""

    rounds: list[Round]
    answer: str
    tool_calls: int


def weather(city: str) -> str:
    """The tool itself: a pure function."""
    return f"{city}: {_REPORTS.get(city, 'no report')}"


def run(client_base_url: str, token: str, fake: FakeProvider) -> Transcript:
    """Hold the conversation through the gateway at `client_base_url`; `ConversationError` when it breaks."""
    messages: list[JsonObject] = [{"role": "user", "content": QUESTION}]
    rounds: list[Round] = []
    shown = sent = calls_made = 0
    for _ in range(_MAX_ROUNDS):
        before = len(fake.record)
        events = list(_ask(client_base_url, token, messages))
        received = list(fake.record)[before:]
        if len(received) != 1 or received[0].verdict != "accepted":
            reasons = "; ".join(item.reason for item in received) or "no request arrived"
            raise ConversationError(f"the provider did not accept the request: {reasons}")
        item = received[0]
        rounds.append(
            Round(
                _client_request(messages[shown:], first=not rounds),
                events,
                _provider_request(item.body, sent, first=not rounds),
                list(_provider_chunks(item.frames)),
            )
        )
        shown, sent = len(messages) + 1, len(item.body["messages"]) + 1
        content = fold(events)
        calls = [block for block in content if block["type"] == "tool_use"]
        if not calls:
            answer = "".join(block["text"] for block in content if block["type"] == "text")
            return Transcript(rounds, answer, calls_made)
        calls_made += len(calls)
        messages.append({"role": "assistant", "content": content})
        messages.append({"role": "user", "content": [_result(call) for call in calls]})
    raise ConversationError(f"the model still called tools after {_MAX_ROUNDS} rounds")


def _result(call: JsonObject) -> JsonObject:
    said = weather(**call["input"])
    return {"type": "tool_result", "tool_use_id": call["id"], "content": said}


def _ask(base_url: str, token: str, messages: list[JsonObject]) -> Iterator[JsonObject]:
    """Send one request and read its events as they come."""
    body = {
        "model": MODEL,
        "max_tokens": 1024,
        "stream": True,
        "system": SYSTEM,
        "messages": messages,
        "tools": [TOOL],
    }
    headers = {
        "content-type": "application/json",
        "x-api-key": token,
        "anthropic-version": "2023-06-01",
    }
    target = urlsplit(base_url)
    connection = HTTPConnection(target.hostname or "127.0.0.1", target.port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", "/v1/messages", json.dumps(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            raise ConversationError(f"the gateway answered {response.status}: {response.read()!r}")
        yield from _events(response)
    except OSError as error:
        raise ConversationError(f"the connection to the gateway broke: {error}") from error
    finally:
        connection.close()


def _events(lines: Iterable[bytes]) -> Iterator[JsonObject]:
    for line in lines:
        if line.startswith(b"data:"):
            event: JsonObject = json.loads(line[5:])
            yield event


def fold(events: list[JsonObject]) -> list[JsonObject]:
    """Put the content blocks of a stream together; a stream without `message_stop` is an error."""
    blocks: list[JsonObject] = []
    arguments: dict[int, str] = {}
    for event in events:
        match event["type"]:
            case "content_block_start":
                blocks.append(dict(event["content_block"]))
            case "content_block_delta":
                _apply(event["delta"], blocks[event["index"]], arguments, event["index"])
            case "error":
                message = event["error"]["message"]
                raise ConversationError(f"the stream ended in an error: {message}")
            case _:
                pass
    if not events or events[-1]["type"] != "message_stop":
        raise ConversationError("the stream broke off before its end")
    for index, text in arguments.items():
        blocks[index]["input"] = json.loads(text or "{}")
    return [block for block in blocks if block["type"] != "text" or block["text"]]


def _apply(delta: JsonObject, block: JsonObject, arguments: dict[int, str], index: int) -> None:
    if delta["type"] == "text_delta":
        block["text"] += delta["text"]
    elif delta["type"] == "input_json_delta":
        arguments[index] = arguments.get(index, "") + delta["partial_json"]


def _client_request(messages: list[JsonObject], *, first: bool) -> list[str]:
    lines = ["POST /v1/messages"]
    if first:
        lines += [f"model {MODEL}", f"system: {SYSTEM}", f"tools: {TOOL['name']}"]
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            lines.append(f"{message['role']}: {content}")
            continue
        for block in content:
            lines.append(
                f"{message['role']}: tool_result {_tail(block['tool_use_id'])} {block['content']}"
            )
    return lines


def _provider_request(body: JsonObject, known: int, *, first: bool) -> list[str]:
    lines = ["POST /v1/chat/completions"]
    if first:
        lines.append(f"model {body['model']}")
    for message in body["messages"][known:]:
        content = message.get("content")
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        identity = _tail(message["tool_call_id"]) + " " if "tool_call_id" in message else ""
        lines.append(f"{message['role']}: {identity}{text}")
    if first:
        names = ", ".join(tool["function"]["name"] for tool in body.get("tools", ()))
        lines.insert(len(lines) - 1, f"tools: {names}")
    return lines


def _provider_chunks(frames: list[bytes]) -> Iterator[JsonObject | str]:
    for frame in frames:
        for line in frame.splitlines():
            if line.startswith(b"data: "):
                data = line.removeprefix(b"data: ")
                yield data.decode() if data == b"[DONE]" else json.loads(data)


def _tail(identity: str) -> str:
    return f"…{identity[-6:]}"


type _Described = tuple[str, str]


def _describe_event(event: JsonObject) -> _Described:
    """An Anthropic event as its name and what it carries."""
    kind = event["type"]
    match kind:
        case "content_block_start":
            block = event["content_block"]
            name = f" {block['name']} {_tail(block['id'])}" if block["type"] == "tool_use" else ""
            return f"{kind} {block['type']}{name}", ""
        case "content_block_delta":
            delta = event["delta"]
            return delta["type"], delta.get("text", delta.get("partial_json", ""))
        case "message_delta":
            usage = event["usage"]
            counts = (
                f"input {usage.get('input_tokens')}, output {usage.get('output_tokens')} tokens"
            )
            return f"{kind} {event['delta']['stop_reason']}", counts
        case _:
            return kind, ""


def _describe_chunk(chunk: JsonObject | str) -> _Described:
    """A Chat chunk as what its delta is about and what it carries."""
    if isinstance(chunk, str):
        return chunk, ""
    if not chunk["choices"]:
        usage = chunk["usage"]
        counts = f"prompt {usage['prompt_tokens']}, completion {usage['completion_tokens']} tokens"
        return "usage", counts
    choice = chunk["choices"][0]
    delta = choice["delta"]
    if choice["finish_reason"]:
        return f"finish_reason {choice['finish_reason']}", ""
    for call in delta.get("tool_calls", ()):
        if "id" in call:
            name = call["function"]["name"]
            return f"delta.tool_calls[{call['index']}] {name} {_tail(call['id'])}", ""
        return f"delta.tool_calls[{call['index']}].arguments", call["function"]["arguments"]
    if "role" in delta:
        return "delta.role assistant", ""
    return "delta.content", delta.get("content") or ""


def _condensed(described: Iterable[_Described]) -> Iterator[str]:
    """One line per run of equal names: `text_delta ×3 "Let me check."`."""
    for name, run_ in groupby(described, key=lambda item: item[0]):
        values = [value for _, value in run_]
        times = f" ×{len(values)}" if len(values) > 1 else ""
        text = "".join(values)
        yield f"{name}{times}" + (f"  {text}" if text else "")


def _views(round_: Round) -> tuple[list[str], list[str]]:
    client = [*(f"→ {line}" for line in round_.client_request)]
    client += [f"← {line}" for line in _condensed(map(_describe_event, round_.client_events))]
    provider = [*(f"→ {line}" for line in round_.provider_request)]
    provider += [f"← {line}" for line in _condensed(map(_describe_chunk, round_.provider_chunks))]
    return client, provider


def show(transcript: Transcript, console: Console) -> None:
    """Print both views side by side, or one below the other where there is no room."""
    wide = console.width >= _WIDE_COLUMNS
    for number, round_ in enumerate(transcript.rounds, 1):
        client, provider = _views(round_)
        if wide:
            console.print(_table(number, client, provider))
        else:
            _print_plain(number, client, provider, console)
    console.print(Text("Answer: ", style="bold") + Text(transcript.answer))


def _table(number: int, client: list[str], provider: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1))
    titles = (f"round {number}: the client (Anthropic Messages)", "the provider (Chat Completions)")
    for title in titles:
        table.add_column(title, ratio=1, no_wrap=True, overflow="ellipsis")
    for left, right in zip_longest(client, provider, fillvalue=""):
        table.add_row(_line(left), _line(right))
    return table


def _line(text: str) -> Text:
    return Text(text, style="green" if text.startswith("←") else "")


def _print_plain(number: int, client: list[str], provider: list[str], console: Console) -> None:
    for title, lines in (
        ("client (Anthropic Messages)", client),
        ("provider (Chat Completions)", provider),
    ):
        console.print(Text(f"round {number}, {title}", style="bold"))
        for line in lines:
            console.print(_line("  " + line), overflow="fold")
