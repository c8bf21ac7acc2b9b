"""Requests for upstreams: tools, sampling, formats, caching, and whole bodies."""

from __future__ import annotations

import copy

import pytest

from scripts.fake import validate_anthropic
from scripts.fake.sdk_types import complaints
from tests.translators.anthropic.support import (
    CAPTURES,
    EXAMPLES,
    SEAL,
    ask,
    assistant,
    body_of,
    call,
    parse,
    render,
    rendered_body,
    result,
    system,
    thought,
    tool,
    user,
)
from translators import ir
from translators.anthropic import TRANSLATOR
from translators.base import Call, Operation, Target
from translators.errors import GatewayError
from translators.ir import ChoiceMode, HostedKind, Level, StateKind
from translators.losses import Losses, Mode
from translators.profile import (
    ModelProfile,
    SamplingSupport,
    SchemaFallback,
    ThinkingForm,
)
from translators.wire import dumps

# --------------------------------------------------------------------------------- tools and choice


def test_tool_09_a_tool_without_parameters():
    body = rendered_body(ask(tools=(ir.FunctionTool(name="f"),)))
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]


@pytest.mark.parametrize(
    ("strict", "profile", "wanted"),
    [
        pytest.param(None, {}, None, id="not said"),
        pytest.param(True, {}, True, id="TOOL-24 fits"),
        pytest.param(True, {"strict_tools": False}, None, id="TOOL-24 not supported"),
        pytest.param(False, {}, None, id="not wanted"),
    ],
)
def test_strict_tools(strict, profile, wanted):
    body = rendered_body(ask(tools=(tool(strict=strict),)), **profile)
    assert body["tools"][0].get("strict") is wanted


def test_a_strict_tool_beyond_the_subset():
    wide = ir.FunctionTool(
        name="f",
        strict=True,
        schema={"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}},
    )
    rendered, losses = render(ask(tools=(wide,)))
    assert "strict" not in rendered.body["tools"][0]
    assert rendered.body["tools"][0]["input_schema"] == wide.schema
    assert len(losses.degradations) == 1


def test_tool_11_names_are_restored():
    ref = ir.ToolRef("fs.readFile", "mcp")
    request = ask(
        user("a"),
        assistant(ir.ToolCall(call_id="t1", name=ref.name, namespace=ref.namespace)),
        user(result("t1")),
        tools=(tool("fs.readFile", namespace="mcp"),),
        tool_choice=ir.ToolChoice(mode=ChoiceMode.REQUIRED, allowed=(ref,)),
    )
    rendered, _ = render(request)
    name = rendered.body["tools"][0]["name"]
    assert name == "mcp__fs_readFile"
    assert rendered.body["tool_choice"] == {"type": "tool", "name": name}
    assert rendered.body["messages"][1]["content"][0]["name"] == name
    assert rendered.reading.tool(name) == ref


def test_a_freeform_tool_is_emulated():
    custom = ir.CustomTool(name="patch", description="d")
    history = ir.ToolCall(
        call_id="t1", name="patch", arguments="*** Begin", kind=ir.ToolKind.CUSTOM
    )
    rendered, _ = render(ask(user("a"), assistant(history), user(result("t1")), tools=(custom,)))
    assert rendered.body["tools"][0]["input_schema"]["required"] == ["input"]
    assert rendered.body["messages"][1]["content"][0]["input"] == {"input": "*** Begin"}
    assert rendered.reading.custom == {ir.ToolRef("patch")}


@pytest.mark.parametrize(
    ("choice", "parallel", "wanted"),
    [
        pytest.param(None, None, None, id="nothing said"),
        pytest.param(
            None, False, {"type": "auto", "disable_parallel_tool_use": True}, id="one call"
        ),
        pytest.param(None, True, None, id="several calls"),
        pytest.param(ir.ToolChoice(mode=ChoiceMode.AUTO), None, {"type": "auto"}, id="auto"),
        pytest.param(ir.ToolChoice(mode=ChoiceMode.NONE), False, {"type": "none"}, id="none"),
        pytest.param(
            ir.ToolChoice(mode=ChoiceMode.REQUIRED),
            False,
            {"type": "any", "disable_parallel_tool_use": True},
            id="required",
        ),
        pytest.param(
            ir.ToolChoice(mode=ChoiceMode.REQUIRED, allowed=(ir.ToolRef("f"),)),
            None,
            {"type": "tool", "name": "f"},
            id="a named one",
        ),
        pytest.param(
            ir.ToolChoice(mode=ChoiceMode.VALIDATED), None, {"type": "auto"}, id="validated"
        ),
    ],
)
def test_tool_choice(choice, parallel, wanted):
    body = rendered_body(
        ask(tools=(tool(), tool("g")), tool_choice=choice, parallel_tool_calls=parallel)
    )
    assert body.get("tool_choice") == wanted
    assert len(body["tools"]) == 2


def test_cho_04_a_subset_is_all_that_is_sent():
    allowed = (ir.ToolRef("g"), ir.ToolRef("h"))
    body = rendered_body(
        ask(
            user("a"),
            assistant(call("t1")),
            user(result("t1")),
            tools=(tool(), tool("g"), tool("h"), tool("i")),
            tool_choice=ir.ToolChoice(mode=ChoiceMode.REQUIRED, allowed=allowed),
        )
    )
    assert [item["name"] for item in body["tools"]] == ["f", "g", "h"]  # f: the history uses it
    assert body["tool_choice"] == {"type": "any"}


@pytest.mark.parametrize(
    ("mode", "refused"),
    [
        pytest.param(ChoiceMode.AUTO, False, id="free"),
        pytest.param(ChoiceMode.REQUIRED, True, id="CHO-05 required"),
    ],
)
def test_a_choice_without_tools(mode, refused):
    request = ask(tool_choice=ir.ToolChoice(mode=mode, path="tool_choice"))
    if refused:
        with pytest.raises(GatewayError):
            render(request)
    else:
        assert "tool_choice" not in rendered_body(request)


def test_cho_08_a_forced_call_switches_manual_thinking_off():
    request = ask(
        tools=(tool(),),
        tool_choice=ir.ToolChoice(mode=ChoiceMode.REQUIRED),
        reasoning=ir.ReasoningControl(level=Level.LOW, budget_tokens=2048),
    )
    body = rendered_body(request, thinking_form=ThinkingForm.BUDGET)
    assert body["thinking"] == {"type": "disabled"}
    assert body["tool_choice"] == {"type": "any"}
    assert rendered_body(request)["thinking"] == {"type": "adaptive"}


def test_a_forced_call_for_a_model_that_refuses_forcing():
    named = ir.ToolChoice(mode=ChoiceMode.REQUIRED, allowed=(ir.ToolRef("f"),), path="tool_choice")
    request = ask(tools=(tool(description="d"),), tool_choice=named)
    rendered, _ = render(request, forced_tool_choice=False)
    assert rendered.reading.forced_format_tool == "f"
    assert "tools" not in rendered.body
    assert rendered.body["output_config"]["format"]["type"] == "json_schema"
    assert "f" in rendered.body["system"][0]["text"]
    with pytest.raises(GatewayError):
        render(request, Mode.BALANCED, forced_tool_choice=False)


def test_several_tools_for_a_model_that_refuses_forcing():
    request = ask(
        tools=(tool(), tool("g")), tool_choice=ir.ToolChoice(mode=ChoiceMode.REQUIRED, path="c")
    )
    rendered, losses = render(request, forced_tool_choice=False)
    assert rendered.body["tool_choice"] == {"type": "auto"}
    assert rendered.body["system"][-1]["text"] == "You must call one of the tools f, g."
    assert len(losses.degradations) == 1


@pytest.mark.parametrize(
    ("kind", "supported", "wanted"),
    [
        pytest.param(HostedKind.WEB_SEARCH, True, "web_search_20250305", id="search"),
        pytest.param(HostedKind.WEB_FETCH, True, "web_fetch_20250910", id="fetch"),
        pytest.param(HostedKind.CODE_EXECUTION, True, "code_execution_20250825", id="code"),
        pytest.param(HostedKind.WEB_SEARCH, False, None, id="not enabled"),
        pytest.param(HostedKind.TOOL_SEARCH, True, None, id="tool search is loaded up front"),
        pytest.param(HostedKind.IMAGE_GENERATION, True, None, id="no such tool"),
    ],
)
def test_hosted_tools_of_others(kind, supported, wanted):
    hosted = ir.HostedTool(
        kind=kind, protocol="openai_responses", wire={"type": "x"}, path="tools[0]"
    )
    enabled = frozenset({kind}) if supported else frozenset()
    rendered, _ = render(ask(tools=(hosted,)), hosted_tools=enabled)
    types = [item["type"] for item in rendered.body.get("tools", [])]
    assert types == ([wanted] if wanted else [])


def test_an_mcp_server_is_declared_with_its_flag():
    hosted = ir.HostedTool(
        kind=HostedKind.MCP,
        protocol="openai_responses",
        wire={"type": "mcp"},
        mcp=ir.McpServer(label="docs", url="https://m", authorization="t", allowed_tools=("a",)),
    )
    rendered, _ = render(ask(tools=(hosted,)), hosted_tools=frozenset({HostedKind.MCP}))
    assert rendered.body["mcp_servers"] == [
        {"type": "url", "url": "https://m", "name": "docs", "authorization_token": "t"}
    ]
    assert rendered.body["tools"][0]["mcp_server_name"] == "docs"
    assert rendered.headers["anthropic-beta"].startswith("mcp-client-")


# ---------------------------------------------------------------------------- sampling, format, rest


@pytest.mark.parametrize(
    ("sampling", "profile", "wanted", "version"),
    [
        pytest.param(ir.Sampling(), {}, {}, "2026-10-21", id="nothing"),
        pytest.param(
            ir.Sampling(temperature=0.5), {}, {"temperature": 0.5}, "2023-06-01", id="kept"
        ),
        pytest.param(ir.Sampling(temperature=1, top_p=1.0), {}, {}, "2026-10-21", id="defaults"),
        pytest.param(ir.Sampling(temperature=1.5), {}, {}, "2026-10-21", id="PAR-08 lowered to 1"),
        pytest.param(
            ir.Sampling(temperature=0.5, top_p=0.9),
            {},
            {"temperature": 0.5},
            "2023-06-01",
            id="RSN-22 not both",
        ),
        pytest.param(ir.Sampling(top_k=5.0), {}, {"top_k": 5}, "2023-06-01", id="top_k"),
        pytest.param(
            ir.Sampling(temperature=0.5),
            {"sampling": SamplingSupport.DEFAULT_ONLY},
            {},
            "2026-10-21",
            id="a new model",
        ),
        pytest.param(
            ir.Sampling(seed=1, frequency_penalty=0.5, presence_penalty=0),
            {},
            {},
            "2026-10-21",
            id="PAR-11 others",
        ),
    ],
)
def test_sampling(sampling, profile, wanted, version):
    rendered, _ = render(ask(sampling=sampling), **profile)
    found = {
        key: rendered.body[key] for key in ("temperature", "top_p", "top_k") if key in rendered.body
    }
    assert found == wanted
    assert rendered.headers["anthropic-version"] == version


def test_rsn_22_sampling_yields_to_thinking():
    rendered, losses = render(
        ask(sampling=ir.Sampling(temperature=0.2), reasoning=ir.ReasoningControl(level=Level.HIGH))
    )
    assert "temperature" not in rendered.body
    assert len(losses.degradations) == 1


@pytest.mark.parametrize(
    ("asked", "profile", "sent"),
    [
        pytest.param(None, {}, 32000, id="PAR-02 the configured default"),
        pytest.param(None, {"max_output_tokens": 64000}, 64000, id="PAR-02 the model's maximum"),
        pytest.param(128000, {"max_output_tokens": 64000}, 64000, id="PAR-04 cut"),
        pytest.param(10, {"max_output_tokens": 64000}, 10, id="as asked"),
        pytest.param(0, {}, 0, id="only filling the cache"),
    ],
)
def test_output_limit(asked, profile, sent):
    assert rendered_body(ask(max_output_tokens=asked), **profile)["max_tokens"] == sent


def test_stop_sequences_that_are_not_taken_are_cut_here():
    rendered, _ = render(ask(stop=("END", "\n", "", "X", "Y")), stop_limit=2)
    assert rendered.body["stop_sequences"] == ["END", "X"]
    assert rendered.reading.cut_at == ("\n", "Y")


def test_out_04_a_schema():
    wanted = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    output = ir.OutputFormat(
        kind=ir.OutputKind.JSON_SCHEMA, schema=wanted, description="d", path="response_format"
    )
    config = rendered_body(ask(output=output))["output_config"]["format"]
    validate_anthropic.check_format(config["schema"], ())
    assert config["schema"]["description"] == "d"
    assert config["schema"]["additionalProperties"] is False


def test_a_schema_for_a_model_without_schemas():
    output = ir.OutputFormat(kind=ir.OutputKind.JSON_SCHEMA, schema={"type": "object"}, path="f")
    profile = {"json_schema": False, "schema_fallback": SchemaFallback.WORDS}
    body = rendered_body(ask(output=output), **profile)
    assert '{"type":"object"}' in body["system"][0]["text"]
    with pytest.raises(GatewayError):
        render(ask(output=output), Mode.BALANCED, **profile)


def test_a_schema_and_citations_exclude_each_other():
    document = ir.Document(source=ir.PlainText(text="d"), cite=True)
    output = ir.OutputFormat(kind=ir.OutputKind.JSON_SCHEMA, schema={"type": "object"}, path="f")
    with pytest.raises(GatewayError):
        render(ask(user("q", document), output=output))


@pytest.mark.parametrize(
    ("mode", "checked", "warned"),
    [
        pytest.param(Mode.BALANCED, True, 0, id="balanced checks"),
        pytest.param(Mode.MAX_COMPAT, False, 1, id="max_compat warns"),
    ],
)
def test_any_json(mode, checked, warned):
    output = ir.OutputFormat(kind=ir.OutputKind.JSON_OBJECT, path="response_format")
    rendered, losses = render(ask(system("S"), user("q"), output=output), mode)
    assert rendered.body["system"][-1]["text"].startswith("Respond with a single JSON object")
    assert rendered.reading.json_object is checked
    assert len(losses.degradations) == warned
    with pytest.raises(GatewayError):
        render(ask(output=output), Mode.STRICT)


@pytest.mark.parametrize(
    ("fields", "mode"),
    [
        pytest.param({"candidates": 2}, Mode.BALANCED, id="PAR-10 several answers"),
        pytest.param({"logprobs": 0}, Mode.BALANCED, id="PAR-11 log probabilities"),
        pytest.param({"verbosity": "low"}, Mode.STRICT, id="verbosity"),
        pytest.param({"sampling": ir.Sampling(seed=1)}, Mode.STRICT, id="PAR-11 seed"),
    ],
)
def test_what_has_no_word_here_is_never_silent(fields, mode):
    with pytest.raises(GatewayError):
        render(ask(**fields), mode)
    _, losses = render(ask(**fields))
    assert len(losses.degradations) == 1


def test_telemetry_is_dropped_quietly():
    rendered, losses = render(
        ask(metadata={"a": "b"}, store=True, service_tier="flex", end_user="u")
    )
    assert losses.degradations == ()
    assert rendered.body["metadata"] == {"user_id": "u"}
    assert "service_tier" not in rendered.body


def test_unshared_fields_of_the_client_follow_their_class():
    field = ir.Unshared(path="logit_bias", loss=ir.Loss.HINT)
    _, losses = render(ask(unshared=(field,)))
    assert [item.path for item in losses.degradations] == ["logit_bias"]


def test_vertex_names_the_version_in_the_body():
    plain, _ = render(ask(), vertex=True)
    assert "model" not in plain.body
    assert plain.body["anthropic_version"] == "2026-10-21"
    assert "anthropic-version" not in plain.headers
    sampled, _ = render(ask(sampling=ir.Sampling(temperature=0.5)), vertex=True)
    assert sampled.body["anthropic_version"] == "vertex-2023-10-16"


# ----------------------------------------------------------------------------------------- caching


def _marks(body):
    found = []
    for item in [*body.get("tools", []), *body.get("system", [])]:
        found.append(item.get("cache_control"))
    for message in body["messages"]:
        for block in message["content"]:
            inner = block.get("content")
            for piece in inner if isinstance(inner, list) else ():
                found.append(piece.get("cache_control"))
            found.append(block.get("cache_control"))
    return [mark for mark in found if mark]


def _marked(text, ttl=None):
    return ir.Text(text=text, cache=ir.CacheMark(ttl=ttl))


def test_cac_02_only_the_last_four_marks_stay():
    request = ask(
        system(_marked("s")),
        user(_marked("a"), _marked("b")),
        assistant(_marked("c")),
        user(_marked("d")),
        tools=(tool(cache=ir.CacheMark()),),
    )
    body = rendered_body(request)
    assert len(_marks(body)) == 4
    assert "cache_control" not in body["tools"][0]
    assert "cache_control" not in body["system"][0]


def test_cac_02_the_automatic_mark_counts():
    request = ask(
        user(_marked("a"), _marked("b"), _marked("c"), _marked("d")), cache_prefix=ir.CacheMark()
    )
    body = rendered_body(request)
    assert len(_marks(body)) == 3
    assert body["cache_control"] == {"type": "ephemeral"}


def test_cac_03_no_mark_on_thinking_or_empty_text():
    request = ask(
        user(_marked("a")),
        assistant(thought(), _marked(""), "b"),
        user(_marked("c")),
    )
    body = rendered_body(request)
    assert len(_marks(body)) == 2


@pytest.mark.parametrize(
    ("ttls", "wanted"),
    [
        pytest.param(("1h", "5m"), ["1h", None], id="in order"),
        pytest.param(("5m", "1h"), [None, None], id="CAC-04 a longer one never follows"),
        pytest.param(("30m", "12h"), ["1h", "1h"], id="lifetimes of others"),
        pytest.param((None, None), [None, None], id="defaults"),
    ],
)
def test_cac_04_longer_lifetimes_come_first(ttls, wanted):
    body = rendered_body(ask(user(*(_marked(f"t{n}", ttl) for n, ttl in enumerate(ttls)))))
    assert [mark.get("ttl") for mark in _marks(body)] == wanted


def test_a_cache_key_asks_for_the_automatic_mark():
    assert rendered_body(ask(cache_key="k"))["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in rendered_body(ask(user(_marked("a")), cache_key="k"))


# ------------------------------------------------------------------------------------- whole bodies


@pytest.mark.parametrize("capture", [pytest.param(request, id=name) for name, request in CAPTURES])
def test_captures_come_back_without_loss_of_meaning(capture):
    counting = capture["path"].endswith("count_tokens")
    body = copy.deepcopy(capture["body"])
    operation = Operation.COUNT_TOKENS if counting else Operation.GENERATE
    request = parse(body, Call(headers=capture["headers"], operation=operation))
    assert body == capture["body"]
    profile = {}
    if body.get("thinking", {}).get("type") == "enabled":
        profile["thinking_form"] = ThinkingForm.BUDGET
    rendered, losses = render(request, Mode.BALANCED, **profile)
    assert complaints("anthropic", rendered.body) == []
    validate_anthropic._check_rules(
        {**rendered.body, "messages": _without_thinking(rendered.body["messages"])},
        "claude-sonnet-4-5" if profile else "claude-opus-4-8",
        rendered.headers["anthropic-version"],
    )
    assert _meaning(rendered.body) == _meaning(body)
    assert {item.path.split(".")[0] for item in losses.degradations} <= {
        "safeguards",
        "messages[1]",
    }


def _without_thinking(messages):
    """The strict provider knows only its own signatures."""
    return [
        {**m, "content": [b for b in m["content"] if b["type"] != "thinking"]} for m in messages
    ]


def _meaning(body):
    """What the model sees, whatever the spelling."""
    said = body.get("system") or []
    blocks = [{"type": "text", "text": said}] if isinstance(said, str) else said
    told = [b["text"] for b in blocks if not b["text"].startswith("x-anthropic-billing")]
    messages = [(m["role"], _plain(m["content"])) for m in body["messages"]]
    tools = [(t["name"], t.get("description"), t["input_schema"]) for t in body.get("tools") or []]
    thinking = {k: v for k, v in (body.get("thinking") or {}).items() if k != "display"}
    return told, messages, tools, thinking, body.get("output_config")


def _plain(content):
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [
        {k: v for k, v in block.items() if k != "cache_control" and v not in (None, False)}
        for block in content
    ]


def test_cac_09_the_same_conversation_gives_the_same_bytes_and_prefix():
    turns = [
        system("S"),
        user("a"),
        assistant("x", call("functions.f:0", '{"b":1,"a":2}')),
        user(result("functions.f:0"), "go on"),
        assistant("done"),
        user("more"),
    ]
    short = ask(*turns[:4], tools=(tool(), tool("g.h")))
    first = rendered_body(short)
    assert dumps(first) == dumps(rendered_body(short))
    later = rendered_body(ask(*turns, tools=(tool(), tool("g.h"))))
    assert dumps(later["tools"]) == dumps(first["tools"])
    count = len(first["messages"])
    assert dumps(later["messages"][:count]) == dumps(first["messages"])


def test_rendering_changes_nothing_in_the_hub():
    request = parse(EXAMPLES["request"][0])
    before = repr(request)
    render(request)
    assert repr(request) == before


def test_documented_messages_round_trip():
    request = parse(body_of(*EXAMPLES["message"]))
    body = rendered_body(request)
    assert _meaning(body)[1] == _meaning(body_of(*EXAMPLES["message"]))[1]


def test_state_of_another_provider_in_an_envelope_is_not_shown_to_this_one():
    state = ir.OpaqueState(
        kind=StateKind.RESPONSES_ENCRYPTED, value="gAAA", provider="openai", model="gpt"
    )
    envelope = SEAL.wrap(ir.Reasoning(text="secret plan", state=state))
    request = parse(
        body_of(
            {"role": "user", "content": "q"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "plan", "signature": envelope},
                    {"type": "text", "text": "a"},
                ],
            },
            {"role": "user", "content": "r"},
        )
    )
    assert "plan" not in str(rendered_body(request))


def test_the_profile_is_all_that_decides():
    request = ask(reasoning=ir.ReasoningControl(level=Level.HIGH))
    bodies = [
        TRANSLATOR.render_request(
            request, Target(provider=provider, model=model, profile=ModelProfile()), Losses()
        ).body
        for provider, model in (("claude", "claude-sonnet-5-5"), ("x", "claude-3-haiku"))
    ]
    assert {**bodies[0], "model": ""} == {**bodies[1], "model": ""}
