"""The demo's conversation: putting a stream together, and both views on paper."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from scripts.conversation import ConversationError, Round, Transcript, fold, show, weather

START = {"type": "message_start", "message": {}}
STOP = {"type": "message_stop"}


def opened(block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": block}


def delta(**fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": fields}


CALL = opened({"type": "tool_use", "id": "toolu_123456789", "name": "get_weather", "input": {}})
CALLING = [
    START,
    CALL,
    delta(type="input_json_delta", partial_json='{"city":'),
    delta(type="input_json_delta", partial_json='"Oslo"}'),
    STOP,
]


def test_a_stream_is_put_together() -> None:
    assert fold(CALLING)[0]["input"] == {"city": "Oslo"}
    text = opened({"type": "text", "text": ""})
    hello = [delta(type="text_delta", text=piece) for piece in ("Hel", "lo")]
    assert fold([START, text, *hello, STOP]) == [{"type": "text", "text": "Hello"}]
    assert fold([START, text, STOP]) == []


@pytest.mark.parametrize(
    ("events", "words"),
    [
        pytest.param(CALLING[:-1], "broke off", id="cut"),
        pytest.param([], "broke off", id="nothing"),
        pytest.param(
            [START, {"type": "error", "error": {"message": "Overloaded"}}], "Overloaded", id="error"
        ),
    ],
)
def test_a_stream_that_is_not_whole_is_an_error(events: list[Any], words: str) -> None:
    with pytest.raises(ConversationError, match=words):
        fold(events)


def test_the_tool_is_a_pure_function() -> None:
    assert weather("Oslo") == "Oslo: 4 °C, rain"
    assert weather("Atlantis") == "Atlantis: no report"


CHUNKS: list[Any] = [
    {"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
    {"choices": [{"delta": {"content": "Hel"}, "finish_reason": None}]},
    {"choices": [{"delta": {"content": "lo"}, "finish_reason": None}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    "[DONE]",
]


def printed(width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    round_ = Round(["POST /v1/messages"], CALLING, ["POST /v1/chat/completions"], CHUNKS)
    show(Transcript([round_], "Cold.", 1), console)
    return console.file.getvalue().splitlines()


def test_both_views_stand_side_by_side_where_there_is_room() -> None:
    lines = printed(110)
    assert any("POST /v1/messages" in line and "/chat/completions" in line for line in lines)
    assert any('input_json_delta ×2  {"city":"Oslo"}' in line for line in lines)
    assert any("delta.content ×2  Hello" in line for line in lines)
    assert lines[-1].strip() == "Answer: Cold."


def test_the_views_stand_one_below_the_other_where_there_is_none() -> None:
    lines = printed(70)
    assert not any("POST /v1/messages" in line and "/chat/completions" in line for line in lines)
    assert any("← usage  prompt 1, completion 2 tokens" in line for line in lines)
    assert max(map(len, lines)) <= 70
