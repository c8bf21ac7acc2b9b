"""A client's own Chat body on its way to an upstream of the same protocol."""

from __future__ import annotations

from typing import Final

import pytest

from translators.base import Fitting
from translators.losses import Losses
from translators.openai_chat import TRANSLATOR
from translators.profile import DEFAULT_PROFILE, Echo, ModelProfile
from translators.wire import JsonObject

TURN: Final[JsonObject] = {
    "role": "assistant",
    "content": "4",
    "reasoning_content": "2 and 2",
    "reasoning_details": [{"type": "reasoning.text", "text": "2 and 2"}],
}
ECHOED: Final[JsonObject] = {"messages": [{"role": "user", "content": "2+2?"}, TURN]}


def fitted(body: JsonObject, profile: ModelProfile) -> tuple[JsonObject, list[str]]:
    """What goes upstream, and the paths of what was given up."""
    losses = Losses()
    fitted_body = TRANSLATOR.fit(body, Fitting(profile=profile, asked=body), losses)
    return fitted_body, [one.path for one in losses.degradations]


def test_rsn_10_echoed_reasoning_is_taken_out_for_a_provider_that_refuses_it() -> None:
    body, lost = fitted(ECHOED, ModelProfile(reasoning_echo=Echo.FORBIDDEN))
    assert body["messages"][1] == {"role": "assistant", "content": "4"}
    assert body["messages"][0] is ECHOED["messages"][0]
    assert lost == ["messages[1].reasoning_content", "messages[1].reasoning_details"]
    assert "reasoning_content" in TURN


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(DEFAULT_PROFILE, id="nothing is known of the provider"),
        pytest.param(ModelProfile(reasoning_echo=Echo.ALLOWED), id="it takes it"),
        pytest.param(ModelProfile(reasoning_echo=Echo.REQUIRED), id="it wants it"),
    ],
)
def test_rsn_10_elsewhere_the_clients_message_passes(profile: ModelProfile) -> None:
    assert fitted(ECHOED, profile) == (ECHOED, [])
    assert TRANSLATOR.fit(ECHOED, Fitting(profile=profile), Losses()) is ECHOED


@pytest.mark.parametrize(
    ("contents", "joined"),
    [
        pytest.param(["One.", "Two."], "One.\n\nTwo.", id="strings"),
        pytest.param(
            ["One.", [{"type": "text", "text": "Two."}]],
            [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}],
            id="a string and parts",
        ),
    ],
)
def test_prv_05_several_leading_system_messages_become_one(
    contents: list[object], joined: object
) -> None:
    user = {"role": "user", "content": "Hi"}
    late = {"role": "system", "content": "Late."}
    systems = [{"role": "system", "content": content} for content in contents]
    body, lost = fitted({"messages": [*systems, user, late]}, ModelProfile(single_system=True))
    assert body["messages"] == [{"role": "system", "content": joined}, user, late]
    assert not lost


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([{"role": "system", "content": "One."}], id="one system message"),
        pytest.param([{"role": "user", "content": "Hi"}], id="none"),
        pytest.param("odd", id="no list"),
    ],
)
def test_prv_05_a_body_that_fits_is_the_very_same(messages: object) -> None:
    body = {"messages": messages}
    fitting = Fitting(profile=ModelProfile(single_system=True))
    assert TRANSLATOR.fit(body, fitting, Losses()) is body
