"""Thought signatures on their way in and out again."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.translators.gemini.support import (
    SEAL,
    SIGNATURE,
    assistant,
    call,
    hub,
    parse,
    parse_parts,
    render,
    result,
    state,
    user,
)
from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.gemini.signatures import BYPASS
from translators.losses import Losses, Mode
from translators.seal import Seal

CALL = {"functionCall": {"id": "c1", "name": "f", "args": {}}}
ENCRYPTED = ir.OpaqueState(
    kind=ir.StateKind.RESPONSES_ENCRYPTED, value="gAAA", provider="o", model="g"
)
BARE = state(provider=None, model=None)


def test_a_bare_signature_is_state_of_unknown_origin_before_its_part() -> None:
    parts = parse_parts({**CALL, "thoughtSignature": SIGNATURE})
    assert parts[0] == ir.Reasoning(state=BARE)
    assert isinstance(parts[1], ir.ToolCall)


def test_it_joins_the_thoughts_in_front() -> None:
    parts = parse_parts(
        {"text": "hm", "thought": True}, {"text": "a", "thoughtSignature": SIGNATURE}
    )
    assert parts == (ir.Reasoning(text="hm", state=BARE), ir.Text(text="a"))


def test_one_on_an_empty_part_stands_alone() -> None:
    parts = parse_parts({"text": "a"}, {"text": "", "thoughtSignature": SIGNATURE})
    assert parts == (ir.Text(text="a"), ir.Reasoning(state=BARE))


def test_one_on_a_thought_is_that_thoughts_own() -> None:
    parts = parse_parts({"text": "hm", "thought": True, "thoughtSignature": SIGNATURE}, CALL)
    assert parts[0] == ir.Reasoning(text="hm", state=BARE)


@pytest.mark.parametrize(
    "value",
    [
        BYPASS,
        "context_engineering_is_the_way_to_go",
        base64.b64encode(BYPASS.encode()).decode(),
        base64.urlsafe_b64encode(base64.urlsafe_b64decode(BYPASS)).decode(),
        base64.b64encode(base64.urlsafe_b64decode(BYPASS)).decode(),
        "",
    ],
)
def test_a_placeholder_is_no_state(value: str) -> None:
    (part,) = parse_parts({**CALL, "thoughtSignature": value})
    assert isinstance(part, ir.ToolCall)


@pytest.mark.parametrize("alphabet", ["standard", "url-safe"])
def test_an_envelope_is_opened(alphabet: str) -> None:
    inside = ir.Reasoning(text="the whole thought ÿ?>", state=ENCRYPTED, item_id="rs_1")
    envelope = SEAL.wrap(inside) or ""
    if alphabet == "url-safe":
        envelope = envelope.replace("+", "-").replace("/", "_").rstrip("=")
    # The client's copy of the text is not trusted: the envelope's is the original.
    parts = parse_parts({"text": "edited", "thought": True}, {**CALL, "thoughtSignature": envelope})
    assert parts[0] == inside
    assert len(parts) == 2


@pytest.mark.parametrize("seal", [None, Seal(b"another key of 16+ bytes")])
def test_an_envelope_of_another_key_is_dropped_and_never_sent_to_gemini(seal: Seal | None) -> None:
    envelope = SEAL.wrap(ir.Reasoning(text="t", state=ENCRYPTED))
    body = {"contents": [{"role": "model", "parts": [{**CALL, "thoughtSignature": envelope}]}]}
    request = parse(body, seal)
    assert [type(part) for part in request.messages[0].parts] == [ir.ToolCall]
    assert "llmg1" not in repr(render(request).body)
    assert "bGxtZzEu" not in repr(render(request).body)


# -------------------------------------------------------------------------------------- to Gemini


def model_parts(request: ir.Request, **profile: Any) -> list[dict[str, Any]]:
    return next(
        content["parts"]
        for content in render(request, **profile).body["contents"]
        if content["role"] == "model"
    )


def test_state_goes_back_onto_exactly_its_part() -> None:
    request = hub(
        user("x"),
        assistant(ir.Reasoning(text="hm", state=state()), call(), call("c2")),
        user(result(), result("c2")),
    )
    thought, first, second = model_parts(request, signatures_required=True)
    assert thought == {"text": "hm", "thought": True}
    assert first["thoughtSignature"] == SIGNATURE
    assert "thoughtSignature" not in second


def test_state_of_the_end_goes_onto_an_empty_part() -> None:
    request = hub(user("x"), assistant("a", ir.Reasoning(state=state())), user("y"))
    assert model_parts(request) == [{"text": "a"}, {"text": "", "thoughtSignature": SIGNATURE}]


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(ENCRYPTED, id="of another vendor"),
        pytest.param(state(provider="other"), id="of another provider"),
        pytest.param(state(model="other"), id="of another model"),
    ],
)
def test_rsn_05_state_of_strangers_is_never_sent(foreign: ir.OpaqueState) -> None:
    losses = Losses()
    request = hub(user("x"), assistant(ir.Reasoning(text="hm", state=foreign), "a"), user("y"))
    body = render(request, losses=losses).body
    assert body["contents"][1]["parts"] == [{"text": "a"}]
    assert len(losses.degradations) == 1


def test_readable_thoughts_of_others_are_no_text_of_this_conversation() -> None:
    request = hub(user("x"), assistant(ir.Reasoning(text="hm"), "a"), user("y"))
    assert model_parts(request) == [{"text": "a"}]


def test_rsn_16_calls_of_others_get_the_placeholder_once_per_step() -> None:
    request = hub(
        user("x"),
        assistant(call(), call("c2")),
        user(result(), result("c2")),
        assistant("then", call("c3")),
        user(result("c3")),
    )
    losses = Losses()
    contents = render(request, losses=losses, signatures_required=True).body["contents"]
    signed = [
        [part.get("thoughtSignature") for part in content["parts"] if "functionCall" in part]
        for content in contents
        if content["role"] == "model"
    ]
    assert signed == [[BYPASS, None], [BYPASS]]
    assert losses.degradations


def test_rsn_16_no_placeholder_where_no_signature_is_needed() -> None:
    request = hub(user("x"), assistant(call()), user(result()))
    assert "thoughtSignature" not in repr(render(request).body)


def test_rsn_16_strict_refuses_to_stand_in() -> None:
    request = hub(user("x"), assistant(call()), user(result()))
    with pytest.raises(GatewayError) as caught:
        render(request, Mode.STRICT, signatures_required=True)
    assert caught.value.kind is ErrorKind.UNTRANSLATABLE


def test_strict_does_not_mind_earlier_turns_which_nobody_checks() -> None:
    request = hub(user("x"), assistant(call()), user(result()), assistant("a"), user("y"))
    assert render(request, Mode.STRICT, signatures_required=True).body["contents"]


def test_cac_09_placeholders_do_not_change_the_prefix_of_later_turns() -> None:
    turn = (user("x"), assistant(call()), user(result()), assistant("done"))
    short = render(hub(*turn[:3]), signatures_required=True).body["contents"]
    longer = render(hub(*turn, user("more")), signatures_required=True).body["contents"]
    assert longer[: len(short)] == short
