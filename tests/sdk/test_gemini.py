"""The official Google SDK through a real mitmdump to all four protocols.

It has no strict mode, so what it asked for is asked again without it, and the bytes are validated by its types.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import orjson
import pytest
from google import genai
from google.genai import errors, types

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.sdk import (
    CITY,
    CUTS,
    MIXED,
    PDF,
    PNG,
    SEPARATOR,
    UPSTREAMS,
    accepted,
    model,
    same,
)

WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather", description="The weather.", parameters_json_schema=CITY
        )
    ]
)


class Asker:
    """The SDK's client, and the last request that it sent."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.last: httpx.Request | None = None
        self.headers: httpx.Headers | None = None
        http = httpx.Client(event_hooks={"request": [self._sent], "response": [self._came]})
        self.client = genai.Client(
            api_key=gateway.key,
            http_options=types.HttpOptions(base_url=gateway.url, httpx_client=http),
        )

    def _sent(self, request: httpx.Request) -> None:
        self.last = request

    def _came(self, response: httpx.Response) -> None:
        self.headers = response.headers

    def again(self) -> bytes:
        """What the last request is answered with, byte for byte."""
        assert self.last is not None
        path = self.last.url.raw_path.decode()
        _status, _headers, body = self.gateway.post(path, self.last.content)
        return body

    def unary(self, **request: Any) -> types.GenerateContentResponse:
        """One whole answer, valid by the SDK's types, which forbid unknown fields."""
        answer = self.client.models.generate_content(**request)
        types.GenerateContentResponse.model_validate(orjson.loads(self.again()))
        return answer

    def stream(self, **request: Any) -> list[types.GenerateContentResponse]:
        """All chunks; on the wire nothing stands but `data:` lines."""
        chunks = list(self.client.models.generate_content_stream(**request))
        lines = [line for line in re.split(rb"\r?\n", self.again()) if line]
        assert all(line.startswith(b"data: ") for line in lines)
        for line in lines:
            types.GenerateContentResponse.model_validate(orjson.loads(line[6:]))
        return chunks

    def both(self, **request: Any) -> types.GenerateContentResponse:
        """The answer, which is the same as a stream and without."""
        unary = self.unary(**request)
        same(whole([unary]), whole(self.stream(**request)))
        return unary


def whole(chunks: list[types.GenerateContentResponse]) -> dict[str, Any]:
    """What chunks add up to: adjacent texts of a kind joined."""
    parts: list[dict[str, Any]] = []
    for chunk in chunks:
        for part in chunk.parts or ():
            item = part.model_dump(exclude_none=True)
            item.pop("thought_signature", None)
            if not item or item == {"text": ""}:
                continue
            last = parts[-1] if parts else {}
            if "text" in item and "text" in last and item.get("thought") == last.get("thought"):
                last["text"] += item["text"]
            else:
                parts.append(item)
    (*_, end) = chunks
    finish = end.candidates[0].finish_reason if end.candidates else None
    return {
        "parts": parts,
        "finish": finish,
        "usage": end.usage_metadata and end.usage_metadata.model_dump(),
        "model": chunks[0].model_version,
        "feedback": chunks[0].prompt_feedback,
    }


@pytest.fixture(scope="session")
def shared_asker(shared_gateway: Gateway) -> Iterator[Asker]:
    """The SDK in front of the gateway; making its client takes longer than a test."""
    found = Asker(shared_gateway)
    yield found
    found.client.close()


@pytest.fixture
def asker(shared_asker: Asker, fake: FakeProvider) -> Asker:
    """The SDK, in front of a provider that has seen nothing yet."""
    return shared_asker


def test_text(asker: Asker, fake: FakeProvider, up: str) -> None:
    name = model(up, "unicode")
    answer = asker.both(model=name, contents="Hi", config={"system_instruction": "Be brief."})
    assert MIXED in answer.text
    assert SEPARATOR in answer.text
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.model_version == name
    accepted(fake)


@pytest.mark.parametrize(("scenario", "count"), [("tool", 1), ("parallel", 2)])
def test_calls_are_run_and_answered(
    asker: Asker, fake: FakeProvider, up: str, scenario: str, count: int
) -> None:
    request = {"model": model(up, scenario), "config": {"tools": [WEATHER]}}
    history = [types.UserContent("Weather in Oslo and Rome?")]
    first = asker.both(contents=history, **request)
    calls = first.function_calls
    assert len(calls) == count
    assert all(call.args.keys() == {"city"} for call in calls)
    assert first.candidates[0].finish_reason == types.FinishReason.STOP
    history.append(first.candidates[0].content)
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"output": f"{index} C"}
            )
        )
        for index, call in enumerate(calls)
    ]
    history.append(types.Content(role="user", parts=results))
    last = asker.both(contents=history, **request)
    assert all(f"{index} C" in last.text for index in range(count))
    accepted(fake)


def test_reasoning_survives_two_tool_steps(asker: Asker, fake: FakeProvider, up: str) -> None:
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_level="HIGH")
    request = {
        "model": model(up, "reasoning-tool"),
        "config": {"tools": [WEATHER], "thinking_config": thinking},
    }
    history = [types.UserContent("Weather?")]
    for _step in range(2):
        content = asker.both(contents=history, **request).candidates[0].content
        if up != "chat":
            assert content.parts[0].thought
            assert any(part.thought_signature for part in content.parts)
        (call,) = [part.function_call for part in content.parts if part.function_call]
        result = types.FunctionResponse(id=call.id, name=call.name, response={"output": "4 C"})
        history.append(content)
        history.append(types.Content(role="user", parts=[types.Part(function_response=result)]))
    last = asker.both(contents=history, **request)
    assert last.usage_metadata.thoughts_token_count > 0
    if up != "chat":
        assert "Reasoning came back 2 time(s)" in last.text
    accepted(fake)


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        pytest.param(PNG, "image/png", id="an image"),
        pytest.param(PDF, "application/pdf", id="a PDF"),
    ],
)
def test_media(asker: Asker, fake: FakeProvider, up: str, media: str, kind: str) -> None:
    part = types.Part.from_bytes(data=base64.b64decode(media), mime_type=kind)
    answer = asker.both(model=model(up, "text"), contents=["What is this?", part])
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    core = media.rstrip("=").encode()
    assert all(core in item.raw.replace(b"-", b"+").replace(b"_", b"/") for item in fake.record)
    accepted(fake)


def test_structured_output(asker: Asker, fake: FakeProvider, up: str) -> None:
    config = {"response_mime_type": "application/json", "response_json_schema": CITY}
    answer = asker.both(model=model(up, "json"), contents="Hi", config=config)
    assert orjson.loads(answer.text).keys() == {"city"}
    accepted(fake)


@pytest.mark.parametrize(
    ("scenario", "finish", "said"),
    [
        pytest.param("filter", "SAFETY", "Partial", id="a filter"),
        pytest.param("length", "MAX_TOKENS", "This answer stops in the middle of", id="the cap"),
        pytest.param("empty", "STOP", "", id="nothing said"),
    ],
)
def test_endings(
    asker: Asker, fake: FakeProvider, up: str, scenario: str, finish: str, said: str
) -> None:
    answer = asker.both(model=model(up, scenario), contents="Hi")
    assert answer.candidates[0].finish_reason == finish
    assert (answer.text or "") == said
    accepted(fake)


def test_a_refusal(asker: Asker, fake: FakeProvider, up: str) -> None:
    answer = asker.both(model=model(up, "refusal"), contents="Hi")
    (candidate,) = answer.candidates
    assert candidate.finish_reason == ("SAFETY" if up == "claude" else "STOP")
    assert (answer.text or candidate.finish_message) == "I can't help with that."
    accepted(fake)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_stop_sequences_work_even_where_the_upstream_has_none(
    asker: Asker, fake: FakeProvider, up: str, stream: bool
) -> None:
    request = {
        "model": model(up, "text", text="one two STOP three"),
        "contents": "Hi",
        "config": {"stop_sequences": ["STOP"]},
    }
    heard = whole(asker.stream(**request) if stream else [asker.unary(**request)])
    assert heard["parts"] == [{"text": "one two "}]
    assert heard["finish"] == types.FinishReason.STOP
    accepted(fake)


def test_usage(asker: Asker, fake: FakeProvider, up: str) -> None:
    name = model(up, "text", input_tokens=1000, cache_read=600, cache_write=100)
    usage = asker.both(model=name, contents="Hi").usage_metadata
    assert usage.prompt_token_count == 1000
    assert usage.cached_content_token_count == 600
    assert usage.candidates_token_count == len("Fake answer to: Hi") // 4
    assert usage.total_token_count == 1000 + usage.candidates_token_count


def test_seed_penalties_and_logprobs(asker: Asker, fake: FakeProvider, up: str) -> None:
    config = {
        "seed": 7,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.25,
        "top_k": 5,
        "response_logprobs": True,
        "logprobs": 2,
    }
    answer = asker.unary(model=model(up, "text"), contents="Hi", config=config)
    logprobs = answer.candidates[0].logprobs_result
    if up == "claude":
        assert logprobs is None
    else:
        tokens = [chosen.token for chosen in logprobs.chosen_candidates]
        assert "".join(tokens) == answer.text
        assert [top.candidates[0].token for top in logprobs.top_candidates] == tokens
    lost = asker.headers.get("x-llmgate-degraded", "")
    sent = fake.record.last.body
    if up == "chat":
        assert (sent["seed"], sent["frequency_penalty"], sent["top_logprobs"]) == (7, 0.5, 2)
    expected = {
        "chat": {"topK"},
        "responses": {"seed", "frequencyPenalty", "presencePenalty", "topK"},
        "claude": {"seed", "frequencyPenalty", "presencePenalty", "responseLogprobs"},
        "gemini": set(),
    }
    assert {name for name in set().union(*expected.values()) if name in lost} == expected[up]
    accepted(fake)


def test_several_answers(asker: Asker, fake: FakeProvider, up: str) -> None:
    answer = asker.unary(model=model(up, "text"), contents="Hi", config={"candidate_count": 2})
    texts = [candidate.content.parts[0].text for candidate in answer.candidates]
    assert texts == ["Fake answer to: Hi"] * 2
    lost = asker.headers.get("x-llmgate-degraded", "")
    assert ("candidateCount" in lost) is (up in ("responses", "claude"))
    accepted(fake)


@pytest.mark.parametrize("how", CUTS)
def test_a_cut_stream_ends_in_an_error(asker: Asker, fake: FakeProvider, up: str, how: str) -> None:
    fake.play("cut", times=0, after=3 if up != "gemini" else 1, how=how)
    with pytest.raises(errors.APIError):
        list(asker.client.models.generate_content_stream(model=f"{up}/m", contents="Hi"))
    last = orjson.loads(asker.again().rstrip().rpartition(b"\n")[2].removeprefix(b"data: "))
    assert last["error"]["status"] == "UNAVAILABLE"


def test_an_error_in_the_stream_is_raised(asker: Asker, fake: FakeProvider, up: str) -> None:
    fake.play("error-mid", times=0, after=3 if up != "gemini" else 1)
    with pytest.raises(errors.APIError):
        list(asker.client.models.generate_content_stream(model=f"{up}/m", contents="Hi"))


def test_an_error_as_the_first_event_is_a_plain_one(
    asker: Asker, fake: FakeProvider, up: str
) -> None:
    fake.play("error-first", times=0)
    with pytest.raises(errors.ServerError) as caught:
        list(asker.client.models.generate_content_stream(model=f"{up}/m", contents="Hi"))
    assert (caught.value.code, caught.value.status) == (503, "UNAVAILABLE")


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_rate_limited(asker: Asker, fake: FakeProvider, up: str, stream: bool) -> None:
    fake.play("status-429", times=0, retry_after_s=7)
    models = asker.client.models
    ask = models.generate_content_stream if stream else models.generate_content
    with pytest.raises(errors.ClientError) as caught:
        list(ask(model=f"{up}/m", contents="Hi"))
    assert caught.value.code == 429
    assert caught.value.status == "RESOURCE_EXHAUSTED"
    assert asker.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("mode", "config", "path", "fine"),
    [
        pytest.param(
            "strict", {"seed": 7}, "generationConfig.seed", ("chat", "gemini"), id="strict: a seed"
        ),
        pytest.param(
            "balanced",
            {"candidate_count": 2},
            "generationConfig.candidateCount",
            ("chat", "gemini"),
            id="balanced: two answers",
        ),
        pytest.param(
            "balanced",
            {"seed": 7},
            "generationConfig.seed",
            UPSTREAMS,
            id="balanced: a seed is a hint",
        ),
    ],
)
def test_modes(
    asker: Asker,
    fake: FakeProvider,
    up: str,
    mode: str,
    config: dict[str, Any],
    path: str,
    fine: tuple[str, ...],
) -> None:
    request = {
        "model": model(up, "text"),
        "contents": "Hi",
        "config": {**config, "http_options": {"headers": {"x-llmgate-mode": mode}}},
    }
    if up in fine:
        asker.client.models.generate_content(**request)
        accepted(fake)
        return
    with pytest.raises(errors.ClientError) as caught:
        asker.client.models.generate_content(**request)
    assert caught.value.status == "INVALID_ARGUMENT"
    assert path in caught.value.message
    assert len(fake.record) == 0
