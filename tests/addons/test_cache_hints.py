"""Caching hints that the gateway adds: never more than four marks, never where they are refused."""

from __future__ import annotations

from typing import Any

import pytest

from addons.cache_hints import MARK, declines, with_key, with_marks
from translators import PROTOCOLS, ir
from translators.base import Target
from translators.losses import Losses
from translators.wire import dumps


def turn(role: ir.Role, *parts: ir.Part) -> ir.Message:
    return ir.Message(role=role, parts=parts)


def request(*messages: ir.Message, tools: int = 0) -> ir.Request:
    declared = tuple(
        ir.FunctionTool(name=f"tool_{number}", schema={"type": "object", "properties": {}})
        for number in range(tools)
    )
    return ir.Request(protocol="openai_chat", model="m", messages=messages, tools=declared)


SYSTEM = turn(ir.Role.SYSTEM, ir.Text(text="You are a helper."))
LONG = request(
    SYSTEM,
    turn(ir.Role.USER, ir.Text(text="one")),
    turn(ir.Role.ASSISTANT, ir.Reasoning(text="hm"), ir.ToolCall(call_id="c1", name="tool_0")),
    turn(ir.Role.USER, ir.ToolResult(call_id="c1", content=(ir.Text(text="ok"),))),
    turn(ir.Role.ASSISTANT, ir.Text(text="done")),
    turn(ir.Role.USER, ir.Text(text="two")),
    tools=3,
)


def marks(body: dict[str, Any]) -> int:
    return dumps(body).count(b'"cache_control"')


def test_cac_02_four_marks_at_most_reach_the_wire() -> None:
    rendered = PROTOCOLS["anthropic"].render_request(
        with_marks(LONG), Target(provider="p", model="m"), Losses()
    )
    assert marks(rendered.body) == 4
    assert "cache_control" in rendered.body["tools"][-1]
    assert "cache_control" in rendered.body["system"][-1]
    assert "cache_control" in rendered.body["messages"][-1]["content"][-1]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((ir.Text(text="  "),), id="an empty text"),
        pytest.param((ir.Reasoning(text="hm"),), id="thinking"),
    ],
)
def test_cac_03_what_cannot_carry_a_mark_gets_none(parts: tuple[ir.Part, ...]) -> None:
    marked = with_marks(request(turn(ir.Role.USER, *parts)))
    assert marked.messages[0].parts == parts


def test_a_client_that_marks_anything_is_left_alone() -> None:
    own = request(turn(ir.Role.USER, ir.Text(text="Hi", cache=MARK)), SYSTEM, tools=2)
    assert with_marks(own) is own


def test_a_client_can_decline() -> None:
    assert declines({"prompt_cache_options": {"mode": "explicit"}})
    assert not declines({"prompt_cache_options": {"mode": "implicit"}})
    assert not declines({})


def test_cac_09_the_marks_of_the_next_turn_begin_with_the_same_prefix() -> None:
    following = request(
        *LONG.messages,
        turn(ir.Role.ASSISTANT, ir.Text(text="fine")),
        turn(ir.Role.USER, ir.Text(text="three")),
        tools=3,
    )
    first, second = with_marks(LONG), with_marks(following)
    assert first.tools == second.tools
    assert first.messages[0] == second.messages[0]
    assert second.messages[5] == first.messages[5]


def test_cac_07_a_key_comes_from_the_session_unless_there_is_one() -> None:
    assert with_key(LONG, "s").cache_key == "s"
    assert with_key(LONG, None) is LONG
    assert with_key(with_key(LONG, "s"), "t").cache_key == "s"
