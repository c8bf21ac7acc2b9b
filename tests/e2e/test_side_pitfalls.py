"""Pitfalls of stored responses, counts and model names as clients meet them, through a real mitmdump."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.pitfalls import TEXTS, A, C, G, R
from tests.support.providers import four_providers, provider

UPSTREAMS = ("chat", "responses", "claude", "gemini")
VERSION = {"anthropic-version": "2023-06-01"}
CATALOGUE = "/v1/models?client_version=0.169.0"
ODD = "vendor/deep.seek-3.1:free"
LIMITS = {"context_window": 64_000, "max_output_tokens": 4_000}


@pytest.fixture(scope="module")
def named_gateway(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """A gateway with names of its own: an odd one with limits, one without, a prefix."""
    config = four_providers(
        shared_fake,
        models={ODD: {"candidates": ["chat/m"], **LIMITS}, "plain": "claude/m"},
    )
    config["providers"]["chat"]["model_prefix"] = "team"
    with Gateway(config) as made:
        yield made


@pytest.fixture
def named(named_gateway: Gateway, fake: FakeProvider) -> Gateway:
    """That gateway, with an empty record at the provider."""
    return named_gateway


def ask(gateway: Gateway, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a POST that must succeed."""
    status, _headers, answer = gateway.post(path, json.dumps(body).encode(), VERSION)
    assert status == 200, answer
    answered: dict[str, Any] = json.loads(answer)
    return answered


def get(gateway: Gateway, path: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """The answer to a GET that must succeed."""
    given = {"authorization": f"Bearer {gateway.key}"} | (headers or {})
    status, _headers, answer = gateway.request("GET", path, headers=given)
    assert status == 200, answer
    answered: dict[str, Any] = json.loads(answer)
    return answered


# -------------------------------------------------------------------------------- stored responses


def test_sta_02_another_account_gets_the_conversation_and_not_the_id(
    gateway: Gateway, fake: FakeProvider
) -> None:
    first = ask(gateway, "/v1/responses", {"model": "claude/m", "input": "First question"})
    more = {"input": "Second question", "previous_response_id": first["id"]}
    second = ask(gateway, "/v1/responses", {"model": "responses/m", **more})
    sent = fake.record[-1].body
    assert "previous_response_id" not in sent
    assert [item["role"] for item in sent["input"] if "role" in item] == [
        "user",
        "assistant",
        "user",
    ]
    assert "First question" in json.dumps(sent["input"][0])
    assert second["previous_response_id"] == first["id"]


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_sta_09_a_full_transcript_without_an_id_is_not_joined_to_the_stored_turn(
    gateway: Gateway, fake: FakeProvider, upstream: str
) -> None:
    model = {"model": f"{upstream}/m"}
    ask(gateway, "/v1/responses", {**model, "input": "Stale question", "prompt_cache_key": "one"})
    transcript = [
        {"role": "user", "content": "Kept question"},
        {"role": "assistant", "content": "Kept answer"},
        {"role": "user", "content": "Next question"},
    ]
    ask(gateway, "/v1/responses", {**model, "input": transcript, "prompt_cache_key": "one"})
    sent = json.dumps(fake.record[-1].body)
    assert "Stale question" not in sent
    for text in ("Kept question", "Kept answer", "Next question"):
        assert sent.count(text) == 1


def test_sta_11_a_missing_model_is_refused_with_a_hint(named: Gateway, fake: FakeProvider) -> None:
    status, _headers, answer = named.post("/v1/responses", json.dumps({"input": "Hi"}).encode())
    error = json.loads(answer)["error"]
    assert status in (400, 404)
    assert error["param"] == "model"
    assert ODD in error["message"]
    assert not list(fake.record)


def test_sta_11_a_missing_model_is_the_default_of_the_only_provider(fake: FakeProvider) -> None:
    only = provider(fake, "openai_responses", default_model="standard")
    with Gateway({"providers": {"only": only}}) as gateway:
        ask(gateway, "/v1/responses", {"input": "Hi"})
    assert [seen.body["model"] for seen in fake.record] == ["standard"]


# ------------------------------------------------------------------------------------------ counts


def test_cnt_05_a_count_forwarded_to_anthropic_has_only_the_fields_of_a_count(
    gateway: Gateway, fake: FakeProvider
) -> None:
    counted = {
        "messages": TEXTS[A]["messages"],
        "system": "Be short.",
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
    }
    forbidden = {"max_tokens": 50, "temperature": 0.5, "metadata": {"user_id": "u"}}
    ask(gateway, "/v1/messages/count_tokens", {"model": "claude/m", **counted, **forbidden})
    (seen,) = fake.record
    assert (seen.path, seen.verdict) == ("/v1/messages/count_tokens", "accepted")
    assert seen.body == {"model": "m", **counted}


# -------------------------------------------------------------------------------------- model names


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_mdl_03_the_codex_catalogue_claims_little_for_any_upstream(
    fake: FakeProvider, upstream: str
) -> None:
    config = four_providers(fake, models={"coder": f"{upstream}/m"})
    config["providers"][upstream]["models"] = {
        "m": {"profile": {"parallel_calls": False, "image_types": []}}
    }
    with Gateway(config) as gateway:
        entries = get(gateway, CATALOGUE)["models"]
    (entry,) = [one for one in entries if one["slug"] == "coder"]
    assert entry["use_responses_lite"] is False
    assert entry["prefer_websockets"] is False
    assert entry["apply_patch_tool_type"] is None
    assert entry["experimental_supported_tools"] == []
    assert entry["supports_parallel_tool_calls"] is False
    assert entry["input_modalities"] == ["text"]


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("name", [ODD, quote(ODD, safe="")], ids=["as it is", "escaped"])
def test_mdl_06_odd_ids_are_asked_and_described_on_both_versions(
    named: Gateway, fake: FakeProvider, version: str, name: str
) -> None:
    client = {"x-goog-api-key": named.key}
    assert get(named, f"/{version}/models/{name}", client)
    answer = ask(named, f"/{version}/models/{name}:generateContent", TEXTS[G])
    assert answer["candidates"]
    assert fake.record[-1].body["model"] == "m"


def test_mdl_06_the_list_has_full_names_and_methods(named: Gateway) -> None:
    listed = {one["name"]: one for one in get(named, "/v1beta/models")["models"]}
    assert set(listed) >= {f"models/{ODD}", "models/plain"}
    entry = listed[f"models/{ODD}"]
    assert {"generateContent", "countTokens"} <= set(entry["supportedGenerationMethods"])
    assert get(named, f"/v1beta/models/{ODD}") == entry


@pytest.mark.parametrize("client", [C, R, A])
@pytest.mark.parametrize(
    ("name", "wire"),
    [
        pytest.param("chat/gpt-x", "gpt-x", id="a provider's name in front"),
        pytest.param("team/gpt-x", "gpt-x", id="a prefix in front"),
        pytest.param("chat/gpt-x(high)", "gpt-x", id="an effort behind"),
        pytest.param(ODD, "m", id="an alias"),
    ],
)
def test_mdl_07_names_are_resolved_and_echoed(
    named: Gateway, fake: FakeProvider, client: str, name: str, wire: str
) -> None:
    path = {C: "/v1/chat/completions", R: "/v1/responses", A: "/v1/messages"}[client]
    answer = ask(named, path, {**TEXTS[client], "model": name})
    assert fake.record[-1].body["model"] == wire
    assert answer["model"] == name


def test_mdl_09_every_list_says_the_limits_that_are_known(named: Gateway) -> None:
    window, output = LIMITS["context_window"], LIMITS["max_output_tokens"]
    plain = {one["id"]: one for one in get(named, "/v1/models")["data"]}
    claude = {one["id"]: one for one in get(named, "/v1/models", VERSION)["data"]}
    google = {one["name"]: one for one in get(named, "/v1beta/models")["models"]}
    codex = {one["slug"]: one for one in get(named, CATALOGUE)["models"]}
    odd = plain[ODD], claude[ODD], google[f"models/{ODD}"]
    assert (odd[0]["context_length"], odd[0]["max_output_tokens"]) == (window, output)
    assert (odd[1]["max_input_tokens"], odd[1]["max_tokens"]) == (window, output)
    assert (odd[2]["inputTokenLimit"], odd[2]["outputTokenLimit"]) == (window, output)
    assert codex[ODD]["context_window"] == window
    assert "context_length" not in plain["plain"]
    assert "inputTokenLimit" not in google["models/plain"]
