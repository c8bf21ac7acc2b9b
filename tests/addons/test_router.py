"""Which compatibility mode a request gets: header, client key, route, model, provider, configuration."""

from __future__ import annotations

import pytest

from tests.addons.placing import World, world
from translators.errors import ErrorKind, GatewayError

MODES = """
compatibility_mode: balanced
client_keys:
  - {name: plain, key: k-plain}
  - {name: own, key: k-own, compatibility_mode: max_compat}
providers:
  loose: {protocol: openai_chat, base_url: "http://127.0.0.1:1/v1", api_key: k}
  tight: {protocol: anthropic, base_url: "http://127.0.0.1:2/v1", api_key: k, compatibility_mode: strict}
models:
  named: {candidates: tight/x, compatibility_mode: balanced}
routes:
  - {when: {model: "named", stream: true}, use: tight/x, compatibility_mode: max_compat}
"""


@pytest.fixture(scope="module")
def place() -> World:
    return world(MODES)


@pytest.mark.parametrize(
    ("model", "key", "asked", "stream", "expected"),
    [
        pytest.param("loose/x", None, None, False, "balanced", id="the configuration's"),
        pytest.param("tight/x", "plain", None, False, "strict", id="the provider's before that"),
        pytest.param("named", "plain", None, False, "balanced", id="the model's before that"),
        pytest.param("named", "plain", None, True, "max_compat", id="the route's before that"),
        pytest.param("tight/x", "own", None, False, "max_compat", id="the key's before that"),
        pytest.param("tight/x", "own", " Strict ", False, "strict", id="the header's before all"),
    ],
)
def test_the_mode_of_a_request(
    place: World, model: str, key: str | None, asked: str | None, stream: bool, expected: str
) -> None:
    headers = {"x-llmgate-mode": asked} if asked else None
    exchange = place.place(model, key=key, headers=headers, stream=stream)
    assert [one.mode.value for one in exchange.candidates] == [expected]


def test_an_unknown_mode_is_refused(place: World) -> None:
    with pytest.raises(GatewayError, match="known modes: strict, balanced, max_compat") as caught:
        place.place("loose/x", headers={"x-llmgate-mode": "lax"})
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
