"""Models, rules and client keys: their short forms, and rules that cannot match."""

import pytest
from pydantic import ValidationError

from config.loader import loads
from config.routing import SCENES, BudgetAction, ModelConfig, RouteConfig, Strategy, When
from translators.ir import Level

BASE = "providers: {a: {preset: ollama}, b: {preset: vllm}}\n"


@pytest.mark.parametrize(
    ("entry", "targets"),
    [
        pytest.param("a/m", ["a/m"], id="a text"),
        pytest.param("[a/m, b/n]", ["a/m", "b/n"], id="a list"),
        pytest.param("[a/m, {target: b/n, weight: 2}]", ["a/m", "b/n"], id="a list with an object"),
        pytest.param("{candidates: a/m}", ["a/m"], id="an object with a text"),
        pytest.param(
            "{candidates: [a/vendor/m:free]}", ["a/vendor/m:free"], id="slashes in the model's name"
        ),
        pytest.param("a/*", ["a/*"], id="the name that was asked for"),
    ],
)
def test_r1_forms_of_a_model(entry: str, targets: list[str]) -> None:
    model = loads(BASE + f"models: {{x: {entry}}}").models["x"]
    assert [candidate.target for candidate in model.candidates] == targets
    assert model.strategy is Strategy.PRIORITY


def test_a_model_has_its_own_settings() -> None:
    text = "models: {x: {candidates: [a/m, b/m], strategy: cheapest, reasoning: off, hidden: true}}"
    model = loads(BASE + text).models["x"]
    assert (model.strategy, model.reasoning, model.hidden) == (Strategy.CHEAPEST, Level.OFF, True)


def test_a_model_needs_a_candidate() -> None:
    with pytest.raises(ValidationError):
        ModelConfig.model_validate({"candidates": []})


def test_an_alias_may_lead_to_another_alias() -> None:
    config = loads(BASE + "models: {small: a/m, fast: small, coder: [fast, b/n]}")
    assert config.models["coder"].candidates[0].target == "fast"


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_r4_scenes_are_conditions(scene: str) -> None:
    when = When.model_validate({"scene": scene})
    assert when.expanded != When()
    assert not when.contradictions()
    assert when.expanded.scene is None


def test_r4_own_conditions_win_over_the_scene() -> None:
    when = When.model_validate({"scene": "long_text", "min_input_tokens": 5})
    assert when.expanded.min_input_tokens == 5


def test_a_rule_without_conditions_matches_everything() -> None:
    assert RouteConfig.model_validate({"use": "x"}).when == When()


def test_rules_take_one_or_several_of_a_kind() -> None:
    rule = RouteConfig.model_validate(
        {"use": "x", "when": {"client_protocol": "anthropic", "model": "claude-*haiku*"}}
    )
    assert rule.when.client_protocol == ("anthropic",)
    assert rule.when.model == ("claude-*haiku*",)


def test_different_rules_do_not_shadow_each_other() -> None:
    text = (
        "routes: [{when: {min_tools: 5}, use: a/m}, {when: {min_tools: 3}, use: b/m}, {use: a/n}]"
    )
    assert len(loads(BASE + text).routes) == 3


def test_r20_a_client_key_has_limits() -> None:
    text = "client_keys: [{name: a, key: k, budget_usd_per_day: 0.1, budget_action: force_cheapest, requests_per_minute: 3}]"
    [key] = loads(text).client_keys
    assert str(key.budget_usd_per_day) == "0.1"
    assert key.budget_action is BudgetAction.FORCE_CHEAPEST
    assert key.models == ("*",)
