"""Pitfalls, group 1: system and developer messages, role alternation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.flat import flat, of_kind
from tests.support.pitfalls import ALL, PNG, A, C, G, R, cross, parse
from translators.errors import ErrorKind, GatewayError
from translators.losses import Mode
from translators.profile import MidSystem

ASK = {"role": "user", "content": "go"}
TURN = {"role": "user", "parts": [{"text": "go"}]}
TWO_SOURCES: dict[str, Any] = {
    C: {
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "developer", "content": "D"},
            ASK,
        ]
    },
    R: {"instructions": "S", "input": [{"role": "developer", "content": "D"}, ASK]},
}
ATTRIBUTION = "x-anthropic-billing-header: cc_version=2.1; cch=ab12"


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", [C, R])
def test_sys_01_every_fragment_of_instructions_arrives_in_order(client: str, upstream: str) -> None:
    body = cross(client, upstream, TWO_SOURCES[client]).body
    told = flat(upstream, body)
    assert told[-1] == ("user", "go")
    assert "\n\n".join(text for kind, text in told[:-1] if kind == "system") == "S\n\nD"


@pytest.mark.parametrize("client", [C, R])
def test_sys_01_anthropic_gets_one_block_per_source(client: str) -> None:
    body = cross(client, A, TWO_SOURCES[client]).body
    assert [block["text"] for block in body["system"]] == ["S", "D"]
    assert [message["role"] for message in body["messages"]] == ["user"]


MID: dict[str, Any] = {
    "system": "S",
    "messages": [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
        {"role": "system", "content": "late"},
    ],
}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        pytest.param(
            MidSystem.KEEP, ["system", "user", "assistant", "user", "system"], id="keep in place"
        ),
        pytest.param(
            MidSystem.HOIST, ["system", "system", "user", "assistant", "user"], id="into the first"
        ),
        pytest.param(
            MidSystem.USER, ["system", "user", "assistant", "user", "user"], id="as a reminder"
        ),
    ],
)
@pytest.mark.parametrize("upstream", [C, R])
def test_sys_02_a_late_system_turn_by_the_upstream(
    upstream: str, how: MidSystem, expected: list[str]
) -> None:
    crossed = cross(A, upstream, MID, mid_system=how)
    told = flat(upstream, crossed.body)
    texts = [text for _, text in told]
    if how is MidSystem.HOIST:
        # One leading message: templates refuse a second system turn as they refuse a late one.
        systems = [text for kind, text in told if kind == "system"]
        assert "\n\n".join(systems) == "S\n\nlate"
        assert "late" not in "".join(text for kind, text in told if kind != "system")
        kinds = [kind for kind, _ in told]
        assert kinds.index("user") == len(systems), "no system turn after the first other turn"
        assert "messages[3]" in crossed.lost
        return
    assert [kind for kind, _ in told] == expected
    assert texts[-1] == ("late" if how is MidSystem.KEEP else "<system>late</system>")
    assert ("messages[3]" in crossed.lost) == (how is not MidSystem.KEEP)


def test_sys_02_a_strict_chat_template_gets_one_leading_system_message() -> None:
    body = cross(A, C, MID, mid_system=MidSystem.HOIST).body
    assert [message["role"] for message in body["messages"]] == [
        "system",
        "user",
        "assistant",
        "user",
    ]


def test_sys_02_gemini_has_no_such_role_and_gets_a_reminder() -> None:
    told = flat(G, cross(A, G, MID).body)
    assert told[-1] == ("user", "<system>late</system>")


@pytest.mark.parametrize("upstream", [A, G])
def test_sys_02_strict_mode_refuses_what_would_lose_authority(upstream: str) -> None:
    with pytest.raises(GatewayError) as caught:
        cross(A, upstream, MID, mode=Mode.STRICT, mid_system=MidSystem.USER)
    assert caught.value.path == "messages[3]"


@pytest.mark.parametrize("client", [C, R, A, G])
def test_sys_04_no_responses_item_has_the_role_system(client: str) -> None:
    bodies: dict[str, Any] = {
        C: {"messages": [{"role": "system", "content": "S"}, ASK]},
        R: {"input": [{"role": "system", "content": "S"}, ASK]},
        A: {"system": "S", "messages": [ASK]},
        G: {"systemInstruction": {"parts": [{"text": "S"}]}, "contents": [TURN]},
    }
    body = cross(client, R, bodies[client]).body
    assert flat(R, body) == [("system", "S"), ("user", "go")]
    assert all(item.get("role") != "system" for item in body["input"])


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize(
    "system",
    [
        pytest.param("Be brief.", id="a string"),
        pytest.param(
            [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            id="blocks",
        ),
    ],
)
def test_sys_06_both_spellings_of_anthropics_system(system: Any, upstream: str) -> None:
    body = cross(A, upstream, {"system": system, "messages": [ASK]}).body
    assert flat(upstream, body) == [("system", "Be brief."), ("user", "go")]


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("key", ["systemInstruction", "system_instruction"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"parts": [{"text": "S"}]}, id="an object"),
        pytest.param({"role": "system", "parts": [{"text": "S"}]}, id="an object with a role"),
        pytest.param("S", id="a string"),
        pytest.param({"parts": {"text": "S"}}, id="one part"),
    ],
)
def test_sys_07_both_spellings_of_geminis_system(key: str, value: Any, upstream: str) -> None:
    crossed = cross(G, upstream, {key: value, "contents": [TURN]})
    assert flat(upstream, crossed.body) == [("system", "S"), ("user", "go")]
    assert "system_instruction" not in crossed.text


@pytest.mark.parametrize("client", [C, R, A])
def test_sys_07_gemini_is_always_written_in_camel_case(client: str) -> None:
    bodies: dict[str, Any] = {
        C: {"messages": [{"role": "system", "content": "S"}, ASK]},
        R: {"instructions": "S", "input": "go"},
        A: {"system": "S", "messages": [ASK]},
    }
    crossed = cross(client, G, bodies[client])
    assert crossed.body["systemInstruction"] == {"parts": [{"text": "S"}]}
    assert "system_instruction" not in crossed.text


def test_sys_09_items_are_gathered_by_role() -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "output": "r"}
    body = cross(
        R,
        A,
        {
            "input": [
                {"type": "message", "role": "user", "content": "a"},
                {"type": "message", "role": "user", "content": "b"},
                {**call, "call_id": "c1"},
                {**call, "call_id": "c2"},
                {**output, "call_id": "c1"},
                {**output, "call_id": "c2"},
                {"type": "message", "role": "user", "content": "d"},
            ]
        },
    ).body
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    kinds = [[block["type"] for block in message["content"]] for message in body["messages"]]
    assert kinds == [
        ["text", "text"],
        ["tool_use", "tool_use"],
        ["tool_result", "tool_result", "text"],
    ]


EMPTY: dict[str, Any] = {
    C: {"messages": [ASK, {"role": "assistant", "content": ""}, {"role": "user", "content": "on"}]},
    A: {
        "messages": [
            ASK,
            {"role": "assistant", "content": [{"type": "text", "text": ""}]},
            {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "on"}]},
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", [C, A])
def test_sys_10_empty_texts_are_dropped(client: str, upstream: str) -> None:
    crossed = cross(client, upstream, EMPTY[client])
    assert flat(upstream, crossed.body) == [("user", "go"), ("user", "on")]


@pytest.mark.parametrize("upstream", [C, R, A, G])
@pytest.mark.parametrize("content", ["", [{"type": "text", "text": ""}]])
def test_sys_10_an_all_empty_user_message_is_refused(upstream: str, content: Any) -> None:
    """Section 3, rule 6: it is refused, where the pitfall would drop the turn."""
    for client in (C, A):
        with pytest.raises(GatewayError) as caught:
            cross(client, upstream, {"messages": [{"role": "user", "content": content}]})
        assert caught.value.kind is ErrorKind.INVALID_REQUEST
        assert "messages[0]" in (caught.value.path or "")


@pytest.mark.parametrize("upstream", ALL)
def test_sys_10_an_empty_result_keeps_its_pairing(upstream: str) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        ASK,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": ""},
    ]
    told = flat(upstream, cross(C, upstream, {"messages": messages}).body)
    assert [item[0] for item in told] == ["user", "call", "result"]


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("content", [None, "", []])
def test_sys_11_a_call_without_text_brings_no_empty_message(content: Any, upstream: str) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        ASK,
        {"role": "assistant", "content": content, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
    ]
    body = cross(C, upstream, {"messages": messages}).body
    assert [item[0] for item in flat(upstream, body)] == ["user", "call", "result"]
    if upstream == R:
        kinds = [item.get("type", "message") for item in body["input"]]
        assert kinds == ["message", "function_call", "function_call_output"]


@pytest.mark.parametrize("client", [R, A, G])
def test_sys_12_a_message_that_nothing_is_left_of_is_dropped(client: str) -> None:
    bodies: dict[str, Any] = {
        R: {
            "input": [
                ASK,
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
                {"role": "user", "content": "on"},
            ]
        },
        A: {
            "messages": [
                ASK,
                {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]},
                {"role": "user", "content": "on"},
            ]
        },
        G: {
            "contents": [
                TURN,
                {"role": "model", "parts": [{"text": "", "thoughtSignature": "eA=="}]},
                {"role": "user", "parts": [{"text": "on"}]},
            ]
        },
    }
    messages = cross(client, C, bodies[client]).body["messages"]
    assert [message["role"] for message in messages] == ["user", "user"]


@pytest.mark.parametrize("upstream", [C, R, G])
def test_sys_16_the_attribution_line_stays_with_its_vendor(upstream: str) -> None:
    def translated(line: str) -> str:
        system = [{"type": "text", "text": line}, {"type": "text", "text": "S"}]
        return cross(A, upstream, {"system": system, "messages": [ASK]}).text

    first, second = translated(ATTRIBUTION), translated(ATTRIBUTION + "9")
    assert first == second, "a value that changes per request would spoil the provider's cache"
    assert "billing-header" not in first


def test_sys_17_an_image_in_a_system_message_is_refused_here() -> None:
    content = [
        {"type": "text", "text": "S"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    with pytest.raises(GatewayError) as caught:
        cross(C, A, {"messages": [{"role": "system", "content": content}, ASK]})
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert caught.value.path == "messages[0].content[1]"


@pytest.mark.parametrize("upstream", ALL)
def test_sys_18_results_come_before_what_the_user_says(upstream: str) -> None:
    messages = [
        ASK,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "and then"},
                {"type": "tool_result", "tool_use_id": "c1", "content": "r"},
            ],
        },
    ]  # fmt: skip
    told = flat(upstream, cross(A, upstream, {"messages": messages}).body)
    assert [item[0] for item in told] == ["user", "call", "result", "user"]
    assert told[-1] == ("user", "and then")


@pytest.mark.parametrize("how", [MidSystem.USER, MidSystem.HOIST])
@pytest.mark.parametrize("upstream", [A, G, C])
def test_sys_19_what_the_gateway_puts_in_stands_after_the_results(
    upstream: str, how: MidSystem
) -> None:
    """The one text that the gateway injects into user turns is a wrapped system message."""
    messages = [
        ASK,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "system", "content": "late"},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
    ]
    told = flat(upstream, cross(C, upstream, {"messages": messages}, mid_system=how).body)
    kinds = [item[0] for item in told]
    assert kinds.index("result") == kinds.index("call") + 1
    [place] = [place for place, item in enumerate(told) if "late" in str(item)]
    if told[place][0] == "system":
        assert how is MidSystem.HOIST
        assert place == 0
    else:
        assert place > kinds.index("result")


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize(
    "items",
    [
        pytest.param("hi", id="a string"),
        pytest.param([{"role": "user", "content": "hi"}], id="shorthand"),
        pytest.param([{"type": "message", "role": "user", "content": "hi"}], id="typed, string"),
        pytest.param(
            [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
            id="typed",
        ),
    ],
)  # fmt: skip
def test_sys_20_every_spelling_of_input(items: Any, upstream: str) -> None:
    assert flat(upstream, cross(R, upstream, {"input": items}).body) == [("user", "hi")]


@pytest.mark.parametrize("upstream", ALL)
def test_sys_21_all_parts_of_geminis_system_in_order(upstream: str) -> None:
    system = {"parts": [{"text": "S1"}, {"text": "S2"}]}
    told = of_kind(
        upstream,
        cross(G, upstream, {"systemInstruction": system, "contents": [TURN]}).body,
        "system",
    )
    assert "\n\n".join(text for _, text in told) == "S1\n\nS2"


def test_sys_02_hoisting_keeps_the_source_order() -> None:
    body = {"messages": [*MID["messages"], {"role": "system", "content": "later"}]}
    request = parse(A, {"system": "S", **body})
    assert request.messages[0].role == "system"
    told = of_kind(
        C, cross(A, C, {"system": "S", **body}, mid_system=MidSystem.HOIST).body, "system"
    )
    assert "\n\n".join(text for _, text in told) == "S\n\nlate\n\nlater"
