"""One client request, several upstream calls that go well, through a real gateway: pauses, answers one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import KEY, Gateway
from tests.support.providers import PROVIDERS, four_providers
from translators import PROTOCOLS, ir
from translators.base import Reading
from translators.errors import GatewayError
from translators.fold import Folder
from translators.losses import Losses

ASK = "How is the weather?"
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic": "/v1/messages",
}
SEARCH: dict[str, dict[str, Any]] = {
    "openai_chat": {"web_search_options": {}},
    "openai_responses": {"tools": [{"type": "web_search"}]},
    "gemini": {"tools": [{"googleSearch": {}}]},
}
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
PRICES = {"input": 1, "output": 2}


@pytest.fixture(scope="module")
def gate(shared_fake: FakeProvider) -> Iterator[Gateway]:
    config = four_providers(shared_fake)
    config["client_keys"] = [
        {"name": "test", "key": KEY},
        {"name": "careful", "key": "balanced-key", "compatibility_mode": "balanced"},
        {"name": "whole", "key": "whole-key"},
    ]
    for entry in config["providers"].values():
        entry["models"] = {"m": {"prices": PRICES}}
    config["providers"]["claude"]["profile"] = {"hosted_tools": ["web_search"]}
    config["models"] = {"either": ["gemini/m", "chat/m"]}
    config["streaming"] = {"rules": [{"client_key": ["whole"], "mode": "never"}]}
    del config["retry"]
    with Gateway(config) as gateway:
        yield gateway


class Answer:
    """What the client got, read back into the hub."""

    def __init__(self, client: str, stream: bool, reply: tuple[int, dict[str, str], bytes]) -> None:
        self.status, self.headers, self.body = reply
        self.client, self.stream = client, stream

    @property
    def response(self) -> ir.Response:
        """The whole answer; raises what the stream or body says went wrong."""
        reading = Reading(provider="gate", model="m", stream=self.stream, choices=8)
        translator = PROTOCOLS[self.client]
        if not self.stream:
            assert self.status == 200, self.body
            return translator.parse_response(json.loads(self.body), reading, Losses())
        folder, decoder = Folder(), translator.decoder(reading, Losses())
        for event in (*decoder.feed(self.body), *decoder.close()):
            folder.add(event)
        return folder.response()

    @property
    def text(self) -> str:
        """Its visible text."""
        return text_of(self.response.parts)


def text_of(parts: tuple[ir.Part, ...]) -> str:
    return "".join(part.text for part in parts if isinstance(part, ir.Text))


def ask(
    gate: Gateway, client: str, model: str, stream: bool, *, key: str = KEY, **more: Any
) -> Answer:
    body: dict[str, Any] = {"model": model, **more}
    path = PATHS.get(client, "")
    if client == "gemini":
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path = f"/v1beta/models/{model}:{method}"
        del body["model"]
        body["contents"] = [{"role": "user", "parts": [{"text": ASK}]}]
    elif client == "openai_responses":
        body |= {"input": ASK, "stream": stream}
    else:
        body |= {"messages": [{"role": "user", "content": ASK}], "stream": stream}
        if client == "anthropic":
            body["max_tokens"] = 500
        elif stream:
            body["stream_options"] = {"include_usage": True}
    headers = {"authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}
    return Answer(client, stream, gate.post(path, json.dumps(body).encode(), headers))


def calls(fake: FakeProvider) -> list[Any]:
    """The upstream's records; every call was accepted by the strict provider."""
    items = list(fake.record)
    assert all(item.verdict == "accepted" for item in items), [item.reason for item in items]
    return items


def log_line(gate: Gateway) -> str:
    return [line for line in gate.log.splitlines() if "request_done" in line][-1]


def logged(gate: Gateway) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in log_line(gate).split() if "=" in pair)


# ----------------------------------------------------------------------------------------- pauses


@STREAMED
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "gemini"])
def test_a_paused_turn_of_claude_is_resumed_and_is_one_answer(
    gate: Gateway, fake: FakeProvider, client: str, stream: bool
) -> None:
    fake.play("pause", pauses=2)
    answer = ask(gate, client, "claude/m", stream, **SEARCH[client])
    assert answer.text.split() == ["Part", "1.", "Part", "2.", "Part", "3."]
    assert answer.response.finish_reason is ir.FinishReason.STOP
    first, second, third = calls(fake)
    assert first.body["messages"][-1]["role"] == "user"
    thought, said = second.body["messages"][-1]["content"]
    assert (thought["type"], said["text"]) == ("thinking", "Part 1. ")
    assert [block.get("text") for block in third.body["messages"][-1]["content"]] == [
        None,
        "Part 1. ",
        "Part 2. ",
    ]


@STREAMED
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "anthropic"])
def test_a_continuation_of_gemini_is_resumed_with_its_token(
    gate: Gateway, fake: FakeProvider, client: str, stream: bool
) -> None:
    fake.play("pause", pauses=2)
    answer = ask(gate, client, "gemini/m", stream)
    texts = [part.text for part in answer.response.parts if isinstance(part, ir.Text)]
    assert texts == ["Part 1. Part 2. Part 3. "]
    assert answer.response.finish_reason is ir.FinishReason.STOP
    assert [item.body.get("continuationToken") for item in calls(fake)] == [
        None,
        "token-1",
        "token-2",
    ]


@pytest.mark.parametrize("upstream", ["claude", "gemini"])
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses"])
@pytest.mark.parametrize("size", [1_000_000, 50])
def test_a_leg_that_comes_in_one_piece_or_in_many_is_the_same(
    gate: Gateway, fake: FakeProvider, client: str, upstream: str, size: int
) -> None:
    fake.play("pause", chunk_bytes=size)
    answer = ask(gate, client, f"{upstream}/m", True, **SEARCH[client])
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.split() == ["Part", "1.", "Part", "2.", "Part", "3."]
    assert len(calls(fake)) == 3


@STREAMED
@pytest.mark.parametrize(
    ("upstream", "most"), [pytest.param("claude", 5, id="A"), pytest.param("gemini", 10, id="G")]
)
def test_an_answer_that_pauses_for_ever_ends_at_its_limit(
    gate: Gateway, fake: FakeProvider, upstream: str, most: int, stream: bool
) -> None:
    fake.play("pause", pauses=100)
    answer = ask(gate, "openai_chat", f"{upstream}/m", stream, **SEARCH["openai_chat"])
    assert answer.text.split()[-2:] == ["Part", f"{most + 1}."]
    assert answer.response.finish_reason is ir.FinishReason.LENGTH
    assert len(calls(fake)) == most + 1
    assert f"the answer paused {most + 1} times" in log_line(gate)


@STREAMED
def test_usage_and_cost_count_every_leg(gate: Gateway, fake: FakeProvider, stream: bool) -> None:
    fake.play("pause", pauses=2, input_tokens=1000)
    answer = ask(gate, "openai_chat", "claude/m", stream, **SEARCH["openai_chat"])
    usage = answer.response.usage
    assert usage.input_tokens == 3000
    assert usage.output_tokens is not None
    line = logged(gate)
    assert (line["input_tokens"], line["attempts"]) == ("3000", "3")
    assert line["output_tokens"] == str(usage.output_tokens)
    assert float(line["cost_usd"]) == pytest.approx((3000 + 2 * usage.output_tokens) / 1e6)


@STREAMED
@pytest.mark.parametrize("client", ["anthropic", "gemini"])
def test_a_client_of_the_same_protocol_is_told_of_the_pause(
    gate: Gateway, fake: FakeProvider, client: str, stream: bool
) -> None:
    upstream = {name: place for place, name in PROVIDERS.items()}[client]
    fake.play("pause", pauses=2)
    answer = ask(gate, client, f"{upstream}/m", stream)
    word = {"anthropic": b"pause_turn", "gemini": b"CONTINUATION"}[client]
    assert word in answer.body
    assert len(calls(fake)) == 1


@STREAMED
@pytest.mark.parametrize("upstream", ["claude", "gemini"])
def test_a_leg_that_fails_is_tried_again_where_it_began(
    gate: Gateway, fake: FakeProvider, upstream: str, stream: bool
) -> None:
    fake.play("pause", failure="status", status=500, times=1, at=1)
    answer = ask(gate, "openai_chat", f"{upstream}/m", stream, **SEARCH["openai_chat"])
    assert answer.text.split() == ["Part", "1.", "Part", "2.", "Part", "3."]
    assert [item.status for item in fake.record] == [200, 500, 200, 200]


def test_an_answer_whose_leg_fails_for_good_begins_anew_elsewhere(
    gate: Gateway, fake: FakeProvider
) -> None:
    fake.play("pause", failure="status", status=403, times=0, at=1)
    answer = ask(gate, "openai_chat", "either", False)
    assert answer.headers["x-llmgate-model"] == "chat/m"
    assert answer.text == "Part 1. Part 2. Part 3. "
    assert [item.status for item in fake.record] == [200, 403, 200]
    shown = answer.response.usage.input_tokens
    assert shown is not None
    assert int(logged(gate)["input_tokens"]) > shown  # what was begun in vain is paid for too


def test_a_stream_that_was_seen_is_not_begun_anew_elsewhere(
    gate: Gateway, fake: FakeProvider
) -> None:
    fake.play("pause", failure="status", status=403, times=0, at=1)
    answer = ask(gate, "openai_chat", "either", True)
    assert [item.status for item in fake.record] == [200, 403]
    with pytest.raises(GatewayError):
        assert answer.response


@pytest.mark.parametrize("upstream", ["claude", "gemini"])
def test_a_stream_that_the_provider_is_not_asked_to_stream_pauses_too(
    gate: Gateway, fake: FakeProvider, upstream: str
) -> None:
    fake.play("pause")
    answer = ask(
        gate, "openai_chat", f"{upstream}/m", True, key="whole-key", **SEARCH["openai_chat"]
    )
    assert answer.text.split() == ["Part", "1.", "Part", "2.", "Part", "3."]
    assert len(calls(fake)) == 3


def test_par_10_answers_one_by_one_may_be_streamed_to_the_client(
    gate: Gateway, fake: FakeProvider
) -> None:
    response = ask(gate, "openai_chat", "claude/m", True, key="whole-key", n=2).response
    assert [text_of(other.parts) for other in response.alternatives] == [f"Fake answer to: {ASK}"]
    assert len(calls(fake)) == 2


@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "anthropic"])
def test_a_stream_whose_leg_fails_for_good_ends_in_an_error(
    gate: Gateway, fake: FakeProvider, client: str
) -> None:
    fake.play("pause", failure="status", status=400, times=0, at=1)
    answer = ask(gate, client, "gemini/m", True)
    assert (answer.status, b"Part 1." in answer.body) == (200, True)
    with pytest.raises(GatewayError):
        assert answer.response


# ---------------------------------------------------------------------------- several answers


@pytest.mark.parametrize("upstream", ["claude", "responses"])
@pytest.mark.parametrize("client", ["openai_chat", "gemini"])
def test_par_10_n_answers_are_asked_for_one_by_one(
    gate: Gateway, fake: FakeProvider, client: str, upstream: str
) -> None:
    fake.play("text", input_tokens=100)
    wanted = {"n": 3} if client == "openai_chat" else {"generationConfig": {"candidateCount": 3}}
    answer = ask(gate, client, f"{upstream}/m", False, **wanted)
    response = answer.response
    texts = [text_of(response.parts), *(text_of(other.parts) for other in response.alternatives)]
    assert texts == [f"Fake answer to: {ASK}"] * 3
    assert len(calls(fake)) == 3
    assert response.usage.input_tokens == 300
    assert logged(gate)["input_tokens"] == "300"
    assert "a call of its own" in answer.headers["x-llmgate-degraded"]


@STREAMED
@pytest.mark.parametrize("upstream", ["claude", "responses"])
def test_par_10_n_answers_are_refused_in_balanced(
    gate: Gateway, fake: FakeProvider, upstream: str, stream: bool
) -> None:
    answer = ask(gate, "openai_chat", f"{upstream}/m", stream, key="balanced-key", n=3)
    assert (answer.status, len(fake.record)) == (400, 0)
    assert json.loads(answer.body)["error"]["param"] == "n"


@pytest.mark.parametrize("upstream", ["claude", "responses"])
def test_par_10_a_stream_of_one_answer_says_so(
    gate: Gateway, fake: FakeProvider, upstream: str
) -> None:
    answer = ask(gate, "openai_chat", f"{upstream}/m", True, n=3)
    assert answer.text == f"Fake answer to: {ASK}"
    assert len(calls(fake)) == 1
    assert "n" in answer.headers["x-llmgate-degraded"]


@STREAMED
@pytest.mark.parametrize(
    ("client", "upstream"), [("openai_chat", "gemini"), ("gemini", "chat"), ("openai_chat", "chat")]
)
def test_par_10_several_answers_between_chat_and_gemini_are_one_call(
    gate: Gateway, fake: FakeProvider, client: str, upstream: str, stream: bool
) -> None:
    fake.play("text", input_tokens=100)
    wanted = {"n": 3} if client == "openai_chat" else {"generationConfig": {"candidateCount": 3}}
    response = ask(gate, client, f"{upstream}/m", stream, **wanted).response
    texts = [text_of(response.parts), *(text_of(other.parts) for other in response.alternatives)]
    assert texts == [f"Fake answer to: {ASK}"] * 3
    assert {other.finish_reason for other in response.alternatives} == {ir.FinishReason.STOP}
    assert response.usage.input_tokens == 100
    assert len(calls(fake)) == 1


# ------------------------------------------------------------------------------- once more


@STREAMED
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "anthropic"])
def test_what_the_model_gave_up_is_asked_for_once_more(
    gate: Gateway, fake: FakeProvider, client: str, stream: bool
) -> None:
    fake.play("given-up", times=1, input_tokens=1000)
    answer = ask(gate, client, "gemini/m", stream)
    assert answer.text == f"Fake answer to: {ASK}"
    assert len(calls(fake)) == 2
    assert int(logged(gate)["input_tokens"]) > 1000
    status, _headers, body = gate.request("GET", "/admin/status")
    assert (status, json.loads(body)["cooldowns"]) == (200, [])


@STREAMED
def test_given_up_twice_is_a_stop_in_max_compat(
    gate: Gateway, fake: FakeProvider, stream: bool
) -> None:
    fake.play("given-up", times=0)
    answer = ask(gate, "openai_chat", "gemini/m", stream)
    assert (answer.text, answer.response.finish_reason) == ("", ir.FinishReason.STOP)
    assert len(calls(fake)) == 2
    assert "the provider gave the answer up" in log_line(gate)


@STREAMED
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "anthropic"])
def test_given_up_twice_is_a_502_in_balanced(
    gate: Gateway, fake: FakeProvider, client: str, stream: bool
) -> None:
    fake.play("given-up", times=0)
    answer = ask(gate, client, "gemini/m", stream, key="balanced-key")
    assert (answer.status, len(calls(fake))) == (502, 2), answer.body
    assert b"MALFORMED_FUNCTION_CALL" in answer.body


def test_given_up_behind_content_is_not_asked_for_again(gate: Gateway, fake: FakeProvider) -> None:
    fake.play("given-up", times=0, text="Some words")
    answer = ask(gate, "openai_chat", "gemini/m", True)
    assert (answer.text, answer.response.finish_reason) == ("Some words", ir.FinishReason.STOP)
    assert len(calls(fake)) == 1


def test_a_client_of_gemini_sees_what_was_given_up_itself(
    gate: Gateway, fake: FakeProvider
) -> None:
    fake.play("given-up", times=1)
    answer = ask(gate, "gemini", "gemini/m", False)
    assert b"MALFORMED_FUNCTION_CALL" in answer.body
    assert len(calls(fake)) == 1
