"""The official OpenAI SDK's Chat Completions, strict, through a real mitmdump to all four protocols."""

from __future__ import annotations

from typing import Any

import openai
import orjson
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from scripts.fake import FakeProvider
from tests.support.sdk import CITY, CUTS, MIXED, PDF, PNG, SEPARATOR, accepted, model, same

WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather.", "parameters": CITY},
}
USER = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def client(shared_openai: openai.OpenAI, fake: FakeProvider) -> openai.OpenAI:
    """The client, in front of a provider that has seen nothing yet."""
    return shared_openai


def chunks(client: openai.OpenAI, **request: Any) -> list[ChatCompletionChunk]:
    """All chunks of a stream with usage."""
    stream = client.chat.completions.create(
        stream=True, stream_options={"include_usage": True}, **request
    )
    return list(stream)


def both(client: openai.OpenAI, **request: Any) -> ChatCompletion:
    """The answer, which is the same as a stream and without."""
    unary = client.chat.completions.create(**request)
    assert isinstance(unary, ChatCompletion)
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks(client, **request):
        state.handle_chunk(chunk)
    streamed = state.current_completion_snapshot.model_dump(warnings=False)
    for choice in streamed["choices"]:
        for number, call in enumerate(choice["message"].get("tool_calls") or ()):
            assert call.pop("index") == number  # the SDK's own, from the chunks
    same(unary, streamed)
    return unary


def test_text(client: openai.OpenAI, fake: FakeProvider, up: str) -> None:
    name = model(up, "unicode")
    messages = [{"role": "developer", "content": "Be brief."}, *USER]
    answer = both(client, model=name, messages=messages)
    assert MIXED in answer.choices[0].message.content
    assert SEPARATOR in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == name
    assert answer.id.startswith("chatcmpl-")
    accepted(fake)


@pytest.mark.parametrize(("scenario", "count"), [("tool", 1), ("parallel", 2)])
def test_calls_are_run_and_answered(
    client: openai.OpenAI, fake: FakeProvider, up: str, scenario: str, count: int
) -> None:
    request = {"model": model(up, scenario), "tools": [WEATHER]}
    messages: list[Any] = [{"role": "user", "content": "Weather in Oslo and Rome?"}]
    first = both(client, messages=messages, **request).choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.content == "Let me check."
    calls = first.message.tool_calls
    assert len({call.id for call in calls}) == len(calls) == count
    assert all(orjson.loads(call.function.arguments).keys() == {"city"} for call in calls)
    messages.append(first.message)
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": f"{index} C"}
        for index, call in enumerate(calls)
    ]
    last = both(client, messages=messages, **request).choices[0]
    assert last.finish_reason == "stop"
    assert all(f"{index} C" in last.message.content for index in range(count))
    accepted(fake)


def test_reasoning_comes_back_although_chat_cannot_carry_it(
    client: openai.OpenAI, fake: FakeProvider, up: str
) -> None:
    request = {
        "model": model(up, "reasoning-tool"),
        "tools": [WEATHER],
        "reasoning_effort": "high",
    }
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    for _step in range(2):
        message = client.chat.completions.create(messages=messages, **request).choices[0].message
        (call,) = message.tool_calls
        messages.append(message)
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "4 C"})
    last = both(client, messages=messages, **request)
    assert last.choices[0].finish_reason == "stop"
    assert last.usage.completion_tokens_details.reasoning_tokens > 0
    if up != "chat":  # this protocol has no field for it
        assert fake.record.last.reasoning_returned == 2
    accepted(fake)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        pytest.param(
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            PNG,
            id="an image",
        ),
        pytest.param(
            {
                "type": "file",
                "file": {
                    "filename": "a.pdf",
                    "file_data": f"data:application/pdf;base64,{PDF}",
                },
            },
            PDF,
            id="a PDF",
        ),
    ],
)
def test_media(
    client: openai.OpenAI, fake: FakeProvider, up: str, part: dict[str, Any], words: str
) -> None:
    content = [{"type": "text", "text": "What is this?"}, part]
    answer = both(client, model=model(up, "text"), messages=[{"role": "user", "content": content}])
    assert answer.choices[0].finish_reason == "stop"
    assert all(words.encode() in item.raw for item in fake.record)
    accepted(fake)


def test_structured_output(client: openai.OpenAI, fake: FakeProvider, up: str) -> None:
    schema = {"name": "place", "schema": CITY, "strict": True}
    answer = both(
        client,
        model=model(up, "json"),
        messages=USER,
        response_format={"type": "json_schema", "json_schema": schema},
    )
    assert orjson.loads(answer.choices[0].message.content).keys() == {"city"}
    accepted(fake)


@pytest.mark.parametrize(
    ("scenario", "finish"),
    [
        pytest.param(
            "refusal",
            {
                "chat": "stop",
                "responses": "stop",
                "claude": "content_filter",
                "gemini": "stop",
            },
            id="a refusal",
        ),
        pytest.param(
            "filter",
            dict.fromkeys(("chat", "responses", "claude", "gemini"), "content_filter"),
            id="a filter",
        ),
        pytest.param(
            "length",
            dict.fromkeys(("chat", "responses", "claude", "gemini"), "length"),
            id="the cap",
        ),
        pytest.param(
            "empty",
            dict.fromkeys(("chat", "responses", "claude", "gemini"), "stop"),
            id="nothing said",
        ),
    ],
)
def test_endings(
    client: openai.OpenAI, fake: FakeProvider, up: str, scenario: str, finish: dict[str, str]
) -> None:
    answer = both(client, model=model(up, scenario), messages=USER).choices[0]
    assert answer.finish_reason == finish[up]
    said = answer.message.refusal or answer.message.content or ""
    expected = {
        "refusal": "I can't help with that.",
        "filter": "Partial",
        "length": "This answer stops in the middle of",
        "empty": "",
    }
    assert said.strip() == expected[scenario]
    accepted(fake)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_stop_sequences_work_even_where_the_upstream_has_none(
    client: openai.OpenAI, fake: FakeProvider, up: str, stream: bool
) -> None:
    request = {
        "model": model(up, "text", text="one two STOP three"),
        "messages": USER,
        "stop": ["STOP"],
    }
    if stream:
        heard = [choice for chunk in chunks(client, **request) for choice in chunk.choices]
        text = "".join(choice.delta.content or "" for choice in heard)
        finish = heard[-1].finish_reason
    else:
        (choice,) = client.chat.completions.create(**request).choices
        text, finish = choice.message.content, choice.finish_reason
    assert (text, finish) == ("one two ", "stop")
    accepted(fake)


def test_usage(client: openai.OpenAI, fake: FakeProvider, up: str) -> None:
    usage = both(
        client,
        model=model(up, "text", input_tokens=1000, cache_read=600, cache_write=100),
        messages=USER,
    ).usage
    assert usage.prompt_tokens == 1000
    assert usage.prompt_tokens_details.cached_tokens == 600
    if up != "gemini":  # it has no word for what was written
        assert usage.prompt_tokens_details.cache_write_tokens == 100
    assert usage.completion_tokens == len("Fake answer to: Hi") // 4
    assert usage.total_tokens == 1000 + usage.completion_tokens


@pytest.mark.parametrize("scenario", ["text", "tool"])
def test_several_answers(client: openai.OpenAI, fake: FakeProvider, up: str, scenario: str) -> None:
    request: dict[str, Any] = {"model": model(up, scenario), "messages": USER, "n": 2}
    if scenario == "tool":
        request["tools"] = [WEATHER]
    # A Gemini stream with tools has one answer, one of Anthropic or Responses always.
    streams = up == "chat" or (up == "gemini" and scenario == "text")
    answer = both(client, **request) if streams else client.chat.completions.create(**request)
    assert isinstance(answer, ChatCompletion)
    first, second = answer.choices
    assert (first.index, second.index) == (0, 1)
    assert first.message.content == second.message.content
    assert len(first.message.tool_calls or ()) == len(second.message.tool_calls or ())
    assert first.finish_reason == second.finish_reason
    accepted(fake)


def test_no_usage_chunk_unless_asked_for(client: openai.OpenAI, up: str) -> None:
    stream = client.chat.completions.create(model=model(up, "text"), messages=USER, stream=True)
    assert all(chunk.usage is None and chunk.choices for chunk in stream)


def test_seed_penalties_and_metadata(client: openai.OpenAI, fake: FakeProvider, up: str) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=model(up, "text"),
        messages=USER,
        seed=7,
        frequency_penalty=0.5,
        presence_penalty=0.25,
        logit_bias={"17": 3},
    )
    lost = raw.headers.get("x-llmgate-degraded", "")
    sent = fake.record.last.body
    if up == "chat":
        assert (sent["seed"], sent["frequency_penalty"], sent["logit_bias"]) == (7, 0.5, {"17": 3})
        assert lost == ""
    elif up == "gemini":
        config = sent["generationConfig"]
        assert (config["seed"], config["frequencyPenalty"]) == (7, 0.5)
        assert "seed" not in lost
        assert "logit_bias" in lost
    else:
        assert all(name in lost for name in ("seed", "frequency_penalty", "presence_penalty"))
    accepted(fake)


def test_logprobs(client: openai.OpenAI, fake: FakeProvider, up: str) -> None:
    request = {
        "model": model(up, "text"),
        "messages": USER,
        "logprobs": True,
        "top_logprobs": 2,
    }
    if up == "claude":
        raw = client.chat.completions.with_raw_response.create(**request)
        assert "logprobs" in raw.headers["x-llmgate-degraded"]
        return
    answer = both(client, **request).choices[0]
    tokens = answer.logprobs.content
    assert "".join(token.token for token in tokens) == answer.message.content
    assert {token.logprob for token in tokens} == {-0.25}
    assert all(bytes(token.bytes).decode() == token.token for token in tokens)
    assert all(token.top_logprobs[0].token == token.token for token in tokens)
    accepted(fake)


@pytest.mark.parametrize("format_", [None, {"type": "text"}], ids=["plain", "text"])
def test_a_custom_tool(
    client: openai.OpenAI, fake: FakeProvider, up: str, format_: dict[str, str] | None
) -> None:
    custom: dict[str, Any] = {"name": "run_sql", "description": "Runs SQL."}
    if format_:
        custom["format"] = format_
    request = {
        "model": model(up, "tool", tool="run_sql"),
        "tools": [{"type": "custom", "custom": custom}],
    }
    messages: list[Any] = [{"role": "user", "content": "How many rows?"}]
    unary = client.chat.completions.create(messages=messages, **request).choices[0]
    (call,) = unary.message.tool_calls
    assert call.type == "custom"
    assert call.custom.name == "run_sql"
    # The SDK's type of a chunk knows functions only, although the API streams custom calls.
    lenient = client.with_options(_extra_kwargs={"_strict_response_validation": False})
    deltas = [
        delta.model_dump()
        for chunk in chunks(lenient, messages=messages, **request)
        for choice in chunk.choices
        for delta in choice.delta.tool_calls or ()
    ]
    assert "".join(delta["custom"].get("input", "") for delta in deltas) == call.custom.input
    assert deltas[0]["custom"]["name"] == "run_sql"
    messages.append(unary.message)
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "3"})
    last = both(client, messages=messages, **request)
    assert "3" in last.choices[0].message.content
    accepted(fake)


@pytest.mark.parametrize("how", CUTS)
def test_a_cut_stream_is_an_error(
    client: openai.OpenAI, fake: FakeProvider, up: str, how: str
) -> None:
    fake.play("cut", times=0, after=3, how=how)
    with pytest.raises((openai.APIError, openai.APIConnectionError)):
        chunks(client, model=f"{up}/m", messages=USER)


def test_an_error_in_the_stream_is_raised(
    client: openai.OpenAI, fake: FakeProvider, up: str
) -> None:
    fake.play("error-mid", times=0, after=3)
    with pytest.raises(openai.APIError):
        chunks(client, model=f"{up}/m", messages=USER)


def test_an_error_as_the_first_event_is_a_plain_one(
    client: openai.OpenAI, fake: FakeProvider, up: str
) -> None:
    fake.play("error-first", times=0)
    with pytest.raises(openai.APIError) as caught:
        chunks(client, model=f"{up}/m", messages=USER)
    if up != "responses":  # its streams begin before they fail
        assert caught.value.status_code == 503


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_rate_limited(client: openai.OpenAI, fake: FakeProvider, up: str, stream: bool) -> None:
    fake.play("status-429", times=0, retry_after_s=7)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=f"{up}/m", messages=USER, stream=stream)
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.type == "rate_limit_error"


@pytest.mark.parametrize(
    ("mode", "request_", "path", "fine"),
    [
        pytest.param("strict", {"seed": 7}, "seed", ("chat", "gemini"), id="strict: a seed"),
        pytest.param("balanced", {"n": 2}, "n", ("chat", "gemini"), id="balanced: two answers"),
        pytest.param(
            "balanced",
            {"logprobs": True},
            "logprobs",
            ("chat", "responses", "gemini"),
            id="balanced: logprobs",
        ),
        pytest.param(
            "balanced",
            {"seed": 7},
            "seed",
            ("chat", "responses", "claude", "gemini"),
            id="balanced: a seed is a hint",
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
        "messages": USER,
        "extra_headers": {"x-llmgate-mode": mode},
        **request_,
    }
    if up in fine:
        client.chat.completions.create(**request)
        accepted(fake)
        return
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request)
    assert caught.value.param == path
    assert len(fake.record) == 0


def test_an_unknown_mode_is_named(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="known modes: strict, balanced, max_compat"):
        client.chat.completions.create(
            model="chat/fake-text", messages=USER, extra_headers={"x-llmgate-mode": "lax"}
        )
