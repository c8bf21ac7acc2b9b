"""Names, rules, tenants and clients' own keys, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.fake import DEFAULT_KEY, FakeProvider
from tests.support.gateway import KEY, Gateway
from tests.support.providers import provider

CHAT = "/v1/chat/completions"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
TOOLS = [
    {"type": "function", "function": {"name": f"t{number}", "parameters": {"type": "object"}}}
    for number in range(20)
]


@pytest.fixture(scope="module")
def gate(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """One gateway with a tenant of its own, rules for every scene, and a provider that takes clients' keys."""
    thinking = {"reasoning_levels": ["low", "medium", "high"], "thinking_form": "level"}
    theirs = provider(shared_fake, "anthropic", auth="client")
    del theirs["api_key"]
    config = {
        "providers": {
            "chat": provider(shared_fake, "openai_chat", model_prefix="uno", profile=thinking),
            "blind": provider(
                shared_fake, "openai_chat", models={"text-only": {"profile": {"image_types": []}}}
            ),
            "gem": provider(shared_fake, "gemini"),
            "theirs": theirs,
        },
        "models": {
            "main": ["blind/text-only", "chat/eyes"],
            "*": "chat/rest",
        },
        "routes": [
            {"name": "pictures", "when": {"scene": "image", "model": "any"}, "use": "gem/eyes"},
            {"name": "thought", "when": {"scene": "reasoning", "model": "any"}, "use": "chat/thinker"},
            {"name": "long", "when": {"scene": "long_text", "model": "any"}, "use": "gem/long"},
            {"name": "tools", "when": {"scene": "tool_heavy", "model": "any"}, "use": "chat/tools"},
            {"name": "side", "when": {"scene": "background"}, "use": "chat/small"},
            {"name": "said", "when": {"system_contains": "in Latin", "model": "any"}, "use": "chat/latin"},
            {"name": "head", "when": {"headers": {"x-lane": "fast*"}, "model": "any"}, "use": "chat/fast"},
        ],
        "namespaces": {
            "team": {
                "client_keys": [{"name": "mate", "key": "team-key"}],
                "providers": {"own": provider(shared_fake, "anthropic")},
                "models": {"main": "own/m"},
            }
        },
    }  # fmt: skip
    with Gateway(config) as gateway:
        yield gateway


def ask(
    gate: Gateway, model: str, content: Any = "Hi", path: str = CHAT, **more: Any
) -> tuple[int, str, dict[str, Any]]:
    """Status, who answered, the body."""
    headers = more.pop("headers", {})
    body = {"model": model, "messages": [{"role": "user", "content": content}], **more}
    status, got, answer = gate.post(path, json.dumps(body).encode(), headers)
    return status, got.get("x-llmgate-model", ""), json.loads(answer)


@pytest.mark.parametrize(
    ("model", "more", "expected"),
    [
        pytest.param("any", {}, "chat/rest", id="R1: the catch-all"),
        pytest.param("any", {"content": [{"type": "text", "text": "What?"}, IMAGE]}, "gem/eyes", id="R4: a picture"),
        pytest.param("any", {"reasoning_effort": "high"}, "chat/thinker", id="R4: thinking"),
        pytest.param("any", {"content": "word " * 70_000}, "gem/long", id="R4: a long text"),
        pytest.param("any", {"tools": TOOLS}, "chat/tools", id="R4: many tools"),
        pytest.param("gpt-5-mini", {}, "chat/small", id="R4: a side job"),
        pytest.param("any", {"messages": [{"role": "system", "content": "Answer IN LATIN."}, {"role": "user", "content": "Hi"}]}, "chat/latin", id="R4: a word of the system text"),
        pytest.param("any", {"headers": {"x-lane": "fast-1"}}, "chat/fast", id="R4: a header"),
        pytest.param("gem/x", {}, "gem/x", id="R2: provider and model"),
        pytest.param("uno/x", {}, "chat/x", id="R2: a prefix"),
        pytest.param("main", {}, "blind/text-only", id="R7: words go to the first"),
        pytest.param("main", {"content": [{"type": "text", "text": "What?"}, IMAGE]}, "chat/eyes", id="R7: pictures to the first that sees"),
    ],
)  # fmt: skip
def test_who_answers(
    gate: Gateway, fake: FakeProvider, model: str, more: dict[str, Any], expected: str
) -> None:
    status, who, body = ask(gate, model, **more)
    assert (status, who) == (200, expected), body
    assert body["model"] == model


def test_r7_a_picture_for_a_model_that_reads_text_only_becomes_a_notice(
    gate: Gateway, fake: FakeProvider
) -> None:
    content = [{"type": "text", "text": "What?"}, IMAGE]
    anthropic = [
        content[0],
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
        },
    ]
    for path, parts in ((CHAT, content), ("/v1/messages", anthropic)):
        status, _who, _body = ask(
            gate, "blind/text-only", parts, path, max_tokens=50,
            headers={"anthropic-version": "2023-06-01"},
        )  # fmt: skip
        assert status == 200
        sent = json.dumps(fake.record.last.body)
        assert "iVBORw0KGgo" not in sent
        assert "image omitted" in sent
    words = "An image is worth a thousand words, and unknown fields pass."
    ask(gate, "blind/text-only", words, some_new_field=1)
    assert fake.record.last.body["some_new_field"] == 1


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param("uno/x(high)", "high", id="F22: a level"),
        pytest.param("uno/x(8192)", "medium", id="F22: a budget"),
        pytest.param("uno/x(low)", "low", id="F22: another level"),
    ],
)
def test_the_suffix_of_a_name_sets_the_thinking(
    gate: Gateway, fake: FakeProvider, model: str, expected: str
) -> None:
    status, who, _body = ask(gate, model, reasoning_effort="medium")
    assert (status, who) == (200, "chat/x")
    assert fake.record.last.body["reasoning_effort"] == expected


def test_p22_a_tenant_has_its_own_keys_providers_and_names(
    gate: Gateway, fake: FakeProvider
) -> None:
    team = {"authorization": "Bearer team-key"}
    path = "/namespaces/team/v1/chat/completions"
    assert ask(gate, "main", path=path, headers=team)[:2] == (200, "own/m")
    assert ask(gate, "chat/x", path=path, headers=team)[:2] == (200, "own/chat/x")
    assert ask(gate, "main", path=path)[0] == 401
    assert ask(gate, "main", headers=team)[0] == 401
    listed = gate.request("GET", "/namespaces/team/v1/models", headers=team)[2]
    assert [card["id"] for card in json.loads(listed)["data"]] == ["main"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"x-llmgate-key": KEY, "x-api-key": DEFAULT_KEY}, 200, id="C2: beside the gateway's"),
        pytest.param({"x-llmgate-key": KEY}, 401, id="C2: none sent"),
        pytest.param({"x-llmgate-key": KEY, "x-api-key": "wrong"}, 401, id="C2: a wrong one"),
        pytest.param({"x-llmgate-key": KEY, "x-api-key": DEFAULT_KEY}, 200, id="C2: which is nobody else's problem"),
    ],
)  # fmt: skip
def test_c2_a_clients_own_key_reaches_the_provider(
    gate: Gateway, fake: FakeProvider, headers: dict[str, str], status: int
) -> None:
    body = {
        "model": "theirs/m",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    given = {"content-type": "application/json", "anthropic-version": "2023-06-01", **headers}
    got, _headers, answer = gate.request("POST", "/v1/messages", json.dumps(body).encode(), given)
    assert got == status, answer
    assert KEY not in json.dumps([one.headers for one in fake.record])
