"""What the official SDKs ask for beside answers, through a real mitmdump, at upstreams of every protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from scripts.fake import DEFAULT_KEY, FakeProvider
from tests.support.gateway import Gateway

UPSTREAMS = ("chat", "responses", "claude", "gemini")
FOREIGN = ("chat", "claude", "gemini")


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    """The OpenAI SDK, strict about what it reads."""
    with openai.OpenAI(
        api_key=gateway.key,
        base_url=f"{gateway.url}/v1",
        max_retries=0,
        _strict_response_validation=True,
    ) as made:
        yield made


def paths(fake: FakeProvider) -> list[str]:
    """What the provider was asked for."""
    assert all(seen.verdict == "accepted" for seen in fake.record), fake.record
    return [seen.path for seen in fake.record]


# ------------------------------------------------------------------------------------------ counts


def test_cnt_01_anthropic_counts_are_forwarded_to_their_own_protocol(
    gateway: Gateway, fake: FakeProvider
) -> None:
    with anthropic.Anthropic(
        api_key=gateway.key, base_url=gateway.url, _strict_response_validation=True
    ) as made:
        counted = made.messages.count_tokens(
            model="claude/m", messages=[{"role": "user", "content": "Hello there"}]
        )
    assert counted.input_tokens > 0
    assert paths(fake) == ["/v1/messages/count_tokens"]
    assert fake.record[0].body["model"] == "m"


@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_cnt_01_anthropic_counts_are_local_elsewhere(
    gateway: Gateway, fake: FakeProvider, upstream: str
) -> None:
    body = {
        "model": f"{upstream}/m",
        "system": "Be short.",
        "messages": [{"role": "user", "content": "Hello there, how are you today?"}],
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
    }
    status, headers, answer = gateway.post(
        "/v1/messages/count_tokens?beta=true", json.dumps(body).encode()
    )
    assert status == 200
    assert set(json.loads(answer)) == {"input_tokens"}
    assert json.loads(answer)["input_tokens"] > 10
    assert "counted by the gateway" in headers["x-llmgate-degraded"]
    assert paths(fake) == []


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_cnt_07_responses_input_tokens(
    client: openai.OpenAI, fake: FakeProvider, upstream: str
) -> None:
    counted = client.responses.input_tokens.count(model=f"{upstream}/m", input="Hello there")
    assert counted.input_tokens > 0
    expected = ["/v1/responses/input_tokens"] if upstream == "responses" else []
    assert paths(fake) == expected


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_cnt_06_gemini_count_tokens(gateway: Gateway, fake: FakeProvider, upstream: str) -> None:
    made = genai.Client(api_key=gateway.key, http_options={"base_url": gateway.url})
    counted = made.models.count_tokens(model=f"{upstream}/m", contents="Hello there")
    assert counted.total_tokens
    assert len(paths(fake)) == (upstream == "gemini")


def test_cnt_06_the_wrapped_form_names_the_providers_model(
    gateway: Gateway, fake: FakeProvider
) -> None:
    contents = [{"role": "user", "parts": [{"text": "Hello there"}]}]
    wrapped = {"generateContentRequest": {"model": "models/gemini/m", "contents": contents}}
    for upstream in ("gemini", "chat"):
        status, _headers, answer = gateway.post(
            f"/v1beta/models/{upstream}/m:countTokens", json.dumps(wrapped).encode()
        )
        assert (status, json.loads(answer)["totalTokens"] > 0) == (200, True)
    (seen,) = fake.record
    assert seen.body["generateContentRequest"]["model"] == "models/m"


def test_cnt_01_an_upstream_without_a_counter_is_counted_for(fake: FakeProvider) -> None:
    here = f"{fake.base_url}/v1"
    nowhere = {
        "api_key": DEFAULT_KEY,
        "endpoints": {"anthropic": {"base_url": here, "paths": {"count_tokens": "/no/such/path"}}},
    }
    with Gateway({"providers": {"claude": nowhere}}) as gateway:
        body = {"model": "claude/m", "messages": [{"role": "user", "content": "Hello there"}]}
        status, headers, answer = gateway.post(
            "/v1/messages/count_tokens", json.dumps(body).encode()
        )
        assert status == 200, answer
        assert json.loads(answer)["input_tokens"] > 2
        assert "counted by the gateway" in headers["x-llmgate-degraded"]
        assert "error=" not in gateway.log.partition("operation=count_tokens")[2]


def test_a_count_that_cannot_be_read_is_refused(gateway: Gateway, fake: FakeProvider) -> None:
    body = json.dumps({"model": "chat/m", "messages": [{"role": "nobody"}]}).encode()
    status, _headers, answer = gateway.post("/v1/messages/count_tokens", body)
    assert status == 400
    assert json.loads(answer)["error"]["type"] == "invalid_request_error"


def test_the_first_event_of_a_foreign_stream_estimates_the_input(
    gateway: Gateway, fake: FakeProvider
) -> None:
    with (
        anthropic.Anthropic(api_key=gateway.key, base_url=gateway.url) as made,
        made.messages.stream(
            model="chat/m", max_tokens=50, messages=[{"role": "user", "content": "word " * 400}]
        ) as stream,
    ):
        first = next(event for event in stream if event.type == "message_start")
    assert 300 < first.message.usage.input_tokens < 800


# ------------------------------------------------------------------------------ legacy completions


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_a_legacy_completion_is_a_chat(
    client: openai.OpenAI, fake: FakeProvider, upstream: str
) -> None:
    made = client.completions.create(model=f"{upstream}/m", prompt=["Say hello"], max_tokens=50)
    assert (made.object, made.model) == ("text_completion", f"{upstream}/m")
    assert made.id.startswith("cmpl-")
    assert made.choices[0].finish_reason == "stop"
    assert made.choices[0].text
    assert made.usage is not None
    assert len(paths(fake)) == 1


@pytest.mark.parametrize("upstream", ["chat", "claude"])
def test_a_legacy_completion_streams(gateway: Gateway, fake: FakeProvider, upstream: str) -> None:
    # The API itself sends `finish_reason: null` before the end, which the SDK's strict reading refuses.
    with openai.OpenAI(api_key=gateway.key, base_url=f"{gateway.url}/v1") as made:
        chunks = list(
            made.completions.create(
                model=f"{upstream}/m",
                prompt="Say hello",
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    assert chunks[-1].usage is not None
    texts = [choice for chunk in chunks for choice in chunk.choices]
    assert [one.finish_reason for one in texts][-1] == "stop"
    assert "".join(one.text for one in texts)


@pytest.mark.parametrize(
    ("field", "value"),
    [("suffix", "end"), ("echo", True), ("best_of", 2), ("prompt", ["a", "b"]), ("prompt", [1, 2])],
)
def test_what_a_chat_cannot_say_is_refused_by_path(
    client: openai.OpenAI, fake: FakeProvider, field: str, value: Any
) -> None:
    body = {"prompt": "Hi", field: value}
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model="chat/m", **body)
    assert refused.value.param == field
    assert paths(fake) == []


def test_asked_for_log_probabilities_are_recorded(gateway: Gateway, fake: FakeProvider) -> None:
    body = json.dumps({"model": "chat/m", "prompt": "Hi", "logprobs": 2}).encode()
    status, headers, _answer = gateway.post("/v1/completions", body)
    assert status == 200
    assert "logprobs" in headers["x-llmgate-degraded"]


# -------------------------------------------------------------------------------- stored responses


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_a_conversation_goes_on_from_a_stored_response(
    client: openai.OpenAI, fake: FakeProvider, upstream: str
) -> None:
    model = f"{upstream}/m"
    first = client.responses.create(model=model, input="First question")
    with client.responses.stream(
        model=model, input="Second question", previous_response_id=first.id
    ) as stream:
        second = stream.get_final_response()
    assert (first.store, second.previous_response_id) == (True, first.id)
    sent = json.dumps(fake.record[-1].body)
    assert sent.index("First question") < sent.index(first.output_text)
    assert sent.index(first.output_text) < sent.index("Second question")
    assert "previous_response_id" not in sent

    assert client.responses.retrieve(second.id).output_text == second.output_text
    listed = list(client.responses.input_items.list(second.id, limit=2, order="asc"))
    assert [item.role for item in listed if item.type == "message"] == [
        "user",
        "assistant",
        "user",
    ]
    paths(fake)


@pytest.mark.parametrize("upstream", FOREIGN)
def test_what_is_not_stored_is_not_found(
    client: openai.OpenAI, fake: FakeProvider, upstream: str
) -> None:
    model = f"{upstream}/m"
    kept_out = client.responses.create(model=model, input="Keep nothing of this.", store=False)
    assert kept_out.store is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(kept_out.id)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=model, input="On", previous_response_id=kept_out.id)
    assert refused.value.code == "previous_response_not_found"
    assert len(fake.record) == 1


def test_an_unknown_id_passes_to_an_upstream_of_the_same_protocol(
    gateway: Gateway, fake: FakeProvider
) -> None:
    body = {"model": "responses/m", "input": "On", "previous_response_id": "resp_elsewhere"}
    gateway.post("/v1/responses", json.dumps(body).encode())
    assert fake.record[0].body["previous_response_id"] == "resp_elsewhere"


def test_a_deleted_response_is_gone_and_a_finished_one_cannot_be_cancelled(
    client: openai.OpenAI, fake: FakeProvider
) -> None:
    made = client.responses.create(model="claude/m", input="Hi there, keep this")
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(made.id)
    client.responses.delete(made.id)
    for call in (client.responses.retrieve, client.responses.delete):
        with pytest.raises(openai.NotFoundError):
            call(made.id)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_compact(client: openai.OpenAI, fake: FakeProvider, upstream: str) -> None:
    model = f"{upstream}/m"
    made = client.responses.compact(model=model, input="A long talk about tea")
    (item,) = [one for one in made.output if one.type == "compaction"]
    assert item.encrypted_content
    expected = "/v1/responses/compact" if upstream == "responses" else None
    assert expected in (None, paths(fake)[0])
    if expected is None:  # what was compacted here can be opened here
        again: Any = [item.model_dump(exclude_none=True), {"role": "user", "content": "Go on"}]
        assert client.responses.create(model=model, input=again).output_text


TRIGGERED: list[Any] = [
    {"role": "user", "content": "A long talk about tea"},
    {"type": "compaction_trigger"},
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("upstream", FOREIGN)
def test_a_compaction_trigger_is_answered_with_a_compaction(
    client: openai.OpenAI, fake: FakeProvider, upstream: str, stream: bool
) -> None:
    model = f"{upstream}/m"
    if stream:
        with client.responses.stream(model=model, input=TRIGGERED) as events:
            made = events.get_final_response()
    else:
        made = client.responses.create(model=model, input=TRIGGERED)
    (item,) = made.output
    assert (made.status, item.type) == ("completed", "compaction")
    paths(fake)
    kept: Any = [item.to_dict(), {"role": "user", "content": "Go on"}]
    assert client.responses.create(model=model, input=kept).output_text
    assert "Summary of the conversation so far" in json.dumps(fake.record[-1].body)
    continued = client.responses.create(model=model, input="On", previous_response_id=made.id)
    assert continued.output_text


def test_a_compaction_trigger_passes_to_an_upstream_that_knows_it(
    client: openai.OpenAI, fake: FakeProvider
) -> None:
    client.responses.create(model="responses/m", input=TRIGGERED)
    assert fake.record[-1].body["input"][-1] == {"type": "compaction_trigger"}


@pytest.mark.parametrize("mode", ["strict", "balanced"])
def test_a_compaction_is_emulated_in_max_compat_only(
    client: openai.OpenAI, fake: FakeProvider, mode: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(
            model="claude/m", input=TRIGGERED, extra_headers={"x-llmgate-mode": mode}
        )
    assert caught.value.param == "input"
    assert not fake.record


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("upstream", ["chat", "gemini"])
def test_filling_a_cache_that_cannot_be_filled_is_an_empty_answer(
    gateway: Gateway, fake: FakeProvider, upstream: str, stream: bool
) -> None:
    asked = {
        "model": f"{upstream}/m",
        "max_tokens": 0,
        "stream": stream,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    version = {"anthropic-version": "2023-06-01"}
    path, body = "/v1/messages", json.dumps(asked).encode()
    status, headers, answer = gateway.post(path, body, version)
    assert status == 200
    assert not fake.record
    assert "cache" in headers["x-llmgate-degraded"]
    if stream:
        assert answer.rstrip().endswith(b'data: {"type":"message_stop"}')
    else:
        assert json.loads(answer)["content"] == []
    status, _headers, _answer = gateway.post(path, body, {**version, "x-llmgate-mode": "balanced"})
    assert status == 400


# ------------------------------------------------------------------------------ the Codex catalogue


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/models?client_version=0.169.0", {}),
        ("/v1/models", {"user-agent": "codex_cli_rs/0.169.0"}),
    ],
)
def test_mdl_01_codex_gets_its_catalogue(
    gateway: Gateway, path: str, headers: dict[str, str]
) -> None:
    given = {"authorization": f"Bearer {gateway.key}", **headers}
    status, _headers, body = gateway.request("GET", path, headers=given)
    assert status == 200
    assert {"models", "data"} <= set(json.loads(body))


def test_mdl_05_others_get_the_plain_list(gateway: Gateway) -> None:
    given = {"authorization": f"Bearer {gateway.key}"}
    _status, _headers, body = gateway.request("GET", "/v1/models", headers=given)
    assert "models" not in json.loads(body)
