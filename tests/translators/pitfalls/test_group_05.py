"""Pitfalls, group 5: tool results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.flat import calls, flat, json_of, of_kind, results, spelled
from tests.support.pitfalls import ALL, PNG, A, C, G, R, answer, cross, sse, stream
from translators.errors import ErrorKind, GatewayError
from translators.losses import Mode

ASK = {"role": "user", "content": "go"}
DATA_URL = f"data:image/png;base64,{PNG}"


def claude(*results: Any, made: Any = None, names: str = "f") -> dict[str, Any]:
    """A Messages conversation of one call per result."""
    uses = [
        {"type": "tool_use", "id": f"c{i}", "name": names, "input": made or {}}
        for i in range(len(results))
    ]
    replies = [
        {"type": "tool_result", "tool_use_id": f"c{i}", "content": content}
        for i, content in enumerate(results)
    ]
    turns = [{"role": "assistant", "content": uses}, {"role": "user", "content": replies}]
    return {"messages": [ASK, *turns]}


def responses(*results: Any, arguments: str = "{}") -> dict[str, Any]:
    """The same as Responses items."""
    made = [
        {"type": "function_call", "call_id": f"c{i}", "name": "f", "arguments": arguments}
        for i in range(len(results))
    ]
    outputs = [
        {"type": "function_call_output", "call_id": f"c{i}", "output": output}
        for i, output in enumerate(results)
    ]
    return {"input": [ASK, *made, *outputs]}


def chat(*results: Any, arguments: str = "{}") -> dict[str, Any]:
    """The same as Chat messages."""
    made = [
        {"id": f"c{i}", "type": "function", "function": {"name": "f", "arguments": arguments}}
        for i in range(len(results))
    ]
    replies = [
        {"role": "tool", "tool_call_id": f"c{i}", "content": content}
        for i, content in enumerate(results)
    ]
    turn = {"role": "assistant", "content": None, "tool_calls": made}
    return {"messages": [ASK, turn, *replies]}


BUILDERS: dict[str, Callable[..., dict[str, Any]]] = {C: chat, R: responses, A: claude}
IMAGE_RESULT: dict[str, Any] = {
    R: [{"type": "input_text", "text": "a shot"}, {"type": "input_image", "image_url": DATA_URL}],
    A: [
        {"type": "text", "text": "a shot"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ],
}


# ---------------------------------------------------------------------------------- media in results


@pytest.mark.parametrize("mode", [Mode.BALANCED, Mode.MAX_COMPAT])
@pytest.mark.parametrize("client", [R, A])
def test_res_01_an_image_follows_the_batch_in_a_user_message(client: str, mode: Mode) -> None:
    body = cross(client, C, BUILDERS[client](IMAGE_RESULT[client], "two"), mode=mode).body
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user"]
    tools = body["messages"][2:4]
    assert [message["tool_call_id"] for message in tools] == ["c0", "c1"]
    assert PNG not in json_of(tools), "base64 as text costs thousands of tokens in every turn"
    assert "a shot" in json_of(tools[0])
    assert "[image attached below]" in json_of(tools[0])
    images = [part for part in body["messages"][4]["content"] if part["type"] == "image_url"]
    assert [part["image_url"]["url"] for part in images] == [DATA_URL]


@pytest.mark.parametrize("client", [R, A])
def test_res_01_strict_mode_does_not_move_it(client: str) -> None:
    with pytest.raises(GatewayError) as caught:
        cross(client, C, BUILDERS[client](IMAGE_RESULT[client]), mode=Mode.STRICT)
    assert caught.value.kind is ErrorKind.UNTRANSLATABLE


@pytest.mark.parametrize("client", [R, A])
def test_res_01_a_model_without_eyes_never_gets_it(client: str) -> None:
    body = BUILDERS[client](IMAGE_RESULT[client])
    with pytest.raises(GatewayError):
        cross(client, C, body, mode=Mode.BALANCED, image_types=frozenset())
    try:
        sent = cross(client, C, body, image_types=frozenset())
    except GatewayError:
        return
    assert PNG not in sent.text
    assert sent.losses


def test_res_03_text_and_image_stay_parts_for_responses() -> None:
    body = cross(A, R, claude(IMAGE_RESULT[A])).body
    [output] = results(R, body).values()
    assert [part["type"] for part in output] == ["input_text", "input_image"]
    assert output[0]["text"] == "a shot"
    assert output[1]["image_url"] == DATA_URL


def test_res_03_and_come_to_anthropic_as_blocks() -> None:
    [content] = results(A, cross(R, A, responses(IMAGE_RESULT[R])).body).values()
    assert [block["type"] for block in content] == ["text", "image"]
    assert content[1]["source"] == IMAGE_RESULT[A][1]["source"]


# ----------------------------------------------------------------------------------- odd payloads


ODD = [
    pytest.param({"a": [1]}, '{"a":[1]}', id="an object"),
    pytest.param(12, "12", id="a number"),
    pytest.param(None, "", id="null"),
    pytest.param(True, "true", id="a boolean"),
]


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", [C, R, A])
@pytest.mark.parametrize(("content", "text"), ODD)
def test_res_04_a_payload_that_is_neither_text_nor_parts(
    content: Any, text: str, client: str, upstream: str
) -> None:
    body = cross(client, upstream, BUILDERS[client](content)).body
    [payload] = results(upstream, body).values()
    if upstream == A and isinstance(payload, list):
        payload = "".join(block["text"] for block in payload)
    expected = {"output": content} if isinstance(content, dict) else {"output": text}
    assert payload == (expected if upstream == G else text)


@pytest.mark.parametrize("client", [C, R, A])
@pytest.mark.parametrize(
    ("text", "payload"),
    [
        pytest.param("{ key = value; }", "{ key = value; }", id="a plist"),
        pytest.param('{"a": 1, "b', '{"a": 1, "b', id="cut JSON"),
        pytest.param("[1, 2", "[1, 2", id="a cut array"),
        pytest.param('{"a":1}', {"a": 1}, id="an object"),
        pytest.param("[1,2]", "[1,2]", id="an array stays text"),
    ],
)
def test_res_05_what_only_looks_like_json(text: str, payload: Any, client: str) -> None:
    """Section 8 names the key `output`, where the pitfall says `result`."""
    [sent] = results(G, cross(client, G, BUILDERS[client](text)).body).values()
    assert sent == {"output": payload}


# --------------------------------------------------------------------------------------- pairing


UNANSWERED: dict[str, dict[str, Any]] = {
    C: {"messages": [*chat("x")["messages"][:2], {"role": "user", "content": "on"}]},
    R: {"input": [*responses("x")["input"][:2], {"role": "user", "content": "on"}]},
    A: {"messages": [*claude("x")["messages"][:2], {"role": "user", "content": "on"}]},
}
ORPHAN: dict[str, dict[str, Any]] = {
    C: {"messages": [ASK, {"role": "tool", "tool_call_id": "gone", "content": "lost words"}]},
    R: {
        "input": [
            ASK,
            {"type": "function_call_output", "call_id": "gone", "output": "lost words"},
        ]
    },
    A: {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "go"},
                    {"type": "tool_result", "tool_use_id": "gone", "content": "lost words"},
                ],
            }
        ]
    },
}


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", [C, R, A])
def test_res_08_a_call_without_a_result_is_answered_or_refused(client: str, upstream: str) -> None:
    """Section 3, rule 3: refused unless the mode is max_compat; the words are `(no result)`."""
    crossed = cross(client, upstream, UNANSWERED[client])
    told = flat(upstream, crossed.body)
    assert [item[0] for item in told] == ["user", "call", "result", "user"]
    assert "(no result)" in json_of(told[2][2])
    assert "no result" in crossed.lost
    for mode in (Mode.STRICT, Mode.BALANCED):
        with pytest.raises(GatewayError):
            cross(client, upstream, UNANSWERED[client], mode=mode, signatures_required=False)


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", [C, R, A])
def test_res_08_a_result_without_a_call_becomes_text_or_is_refused(
    client: str, upstream: str
) -> None:
    crossed = cross(client, upstream, ORPHAN[client])
    told = flat(upstream, crossed.body)
    assert {item[0] for item in told} == {"user"}
    assert any("lost words" in item[1] for item in told), "its words are not lost"
    assert "answers no call" in crossed.lost
    for mode in (Mode.STRICT, Mode.BALANCED):
        with pytest.raises(GatewayError):
            cross(client, upstream, ORPHAN[client], mode=mode)


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", [C, R, A])
def test_res_08_a_trimmed_history_that_begins_with_a_call(client: str, upstream: str) -> None:
    field = "input" if client == R else "messages"
    body = {field: [*BUILDERS[client]("r")[field][1:], {"role": "user", "content": "on"}]}
    told = flat(upstream, cross(client, upstream, body).body)
    assert [item[0] for item in told if item != ("user", ".")] == ["call", "result", "user"]


@pytest.mark.parametrize("upstream", ALL)
def test_res_09_results_stand_right_behind_their_calls(upstream: str) -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output"}
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}
    body = {
        "input": [
            ASK,
            {**call, "call_id": "a"},
            reasoning,
            {**call, "call_id": "b"},
            {"role": "assistant", "content": "meanwhile"},
            {**output, "call_id": "b", "output": "two"},
            {"role": "user", "content": "and?"},
            {**output, "call_id": "a", "output": "one"},
        ]
    }
    told = flat(upstream, cross(R, upstream, body, check=upstream != R).body)
    told = [item for item in told if item[0] != "reasoning"]
    assert [item[0] for item in told] == [
        "user",
        "assistant",
        "call",
        "call",
        "result",
        "result",
        "user",
    ]
    assert [item[1] for item in told if item[0] == "result"] == ["a", "b"], "in call order"
    assert results(upstream, {**cross(R, upstream, body, check=False).body}) == {
        "a": spelled(upstream, "one"),
        "b": spelled(upstream, "two"),
    }


@pytest.mark.parametrize("upstream", [A, C, G])
def test_res_10_text_after_a_call_goes_before_it(upstream: str) -> None:
    items = [
        ASK,
        {"role": "assistant", "content": "first"},
        {"type": "function_call", "call_id": "c0", "name": "f", "arguments": "{}"},
        {"role": "assistant", "content": "second"},
        {"type": "function_call_output", "call_id": "c0", "output": "r"},
    ]
    body = cross(R, upstream, {"input": items}).body
    told = flat(upstream, body)
    assert [item[0] for item in told if item[0] != "assistant"] == ["user", "call", "result"]
    assert told[-1][0] == "result"
    assert told[-2][0] == "call"
    said = "\n\n".join(item[1] for item in told if item[0] == "assistant")
    assert said == "first\n\nsecond"
    roles = [turn["role"] for turn in body["contents" if upstream == G else "messages"]]
    assert len(roles) == 3, "one assistant turn"


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", [C, R, A])
def test_res_11_of_two_results_of_one_call_the_last_stays_in_the_first_place(
    client: str, upstream: str
) -> None:
    body = BUILDERS[client]("old", "other")
    again = {
        C: {"role": "tool", "tool_call_id": "c0", "content": "new"},
        R: {"type": "function_call_output", "call_id": "c0", "output": "new"},
        A: {"type": "tool_result", "tool_use_id": "c0", "content": "new"},
    }[client]
    if client == A:
        body["messages"][-1]["content"].append(again)
    else:
        body["input" if client == R else "messages"].append(again)
    crossed = cross(client, upstream, body)
    told = of_kind(upstream, crossed.body, "result")
    assert told == [
        ("result", "c0", spelled(upstream, "new")),
        ("result", "c1", spelled(upstream, "other")),
    ]
    assert "second result" in crossed.lost


# --------------------------------------------------------------------------- results of other kinds


@pytest.mark.parametrize("freeform", [False, True], ids=["as a function", "freeform"])
@pytest.mark.parametrize(
    ("output", "text"),
    [
        pytest.param("plain", "plain", id="a string"),
        pytest.param([{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}], "a\nb", id="a list"),
        pytest.param('[{"type":"input_text","text":"a"}]', "a", id="a list inside a string"),
    ],
)  # fmt: skip
def test_res_13_outputs_of_freeform_tools(output: Any, text: str, freeform: bool) -> None:
    items = [
        ASK,
        {"type": "custom_tool_call", "call_id": "c0", "name": "apply_patch", "input": "*** Begin"},
        {"type": "custom_tool_call_output", "call_id": "c0", "output": output},
    ]
    tools = [{"type": "custom", "name": "apply_patch"}]
    crossed = cross(R, C, {"input": items, "tools": tools}, custom_tools=freeform)
    [reply] = [m for m in crossed.body["messages"] if m["role"] == "tool"]
    assert reply["content"] == text


def test_res_13_an_image_in_such_an_output_follows_the_batch() -> None:
    items = [
        ASK,
        {"type": "custom_tool_call", "call_id": "c0", "name": "shot", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c0", "output": IMAGE_RESULT[R]},
    ]
    body = cross(R, C, {"input": items, "tools": [{"type": "custom", "name": "shot"}]}).body
    assert [message["role"] for message in body["messages"]] == [
        "user",
        "assistant",
        "tool",
        "user",
    ]
    assert PNG not in json_of(body["messages"][2])


DOCUMENT = {
    "type": "document",
    "title": "Notes",
    "source": {"type": "text", "media_type": "text/plain", "data": "some notes"},
}
SEARCH = {
    "type": "search_result",
    "title": "A page",
    "source": "https://example.com/a",
    "content": [{"type": "text", "text": "found words"}],
}


@pytest.mark.parametrize("upstream", [C, R, G])
@pytest.mark.parametrize(
    ("block", "words"),
    [
        pytest.param(DOCUMENT, ("Notes", "some notes"), id="a text document"),
        pytest.param(SEARCH, ("A page", "https://example.com/a", "found words"), id="a search result"),
        pytest.param({"type": "hologram", "x": "beam"}, (), id="an unknown block"),
    ],
)  # fmt: skip
def test_res_14_blocks_of_results_that_others_lack_become_text(
    block: dict[str, Any], words: tuple[str, ...], upstream: str
) -> None:
    crossed = cross(A, upstream, claude([{"type": "text", "text": "see"}, block]))
    payload = json_of(list(results(upstream, crossed.body).values()))
    assert "see" in payload
    assert all(word in payload for word in words)
    assert words or crossed.losses, "nothing goes in silence"


@pytest.mark.parametrize("upstream", [C, R, G])
def test_res_14_a_tool_reference_is_dropped_with_a_record(upstream: str) -> None:
    reference = {"type": "tool_reference", "tool_name": "f"}
    body = claude([reference]) | {"tools": [{"name": "f", "input_schema": {"type": "object"}}]}
    crossed = cross(A, upstream, body)
    assert "tool_reference" not in crossed.text
    assert crossed.losses
    with pytest.raises(GatewayError):
        cross(A, upstream, body, mode=Mode.STRICT, signatures_required=False)


def test_res_14_a_tool_reference_at_home() -> None:
    """Section 8 makes it impossible in the hub; at home it passes untouched, unless a rule forces the hub."""
    body = claude([{"type": "tool_reference", "tool_name": "f"}])
    body |= {"tools": [{"name": "f", "input_schema": {"type": "object"}}]}
    crossed = cross(A, A, body)
    assert results(A, crossed.body) == {"c0": "Tool available: f"}
    assert "declared up front" in crossed.lost


# -------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("upstream", [C, R])
@pytest.mark.parametrize(
    ("made", "arguments"),
    [
        pytest.param(None, "{}", id="null"),
        pytest.param("x", '"x"', id="a text"),
        pytest.param([1], "[1]", id="an array"),
        pytest.param({"a": "ä"}, '{"a":"ä"}', id="an object, compact and unescaped"),
    ],
)
def test_res_15_inputs_that_are_no_objects(made: Any, arguments: str, upstream: str) -> None:
    use = {"type": "tool_use", "id": "c0", "name": "f", "input": made}
    body = claude("r")
    body["messages"][1]["content"] = [use]
    sent = cross(A, upstream, body).body
    if upstream == C:
        [call] = sent["messages"][1]["tool_calls"]
        assert call["function"]["arguments"] == arguments
    else:
        assert sent["input"][1]["arguments"] == arguments


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", [C, R])
def test_res_16_no_arguments_are_an_empty_object(client: str, upstream: str) -> None:
    build = chat if client == C else responses
    sent = cross(client, upstream, build("r", arguments=""))
    assert calls(upstream, sent.body) == {"c0": {}}
    assert '"arguments":""' not in sent.text


@pytest.mark.parametrize("client", ALL)
def test_res_16_and_on_the_way_back(client: str) -> None:
    call = {"id": "c0", "type": "function", "function": {"name": "f", "arguments": ""}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    whole = {"id": "u", "model": "m", "created": 7, "choices": [choice]}
    text = json_of(answer(C, client, whole)[0])
    expected = {
        C: '"arguments":"{}"',
        R: '"arguments":"{}"',
        A: '"input":{}',
        G: '"args":{}',
    }
    assert expected[client] in text


@pytest.mark.parametrize("upstream", [A, G])
@pytest.mark.parametrize("client", [C, R])
@pytest.mark.parametrize("arguments", ['{"a":', "not JSON", "[1]"])
def test_res_17_broken_arguments_of_a_history(arguments: str, client: str, upstream: str) -> None:
    build = chat if client == C else responses
    crossed = cross(client, upstream, build("r", arguments=arguments))
    assert calls(upstream, crossed.body) == {"c0": {"_raw": arguments}}
    assert crossed.losses
    for mode in (Mode.STRICT, Mode.BALANCED):
        with pytest.raises(GatewayError) as caught:
            cross(client, upstream, build("r", arguments=arguments), mode=mode)
        assert caught.value.kind in (ErrorKind.UNTRANSLATABLE, ErrorKind.INVALID_REQUEST)


def cut_call() -> bytes:
    """A stream of Chat whose call the output limit cut."""
    head = {"id": "u", "model": "m", "created": 7, "object": "chat.completion.chunk"}
    call = {"index": 0, "id": "c0", "type": "function"}
    begun = call | {"function": {"name": "f", "arguments": '{"a":'}}
    chunks: list[tuple[dict[str, Any], str | None]] = [({"tool_calls": [begun]}, None), ({}, "length")]  # fmt: skip
    return sse(
        *(head | {"choices": [{"index": 0, "delta": d, "finish_reason": f}]} for d, f in chunks),
        done=True,
    )


@pytest.mark.parametrize("client", ALL)
def test_res_17_a_turn_that_was_cut_never_looks_like_a_call(client: str) -> None:
    events = stream(C, client, cut_call())
    text = json_of(events)
    marks = {
        C: '"finish_reason":"length"',
        R: '"reason":"max_output_tokens"',
        A: '"stop_reason":"max_tokens"',
        G: '"finishReason":"MAX_TOKENS"',
    }
    assert marks[client] in text
    assert '"finish_reason":"tool_calls"' not in text
    assert '"stop_reason":"tool_use"' not in text
    if client == G:
        assert "functionCall" not in text, "an incomplete call is not handed out"


# ------------------------------------------------------------------------------------ odd histories


SERVER_TOOL = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "oslo"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [
            {
                "type": "web_search_result",
                "url": "https://example.com/oslo",
                "title": "Oslo today",
                "encrypted_content": "opaque",
                "page_age": None,
            }
        ],
    },
    {"type": "text", "text": "It rains."},
]  # fmt: skip


@pytest.mark.parametrize("upstream", [C, R, G])
def test_res_18_a_search_of_the_provider_becomes_readable_text(upstream: str) -> None:
    body = {
        "messages": [
            ASK,
            {"role": "assistant", "content": SERVER_TOOL},
            {"role": "user", "content": "on"},
        ]
    }
    crossed = cross(A, upstream, body)
    told = flat(upstream, crossed.body)
    assert {item[0] for item in told} == {"user", "assistant"}, "no orphan of a tool"
    said = "\n".join(item[1] for item in told if item[0] == "assistant")
    assert all(word in said for word in ("oslo", "Oslo today", "https://example.com/oslo"))
    assert said.endswith("It rains.")
    assert "opaque" not in crossed.text
    assert crossed.losses


def gemini(response: Any, *, text: str | None = None) -> dict[str, Any]:
    """A Gemini conversation of one call with this response, and words of the user before it."""
    said = [{"text": text}] if text else []
    reply = {"functionResponse": {"name": "f", "response": response}}
    return {
        "contents": [
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            {"role": "user", "parts": [*said, reply]},
        ]
    }


@pytest.mark.parametrize("upstream", [C, R, A])
@pytest.mark.parametrize(
    ("response", "payload"),
    [
        pytest.param({"o": 1}, '{"o":1}', id="any object"),
        pytest.param({"output": "x"}, "x", id="output alone"),
        pytest.param({"result": "x"}, "x", id="result alone"),
        pytest.param({"output": {"a": 1}}, '{"a":1}', id="an object as output"),
        pytest.param({"output": "x", "n": 1}, '{"output":"x","n":1}', id="output and more"),
        pytest.param({}, "{}", id="nothing"),
    ],
)
def test_res_19_the_whole_response_arrives(response: Any, payload: str, upstream: str) -> None:
    [sent] = results(upstream, cross(G, upstream, gemini(response)).body).values()
    if isinstance(sent, list):
        sent = "".join(part["text"] for part in sent)
    assert sent == payload


@pytest.mark.parametrize("upstream", [C, R, A])
def test_res_19_an_error_stays_one(upstream: str) -> None:
    crossed = cross(G, upstream, gemini({"error": "no such file"}))
    if upstream == A:
        assert '"is_error":true' in crossed.text
        assert "no such file" in crossed.text
    else:
        assert list(results(upstream, crossed.body).values()) == ["Error: no such file"]


def test_res_20_texts_around_a_call_are_set_apart() -> None:
    body = claude("r")
    body["messages"][1]["content"] = [
        {"type": "text", "text": "a"},
        {"type": "tool_use", "id": "c0", "name": "f", "input": {}},
        {"type": "text", "text": "b"},
    ]
    [message] = [m for m in cross(A, C, body).body["messages"] if m["role"] == "assistant"]
    assert message["content"] == "a\n\nb"
    assert [call["id"] for call in message["tool_calls"]] == ["c0"]


@pytest.mark.parametrize("upstream", [C, R, A])
def test_res_21_results_come_before_the_words_beside_them(upstream: str) -> None:
    told = flat(upstream, cross(G, upstream, gemini({"output": "r"}, text="and then")).body)
    assert [item[0] for item in told] == ["user", "call", "result", "user"]
    assert told[-1] == ("user", "and then")
