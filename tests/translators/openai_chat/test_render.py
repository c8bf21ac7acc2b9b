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
    USER,
    assistant,
    body,
    degraded,
    hub,
    parse,
    parse_messages,
    render,
    user,
)
from translators import ir
from translators.base import Call
from translators.errors import ErrorKind, GatewayError
from translators.losses import Loss, Losses, Mode
from translators.openai_chat import TRANSLATOR
from translators.profile import Echo, MidSystem, ModelProfile, SamplingSupport, ThinkingForm

PLAIN = ModelProfile()
PNG = ir.Image(source=ir.Inline(media_type="image/png", data="iVBORw0KGgo="), path="img")
PDF = ir.Document(source=ir.Inline(media_type="application/pdf", data="JVBERi0="), path="doc")
RESULT = ir.ToolResult(call_id="call_1", content=(ir.Text(text="4 C"),), path="res")
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
OPEN_MAP = {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}
LOOSE = {"type": "object", "properties": {"a": {"type": "integer"}}}
F = ir.FunctionTool(name="f", schema=SCHEMA, path="tools[0]")
G = ir.FunctionTool(name="g", path="tools[1]")
SQL = ir.CustomTool(name="sql", description="Run SQL", path="tools[2]")


def system(*texts: str) -> ir.Message:
    """A system message."""
    return ir.Message(
        role=ir.Role.SYSTEM, parts=tuple(ir.Text(text=t) for t in texts), path="system"
    )


def refused(
    request: ir.Request, profile: ModelProfile = PLAIN, mode: Mode = Mode.MAX_COMPAT
) -> str | None:
    """The path at which rendering refuses a request."""
    with pytest.raises(GatewayError) as caught:
        render(request, profile, mode)
    assert caught.value.kind is ErrorKind.UNTRANSLATABLE
    return caught.value.path


def refusing_modes(request: ir.Request, profile: ModelProfile = PLAIN) -> set[str]:
    """The modes that refuse a request."""
    modes = set()
    for mode in Mode:
        try:
            render(request, profile, mode)
        except GatewayError:
            modes.add(mode.value)
    return modes


def roles(messages: list[dict[str, Any]]) -> list[str]:
    """The roles of messages."""
    return [message["role"] for message in messages]


def keys_with_null(value: Any, path: str = "") -> list[str]:
    """Paths of null values."""
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in keys_with_null(v, f"{path}.{k}")]
    if isinstance(value, list):
        return [p for v in value for p in keys_with_null(v, f"{path}[]")]
    return [path] if value is None else []


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


# ------------------------------------------------------------------------------------------ tools


def test_function_tools() -> None:
    out = body(hub(tools=(replace(F, description="d"), G)))["tools"]
    assert out == [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}},
        {"type": "function", "function": {"name": "g"}},
    ]


@pytest.mark.parametrize(
    ("schema", "strict", "profile", "sent", "modes"),
    [
        pytest.param(SCHEMA, True, PLAIN, True, set(), id="in the subset"),
        pytest.param(OPEN_MAP, True, PLAIN, None, {"strict"}, id="outside the subset"),
        pytest.param(SCHEMA, False, PLAIN, None, set(), id="not asked for"),
        pytest.param(
            SCHEMA, True, replace(PLAIN, strict_tools=False), None, {"strict"}, id="not enforced"
        ),
    ],
)
def test_strict_tools(
    schema: dict[str, Any], strict: bool, profile: ModelProfile, sent: Any, modes: set[str]
) -> None:
    request = hub(tools=(replace(F, schema=schema, strict=strict),))
    assert body(request, profile)["tools"][0]["function"].get("strict") is sent
    assert body(request, profile)["tools"][0]["function"]["parameters"] == schema
    assert refusing_modes(request, profile) == modes


def test_tool_10_keys_of_other_vendors_do_not_reach_the_wire() -> None:
    tool = replace(F, cache=ir.CacheMark(ttl="1h"), examples=({"a": 1},))
    request = hub(tools=(tool,))
    function = body(request)["tools"][0]
    assert set(function) == {"type", "function"}
    assert '{"a":1}' in function["function"]["description"]
    assert refusing_modes(request) == {"strict"}


def test_tool_11_names_are_made_legal_and_the_way_back_is_kept() -> None:
    tools = (replace(F, name="fs.read"), replace(G, name="fs_read"), replace(G, name="x" * 80))
    call = replace(CALL, name="fs.read")
    request = hub(
        USER,
        assistant(call),
        user(RESULT),
        tools=tools,
        tool_choice=ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=(ir.ToolRef("fs.read"),)),
    )
    rendered = render(request)
    names = [tool["function"]["name"] for tool in rendered.body["tools"]]
    assert len(set(names)) == 3
    assert all(len(name) <= 64 and "." not in name for name in names)
    assert rendered.body["messages"][1]["tool_calls"][0]["function"]["name"] == names[0]
    assert rendered.body["tool_choice"]["function"]["name"] == names[0]
    assert rendered.reading.tool(names[0]) == ir.ToolRef("fs.read")
    assert "tools" in {item.path for item in _strict_losses(request)}


def _strict_losses(request: ir.Request, profile: ModelProfile = PLAIN) -> Any:
    losses = Losses(Mode.STRICT)
    render(request, profile, losses=losses)
    return losses.degradations


def test_tool_17_namespaces_are_flattened() -> None:
    tool = replace(F, namespace="srv")
    call = replace(CALL, namespace="srv")
    rendered = render(hub(USER, assistant(call), user(RESULT), tools=(tool,)))
    assert rendered.body["tools"][0]["function"]["name"] == "srv__f"
    assert rendered.body["messages"][1]["tool_calls"][0]["function"]["name"] == "srv__f"
    assert rendered.reading.tool("srv__f") == ir.ToolRef("f", "srv")


CUSTOM_CALL = ir.ToolCall(
    call_id="call_1", name="sql", arguments='say "hi"', kind=ir.ToolKind.CUSTOM
)


def test_freeform_tools_where_they_are_known() -> None:
    tool = replace(SQL, grammar=ir.Grammar(syntax="regex", definition="a+"))
    choice = ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=(ir.ToolRef("sql"),))
    request = hub(USER, assistant(CUSTOM_CALL), user(RESULT), tools=(tool,), tool_choice=choice)
    rendered = render(request, OPENAI, Mode.STRICT)
    assert rendered.body["tools"][0] == {
        "type": "custom",
        "custom": {
            "name": "sql",
            "description": "Run SQL",
            "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}},
        },
    }
    assert rendered.body["tool_choice"] == {"type": "custom", "custom": {"name": "sql"}}
    call = rendered.body["messages"][1]["tool_calls"][0]
    assert call["custom"] == {"name": "sql", "input": 'say "hi"'}
    assert rendered.reading.custom == frozenset()


def test_freeform_tools_where_they_are_not_known() -> None:
    choice = ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=(ir.ToolRef("sql"),))
    request = hub(USER, assistant(CUSTOM_CALL), user(RESULT), tools=(SQL,), tool_choice=choice)
    rendered = render(request, mode=Mode.STRICT)
    assert rendered.reading.custom == {ir.ToolRef("sql")}
    assert rendered.body["tools"][0]["type"] == "function"
    assert rendered.body["tool_choice"] == {"type": "function", "function": {"name": "sql"}}
    call = rendered.body["messages"][1]["tool_calls"][0]["function"]
    assert json.loads(call["arguments"]) == {"input": 'say "hi"'}


def test_a_grammar_that_cannot_be_enforced() -> None:
    tool = replace(SQL, grammar=ir.Grammar(syntax="lark", definition="start: /a+/"))
    request = hub(tools=(tool,))
    assert refusing_modes(request) == {"strict", "balanced"}
    assert "start: /a+/" in body(request)["tools"][0]["function"]["description"]


CHOICE = ir.ChoiceMode
F_REF, G_REF = ir.ToolRef("f"), ir.ToolRef("g")


@pytest.mark.parametrize(
    ("mode", "allowed", "wire"),
    [
        pytest.param(CHOICE.AUTO, (), "auto", id="free"),
        pytest.param(CHOICE.VALIDATED, (), "auto", id="CHO-10 checked calls"),
        pytest.param(CHOICE.NONE, (), "none", id="CHO-02 none"),
        pytest.param(CHOICE.REQUIRED, (), "required", id="CHO-02 any"),
        pytest.param(
            CHOICE.REQUIRED,
            (F_REF,),
            {"type": "function", "function": {"name": "f"}},
            id="CHO-01 CHO-03 one",
        ),
        pytest.param(
            CHOICE.REQUIRED,
            (F_REF, G_REF),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "function", "function": {"name": "g"}},
                    ],
                },
            },
            id="CHO-04 some",
        ),
        pytest.param(
            CHOICE.AUTO,
            (F_REF,),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
            id="CHO-04 one, free",
        ),
    ],
)
def test_tool_choice(mode: ir.ChoiceMode, allowed: tuple[ir.ToolRef, ...], wire: Any) -> None:
    request = hub(tools=(F, G), tool_choice=ir.ToolChoice(mode=mode, allowed=allowed))
    assert body(request, OPENAI, mode=Mode.STRICT)["tool_choice"] == wire


def test_cho_04_others_get_the_allowed_tools_alone_and_those_the_history_calls() -> None:
    h = replace(G, name="h")
    request = hub(
        USER,
        assistant(CALL),
        user(RESULT),
        tools=(F, G, h),
        tool_choice=ir.ToolChoice(mode=CHOICE.REQUIRED, allowed=(G_REF, ir.ToolRef("x"))),
    )
    assert refused(request) == "tool_choice"
    fine = replace(request, tool_choice=ir.ToolChoice(mode=CHOICE.AUTO, allowed=(G_REF,)))
    out = body(fine)
    assert [tool["function"]["name"] for tool in out["tools"]] == ["f", "g"]
    assert out["tool_choice"] == "auto"


def test_cho_05_a_choice_without_tools_is_dropped_unless_it_forces() -> None:
    assert "tool_choice" not in body(hub(tool_choice=ir.ToolChoice(mode=CHOICE.AUTO)))
    assert "tool_choice" not in body(hub(tool_choice=ir.ToolChoice(mode=CHOICE.NONE)))
    assert refused(hub(tool_choice=ir.ToolChoice(mode=CHOICE.REQUIRED))) == "tool_choice"


def test_a_model_that_cannot_be_forced() -> None:
    request = hub(tools=(F,), tool_choice=ir.ToolChoice(mode=CHOICE.REQUIRED))
    profile = replace(PLAIN, forced_tool_choice=False)
    assert body(request, profile)["tool_choice"] == "auto"
    assert refusing_modes(request, profile) == {"strict", "balanced"}


def test_one_call_at_a_time() -> None:
    request = hub(tools=(F,), parallel_tool_calls=False)
    assert render(request).body["parallel_tool_calls"] is False
    assert render(request).reading.single_call is False
    without = render(request, replace(PLAIN, parallel_calls=False))
    assert "parallel_tool_calls" not in without.body
    assert without.reading.single_call is True
    assert "parallel_tool_calls" not in body(hub(parallel_tool_calls=False)), "only beside tools"


SEARCH = ir.HostedTool(
    kind=ir.HostedKind.WEB_SEARCH,
    protocol="anthropic",
    wire={},
    search=ir.SearchOptions(user_location={"type": "approximate", "city": "Oslo"}),
    path="tools[0]",
)


def test_web_search_where_the_provider_runs_it() -> None:
    profile = replace(PLAIN, hosted_tools=frozenset({ir.HostedKind.WEB_SEARCH}))
    out = body(hub(tools=(SEARCH,)), profile)
    assert out["web_search_options"] == {
        "user_location": {"type": "approximate", "approximate": {"city": "Oslo"}}
    }
    assert "tools" not in out
    assert refusing_modes(hub(tools=(SEARCH,)), profile) == {"strict"}
    limited = replace(SEARCH, search=ir.SearchOptions(allowed_domains=("a.org",)))
    assert refusing_modes(hub(tools=(limited,)), profile) == {"strict", "balanced"}


@pytest.mark.parametrize(
    ("kind", "modes"),
    [
        (ir.HostedKind.WEB_SEARCH, {"strict", "balanced"}),
        (ir.HostedKind.MCP, {"strict", "balanced"}),
        (ir.HostedKind.TOOL_SEARCH, set()),
        (ir.HostedKind.FILE_SEARCH, {"strict", "balanced", "max_compat"}),
        (ir.HostedKind.CLIENT_TOOLSET, {"strict", "balanced", "max_compat"}),
    ],
)
def test_tools_that_the_provider_does_not_run(kind: ir.HostedKind, modes: set[str]) -> None:
    assert refusing_modes(hub(tools=(replace(SEARCH, kind=kind),))) == modes


# ---------------------------------------------------------------------------------- output format


def output(**fields: Any) -> ir.Request:
    """A request for an output format."""
    return hub(output=ir.OutputFormat(**fields))


def test_out_01_a_schema_nests_and_has_a_name() -> None:
    request = output(kind=ir.OutputKind.JSON_SCHEMA, schema=SCHEMA)
    assert body(request, mode=Mode.STRICT)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": SCHEMA, "strict": True},
    }


def test_out_03_a_schema_outside_the_subset_is_not_changed() -> None:
    request = output(kind=ir.OutputKind.JSON_SCHEMA, schema=LOOSE, name="n", description="d")
    assert body(request)["response_format"]["json_schema"] == {
        "name": "n",
        "description": "d",
        "schema": LOOSE,
        "strict": False,
    }
    assert refusing_modes(request) == {"strict"}
    said = replace(request, output=replace(request.output, strict=False))
    assert refusing_modes(said) == set(), "the client itself asked for no more"


def test_a_root_that_is_no_object_is_wrapped() -> None:
    request = output(kind=ir.OutputKind.JSON_SCHEMA, schema={"type": "array", "items": SCHEMA})
    rendered = render(request)
    shape = rendered.body["response_format"]["json_schema"]["schema"]
    assert shape["properties"]["value"]["type"] == "array"
    assert rendered.reading.wrapped is True


def test_out_07_without_schema_support_the_schema_goes_into_the_prompt() -> None:
    request = output(kind=ir.OutputKind.JSON_SCHEMA, schema=SCHEMA)
    profile = replace(PLAIN, json_schema=False)
    out = body(request, profile)
    assert out["response_format"] == {"type": "json_object"}
    assert out["messages"][0]["role"] == "system"
    assert '"additionalProperties":false' in out["messages"][0]["content"]
    assert refusing_modes(request, profile) == {"strict", "balanced"}
    neither = render(request, replace(profile, json_object=False))
    assert "response_format" not in neither.body
    assert neither.reading.json_object is True


def test_any_json_mentions_json_because_the_protocol_demands_it() -> None:
    request = output(kind=ir.OutputKind.JSON_OBJECT)
    out = body(request)
    assert out["response_format"] == {"type": "json_object"}
    assert "JSON" in out["messages"][0]["content"]
    said = replace(request, messages=(user(ir.Text(text="as json please")),))
    assert roles(body(said)["messages"]) == ["user"]


def test_any_json_without_support_is_asked_for_in_words_and_checked() -> None:
    request = output(kind=ir.OutputKind.JSON_OBJECT)
    profile = replace(PLAIN, json_object=False)
    rendered = render(request, profile)
    assert "response_format" not in rendered.body
    assert rendered.reading.json_object is True
    assert refusing_modes(request, profile) == {"strict"}


# ------------------------------------------------------------------------------- limits, sampling


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_par_01_the_limit_goes_in_the_field_of_the_upstream(field: str) -> None:
    out = body(hub(max_output_tokens=5), replace(PLAIN, max_tokens_field=field))
    assert {key: out[key] for key in out if "max" in key} == {field: 5}


def test_par_04_the_limit_is_only_lowered() -> None:
    profile = replace(PLAIN, max_output_tokens=100)
    assert body(hub(max_output_tokens=500), profile)["max_completion_tokens"] == 100
    assert body(hub(max_output_tokens=50), profile)["max_completion_tokens"] == 50
    assert refusing_modes(hub(max_output_tokens=500), profile) == {"strict"}


@pytest.mark.parametrize(
    ("limit", "sent", "cut"),
    [(None, ["1", "2", "3", "4"], ("5",)), (2, ["1", "2"], ("3", "4", "5")), (0, None, tuple("12345"))],
)  # fmt: skip
def test_par_06_stop_sequences_beyond_the_limit_are_the_gateways(
    limit: int | None, sent: list[str] | None, cut: tuple[str, ...]
) -> None:
    request = hub(stop=tuple("12345"))
    profile = replace(PLAIN, stop_limit=limit)
    rendered = render(request, profile)
    assert rendered.body.get("stop") == sent
    assert rendered.reading.cut_at == cut
    assert refusing_modes(request, profile) == {"strict"}
    assert degraded(request, profile) == {}, "lossless"


def test_sampling_where_all_of_it_is_taken() -> None:
    sampling = ir.Sampling(
        temperature=0.5, top_p=0.9, seed=7, frequency_penalty=1, presence_penalty=-1
    )
    out = body(hub(sampling=sampling), mode=Mode.STRICT)
    assert {k: out[k] for k in out if k not in ("model", "messages")} == {
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "frequency_penalty": 1,
        "presence_penalty": -1,
    }


@pytest.mark.parametrize("support", [SamplingSupport.DEFAULT_ONLY, SamplingSupport.NONE])
def test_par_11_sampling_where_it_is_not_taken(support: SamplingSupport) -> None:
    profile = replace(PLAIN, sampling=support)
    request = hub(sampling=ir.Sampling(temperature=0.5, top_p=1))
    assert not {"temperature", "top_p"} & set(body(request, profile))
    assert list(degraded(request, profile)) == ["temperature"]
    assert refusing_modes(request, profile) == {"strict"}
    assert refusing_modes(hub(sampling=ir.Sampling(temperature=1)), profile) == set()


def test_par_08_a_temperature_above_the_models_range_is_lowered() -> None:
    request = parse(temperature=1.5)
    profile = replace(PLAIN, max_temperature=1.0)
    assert body(request, profile)["temperature"] == 1.0
    assert list(degraded(request, profile)) == ["temperature"]


def test_par_09_top_k_is_dropped_with_a_record() -> None:
    request = hub(sampling=ir.Sampling(top_k=5))
    assert "top_k" not in body(request)
    assert list(degraded(request)) == ["top_k"]


def test_par_10_several_choices() -> None:
    for stream in (False, True):
        request = hub(candidates=3, stream=stream)
        assert body(request)["n"] == 3
        assert refusing_modes(request) == set()


def test_log_probabilities() -> None:
    assert body(hub(logprobs=0))["logprobs"] is True
    assert "top_logprobs" not in body(hub(logprobs=0))
    assert body(hub(logprobs=3))["top_logprobs"] == 3


def test_usage_is_always_asked_for_in_a_stream() -> None:
    out = body(parse(stream=True))
    assert out["stream"] is True
    assert out["stream_options"] == {"include_usage": True}
    assert "stream" not in body(parse())


EXTRAS = {
    "verbosity": "low",
    "end_user": "u",
    "metadata": {"a": "b"},
    "service_tier": "flex",
    "store": True,
    "cache_key": "k",
}


def test_prv_17_strict_servers_get_no_optional_field() -> None:
    out = body(hub(**EXTRAS, cache_prefix=ir.CacheMark(ttl="1h")))
    assert set(out) == {"model", "messages"}
    assert set(degraded(hub(**EXTRAS))) == {"verbosity"}, "the rest is telemetry"


def test_openai_gets_its_own_fields() -> None:
    request = parse(
        verbosity="low",
        safety_identifier="u",
        metadata={"a": "b"},
        service_tier="flex",
        store=True,
        prompt_cache_key="k",
    )
    out = body(request, OPENAI, mode=Mode.STRICT)
    assert {k: out[k] for k in out if k not in ("model", "messages")} == {
        "verbosity": "low",
        "safety_identifier": "u",
        "service_tier": "flex",
        "store": True,
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
    }


def test_metadata_goes_with_stored_answers_only() -> None:
    request = hub(metadata={"a": "b"}, store=True)
    out = body(request, OPENAI)
    assert "metadata" not in out
    assert "store" not in out


def test_par_12_a_long_end_user_is_hashed() -> None:
    out = body(hub(end_user="user_" + "x" * 200), OPENAI)
    again = body(hub(end_user="user_" + "x" * 200), OPENAI)
    assert len(out["safety_identifier"]) == 64
    assert out == again


def test_what_only_the_clients_protocol_has_is_refused_or_recorded() -> None:
    lost = ir.Unshared(path="container", loss=Loss.MEANING)
    request = hub(unshared=(lost,))
    assert refusing_modes(request) == {"strict", "balanced"}
    assert list(degraded(request)) == ["container"]


# ----------------------------------------------------------------------------------- cache, media


def test_cac_01_cache_marks_are_stripped_by_default() -> None:
    mark = ir.CacheMark(ttl="1h")
    request = hub(
        system("S"),
        user(ir.Text(text="a", cache=mark, path="m")),
        assistant(CALL),
        user(replace(RESULT, cache=mark)),
        tools=(replace(F, cache=mark),),
    )
    assert "cache" not in json.dumps(body(request))
    assert {item.path for item in _strict_losses(request)} == {"m", "res", "tools[0]"}


def test_cac_02_the_last_marks_go_out_as_breakpoints() -> None:
    marked = [ir.Text(text=str(i), cache=ir.CacheMark(ttl="5m")) for i in range(5)]
    out = body(hub(user(*marked)), OPENAI)["messages"][0]["content"]
    assert [part.get("prompt_cache_breakpoint") for part in out] == [
        None,
        None,
        *[{"mode": "explicit", "ttl": "30m"}] * 3,
    ]


def test_marks_in_system_text_keep_it_in_parts() -> None:
    message = ir.Message(
        role=ir.Role.SYSTEM, parts=(ir.Text(text="S", cache=ir.CacheMark()),), path="system"
    )
    out = body(hub(message, USER), OPENAI)["messages"][0]
    breakpoint_ = {"mode": "explicit"}
    assert out == {
        "role": "developer",
        "content": [{"type": "text", "text": "S", "prompt_cache_breakpoint": breakpoint_}],
    }


def media(part: ir.Part, profile: ModelProfile = PLAIN) -> Any:
    """The wire parts of a user message with one part behind a text."""
    return body(hub(user(ir.Text(text="see"), part)), profile)["messages"][0]["content"]


@pytest.mark.parametrize(
    ("part", "profile", "wire"),
    [
        pytest.param(
            PNG,
            PLAIN,
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            id="a picture",
        ),
        pytest.param(
            ir.Image(source=ir.Url(url="https://a/b.png"), detail="low"),
            PLAIN,
            {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
            id="a picture by URL",
        ),
        pytest.param(
            replace(PNG, detail="original"),
            PLAIN,
            {
                "type": "image_url",
                "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "high"},
            },
            id="MED-11 a detail that others do not know",
        ),
        pytest.param(
            replace(PDF, title="a.pdf"),
            PLAIN,
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
            },
            id="MED-06 a PDF",
        ),
        pytest.param(
            ir.Document(source=ir.PlainText(text="body"), title="Note"),
            PLAIN,
            {"type": "text", "text": "# Note\n\nbody"},
            id="MED-07 a text document",
        ),
        pytest.param(
            ir.Document(source=ir.FileId(file_id="file-1", protocol="openai_responses")),
            OPENAI,
            {"type": "file", "file": {"file_id": "file-1"}},
            id="a stored file at OpenAI",
        ),
        pytest.param(
            ir.Audio(source=ir.Inline(media_type="audio/mp3", data="UklGRg==")),
            replace(PLAIN, audio=True),
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
            id="sound",
        ),
        pytest.param(
            ir.Video(source=ir.Url(url="https://a/b.mp4")),
            replace(PLAIN, video=True),
            {"type": "video_url", "video_url": {"url": "https://a/b.mp4"}},
            id="a video",
        ),
    ],
)
def test_media(part: ir.Part, profile: ModelProfile, wire: dict[str, Any]) -> None:
    assert media(part, profile) == [{"type": "text", "text": "see"}, wire]


ALL = {"strict", "balanced", "max_compat"}


@pytest.mark.parametrize(
    ("part", "profile", "modes"),
    [
        pytest.param(
            PNG, replace(PLAIN, image_types=frozenset()), {"strict", "balanced"}, id="a text model"
        ),
        pytest.param(
            replace(PNG, source=ir.Inline(media_type="image/heic", data="AAAA")),
            PLAIN,
            ALL,
            id="a picture of another type",
        ),
        pytest.param(
            replace(PNG, source=ir.Url(url="https://a")),
            replace(PLAIN, image_urls=False),
            ALL,
            id="a provider that fetches nothing",
        ),
        pytest.param(
            replace(PNG, source=ir.FileId(file_id="f", protocol="anthropic")),
            OPENAI,
            ALL,
            id="MED-04 a stored picture",
        ),
        pytest.param(
            replace(PDF, source=ir.FileId(file_id="f", protocol="anthropic")),
            OPENAI,
            ALL,
            id="a stored file of another vendor",
        ),
        pytest.param(replace(PDF, source=ir.Url(url="https://a")), PLAIN, ALL, id="a file by URL"),
        pytest.param(
            PDF, replace(PLAIN, documents=False), {"strict", "balanced"}, id="no documents"
        ),
        pytest.param(replace(PDF, cite=True), PLAIN, {"strict", "balanced"}, id="citations"),
        pytest.param(
            ir.Audio(source=ir.Inline(media_type="audio/wav", data="AAAA")),
            PLAIN,
            {"strict", "balanced"},
            id="no sound",
        ),
        pytest.param(
            ir.Audio(source=ir.Inline(media_type="audio/flac", data="AAAA")),
            replace(PLAIN, audio=True),
            ALL,
            id="sound of another type",
        ),
        pytest.param(ir.Video(source=ir.Url(url="https://a")), PLAIN, ALL, id="no video"),
    ],
)
def test_media_that_the_upstream_does_not_take(
    part: ir.Part, profile: ModelProfile, modes: set[str]
) -> None:
    assert refusing_modes(hub(user(ir.Text(text="see"), part)), profile) == modes
