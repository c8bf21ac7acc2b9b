"""Failover across three providers that speak three protocols, in a real gateway; limits and operators' pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway, free_port
from tests.support.providers import provider

TOOL = {
    "name": "run_shell",
    "description": "Run a shell command.",
    "input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
    },
}
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture(scope="module")
def fakes() -> Iterator[list[FakeProvider]]:
    """Three providers of their own."""
    with (
        FakeProvider.running() as one,
        FakeProvider.running() as two,
        FakeProvider.running() as three,
    ):
        yield [one, two, three]


@pytest.fixture(scope="module")
def gate(fakes: list[FakeProvider]) -> Iterator[Gateway]:
    """Three providers behind one name, a dead one behind another, and a key with narrow limits."""
    one, two, three = fakes
    dead = {"protocol": "openai_chat", "base_url": f"http://127.0.0.1:{free_port()}/v1"}
    config = {
        "client_keys": [
            {"name": "test", "key": "test-gateway-key"},
            {"name": "slow", "key": "slow-key", "requests_per_minute": 1},
            {"name": "poor", "key": "poor-key", "budget_usd_per_day": 0.0000001},
        ],
        "providers": {
            "first": provider(
                one, "openai_chat", models={"m": {"prices": {"input": 1, "output": 2}}}
            ),
            "second": provider(two, "anthropic"),
            "third": provider(three, "gemini"),
            "dead": dead,
            "stranger": {
                **provider(one, "openai_chat"),
                "payload": [{"set_default": {"user": "set-by-a-rule"}}],
            },
        },
        "models": {
            "any": ["first/m", "second/m", "third/m"],
            "undead": ["dead/m", "third/m"],
        },
        "affinity": {"enabled": False},
    }
    with Gateway(config) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def fresh(fakes: list[FakeProvider], gate: Gateway) -> None:
    """Everyone answers, nothing rests."""
    for fake in fakes:
        fake.reset()
        fake.play("text")
    status, _headers, _body = gate.request("POST", "/admin/reset", b"{}")
    assert status == 200


def say(
    gate: Gateway, model: str, messages: list[dict[str, Any]] | None = None, **more: Any
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """One Messages request: status, headers, body."""
    body = {
        "model": model,
        "max_tokens": 200,
        "messages": messages or [{"role": "user", "content": "Hi"}],
        **more,
    }
    status, headers, content = gate.post("/v1/messages", json.dumps(body).encode(), VERSION)
    return status, headers, json.loads(content)


def rests(gate: Gateway) -> list[dict[str, Any]]:
    """What the operator sees."""
    status, _headers, body = gate.request("GET", "/admin/status")
    assert status == 200
    found: list[dict[str, Any]] = json.loads(body)["cooldowns"]
    return found


@pytest.mark.parametrize("failing", [429, 500, 503, 401], ids=str)
def test_r8_the_next_provider_answers(
    gate: Gateway, fakes: list[FakeProvider], failing: int
) -> None:
    fakes[0].play("text", failure="status", status=failing, times=0)
    status, headers, body = say(gate, "any")
    assert (status, headers["x-llmgate-model"]) == (200, "second/m"), body
    assert headers["x-llmgate-attempts"] == "2"
    assert [rest["provider"] for rest in rests(gate)] == ["first"]


def test_r10_a_refused_connection_fails_over_and_the_provider_rests(gate: Gateway) -> None:
    status, headers, _body = say(gate, "undead")
    assert (status, headers["x-llmgate-model"]) == (200, "third/m")
    (rest,) = rests(gate)
    assert (rest["provider"], rest["key"], rest["model"]) == ("dead", None, None)
    _status, headers, _body = say(gate, "undead")
    assert headers["x-llmgate-attempts"] == "1"


def test_a_tool_conversation_goes_on_after_each_switch(
    gate: Gateway, fakes: list[FakeProvider]
) -> None:
    for fake in fakes:
        fake.play("tool")
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Create the file please."}]
    seen = []
    for turn in range(3):
        for fake in fakes[:turn]:
            fake.play("text", failure="status", status=500, times=0)
        status, headers, body = say(gate, "any", messages, tools=[TOOL])
        assert status == 200, body
        seen.append(headers["x-llmgate-model"])
        messages.append({"role": "assistant", "content": body["content"]})
        calls = [block for block in body["content"] if block["type"] == "tool_use"]
        if not calls:
            messages.append({"role": "user", "content": "And once more?"})
            continue
        results = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": "hello-from-tool-1"}
            for call in calls
        ]
        messages.append({"role": "user", "content": results})
    assert seen == ["first/m", "second/m", "third/m"]
    assert any(block.get("type") == "tool_result" for block in messages[2]["content"])
    rejected = [one for fake in fakes for one in fake.record if one.verdict == "rejected"]
    assert not rejected, rejected


def test_r17_a_stream_that_begins_with_an_error_fails_over_unseen(
    gate: Gateway, fakes: list[FakeProvider]
) -> None:
    fakes[0].play("text", failure="error-first", times=0)
    body = {
        "model": "any",
        "max_tokens": 50,
        "stream": True,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    status, headers, content = gate.post("/v1/messages", json.dumps(body).encode(), VERSION)
    assert (status, headers["x-llmgate-model"]) == (200, "second/m")
    assert b"message_stop" in content
    assert b"event: error" not in content


def test_all_cooling_is_429_with_retry_after_in_the_clients_words(
    gate: Gateway, fakes: list[FakeProvider]
) -> None:
    for fake in fakes:
        fake.play("text", failure="status", status=503, times=0)
    say(gate, "any")
    status, headers, body = say(gate, "any")
    assert status == 429, body
    assert 0 < int(headers["retry-after"]) <= 60
    assert body["error"]["type"] == "rate_limit_error"
    assert "rests after failures" in body["error"]["message"]


def test_a_clients_own_fault_neither_moves_on_nor_cools(
    gate: Gateway, fakes: list[FakeProvider]
) -> None:
    fakes[0].play("text", failure="status", status=400, times=0)
    status, _headers, _body = say(gate, "any")
    assert status == 400
    assert rests(gate) == []
    assert not fakes[1].record


def test_f41_a_payload_rule_reaches_the_wire(gate: Gateway, fakes: list[FakeProvider]) -> None:
    for path, more in (("/v1/messages", VERSION), ("/v1/chat/completions", {})):
        fakes[0].reset()
        body = {
            "model": "stranger/m",
            "max_tokens": 20,
            "messages": [{"role": "user", "content": "Hi"}],
        }
        status, _headers, content = gate.post(path, json.dumps(body).encode(), more)
        assert status == 200, content
        assert b"set-by-a-rule" in json.dumps(fakes[0].record[-1].body).encode()


def test_requests_per_minute_of_a_key(gate: Gateway) -> None:
    body = json.dumps(
        {"model": "third/m", "messages": [{"role": "user", "content": "Hi"}]}
    ).encode()
    own = {"authorization": "Bearer slow-key"}
    first, _headers, _content = gate.post("/v1/chat/completions", body, own)
    second, headers, content = gate.post("/v1/chat/completions", body, own)
    assert (first, second) == (200, 429)
    assert 1 <= int(headers["retry-after"]) <= 60
    assert "requests per minute" in json.loads(content)["error"]["message"]


def test_r20_a_spent_budget_blocks_and_the_cost_is_in_the_record(gate: Gateway) -> None:
    body = json.dumps(
        {"model": "first/m", "messages": [{"role": "user", "content": "Hi"}]}
    ).encode()
    own = {"authorization": "Bearer poor-key"}
    first, _headers, _content = gate.post("/v1/chat/completions", body, own)
    second, _headers, content = gate.post("/v1/chat/completions", body, own)
    assert first == 200
    assert second in (402, 429), content
    assert "USD per day" in json.loads(content)["error"]["message"]
    assert "cost_usd=0.0" in gate.log


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"x-forwarded-for": "127.0.0.1"}, id="forwarded"),
        pytest.param({"host": "rebound.example"}, id="another host name"),
        pytest.param({"origin": "https://evil.example"}, id="a web page"),
    ],
)
def test_r13_the_operators_pages_are_for_local_programs_only(
    gate: Gateway, headers: dict[str, str]
) -> None:
    status, _headers, _body = gate.request("GET", "/admin/status", headers=headers)
    assert status == 403


def test_admin_pages_say_what_they_do_not_know(gate: Gateway) -> None:
    assert gate.request("GET", "/admin/nothing")[0] == 404
    assert gate.request("GET", "/admin/reset")[0] == 405
    assert gate.request("POST", "/admin/reset", b'{"provider": 1}')[0] == 400


def test_r21_a_model_whose_every_key_rests_is_marked(
    gate: Gateway, fakes: list[FakeProvider]
) -> None:
    fakes[0].play("text", failure="status", status=503, times=0)
    say(gate, "any")
    headers = {"authorization": "Bearer test-gateway-key", **VERSION}
    _status, _headers, body = gate.request("GET", "/v1/models?limit=100", headers=headers)
    names = {card["id"]: card["display_name"] for card in json.loads(body)["data"]}
    assert "unavailable" in names["first/m"]
    assert "unavailable" not in names["any"]
