"""The official OpenAI SDK's Responses, strict, through a real mitmdump to all four protocols."""

from __future__ import annotations

from typing import Any

import openai
import orjson
import pytest
from openai.types.responses import Response, ResponseStreamEvent

from scripts.fake import FakeProvider
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

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather.",
    "parameters": CITY,
    "strict": True,
}


@pytest.fixture
def client(shared_openai: openai.OpenAI, fake: FakeProvider) -> openai.OpenAI:
    """The client, in front of a provider that has seen nothing yet."""
    return shared_openai


def events(client: openai.OpenAI, **request: Any) -> list[ResponseStreamEvent]:
    """All events of a stream."""
    return list(client.responses.create(stream=True, **request))


def both(client: openai.OpenAI, **request: Any) -> Response:
    """The answer, which is the same as a stream and without; the deltas say what the end says."""
    unary = client.responses.create(**request)
    assert isinstance(unary, Response)
    heard = events(client, **request)
    assert [event.sequence_number for event in heard] == list(range(len(heard)))
    assert heard[-1].type in ("response.completed", "response.incomplete")
    last = heard[-1].response
    same(unary, last)
    text = "".join(event.delta for event in heard if event.type == "response.output_text.delta")
    assert text == last.output_text
    done = [event.item for event in heard if event.type == "response.output_item.done"]
    assert done == last.output
    if last.status == "incomplete":
        return unary  # the SDK's helper accepts nothing but completed answers
    with client.responses.stream(**request) as stream:
        final = stream.until_done().get_final_response()
    same(unary, final)
    return unary


def test_text(client: openai.OpenAI, fake: FakeProvider, up: str) -> None:
    name = model(up, "unicode")
    answer = both(client, model=name, instructions="Be brief.", input="Hi")
    assert MIXED in answer.output_text
    assert SEPARATOR in answer.output_text
    assert answer.status == "completed"
    assert answer.model == name
    assert answer.instructions == "Be brief."
    accepted(fake)


@pytest.mark.parametrize(("scenario", "count"), [("tool", 1), ("parallel", 2)])
def test_calls_are_run_and_answered(
    client: openai.OpenAI, fake: FakeProvider, up: str, scenario: str, count: int
) -> None:
    request = {"model": model(up, scenario), "tools": [WEATHER]}
    history: list[Any] = [{"role": "user", "content": "Weather in Oslo and Rome?"}]
    first = both(client, input=history, **request)
    assert first.output_text == "Let me check."
    calls = [item for item in first.output if item.type == "function_call"]
    assert len({call.call_id for call in calls}) == len(calls) == count
    assert all(orjson.loads(call.arguments).keys() == {"city"} for call in calls)
    history += first.output
    history += [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"{index} C"}
        for index, call in enumerate(calls)
    ]
    last = both(client, input=history, **request)
    assert last.status == "completed"
    assert all(f"{index} C" in last.output_text for index in range(count))
    accepted(fake)


_KINDS = {
    "chat": ["message", "function_call"],
    "responses": ["reasoning", "message", "function_call"],
    "claude": ["reasoning", "message", "function_call"],
    "gemini": ["reasoning", "message", "reasoning", "function_call"],
}
"""Chat has no word for reasoning; Gemini signs the call, so that what it signed stands before it."""


def test_reasoning_survives_two_tool_steps(
    client: openai.OpenAI, fake: FakeProvider, up: str
) -> None:
    request = {
        "model": model(up, "reasoning-tool"),
        "tools": [WEATHER],
        "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    for _step in range(2):
        answer = both(client, input=history, **request)
        kinds = [item.type for item in answer.output]
        assert kinds == _KINDS[up]
        history += answer.output
        call = answer.output[-1]
        history.append({"type": "function_call_output", "call_id": call.call_id, "output": "4 C"})
    last = both(client, input=history, **request)
    assert last.usage.output_tokens_details.reasoning_tokens > 0
    if up != "chat":  # this protocol has no field for it
        assert "Reasoning came back 2 time(s)" in last.output_text
    accepted(fake)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        pytest.param(
            {
                "type": "input_image",
                "detail": "auto",
                "image_url": f"data:image/png;base64,{PNG}",
            },
            PNG,
            id="an image",
        ),
        pytest.param(
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": f"data:application/pdf;base64,{PDF}",
            },
            PDF,
            id="a PDF",
        ),
    ],
)
def test_media(
    client: openai.OpenAI, fake: FakeProvider, up: str, part: dict[str, Any], words: str
) -> None:
    content = [{"type": "input_text", "text": "What is this?"}, part]
    answer = both(client, model=model(up, "text"), input=[{"role": "user", "content": content}])
    assert answer.status == "completed"
    assert all(words.encode() in item.raw for item in fake.record)
    accepted(fake)


def test_structured_output(client: openai.OpenAI, fake: FakeProvider, up: str) -> None:
    form = {"type": "json_schema", "name": "place", "schema": CITY, "strict": True}
    answer = both(client, model=model(up, "json"), input="Hi", text={"format": form})
    assert orjson.loads(answer.output_text).keys() == {"city"}
    assert answer.text.format.type == "json_schema"
    accepted(fake)


@pytest.mark.parametrize(
    ("scenario", "status", "reason", "said"),
    [
        pytest.param("filter", "incomplete", "content_filter", "Partial", id="a filter"),
        pytest.param(
            "length",
            "incomplete",
            "max_output_tokens",
            "This answer stops in the middle of",
            id="the cap",
        ),
        pytest.param("empty", "completed", None, "", id="nothing said"),
    ],
)
def test_endings(
    client: openai.OpenAI,
    fake: FakeProvider,
    up: str,
    scenario: str,
    status: str,
    reason: str | None,
    said: str,
) -> None:
    answer = both(client, model=model(up, scenario), input="Hi")
    assert answer.status == status
    assert (answer.incomplete_details and answer.incomplete_details.reason) == reason
    assert answer.output_text == said
    accepted(fake)


def test_a_refusal(client: openai.OpenAI, fake: FakeProvider, up: str) -> None:
    answer = both(client, model=model(up, "refusal"), input="Hi")
    parts = [part for item in answer.output for part in item.content]
    words = [part.refusal if part.type == "refusal" else part.text for part in parts]
    assert words == ["I can't help with that."]
    if up in ("chat", "responses"):
        assert parts[0].type == "refusal"
        assert answer.status == "completed"
    elif up == "claude":
        assert answer.incomplete_details.reason == "content_filter"
    accepted(fake)


def test_usage(client: openai.OpenAI, fake: FakeProvider, up: str) -> None:
    usage = both(
        client,
        model=model(up, "text", input_tokens=1000, cache_read=600, cache_write=100),
        input="Hi",
    ).usage
    assert usage.input_tokens == 1000
    assert usage.input_tokens_details.cached_tokens == 600
    # Gemini has no word for what was written.
    assert usage.input_tokens_details.cache_write_tokens == (0 if up == "gemini" else 100)
    assert usage.output_tokens == len("Fake answer to: Hi") // 4
    assert usage.total_tokens == 1000 + usage.output_tokens


def test_metadata_is_echoed(client: openai.OpenAI, fake: FakeProvider, up: str) -> None:
    answer = both(client, model=model(up, "text"), input="Hi", metadata={"trace": "1"})
    assert answer.metadata == {"trace": "1"}
    accepted(fake)


def test_logprobs(client: openai.OpenAI, fake: FakeProvider, up: str) -> None:
    request = {
        "model": model(up, "text"),
        "input": "Hi",
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
    }
    if up == "claude":
        raw = client.responses.with_raw_response.create(**request)
        assert "logprobs" in raw.headers["x-llmgate-degraded"]
        return
    answer = both(client, **request)
    tokens = answer.output[0].content[0].logprobs
    assert "".join(token.token for token in tokens) == answer.output_text
    assert {token.logprob for token in tokens} == {-0.25}
    deltas = [
        token.token
        for event in events(client, **request)
        if event.type == "response.output_text.delta"
        for token in event.logprobs
    ]
    assert deltas == [token.token for token in tokens]
    accepted(fake)


@pytest.mark.parametrize(
    ("form", "warned"),
    [
        pytest.param(None, (), id="plain"),
        pytest.param({"type": "text"}, (), id="text"),
        pytest.param(
            {"type": "grammar", "syntax": "lark", "definition": 'start: "SELECT" /.+/'},
            ("chat", "claude", "gemini"),
            id="a grammar",
        ),
    ],
)
def test_a_custom_tool(
    client: openai.OpenAI,
    fake: FakeProvider,
    up: str,
    form: dict[str, str] | None,
    warned: tuple[str, ...],
) -> None:
    custom: dict[str, Any] = {"type": "custom", "name": "run_sql", "description": "Runs SQL."}
    if form:
        custom["format"] = form
    request = {"model": model(up, "tool", tool="run_sql"), "tools": [custom]}
    history: list[Any] = [{"role": "user", "content": "How many rows?"}]
    first = both(client, input=history, **request)
    (call,) = [item for item in first.output if item.type == "custom_tool_call"]
    assert call.name == "run_sql"
    pieces = [
        event.delta
        for event in events(client, input=history, **request)
        if event.type == "response.custom_tool_call_input.delta"
    ]
    assert "".join(pieces) == call.input != ""
    history += first.output
    history.append({"type": "custom_tool_call_output", "call_id": call.call_id, "output": "3"})
    last = both(client, input=history, **request)
    assert "3" in last.output_text
    raw = client.responses.with_raw_response.create(input=history, **request)
    assert ("tools[0]" in raw.headers.get("x-llmgate-degraded", "")) is (up in warned)
    accepted(fake)


def test_a_custom_tool_beside_a_namespace(
    client: openai.OpenAI, fake: FakeProvider, up: str
) -> None:
    inner = {**WEATHER, "name": "forecast"}
    tools = [
        {"type": "custom", "name": "run_sql", "description": "Runs SQL."},
        {"type": "namespace", "name": "skies", "description": "Weather.", "tools": [inner]},
    ]
    name = "forecast" if up == "responses" else "skies__forecast"
    answer = both(client, model=model(up, "tool", tool=name), input="Weather?", tools=tools)
    (call,) = [item for item in answer.output if item.type == "function_call"]
    assert (call.namespace, call.name) == ("skies", "forecast")
    assert orjson.loads(call.arguments).keys() == {"city"}
    accepted(fake)


@pytest.mark.parametrize("how", CUTS)
def test_a_cut_stream_ends_in_a_failure(
    client: openai.OpenAI, fake: FakeProvider, up: str, how: str
) -> None:
    fake.play("cut", times=0, after=6, how=how)
    heard = events(client, model=f"{up}/m", input="Hi")
    assert heard[-1].type == "response.failed"
    assert heard[-1].response.id == heard[0].response.id
    assert [event.sequence_number for event in heard] == list(range(len(heard)))


def test_an_error_in_the_stream_is_a_failure(
    client: openai.OpenAI, fake: FakeProvider, up: str
) -> None:
    fake.play("error-mid", times=0, after=6, status=500)
    last = events(client, model=f"{up}/m", input="Hi")[-1]
    assert last.type == "response.failed"
    assert last.response.error.code == "server_error"


@pytest.mark.parametrize("up", ["chat", "claude", "gemini"])  # Responses begins before it fails
def test_an_error_as_the_first_event_is_a_plain_one(
    client: openai.OpenAI, fake: FakeProvider, up: str
) -> None:
    fake.play("error-first", times=0)
    with pytest.raises(openai.InternalServerError) as caught:
        client.responses.create(model=f"{up}/m", input="Hi", stream=True)
    assert caught.value.status_code == 503


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_rate_limited(client: openai.OpenAI, fake: FakeProvider, up: str, stream: bool) -> None:
    fake.play("status-429", times=0, retry_after_s=7)
    with pytest.raises(openai.RateLimitError) as caught:
        client.responses.create(model=f"{up}/m", input="Hi", stream=stream)
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.type == "rate_limit_error"


@pytest.mark.parametrize(
    ("mode", "request_", "path", "fine"),
    [
        pytest.param(
            "balanced",
            {"truncation": "auto"},
            "truncation",
            ("responses",),
            id="balanced: truncation",
        ),
        pytest.param(
            "strict",
            {"text": {"verbosity": "low"}},
            "text.verbosity",
            ("responses",),
            id="strict: verbosity",
        ),
        pytest.param(
            "balanced",
            {"text": {"verbosity": "low"}},
            "text.verbosity",
            UPSTREAMS,
            id="balanced: verbosity is a hint",
        ),
        pytest.param(
            "balanced",
            {
                "tools": [
                    {
                        "type": "custom",
                        "name": "t",
                        "format": {"type": "grammar", "syntax": "regex", "definition": "a+"},
                    }
                ]
            },
            "tools[0]",
            ("responses",),
            id="balanced: a grammar",
        ),
    ],
)
def test_modes(
    client: openai.OpenAI,
    fake: FakeProvider,
    up: str,
    mode: str,
    request_: dict[str, Any],
    path: str,
    fine: tuple[str, ...],
) -> None:
    request = {
        "model": model(up, "text"),
        "input": "Hi",
        "extra_headers": {"x-llmgate-mode": mode},
        **request_,
    }
    if up in fine:
        client.responses.create(**request)
        accepted(fake)
        return
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**request)
    assert caught.value.param == path
    assert len(fake.record) == 0
