"""Limits, budgets, bans and hidden models, over HTTP and over restarts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.providers import provider

TALK = [{"role": "user", "content": "Hello"}]
PRICES = {"m": {"prices": {"input": 1, "output": 1}}, "dear": {"prices": {"input": 9, "output": 9}}}
COUNT = "/v1/messages/count_tokens"
CHAT = "/v1/chat/completions"
VERSION = {"anthropic-version": "2023-06-01"}


def gateway(fake: FakeProvider, state: Path | None = None, **more: Any) -> Gateway:
    providers = {
        "chat": provider(fake, "openai_chat", models=PRICES),
        "claude": provider(fake, "anthropic", models=PRICES),
    }
    models = {"x": ["claude/dear", "claude/m"]}
    return Gateway({"providers": providers, "models": models, **more}, state=state)


def ask(
    gate: Gateway, path: str = CHAT, model: str = "chat/m", **more: str
) -> tuple[int, dict[str, str], dict[str, Any]]:
    body: dict[str, Any] = {"model": model, "messages": TALK}
    if path == "/v1/messages":
        body["max_tokens"] = 50
    status, headers, answer = gate.post(path, json.dumps(body).encode(), VERSION | more)
    return status, headers, json.loads(answer)


@pytest.mark.parametrize(
    ("limit", "first", "second", "statuses"),
    [
        pytest.param(
            {"limits": {"requests_per_minute_per_ip": 1}}, CHAT, CHAT, [200, 429],
            id="R29: requests of one address",
        ),
        pytest.param(
            {"limits": {"requests_per_minute_per_ip": 1}}, COUNT, COUNT, [200, 429],
            id="R29: counts are requests",
        ),
        pytest.param(
            {"budgets": {"requests_per_minute": 1}}, COUNT, CHAT, [200, 429],
            id="counts are requests of the gateway's own limit",
        ),
        pytest.param(
            {"budgets": {"tokens_per_minute": 1}}, CHAT, CHAT, [200, 429], id="tokens per minute"
        ),
        pytest.param(
            {"budgets": {"tokens_per_minute": 1}}, CHAT, COUNT, [200, 200],
            id="a count uses no tokens",
        ),
        pytest.param(
            {"budgets": {"usd_per_day": 0.0000001}}, CHAT, COUNT, [200, 200],
            id="a count costs no money",
        ),
        pytest.param(
            {"budgets": {"usd_per_day": 0.0000001, "action": "notify"}}, CHAT, CHAT, [200, 200],
            id="R20: a budget that only tells",
        ),
    ],
)  # fmt: skip
def test_what_limits_bind(
    fake: FakeProvider, limit: dict[str, Any], first: str, second: str, statuses: list[int]
) -> None:
    with gateway(fake, **limit) as gate:
        found = [ask(gate, path, "claude/m") for path in (first, second)]
        assert [status for status, _headers, _body in found] == statuses
        if statuses[1] == 429:
            assert 1 <= int(found[1][1]["retry-after"]) <= 60
        if limit.get("budgets", {}).get("action") == "notify":
            assert "budget who='this gateway'" in gate.log


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
def test_r20_a_spent_budget_outlives_a_restart(
    fake: FakeProvider, tmp_path: Path, path: str
) -> None:
    budget = {"budgets": {"usd_per_day": 0.0000001}}
    with gateway(fake, tmp_path, **budget) as gate:
        assert ask(gate)[0] == 200
    assert json.loads((tmp_path / "spent.json").read_text())["spent"]
    with gateway(fake, tmp_path, **budget) as gate:
        status, _headers, body = ask(gate, path)
    assert status in (402, 429)
    assert "USD per day" in body["error"]["message"]
    assert len(fake.record) == 1


def test_r20_a_spent_budget_makes_the_cheapest_come_first(fake: FakeProvider) -> None:
    with gateway(fake, budgets={"usd_per_day": 0.0000001, "action": "force_cheapest"}) as gate:
        models = [ask(gate, model="x")[1]["x-llmgate-model"] for _ in range(2)]
    assert models == ["claude/dear", "claude/m"]


def test_wrong_admin_keys_ban_an_address_also_after_a_restart(
    fake: FakeProvider, tmp_path: Path
) -> None:
    admin = {"admin": {"key": "right", "max_failures": 2, "ban_s": 600}}

    def status(gate: Gateway, key: str) -> tuple[int, dict[str, str]]:
        code, headers, _body = gate.request(
            "GET", "/admin/status", headers={"authorization": f"Bearer {key}"}
        )
        return code, headers

    with gateway(fake, tmp_path, **admin) as gate:
        found = [
            status(gate, key)[0] for key in ("wr\xf6ng", "right", "wr\xf6ng", "wrong", "right")
        ]
        assert found == [401, 200, 401, 401, 429]
    with gateway(fake, tmp_path, **admin) as gate:
        code, headers = status(gate, "right")
    assert code == 429
    assert 0 < int(headers["retry-after"]) <= 600


@pytest.mark.parametrize(
    ("unusable", "shown"),
    [
        pytest.param("hide", False, id="R21: hidden"),
        pytest.param("mark", True, id="marked"),
        pytest.param("show", True, id="as if nothing were"),
    ],
)
def test_r21_models_whose_every_key_rests(fake: FakeProvider, unusable: str, shown: bool) -> None:
    fake.play("text", failure="status", status=403, times=0)
    with gateway(fake, models_list={"unusable": unusable}, retry={"max_attempts": 1}) as gate:
        ask(gate)
        headers = {"authorization": f"Bearer {gate.key}"}
        names = [
            card["id"]
            for card in json.loads(gate.request("GET", "/v1/models", headers=headers)[2])["data"]
        ]
        assert ("chat/m" in names) is shown
        assert {"claude/m", "x"} <= set(names)


def test_model_lists_show_what_the_key_may_use(fake: FakeProvider) -> None:
    keys = [
        {"name": "all", "key": "k-all"},
        {"name": "some", "key": "k-some", "models": ["x", "chat/*"], "exclude": "chat/dear"},
    ]
    paths = {
        "/v1/models": ({}, "data", "id"),
        "/v1/models?limit=100": (VERSION, "data", "id"),
        "/v1beta/models": ({}, "models", "name"),
    }
    with gateway(fake, client_keys=keys) as gate:
        for path, (headers, where, field) in paths.items():
            found = {}
            for key in ("k-all", "k-some"):
                answer = gate.request("GET", path, headers={"x-api-key": key, **headers})[2]
                found[key] = {
                    card[field].removeprefix("models/") for card in json.loads(answer)[where]
                }
            assert found["k-some"] == {"x", "chat/m"}
            assert found["k-all"] >= {"x", "chat/m", "chat/dear", "claude/m"}
        refused = gate.post(
            CHAT,
            json.dumps({"model": "chat/dear", "messages": TALK}).encode(),
            {"authorization": "Bearer k-some"},
        )
        assert refused[0] == 403
