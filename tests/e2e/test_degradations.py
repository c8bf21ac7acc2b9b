"""What a translation gives up reaches its client in `x-llmgate-degraded`, and the operator in the record, over HTTP.

One gateway answers all rows, whole and streamed; a record is the line `request_done` of its log.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.providers import PROVIDERS, four_providers

C, R, A, G = "openai_chat", "openai_responses", "anthropic", "gemini"
MODELS: Final = {protocol: f"{name}/m" for name, protocol in PROVIDERS.items()}
PATHS: Final = {C: "/v1/chat/completions", R: "/v1/responses", A: "/v1/messages"}
HI: Final[Mapping[str, dict[str, Any]]] = {
    C: {"messages": [{"role": "user", "content": "Hi"}]},
    R: {"input": "Hi"},
    A: {"max_tokens": 8000, "messages": [{"role": "user", "content": "Hi"}]},
    G: {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
}
LOOK: Final = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}
BLOCK_NONE: Final = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
MEDIUM: Final = {
    "inlineData": {"mimeType": "image/png", "data": PNG},
    "mediaResolution": {"level": "MEDIA_RESOLUTION_MEDIUM"},
}


class Row(NamedTuple):
    """A request of one protocol, the upstreams where something of it is lost, and where in it that stood."""

    client: str
    upstreams: tuple[str, ...]
    path: str
    more: dict[str, Any]
    scenario: str = "text"


ROWS: Final = [
    Row(C, (R, A, G), "logit_bias", {"logit_bias": {"5": -1}}),
    Row(C, (R, A), "seed", {"seed": 3}),
    Row(C, (R, A), "frequency_penalty", {"frequency_penalty": 0.5}),
    Row(C, (A, G), "verbosity", {"verbosity": "low"}),
    Row(C, (A,), "temperature", {"temperature": 1.5}),
    Row(C, (A,), "logprobs", {"logprobs": True}),
    Row(C, (R, A, G), "messages[0]", {"messages": [{"role": "user", "name": "bob", "content": "Hi"}]}),
    Row(C, (G,), "parallel_tool_calls", {"parallel_tool_calls": False, "tools": [LOOK]}),
    Row(C, (R, A, G), "made_up", {"made_up": 1}),
    Row(R, (C, A, G), "max_tool_calls", {"max_tool_calls": 2}),
    Row(R, (C, A, G), "truncation", {"truncation": "auto"}),
    Row(R, (C, A, G), "reasoning.context", {"reasoning": {"effort": "high", "context": "all_turns"}}),
    Row(A, (C, R), "top_k", {"top_k": 5}),
    Row(A, (C, R), "thinking", {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
    Row(A, (C, R, G), "output_config.task_budget", {"output_config": {"task_budget": {"type": "tokens", "total": 9}}}),
    Row(A, (C, R, G), "inference_geo", {"inference_geo": "us"}),
    Row(A, (C,), "response.usage", {}, "text~usage=none"),
    Row(G, (C, R, A), "safetySettings[0]", {"safetySettings": [BLOCK_NONE]}),
    Row(G, (C, R), "generationConfig.topK", {"generationConfig": {"topK": 5}}),
    Row(G, (R, A), "generationConfig.seed", {"generationConfig": {"seed": 5}}),
    Row(G, (C, R, A), "generationConfig.mediaResolution", {"generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"}}),
    Row(G, (C, R, A), "contents[0].parts[0]", {"contents": [{"role": "user", "parts": [MEDIUM]}]}),
    Row(G, (C, R, A), "toolConfig.retrievalConfig", {"toolConfig": {"retrievalConfig": {"languageCode": "de"}}}),
]  # fmt: skip


class Told(NamedTuple):
    """What client and operator heard of a request."""

    status: int
    header: str
    record: list[str]


type Key = tuple[str, str, str, bool]


def crossings() -> Iterator[tuple[Row, str, bool]]:
    """Every row for each of its upstreams, whole and streamed."""
    for row in ROWS:
        for upstream in row.upstreams:
            for stream in (False, True):
                yield row, upstream, stream


def ask(gate: Gateway, row: Row, upstream: str, stream: bool) -> tuple[int, dict[str, str]]:
    """Send one; the answer is read to its end."""
    model = f"{MODELS[upstream].removesuffix('m')}fake-{row.scenario}"
    if row.client == G:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path, body = f"/v1beta/models/{model}:{method}", {**HI[G], **row.more}
    else:
        path = PATHS[row.client]
        body = {"model": model, "stream": stream, **HI[row.client], **row.more}
    status, headers, _ = gate.post(path, json.dumps(body).encode())
    return status, headers


@pytest.fixture(scope="module")
def told(shared_fake: FakeProvider) -> dict[Key, Told]:
    """All rows asked of one gateway."""
    shared_fake.reset()
    answers: dict[Key, tuple[int, dict[str, str]]] = {}
    with Gateway(four_providers(shared_fake)) as gate:
        for row, upstream, stream in crossings():
            answers[row.client, row.path, upstream, stream] = ask(gate, row, upstream, stream)
        gate.request("GET", "/health")  # whatever was asked before this has been logged
        lines = [line for line in gate.log.splitlines() if "request_done" in line]
    return {
        key: Told(status, headers.get("x-llmgate-degraded", ""), _record(lines, headers))
        for key, (status, headers) in answers.items()
    }


def _record(lines: list[str], headers: dict[str, str]) -> list[str]:
    """The paths in the log record of this request."""
    (line,) = [one for one in lines if headers["x-llmgate-request-id"] in one]
    told = line.partition(" degradations=")[2]
    return [path for path, _reason in ast.literal_eval(ast.literal_eval(told))] if told else []


@pytest.mark.parametrize(
    ("row", "upstream", "stream"),
    [
        pytest.param(*crossing, id=f"{crossing[0].path} to {crossing[1]} {kind}")
        for crossing in crossings()
        for kind in ["streamed" if crossing[2] else "whole"]
    ],
)
def test_what_is_given_up_is_told_to_client_and_operator(
    told: dict[Key, Told], row: Row, upstream: str, stream: bool
) -> None:
    heard = told[row.client, row.path, upstream, stream]
    assert heard.status == 200
    assert row.path in heard.record
    # A stream's headers are gone by the time that its answer loses something.
    if not (stream and row.path.startswith("response")):
        assert f"{row.path}: " in heard.header


@pytest.mark.parametrize("client", [C, R, A, G])
def test_nothing_given_up_is_nothing_told(gateway: Gateway, client: str) -> None:
    row = Row(client, (), "", {})
    for upstream in (C, R, A, G):
        for stream in (False, True):
            status, headers = ask(gateway, row, upstream, stream)
            assert status == 200
            assert "x-llmgate-degraded" not in headers
