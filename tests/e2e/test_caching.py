"""Prompt caching done for clients: marks and keys per provider, never more than four, and the hit ratio in the record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.providers import provider

TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "First question"},
    {"role": "assistant", "content": "First answer"},
    {"role": "user", "content": "Second question"},
    {"role": "assistant", "content": "Second answer"},
    {"role": "user", "content": "Third question"},
]


@pytest.fixture(scope="module")
def gate(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """The same two providers with caching as usual, and switched off."""
    marks = {"cache_marks": True}
    off = {"inject_marks": False, "cache_key": False}
    providers = {
        "claude": provider(shared_fake, "anthropic"),
        "bare-claude": provider(shared_fake, "anthropic", caching=off),
        "responses": provider(shared_fake, "openai_responses", profile=marks),
        "bare-responses": provider(shared_fake, "openai_responses", profile=marks, caching=off),
    }
    with Gateway({"providers": providers}) as gateway:
        yield gateway


def ask(gate: Gateway, model: str) -> None:
    body = {"model": model, "messages": TALK, "tools": [TOOL]}
    status, _headers, answer = gate.post(
        "/v1/chat/completions", json.dumps(body).encode(), {"session_id": "s-1"}
    )
    assert status == 200, answer


def marks(value: Any) -> int:
    """How many cache marks a body has."""
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(map(marks, value.values()))
    return sum(map(marks, value)) if isinstance(value, list) else 0


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param("claude/m", 4, id="tools, system text and two turns"),
        pytest.param("bare-claude/m", 0, id="switched off for one provider"),
    ],
)
def test_f34_marks(gate: Gateway, fake: FakeProvider, model: str, expected: int) -> None:
    ask(gate, model)
    assert marks(fake.record.last.body) == expected


def test_f35_a_key_made_of_the_session_is_the_same_for_all_of_it(
    gate: Gateway, fake: FakeProvider
) -> None:
    ask(gate, "responses/m")
    ask(gate, "responses/m")
    ask(gate, "bare-responses/m")
    keys = [one.body.get("prompt_cache_key") for one in fake.record]
    assert keys[0]
    assert keys == [keys[0], keys[0], None]


def test_the_hit_ratio_is_in_the_record(gate: Gateway, fake: FakeProvider) -> None:
    fake.play("text", input_tokens=1000, cache_read=750)
    ask(gate, "claude/m")
    assert "cache_hit_ratio=0.75" in gate.log
