"""Requests for Chat upstreams: what the profile allows, no more; what is lost is refused or recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.translators.openai_chat.support import (
    CALL,
    CAPTURES,
    EXAMPLES,
    OPENAI,
    PDF,
    PLAIN,
    PNG,
    RESULT,
    USER,
    F,
    G,
    assistant,
    body,
    degraded,
    hub,
    keys_with_null,
    parse,
    parse_messages,
    refusing_modes,
    render,
    roles,
    system,
    user,
)
from translators import ir
from translators.base import Call
from translators.losses import Losses, Mode
from translators.openai_chat import TRANSLATOR
from translators.profile import Echo, MidSystem, ThinkingForm

# ------------------------------------------------------------------------------------ round trips


@pytest.mark.parametrize("name", CAPTURES)
def test_what_real_clients_send_goes_out_as_it_came(name: str) -> None:
    for wire in CAPTURES[name]:
        request = TRANSLATOR.parse_request(wire, Call(), None)
        profile = replace(PLAIN, max_tokens_field="max_tokens", reasoning_echo=Echo.ALLOWED)
        losses = Losses(Mode.STRICT)
        out = body(request, profile, losses=losses)
        expected = json.loads(json.dumps(wire)) | {"model": "up-model"}
        expected["stream_options"] = {"include_usage": True}
        for message in expected["messages"]:
            if message["role"] == "assistant" and message["content"] == "":
                message["content"] = None
        assert out == expected
        assert losses.degradations == ()


def test_the_documented_example_goes_out_as_it_came() -> None:
    wire = EXAMPLES["request"][0]
    out = body(TRANSLATOR.parse_request(wire, Call(), None), OPENAI, mode=Mode.STRICT)
    expected = wire | {"model": "up-model", "stream_options": {"include_usage": True}}
    for default in ("parallel_tool_calls", "service_tier", "store"):
        del expected[default]
    assert out == expected


def test_rendering_is_deterministic_and_leaves_the_request_alone() -> None:
    request = parse(**EXAMPLES["request"][0])
    before = repr(request)
    assert json.dumps(body(request, OPENAI)) == json.dumps(body(request, OPENAI))
    assert repr(request) == before


def test_cac_09_a_longer_history_keeps_the_bytes_of_the_shorter_one() -> None:
    turns = [system("S"), USER, assistant(CALL), user(RESULT), assistant(ir.Text(text="4"))]
    shorter = body(hub(*turns[:4], tools=(F,)))["messages"]
    longer = body(hub(*turns, USER, tools=(F,)))["messages"]
    assert longer[: len(shorter)] == shorter


def test_par_13_no_null_but_the_documented_one() -> None:
    request = hub(
        USER, assistant(CALL), user(RESULT), tools=(F, G), tool_choice=None, protocol="openai_chat"
    )
    assert keys_with_null(body(request, OPENAI)) == [".messages[].content"]


# ----------------------------------------------------------------------------------------- system


@pytest.mark.parametrize(("developer", "role"), [(True, "developer"), (False, "system")])
def test_sys_01_leading_system_texts_are_one_message_in_order(developer: bool, role: str) -> None:
    profile = replace(PLAIN, developer_role=developer)
    out = body(hub(system("A", "B"), system("C"), USER), profile)["messages"]
    assert out[0] == {"role": role, "content": "A\n\nB\n\nC"}
    assert roles(out) == [role, "user"]


@pytest.mark.parametrize(
    ("how", "messages"),
    [
        (MidSystem.KEEP, [("system", "S"), ("user", "hi"), ("system", "L"), ("user", "hi")]),
        (MidSystem.HOIST, [("system", "S\n\nL"), ("user", "hi"), ("user", "hi")]),
        (
            MidSystem.USER,
            [("system", "S"), ("user", "hi"), ("user", "<system>L</system>"), ("user", "hi")],
        ),
    ],
)
def test_sys_02_a_later_system_message(how: MidSystem, messages: list[tuple[str, str]]) -> None:
    out = body(hub(system("S"), USER, system("L"), USER), replace(PLAIN, mid_system=how))
    assert [(m["role"], m["content"]) for m in out["messages"]] == messages


def test_sys_12_messages_that_nothing_is_left_of_are_dropped() -> None:
    out = body(hub(USER, assistant(ir.Reasoning(text="hm")), USER))
    assert roles(out["messages"]) == ["user", "user"]


def test_sys_18_results_go_before_what_the_user_says() -> None:
    out = body(hub(USER, assistant(CALL), user(ir.Text(text="and?"), RESULT)))["messages"]
    assert roles(out) == ["user", "assistant", "tool", "user"]
    assert out[3]["content"] == "and?"


def test_sys_21_all_texts_of_a_user_turn_are_kept_in_order() -> None:
    out = body(hub(user(ir.Text(text="a"), ir.Text(text="b"))))["messages"]
    assert out == [{"role": "user", "content": "a\n\nb"}]


# ------------------------------------------------------------------------------- calls and results


def test_a_call_and_its_result() -> None:
    out = body(hub(USER, assistant(ir.Text(text="Let me look."), CALL), user(RESULT)))["messages"]
    function = {"name": "f", "arguments": '{"a":1}'}
    assert out[1:] == [
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "4 C"},
    ]


def test_content_is_null_beside_calls_without_text() -> None:
    out = body(hub(USER, assistant(CALL), user(RESULT)))["messages"]
    assert out[1]["content"] is None


@pytest.mark.parametrize(
    ("text", "expected"), [("timeout", "Error: timeout"), ("Error: no", "Error: no")]
)
def test_a_failed_tool_says_so_in_its_text(text: str, expected: str) -> None:
    failed = replace(RESULT, content=(ir.Text(text=text),), is_error=True)
    assert body(hub(USER, assistant(CALL), user(failed)))["messages"][2]["content"] == expected


def test_res_01_a_picture_in_a_result_follows_the_whole_batch() -> None:
    calls = (CALL, replace(CALL, call_id="call_2"))
    first = replace(RESULT, content=(ir.Text(text="see"), PNG))
    second = replace(RESULT, call_id="call_2")
    request = hub(USER, assistant(*calls), user(first, second, ir.Text(text="go on")))
    out = body(request)["messages"]
    assert roles(out) == ["user", "assistant", "tool", "tool", "user", "user"]
    assert out[2]["content"] == "see\n[image attached below]"
    kinds = [part["type"] for part in out[4]["content"]]
    assert kinds == ["text", "image_url"]
    assert out[5]["content"] == "go on"
    assert "iVBOR" not in json.dumps(out[2:4]), "no base64 in a tool message"
    assert refusing_modes(request) == {"strict"}


def test_res_01_a_text_model_gets_a_notice() -> None:
    request = hub(USER, assistant(CALL), user(replace(RESULT, content=(PNG,))))
    profile = replace(PLAIN, image_types=frozenset())
    out = body(request, profile)["messages"]
    assert roles(out) == ["user", "assistant", "tool"]
    assert "omitted" in out[2]["content"]
    assert refusing_modes(request, profile) == {"strict", "balanced"}
    assert "img" in degraded(request, profile)


def test_documents_in_a_result_follow_as_files_and_texts_stay() -> None:
    note = ir.Document(source=ir.PlainText(text="body"), title="Note")
    result = replace(RESULT, content=(PDF, note))
    out = body(hub(USER, assistant(CALL), user(result)))["messages"]
    assert out[2]["content"] == "[document attached below]\n# Note\n\nbody"
    assert out[3]["content"][1]["file"]["filename"] == "document.pdf"


def test_res_08_a_call_without_a_result_is_answered_or_refused() -> None:
    request = hub(USER, assistant(CALL), USER)
    assert refusing_modes(request) == {"strict", "balanced"}
    out = body(request)["messages"]
    assert roles(out) == ["user", "assistant", "tool", "user"]
    assert out[2]["content"].startswith("Error")


def test_res_09_results_move_right_behind_their_call() -> None:
    out = body(hub(USER, assistant(CALL), system("late"), user(RESULT)))["messages"]
    assert roles(out) == ["user", "assistant", "tool", "system"]


def test_calls_of_one_turn_in_several_messages_are_one_message() -> None:
    request = hub(
        USER,
        assistant(ir.Text(text="a")),
        assistant(CALL),
        assistant(replace(CALL, call_id="call_2")),
        user(RESULT, replace(RESULT, call_id="call_2")),
    )
    out = body(request)["messages"]
    assert roles(out) == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in out[1]["tool_calls"]] == ["call_1", "call_2"]


@pytest.mark.parametrize("arguments", ["", "  ", "null"])
def test_res_15_16_no_arguments_are_an_empty_object(arguments: str) -> None:
    call = replace(CALL, arguments=arguments)
    out = body(hub(USER, assistant(call), user(RESULT)))["messages"]
    assert out[1]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_arguments_that_are_no_json_stay_as_the_model_wrote_them() -> None:
    call = replace(CALL, arguments='{"a":')
    out = body(hub(USER, assistant(call), user(RESULT)))["messages"]
    assert out[1]["tool_calls"][0]["function"]["arguments"] == '{"a":'


def test_res_18_traces_of_hosted_tools_become_text() -> None:
    source = ir.WebSource(url="https://a", title="A")
    search = ir.WebSearch(call_id="w", query="q", sources=(source,), protocol="anthropic")
    out = body(hub(USER, assistant(search, ir.Text(text="x")), USER))["messages"]
    assert "https://a" in out[1]["content"]
    assert roles(out) == ["user", "assistant", "user"]


def test_res_20_texts_around_a_call_are_set_apart() -> None:
    turn = assistant(ir.Text(text="a"), CALL, ir.Text(text="b"))
    out = body(hub(USER, turn, user(RESULT)))["messages"]
    assert out[1]["content"] == "a\n\nb"
    assert out[1]["tool_calls"]


def test_texts_that_citations_cut_in_pieces_are_one_text() -> None:
    cited = ir.Text(text="is 4 C", citations=(ir.UrlCitation(url="https://a"),))
    turn = assistant(ir.Text(text="Oslo "), cited, ir.Text(text="."))
    assert body(hub(USER, turn, USER))["messages"][1]["content"] == "Oslo is 4 C."


def test_pictures_that_the_model_made_cannot_be_replayed() -> None:
    request = hub(USER, assistant(ir.Text(text="here"), PNG), USER)
    assert refusing_modes(request) == {"strict", "balanced"}
    assert list(degraded(request)) == ["img"]


def test_cho_09_parallel_calls_of_the_history_are_split_for_those_who_refuse_them() -> None:
    second = replace(CALL, call_id="call_2")
    request = hub(
        USER,
        assistant(ir.Text(text="a"), CALL, second),
        user(RESULT, replace(RESULT, call_id="call_2"), ir.Text(text="b")),
    )
    out = body(request, replace(PLAIN, parallel_calls=False))["messages"]
    assert roles(out) == ["user", "assistant", "tool", "assistant", "tool", "user"]
    assert [len(m["tool_calls"]) for m in out if "tool_calls" in m] == [1, 1]
    assert out[-1]["content"] == "b"


def test_a_begun_answer_is_only_history() -> None:
    request = hub(USER, assistant(ir.Text(text="{")))
    assert refusing_modes(request) == {"strict", "balanced"}
    assert refusing_modes(replace(request, protocol="openai_responses")) == set()


def test_refusals_of_the_history() -> None:
    request = hub(USER, assistant(ir.Refusal(text="No.")), USER)
    assert body(request, OPENAI)["messages"][1] == {
        "role": "assistant",
        "content": None,
        "refusal": "No.",
    }
    assert body(request)["messages"][1] == {"role": "assistant", "content": "No."}


def test_names_of_participants_go_to_openai_alone() -> None:
    request = parse_messages({"role": "user", "content": "x", "name": "ann"})
    assert body(request, OPENAI)["messages"][0]["name"] == "ann"
    assert "name" not in body(request)["messages"][0]
    assert degraded(request) == {"messages[0].name": "the participant's name was dropped"}


def test_an_audio_reference_goes_nowhere_else() -> None:
    request = parse_messages(
        {"role": "user", "content": "q"},
        {"role": "assistant", "audio": {"id": "a"}},
        {"role": "user", "content": "q"},
    )
    assert body(request, OPENAI)["messages"][1]["audio"] == {"id": "a"}


# -------------------------------------------------------------------------------------- reasoning


def thinking(state: ir.OpaqueState | None = None, **fields: Any) -> ir.Request:
    """A history in which the model thought before it called."""
    return hub(
        USER,
        assistant(ir.Reasoning(text="hm", state=state, path="think"), CALL),
        user(RESULT),
        **fields,
    )


@pytest.mark.parametrize(
    ("echo", "expected"),
    [(Echo.FORBIDDEN, None), (Echo.ALLOWED, "hm"), (Echo.REQUIRED, "hm")],
)
def test_rsn_10_reasoning_goes_back_only_to_those_who_take_it(
    echo: Echo, expected: str | None
) -> None:
    turn = body(thinking(), replace(PLAIN, reasoning_echo=echo))["messages"][1]
    assert turn.get("reasoning_content") == expected
    assert (turn["content"] or "") == ""


def test_reasoning_goes_back_in_the_field_of_the_upstream() -> None:
    profile = replace(PLAIN, reasoning_echo=Echo.ALLOWED, reasoning_field="reasoning")
    assert body(thinking(), profile)["messages"][1]["reasoning"] == "hm"


def test_where_reasoning_is_required_its_absence_is_said_and_nothing_invented() -> None:
    profile = replace(PLAIN, reasoning_echo=Echo.REQUIRED)
    turn = body(hub(USER, assistant(CALL), user(RESULT)), profile)["messages"][1]
    assert turn["reasoning_content"] == ""


def test_dropped_reasoning_is_recorded_in_strict_mode() -> None:
    losses = Losses(Mode.STRICT)
    render(thinking(), PLAIN, losses=losses)
    assert [item.path for item in losses.degradations] == ["think"]


@pytest.mark.parametrize(
    ("provider", "model", "kept"),
    [("prov", "up-model", True), (None, None, True), ("other", "up-model", False)],
)
def test_reasoning_details_go_back_to_their_maker_alone(
    provider: str | None, model: str | None, kept: bool
) -> None:
    state = ir.OpaqueState(
        kind=ir.StateKind.CHAT_DETAILS, value='[{"a":1}]', provider=provider, model=model
    )
    turn = body(thinking(state), replace(PLAIN, reasoning_echo=Echo.ALLOWED))["messages"][1]
    assert turn.get("reasoning_details") == ([{"a": 1}] if kept else None)


@pytest.mark.parametrize(
    ("provider", "protocol", "kept"),
    [
        ("prov", "anthropic", True),
        ("other", "anthropic", False),
        (None, "openai_chat", True),
        (None, "gemini", False),
    ],
)
def test_thought_signatures_go_back_to_their_maker_alone(
    provider: str | None, protocol: str, kept: bool
) -> None:
    state = ir.OpaqueState(
        kind=ir.StateKind.GEMINI_SIGNATURE,
        value="SIG",
        provider=provider,
        model="up-model" if provider else None,
    )
    turn = body(thinking(state, protocol=protocol))["messages"][1]
    extra = turn["tool_calls"][0].get("extra_content")
    assert extra == ({"google": {"thought_signature": "SIG"}} if kept else None)


LEVELS = (ir.Level.LOW, ir.Level.MEDIUM, ir.Level.HIGH)


@pytest.mark.parametrize(
    ("control", "profile", "word", "modes"),
    [
        pytest.param({"level": ir.Level.MAX}, {}, "max", set(), id="every level"),
        pytest.param({"level": ir.Level.OFF}, {}, "none", set(), id="off"),
        pytest.param(
            {"level": ir.Level.MAX},
            {"reasoning_levels": LEVELS},
            "high",
            {"strict"},
            id="the next lower level",
        ),
        pytest.param(
            {"level": ir.Level.OFF},
            {"reasoning_levels": LEVELS},
            "low",
            {"strict"},
            id="off where thinking cannot be switched off",
        ),
        pytest.param(
            {"level": ir.Level.MEDIUM, "budget_tokens": 8192}, {}, "medium", {"strict"}, id="budget"
        ),
        pytest.param(
            {"level": ir.Level.HIGH},
            {"thinking_form": ThinkingForm.NONE},
            None,
            {"strict"},
            id="a model that does not think",
        ),
        pytest.param(
            {"level": ir.Level.OFF},
            {"thinking_form": ThinkingForm.NONE},
            None,
            set(),
            id="off for a model that does not think",
        ),
        pytest.param({}, {}, None, set(), id="automatic"),
    ],
)
def test_how_much_to_think(
    control: dict[str, Any], profile: dict[str, Any], word: str | None, modes: set[str]
) -> None:
    request = hub(reasoning=ir.ReasoningControl(**control))
    chosen = replace(PLAIN, **profile)
    assert body(request, chosen).get("reasoning_effort") == word
    assert refusing_modes(request, chosen) == modes
