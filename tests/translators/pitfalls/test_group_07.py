"""Pitfalls, group 7: why an answer ended."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.crossfire import (
    ALL,
    A,
    C,
    G,
    R,
    chat,
    claude,
    finishes,
    fragment,
    gemini,
    is_error,
    item_events,
    raises,
    responses,
    sse,
    told,
    whole,
)
from translators.losses import Mode

TEXT = {"type": "text", "text": "", "deltas": [{"type": "text_delta", "text": "Hi"}]}


def message(content: str | None, finish: str | None, **fields: Any) -> dict[str, Any]:
    body = {"role": "assistant", "content": content} | fields
    return {"id": "c", "model": "m", "choices": [{"message": body, "finish_reason": finish}]}


def test_stop_02_a_stop_sequence_is_a_stop() -> None:
    data = claude(TEXT, stop="stop_sequence", stop_sequence="X")
    assert finishes(told(A, C, data).frames) == ["stop"]
    assert told(A, R, data).frames[-1]["type"] == "response.completed"
    assert told(A, G, data).frames[-1]["candidates"][0]["finishReason"] == "STOP"


def test_stop_02_chat_cannot_say_which() -> None:
    answer = whole(C, A, message("Hi", "stop"))
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("end_turn", None)


CUT_CALL = sse(
    chat(fragment(id="c1", name="f", arguments='{"path":"/et')), chat({}, "length"), "[DONE]"
)


def test_stop_05_a_cut_call_is_incomplete() -> None:
    last = told(C, R, CUT_CALL).frames[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    [item] = last["response"]["output"]
    assert item["status"] == "incomplete"


def test_stop_05_a_cut_call_never_reaches_gemini_whole() -> None:
    frames = told(C, G, CUT_CALL).frames
    assert frames[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert "functionCall" not in str(frames)


FUNCTION = {
    "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f",
    "arguments": "{}", "status": "completed",
}  # fmt: skip
SEARCH = {
    "type": "web_search_call", "id": "ws_1", "status": "completed",
    "action": {"type": "search", "query": "q"},
}  # fmt: skip


def whole_response(*output: dict[str, Any]) -> dict[str, Any]:
    return {"id": "resp_1", "model": "m", "status": "completed", "output": list(output)}


def test_stop_07_calls_decide_the_reason() -> None:
    assert whole(R, C, whole_response(FUNCTION))["choices"][0]["finish_reason"] == "tool_calls"
    assert whole(R, A, whole_response(FUNCTION))["stop_reason"] == "tool_use"
    assert finishes(told(R, C, responses(*item_events(0, FUNCTION))).frames) == ["tool_calls"]


def test_stop_08_a_server_call_is_no_call_of_the_client() -> None:
    assert whole(R, A, whole_response(SEARCH))["stop_reason"] == "end_turn"
    frames = told(R, A, responses(*item_events(0, SEARCH))).frames
    assert frames[-2]["delta"]["stop_reason"] == "end_turn"


@pytest.mark.parametrize("client", ALL)
def test_stop_10_a_turn_without_its_announced_calls_fails(client: str) -> None:
    """A call without a name cannot be run: the turn must not end as if nothing had been asked."""
    data = sse(chat(fragment(id="c1", arguments="{}")), chat({}, "tool_calls"), "[DONE]")
    assert is_error(client, told(C, client, data).frames)


def test_stop_11_the_legacy_function_call() -> None:
    body = message(None, "function_call", function_call={"name": "f", "arguments": '{"a":1}'})
    answer = whole(C, A, body)
    [call] = answer["content"]
    assert (call["type"], call["name"], call["input"]) == ("tool_use", "f", {"a": 1})
    assert answer["stop_reason"] == "tool_use"
    data = sse(
        chat({"function_call": {"name": "f", "arguments": ""}}),
        chat({"function_call": {"arguments": '{"a":1}'}}),
        chat({}, "function_call"),
        "[DONE]",
    )
    frames = told(C, A, data).frames
    assert frames[-2]["delta"]["stop_reason"] == "tool_use"
    assert frames[1]["content_block"]["name"] == "f"


@pytest.mark.parametrize("word", ["eos", "end_turn", "STOP"])
def test_stop_12_unknown_words_are_a_natural_end(word: str) -> None:
    result = told(C, A, sse(chat({"content": "Hi"}), chat({}, word), "[DONE]"))
    assert result.frames[-2]["delta"]["stop_reason"] == "end_turn"
    assert whole(C, C, message("Hi", word))["choices"][0]["finish_reason"] == "stop"


def test_stop_12_an_empty_reason_is_no_reason() -> None:
    """Some servers send `""` on every chunk: it must not end the answer (mapping.md 16, rule 7)."""
    data = sse(chat({"content": "H"}, ""), chat({"content": "i"}, ""), chat({}, "stop"), "[DONE]")
    result = told(C, A, data)
    assert result.text == "Hi"
    assert result.frames[-2]["delta"]["stop_reason"] == "end_turn"


def test_stop_12_anothers_word_for_calls() -> None:
    data = sse(chat(fragment(id="c1", name="f", arguments="{}")), chat({}, "tool_use"), "[DONE]")
    assert told(C, A, data).frames[-2]["delta"]["stop_reason"] == "tool_use"


@pytest.mark.parametrize("client", ALL)
def test_stop_12_a_provider_out_of_resources_failed(client: str) -> None:
    data = sse(chat({"content": "Par"}), chat({}, "insufficient_system_resource"), "[DONE]")
    assert is_error(client, told(C, client, data).frames)
    raises(whole, C, client, message("Par", "insufficient_system_resource"))


@pytest.mark.parametrize("client", [C, R, A])
def test_stop_10_a_malformed_call_of_gemini_is_an_error(client: str) -> None:
    data = sse(gemini(finish="MALFORMED_FUNCTION_CALL"))
    assert is_error(client, told(G, client, data, Mode.BALANCED).frames)
