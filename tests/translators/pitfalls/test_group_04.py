"""Pitfalls, group 4: tool call ids."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.flat import calls, flat, of_kind, results, spelled
from tests.support.pitfalls import ALL, A, C, G, R, answer, cross, sse, stream

ASK = {"role": "user", "content": "go"}
TURN = {"role": "user", "parts": [{"text": "go"}]}


def of_gemini(*rounds: list[tuple[str, int, str]], ids: bool = False) -> dict[str, Any]:
    """A Gemini conversation: per round, calls as (name, argument, result), without ids if told so."""
    contents: list[dict[str, Any]] = [TURN]
    for number, made in enumerate(rounds):
        named = [
            ({"id": f"{number}-{place}"} if ids else {}) | {"name": name}
            for place, (name, _, _) in enumerate(made)
        ]
        parts = [
            {"functionCall": who | {"args": {"x": x}}}
            for who, (_, x, _) in zip(named, made, strict=True)
        ]
        replies = [
            {"functionResponse": who | {"response": {"output": text}}}
            for who, (_, _, text) in zip(named, made, strict=True)
        ]
        contents.append({"role": "model", "parts": parts})
        contents.append({"role": "user", "parts": replies})
    return {"contents": contents}


def pairs(upstream: str, body: dict[str, Any]) -> list[tuple[int, Any]]:
    """Each call's argument with the payload of the result that bears its id."""
    found = results(upstream, body)
    return [(arguments["x"], found[name]) for name, arguments in calls(upstream, body).items()]


@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize("upstream", [C, R, A])
def test_id_02_two_calls_of_one_function_are_answered_in_order(upstream: str, ids: bool) -> None:
    body = of_gemini([("f", 1, "one"), ("f", 2, "two")], ids=ids)
    sent = cross(G, upstream, body).body
    assert pairs(upstream, sent) == [(1, "one"), (2, "two")]
    assert len({told[1] for told in of_kind(upstream, sent, "call")}) == 2


def test_id_02_answers_in_another_order_go_by_their_names() -> None:
    body = of_gemini([("f", 1, "one"), ("g", 2, "two"), ("f", 3, "three")])
    body["contents"][2]["parts"].reverse()
    found = pairs(C, cross(G, C, body).body)
    assert dict(found)[2] == "two"
    assert [text for _, text in found if text != "two"] == ["three", "one"], "first in, first out"


@pytest.mark.parametrize("upstream", [C, R, A])
def test_id_02_the_next_turn_changes_no_id_of_the_last(upstream: str) -> None:
    first = [("f", 1, "one"), ("f", 2, "two")]
    short = list(calls(upstream, cross(G, upstream, of_gemini(first)).body))
    longer = list(calls(upstream, cross(G, upstream, of_gemini(first, [("f", 3, "three")])).body))
    assert longer[:2] == short
    assert len(set(longer)) == 3


def chat(*rounds: list[tuple[str, int, str]], name: str = "f") -> dict[str, Any]:
    """A Chat conversation: per round, calls as (id, argument, result)."""
    said: list[dict[str, Any]] = [ASK]
    for made in rounds:
        written = [
            {"id": i, "type": "function", "function": {"name": name, "arguments": f'{{"x":{x}}}'}}
            for i, x, _ in made
        ]
        said.append({"role": "assistant", "content": None, "tool_calls": written})
        said += [{"role": "tool", "tool_call_id": i, "content": text} for i, _, text in made]
    return {"messages": said}


def claude(*rounds: list[tuple[str, int, str]], name: str = "f") -> dict[str, Any]:
    """The same as a Messages conversation."""
    said: list[dict[str, Any]] = [ASK]
    for made in rounds:
        uses = [{"type": "tool_use", "id": i, "name": name, "input": {"x": x}} for i, x, _ in made]
        said.append({"role": "assistant", "content": uses})
        replies = [
            {"type": "tool_result", "tool_use_id": i, "content": text} for i, _, text in made
        ]
        said.append({"role": "user", "content": replies})
    return {"messages": said}


def responses(*rounds: list[tuple[str, int, str]], name: str = "f") -> dict[str, Any]:
    """The same as Responses items."""
    items: list[dict[str, Any]] = [ASK]
    for made in rounds:
        items += [
            {"type": "function_call", "call_id": i, "name": name, "arguments": f'{{"x":{x}}}'}
            for i, x, _ in made
        ]
        items += [
            {"type": "function_call_output", "call_id": i, "output": text} for i, _, text in made
        ]
    return {"input": items}


BUILDERS = {C: chat, A: claude, R: responses}


@pytest.mark.parametrize("upstream", [C, R])
@pytest.mark.parametrize("client", [C, A, R])
def test_id_06_long_ids_are_shortened_without_collision(client: str, upstream: str) -> None:
    long = ["toolu_" + "x" * 90 + end for end in "ab"]
    body = BUILDERS[client]([(long[0], 1, "one"), (long[1], 2, "two")])
    sent = cross(client, upstream, body).body
    names = list(calls(upstream, sent))
    assert len(set(names)) == 2
    assert all(len(name) <= 64 for name in names)
    assert pairs(upstream, sent) == [(1, "one"), (2, "two")]
    assert cross(client, upstream, body).body == sent, "the same ids every time"


@pytest.mark.parametrize("client", [C, A])
def test_id_06_no_item_id_is_too_long(client: str) -> None:
    body = cross(client, R, BUILDERS[client]([("c" * 120, 1, "one")])).body
    assert all(len(item.get("id", "")) <= 64 for item in body["input"])


HEAD = {"id": "u", "model": "m", "created": 7, "object": "chat.completion.chunk"}


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    """One chunk."""
    return HEAD | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def without_ids(*, empty: bool) -> bytes:
    """A stream of two calls, none of which was given an id."""
    identity: dict[str, Any] = {"id": ""} if empty else {}
    chunks = []
    for index, name in enumerate("fg"):
        begun = {"index": index, "function": {"name": name, "arguments": '{"x"'}} | identity
        chunks.append(chunk({"tool_calls": [begun]}))
        more = {"index": index, "function": {"arguments": ":1}"}}
        chunks.append(chunk({"tool_calls": [more]}))
    return sse(*chunks, chunk({}, "tool_calls"), done=True)


def streamed_ids(client: str, events: list[dict[str, Any]]) -> dict[str, str]:
    """The id of each call in a client's stream, by the tool's name."""
    found = {}
    for event in events:
        match client:
            case "openai_chat":
                for choice in event["choices"]:
                    for call in choice["delta"].get("tool_calls", ()):
                        if call.get("function", {}).get("name"):
                            found[call["function"]["name"]] = call["id"]
            case "openai_responses":
                if event["type"] == "response.output_item.done":
                    found[event["item"]["name"]] = event["item"]["call_id"]
            case "anthropic":
                block = event.get("content_block", {})
                if block.get("type") == "tool_use":
                    found[block["name"]] = block["id"]
            case _:
                for part in event["candidates"][0].get("content", {}).get("parts", ()):
                    if "functionCall" in part:
                        found[part["functionCall"]["name"]] = part["functionCall"].get("id", "")
    return found


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("empty", [False, True], ids=["no id", "an empty id"])
def test_id_08_a_stream_without_ids_loses_no_call(empty: bool, client: str) -> None:
    found = streamed_ids(client, stream(C, client, without_ids(empty=empty)))
    assert list(found) == ["f", "g"]
    if client != G:  # it may go without
        assert len({*found.values()} - {""}) == 2
    again = streamed_ids(client, stream(C, client, without_ids(empty=empty)))
    assert again == found, "made of the answer and the place, not of chance"


@pytest.mark.parametrize("client", ALL)
def test_id_08_nor_does_a_whole_answer(client: str) -> None:
    made = [{"type": "function", "function": {"name": n, "arguments": "{}"}} for n in "fg"]
    message = {"role": "assistant", "content": None, "tool_calls": made}
    choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
    body, _ = answer(C, client, {"id": "u", "model": "m", "created": 7, "choices": choices})
    text = str(body)
    assert "'name': 'f'" in text
    assert "'name': 'g'" in text


@pytest.mark.parametrize("client", [A, C, R])
@pytest.mark.parametrize("name", ["toolu_x-y", "call-1-2", "-"])
def test_id_10_the_name_of_a_result_comes_from_its_call(name: str, client: str) -> None:
    body = cross(client, G, BUILDERS[client]([(name, 1, "one")], name="read_file")).body
    replies = [
        part["functionResponse"]
        for content in body["contents"]
        for part in content["parts"]
        if "functionResponse" in part
    ]
    assert [(reply["name"], reply["response"]) for reply in replies] == [
        ("read_file", spelled(G, "one"))
    ]


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", [C, A, R])
def test_id_12_an_id_that_is_used_again_binds_to_the_nearest_call(
    client: str, upstream: str
) -> None:
    body = BUILDERS[client]([("0", 1, "one")], [("0", 2, "two")], [("0", 3, "three")])
    sent = cross(client, upstream, body).body
    told = [item for item in flat(upstream, sent) if item[0] in ("call", "result")]
    assert [item[0] for item in told] == ["call", "result"] * 3
    assert pairs(upstream, sent) == [
        (1, spelled(upstream, "one")),
        (2, spelled(upstream, "two")),
        (3, spelled(upstream, "three")),
    ]
    assert len({item[1] for item in told}) == 3, "renamed on re-use"
    shorter = cross(client, upstream, BUILDERS[client]([("0", 1, "one")], [("0", 2, "two")])).body
    assert list(calls(upstream, shorter)) == list(calls(upstream, sent))[:2]


@pytest.mark.parametrize("client", [C, A, R])
def test_id_06_an_upstream_with_ids_of_one_length(client: str) -> None:
    body = BUILDERS[client](
        [("call-1", 1, "one"), ("abcDEF123", 2, "two")], [("x" * 99, 3, "three")]
    )
    sent = cross(client, C, body, call_id_length=9).body
    names = list(calls(C, sent))
    assert all(len(name) == 9 and name.isalnum() for name in names)
    assert names[1] == "abcDEF123", "one that fits stays"
    assert pairs(C, sent) == [(1, "one"), (2, "two"), (3, "three")]


@pytest.mark.parametrize("client", [C, A, R])
def test_id_13_calls_have_no_key_that_vertex_does_not_know(client: str) -> None:
    """Both Google surfaces take `id` today (section 19: always sent), so it is not stripped on Vertex."""
    body = cross(client, G, BUILDERS[client]([("c1", 1, "one")]), vertex=True).body
    parts = [part for content in body["contents"] for part in content["parts"]]
    made = [part["functionCall"] for part in parts if "functionCall" in part]
    replies = [part["functionResponse"] for part in parts if "functionResponse" in part]
    assert [set(call) for call in made] == [{"id", "name", "args"}]
    assert [set(reply) for reply in replies] == [{"id", "name", "response"}]
