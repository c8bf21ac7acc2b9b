"""Reasoning memory: what it gives back, to whom, and for how long."""

from __future__ import annotations

import pytest

from translators import ir
from translators.memory import ReasoningMemory

STATE = ir.OpaqueState(kind=ir.StateKind.GEMINI_SIGNATURE, value="sig", provider="p", model="m")
THOUGHT = ir.Reasoning(text="hm", state=STATE)
CALL = ir.ToolCall(call_id="c1", name="f")
OTHER = ir.ToolCall(call_id="c2", name="f")


def said(text: str) -> ir.Text:
    return ir.Text(text=text)


def history(*parts: ir.Part) -> ir.Request:
    return ir.Request(
        protocol="openai_chat",
        model="m",
        messages=(
            ir.Message(role=ir.Role.USER, parts=(said("q"),)),
            ir.Message(role=ir.Role.ASSISTANT, parts=parts),
        ),
    )


def restored(memory: ReasoningMemory, *parts: ir.Part, now_s: float = 1.0) -> list[ir.Part]:
    return list(memory.restore("t", history(*parts), now_s).messages[1].parts)


@pytest.mark.parametrize(
    ("answer", "back", "expected"),
    [
        pytest.param([THOUGHT, CALL], [CALL], [THOUGHT, CALL], id="before the call"),
        pytest.param(
            [CALL, THOUGHT, OTHER], [CALL, OTHER], [CALL, THOUGHT, OTHER],
            id="before the call that it led to, not the first",
        ),
        pytest.param(
            [said("a"), THOUGHT, CALL], [said("a"), CALL], [said("a"), THOUGHT, CALL],
            id="behind text that came first",
        ),
        pytest.param(
            [THOUGHT, said("a"), CALL], [said("a"), CALL], [THOUGHT, said("a"), CALL],
            id="in front of text that followed",
        ),
        pytest.param(
            [THOUGHT, CALL], [ir.Reasoning(text="hm"), CALL], [THOUGHT, CALL],
            id="in place of its readable copy",
        ),
        pytest.param(
            [ir.Reasoning(text="no state"), CALL], [CALL], [CALL], id="nothing without state"
        ),
        pytest.param([THOUGHT, said("a")], [said("a")], [said("a")], id="nothing without a call"),
    ],
)  # fmt: skip
def test_reasoning_comes_back(
    answer: list[ir.Part], back: list[ir.Part], expected: list[ir.Part]
) -> None:
    memory = ReasoningMemory()
    memory.remember("t", answer, 0.0)
    assert restored(memory, *back) == expected


def test_state_that_the_client_sent_wins() -> None:
    memory = ReasoningMemory()
    memory.remember("t", [THOUGHT, CALL], 0.0)
    own = ir.Reasoning(text="own", state=STATE)
    assert restored(memory, own, CALL) == [own, CALL]


def test_another_tenant_gets_nothing() -> None:
    memory = ReasoningMemory()
    memory.remember("other", [THOUGHT, CALL], 0.0)
    request = history(CALL)
    assert memory.restore("t", request, 1.0) is request


def test_it_forgets_after_its_time_but_not_while_used() -> None:
    memory = ReasoningMemory(ttl_s=10)
    memory.remember("t", [THOUGHT, CALL], 0.0)
    assert restored(memory, CALL, now_s=9.0) == [THOUGHT, CALL]
    assert restored(memory, CALL, now_s=18.0) == [THOUGHT, CALL]
    assert restored(memory, CALL, now_s=28.0) == [CALL]
    assert len(memory) == 0


def test_the_bound_drops_the_least_recently_used() -> None:
    memory = ReasoningMemory(max_chars=10)
    memory.remember("t", [THOUGHT, CALL], 0.0)
    memory.remember("t", [THOUGHT, OTHER], 0.0)
    restored(memory, CALL)
    memory.remember("t", [THOUGHT, ir.ToolCall(call_id="c3", name="f")], 0.0)
    assert restored(memory, CALL) == [THOUGHT, CALL]
    assert restored(memory, OTHER) == [OTHER]


def test_what_is_too_large_is_not_kept() -> None:
    memory = ReasoningMemory(max_chars=3)
    memory.remember("t", [THOUGHT, CALL], 0.0)
    assert len(memory) == 0


def test_expired_entries_make_room() -> None:
    memory = ReasoningMemory(ttl_s=1)
    memory.remember("t", [THOUGHT, CALL], 0.0)
    memory.remember("t", [THOUGHT, OTHER], 5.0)
    assert len(memory) == 1
