"""Reasoning state through a real mitmdump: made by one protocol, kept by a client of another, back where it belongs.

The fake provider signs its reasoning, refuses what it did not sign, and counts what came back. Of two tool steps the
third request therefore brings two pieces of reasoning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.conversation import Talk, events
from tests.support.gateway import Gateway
from tests.support.providers import PROVIDERS, four_providers, provider

CLIENTS = tuple(PROVIDERS.values())
# "deepseek" refuses a call whose reasoning does not come back; Gemini 3 refuses one without a signature.
MODELS = {
    "openai_chat": "chat/deepseek-fake-reasoning-tool",
    "openai_responses": "responses/fake-reasoning-tool",
    "anthropic": "claude/fake-reasoning-tool",
    "gemini": "gemini/gemini-3-fake-reasoning-tool",
}
# What is asked of a stranger: DeepSeek would rightly refuse a history without the thoughts that Gemini CLI drops.
STRANGERS = {**MODELS, "openai_chat": "plain/fake-reasoning-tool"}
BYPASS = "skip_thought_signature_validator"


@pytest.fixture(scope="module")
def restarted(
    shared_fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, Gateway]]:
    """A gateway, and one that was started later with what the first had kept on disk."""
    state: Path = tmp_path_factory.mktemp("state")
    config = four_providers(shared_fake)
    config["providers"]["gemini"]["profile"] = {"signatures_required": True}
    config["providers"]["plain"] = provider(
        shared_fake, "openai_chat", profile={"reasoning_echo": "forbidden"}
    )
    with Gateway(config, state=state) as before, Gateway(config, state=state) as after:
        yield before, after


def all_accepted(fake: FakeProvider) -> list[int]:
    """How much reasoning each request brought, after checking that none was refused."""
    assert [(seen.reason, seen.notes) for seen in fake.record] == [("", [])] * len(fake.record)
    assert not fake.record.rejected
    return [seen.reasoning_returned for seen in fake.record]


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("upstream", MODELS)
@pytest.mark.parametrize("client", CLIENTS)
def test_reasoning_comes_back_to_who_made_it(
    restarted: tuple[Gateway, Gateway],
    fake: FakeProvider,
    client: str,
    upstream: str,
    stream: bool,
) -> None:
    talk = Talk.begin(client, MODELS[upstream], stream=stream)
    talk.to_the_end(restarted[0])
    assert all_accepted(fake) == [0, 1, 2]
    assert {seen.protocol for seen in fake.record} == {upstream}
    assert "Reasoning came back 2 time(s)." in talk.text
    # The dummy is for what another model said; here everything is this model's own.
    assert BYPASS not in str([seen.body for seen in fake.record])


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("upstream", MODELS)
@pytest.mark.parametrize("client", [name for name in CLIENTS if name != "openai_chat"])
def test_reasoning_survives_a_restart_of_the_gateway(
    restarted: tuple[Gateway, Gateway],
    fake: FakeProvider,
    client: str,
    upstream: str,
    stream: bool,
) -> None:
    """Not for Chat clients: their state is only remembered."""
    before, after = restarted
    talk = Talk.begin(client, MODELS[upstream], stream=stream)
    talk.turn(before)
    assert talk.calls
    talk.to_the_end(after)
    assert all_accepted(fake) == [0, 1, 2]


@pytest.mark.parametrize("first", MODELS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_change_of_provider_sends_no_state_to_the_stranger(
    restarted: tuple[Gateway, Gateway], fake: FakeProvider, client: str, first: str
) -> None:
    """Opaque state goes nowhere but home; where it was dropped, the answer says so."""
    gateway, _after = restarted
    for second, model in STRANGERS.items():
        if second == first or client == second == "openai_chat":
            continue  # no stranger; the bytes of a Chat client pass as they are
        fake.reset()
        talk = Talk.begin(client, MODELS[first], stream=True)
        talk.turn(gateway)
        made = list(states(fake))
        assert bool(made) is (first != "openai_chat")
        talk.model = model
        _status, headers, _answer = talk.post(gateway)
        degraded = headers.get("x-llmgate-degraded", "")
        # To a Chat upstream reasoning is of the class that is lost in silence (portability rules, section 12),
        # and a Responses client's envelopes are taken out of a body that passes otherwise untouched.
        silent = second == "openai_chat" or client == second == "openai_responses"
        told = "of another model" in degraded or "did not sign itself" in degraded
        assert told or silent or not made, (second, degraded)
        talk.to_the_end(gateway)
        all_accepted(fake)
        sent = json.dumps([seen.body for seen in fake.record if seen.protocol == second])
        assert not [state for state in made if state in sent]
        assert "bGxtZzEu" not in sent  # nor our own envelope


def states(fake: FakeProvider) -> Iterator[str]:
    """The opaque values in what the provider has streamed."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, list):
            for item in value:
                yield from walk(item)
        elif isinstance(value, dict):
            for key, item in value.items():
                if key in ("signature", "thoughtSignature", "encrypted_content") and item:
                    yield item
                yield from walk(item)

    for seen in fake.record:
        for frame in seen.frames:
            for event in events(frame):
                yield from walk(event)


@pytest.fixture(scope="module")
def neighbours(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """Two tenants whose client keys have the same name."""
    claude = {"claude": four_providers(shared_fake)["providers"]["claude"]}
    tenants = {
        name: {"client_keys": [{"name": "main", "key": f"key-of-{name}"}], "providers": claude}
        for name in ("a", "b")
    }
    with Gateway({"namespaces": tenants}) as gateway:
        yield gateway


def test_a_tenant_gets_no_reasoning_of_another_one_whose_key_has_the_same_name(
    neighbours: Gateway, fake: FakeProvider
) -> None:
    weather = {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}
    asked: dict[str, Any] = {
        "model": "claude/fake-reasoning-tool",
        "messages": [{"role": "user", "content": "Weather?"}],
        "tools": [{"type": "function", "function": weather}],
    }

    def answer(tenant: str) -> dict[str, Any]:
        path = f"/namespaces/{tenant}/v1/chat/completions"
        key = {"authorization": f"Bearer key-of-{tenant}"}
        _status, _headers, body = neighbours.request("POST", path, json.dumps(asked).encode(), key)
        return json.loads(body)

    called = answer("a")["choices"][0]["message"]
    history = {key: called[key] for key in ("role", "content", "tool_calls")}
    result = {"role": "tool", "tool_call_id": called["tool_calls"][0]["id"], "content": "rain"}
    asked["messages"] += [history, result]
    assert "choices" in answer("a")
    answer("b")
    assert [seen.reasoning_returned for seen in fake.record] == [0, 1, 0]
