"""Decision tables: a request and a configuration, and the candidates in order."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from addons.routing import split_suffix
from config.loader import loads
from config.patterns import matches_any
from tests.addons.placing import World, world
from translators.errors import ErrorKind, GatewayError
from translators.ir import Level, ReasoningControl

PROVIDERS = """
providers:
  one: {protocol: openai_chat, base_url: "http://127.0.0.1:1/v1", api_key: k1, model_prefix: uno,
        models: {big: {fallbacks: [small]}, small: {}, blind: {profile: {image_types: []}}}}
  two: {protocol: anthropic, base_url: "http://127.0.0.1:2/v1", priority: 1,
        api_keys: [{key: a, prefix: team}, {key: b, models: ["only-*"]}]}
  three: {preset: groq, api_key: k3}
  four: {preset: groq, api_key: k4, priority: 5}
"""
CONFIG = (
    PROVIDERS
    + """
client_keys:
  - {name: free, key: k-free}
  - {name: bound, key: k-bound, models: ["sonnet", "one/*"], exclude: ["one/small"]}
models:
  sonnet: two/claude
  coder: {candidates: [one/plain, sonnet, three/x]}
  "claude-*haiku*": one/tiny
  "claude-*": two/*
  "*": four/rest
  sees: [one/blind, two/claude, one/plain]
  blind: [one/blind]
  deep: "two/claude(high)"
  eager: {candidates: one/plain, reasoning: low}
"""
)
PICTURE = {
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
            ],
        }
    ]
}


@pytest.fixture(scope="module")
def place() -> World:
    return world(CONFIG)


@pytest.mark.parametrize(
    ("model", "candidates"),
    [
        pytest.param("sonnet", ["two/claude"], id="R1: a literal alias"),
        pytest.param(
            "coder", ["one/plain", "two/claude", "three/x"], id="R1: an alias of aliases, in order"
        ),
        pytest.param("claude-3-haiku", ["one/tiny"], id="R1: the more specific pattern"),
        pytest.param("claude-9", ["two/claude-9"], id="R1: `provider/*` keeps the name"),
        pytest.param("one/anything", ["one/anything"], id="R2: provider and model"),
        pytest.param("uno/anything", ["one/anything"], id="R2: the provider's own prefix"),
        pytest.param("team/m", ["two/m"], id="R2, C14: a key's prefix"),
        pytest.param("groq/m", ["four/m", "three/m"], id="R2: a preset's name, by priority"),
        pytest.param("one/a/b", ["one/a/b"], id="R2: a model name with a slash"),
        pytest.param("unheard-of", ["four/rest"], id="R1: `*` after everything else"),
        pytest.param("one/big", ["one/big", "one/small"], id="R19: down to a smaller model"),
        pytest.param("one/big(high)", ["one/big", "one/small"], id="a suffix names no model"),
    ],
)
def test_r1_r2_r19_names(place: World, model: str, candidates: list[str]) -> None:
    assert place.names(model) == candidates


def test_r2_a_keys_prefix_uses_that_key_only(place: World) -> None:
    assert [one.key.prefix for one in place.place("team/only-this").candidates] == ["team"]


def test_c14_a_key_serves_its_own_models_only(place: World) -> None:
    assert [one.key.name for one in place.place("two/other").candidates] == ["two-1"]
    assert {one.key.name for one in place.place("two/only-this").candidates} == {"two-1", "two-2"}


@pytest.mark.parametrize(
    ("text", "model", "candidates"),
    [
        pytest.param(
            "models: {a: one/m}", "any", ["one/any"], id="the only provider, beside models"
        ),
        pytest.param("{}", "any", ["one/any"], id="the only provider"),
        pytest.param("{}", "", ["one/std"], id="no model at all: the provider's own"),
        pytest.param('models: {"*": one/m}', "any", ["one/m"], id="`*` before the only provider"),
    ],
)
def test_r2_the_only_provider(text: str, model: str, candidates: list[str]) -> None:
    provider = (
        'providers: {one: {protocol: openai_chat, base_url: "http://127.0.0.1:1/v1", '
        "default_model: std}}\n"
    )
    assert world(provider + text.replace("{}", "")).names(model) == candidates


RULES = (
    PROVIDERS
    + """
client_keys: [{name: alice, key: k-alice}, {name: bob, key: k-bob}]
routes:
  - {name: pictures, when: {scene: image}, use: two/eyes}
  - {when: {client_protocol: openai_chat, model: "fast-*"}, use: three/fast}
  - {when: {client_key: alice}, use: one/alice}
  - {when: {headers: {x-team: "red*"}}, use: one/red}
  - {when: {min_tools: 2}, use: one/tools}
  - {when: {reasoning: true}, use: one/think, compatibility_mode: strict}
  - {when: {system_contains: [Reviewer]}, use: one/review}
  - {when: {min_input_chars: 500, max_input_chars: 900}, use: one/middle}
  - {when: {min_input_tokens: 300}, use: one/long}
  - {when: {stream: true}, use: one/stream}
  - {when: {scene: background}, use: four/small}
models: {m: one/usual, gpt-mini-x: one/usual, fast-1: one/usual}
"""
)
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]


@pytest.mark.parametrize(
    ("model", "more", "candidates"),
    [
        pytest.param("m", {}, ["one/usual"], id="no rule matches"),
        pytest.param("m", PICTURE, ["two/eyes"], id="a picture"),
        pytest.param("fast-1", {}, ["three/fast"], id="protocol and model pattern"),
        pytest.param("m", {"key": "alice"}, ["one/alice"], id="the client's key"),
        pytest.param("m", {"key": "bob"}, ["one/usual"], id="another client's key"),
        pytest.param("m", {"headers": {"x-team": "red-1"}}, ["one/red"], id="a header"),
        pytest.param("m", {"tools": TOOLS}, ["one/tools"], id="number of tools"),
        pytest.param("m", {"tools": TOOLS[:1]}, ["one/usual"], id="too few tools"),
        pytest.param("m", {"reasoning_effort": "high"}, ["one/think"], id="thinking asked for"),
        pytest.param("m", {"reasoning_effort": "none"}, ["one/usual"], id="thinking declined"),
        pytest.param(
            "m",
            {
                "messages": [
                    {"role": "system", "content": "You are a REVIEWER."},
                    {"role": "user", "content": "Hi"},
                ]
            },
            ["one/review"],
            id="a word of the system text",
        ),
        pytest.param(
            "m", {"messages": [{"role": "user", "content": "x" * 600}]}, ["one/middle"], id="chars"
        ),
        pytest.param(
            "m",
            {"messages": [{"role": "user", "content": "word " * 400}]},
            ["one/long"],
            id="tokens",
        ),
        pytest.param("m", {"stream": True}, ["one/stream"], id="a stream"),
        pytest.param("gpt-mini-x", {}, ["four/small"], id="a background model"),
    ],
)
def test_r4_rules(model: str, more: dict[str, Any], candidates: list[str]) -> None:
    assert world(RULES).names(model, **more) == candidates


def test_r3_a_rule_can_serve_one_protocol_only() -> None:
    body = {"max_tokens": 10}
    assert world(RULES).names("fast-1", protocol="anthropic", **body) == ["one/usual"]


def test_r4_the_first_rule_wins_and_says_so() -> None:
    exchange = world(RULES).place("m", key="alice", **PICTURE)
    assert exchange.route == "pictures"


def test_r4_a_rule_sets_the_compatibility_mode() -> None:
    exchange = world(RULES).place("m", reasoning_effort="high")
    assert exchange.candidates[0].mode.value == "strict"


def test_rules_that_ask_nothing_of_the_conversation_do_not_parse_it() -> None:
    exchange = world(RULES).place("fast-1")
    assert exchange.hub is None


@pytest.mark.parametrize(
    ("model", "more", "candidates"),
    [
        pytest.param("sees", PICTURE, ["two/claude", "one/plain"], id="the blind one is skipped"),
        pytest.param("sees", {}, ["one/blind", "two/claude", "one/plain"], id="no picture"),
        pytest.param("blind", PICTURE, ["one/blind"], id="unfiltered if none is left"),
    ],
)
def test_r7_pictures(place: World, model: str, more: dict[str, Any], candidates: list[str]) -> None:
    assert place.names(model, **more) == candidates


@pytest.mark.parametrize(
    ("key", "model", "kind"),
    [
        pytest.param("free", "sonnet", None, id="no list: everything"),
        pytest.param("bound", "sonnet", None, id="on the list"),
        pytest.param("bound", "one/x", None, id="a pattern of the list"),
        pytest.param("bound", "one/small", ErrorKind.PERMISSION, id="excluded"),
        pytest.param("bound", "coder", ErrorKind.PERMISSION, id="not on the list"),
        pytest.param("bound", "one/x(high)", None, id="the suffix is no part of the name"),
    ],
)
def test_allow_lists(place: World, key: str, model: str, kind: ErrorKind | None) -> None:
    if kind is None:
        assert place.names(model, key=key)
        return
    with pytest.raises(GatewayError) as caught:
        place.names(model, key=key)
    assert caught.value.kind is kind


def test_an_unknown_model_is_a_404_that_says_what_would_work() -> None:
    with pytest.raises(GatewayError) as caught:
        world(PROVIDERS + "models: {sonnet: two/claude}").names("nope")
    assert caught.value.kind is ErrorKind.NOT_FOUND
    assert "sonnet" in caught.value.message


@pytest.mark.parametrize(
    ("name", "plain", "control"),
    [
        pytest.param("m(high)", "m", ReasoningControl(level=Level.HIGH), id="a level"),
        pytest.param("m(none)", "m", ReasoningControl(level=Level.OFF), id="none"),
        pytest.param("m(auto)", "m", ReasoningControl(), id="automatic"),
        pytest.param(
            "m(8192)", "m", ReasoningControl(level=Level.MEDIUM, budget_tokens=8192), id="a budget"
        ),
        pytest.param("m(v2)", "m(v2)", None, id="something else"),
        pytest.param("m", "m", None, id="no suffix"),
        pytest.param("kept(high)", "kept(high)", None, id="a configured name stays whole"),
    ],
)
def test_thinking_suffix(name: str, plain: str, control: ReasoningControl | None) -> None:
    config = loads(PROVIDERS + 'models: {"kept(high)": one/m}')
    assert split_suffix(config, name) == (plain, control)


@pytest.mark.parametrize(
    ("model", "level"),
    [
        pytest.param("one/m(high)", Level.HIGH, id="in the name asked for"),
        pytest.param("deep", Level.HIGH, id="in the alias's target"),
        pytest.param("deep(low)", Level.LOW, id="what is asked for wins"),
        pytest.param("eager", Level.LOW, id="the model's usual level"),
    ],
)
def test_thinking_reaches_the_candidate(place: World, model: str, level: Level) -> None:
    control = place.place(model).candidates[0].reasoning
    assert control is not None
    assert control.level is level


def test_the_usual_level_is_for_clients_that_ask_for_none(place: World) -> None:
    assert place.place("eager", reasoning_effort="high").candidates[0].reasoning is None


STRATEGY = """
providers:
  a: {protocol: openai_chat, base_url: "http://127.0.0.1:1/v1",
      models: {m: {prices: {input: 3, output: 3}}}}
  b: {protocol: openai_chat, base_url: "http://127.0.0.1:2/v1",
      models: {m: {prices: {input: 1, output: 1}}}}
  c: {protocol: openai_chat, base_url: "http://127.0.0.1:3/v1"}
models:
  m: {strategy: STRATEGY, candidates: [{target: a/m, weight: 6}, {target: b/m, weight: 3},
      {target: c/m, weight: 1}]}
"""


@pytest.mark.parametrize(
    ("strategy", "shares"),
    [
        pytest.param("priority", {"a/m": 10000}, id="R5: priority"),
        pytest.param("fill_first", {"a/m": 10000}, id="R6: fill first"),
        pytest.param("round_robin", {"a/m": 3334, "b/m": 3333, "c/m": 3333}, id="R6: round robin"),
        pytest.param("weighted", {"a/m": 6000, "b/m": 3000, "c/m": 1000}, id="R6: weighted"),
        pytest.param("cheapest", {"b/m": 10000}, id="R5: cheapest"),
    ],
)
def test_r5_r6_fairness_over_ten_thousand_picks(strategy: str, shares: dict[str, int]) -> None:
    place = world(STRATEGY.replace("STRATEGY", strategy))
    exchange = place.exchange("m")
    seen: Counter[str] = Counter()
    for _ in range(10000):
        place.router.place(exchange)
        exchange.session = None
        seen[str(exchange.candidates[0])] += 1
        assert len(exchange.candidates) == 3
    assert dict(seen) == shares


def test_r5_cheapest_puts_unknown_prices_last() -> None:
    assert world(STRATEGY.replace("STRATEGY", "cheapest")).names("m") == ["b/m", "a/m", "c/m"]


def test_r5_fastest_measures_the_unknown_then_prefers_the_quick_and_forgets() -> None:
    place = world(STRATEGY.replace("STRATEGY", "fastest"))
    for name, seconds in (("a", 2.0), ("b", 0.5)):
        place.picker.strategies.answered((name, "m"), seconds)
    assert place.names("m") == ["c/m", "b/m", "a/m"]
    place.picker.strategies.answered(("c", "m"), 1.0)
    assert place.names("m") == ["b/m", "c/m", "a/m"]
    place.clock.now_s += 601
    assert place.names("m") == ["a/m", "b/m", "c/m"]


def test_r14_the_keys_of_a_pool_take_turns() -> None:
    place = world(
        'providers: {a: {protocol: openai_chat, base_url: "http://127.0.0.1:1/v1",'
        " api_keys: [x, y, z]}}"
    )
    seen = Counter(place.place("a/m").candidates[0].key.name for _ in range(9000))
    assert seen == {"a-1": 3000, "a-2": 3000, "a-3": 3000}
    assert len(place.place("a/m").candidates) == 3


def test_c14_keys_of_a_higher_priority_come_first_and_weights_count() -> None:
    place = world(
        'providers: {a: {protocol: openai_chat, base_url: "http://127.0.0.1:1/v1", api_keys: '
        "[{key: x, weight: 3}, {key: y}, {key: z, priority: -1}, {key: v, weight: 0}]}}"
    )
    seen = Counter(place.place("a/m").candidates[0].key.name for _ in range(4000))
    assert seen == {"a-1": 3000, "a-2": 1000}
    assert place.place("a/m").candidates[-1].key.name == "a-3"


def test_a_fictional_provider_takes_one_yaml_entry() -> None:
    text = """
providers:
  acme: {protocol: anthropic, base_url: "https://llm.acme.example/v1", auth: bearer, api_key: k,
         query: {api-version: "7"}, headers: {x-acme: "yes"}, models: {acme-1: {}},
         payload: [{set_default: {acme_switch: true}}]}
"""
    candidate = world(text).place("acme/acme-1", protocol="anthropic", max_tokens=5).candidates[0]
    assert candidate.endpoint.base_url == "https://llm.acme.example/v1"
    assert candidate.protocol == "anthropic"


def test_every_candidate_of_a_bound_key_is_permitted(place: World) -> None:
    for model in ("sonnet", "one/big", "one/x"):
        exchange = place.place(model, key="bound")
        assert exchange.principal is not None
        assert matches_any(exchange.principal.models, exchange.model)
