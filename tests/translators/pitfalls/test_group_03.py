"""Pitfalls, group 3: tool choice and parallel calls."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.flat import of_kind, schemas
from tests.support.pitfalls import ALL, PAIRS, A, C, G, R, answer, cross, sse, stream
from translators.errors import GatewayError
from translators.ir import HostedKind
from translators.losses import Mode
from translators.profile import ThinkingForm

START: dict[str, dict[str, Any]] = {
    C: {"messages": [{"role": "user", "content": "go"}]},
    R: {"input": "go"},
    A: {"messages": [{"role": "user", "content": "go"}]},
    G: {"contents": [{"role": "user", "parts": [{"text": "go"}]}]},
}
OBJECT: dict[str, Any] = {"type": "object", "properties": {}}


def tools(client: str, *names: str) -> list[dict[str, Any]]:
    """Function tools as a client declares them."""
    match client:
        case "openai_chat":
            return [{"type": "function", "function": {"name": name}} for name in names]
        case "openai_responses":
            plain = {"type": "function", "parameters": OBJECT, "strict": False}
            return [plain | {"name": name} for name in names]
        case "anthropic":
            return [{"name": name, "input_schema": OBJECT} for name in names]
        case _:
            return [{"functionDeclarations": [{"name": name} for name in names]}]


def gemini(mode: str, *names: str) -> dict[str, Any]:
    """Gemini's choice."""
    allowed = {"allowedFunctionNames": list(names)} if names else {}
    return {"functionCallingConfig": {"mode": mode} | allowed}


NEEDED: dict[str, Any] = {C: "required", R: "required", A: {"type": "any"}, G: gemini("ANY")}
NEVER: dict[str, Any] = {C: "none", R: "none", A: {"type": "none"}, G: gemini("NONE")}
FREE: dict[str, Any] = {C: "auto", R: "auto", A: {"type": "auto"}, G: gemini("AUTO")}


def one(protocol: str, name: str) -> Any:
    """The choice that forces one function."""
    return {
        C: {"type": "function", "function": {"name": name}},
        R: {"type": "function", "name": name},
        A: {"type": "tool", "name": name},
        G: gemini("ANY", name),
    }[protocol]


def asking(client: str, choice: Any, *names: str, **more: Any) -> dict[str, Any]:
    """A request with tools and a choice among them."""
    key = "toolConfig" if client == G else "tool_choice"
    return START[client] | {"tools": tools(client, *names or ("f", "g")), key: choice} | more


def choice_of(upstream: str, body: dict[str, Any]) -> Any:
    """The choice that an upstream gets; None = none written."""
    return body.get("toolConfig" if upstream == G else "tool_choice")


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_cho_01_cho_03_a_named_function_in_the_upstreams_own_shape(
    client: str, upstream: str
) -> None:
    crossed = cross(client, upstream, asking(client, one(client, "f")))
    assert choice_of(upstream, crossed.body) == one(upstream, "f")
    assert list(schemas(upstream, crossed.body)) == ["f", "g"]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@pytest.mark.parametrize("word", [NEEDED, NEVER], ids=["at least one", "none"])
def test_cho_02_must_and_must_not_cross_in_every_direction(
    word: dict[str, Any], client: str, upstream: str
) -> None:
    crossed = cross(client, upstream, asking(client, word[client]), mode=Mode.STRICT)
    assert choice_of(upstream, crossed.body) == word[upstream]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_cho_02_a_free_choice_stays_free(client: str, upstream: str) -> None:
    crossed = cross(client, upstream, asking(client, FREE[client]), mode=Mode.STRICT)
    assert choice_of(upstream, crossed.body) in (FREE[upstream], None)


@pytest.mark.parametrize("mode", ["auto", "required"])
@pytest.mark.parametrize("upstream", ALL)
def test_cho_04_a_subset_of_the_tools(upstream: str, mode: str) -> None:
    listed = [{"type": "function", "name": "f"}, {"type": "function", "name": "h"}]
    choice = {"type": "allowed_tools", "mode": mode, "tools": listed}
    body = cross(R, upstream, asking(R, choice, "f", "g", "h")).body
    found = choice_of(upstream, body)
    match upstream:
        case "openai_chat":
            assert (found, list(schemas(C, body))) == (mode, ["f", "h"]), "only those are sent"
            body = cross(R, C, asking(R, choice, "f", "g", "h"), openai_extras=True).body
            nested = [{"type": "function", "function": {"name": name}} for name in "fh"]
            expected: Any = {"mode": mode, "tools": nested}
            found = {"type": "allowed_tools", "allowed_tools": expected}
            assert choice_of(C, body) == found
            assert list(schemas(C, body)) == ["f", "g", "h"]
        case "openai_responses":
            assert found == choice
        case "gemini":
            assert found == gemini({"auto": "VALIDATED", "required": "ANY"}[mode], "f", "h")
        case _:
            assert (found or FREE[A]) == (NEEDED if mode == "required" else FREE)[A]
            assert list(schemas(A, body)) == ["f", "h"]


@pytest.mark.parametrize("upstream", [R, A, G])
def test_cho_04_and_the_same_from_chat(upstream: str) -> None:
    nested = [{"type": "function", "function": {"name": name}} for name in "fh"]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": nested}}
    body = cross(C, upstream, asking(C, choice, "f", "g", "h")).body
    flat_tools = [{"type": "function", "name": name} for name in "fh"]
    expected = {
        R: {"type": "allowed_tools", "mode": "required", "tools": flat_tools},
        A: {"type": "any"},
        G: gemini("ANY", "f", "h"),
    }
    assert choice_of(upstream, body) == expected[upstream]
    assert ("g" in schemas(upstream, body)) == (upstream != A)


FORCED_SEARCH: dict[str, Any] = START[R] | {
    "tools": [{"type": "web_search"}],
    "tool_choice": {"type": "web_search"},
}


@pytest.mark.parametrize("upstream", [R, A])
def test_cho_05_a_forced_search_goes_with_its_tool(upstream: str) -> None:
    """Responses names it in a choice by the word that its reference lists."""
    body = cross(R, upstream, FORCED_SEARCH, hosted_tools=frozenset(HostedKind)).body
    assert len(body["tools"]) == 1
    words = {R: {"type": "web_search_preview"}, A: {"type": "tool", "name": "web_search"}}
    assert body["tool_choice"] == words[upstream]


@pytest.mark.parametrize("upstream", [C, G])
def test_cho_05_a_choice_never_outlives_its_tool(upstream: str) -> None:
    crossed = cross(R, upstream, FORCED_SEARCH)
    assert not crossed.body.keys() & {"tools", "tool_choice", "toolConfig"}
    assert "tool_choice" in crossed.lost


@pytest.mark.parametrize("upstream", [C, A, G])
def test_cho_05_a_forced_search_without_its_tool_is_refused(upstream: str) -> None:
    with pytest.raises(GatewayError) as caught:
        cross(R, upstream, FORCED_SEARCH, mode=Mode.BALANCED)
    assert (caught.value.path or "").startswith("tool")


@pytest.mark.parametrize("upstream", ALL)
def test_cho_05_a_forced_function_that_is_not_declared_is_refused(upstream: str) -> None:
    with pytest.raises(GatewayError) as caught:
        cross(R, upstream, asking(R, one(R, "gone")))
    assert caught.value.path == "tool_choice"


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_cho_05_a_choice_without_tools(client: str, upstream: str) -> None:
    key = "toolConfig" if client == G else "tool_choice"
    crossed = cross(client, upstream, START[client] | {key: FREE[client]}, mode=Mode.STRICT)
    assert choice_of(upstream, crossed.body) is None
    with pytest.raises(GatewayError):
        cross(client, upstream, START[client] | {key: NEEDED[client]})


@pytest.mark.parametrize("client", [C, R, A])
def test_cho_07_gemini_is_told_the_one_name_that_it_knows(client: str) -> None:
    body = cross(client, G, asking(client, one(client, "fs/read"), "fs/read", "g")).body
    assert choice_of(G, body) == gemini("ANY", "fs_read")
    assert list(schemas(G, body)) == ["fs_read", "g"]


THINKING: dict[str, Any] = {C: {"reasoning_effort": "high"}, R: {"reasoning": {"effort": "high"}}}


@pytest.mark.parametrize("client", [C, R, A])
@pytest.mark.parametrize("word", ["any", "tool"])
def test_cho_08_a_forced_call_goes_without_manual_thinking(word: str, client: str) -> None:
    thinking = THINKING.get(
        client,
        {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 40000},
    )
    choice = NEEDED[client] if word == "any" else one(client, "f")
    profile: dict[str, Any] = {
        "thinking_form": ThinkingForm.BUDGET,
        "forced_choice_with_thinking": False,
    }
    # The fake's current models have no manual thinking, so its word on this is not asked for.
    crossed = cross(client, A, asking(client, choice, **thinking), check=False, **profile)
    assert choice_of(A, crossed.body) == (NEEDED[A] if word == "any" else one(A, "f"))
    assert crossed.body.get("thinking", {}).get("type") != "enabled"
    assert "thinking" in crossed.lost
    with pytest.raises(GatewayError):
        cross(client, A, asking(client, choice, **thinking), mode=Mode.STRICT, **profile)


# ------------------------------------------------------------------------------------ parallel calls


def two_calls(upstream: str) -> dict[str, Any]:
    """An upstream's answer with two calls."""
    match upstream:
        case "openai_chat":
            made = [
                {"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}}
                for name in "fg"
            ]
            message = {"role": "assistant", "content": None, "tool_calls": made}
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
            return {"id": "u", "model": "m", "created": 7, "choices": [choice]}
        case "openai_responses":
            plain = {"type": "function_call", "status": "completed", "arguments": "{}"}
            output = [plain | {"id": f"fc_{n}", "call_id": n, "name": n} for n in "fg"]
            return {"id": "resp_u", "model": "m", "status": "completed", "output": output}
        case "anthropic":
            uses = [{"type": "tool_use", "id": n, "name": n, "input": {}} for n in "fg"]
            end = {"stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}}
            return {"id": "msg_u", "model": "m", "role": "assistant", "content": uses} | end
        case _:
            parts = [{"functionCall": {"id": n, "name": n, "args": {}}} for n in "fg"]
            candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
            return {"responseId": "u", "candidates": [candidate]}


def names_called(client: str, body: dict[str, Any]) -> list[str]:
    """The tools that an answer to a client calls."""
    match client:
        case "openai_chat":
            made = body["choices"][0]["message"]["tool_calls"]
            return [call["function"]["name"] for call in made]
        case "openai_responses":
            return [item["name"] for item in body["output"] if item["type"] == "function_call"]
        case "anthropic":
            return [block["name"] for block in body["content"] if block["type"] == "tool_use"]
        case _:
            parts = body["candidates"][0]["content"]["parts"]
            return [part["functionCall"]["name"] for part in parts if "functionCall" in part]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_cho_09_every_call_of_a_turn_is_kept(client: str, upstream: str) -> None:
    asked = cross(client, upstream, asking(client, FREE[client]))
    body, _ = answer(upstream, client, two_calls(upstream), asked)
    assert names_called(client, body) == ["f", "g"]


@pytest.mark.parametrize("client", ALL)
def test_cho_09_and_in_a_stream(client: str) -> None:
    head = {"id": "u", "model": "m", "created": 7, "object": "chat.completion.chunk"}
    made = [
        {"index": i, "id": n, "type": "function", "function": {"name": n, "arguments": "{}"}}
        for i, n in enumerate("fg")
    ]
    data = sse(
        head | {"choices": [{"index": 0, "delta": {"tool_calls": made}, "finish_reason": None}]},
        head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        done=True,
    )
    asked = cross(client, C, asking(client, FREE[client]), stream=True)
    text = str(stream(C, client, data, asked))
    assert "'name': 'f'" in text
    assert "'name': 'g'" in text


PARALLEL_HISTORY: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "c2", "content": "two"},
            ],
        },
    ],
    "tools": tools(A, "f", "g"),
}


def test_cho_09_parallel_history_becomes_a_sequence_where_it_is_refused() -> None:
    body = cross(A, C, PARALLEL_HISTORY, parallel_calls=False).body
    told = of_kind(C, body, "call", "result")
    assert [(item[0], item[1]) for item in told] == [
        ("call", "c1"),
        ("result", "c1"),
        ("call", "c2"),
        ("result", "c2"),
    ]
    together = of_kind(C, cross(A, C, PARALLEL_HISTORY).body, "call", "result")
    assert [item[0] for item in together] == ["call", "call", "result", "result"]


@pytest.mark.parametrize("upstream", [C, R, A])
@pytest.mark.parametrize("mode", ["VALIDATED", "MODE_UNSPECIFIED", "AUTO"])
def test_cho_10_geminis_other_modes_are_a_free_choice(mode: str, upstream: str) -> None:
    crossed = cross(G, upstream, asking(G, gemini(mode)))
    assert choice_of(upstream, crossed.body) in (FREE[upstream], None)
    assert list(schemas(upstream, crossed.body)) == ["f", "g"]


def test_cho_10_an_unknown_mode_is_no_crash() -> None:
    with pytest.raises(GatewayError) as caught:
        cross(G, C, asking(G, gemini("PERHAPS")))
    assert "mode" in (caught.value.path or "")
