"""The official SDKs, as strict as they can be made, hold whole conversations with the fake in its own protocols.

What they send is judged by their request types too (`sdk_types`), so the fake's checks cannot be stricter than
the providers without an SDK noticing, nor its answers looser.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.scripts.fake.bodies import CITY, QUESTION

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
genai = pytest.importorskip("google.genai")

TALK = [
    "text",
    "tool",
    "parallel",
    "serial",
    "reasoning",
    "reasoning-tool",
    "redacted-tool",
    "unicode",
]
TWO_RESULTS = ("parallel", "serial", "reasoning-tool")


@pytest.fixture(scope="module")
def own_fake() -> Iterator[FakeProvider]:
    with FakeProvider.running(sdk_types=True) as provider:
        yield provider


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def check(fake: FakeProvider, scenario: str, answer: str, rounds: int) -> None:
    """Nothing was refused, nothing looked odd, and the answer knows the results."""
    assert not [(item.reason, item.body) for item in fake.record.rejected]
    assert not [note for item in fake.record for note in item.notes if note.startswith("sdk")]
    assert answer
    assert answer.count("4 C") == (2 if scenario in TWO_RESULTS else "tool" in scenario)
    assert rounds == len(fake.record)


def wanted(scenario: str) -> int:
    """How many requests a scenario takes."""
    if scenario in ("serial", "reasoning-tool"):
        return 3
    return 2 if scenario == "parallel" or "tool" in scenario else 1


@pytest.mark.parametrize("scenario", TALK)
def test_openai_chat(fake: FakeProvider, scenario: str, streamed: bool) -> None:
    client = openai.OpenAI(
        api_key="fake-key",
        base_url=fake.base_url + "/v1",
        _strict_response_validation=True,
        max_retries=0,
    )
    tool = {
        "type": "function",
        "function": {"name": "get_weather", "parameters": CITY, "strict": True},
    }
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    for _ in range(wanted(scenario)):
        asked: Any = {"model": "fake-" + scenario, "messages": messages, "tools": [tool]}
        if streamed:
            with client.chat.completions.stream(
                **asked, stream_options={"include_usage": True}
            ) as stream:
                completion = stream.get_final_completion()
        else:
            completion = client.chat.completions.create(**asked)
        message = completion.choices[0].message
        assert completion.usage.total_tokens > 0
        messages.append({"role": "assistant", "content": message.content})
        if message.tool_calls:
            kept = ("id", "type", "function")
            calls = [call.model_dump(include=set(kept)) for call in message.tool_calls]
            for call in calls:
                call["function"].pop("parsed_arguments", None)
            messages[-1]["tool_calls"] = calls
            messages += [
                {"role": "tool", "tool_call_id": call["id"], "content": "4 C"} for call in calls
            ]
    check(fake, scenario, message.content, wanted(scenario))


@pytest.mark.parametrize("scenario", TALK)
def test_openai_responses(fake: FakeProvider, scenario: str, streamed: bool) -> None:
    client = openai.OpenAI(
        api_key="fake-key",
        base_url=fake.base_url + "/v1",
        _strict_response_validation=True,
        max_retries=0,
    )
    tool = {"type": "function", "name": "get_weather", "parameters": CITY, "strict": True}
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    for _ in range(wanted(scenario)):
        asked: Any = {
            "model": "fake-" + scenario,
            "input": items,
            "tools": [tool],
            "store": False,
            "reasoning": {"summary": "auto"},
        }
        if streamed:
            with client.responses.stream(**asked) as stream:
                response = stream.get_final_response()
        else:
            response = client.responses.create(**asked)
        assert response.status == "completed"
        for item in response.output:
            sent = item.model_dump(exclude_none=True)
            sent.pop("parsed_arguments", None)
            for part in sent.get("content", ()):
                part.pop("parsed", None)
            items.append(sent)
        items += [
            {"type": "function_call_output", "call_id": item.call_id, "output": "4 C"}
            for item in response.output
            if item.type == "function_call"
        ]
    check(fake, scenario, response.output_text, wanted(scenario))
    if "reasoning" in scenario or "redacted" in scenario:
        assert fake.record.last.reasoning_returned == wanted(scenario) - 1


@pytest.mark.parametrize("scenario", TALK)
def test_anthropic(fake: FakeProvider, scenario: str, streamed: bool) -> None:
    client = anthropic.Anthropic(
        api_key="fake-key", base_url=fake.base_url, _strict_response_validation=True, max_retries=0
    )
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    for _ in range(wanted(scenario)):
        asked: Any = {
            "model": "fake-" + scenario,
            "max_tokens": 2000,
            "messages": messages,
            "thinking": {"type": "adaptive", "display": "omitted" if streamed else "summarized"},
            "tools": [{"name": "get_weather", "input_schema": CITY, "strict": True}],
        }
        if streamed:
            with client.messages.stream(**asked) as stream:
                message = stream.get_final_message()
        else:
            message = client.messages.create(**asked)
        content = [
            block.model_dump(exclude_none=True, exclude={"parsed_output"})
            for block in message.content
        ]
        messages.append({"role": "assistant", "content": content})
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "4 C"}
            for block in message.content
            if block.type == "tool_use"
        ]
        messages.append({"role": "user", "content": results})
    answer = "".join(block.text for block in message.content if block.type == "text")
    check(fake, scenario, answer, wanted(scenario))
    if "tool" in scenario and scenario != "tool":
        assert fake.record.last.reasoning_returned == wanted(scenario) - 1


@pytest.mark.parametrize("scenario", TALK)
def test_google_genai(fake: FakeProvider, scenario: str, streamed: bool) -> None:
    from google.genai import types

    client = genai.Client(
        api_key="fake-key", http_options=types.HttpOptions(base_url=fake.base_url)
    )
    declaration = types.FunctionDeclaration(name="get_weather", parameters_json_schema=CITY)
    config = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True),
        tools=[types.Tool(function_declarations=[declaration])],
    )
    contents = [types.Content(role="user", parts=[types.Part(text=QUESTION)])]
    for _ in range(wanted(scenario)):
        asked: Any = {"model": "gemini-3-fake-" + scenario, "contents": contents, "config": config}
        if streamed:
            chunks = list(client.models.generate_content_stream(**asked))
        else:
            chunks = [client.models.generate_content(**asked)]
        parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or ()]
        contents.append(types.Content(role="model", parts=parts))
        responses = [
            types.FunctionResponse(id=call.id, name=call.name, response={"output": "4 C"})
            for call in (part.function_call for part in parts)
            if call
        ]
        contents.append(
            types.Content(
                role="user", parts=[types.Part(function_response=item) for item in responses]
            )
        )
    client.close()
    answer = "".join(part.text for part in parts if part.text and not part.thought)
    check(fake, scenario, answer, wanted(scenario))


def test_the_sdks_raise_their_own_errors(fake: FakeProvider) -> None:
    fake.play("status-429", times=0, retry_after_s=7)
    chat = openai.OpenAI(api_key="fake-key", base_url=fake.base_url + "/v1", max_retries=0)
    with pytest.raises(openai.RateLimitError) as limited:
        chat.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert limited.value.response.headers["retry-after"] == "7"
    fake.play("status-529", times=0)
    client = anthropic.Anthropic(api_key="fake-key", base_url=fake.base_url, max_retries=0)
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])
    assert overloaded.value.status_code == 529
    assert overloaded.value.body["error"]["type"] == "overloaded_error"


def test_the_sdks_types_have_something_to_say(fake: FakeProvider) -> None:
    """The second opinion is not a rubber stamp: a body that the fake lets pass can still be noted."""
    from scripts.fake.sdk_types import complaints

    assert complaints(
        "openai_chat", {"model": "m", "messages": [{"role": "user", "content": [{}]}]}
    )
    assert complaints("openai_responses", {"model": "m", "input": 5})
    assert complaints("anthropic", {"model": "m", "messages": [{"role": "user", "content": 5}]})
    assert complaints("gemini", {"contents": [{"parts": [{"foo": 1}]}]})
    assert not complaints("gemini", {"contents": [{"parts": [{"text": "x"}]}]})
