"""Requests for an upstream of this protocol."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from openai._models import validate_type
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

from tests.translators.openai_responses.support import (
    CAPTURES,
    EXAMPLES,
    assistant,
    hub_request,
    parse,
    render,
    system,
    user,
)
from translators import ir
from translators.base import Rendered, Target
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses, Mode
from translators.openai_responses import TRANSLATOR
from translators.profile import MidSystem, ModelProfile, SamplingSupport, ThinkingForm

F = ir.FunctionTool(name="f", schema={"type": "object"}, path="tools[0]")
G = ir.FunctionTool(name="g", path="tools[1]")
SQL = ir.CustomTool(name="run", description="Run.", path="tools[2]")
OWN = ir.OpaqueState(kind=ir.StateKind.RESPONSES_ENCRYPTED, value="gAAA", provider="p", model="up")
STRANGE = ir.OpaqueState(kind=ir.StateKind.ANTHROPIC_SIGNATURE, value="s", provider="p", model="up")


def call(call_id: str = "c1", name: str = "f", **fields: Any) -> ir.ToolCall:
    """A call with a path."""
    return ir.ToolCall(
        call_id=call_id, name=name, path="messages[1]", **{"arguments": "{}", **fields}
    )


def result(call_id: str = "c1", *content: Any, **fields: Any) -> ir.ToolResult:
    """A result of text parts."""
    texts = tuple(ir.Text(text=c) if isinstance(c, str) else c for c in content)
    return ir.ToolResult(call_id=call_id, content=texts, path="messages[2]", **fields)


def rendered(request: ir.Request, losses: Losses | None = None, **profile: Any) -> Rendered:
    """Body and reading."""
    target = Target(provider="p", model="up", profile=ModelProfile(**profile))
    return TRANSLATOR.render_request(request, target, losses or Losses())


def reasons(request: ir.Request, mode: Mode = Mode.MAX_COMPAT, **profile: Any) -> list[str]:
    """Paths of what was given up."""
    losses = Losses(mode)
    render(request, losses=losses, **profile)
    return [degradation.path for degradation in losses.degradations]


def refusal(request: ir.Request, mode: Mode = Mode.STRICT, **profile: Any) -> GatewayError:
    """The refusal in a mode."""
    with pytest.raises(GatewayError) as caught:
        render(request, mode, **profile)
    return caught.value


def items_of(*messages: ir.Message, **profile: Any) -> list[dict[str, Any]]:
    """The input items of a conversation."""
    items: list[dict[str, Any]] = render(hub_request(*messages), **profile)["input"]
    return items


# ------------------------------------------------------------------------------------ whole bodies


@pytest.mark.parametrize("name", list(CAPTURES))
@pytest.mark.parametrize("custom_tools", [True, False])
def test_real_requests_stay_valid_requests(name: str, custom_tools: bool) -> None:
    for body in CAPTURES[name]:
        before = copy.deepcopy(body)
        request = parse(body)
        written = render(request, custom_tools=custom_tools, cache_marks=True)
        assert body == before
        assert written == render(request, custom_tools=custom_tools, cache_marks=True)
        assert written["store"] is False
        assert "reasoning.encrypted_content" in written["include"]
        functions = [t for t in written.get("tools", []) if t["type"] == "function"]
        assert all(tool["strict"] is False for tool in functions)
        _validate(written)
        _check_pairs(written["input"])
        assert not any("id" in item for item in written["input"])


def _validate(body: dict[str, Any]) -> None:
    """Against the SDK's own request type; `stream` is what tells its two forms apart.

    That type wants an id on reasoning items, which the server does not: without storage an id says nothing.
    """
    plain = {key: value for key, value in body.items() if key != "stream"}
    plain["input"] = [
        {"id": "rs_1", **item} if item["type"] == "reasoning" else item for item in body["input"]
    ]
    validate_type(type_=ResponseCreateParamsNonStreaming, value=plain)


def _check_pairs(items: list[dict[str, Any]]) -> None:
    calls = [
        item["call_id"] for item in items if item["type"] in ("function_call", "custom_tool_call")
    ]
    outputs = [item["call_id"] for item in items if item["type"].endswith("_call_output")]
    assert sorted(calls) == sorted(outputs)
    assert len(set(calls)) == len(calls)


def test_cac_09_a_longer_history_keeps_the_items_before_it() -> None:
    first, second = CAPTURES["codex-0.169.0-reasoning-tool"]
    shorter, longer = render(parse(first)), render(parse(second))
    assert longer["input"][: len(shorter["input"])] == shorter["input"]
    assert longer["tools"] == shorter["tools"]


def test_the_conversation_of_the_reference() -> None:
    example = EXAMPLES["request"][1]
    schema = example["tools"][0]["parameters"]
    request = ir.Request(
        protocol="anthropic",
        model="m",
        messages=(
            system("Be brief."),
            user("Weather in Oslo and Rome?"),
            assistant(
                ir.Reasoning(text="Two calls.", state=OWN),
                "Checking.",
                call("call_a1", "get_weather", arguments='{"city":"Oslo"}'),
                call("call_b2", "get_weather", arguments='{"city":"Rome"}'),
            ),
            user(result("call_a1", "4 C"), result("call_b2", "timeout", is_error=True)),
        ),
        tools=(ir.FunctionTool(name="get_weather", schema=schema, strict=True),),
        tool_choice=ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED),
        reasoning=ir.ReasoningControl(level=ir.Level.HIGH, summary=True),
        max_output_tokens=4096,
        stream=True,
    )
    body = render(request)
    assert body.pop("include") == ["reasoning.encrypted_content"]
    wanted = copy.deepcopy(example)
    wanted["model"] = "up"
    thought = next(item for item in wanted["input"] if item["type"] == "reasoning")
    thought["encrypted_content"] = "gAAA"
    del thought["id"]
    assert body == wanted


# ------------------------------------------------------------------------------------ system text


def test_leading_system_text_is_one_instruction() -> None:
    body = render(hub_request(system("A", "B"), system("C"), user("hi")))
    assert body["instructions"] == "A\n\nB\n\nC"
    assert len(body["input"]) == 1


def test_cache_marks_on_system_text_need_developer_items() -> None:
    marked = ir.Text(text="S", cache=ir.CacheMark(ttl="1h"))
    body = render(hub_request(system(marked), user("hi")), cache_marks=True)
    assert "instructions" not in body
    assert body["input"][0] == {
        "type": "message",
        "role": "developer",
        "content": [
            {"type": "input_text", "text": "S", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}
        ],
    }  # fmt: skip
    assert render(hub_request(system(marked), user("hi")))["instructions"] == "S"


def test_system_text_alone_is_an_item() -> None:
    body = render(hub_request(system("S")))
    assert [item["role"] for item in body["input"]] == ["developer"]


@pytest.mark.parametrize(
    ("how", "roles"),
    [
        (MidSystem.KEEP, ["user", "assistant", "developer", "user"]),
        (MidSystem.USER, ["user", "assistant", "user", "user"]),
        (MidSystem.HOIST, ["user", "assistant", "user"]),
    ],
)
def test_sys_02_a_late_system_message(how: MidSystem, roles: list[str]) -> None:
    items = items_of(system("S"), user("a"), assistant("b"), system("L"), user("c"), mid_system=how)
    assert [item["role"] for item in items] == roles


# ------------------------------------------------------------------------------------------ items


def test_sys_11_no_empty_message_before_a_call() -> None:
    items = items_of(user("hi"), assistant("", call()), user(result("c1", "ok")))
    assert [item["type"] for item in items] == ["message", "function_call", "function_call_output"]


@pytest.mark.parametrize("arguments", ["", "  "])
def test_res_16_empty_arguments_become_an_object(arguments: str) -> None:
    items = items_of(user("hi"), assistant(call(arguments=arguments)), user(result()))
    assert items[1]["arguments"] == "{}"
    assert items[2]["output"] == ""


def test_res_03_results_with_images_are_parts() -> None:
    image = ir.Image(source=ir.Inline(media_type="image/png", data="iVBORw0KGgo="))
    messages = (user("hi"), assistant(call()), user(result("c1", "chart:", image)))
    assert items_of(*messages)[2]["output"] == [
        {"type": "input_text", "text": "chart:"},
        {
            "type": "input_image",
            "image_url": "data:image/png;base64,iVBORw0KGgo=",
            "detail": "auto",
        },
    ]
    below = items_of(*messages, tool_result_media=False)
    assert below[2]["output"][1] == {"type": "input_text", "text": "[image attached below]"}
    assert below[3]["role"] == "user"
    assert below[3]["content"][0]["type"] == "input_image"
    assert refusal(hub_request(*messages), tool_result_media=False).kind is ErrorKind.UNTRANSLATABLE


def test_an_error_flag_is_said_in_the_text() -> None:
    items = items_of(user("hi"), assistant(call()), user(result("c1", "boom", is_error=True)))
    assert items[2]["output"] == "Error: boom"


def test_id_06_long_call_ids_are_shortened_alike_on_both_sides() -> None:
    items = items_of(user("hi"), assistant(call("x" * 70)), user(result("x" * 70, "ok")))
    assert items[1]["call_id"] == items[2]["call_id"]
    assert len(items[1]["call_id"]) <= 64


def test_id_12_a_reused_call_id_is_renamed_with_its_result() -> None:
    items = items_of(
        user("a"),
        assistant(call()),
        user(result("c1", "1")),
        assistant(call()),
        user(result("c1", "2")),
    )
    outputs = {item["call_id"]: item["output"] for item in items if "output" in item}
    assert sorted(outputs.values()) == ["1", "2"]
    _check_pairs(items)


def test_res_08_a_call_without_result_is_answered_or_refused() -> None:
    request = hub_request(user("hi"), assistant(call()), user("go on"))
    _check_pairs(render(request)["input"])
    assert refusal(request, Mode.BALANCED).path == "messages[1]"


def test_freeform_tools_native_and_emulated() -> None:
    request = hub_request(
        user("hi"),
        assistant(call("c1", "run", kind=ir.ToolKind.CUSTOM, arguments="select 1")),
        user(result("c1", "1")),
        tools=(SQL,),
        tool_choice=ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=(SQL.ref,)),
    )
    native = rendered(request, custom_tools=True)
    assert native.body["tools"] == [
        {"type": "custom", "name": "run", "description": "Run.", "format": {"type": "text"}}
    ]
    assert native.body["tool_choice"] == {"type": "custom", "name": "run"}
    assert [item["type"] for item in native.body["input"][1:]] == [
        "custom_tool_call",
        "custom_tool_call_output",
    ]
    assert native.reading.custom == frozenset()
    emulated = rendered(request)
    assert emulated.body["tools"][0]["type"] == "function"
    assert emulated.body["tool_choice"] == {"type": "function", "name": "run"}
    assert emulated.body["input"][1]["arguments"] == '{"input":"select 1"}'
    assert emulated.body["input"][2]["type"] == "function_call_output"
    assert emulated.reading.custom == frozenset({SQL.ref})


def test_a_grammar_is_kept_or_put_into_words() -> None:
    lark = ir.CustomTool(
        name="calc", grammar=ir.Grammar(syntax="lark", definition="start: /x/"), path="t"
    )
    request = hub_request(user("hi"), tools=(lark,))
    [tool] = render(request, custom_tools=True)["tools"]
    assert tool["format"] == {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
    assert "start: /x/" in render(request)["tools"][0]["description"]
    assert refusal(request, Mode.BALANCED).path == "t"


def test_tool_17_namespaces_are_flattened_and_come_back() -> None:
    tool = ir.FunctionTool(name="read", namespace="fs")
    request = hub_request(
        user("hi"),
        assistant(call("c1", "read", namespace="fs")),
        user(result("c1", "x")),
        tools=(tool,),
    )
    out = rendered(request)
    assert out.body["tools"][0]["name"] == out.body["input"][1]["name"] == "fs__read"
    assert out.reading.tool("fs__read") == ir.ToolRef("read", "fs")


def test_tool_11_illegal_names_are_renamed_everywhere() -> None:
    tool = ir.FunctionTool(name="fs.read", path="tools[0]")
    request = hub_request(
        user("hi"),
        assistant(call("c1", "fs.read")),
        user(result("c1", "x")),
        tools=(tool,),
        tool_choice=ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=(tool.ref,)),
    )
    body = render(request)
    assert body["tools"][0]["name"] == "fs_read"
    assert body["tool_choice"]["name"] == "fs_read"
    assert body["input"][1]["name"] == "fs_read"
    assert reasons(request, Mode.STRICT) == ["tools"], "nothing is lost: noted, not refused"
    assert not reasons(request)


def test_phase_and_refusals_stay() -> None:
    said = ir.Message(role=ir.Role.ASSISTANT, parts=(ir.Text(text="x", phase="commentary"),))
    no = assistant(ir.Refusal(text="No."))
    items = items_of(user("a"), said, user("b"), no, user("c"))
    assert items[1] == {
        "type": "message",
        "role": "assistant",
        "content": "x",
        "phase": "commentary",
    }
    assert items[3]["content"] == [{"type": "refusal", "refusal": "No."}]


def test_each_text_is_an_item_but_pieces_of_one_sentence_stay_together() -> None:
    cited = ir.Text(text="is cold.", citations=(ir.UrlCitation(url="https://example.com"),))
    texts = (ir.Text(text="a"), ir.Text(text="Oslo "), cited, ir.Refusal(text="No."))
    items = items_of(user("a"), ir.Message(role=ir.Role.ASSISTANT, parts=texts), user("c"))
    refused = [{"type": "refusal", "refusal": "No."}]
    assert [item["content"] for item in items[1:-1]] == ["a", "Oslo is cold.", refused]


def test_a_prefill_is_sent_as_history() -> None:
    request = hub_request(user("hi"), assistant("{"))
    assert render(request)["input"][-1]["content"] == "{"
    assert refusal(request, Mode.BALANCED).kind is ErrorKind.UNTRANSLATABLE
    render(hub_request(user("hi"), assistant("{"), protocol="openai_chat"), Mode.STRICT)


def test_a_participants_name_is_a_hint() -> None:
    named = ir.Message(
        role=ir.Role.USER, parts=(ir.Text(text="hi"),), name="bob", path="messages[0]"
    )
    assert reasons(hub_request(named)) == ["messages[0]"]


def test_own_items_go_back_as_they_came() -> None:
    items = [
        {"role": "user", "content": "hi"},
        *(
            i
            for i in EXAMPLES["input_item"][0]
            if i.get("type") in ("web_search_call", "mcp_call", "program")
        ),
        {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True},
    ]
    assert render(parse({"input": items}), Mode.STRICT)["input"][1:] == items[1:]


# -------------------------------------------------------------------------------------- reasoning


def _thinking(state: ir.OpaqueState | None, *after: ir.Part | str) -> ir.Request:
    thought = ir.Reasoning(text="t", state=state, path="messages[1].content[0]", item_id="rs_1")
    return hub_request(user("hi"), assistant(thought, *after), user("next"))


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        pytest.param(OWN, True, id="of this provider and model"),
        pytest.param(ir.OpaqueState(kind=OWN.kind, value="gAAA"), True, id="of unknown origin"),
        pytest.param(ir.OpaqueState(kind=OWN.kind, value="gAAA", provider="other", model="up"), False, id="another provider"),
        pytest.param(ir.OpaqueState(kind=OWN.kind, value="gAAA", provider="p", model="x"), False, id="another model"),
        pytest.param(STRANGE, False, id="another vendor"),
        pytest.param(None, False, id="none"),
    ],
)  # fmt: skip
def test_rsn_05_only_understood_reasoning_is_replayed(
    state: ir.OpaqueState | None, kept: bool
) -> None:
    items = render(_thinking(state, "answer"))["input"]
    thoughts = [item for item in items if item["type"] == "reasoning"]
    assert bool(thoughts) is kept
    if kept:
        assert thoughts == [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": "gAAA"}
        ]  # fmt: skip
        assert items.index(thoughts[0]) == 1
    elif state is not None:
        assert reasons(_thinking(state, "answer")) == ["messages[1].content[0]"]


def test_rsn_08_reasoning_without_what_it_led_to_is_left_out() -> None:
    items = render(_thinking(OWN))["input"]
    assert [item["type"] for item in items] == ["message", "message"]


def test_foreign_reasoning_inside_a_tool_loop_is_refused_in_strict_mode() -> None:
    thought = ir.Reasoning(state=STRANGE, path="x")
    loop = hub_request(user("hi"), assistant(thought, call()), user(result("c1", "ok")))
    assert refusal(loop).path == "x"
    render(loop, Mode.BALANCED)
    over = hub_request(
        user("hi"),
        assistant(thought, call()),
        user(result("c1", "ok")),
        assistant("done"),
        user("more"),
    )
    render(over, Mode.STRICT)


# ------------------------------------------------------------------------------------------ media


def test_med_08_documents() -> None:
    pdf = ir.Document(
        source=ir.Inline(media_type="application/pdf", data="JVBERi0="), title="a.pdf"
    )
    text = ir.Document(source=ir.PlainText(text="body"), title="Notes", context="About")
    url = ir.Document(source=ir.Url(url="https://e.com/a.pdf"))
    [item] = items_of(user(pdf, text, url))
    assert item["content"] == [
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,JVBERi0=",
        },
        {"type": "input_text", "text": "About"},
        {"type": "input_text", "text": "# Notes\nbody"},
        {"type": "input_file", "file_url": "https://e.com/a.pdf"},
    ]


@pytest.mark.parametrize(
    ("part", "modes"),
    [
        pytest.param(ir.Audio(source=ir.Inline(media_type="audio/wav", data="AAAA"), path="x"), (Mode.STRICT, Mode.BALANCED), id="audio"),
        pytest.param(ir.Video(source=ir.Url(url="https://e.com"), path="x"), tuple(Mode), id="video"),
        pytest.param(ir.Image(source=ir.FileId(file_id="f", protocol="anthropic"), path="x"), tuple(Mode), id="a stranger's file"),
        pytest.param(ir.Image(source=ir.Url(url="gs://b/o"), path="x"), tuple(Mode), id="a bucket"),
        pytest.param(ir.Image(source=ir.Inline(media_type="image/heic", data="AAAA"), path="x"), tuple(Mode), id="an image type"),
        pytest.param(ir.Document(source=ir.PlainText(text="t"), cite=True, path="x"), (Mode.STRICT, Mode.BALANCED), id="citations"),
    ],
)  # fmt: skip
def test_media_that_cannot_be_said(part: ir.Part, modes: tuple[Mode, ...]) -> None:
    request = hub_request(user("look", part))
    for mode in Mode:
        if mode in modes:
            assert refusal(request, mode).path == "x"
        else:
            assert reasons(request, mode) == ["x"]


def test_a_text_only_model() -> None:
    request = hub_request(
        user("look", ir.Image(source=ir.Url(url="https://e.com/a.png"), path="x"))
    )
    body = render(request, image_types=frozenset())
    assert body["input"][0]["content"][1] == {"type": "input_text", "text": "[image omitted]"}
    assert refusal(request, Mode.BALANCED, image_types=frozenset()).path == "x"


# ------------------------------------------------------------------------------------------ tools


@pytest.mark.parametrize(
    ("strict", "schema", "written"),
    [
        (None, {"type": "object"}, False),
        (False, {"type": "object"}, False),
        (
            True,
            {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
            True,
        ),
        (True, {"type": "object", "properties": {"a": {"type": "string"}}}, True),
        (True, {"type": "object", "additionalProperties": {"type": "string"}}, False),
    ],
)
def test_tool_25_strict_is_always_written(
    strict: bool | None, schema: dict[str, Any], written: bool
) -> None:
    tool = ir.FunctionTool(name="f", schema=schema, strict=strict, path="tools[0]")
    request = hub_request(user("hi"), tools=(tool,))
    assert render(request)["tools"][0]["strict"] is written
    assert reasons(request) == (["tools[0]"] if strict and not written else [])


def test_tool_09_a_tool_without_parameters() -> None:
    [tool] = render(hub_request(user("hi"), tools=(G,)))["tools"]
    assert tool["parameters"] == {"type": "object", "properties": {}}


def test_tool_10_examples_go_into_the_description() -> None:
    tool = ir.FunctionTool(name="f", description="D", examples=({"a": 1},))
    [wire] = render(hub_request(user("hi"), tools=(tool,)))["tools"]
    assert wire["description"] == 'D\n\nExamples of arguments:\n{"a":1}'
    assert set(wire) == {"type", "name", "description", "parameters", "strict"}


C = ir.ChoiceMode


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        (ir.ToolChoice(mode=C.AUTO), "auto"),
        (ir.ToolChoice(mode=C.NONE), "none"),
        (ir.ToolChoice(mode=C.REQUIRED), "required"),
        (ir.ToolChoice(mode=C.VALIDATED), "auto"),
        (ir.ToolChoice(mode=C.REQUIRED, allowed=(F.ref,)), {"type": "function", "name": "f"}),
        (
            ir.ToolChoice(mode=C.AUTO, allowed=(F.ref, G.ref)),
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}]},
        ),
        (
            ir.ToolChoice(mode=C.REQUIRED, allowed=(F.ref, G.ref)),
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}]},
        ),
    ],
)  # fmt: skip
def test_cho_01_tool_choice_is_flat(choice: ir.ToolChoice, wire: Any) -> None:
    assert render(hub_request(user("hi"), tools=(F, G), tool_choice=choice))["tool_choice"] == wire


@pytest.mark.parametrize("mode", [C.AUTO, C.NONE])
def test_sta_08_a_free_choice_without_tools_is_left_out(mode: ir.ChoiceMode) -> None:
    request = hub_request(
        user("hi"), tool_choice=ir.ToolChoice(mode=mode), parallel_tool_calls=True
    )
    body = render(request, Mode.STRICT)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(body)


@pytest.mark.parametrize(
    "choice",
    [
        ir.ToolChoice(mode=C.REQUIRED, path="tool_choice"),
        ir.ToolChoice(mode=C.REQUIRED, allowed=(ir.ToolRef("gone"),), path="tool_choice"),
    ],
)
def test_cho_05_a_forced_call_of_nothing_is_refused(choice: ir.ToolChoice) -> None:
    tools = (F,) if choice.allowed else ()
    error = refusal(hub_request(user("hi"), tools=tools, tool_choice=choice), Mode.MAX_COMPAT)
    assert (error.kind, error.path) == (ErrorKind.INVALID_REQUEST, "tool_choice")


def test_one_call_at_a_time() -> None:
    request = hub_request(user("hi"), tools=(F,), parallel_tool_calls=False)
    assert render(request)["parallel_tool_calls"] is False
    out = rendered(request, parallel_calls=False)
    assert "parallel_tool_calls" not in out.body
    assert out.reading.single_call


HOSTED = ir.HostedTool(
    kind=ir.HostedKind.WEB_SEARCH,
    protocol="anthropic",
    wire={},
    search=ir.SearchOptions(
        allowed_domains=("e.com",), max_uses=2, user_location={"country": "NO"}
    ),
    path="tools[0]",
)


def test_hosted_search_is_converted_where_it_exists() -> None:
    hosted = frozenset({ir.HostedKind.WEB_SEARCH})
    request = hub_request(user("hi"), tools=(HOSTED,))
    body = render(request, Mode.BALANCED, hosted_tools=hosted)
    assert body["tools"] == [
        {
            "type": "web_search",
            "filters": {"allowed_domains": ["e.com"]},
            "user_location": {"type": "approximate", "country": "NO"},
        }
    ]
    assert body["max_tool_calls"] == 2
    assert refusal(request, hosted_tools=hosted).path == "tools[0]"
    assert refusal(request, Mode.BALANCED).path == "tools[0]"
    assert "tools" not in render(request)


@pytest.mark.parametrize("kind", [ir.HostedKind.FILE_SEARCH, ir.HostedKind.CLIENT_TOOLSET])
def test_hosted_tools_that_never_travel(kind: ir.HostedKind) -> None:
    tool = ir.HostedTool(kind=kind, protocol="gemini", wire={}, path="tools[0]")
    assert refusal(hub_request(user("hi"), tools=(tool,)), Mode.MAX_COMPAT).path == "tools[0]"


# ---------------------------------------------------------------------------------------- scalars


@pytest.mark.parametrize(
    ("given", "written", "loss"),
    [(None, None, False), (1, 16, True), (16, 16, False), (5000, 4000, True)],
)
def test_par_05_the_output_limit(given: int | None, written: int | None, loss: bool) -> None:
    request = hub_request(user("hi"), max_output_tokens=given)
    assert render(request, max_output_tokens=4000).get("max_output_tokens") == written
    assert bool(reasons(request, max_output_tokens=4000)) is loss


def test_stop_sequences_are_cut_by_the_gateway() -> None:
    request = hub_request(user("hi"), stop=("END",))
    losses = Losses(Mode.BALANCED)
    out = rendered(request, losses)
    assert out.reading.cut_at == ("END",)
    assert "stop" not in out.body
    assert losses.degradations == ()
    assert refusal(request).kind is ErrorKind.UNTRANSLATABLE


def test_par_11_numbers_that_do_not_exist_here() -> None:
    sampling = ir.Sampling(
        temperature=0.5, top_p=0.9, top_k=5, seed=1, frequency_penalty=0.5, presence_penalty=0
    )
    request = hub_request(user("hi"), sampling=sampling)
    body = render(request)
    assert (body["temperature"], body["top_p"]) == (0.5, 0.9)
    assert reasons(request) == ["top_k", "seed", "frequency_penalty"]
    assert refusal(request).path == "top_k"


@pytest.mark.parametrize("support", [SamplingSupport.NONE, SamplingSupport.DEFAULT_ONLY])
def test_models_without_sampling(support: SamplingSupport) -> None:
    request = hub_request(user("hi"), sampling=ir.Sampling(temperature=0.5, top_p=1))
    body = render(request, sampling=support)
    assert not {"temperature", "top_p"} & set(body)
    assert reasons(request, sampling=support) == ["temperature"]


@pytest.mark.parametrize(
    ("control", "profile", "wire", "loss"),
    [
        (ir.ReasoningControl(level=ir.Level.OFF), {}, {"effort": "none"}, False),
        (ir.ReasoningControl(level=ir.Level.MAX, summary=True), {}, {"effort": "max", "summary": "auto"}, False),
        (ir.ReasoningControl(summary=False), {}, None, False),
        (ir.ReasoningControl(level=ir.Level.XHIGH), {"reasoning_levels": (ir.Level.LOW, ir.Level.HIGH)}, {"effort": "high"}, True),
        (ir.ReasoningControl(level=ir.Level.OFF), {"always_thinks": True}, {"effort": "minimal"}, True),
        (ir.ReasoningControl(level=ir.Level.LOW, budget_tokens=2048), {}, {"effort": "low"}, True),
        (ir.ReasoningControl(level=ir.Level.LOW), {"thinking_form": ThinkingForm.NONE}, None, True),
        (ir.ReasoningControl(level=ir.Level.OFF), {"thinking_form": ThinkingForm.NONE}, None, False),
    ],
)  # fmt: skip
def test_rsn_23_effort_is_what_the_model_has(
    control: ir.ReasoningControl, profile: dict[str, Any], wire: Any, loss: bool
) -> None:
    request = hub_request(user("hi"), reasoning=control)
    assert render(request, **profile).get("reasoning") == wire
    assert bool(reasons(request, **profile)) is loss


def test_out_01_the_output_format_is_flat() -> None:
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    request = hub_request(
        user("hi"),
        output=ir.OutputFormat(kind=ir.OutputKind.JSON_SCHEMA, schema=schema),
        verbosity="low",
    )
    assert render(request)["text"] == {
        "format": {"type": "json_schema", "name": "response", "schema": schema, "strict": True},
        "verbosity": "low",
    }


def test_out_03_an_optional_property_is_not_made_required() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    output = ir.OutputFormat(kind=ir.OutputKind.JSON_SCHEMA, schema=schema, path="out")
    request = hub_request(user("hi"), output=output)
    form = render(request)["text"]["format"]
    assert (form["schema"], form["strict"]) == (schema, False)
    assert reasons(request) == ["out"]


def test_a_root_that_is_no_object_is_wrapped() -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    output = ir.OutputFormat(kind=ir.OutputKind.JSON_SCHEMA, schema=schema, strict=True)
    out = rendered(hub_request(user("hi"), output=output))
    assert out.reading.wrapped
    assert out.body["text"]["format"]["schema"]["properties"] == {"value": schema}


def test_json_mode_speaks_of_json() -> None:
    output = ir.OutputFormat(kind=ir.OutputKind.JSON_OBJECT, path="out")
    silent = hub_request(user("hi"), output=output)
    body = render(silent, Mode.STRICT)
    assert body["text"] == {"format": {"type": "json_object"}}
    assert [item["role"] for item in body["input"]] == ["user", "developer"]
    assert reasons(silent) == ["out"]
    spoken = hub_request(user("Give me JSON."), output=output)
    assert len(render(spoken)["input"]) == 1
    assert reasons(spoken) == []


def test_logprobs_are_asked_for_with_an_include() -> None:
    body = render(hub_request(user("hi"), logprobs=2))
    assert body["top_logprobs"] == 2
    assert "message.output_text.logprobs" in body["include"]
    bare = render(hub_request(user("hi"), logprobs=0))
    assert "top_logprobs" not in bare
    assert "message.output_text.logprobs" in bare["include"]


def test_par_12_end_users_and_metadata() -> None:
    request = hub_request(user("hi"), end_user="u" * 200, metadata={"a": "b"})
    body = render(request)
    assert len(body["safety_identifier"]) == 64
    assert body["metadata"] == {"a": "b"}
    assert render(hub_request(user("hi"), end_user="me"))["safety_identifier"] == "me"


def test_cac_06_the_cache_key_only_where_it_is_understood() -> None:
    request = hub_request(user("hi"), cache_key="k")
    assert render(request, cache_marks=True)["prompt_cache_key"] == "k"
    assert "prompt_cache_key" not in render(request)


@pytest.mark.parametrize(
    ("tier", "wire"),
    [
        ("standard_only", "default"),
        ("standard", "default"),
        ("priority", "priority"),
        ("odd", None),
    ],
)
def test_service_tiers(tier: str, wire: str | None) -> None:
    assert render(hub_request(user("hi"), service_tier=tier)).get("service_tier") == wire


def test_par_10_more_answers_than_one() -> None:
    request = hub_request(user("hi"), candidates=3)
    assert reasons(request) == ["candidates"]
    assert refusal(request, Mode.BALANCED).kind is ErrorKind.UNTRANSLATABLE


def test_sta_06_what_only_the_client_could_say_is_refused_or_recorded() -> None:
    request = parse({"input": "hi", "background": True})
    assert reasons(request) == ["background"]
    assert refusal(request, Mode.BALANCED).path == "background"
    stored = parse({"input": "hi", "previous_response_id": "r"})
    assert refusal(stored, Mode.MAX_COMPAT).path == "previous_response_id"


def test_caching_hints_that_go_nowhere_are_recorded_one_by_one() -> None:
    mark = ir.CacheMark()
    request = hub_request(
        ir.Message(
            role=ir.Role.USER, parts=(ir.Text(text="x", cache=mark, path="messages[0].content[0]"),)
        ),
        tools=(ir.FunctionTool(name="f", cache=mark, path="tools[0]"),),
        cache_key="k",
    )
    losses = Losses(Mode.STRICT)
    render(request, losses=losses)
    assert [item.path for item in losses.degradations] == [
        "messages[0].content[0]",
        "tools[0]",
        "cache_key",
    ]
    known = Losses(Mode.STRICT)
    body = render(request, losses=known, cache_marks=True)
    assert body["prompt_cache_key"] == "k"
    assert [item.path for item in known.degradations] == ["tools[0]"]
