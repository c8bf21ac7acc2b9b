"""Pitfalls, group 22: refusals, citations, grounding."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.pitfalls import TEXTS, A, C, G, R, answer, cross, sse, stream
from translators.wire import dumps


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    """A Chat chunk."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }


def test_ref_01_a_refusal_becomes_text_and_a_stop_reason() -> None:
    data = sse(
        chunk({"role": "assistant"}),
        chunk({"refusal": "I can't "}),
        chunk({"refusal": "do that."}),
        chunk({}, "stop"),
        done=True,
    )
    events = stream(C, A, data)
    texts = [e["delta"]["text"] for e in events if e.get("delta", {}).get("type") == "text_delta"]
    assert "".join(texts) == "I can't do that."
    [last] = [event for event in events if event["type"] == "message_delta"]
    assert last["delta"]["stop_reason"] == "refusal"


def test_ref_01_the_same_from_responses() -> None:
    part = {"type": "refusal", "refusal": "I can't."}
    body = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "m",
        "output": [
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        ],
    }
    message, _ = answer(R, A, body)
    assert [block["text"] for block in message["content"]] == ["I can't."]
    assert message["stop_reason"] == "refusal"


BLOCKED = {
    "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
    "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3},
    "modelVersion": "m",
    "responseId": "r1",
}


@pytest.mark.parametrize("client", [C, R, A, G])
def test_ref_03_a_blocked_prompt_is_no_empty_success(client: str) -> None:
    for body in (answer(G, client, BLOCKED)[0], stream(G, client, sse(BLOCKED))):
        text = dumps(body).decode()
        assert '"end_turn"' not in text
        assert '"finish_reason":"stop"' not in text
        assert '"finishReason":"STOP"' not in text
        word = {C: "content_filter", R: "content_filter", A: "refusal", G: "PROHIBITED_CONTENT"}
        assert word[client] in text


FOUND = {
    "type": "web_search_result_location",
    "url": "https://example.com/a",
    "title": "A",
    "encrypted_index": "abc",
    "cited_text": "zwölf",
}
CITED = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "text", "text": "Grüße: "},
        {"type": "text", "text": "zwölf Äpfel", "citations": [FOUND]},
        {"type": "text", "text": "."},
    ],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 4},
}


@pytest.mark.parametrize("client", [C, R])
def test_cit_01_citations_with_offsets_in_characters(client: str) -> None:
    body, _ = answer(A, client, CITED)
    if client == C:
        message = body["choices"][0]["message"]
        text, [note] = message["content"], message["annotations"]
        place = note["url_citation"]
    else:
        parts = [p for item in body["output"] if item["type"] == "message" for p in item["content"]]
        [(text, place)] = [(p["text"], note) for p in parts for note in p["annotations"]]
    assert (place["url"], place["title"]) == (FOUND["url"], "A")
    assert text[place["start_index"] : place["end_index"]] == "zwölf Äpfel"


def test_cit_01_in_a_stream_as_events_of_responses() -> None:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**CITED, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "", "citations": []}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "zwölf Äpfel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": FOUND}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ]  # fmt: skip
    out = stream(A, R, sse(*events))
    [note] = [event for event in out if event["type"] == "response.output_text.annotation.added"]
    assert note["annotation"]["url"] == FOUND["url"]
    assert (note["annotation"]["start_index"], note["annotation"]["end_index"]) == (0, 11)
    assert "citations_delta" not in dumps(out).decode()


GROUNDED = {
    "responseId": "r1",
    "modelVersion": "m",
    "candidates": [
        {
            "index": 0,
            "content": {"role": "model", "parts": [{"text": "Grüße aus Köln."}]},
            "finishReason": "STOP",
            "groundingMetadata": {
                "groundingChunks": [{"web": {"uri": "https://example.com/k", "title": "K"}}],
                "groundingSupports": [
                    {
                        "segment": {
                            "startIndex": len("Grüße aus ".encode()),
                            "endIndex": len("Grüße aus Köln".encode()),
                            "text": "Köln",
                        },
                        "groundingChunkIndices": [0],
                    }
                ],
            },
        }
    ],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8},
}


@pytest.mark.parametrize("client", [C, R])
def test_cit_02_bytes_become_characters(client: str) -> None:
    body, _ = answer(G, client, GROUNDED)
    if client == C:
        message = body["choices"][0]["message"]
        text, place = message["content"], message["annotations"][0]["url_citation"]
    else:
        [part] = body["output"][-1]["content"]
        text, place = part["text"], part["annotations"][0]
    assert text[place["start_index"] : place["end_index"]] == "Köln"
    assert place["url"] == "https://example.com/k"


def test_cit_02_anthropic_cannot_say_it_and_the_loss_is_told() -> None:
    body, losses = answer(G, A, GROUNDED)
    assert "citations" not in body["content"][0] or not body["content"][0]["citations"]
    assert losses.degradations


def test_cit_04_nulls_and_annotations_of_a_chat_history_do_not_go_on() -> None:
    said = {
        "role": "assistant",
        "content": "Hello",
        "refusal": None,
        "audio": None,
        "annotations": [],
        "function_call": None,
        "tool_calls": None,
    }
    asked = {
        "messages": [{"role": "user", "content": "Hi"}, said, {"role": "user", "content": "?"}]
    }
    [_, message, _] = cross(C, C, asked).body["messages"]
    assert message == {"role": "assistant", "content": "Hello"}
    for upstream in (R, A, G):
        assert "null" not in cross(C, upstream, asked).text


@pytest.mark.parametrize("client", [C, R, G])
def test_cit_05_nothing_internal_reaches_anthropic(client: str) -> None:
    keys = ("_provider_metadata", "provider_specific_fields")
    asked = {
        C: {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", keys[0]: {}}]}]
        },
        R: {
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Hi", keys[1]: {}}]}
            ]
        },
        G: {"contents": [{"role": "user", "parts": [{"text": "Hi", keys[0]: {}}]}]},
    }[client]
    crossed = cross(client, A, asked)
    assert not [key for key in keys if key in crossed.text]
    assert "Hi" in crossed.text


def test_texts_of_all_protocols_are_small() -> None:
    assert set(TEXTS) == {C, R, A, G}
