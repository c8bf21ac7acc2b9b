"""The official Anthropic SDK, strict, through a real mitmdump to all four protocols."""

from __future__ import annotations

from typing import Any

import anthropic
import orjson
import pytest
from anthropic.types import Message

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

WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": CITY,
}
USER: list[Any] = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="session")
def shared_client(shared_gateway: Gateway) -> anthropic.Anthropic:
    """A client that validates every answer and retries nothing."""
    return anthropic.Anthropic(
        api_key=shared_gateway.key,
        base_url=shared_gateway.url,
        max_retries=0,
        _strict_response_validation=True,
    )


@pytest.fixture
def client(shared_client: anthropic.Anthropic, fake: FakeProvider) -> anthropic.Anthropic:
    """The client, in front of a provider that has seen nothing yet."""
    return shared_client


def both(client: anthropic.Anthropic, **request: Any) -> Message:
    """The answer, which is the same as a stream and without."""
    request = {"max_tokens": 4000, "messages": USER, **request}
    unary = client.messages.create(**request)
    with client.messages.stream(**request) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    same(unary, final)
    assert text == "".join(block.text for block in final.content if block.type == "text")
    return unary


def drain(client: anthropic.Anthropic, **request: Any) -> None:
    """Read a stream to its end."""
    with client.messages.stream(max_tokens=100, messages=USER, **request) as stream:
        for _event in stream:
            pass


def said(answer: Message) -> str:
    """All text of an answer."""
    return "".join(block.text for block in answer.content if block.type == "text")


def test_text(client: anthropic.Anthropic, fake: FakeProvider, up: str) -> None:
    name = model(up, "unicode")
    answer = both(client, model=name, system="Be brief.")
    assert MIXED in said(answer)
    assert SEPARATOR in said(answer)
    assert answer.stop_reason == "end_turn"
    assert answer.model == name
    assert answer.id.startswith("msg_")
    accepted(fake)


@pytest.mark.parametrize(("scenario", "count"), [("tool", 1), ("parallel", 2)])
def test_calls_are_run_and_answered(
    client: anthropic.Anthropic, fake: FakeProvider, up: str, scenario: str, count: int
) -> None:
    request = {"model": model(up, scenario), "tools": [WEATHER]}
    messages: list[Any] = [{"role": "user", "content": "Weather in Oslo and Rome?"}]
    first = both(client, messages=messages, **request)
    assert first.stop_reason == "tool_use"
    assert said(first) == "Let me check."
    calls = [block for block in first.content if block.type == "tool_use"]
    assert len({call.id for call in calls}) == len(calls) == count
    assert all(call.input.keys() == {"city"} for call in calls)
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": f"{index} C"}
        for index, call in enumerate(calls)
    ]
    results[-1] |= {"content": "timeout", "is_error": True}
    messages.append({"role": "assistant", "content": first.content})
    messages.append({"role": "user", "content": results})
    last = both(client, messages=messages, **request)
    assert last.stop_reason == "end_turn"
    assert "timeout" in said(last)
    assert ("0 C" in said(last)) is (count == 2)
    accepted(fake)


def test_reasoning_survives_two_tool_steps(
    client: anthropic.Anthropic, fake: FakeProvider, up: str
) -> None:
    request = {
        "model": model(up, "reasoning-tool"),
        "tools": [WEATHER],
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "high"},
    }
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    for _step in range(2):
        answer = both(client, messages=messages, **request)
        kinds = [block.type for block in answer.content]
        assert kinds == _KINDS[up]
        messages.append({"role": "assistant", "content": answer.content})
        result = {
            "type": "tool_result",
            "tool_use_id": answer.content[-1].id,
            "content": "4 C",
        }
        messages.append({"role": "user", "content": [result]})
    last = both(client, messages=messages, **request)
    if up != "chat":  # this protocol has no field for it
        assert "Reasoning came back 2 time(s)" in said(last)
    accepted(fake)


_KINDS = {
    "chat": ["text", "tool_use"],
    "responses": ["thinking", "text", "tool_use"],
    "claude": ["thinking", "text", "tool_use"],
    "gemini": ["thinking", "text", "thinking", "tool_use"],
}
"""Gemini signs the call, so that the signature stands in a block of its own before it."""


@pytest.mark.parametrize(
    ("kind", "media_type", "media"),
    [
        pytest.param("image", "image/png", PNG, id="an image"),
        pytest.param("document", "application/pdf", PDF, id="a PDF"),
    ],
)
def test_media(
    client: anthropic.Anthropic,
    fake: FakeProvider,
    up: str,
    kind: str,
    media_type: str,
    media: str,
) -> None:
    source = {"type": "base64", "media_type": media_type, "data": media}
    content = [{"type": "text", "text": "What is this?"}, {"type": kind, "source": source}]
    messages = [{"role": "user", "content": content}]
    answer = both(client, model=model(up, "text"), messages=messages)
    assert answer.stop_reason == "end_turn"
    assert all(media.encode() in item.raw for item in fake.record)
    accepted(fake)


def test_an_image_in_a_tool_result(
    client: anthropic.Anthropic, fake: FakeProvider, up: str
) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    messages: list[Any] = [
        {"role": "user", "content": "Look."},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "A"}}
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "image", "source": source}],
                }
            ],
        },
    ]
    answer = both(client, model=model(up, "image"), messages=messages, tools=[WEATHER])
    assert said(answer).startswith("I see 1 image(s): image/png")
    accepted(fake)


def test_structured_output(client: anthropic.Anthropic, fake: FakeProvider, up: str) -> None:
    form = {"type": "json_schema", "schema": CITY}
    answer = both(client, model=model(up, "json"), output_config={"format": form})
    assert orjson.loads(said(answer)).keys() == {"city"}
    accepted(fake)


@pytest.mark.parametrize(
    ("scenario", "reason", "words"),
    [
        pytest.param("filter", "refusal", "Partial", id="a filter"),
        pytest.param("length", "max_tokens", "This answer stops in the middle of", id="the cap"),
        pytest.param("empty", "end_turn", "", id="nothing said"),
    ],
)
def test_endings(
    client: anthropic.Anthropic, fake: FakeProvider, up: str, scenario: str, reason: str, words: str
) -> None:
    answer = both(client, model=model(up, scenario))
    assert answer.stop_reason == reason
    assert said(answer) == words
    accepted(fake)


def test_a_refusal(client: anthropic.Anthropic, fake: FakeProvider, up: str) -> None:
    answer = both(client, model=model(up, "refusal"))
    # Gemini has no refusal: its model says so in plain text.
    assert answer.stop_reason == ("end_turn" if up == "gemini" else "refusal")
    words = said(answer) or (answer.stop_details and answer.stop_details.explanation)
    assert words == "I can't help with that."
    accepted(fake)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_stop_sequences_work_even_where_the_upstream_has_none(
    client: anthropic.Anthropic, fake: FakeProvider, up: str, stream: bool
) -> None:
    request = {
        "model": model(up, "text", text="one two STOP three"),
        "stop_sequences": ["STOP"],
        "max_tokens": 100,
        "messages": USER,
    }
    if stream:
        with client.messages.stream(**request) as opened:
            answer = opened.get_final_message()
    else:
        answer = client.messages.create(**request)
    assert said(answer) == "one two "
    if up in ("claude", "responses"):  # the upstream says so, or the gateway itself has cut
        assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "STOP")
    else:
        assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    accepted(fake)


def test_usage(client: anthropic.Anthropic, fake: FakeProvider, up: str) -> None:
    name = model(up, "text", input_tokens=1000, cache_read=600, cache_write=100)
    usage = both(client, model=name).usage
    # Gemini has no word for what was written.
    written = 0 if up == "gemini" else 100
    assert usage.input_tokens == 1000 - 600 - written
    assert usage.cache_read_input_tokens == 600
    assert usage.cache_creation_input_tokens == written
    assert usage.output_tokens == len("Fake answer to: Hi") // 4


def test_missing_usage_is_told(client: anthropic.Anthropic, fake: FakeProvider) -> None:
    raw = client.messages.with_raw_response.create(
        model="chat/fake-usage-none", max_tokens=100, messages=USER
    )
    assert raw.parse().usage.input_tokens == 0
    assert "usage" in raw.headers["x-llmgate-degraded"]
    accepted(fake)


def test_the_end_user_goes_along(client: anthropic.Anthropic, fake: FakeProvider, up: str) -> None:
    both(client, model=model(up, "text"), metadata={"user_id": "u-1"})
    for seen in fake.record:
        if up == "responses":  # a plain Chat server knows no such field
            assert seen.body["safety_identifier"] == "u-1"
        elif up == "claude":
            assert seen.body["metadata"] == {"user_id": "u-1"}
    accepted(fake)


@pytest.mark.parametrize("how", CUTS)
def test_a_cut_stream_is_an_error_not_an_end(
    client: anthropic.Anthropic, fake: FakeProvider, up: str, how: str
) -> None:
    fake.play("cut", times=0, after=1 if up == "gemini" else 6, how=how)
    with pytest.raises(anthropic.APIStatusError):
        drain(client, model=f"{up}/m")


def test_an_error_in_the_stream_is_raised(
    client: anthropic.Anthropic, fake: FakeProvider, up: str
) -> None:
    fake.play("error-mid", times=0, after=1 if up == "gemini" else 6)
    with pytest.raises(anthropic.APIStatusError) as caught:
        drain(client, model=f"{up}/m")
    assert caught.value.body["error"]["type"] == "overloaded_error"


def test_an_error_as_the_first_event_is_a_plain_one(
    client: anthropic.Anthropic, fake: FakeProvider, up: str
) -> None:
    fake.play("error-first", times=0)
    with pytest.raises(anthropic.APIStatusError) as caught:
        drain(client, model=f"{up}/m")
    if up != "responses":  # its streams begin before they fail
        assert caught.value.status_code == 529


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_rate_limited(
    client: anthropic.Anthropic, fake: FakeProvider, up: str, stream: bool
) -> None:
    fake.play("status-429", times=0, retry_after_s=7)
    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(model=f"{up}/m", max_tokens=100, messages=USER, stream=stream)
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.body["error"]["type"] == "rate_limit_error"


def test_overloaded_is_529(client: anthropic.Anthropic, fake: FakeProvider, up: str) -> None:
    fake.play("status-529", times=0)
    with pytest.raises(anthropic.InternalServerError) as caught:
        client.messages.create(model=f"{up}/m", max_tokens=100, messages=USER)
    assert caught.value.status_code == 529
    assert caught.value.body["error"]["type"] == "overloaded_error"


def test_an_unknown_model_names_the_known_ones(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.create(model="nobody/nothing", max_tokens=100, messages=USER)
    assert caught.value.body["error"]["type"] == "not_found_error"
    assert 'the model "nobody/nothing" is not known here' in caught.value.body["error"]["message"]


@pytest.mark.parametrize(
    ("mode", "request_", "path", "fine"),
    [
        pytest.param(
            "balanced", {"inference_geo": "us"}, "inference_geo", ("claude",), id="balanced: where"
        ),
        pytest.param(
            "max_compat", {"inference_geo": "us"}, "inference_geo", UPSTREAMS, id="a warning"
        ),
        pytest.param(
            "balanced",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "document",
                                "source": {"type": "text", "media_type": "text/plain", "data": "A"},
                                "citations": {"enabled": True},
                            }
                        ],
                    }
                ]
            },
            "messages[0].content[0]",
            ("claude",),
            id="balanced: citations",
        ),
    ],
)
def test_modes(
    client: anthropic.Anthropic,
    fake: FakeProvider,
    up: str,
    mode: str,
    request_: dict[str, Any],
    path: str,
    fine: tuple[str, ...],
) -> None:
    request = {
        "model": model(up, "text"),
        "max_tokens": 100,
        "messages": USER,
        "extra_headers": {"x-llmgate-mode": mode},
        **request_,
    }
    if up in fine:
        raw = client.messages.with_raw_response.create(**request)
        assert (path in raw.headers.get("x-llmgate-degraded", "")) is (up != "claude")
        accepted(fake)
        return
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(**request)
    assert path in caught.value.body["error"]["message"]
    assert len(fake.record) == 0
