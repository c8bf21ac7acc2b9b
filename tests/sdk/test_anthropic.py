"""The official Anthropic SDK, strict, through a real mitmdump to a Chat Completions provider."""

from __future__ import annotations

import base64

import anthropic
import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway

PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
    )
).decode()
WEATHER: anthropic.types.ToolParam = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


@pytest.fixture
def client(gateway: Gateway) -> anthropic.Anthropic:
    """A client that validates every answer and retries nothing."""
    return anthropic.Anthropic(
        api_key=gateway.key,
        base_url=gateway.url,
        max_retries=0,
        _strict_response_validation=True,
    )


def test_text_unary(client: anthropic.Anthropic, fake: FakeProvider) -> None:
    answer = client.messages.create(
        model="chat/fake-text", max_tokens=100, messages=[{"role": "user", "content": "Hi"}]
    )
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Fake answer to: Hi"
    assert answer.stop_reason == "end_turn"
    assert answer.model == "chat/fake-text"
    assert answer.usage.input_tokens > 0
    (seen,) = fake.record
    assert seen.protocol == "openai_chat"
    assert seen.verdict == "accepted"


def test_text_streamed(client: anthropic.Anthropic, fake: FakeProvider) -> None:
    with client.messages.stream(
        model="chat/fake-unicode",
        max_tokens=1000,
        system="Be brief.",
        messages=[{"role": "user", "content": "Hi"}],
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert "日本語, emoji 🙂👩‍💻" in text
    assert final.content[0].type == "text"
    assert final.content[0].text == text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 0
    (seen,) = fake.record
    assert seen.body["stream_options"] == {"include_usage": True}
    assert seen.body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_two_parallel_calls_are_run_and_answered(
    client: anthropic.Anthropic, fake: FakeProvider
) -> None:
    messages: list[anthropic.types.MessageParam] = [
        {"role": "user", "content": "Weather in two cities?"}
    ]
    with client.messages.stream(
        model="chat/fake-parallel", max_tokens=1000, messages=messages, tools=[WEATHER]
    ) as stream:
        first = stream.get_final_message()
    calls = [block for block in first.content if block.type == "tool_use"]
    assert len(calls) == 2
    assert len({call.id for call in calls}) == 2
    assert all("city" in call.input for call in calls)
    assert first.stop_reason == "tool_use"
    messages.append({"role": "assistant", "content": first.content})
    messages.append(
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": calls[0].id, "content": "4 C"},
                {
                    "type": "tool_result",
                    "tool_use_id": calls[1].id,
                    "content": "timeout",
                    "is_error": True,
                },
            ],
        }
    )
    second = client.messages.create(
        model="chat/fake-parallel", max_tokens=1000, messages=messages, tools=[WEATHER]
    )
    assert second.stop_reason == "end_turn"
    last = list(fake.record)[-1]
    assert last.verdict == "accepted"
    assert [m["content"] for m in last.body["messages"] if m["role"] == "tool"] == [
        "4 C",
        "Error: timeout",
    ]


def test_an_image(client: anthropic.Anthropic, fake: FakeProvider) -> None:
    answer = client.messages.create(
        model="chat/fake-image",
        max_tokens=100,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
                    },
                ],
            }
        ],
    )
    assert answer.content[0].type == "text"
    assert answer.content[0].text.startswith("I see 1 image(s): image/png")


def test_rate_limited_with_retry_after(client: anthropic.Anthropic, fake: FakeProvider) -> None:
    fake.play("status-429", times=0, retry_after_s=7)
    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(
            model="chat/m", max_tokens=100, messages=[{"role": "user", "content": "Hi"}]
        )
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.body["error"]["type"] == "rate_limit_error"


def test_overloaded_is_529(client: anthropic.Anthropic, fake: FakeProvider) -> None:
    fake.play("status-529", times=0)
    with pytest.raises(anthropic.InternalServerError) as caught:
        client.messages.create(
            model="chat/m", max_tokens=100, messages=[{"role": "user", "content": "Hi"}]
        )
    assert caught.value.status_code == 529
    assert caught.value.body["error"]["type"] == "overloaded_error"


def test_a_cut_stream_is_an_error_not_an_end(
    client: anthropic.Anthropic, fake: FakeProvider
) -> None:
    fake.play("cut", times=0, after=3)
    with (
        pytest.raises(anthropic.APIStatusError) as caught,
        client.messages.stream(
            model="chat/m", max_tokens=100, messages=[{"role": "user", "content": "Hi"}]
        ) as stream,
    ):
        for _event in stream:
            pass
    assert "ended early" in str(caught.value)


def test_an_unknown_model_names_the_known_ones(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.create(
            model="nobody/nothing", max_tokens=100, messages=[{"role": "user", "content": "Hi"}]
        )
    assert caught.value.body["error"]["type"] == "not_found_error"
    assert 'the model "nobody/nothing" is not known here' in caught.value.body["error"]["message"]
