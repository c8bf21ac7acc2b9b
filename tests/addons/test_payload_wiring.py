"""F40, F41, HDR-01, C1, C2: what configuration says about bodies, paths, betas and keys reaches the request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mitmproxy import http

from addons.counting import counted_body
from addons.credentials import Credentials
from addons.exchange import Exchange, Try
from addons.payload import changed_body, finish_passed, passing_betas
from addons.translate import upstream_path
from tests.addons.placing import World, world
from translators import PROTOCOLS
from translators.errors import ErrorKind, GatewayError
from translators.profile import DEFAULT_PROFILE

CONFIG = """
providers:
  plain: {protocol: anthropic, base_url: "http://127.0.0.1:1/v1", api_key: sk-one}
  picky:
    endpoints:
      anthropic: {base_url: "http://127.0.0.1:2/v1", betas: ["interleaved-*"],
                  paths: {generate: "/x/{model}:go"}}
    api_keys: [{key: sk-two, headers: {x-team: blue}}]
    payload:
      - {when: {model: "m*"}, set_default: {temperature: 1}, set: {tier: gold}, remove: [speed]}
      - {when: {headers: {x-mode: loud}}, set: {loud: true}}
      - {when: {exists: system}, set: {system: "No tea."}}
  google:
    protocol: gemini
    base_url: "http://127.0.0.1:4/v1beta"
    api_key: sk-three
    payload:
      - {set: {"systemInstruction.parts[0].text": "No tea."}, set_default: {"generationConfig.topK": 1},
         remove: [toolConfig]}
  theirs: {protocol: anthropic, base_url: "http://127.0.0.1:3/v1", auth: client}
"""
FLAGS = "interleaved-thinking-2025-05-14,context-management-2025-06-27"


@pytest.fixture
def place() -> World:
    return world(CONFIG)


def native(place: World, model: str, **more: Any) -> tuple[Exchange, Try]:
    exchange = place.place(model, protocol="anthropic", max_tokens=9, **more)
    one = place.attempt(exchange)
    assert one is not None
    return exchange, one


def test_f41_rules_change_a_passed_body(place: World) -> None:
    exchange, one = native(place, "picky/m1", speed="fast", headers={"x-mode": "loud"})
    body = finish_passed(exchange, one, DEFAULT_PROFILE)
    assert body is not None
    found = json.loads(body)
    assert (found["model"], found["tier"], found["temperature"]) == ("m1", "gold", 1)
    assert found["loud"] is True
    assert "speed" not in found
    assert exchange.body["speed"] == "fast"


def test_f41_a_body_that_no_rule_is_about_keeps_its_bytes(place: World) -> None:
    for model in ("picky/other", "plain/m1"):
        exchange, one = native(place, model)
        assert finish_passed(exchange, one, DEFAULT_PROFILE) is None


def test_hdr_01_flags_and_fields_go_together_and_are_told(place: World) -> None:
    exchange, one = native(
        place, "picky/other", context_management={"edits": []}, headers={"anthropic-beta": FLAGS}
    )
    body = finish_passed(exchange, one, DEFAULT_PROFILE)
    assert body is not None
    assert "context_management" not in json.loads(body)
    assert "context-management" in one.losses.degradations[0].reason
    sent = passing_betas([("anthropic-beta", FLAGS), ("accept", "x")], one.candidate)
    assert dict(sent) == {"accept": "x", "anthropic-beta": "interleaved-thinking-2025-05-14"}


def test_hdr_01_an_upstream_that_takes_all_flags_gets_all(place: World) -> None:
    exchange, one = native(
        place, "plain/m", context_management={"edits": []}, headers={"anthropic-beta": FLAGS}
    )
    assert finish_passed(exchange, one, DEFAULT_PROFILE) is None
    assert passing_betas([("anthropic-beta", FLAGS)], one.candidate) == [("anthropic-beta", FLAGS)]


def counted(exchange: Exchange, one: Try) -> Any:
    """The body of a count as it goes upstream."""
    body = counted_body(
        exchange,
        one.candidate,
        lambda asked: changed_body(exchange, one, asked, DEFAULT_PROFILE, None),
    )
    assert body is not None
    return json.loads(body)


def test_cnt_05_a_count_goes_through_the_same_rules_as_a_request(place: World) -> None:
    exchange, one = native(
        place,
        "picky/m1",
        system="Be brief.",
        context_management={"edits": []},
        thinking={"type": "adaptive"},
        headers={"anthropic-beta": FLAGS},
    )
    sent = counted(exchange, one)
    assert sent == {
        "model": "m1",
        "system": "No tea.",
        "messages": exchange.body["messages"],
        "thinking": {"type": "adaptive"},
    }


@pytest.mark.parametrize("wrapped", [False, True])
def test_cnt_06_the_rules_change_geminis_counts_too(place: World, wrapped: bool) -> None:
    exchange = place.place("google/m", protocol="gemini", contents=[])
    one = place.attempt(exchange)
    assert one is not None
    inner = {"contents": [], "systemInstruction": {"parts": [{"text": "Hi"}]}, "toolConfig": {}}
    exchange.body = {"generateContentRequest": inner} if wrapped else inner
    sent = counted(exchange, one)
    expected = {"contents": [], "systemInstruction": {"parts": [{"text": "No tea."}]}}
    if wrapped:
        named = {**expected, "generationConfig": {"topK": 1}, "model": "models/m"}
        expected = {"generateContentRequest": named}
    assert sent == expected


@pytest.mark.parametrize("stream", [False, True])
def test_a_configured_path_serves_streams_too(place: World, stream: bool) -> None:
    _exchange, one = native(place, "picky/a b")
    upstream = PROTOCOLS["anthropic"]
    assert upstream_path(one.candidate, upstream, stream) == "/x/a%20b:go"


def test_c1_c14_the_key_and_its_headers_go_on_last(place: World) -> None:
    exchange, one = native(place, "picky/m")
    request = http.Request.make("POST", "http://127.0.0.1:2/v1")
    sent = Credentials().authorize(exchange, one, request).headers
    assert sent["x-api-key"] == "sk-two"
    assert sent["x-team"] == "blue"


def test_c2_the_clients_own_key_is_passed_on_where_it_is_wanted(place: World) -> None:
    exchange = place.exchange("theirs/m", protocol="anthropic", max_tokens=9)
    with pytest.raises(GatewayError) as caught:
        place.router.place(exchange)
    assert caught.value.kind is ErrorKind.AUTHENTICATION
    exchange.own_credential = "sk-mine"
    place.router.place(exchange)
    one = place.attempt(exchange)
    assert one is not None
    request = http.Request.make("POST", "http://127.0.0.1:3/v1")
    assert Credentials().authorize(exchange, one, request).headers["x-api-key"] == "sk-mine"
    assert "sk-mine" not in repr(exchange)
