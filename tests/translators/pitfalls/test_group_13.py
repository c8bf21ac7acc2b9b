"""Pitfalls, group 13: state that only Responses has, as far as translating decides it."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import ResponseToolSearchCall

from tests.support.pitfalls import A, C, G, R, answer, cross, sse, stream
from translators.errors import ErrorKind, GatewayError
from translators.losses import Mode

OTHERS = [C, A, G]
HELLO = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"previous_response_id": "resp_x"}, id="sta-01"),
        pytest.param({"conversation": "conv_x"}, id="sta-06 conversation"),
        pytest.param({"prompt": {"id": "pmpt_x"}}, id="sta-06 prompt"),
    ],
)
def test_sta_01_sta_06_what_is_kept_elsewhere_is_refused_by_name(
    upstream: str, mode: Mode, more: dict[str, Any]
) -> None:
    with pytest.raises(GatewayError) as caught:
        cross(R, upstream, {"input": [HELLO], **more}, mode=mode)
    assert (caught.value.path or "").startswith(next(iter(more)))


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_06_background_is_refused_or_told(upstream: str) -> None:
    asked = {"input": [HELLO], "background": True}
    with pytest.raises(GatewayError) as caught:
        cross(R, upstream, asked, mode=Mode.BALANCED)
    assert caught.value.kind is ErrorKind.UNTRANSLATABLE
    assert "background" in cross(R, upstream, asked).lost


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_08_no_choice_without_tools(upstream: str) -> None:
    asked = {"input": [HELLO], "tool_choice": "auto", "parallel_tool_calls": True}
    text = cross(R, upstream, asked).text
    for word in ("tool_choice", "parallel_tool_calls", "toolConfig", "disable_parallel_tool_use"):
        assert word not in text


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_10_repeated_item_ids_do_not_lose_a_call(upstream: str) -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}", "id": "fc_1"}
    items = [
        HELLO,
        {**call, "call_id": "call_1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "first"},
        {**call, "call_id": "call_2"},
        {"type": "function_call_output", "call_id": "call_2", "output": "second"},
    ]
    text = cross(R, upstream, {"input": items}).text
    assert "first" in text
    assert "second" in text


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_12_includes_go_nowhere(upstream: str) -> None:
    asked = {"input": [HELLO], "include": ["web_search_call.action.sources", "future.thing"]}
    crossed = cross(R, upstream, asked)
    assert "include" not in crossed.body
    assert "web_search_call" not in crossed.text


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_13_an_unknown_item_never_crashes_and_is_never_lost_in_silence(upstream: str) -> None:
    item = {"type": "agent_message", "id": "am_1", "content": "hello from another agent"}
    crossed = cross(R, upstream, {"input": [HELLO, item, HELLO]})
    assert "hello from another agent" in crossed.text or "input[1]" in crossed.lost


SEARCH = {
    "type": "tool_search",
    "execution": "client",
    "description": "Find tools.",
    "parameters": {
        "type": "object",
        "properties": {"query": {"type": "string"}, "limit": {"type": "number"}},
        "required": ["query"],
        "additionalProperties": False,
    },
}
TICKETS = {
    "type": "namespace",
    "name": "mcp__jira",
    "tools": [{"type": "function", "name": "create", "parameters": {"type": "object"}}],
}
SEARCHED = [
    HELLO,
    {
        "type": "tool_search_call",
        "call_id": "call_s1",
        "execution": "client",
        "status": "completed",
        "arguments": {"query": "tickets"},
    },
    {
        "type": "tool_search_output",
        "call_id": "call_s1",
        "execution": "client",
        "status": "completed",
        "tools": [TICKETS],
    },
]


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_13_a_clients_search_for_tools_is_a_function_elsewhere(upstream: str) -> None:
    crossed = cross(R, upstream, {"input": [HELLO], "tools": [SEARCH]}, mode=Mode.BALANCED)
    assert '"name":"tool_search"' in crossed.text
    assert '"query"' in crossed.text
    assert "tools[0]" in crossed.lost
    with pytest.raises(GatewayError):
        cross(R, upstream, {"input": [HELLO], "tools": [SEARCH]}, mode=Mode.STRICT)


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_13_what_it_found_can_be_called(upstream: str) -> None:
    crossed = cross(R, upstream, {"input": SEARCHED, "tools": [SEARCH]})
    assert "mcp__jira__create" in crossed.reading.tools
    assert "These tools can be called now: mcp__jira__create" in crossed.text
    assert "tickets" in crossed.text


CALLED: dict[str, dict[str, Any]] = {
    C: {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "tool_search", "arguments": '{"query":"q"}'},
                        }
                    ],
                },
            }
        ],
    },
    A: {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "tool_use", "id": "call_1", "name": "tool_search", "input": {"query": "q"}}
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    G: {
        "responseId": "x",
        "modelVersion": "m",
        "candidates": [
            {
                "index": 0,
                "finishReason": "STOP",
                "content": {
                    "role": "model",
                    "parts": [
                        {
                            "functionCall": {
                                "id": "call_1",
                                "name": "tool_search",
                                "args": {"query": "q"},
                            }
                        }
                    ],
                },
            }
        ],
    },
}
SEARCH_CALL = {
    "type": "tool_search_call",
    "execution": "client",
    "call_id": "call_1",
    "arguments": {"query": "q"},
    "status": "completed",
}


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_13_its_call_comes_back_as_a_search(upstream: str) -> None:
    crossed = cross(R, upstream, {"input": [HELLO], "tools": [SEARCH]})
    body, _ = answer(upstream, R, CALLED[upstream], crossed)
    (item,) = body["output"]
    assert item == {**SEARCH_CALL, "id": item["id"]}
    ResponseToolSearchCall.model_validate(item, strict=True)


def test_sta_13_its_call_is_streamed_as_a_search() -> None:
    crossed = cross(R, C, {"input": [HELLO], "tools": [SEARCH]}, stream=True)
    call = CALLED[C]["choices"][0]["message"]["tool_calls"][0]
    head = {**call, "index": 0, "function": {"name": "tool_search", "arguments": ""}}
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    pieces = ['{"que', 'ry":"q"}']
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "tool_calls": [head]},
        *({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces),
    ]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    data = sse(*({**chunk, "choices": [choice]} for choice in choices), done=True)
    events = stream(C, R, data, crossed)
    items = [event for event in events if "output_item" in event["type"]]
    added, done = items
    assert (added["item"]["status"], added["item"]["arguments"]) == ("in_progress", {})
    assert done["item"] == {**SEARCH_CALL, "id": added["item"]["id"]}
    assert not any("function_call" in event["type"] for event in events)
    assert events[-1]["response"]["output"] == [done["item"]]


def test_sta_13_among_responses_it_stays_a_search() -> None:
    crossed = cross(R, R, {"input": SEARCHED, "tools": [SEARCH]})
    assert crossed.body["tools"][0] == SEARCH
    _, call, output = crossed.body["input"]
    assert (call["type"], call["arguments"]) == ("tool_search_call", {"query": "tickets"})
    assert (output["type"], output["call_id"]) == ("tool_search_output", "call_s1")
    assert "create" in str(crossed.body["tools"][1:])


def test_sta_13_a_search_of_the_providers_own_is_left_out() -> None:
    asked = {"input": [HELLO], "tools": [{"type": "tool_search", "execution": "server"}]}
    assert "tool_search" not in cross(R, C, asked).text
