"""Requests of clients: wire -> hub."""

from __future__ import annotations

import pytest

from tests.translators.anthropic.support import (
    CAPTURES,
    EXAMPLES,
    SEAL,
    body_of,
    parse,
    parts_of,
    unshared,
)
from translators import ir
from translators.anthropic.words import UNSIGNED
from translators.base import Call, Operation
from translators.errors import ErrorKind, GatewayError
from translators.ir import HostedKind, Level, StateKind

PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQ="}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param(body_of(max_tokens=None), "max_tokens", id="max_tokens is required"),
        pytest.param({"model": "m", "max_tokens": 1}, "messages", id="messages are required"),
        pytest.param(body_of(model=None), "model", id="a model is required"),
        pytest.param(
            body_of({"role": "tool", "content": "x"}), "messages[0].role", id="an unknown role"
        ),
        pytest.param(body_of({"role": "user"}), "messages[0].content", id="content is required"),
        pytest.param(
            body_of({"role": "user", "content": [{"text": "x"}]}),
            "messages[0].content[0].type",
            id="a block without a type",
        ),
        pytest.param(
            body_of({"role": "user", "content": [{"type": "text"}]}),
            "messages[0].content[0].text",
            id="a text block without text",
        ),
        pytest.param(
            body_of(system=[{"type": "image"}]),
            "system[0].type",
            id="SYS-17 an image as system text",
        ),
        pytest.param(
            body_of(stop_sequences=["  "]), "stop_sequences[0]", id="a stop sequence of whitespace"
        ),
        pytest.param(
            body_of(tool_choice={"type": "some"}), "tool_choice.type", id="an unknown tool choice"
        ),
        pytest.param(
            body_of(thinking={"type": "enabled"}),
            "thinking.budget_tokens",
            id="a budget is required with enabled thinking",
        ),
        pytest.param(
            body_of(output_config={"effort": "huge"}),
            "output_config.effort",
            id="an unknown effort",
        ),
        pytest.param(body_of(temperature="hot"), "temperature", id="a number as text"),
    ],
)
def test_a_refusal_names_the_path(body, path):
    with pytest.raises(GatewayError) as caught:
        parse(body)
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert caught.value.path == path


def test_a_missing_field_is_told_in_the_words_of_the_protocol():
    with pytest.raises(GatewayError, match=r"^max_tokens: Field required$"):
        parse(body_of(max_tokens=None))


def test_a_body_to_count_needs_no_max_tokens():
    request = parse(
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": []},
        Call(operation=Operation.COUNT_TOKENS),
    )
    assert request.max_output_tokens is None


# ------------------------------------------------------------------------------------------ system


@pytest.mark.parametrize(
    ("system", "texts"),
    [
        pytest.param("Be brief.", ["Be brief."], id="SYS-06 a string"),
        pytest.param(
            [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            ["a", "b"],
            id="SYS-06 blocks",
        ),
        pytest.param("", [], id="an empty string"),
        pytest.param(None, [], id="PAR-13 null"),
        pytest.param(
            [
                {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; ch=1;"},
                {"type": "text", "text": "You are"},
            ],
            ["You are"],
            id="SYS-16 the attribution line is left out",
        ),
        pytest.param(
            [
                {"type": "text", "text": "You are"},
                {"type": "text", "text": "x-anthropic-billing-header: is what users ask about"},
            ],
            ["You are", "x-anthropic-billing-header: is what users ask about"],
            id="SYS-16 only as the first block",
        ),
    ],
)
def test_system_text(system, texts):
    messages = parse(body_of(system=system)).messages[:-1]
    assert all(message.role is ir.Role.SYSTEM for message in messages)
    assert [part.text for message in messages for part in message.parts] == texts


def test_sys_16_the_attribution_line_is_recorded_as_telemetry():
    request = parse(body_of(system="x-anthropic-billing-header: v=1"))
    assert unshared(request) == {"system": "telemetry"}


def test_sys_02_a_system_message_keeps_its_place():
    request = parse(
        body_of(
            {"role": "user", "content": "hi"},
            {"role": "system", "content": [{"type": "text", "text": "now"}]},
            {"role": "assistant", "content": "ok"},
        )
    )
    assert [message.role.value for message in request.messages] == ["user", "system", "assistant"]


# ------------------------------------------------------------------------------------------ blocks


def test_every_documented_block_is_read():
    blocks = EXAMPLES["block"]
    for block in blocks:
        role = "assistant" if block["type"] in _ASSISTANT else "user"
        request = parse(body_of({"role": role, "content": [block]}))
        assert request.messages[-1].parts, block["type"]
        assert "unknown" not in unshared(request).values(), block


_ASSISTANT = frozenset({"thinking", "redacted_thinking", "tool_use", "server_tool_use"})


@pytest.mark.parametrize(
    ("block", "part"),
    [
        pytest.param(
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ir.Text(text="a", cache=ir.CacheMark(ttl="1h")),
            id="text with a cache mark",
        ),
        pytest.param(
            {"type": "image", "source": {"type": "url", "url": "https://e/a.png"}},
            ir.Image(source=ir.Url(url="https://e/a.png")),
            id="an image by address",
        ),
        pytest.param(
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            ir.Image(source=ir.FileId(file_id="file_1", protocol="anthropic")),
            id="a stored image",
        ),
        pytest.param(
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/jpg", "data": "iVBORw0KGgo="},
            },
            ir.Image(source=ir.Inline(media_type="image/png", data="iVBORw0KGgo=")),
            id="MED-02 the first bytes settle a wrong media type",
        ),
        pytest.param(
            {"type": "document", "source": PDF, "title": "A", "context": "c",
             "citations": {"enabled": True}},
            ir.Document(
                source=ir.Inline(media_type="application/pdf", data="JVBERi0xLjQ="),
                title="A", context="c", cite=True,
            ),
            id="MED-08 a PDF with everything",
        ),
        pytest.param(
            {"type": "document",
             "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
            ir.Document(source=ir.PlainText(text="plain")),
            id="MED-07 a text document",
        ),
        pytest.param(
            {"type": "tool_result", "tool_use_id": "t"},
            ir.ToolResult(call_id="t"),
            id="a result without content",
        ),
        pytest.param(
            {"type": "tool_result", "tool_use_id": "t", "content": "boom", "is_error": True},
            ir.ToolResult(call_id="t", content=(ir.Text(text="boom"),), is_error=True),
            id="a failed result",
        ),
        pytest.param(
            {"type": "tool_result", "tool_use_id": "t", "content": {"a": 1}},
            ir.ToolResult(call_id="t", content=(ir.Text(text='{"a":1}'),)),
            id="RES-04 a result that is an object",
        ),
    ],
)  # fmt: skip
def test_user_blocks(block, part):
    assert parts_of(block) == (part,)


@pytest.mark.parametrize(
    ("value", "arguments"),
    [
        pytest.param({"city": "Oslo"}, '{"city":"Oslo"}', id="an object"),
        pytest.param(None, "{}", id="RES-15 null"),
        pytest.param("", "{}", id="RES-16 an empty text"),
        pytest.param("x", '"x"', id="RES-15 a text stays valid JSON"),
        pytest.param([1], "[1]", id="RES-15 an array stays valid JSON"),
        pytest.param('{"a":1}', '{"a":1}', id="an object in a text"),
        pytest.param(
            {"n": 9223372036854775808}, '{"n":9223372036854775808}', id="TOOL-26 big integers"
        ),
    ],
)
def test_tool_input(value, arguments):
    block = {"type": "tool_use", "id": "t", "name": "f", "input": value}
    assert parts_of(block, role="assistant") == (
        ir.ToolCall(call_id="t", name="f", arguments=arguments),
    )


def test_med_07_a_document_of_blocks_stays_readable():
    block = next(b for b in EXAMPLES["block"] if b.get("source", {}) and
                 isinstance(b["source"], dict) and b["source"]["type"] == "content")  # fmt: skip
    (part,) = parts_of(block)
    assert isinstance(part, ir.Foreign)
    assert part.readable == "chunk 1\nchunk 2"


def test_res_14_special_contents_of_results_become_text():
    content = [
        {"type": "tool_reference", "tool_name": "create_ticket"},
        {"type": "search_result", "source": "https://e", "title": "T",
         "content": [{"type": "text", "text": "snippet"}]},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
    ]  # fmt: skip
    request = parse(
        body_of(
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t", "content": content}],
            }
        )
    )
    (part,) = request.messages[0].parts
    assert isinstance(part, ir.ToolResult)
    assert part.content == (
        ir.Text(text="Tool available: create_ticket"),
        ir.Text(text="T\nhttps://e\nsnippet"),
        ir.Document(source=ir.PlainText(text="d")),
    )
    assert set(unshared(request).values()) == {"value"}


def test_a_search_result_keeps_its_words():
    (part,) = parts_of(next(b for b in EXAMPLES["block"] if b["type"] == "search_result"))
    assert isinstance(part, ir.Foreign)
    assert part.readable == "T\nhttps://example.com\nsnippet"


def test_an_unknown_block_is_carried_with_a_rule():
    (part,) = parts_of({"type": "hologram", "text": "words"})
    assert isinstance(part, ir.Foreign)
    assert part.type == "hologram"
    assert part.readable == "words"


# --------------------------------------------------------------------------------------- reasoning


@pytest.mark.parametrize(
    ("block", "part"),
    [
        pytest.param(
            {"type": "thinking", "thinking": "t", "signature": "Eq"},
            ir.Reasoning(
                text="t", state=ir.OpaqueState(kind=StateKind.ANTHROPIC_SIGNATURE, value="Eq")
            ),
            id="a signature of unknown origin",
        ),
        pytest.param(
            {"type": "thinking", "thinking": "t", "signature": ""},
            ir.Reasoning(text="t"),
            id="an empty signature",
        ),
        pytest.param(
            {"type": "thinking", "thinking": "t"}, ir.Reasoning(text="t"), id="no signature"
        ),
        pytest.param(
            {"type": "thinking", "thinking": "t", "signature": UNSIGNED},
            ir.Reasoning(text="t"),
            id="RSN-14 the gateway's own mark is taken off",
        ),
        pytest.param(
            {"type": "redacted_thinking", "data": "Em"},
            ir.Reasoning(state=ir.OpaqueState(kind=StateKind.ANTHROPIC_REDACTED, value="Em")),
            id="redacted thinking",
        ),
    ],
)
def test_thinking_blocks(block, part):
    assert parts_of(block, role="assistant") == (part,)


@pytest.mark.parametrize("kind", list(StateKind))
@pytest.mark.parametrize("field", ["thinking", "redacted_thinking"])
def test_rsn_05_a_sealed_state_comes_back_byte_for_byte(kind, field):
    state = ir.OpaqueState(kind=kind, value="gAAA=", provider="p", model="x")
    sealed = ir.Reasoning(text="what \u2028 it thought", state=state, item_id="rs_1")
    envelope = SEAL.wrap(sealed)
    block = (
        {"type": "thinking", "thinking": "edited by the client", "signature": envelope}
        if field == "thinking"
        else {"type": "redacted_thinking", "data": envelope}
    )
    assert parts_of(block, role="assistant") == (sealed,)


def test_an_envelope_of_another_gateway_is_dropped_and_recorded():
    state = ir.OpaqueState(kind=StateKind.GEMINI_SIGNATURE, value="v", provider="p", model="x")
    foreign = type(SEAL)(b"some other gateway's key").wrap(ir.Reasoning(text="t", state=state))
    request = parse(
        body_of(
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "t", "signature": foreign},
                    {"type": "redacted_thinking", "data": foreign},
                ],
            }
        )
    )
    assert request.messages[0].parts == (ir.Reasoning(text="t"),)
    assert set(unshared(request).values()) == {"value"}


# -------------------------------------------------------------------------------------- hosted tools


def test_res_18_a_web_search_and_its_result_are_one_part():
    use = {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "q"},
    }
    found = {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [
            {
                "type": "web_search_result",
                "url": "https://e",
                "title": "T",
                "encrypted_content": "E",
            }
        ],
    }
    parts = parts_of(use, found, {"type": "text", "text": "so"}, role="assistant")
    assert parts == (
        ir.WebSearch(
            call_id="srvtoolu_1",
            query="q",
            sources=(ir.WebSource(url="https://e", title="T"),),
            protocol="anthropic",
            wire=(use, found),
        ),
        ir.Text(text="so"),
    )


def test_a_code_run_and_its_result_are_one_part():
    use = {"type": "server_tool_use", "id": "s", "name": "code_execution", "input": {"code": "1/0"}}
    ran = {
        "type": "code_execution_tool_result",
        "tool_use_id": "s",
        "content": {"type": "code_execution_result", "stdout": "", "stderr": "boom",
                    "return_code": 1, "content": []},
    }  # fmt: skip
    (part,) = parts_of(use, ran, role="assistant")
    assert isinstance(part, ir.CodeRun)
    assert (part.code, part.language, part.output, part.ok) == ("1/0", "python", "boom", False)


def test_a_fetched_page_is_readable():
    use = {"type": "server_tool_use", "id": "s", "name": "web_fetch", "input": {"url": "https://e"}}
    got = dict(next(b for b in EXAMPLES["block"] if b["type"] == "web_fetch_tool_result"))
    got["tool_use_id"] = "s"
    first, second = parts_of(use, got, role="assistant")
    assert isinstance(first, ir.Foreign)
    assert isinstance(second, ir.Foreign)
    assert first.readable is None
    assert second.readable is not None
    assert "page" in second.readable
    assert "https://example.com" in second.readable


# ------------------------------------------------------------------------------------------- tools


def test_every_documented_tool_is_read():
    tools = parse(body_of(tools=EXAMPLES["tool"])).tools
    kinds = [tool.kind if isinstance(tool, ir.HostedTool) else None for tool in tools]
    assert kinds == [
        None,
        None,
        HostedKind.CLIENT_TOOLSET,
        HostedKind.CLIENT_TOOLSET,
        HostedKind.CLIENT_TOOLSET,
        HostedKind.CLIENT_TOOLSET,
        HostedKind.CLIENT_TOOLSET,
        HostedKind.CODE_EXECUTION,
        HostedKind.WEB_SEARCH,
        HostedKind.WEB_FETCH,
        HostedKind.TOOL_SEARCH,
        HostedKind.TOOL_SEARCH,
    ]


def test_tool_10_what_only_this_protocol_says_of_a_tool():
    request = parse(body_of(tools=[EXAMPLES["tool"][1]]))
    (tool,) = request.tools
    assert isinstance(tool, ir.FunctionTool)
    assert tool.strict is True
    assert tool.examples == ({"a": 1},)
    assert tool.cache == ir.CacheMark()
    assert unshared(request) == {
        "tools[0].defer_loading": "telemetry",
        "tools[0].eager_input_streaming": "telemetry",
        "tools[0].allowed_callers": "hint",
    }


def test_search_options():
    (tool,) = parse(body_of(tools=[EXAMPLES["tool"][8]])).tools
    assert isinstance(tool, ir.HostedTool)
    assert tool.search == ir.SearchOptions(
        allowed_domains=("example.com",),
        user_location={"type": "approximate", "country": "NO"},
        max_uses=3,
    )


def test_mcp_servers_join_their_toolsets():
    (tool,) = parse(EXAMPLES["beta_request"][0]).tools
    assert isinstance(tool, ir.HostedTool)
    assert tool.mcp == ir.McpServer(label="docs", url="https://mcp.example.com", authorization="t")


@pytest.mark.parametrize(
    ("wire", "mode", "allowed", "parallel"),
    [
        pytest.param({"type": "auto"}, "auto", (), None, id="auto"),
        pytest.param(
            {"type": "auto", "disable_parallel_tool_use": True},
            "auto",
            (),
            False,
            id="one at a time",
        ),
        pytest.param({"type": "any"}, "required", (), None, id="CHO-02 any"),
        pytest.param({"type": "none"}, "none", (), None, id="CHO-02 none"),
        pytest.param(
            {"type": "tool", "name": "f", "disable_parallel_tool_use": False},
            "required",
            (ir.ToolRef("f"),),
            True,
            id="CHO-01 a named tool",
        ),
    ],
)
def test_tool_choice(wire, mode, allowed, parallel):
    request = parse(
        body_of(tools=[{"name": "f", "input_schema": {"type": "object"}}], tool_choice=wire)
    )
    assert request.tool_choice is not None
    assert request.tool_choice.mode.value == mode
    assert request.tool_choice.allowed == allowed
    assert request.parallel_tool_calls is parallel


def test_a_hosted_tool_can_be_forced():
    request = parse(
        body_of(
            tools=[{"type": "web_search_20250305", "name": "web_search"}],
            tool_choice={"type": "tool", "name": "web_search"},
        )
    )
    assert request.tool_choice is not None
    assert request.tool_choice.hosted is HostedKind.WEB_SEARCH


def test_tool_changes_on_the_way_apply_to_the_list():
    added = {"name": "g", "input_schema": {"type": "object"}}
    request = parse(
        body_of(
            {"role": "user", "content": "hi"},
            {
                "role": "system",
                "content": [
                    {
                        "type": "tool_addition",
                        "tool": {"type": "tool_definition", "definition": added},
                    },
                    {"type": "tool_removal", "tool": {"type": "tool_reference", "tool_name": "f"}},
                    {"type": "text", "text": "now"},
                ],
            },
            tools=[{"name": "f", "input_schema": {"type": "object"}}],
        )
    )
    assert [tool.name for tool in request.tools if isinstance(tool, ir.FunctionTool)] == ["g"]
    assert list(unshared(request).values()) == ["value", "value"]


# --------------------------------------------------------------------------------- thinking and rest


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, None, id="nothing said"),
        pytest.param(
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            ir.ReasoningControl(adaptive=True, summary=False),
            id="adaptive, not shown",
        ),
        pytest.param(
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            ir.ReasoningControl(level=Level.HIGH),
            id="adaptive with an effort",
        ),
        pytest.param(
            {"output_config": {"effort": "xhigh"}},
            ir.ReasoningControl(level=Level.XHIGH),
            id="an effort alone",
        ),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 8192, "display": "summarized"}},
            ir.ReasoningControl(level=Level.MEDIUM, budget_tokens=8192, summary=True),
            id="a budget",
        ),
        pytest.param(
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
            ir.ReasoningControl(level=Level.OFF),
            id="RSN-11 disabled wins over the effort",
        ),
        pytest.param(
            {"thinking": {"type": "between_tools"}},
            ir.ReasoningControl(level=Level.OFF),
            id="no thinking up front",
        ),
    ],
)
def test_reasoning_control(fields, expected):
    assert parse(body_of(**fields)).reasoning == expected


def test_the_last_effort_of_the_conversation_wins():
    request = parse(
        body_of(
            {"role": "user", "content": "hi"},
            {"role": "system", "content": "s", "output_config": {"effort": "low"}},
            thinking={"type": "adaptive"},
            output_config={"effort": "high"},
        )
    )
    assert request.reasoning is not None
    assert request.reasoning.level is Level.LOW
    assert unshared(request) == {"messages[1].output_config.effort": "value"}


@pytest.mark.parametrize(
    ("fields", "losses"),
    [
        pytest.param({"speed": "fast"}, {"speed": "telemetry"}, id="speed"),
        pytest.param({"speed": "standard", "service_tier": "auto"}, {}, id="defaults say nothing"),
        pytest.param({"inference_geo": "eu"}, {"inference_geo": "safety"}, id="data residency"),
        pytest.param({"container": "c"}, {"container": "meaning"}, id="container"),
        pytest.param({"diagnostics": {"previous_message_id": None}}, {"diagnostics": "telemetry"},
                     id="diagnostics"),
        pytest.param({"thread": {"type": "create"}}, {"thread": "impossible"}, id="thread"),
        pytest.param({"fallbacks": "default"}, {"fallbacks": "telemetry"}, id="fallbacks"),
        pytest.param({"safeguards": [{"type": "dangerous_tool_use"}]}, {"safeguards": "hint"},
                     id="safeguards"),
        pytest.param(
            {"context_management": {"edits": [{"type": "clear_thinking_20251015"},
                                              {"type": "clear_tool_uses_20250919"}]}},
            {"context_management.edits[0]": "telemetry", "context_management.edits[1]": "hint"},
            id="context edits",
        ),
        pytest.param({"output_config": {"task_budget": {"total": 1}}},
                     {"output_config.task_budget": "hint"}, id="task budget"),
        pytest.param({"thinking": {"type": "adaptive", "block_binding": {"a": "b"}}},
                     {"thinking.block_binding": "telemetry"}, id="block binding"),
        pytest.param({"brand_new": 1}, {"brand_new": "unknown"}, id="PAR-15 a field of the future"),
        pytest.param({"brand_new": None}, {}, id="PAR-13 null is absent"),
        pytest.param({"metadata": {"user_id": "u", "x": 1}}, {"metadata.x": "unknown"},
                     id="metadata has one field"),
    ],
)  # fmt: skip
def test_par_09_fields_of_this_protocol_alone(fields, losses):
    assert unshared(parse(body_of(**fields))) == losses


def test_everything_else():
    request = parse(EXAMPLES["request"][0])
    assert request.stream is True
    assert request.stop == ("END",)
    assert request.end_user == "u_5f1c"
    assert request.service_tier is None
    assert request.cache_prefix == ir.CacheMark()
    assert request.parallel_tool_calls is True
    assert request.messages[0].parts == (ir.Text(text="Be brief.", cache=ir.CacheMark(ttl="1h")),)
    assert request.unshared == ()


def test_par_07_one_stop_sequence_as_text():
    assert parse(body_of(stop_sequences="X")).stop == ("X",)


def test_the_tier_standard_only():
    assert parse(body_of(service_tier="standard_only")).service_tier == "default"


def test_out_03_the_output_schema_is_untouched():
    wanted = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "null"}},
              "required": ["a"], "additionalProperties": False}  # fmt: skip
    form = {"type": "json_schema", "schema": wanted}
    for fields in ({"output_config": {"format": form}}, {"output_format": form}):
        output = parse(body_of(**fields)).output
        assert output is not None
        assert output.schema == wanted


def test_sampling_is_no_part_of_the_newest_version():
    body = body_of(temperature=0.5)
    assert parse(body).unshared == ()
    request = parse(body, Call(headers={"anthropic-version": "2026-10-21"}))
    assert request.sampling.temperature == 0.5
    assert unshared(request) == {"temperature": "unknown"}


# --------------------------------------------------------------------------------------- captures


@pytest.mark.parametrize("capture", [pytest.param(request, id=name) for name, request in CAPTURES])
def test_captures_hold_nothing_unknown(capture):
    counting = capture["path"].endswith("count_tokens")
    request = parse(
        capture["body"],
        Call(
            headers=capture["headers"],
            operation=Operation.COUNT_TOKENS if counting else Operation.GENERATE,
        ),
    )
    losses = {field.path: field.loss.value for field in request.unshared}
    assert not {"unknown", "impossible", "meaning", "safety"} & set(losses.values()), losses
    assert all(not isinstance(part, ir.Foreign) for m in request.messages for part in m.parts)
