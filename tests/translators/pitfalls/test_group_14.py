"""Pitfalls, groups 14 and 15 as clients see them: token counts and model lists, over HTTP."""

from __future__ import annotations

import json

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.pitfalls import TEXTS, A, C, G, R

NAMES = ["chat", "responses", "claude", "gemini"]
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize("name", NAMES)
def test_cnt_01_cnt_04_claude_code_can_count_on_every_upstream(
    gateway: Gateway, fake: FakeProvider, name: str
) -> None:
    body = {"model": f"{name}/m", "messages": TEXTS[A]["messages"]}
    path = "/v1/messages/count_tokens?beta=true"
    status, _, answer = gateway.post(path, json.dumps(body).encode(), VERSION)
    assert status == 200, answer
    assert json.loads(answer)["input_tokens"] > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nested", [False, True])
def test_cnt_06_both_forms_of_geminis_count(
    gateway: Gateway, fake: FakeProvider, name: str, nested: bool
) -> None:
    inner = {"model": f"models/{name}/m", **TEXTS[G]}
    body = {"generateContentRequest": inner} if nested else TEXTS[G]
    path = f"/v1beta/models/{name}/m:countTokens"
    status, _, answer = gateway.post(path, json.dumps(body).encode())
    assert status == 200, answer
    assert json.loads(answer)["totalTokens"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_cnt_07_responses_input_tokens(gateway: Gateway, fake: FakeProvider, name: str) -> None:
    body = {"model": f"{name}/m", **TEXTS[R]}
    status, _, answer = gateway.post("/v1/responses/input_tokens", json.dumps(body).encode())
    assert status == 200, answer
    payload = json.loads(answer)
    assert payload["object"] == "response.input_tokens"
    assert payload["input_tokens"] > 0


def test_mdl_01_codex_gets_its_catalogue(gateway: Gateway) -> None:
    headers = {"authorization": f"Bearer {gateway.key}"}
    status, _, answer = gateway.request("GET", "/v1/models?client_version=0.150.0", None, headers)
    assert status == 200
    assert isinstance(json.loads(answer)["models"], list)


def test_mdl_04_mdl_05_one_path_three_shapes(gateway: Gateway) -> None:
    headers = {"authorization": f"Bearer {gateway.key}"}
    openai = json.loads(gateway.request("GET", "/v1/models", None, headers)[2])
    assert openai["object"] == "list"
    claude = json.loads(gateway.request("GET", "/v1/models?limit=5", None, headers | VERSION)[2])
    assert claude["has_more"] is False
    assert "object" not in claude
    google = json.loads(gateway.request("GET", "/v1beta/models", None, headers)[2])
    assert all(model["name"].startswith("models/") for model in google["models"])


@pytest.mark.parametrize("client", [C, R, A, G])
def test_mdl_08_an_unknown_model_is_404(gateway: Gateway, fake: FakeProvider, client: str) -> None:
    paths = {C: "/v1/chat/completions", R: "/v1/responses", A: "/v1/messages"}
    path = paths.get(client, '/v1beta/models/no"such:generateContent')
    body = {**TEXTS[client], **({} if client == G else {"model": 'no"such'})}
    status, _, answer = gateway.post(path, json.dumps(body).encode(), VERSION)
    error = json.loads(answer)["error"]
    assert status == 404
    if client in (C, R):
        assert error["code"] == "model_not_found"
    if client == A:
        assert error["type"] == "not_found_error"
    assert not list(fake.record)
