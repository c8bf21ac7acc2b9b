"""`generationConfig` in both directions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.gemini.support import hub, parse, render, user
from translators import ir
from translators.errors import GatewayError
from translators.ir import Level
from translators.losses import Losses, Mode
from translators.profile import SamplingSupport, ThinkingForm

FULL = {
    "temperature": 0.5,
    "topP": 0.9,
    "topK": 40,
    "candidateCount": 2,
    "maxOutputTokens": 100,
    "stopSequences": ["END"],
    "responseLogprobs": True,
    "logprobs": 3,
    "presencePenalty": 0.1,
    "frequencyPenalty": -0.1,
    "seed": 7,
    "responseMimeType": "application/json",
    "responseJsonSchema": {"type": "object", "properties": {"a": {"type": "string"}}},
    "thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True},
}


def config(request: ir.Request, mode: Mode = Mode.MAX_COMPAT, **profile: Any) -> dict[str, Any]:
    found: dict[str, Any] = render(request, mode, **profile).body.get("generationConfig", {})
    return found


def test_everything_that_two_protocols_share_goes_through() -> None:
    request = parse({"contents": "hi", "generationConfig": FULL})
    assert request.unshared == ()
    assert config(request, Mode.STRICT) == FULL


def test_nothing_said_is_nothing_sent() -> None:
    assert "generationConfig" not in render(hub(user("x"))).body


def test_par_13_null_is_absence() -> None:
    request = parse({"contents": "hi", "generationConfig": dict.fromkeys(FULL)})
    assert config(request) == {}


# --------------------------------------------------------------------------------------- sampling


def test_models_without_sampling_lose_it_as_a_hint() -> None:
    request = hub(user("x"), sampling=ir.Sampling(temperature=0.2, top_p=0.9))
    losses = Losses()
    render(request, losses=losses, sampling=SamplingSupport.NONE)
    assert len(losses.degradations) == 2
    with pytest.raises(GatewayError):
        config(request, Mode.STRICT, sampling=SamplingSupport.DEFAULT_ONLY)
    default = hub(user("x"), sampling=ir.Sampling(temperature=1))
    assert config(default, Mode.STRICT, sampling=SamplingSupport.DEFAULT_ONLY) == {}


def test_values_out_of_range() -> None:
    hot = hub(user("x"), sampling=ir.Sampling(temperature=1.5, seed=2**40))
    losses = Losses()
    body = render(hot, losses=losses, max_temperature=1.0).body
    assert body["generationConfig"] == {"temperature": 1.0}
    assert len(losses.degradations) == 2
    with pytest.raises(GatewayError):
        config(hot, Mode.STRICT, max_temperature=1.0)


def test_par_04_the_limit_is_lowered_and_never_raised() -> None:
    request = hub(user("x"), max_output_tokens=64000)
    assert config(request, max_output_tokens=8192) == {"maxOutputTokens": 8192}
    assert config(request, max_output_tokens=65536) == {"maxOutputTokens": 64000}


def test_par_06_the_gateway_cuts_at_the_stops_that_the_upstream_does_not_take() -> None:
    request = hub(user("x"), stop=tuple("abcdefg"))
    rendered = render(request)
    assert rendered.body["generationConfig"]["stopSequences"] == list("abcde")
    assert rendered.reading.cut_at == ("f", "g")
    assert render(request, stop_limit=0).reading.cut_at == tuple("abcdefg")
    with pytest.raises(GatewayError):
        config(request, Mode.STRICT)
    assert render(hub(user("x"), stop=("a",)), Mode.STRICT).reading.cut_at == ()


def test_par_10_and_11_candidates_and_logprobs() -> None:
    request = hub(user("x"), candidates=3, logprobs=0)
    assert config(request) == {"candidateCount": 3, "responseLogprobs": True}
    assert config(hub(user("x"), candidates=3, stream=True)) == {"candidateCount": 3}
    assert config(hub(user("x"), candidates=9)) == {"candidateCount": 8}
    tools = (ir.FunctionTool(name="f"),)
    streamed = hub(user("x"), candidates=3, stream=True, tools=tools)
    assert config(streamed) == {}
    with pytest.raises(GatewayError):
        config(streamed, Mode.BALANCED)


# ---------------------------------------------------------------------------------------- thinking


@pytest.mark.parametrize(
    ("thinking", "control"),
    [
        pytest.param({"thinkingLevel": "low"}, ir.ReasoningControl(level=Level.LOW), id="a level in lower case"),
        pytest.param({"thinking_budget": 8192}, ir.ReasoningControl(level=Level.MEDIUM, budget_tokens=8192), id="a budget"),
        pytest.param({"thinkingBudget": "0"}, ir.ReasoningControl(level=Level.OFF, budget_tokens=0), id="off, as a string"),
        pytest.param({"thinkingBudget": -1}, ir.ReasoningControl(budget_tokens=-1), id="dynamic"),
        pytest.param({"includeThoughts": False}, ir.ReasoningControl(summary=False), id="no thoughts shown"),
        pytest.param({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, ir.ReasoningControl(), id="unspecified"),
    ],
)  # fmt: skip
def test_thinking_is_read(thinking: dict[str, Any], control: ir.ReasoningControl) -> None:
    request = parse({"contents": "hi", "generationConfig": {"thinkingConfig": thinking}})
    assert request.reasoning == control


LEVELS = (Level.LOW, Level.HIGH)
PRO = {"thinking_form": ThinkingForm.BUDGET, "budget_range": (128, 32768), "always_thinks": True}
FLASH = {"thinking_form": ThinkingForm.BUDGET, "budget_range": (0, 24576)}


@pytest.mark.parametrize(
    ("control", "profile", "thinking", "exact"),
    [
        pytest.param({"level": Level.HIGH}, {}, {"thinkingLevel": "HIGH"}, True, id="high"),
        pytest.param({"level": Level.HIGH, "summary": True}, {}, {"thinkingLevel": "HIGH", "includeThoughts": True}, True, id="with thoughts"),
        pytest.param({"level": Level.OFF}, {}, {"thinkingLevel": "MINIMAL"}, True, id="off"),
        pytest.param({"level": Level.OFF}, {"reasoning_levels": LEVELS}, {"thinkingLevel": "LOW"}, False, id="off where minimal is missing"),
        pytest.param({"level": Level.MEDIUM}, {"reasoning_levels": LEVELS}, {"thinkingLevel": "HIGH"}, False, id="medium where it is missing"),
        pytest.param({"level": Level.MAX}, {}, {"thinkingLevel": "XHIGH"}, False, id="max"),
        pytest.param({"level": Level.XHIGH}, {"reasoning_levels": LEVELS}, {"thinkingLevel": "HIGH"}, False, id="xhigh where it is missing"),
        pytest.param({"level": Level.HIGH}, FLASH, {"thinkingBudget": 24576}, False, id="RSN-24 high on Flash"),
        pytest.param({"level": Level.OFF}, FLASH, {"thinkingBudget": 0}, True, id="off on Flash"),
        pytest.param({"level": Level.OFF}, PRO, {"thinkingBudget": 128}, False, id="RSN-24 off on Pro"),
        pytest.param({"level": Level.LOW, "budget_tokens": 2048}, PRO, {"thinkingBudget": 2048}, True, id="a budget on Pro"),
        pytest.param({"level": Level.OFF, "budget_tokens": 0}, PRO, {"thinkingBudget": 128}, False, id="RSN-24 a budget of 0 on Pro"),
        pytest.param({"level": Level.MAX, "budget_tokens": 60000}, FLASH, {"thinkingBudget": 24576}, False, id="too large a budget"),
        pytest.param({"level": None, "budget_tokens": -1}, PRO, {"thinkingBudget": -1}, True, id="dynamic"),
        pytest.param({"level": Level.MEDIUM, "budget_tokens": 8192}, {"thinking_form": ThinkingForm.LEVEL}, {"thinkingLevel": "MEDIUM"}, False, id="a budget where levels are"),
        pytest.param({"level": None, "budget_tokens": -1}, {"thinking_form": ThinkingForm.LEVEL}, {}, True, id="dynamic where levels are"),
        pytest.param({"level": Level.MEDIUM, "budget_tokens": 8192}, {}, {"thinkingBudget": 8192}, True, id="a budget to an unknown model"),
        pytest.param({"level": Level.OFF}, {"thinking_form": ThinkingForm.NONE}, {}, True, id="off without thinking"),
    ],
)  # fmt: skip
def test_rsn_23_and_24_only_one_form_is_sent(
    control: dict[str, Any], profile: dict[str, Any], thinking: dict[str, Any], exact: bool
) -> None:
    request = hub(user("x"), reasoning=ir.ReasoningControl(path="thinking", **control))
    losses = Losses()
    body = render(request, losses=losses, **profile).body
    assert body.get("generationConfig", {}).get("thinkingConfig", {}) == thinking
    assert (losses.degradations == ()) is exact
    if not exact:
        with pytest.raises(GatewayError):
            render(request, Mode.STRICT, **profile)


# ------------------------------------------------------------------------------------------ output


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("given", "output"),
    [
        pytest.param({"responseMimeType": "text/plain"}, None, id="text"),
        pytest.param({"responseMimeType": "application/json"}, ir.OutputFormat(kind=ir.OutputKind.JSON_OBJECT), id="any JSON"),
        pytest.param({"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}, ir.OutputFormat(kind=ir.OutputKind.JSON_SCHEMA, schema=SCHEMA), id="a JSON schema"),
        pytest.param({"responseMimeType": "application/json", "response_schema": SCHEMA}, ir.OutputFormat(kind=ir.OutputKind.JSON_SCHEMA, schema=SCHEMA, openapi=True), id="an OpenAPI schema"),
        pytest.param({"responseJsonSchema": {"type": "OBJECT"}}, ir.OutputFormat(kind=ir.OutputKind.JSON_SCHEMA, schema={"type": "OBJECT"}, openapi=True), id="types in capitals"),
        pytest.param({"responseFormat": [{"text": {"mimeType": "application/json", "jsonSchema": SCHEMA}}]}, ir.OutputFormat(kind=ir.OutputKind.JSON_SCHEMA, schema=SCHEMA), id="the newer form"),
    ],
)  # fmt: skip
def test_the_output_format_is_read(given: dict[str, Any], output: ir.OutputFormat | None) -> None:
    request = parse({"contents": "hi", "generationConfig": given})
    assert request.output == output
    assert request.unshared == ()


def test_an_enum_is_emulated_outside_strict() -> None:
    given = {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}
    request = parse({"contents": "hi", "generationConfig": given})
    assert request.output is not None
    assert request.output.kind is ir.OutputKind.JSON_SCHEMA
    assert config(request)["responseMimeType"] == "application/json"
    with pytest.raises(GatewayError):
        config(request, Mode.STRICT)


def schema_request(**fields: Any) -> ir.Request:
    output = ir.OutputFormat(kind=ir.OutputKind.JSON_SCHEMA, schema=SCHEMA, description="d")
    return hub(user("x"), output=output, **fields)


def test_out_02_schemas_and_plain_json() -> None:
    found = config(schema_request())
    assert found["responseMimeType"] == "application/json"
    assert found["responseJsonSchema"]["description"] == "d"
    openapi = config(schema_request(), openapi_schemas=True)
    assert "responseSchema" in openapi
    assert "responseJsonSchema" not in openapi
    plain = hub(user("x"), output=ir.OutputFormat(kind=ir.OutputKind.JSON_OBJECT))
    assert config(plain) == {"responseMimeType": "application/json"}


def test_out_06_no_output_format_beside_tools_on_older_models() -> None:
    request = schema_request(tools=(ir.FunctionTool(name="f"),))
    assert "responseMimeType" in config(request)
    losses = Losses()
    render(request, losses=losses, schema_with_tools=False)
    assert losses.degradations
    assert config(request, schema_with_tools=False) == {}
    with pytest.raises(GatewayError):
        config(request, Mode.BALANCED, schema_with_tools=False)


def test_models_without_schemas() -> None:
    assert config(schema_request(), json_schema=False) == {"responseMimeType": "application/json"}
    assert config(schema_request(), json_schema=False, json_object=False) == {}
    with pytest.raises(GatewayError):
        config(schema_request(), Mode.BALANCED, json_schema=False)


def test_hints_and_telemetry_of_others() -> None:
    request = hub(user("x"), verbosity="low", end_user="u", metadata={"a": "b"}, cache_key="k")
    losses = Losses()
    render(request, losses=losses)
    assert [d.path for d in losses.degradations] == ["verbosity"]
    quiet = hub(user("x"), end_user="u", metadata={"a": "b"}, cache_key="k", store=False)
    strict = Losses(Mode.STRICT)
    assert set(render(quiet, Mode.STRICT, strict).body) == {"contents"}
    assert len(strict.degradations) == 3
