"""A client's own Responses body on its way to an upstream of the same protocol."""

from __future__ import annotations

from typing import Final

import pytest

from tests.translators.openai_responses.support import SEAL
from translators import ir
from translators.base import Fitting
from translators.errors import GatewayError
from translators.losses import Losses
from translators.openai_responses import TRANSLATOR, side
from translators.openai_responses.items import SUMMARY_INTRO
from translators.openai_responses.passing import without_envelopes
from translators.profile import DEFAULT_PROFILE, ModelProfile
from translators.wire import JsonObject

FUNCTION: Final[JsonObject] = {"type": "function", "name": "f", "parameters": {"type": "object"}}
ONE_NAME: Final = ModelProfile(web_search_type="web_search")


def fitted(
    body: JsonObject, profile: ModelProfile = DEFAULT_PROFILE, asked: JsonObject | None = None
) -> tuple[JsonObject, list[str]]:
    """What goes upstream, and the paths of what was given up."""
    losses = Losses()
    fitting = Fitting(profile=profile, asked=body if asked is None else asked)
    fitted_body = TRANSLATOR.fit(body, fitting, losses)
    return fitted_body, [one.path for one in losses.degradations]


@pytest.mark.parametrize(
    "alias",
    ["web_search_preview", "web_search_preview_2025_03_11", "web_search_2025_08_26"],
)
def test_tool_21_the_hosted_search_goes_by_the_name_the_backend_knows(alias: str) -> None:
    body = {
        "tools": [FUNCTION, {"type": alias, "search_context_size": "low"}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": alias}]},
    }
    changed, lost = fitted(body, ONE_NAME)
    assert changed["tools"] == [FUNCTION, {"type": "web_search", "search_context_size": "low"}]
    assert changed["tool_choice"]["tools"] == [{"type": "web_search"}]
    assert not lost
    forced, _ = fitted({"tools": [{"type": alias}], "tool_choice": {"type": alias}}, ONE_NAME)
    assert forced["tool_choice"] == {"type": "web_search"}


def test_tool_21_without_a_profile_every_name_passes() -> None:
    body = {"tools": [{"type": "web_search_preview"}], "tool_choice": {"type": "web_search"}}
    assert fitted(body)[0] is body
    plain = {"tools": [{"type": "web_search"}], "tool_choice": "auto"}
    assert fitted(plain, ONE_NAME)[0] is plain


@pytest.mark.parametrize(
    ("tools", "choice", "left"),
    [
        pytest.param([FUNCTION], {"type": "web_search"}, None, id="the hosted tool is gone"),
        pytest.param(
            [FUNCTION], {"type": "function", "name": "g"}, None, id="the function is gone"
        ),
        pytest.param(
            [FUNCTION],
            {"type": "allowed_tools", "mode": "required", "tools": [FUNCTION, {"type": "mcp"}]},
            {"type": "allowed_tools", "mode": "required", "tools": [FUNCTION]},
            id="one of several is gone",
        ),
        pytest.param(
            [FUNCTION],
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]},
            None,
            id="all of the allowed are gone",
        ),
        pytest.param([], "required", None, id="no tool is left to require"),
        pytest.param(
            [{"type": "namespace", "name": "n", "tools": [FUNCTION]}],
            {"type": "function", "name": "f"},
            {"type": "function", "name": "f"},
            id="the function of a namespace is there",
        ),
        pytest.param(
            [{"type": "web_search"}],
            {"type": "web_search_preview"},
            {"type": "web_search_preview"},
            id="the search under its other name is there",
        ),
    ],
)
def test_cho_05_a_choice_is_checked_after_tools_were_taken_away(
    tools: list[JsonObject], choice: object, left: object
) -> None:
    asked = {"tools": [*tools, {"type": "web_search"}], "tool_choice": choice}
    changed, lost = fitted({**asked, "tools": tools}, asked=asked)
    assert changed.get("tool_choice") == left
    assert lost == ([] if left == choice else ["tool_choice"])


def test_sta_08_without_tools_there_is_nothing_to_choose_or_run_in_parallel() -> None:
    asked = {"tools": [FUNCTION], "tool_choice": "auto", "parallel_tool_calls": True}
    assert fitted({**asked, "tools": []}, asked=asked) == ({"tools": []}, [])


def test_cho_05_a_choice_of_the_clients_own_making_is_left_to_the_provider() -> None:
    body = {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "missing"}}
    assert fitted(body) == (body, [])


def test_rsn_a_passed_body_carries_no_envelope_and_says_so() -> None:
    losses = Losses()
    state = ir.OpaqueState(
        kind=ir.StateKind.ANTHROPIC_SIGNATURE, value="s", provider="p", model="m"
    )
    sealed = SEAL.wrap(ir.Reasoning(text="t", state=state))
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "id": "fco_1", "call_id": "c", "output": "x"}
    own = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAA"}
    body = {
        "model": "m",
        "input": [
            side.compaction_item("Before.", SEAL),
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed},
            call,
            output,
            own,
            {**call, "call_id": "d"},
        ],
    }
    clean = without_envelopes(body, SEAL, losses)
    assert clean["model"] == "m"
    assert clean["input"] == [
        {"type": "message", "role": "user", "content": SUMMARY_INTRO + "Before."},
        {key: value for key, value in call.items() if key != "id"},
        output,
        own,
        {**call, "call_id": "d"},
    ]
    assert [one.path for one in losses.degradations] == ["input[1]"]
    assert body["input"][2]["id"] == "fc_1"  # type: ignore[index]
    assert without_envelopes(clean, SEAL, losses) is clean
    with pytest.raises(GatewayError):
        without_envelopes(body, None, losses)
    string = {"input": "hi"}
    assert without_envelopes(string, SEAL, losses) is string
