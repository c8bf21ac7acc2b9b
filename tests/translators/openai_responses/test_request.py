"""Requests of clients: every documented field, and what real programs send."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.openai_responses.support import CAPTURES, EXAMPLES, parse
from translators import ir
from translators.base import Call, Operation
from translators.errors import ErrorKind, GatewayError
from translators.losses import Loss
from translators.openai_responses import TRANSLATOR

NULLS = [
    "background",
    "conversation",
    "include",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
    "access_programs",
    "context_management",
    "image",
    "prompt_cache_options",
]


def losses_of(**fields: Any) -> list[tuple[str, Loss]]:
    """Path and class of every field that no other protocol has."""
    return [(u.path, u.loss) for u in parse({"input": "hi", **fields}).unshared]


def refused(**fields: Any) -> GatewayError:
    """The error that these fields cause."""
    with pytest.raises(GatewayError) as caught:
        parse({"input": "hi", **fields})
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert caught.value.message.startswith(caught.value.path or "?")
    return caught.value


# -------------------------------------------------------------------------------------- captures


@pytest.mark.parametrize("name", list(CAPTURES))
def test_real_requests_have_nothing_unknown(name: str) -> None:
    for body in CAPTURES[name]:
        request = TRANSLATOR.parse_request(body, Call(), None)
        assert Loss.UNKNOWN not in {u.loss for u in request.unshared}
        assert request.stream
        assert request.store is False
        assert not any(
            isinstance(part, ir.Foreign) for message in request.messages for part in message.parts
        )


@pytest.mark.parametrize("body", EXAMPLES["request"])
def test_the_requests_of_the_reference_have_nothing_unknown(body: dict[str, Any]) -> None:
    request = TRANSLATOR.parse_request(body, Call(), None)
    assert Loss.UNKNOWN not in {u.loss for u in request.unshared}


def test_tool_16_codex_with_a_model_that_it_knows() -> None:
    request = parse(CAPTURES["codex-known-model-0.169.0-reasoning-tool"][-1])
    refs = [tool.ref for tool in request.tools if not isinstance(tool, ir.HostedTool)]
    assert refs[:5] == [
        ir.ToolRef("exec"),
        ir.ToolRef("wait"),
        ir.ToolRef("request_user_input"),
        ir.ToolRef("request_user_input_async"),
        ir.ToolRef("sleep", "clock"),
    ]
    execute = request.tools[0]
    assert isinstance(execute, ir.CustomTool)
    assert execute.grammar is not None
    assert execute.grammar.syntax == "lark"
    call = next(p for m in request.messages for p in m.parts if isinstance(p, ir.ToolCall))
    assert (call.ref, call.kind) == (ir.ToolRef("exec"), ir.ToolKind.CUSTOM)
    assert call.arguments.startswith("const r = await")
    result = next(p for m in request.messages for p in m.parts if isinstance(p, ir.ToolResult))
    assert (result.call_id, len(result.content)) == (call.call_id, 2)
    assert request.reasoning == ir.ReasoningControl(level=ir.Level.LOW, summary=False)
    assert request.verbosity == "low"
    assert "input[0]" not in {u.path for u in request.unshared}
    thought = next(p for m in request.messages for p in m.parts if isinstance(p, ir.Reasoning))
    assert thought.state is not None
    assert thought.state.kind is ir.StateKind.RESPONSES_ENCRYPTED
    assert thought.state.provider is None


def test_codex_with_a_model_that_it_does_not_know() -> None:
    request = parse(CAPTURES["codex-0.169.0-parallel"][-1])
    spawned = [tool for tool in request.tools if getattr(tool, "namespace", None)]
    assert {tool.namespace for tool in spawned if isinstance(tool, ir.FunctionTool)} == {
        "multi_agent_v1"
    }
    assert [message.role.value for message in request.messages] == [
        "system", "system", "user", "user", "assistant", "user",
    ]  # fmt: skip
    turn, results = request.messages[-2:]
    assert [type(part) for part in turn.parts] == [ir.Text, ir.ToolCall, ir.ToolCall]
    assert [part.call_id for part in turn.parts if isinstance(part, ir.ToolCall)] == [
        part.call_id for part in results.parts if isinstance(part, ir.ToolResult)
    ]


def test_codex_writes_a_file_with_the_freeform_patch_tool() -> None:
    request = parse(CAPTURES["codex-freeform-patch-0.169.0-write"][-1])
    patch = next(tool for tool in request.tools if getattr(tool, "name", "") == "apply_patch")
    assert isinstance(patch, ir.CustomTool)
    call = next(p for m in request.messages for p in m.parts if isinstance(p, ir.ToolCall))
    assert call.kind is ir.ToolKind.CUSTOM
    assert call.arguments.startswith("*** Begin Patch")


# ---------------------------------------------------------------------------------------- fields


def test_the_scalar_fields() -> None:
    request = parse(
        {
            "input": "hi",
            "instructions": "Be brief.",
            "temperature": 0.5,
            "top_p": 0.9,
            "max_output_tokens": 100.0,
            "parallel_tool_calls": False,
            "stream": True,
            "store": True,
            "metadata": {"k": "v"},
            "prompt_cache_key": "key",
            "safety_identifier": "me",
            "user": "other",
            "service_tier": "flex",
            "text": {"verbosity": "low"},
            "top_logprobs": 3,
            "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
        }
    )
    assert request == ir.Request(
        protocol="openai_responses",
        model="m",
        messages=(
            ir.Message(
                role=ir.Role.SYSTEM, parts=(ir.Text(text="Be brief."),), path="instructions"
            ),
            ir.Message(role=ir.Role.USER, parts=(ir.Text(text="hi"),), path="input[0]"),
        ),
        sampling=ir.Sampling(temperature=0.5, top_p=0.9),
        max_output_tokens=100,
        parallel_tool_calls=False,
        stream=True,
        store=True,
        metadata={"k": "v"},
        cache_key="key",
        cache_prefix=ir.CacheMark(),
        end_user="me",
        service_tier="flex",
        verbosity="low",
        logprobs=3,
    )


def test_par_13_null_is_absent_everywhere() -> None:
    bare = parse({"input": "hi"})
    assert parse({"input": "hi", **dict.fromkeys(NULLS)}) == bare
    assert bare.unshared == ()


@pytest.mark.parametrize(
    ("fields", "path", "loss"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", Loss.IMPOSSIBLE),
        ({"conversation": {"id": "conv_1"}}, "conversation", Loss.IMPOSSIBLE),
        ({"prompt": {"id": "p"}}, "prompt", Loss.IMPOSSIBLE),
        ({"background": True}, "background", Loss.MEANING),
        ({"truncation": "auto"}, "truncation", Loss.MEANING),
        ({"max_tool_calls": 3}, "max_tool_calls", Loss.HINT),
        ({"moderation": {"model": "x"}}, "moderation", Loss.SAFETY),
        ({"access_programs": {"cyber": "standard"}}, "access_programs", Loss.SAFETY),
        ({"multi_agent": {"x": 1}}, "multi_agent", Loss.IMPOSSIBLE),
        ({"client_metadata": {"a": "b"}}, "client_metadata", Loss.TELEMETRY),
        ({"prompt_cache_retention": "24h"}, "prompt_cache_retention", Loss.TELEMETRY),
        ({"context_management": [{"type": "compaction"}]}, "context_management", Loss.TELEMETRY),
        ({"image": {"context_compression": "enabled"}}, "image.context_compression", Loss.HINT),
        ({"prompt_cache_options": {"comparison_response_id": "r"}}, "prompt_cache_options.comparison_response_id", Loss.TELEMETRY),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation", Loss.TELEMETRY),
        ({"reasoning": {"context": "all_turns"}}, "reasoning.context", Loss.HINT),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode", Loss.HINT),
        ({"reasoning": {"summary": "detailed"}}, "reasoning.summary", Loss.HINT),
        ({"include": ["file_search_call.results"]}, "include[0]", Loss.TELEMETRY),
        ({"include": ["something.new"]}, "include[0]", Loss.UNKNOWN),
        ({"brand_new": 1}, "brand_new", Loss.UNKNOWN),
        ({"reasoning": {"brand_new": 1}}, "reasoning.brand_new", Loss.UNKNOWN),
        ({"text": {"brand_new": 1}}, "text.brand_new", Loss.UNKNOWN),
    ],
)  # fmt: skip
def test_sta_06_fields_of_this_protocol_alone(
    fields: dict[str, Any], path: str, loss: Loss
) -> None:
    assert losses_of(**fields) == [(path, loss)]


@pytest.mark.parametrize(
    "fields",
    [
        {"background": False},
        {"truncation": "disabled"},
        {"stream_options": {"include_obfuscation": False}},
        {"reasoning": {"context": "auto", "mode": "standard", "summary": "auto"}},
        {"image": {"context_compression": "auto"}},
        {"store": True},
        {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]},
        {"text": {"format": {"type": "text"}}},
    ],
)
def test_defaults_are_no_loss(fields: dict[str, Any]) -> None:
    assert losses_of(**fields) == []


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"input": 5}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"instructions": 5}, "instructions"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input[0].content[0]",
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0]"),
    ],
)
def test_a_refusal_names_the_path(fields: dict[str, Any], path: str) -> None:
    assert refused(**fields).path == path


def test_sta_11_a_missing_model_is_refused_with_its_name() -> None:
    with pytest.raises(GatewayError) as caught:
        TRANSLATOR.parse_request({"input": "hi"}, Call(), None)
    assert caught.value.path == "model"
    assert TRANSLATOR.parse_request({"input": "hi"}, Call(model="given"), None).model == "given"


def test_sta_01_input_may_only_be_missing_where_state_stands_for_it() -> None:
    with pytest.raises(GatewayError) as caught:
        parse({})
    assert caught.value.path == "input"
    assert [u.loss for u in parse({"previous_response_id": "r"}).unshared] == [Loss.IMPOSSIBLE]


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("none", ir.Level.OFF),
        ("minimal", ir.Level.MINIMAL),
        ("xhigh", ir.Level.XHIGH),
        ("max", ir.Level.MAX),
        ("ultra", ir.Level.MAX),
    ],
)
def test_rsn_23_efforts(word: str, level: ir.Level) -> None:
    request = parse({"input": "hi", "reasoning": {"effort": word, "summary": "auto"}})
    assert request.reasoning == ir.ReasoningControl(level=level, summary=True)


def test_out_01_the_flat_output_schema() -> None:
    schema = {"type": "object", "properties": {}}
    form = {
        "type": "json_schema",
        "name": "n",
        "schema": schema,
        "strict": True,
        "description": "d",
    }
    request = parse({"input": "hi", "text": {"format": form}})
    assert request.output == ir.OutputFormat(
        kind=ir.OutputKind.JSON_SCHEMA,
        schema=schema,
        name="n",
        description="d",
        strict=True,
        path="text.format",
    )
    assert parse({"input": "hi", "text": {"format": {"type": "json_object"}}}).output == (
        ir.OutputFormat(kind=ir.OutputKind.JSON_OBJECT, path="text.format")
    )


@pytest.mark.parametrize(
    ("fields", "mark"),
    [
        ({}, None),
        ({"prompt_cache_key": "k"}, ir.CacheMark()),
        ({"prompt_cache_options": {"mode": "implicit", "ttl": "12h"}}, ir.CacheMark(ttl="12h")),
        ({"prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit"}}, None),
    ],
)
def test_cache_hints(fields: dict[str, Any], mark: ir.CacheMark | None) -> None:
    assert parse({"input": "hi", **fields}).cache_prefix == mark


def test_max_tool_calls_limits_the_only_search() -> None:
    request = parse({"input": "hi", "tools": [{"type": "web_search"}], "max_tool_calls": 2})
    [tool] = request.tools
    assert isinstance(tool, ir.HostedTool)
    assert tool.search is not None
    assert tool.search.max_uses == 2
    assert request.unshared == ()


def test_a_body_to_count_needs_no_input() -> None:
    [example] = EXAMPLES["input_tokens_request"]
    counted = Call(operation=Operation.COUNT_TOKENS)
    assert TRANSLATOR.parse_request(example, counted, None).unshared == ()
    assert TRANSLATOR.parse_request({"model": "m"}, counted, None).messages == ()


def test_paths_lead_to_the_clients_fields() -> None:
    request = parse({"input": "hi"})
    assert request.path_of("output") == "text.format"
    assert request.path_of("end_user") == "safety_identifier"
    assert request.path_of("stop") == "stop"
