"""Rows of the pitfalls that no other file here shows, each by its id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.translators.openai_responses.support import (
    CAPTURES,
    assistant,
    check_events,
    decode,
    encode,
    fold,
    hub_request,
    parse,
    payloads,
    render,
    sse,
    user,
    writing,
)
from translators import ir
from translators.base import Writing
from translators.losses import Losses, Mode
from translators.openai_responses import TRANSLATOR
from translators.wire import dumps, loads


def test_sys_04_no_item_of_role_system_is_written() -> None:
    request = parse(
        {
            "input": [
                {"role": "user", "content": "a"},
                {"role": "system", "content": "S"},
                {"role": "user", "content": "b"},
            ]
        }
    )
    assert [item["role"] for item in render(request)["input"]] == ["user", "developer", "user"]


def test_tool_26_big_integers_keep_their_digits() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 2**63 - 1}}}
    body = loads(
        dumps({"input": "x", "tools": [{"type": "function", "name": "f", "parameters": schema, "strict": False}]})
    )  # fmt: skip
    [tool] = render(parse(body))["tools"]
    assert b"9223372036854775807" in dumps(tool)
    arguments = '{"n":9223372036854775809}'
    history = hub_request(
        user("x"),
        assistant(ir.ToolCall(call_id="c", name="f", arguments=arguments)),
        user(ir.ToolResult(call_id="c")),
    )
    assert render(history)["input"][1]["arguments"] == arguments


def test_res_09_outputs_that_stand_far_from_their_calls() -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "output": "x"}
    items = render(
        parse(
            {
                "input": [
                    "go",
                    {**call, "call_id": "a"},
                    {"role": "assistant", "content": "meanwhile"},
                    {**output, "call_id": "a"},
                    {**call, "call_id": "b"},
                    {"role": "user", "content": "and?"},
                    {**output, "call_id": "b"},
                ]
            }
        )
    )["input"]
    kinds = [(item["type"], item.get("call_id")) for item in items]
    for call_id in "ab":
        at = kinds.index(("function_call", call_id))
        assert kinds[at + 1] == ("function_call_output", call_id)


def test_str_10_the_open_message_is_closed_before_a_call_opens() -> None:
    events: list[ir.StreamEvent] = [
        ir.MessageStart(id="x", model="m"),
        ir.PartStart(index=0, part=ir.Text(text="")),
        ir.PartDelta(0, "Hi"),
        ir.PartEnd(index=0),
        ir.PartStart(index=1, part=ir.ToolCall(call_id="c", name="f")),
        ir.PartDelta(1, "{}"),
        ir.PartEnd(index=1),
        ir.Finish(reason=ir.FinishReason.TOOL_CALLS),
    ]
    read = payloads(encode(events))
    check_events(read)
    kinds = [(event["type"], event.get("output_index")) for event in read]
    done = kinds.index(("response.output_item.done", 0))
    assert kinds[done + 1] == ("response.output_item.added", 1)


def test_str_38_a_line_of_megabytes() -> None:
    big = "A" * 3_000_000
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": big}
    data = sse(
        [
            {"type": "response.created", "response": {"id": "resp_1"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": "resp_1", "output": [item]}},
        ]
    )
    [thought] = fold(decode(data[i : i + 65536] for i in range(0, len(data), 65536))).parts
    assert isinstance(thought, ir.Reasoning)
    assert thought.state is not None
    assert thought.state.value == big


@pytest.mark.parametrize(
    "field",
    [
        {"prompt_cache_retention": "24h"},
        {"prompt_cache_options": {"mode": "implicit", "ttl": "12h"}},
        {"stream_options": {"include_obfuscation": True}},
        {"include": ["web_search_call.action.sources", "code_interpreter_call.outputs"]},
        {"client_metadata": {"a": "b"}},
    ],
    ids=str,
)
def test_cac_08_sta_12_par_16_hints_do_not_reach_the_upstream(field: dict[str, Any]) -> None:
    bare = render(parse({"input": "hi"}))
    assert render(parse({"input": "hi", **field})) == bare


@pytest.mark.parametrize(
    "field",
    [
        {"truncation": "auto"},
        {"max_tool_calls": 3},
        {"reasoning": {"context": "all_turns"}},
        {"image": {"context_compression": "enabled"}},
        {"moderation": {"model": "x"}},
        {"brand_new": {"a": [1]}},
    ],
    ids=str,
)
def test_par_15_what_the_same_protocol_can_say_survives_the_hub(field: dict[str, Any]) -> None:
    body = render(parse({"input": "hi", **field}), Mode.STRICT)
    assert body == {**render(parse({"input": "hi"})), **field}
    foreign = replace(parse({"input": "hi", **field}), protocol="other")
    assert render(foreign) == render(parse({"input": "hi"}))


def test_cac_08_breakpoints_only_where_they_are_understood() -> None:
    part = {"type": "input_text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}  # fmt: skip
    request = parse({"input": [{"role": "user", "content": [part]}]})
    assert render(request)["input"][0]["content"] == [{"type": "input_text", "text": "hi"}]
    assert render(request, cache_marks=True)["input"][0]["content"] == [part]


def test_cit_05_nothing_internal_is_on_the_wire() -> None:
    """Every key of a request is one that the reference lists."""
    known = {
        "model", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "max_tool_calls",
        "reasoning", "text", "temperature", "top_p", "max_output_tokens", "top_logprobs", "metadata",
        "safety_identifier", "prompt_cache_key", "service_tier", "include", "store", "stream",
    }  # fmt: skip
    for bodies in CAPTURES.values():
        for body in bodies:
            assert set(render(parse(body), cache_marks=True)) <= known


def test_an_unknown_part_of_a_turn_goes_back_inside_a_message() -> None:
    part = {"type": "output_video", "url": "https://e.com"}
    said = {"type": "message", "role": "assistant", "content": [part]}
    items = render(parse({"input": ["hi", said, "go on"]}))["input"]
    assert items[1] == said


def test_codex_gets_back_what_it_sends_back() -> None:
    """A turn of Codex: freeform call, namespace and reasoning of another vendor survive the round."""
    [first, _] = CAPTURES["codex-known-model-0.169.0-reasoning-tool"]
    state = ir.OpaqueState(kind=ir.StateKind.GEMINI_SIGNATURE, value="s", provider="g", model="n")
    answer = ir.Response(
        id="r",
        model="n",
        parts=(
            ir.Reasoning(text="hm", state=state),
            ir.ToolCall(
                call_id="call_1", name="exec", arguments="text(1)", kind=ir.ToolKind.CUSTOM
            ),
            ir.ToolCall(call_id="call_2", name="sleep", namespace="clock", arguments="{}"),
        ),
        finish_reason=ir.FinishReason.TOOL_CALLS,
    )
    how: Writing = writing(first)
    output = TRANSLATOR.render_response(answer, how, Losses())["output"]
    assert [item.get("namespace") for item in output] == [None, None, "clock"]
    outputs = [
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "1"},
        {"type": "function_call_output", "call_id": "call_2", "output": "ok"},
    ]
    again = parse({**first, "input": [*first["input"], *output, *outputs]})
    turn = again.messages[-2]
    assert turn.parts == tuple(
        part if isinstance(part, ir.Reasoning) else _with_item_id(part, item)
        for part, item in zip(answer.parts, output, strict=True)
    )


def _with_item_id(part: ir.Part, item: dict[str, Any]) -> ir.Part:
    assert isinstance(part, ir.ToolCall)
    return ir.ToolCall(
        call_id=part.call_id,
        name=part.name,
        namespace=part.namespace,
        arguments=part.arguments,
        kind=part.kind,
        item_id=item["id"],
    )
