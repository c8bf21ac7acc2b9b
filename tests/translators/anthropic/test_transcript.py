"""A paused turn: what its stream held, and how it goes back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from scripts.fake.validate_anthropic import validate
from tests.support.crossfire import claude
from translators import PROTOCOLS, ir
from translators.anthropic.transcript import MAX_HELD_CHARS, PausingDecoder, Transcript
from translators.base import Reading, Rendered, Target
from translators.errors import GatewayError
from translators.losses import Losses
from translators.profile import ModelProfile

READING = Reading(provider="up", model="m", resumable=True, stream=True)
USE = {
    "type": "server_tool_use",
    "id": "srvtoolu_01A",
    "name": "web_search",
    "input": {"query": "weather"},
}
RESULT = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_01A",
    "content": [
        {
            "type": "web_search_result",
            "url": "https://x.test",
            "title": "X",
            "encrypted_content": "opaque",
            "page_age": None,
        }
    ],
}
CITED = {
    "type": "web_search_result_location",
    "url": "https://x.test",
    "title": "X",
    "encrypted_index": "opaque",
    "cited_text": "wet",
}
CONTENT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Let me look.", "signature": "sig"},
    USE,
    RESULT,
    {"type": "text", "text": "It rains.", "citations": [CITED]},
]


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))
        for event in events
    )


def block(index: int, head: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": head},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


PAUSED = stream(
    {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {}}},
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Let me "},
        {"type": "thinking_delta", "thinking": "look."},
        {"type": "signature_delta", "signature": "sig"},
    ),
    *block(
        1,
        {**USE, "input": {}},
        {"type": "input_json_delta", "partial_json": '{"query":'},
        {"type": "input_json_delta", "partial_json": '"weather"}'},
    ),
    *block(2, RESULT),
    *block(
        3,
        {"type": "text", "text": ""},
        {"type": "citations_delta", "citation": CITED},
        {"type": "text_delta", "text": "It "},
        {"type": "text_delta", "text": "rains."},
    ),
    *block(4, {"type": "text", "text": ""}),
    {
        "type": "message_delta",
        "delta": {
            "stop_reason": "pause_turn",
            "container": {"id": "container_01", "expires_at": ""},
        },
        "usage": {},
    },
    {"type": "message_stop"},
)


@pytest.mark.parametrize("size", [7, 100, 100_000])
def test_a_streamed_turn_goes_back_as_a_whole_one_would(size: int) -> None:
    decoder = PausingDecoder(READING, Losses())
    events = [
        event
        for start in range(0, len(PAUSED), size)
        for event in decoder.feed(PAUSED[start : start + size])
    ]
    finish = [*events, *decoder.close()][-1]
    assert isinstance(finish, ir.Finish)
    assert finish.reason is ir.FinishReason.PAUSE
    assert finish.resume is not None
    assert finish.resume.wire == {"content": CONTENT, "container": "container_01"}
    whole = PROTOCOLS["anthropic"].parse_response(
        {
            "id": "msg_1",
            "content": [*CONTENT, {"type": "text", "text": ""}],
            "container": {"id": "container_01"},
            "stop_reason": "pause_turn",
        },
        READING,
        Losses(),
    )
    assert whole.resume == finish.resume


@pytest.mark.parametrize(
    ("reading", "stop"),
    [
        pytest.param(READING, "end_turn", id="a turn that ended"),
        pytest.param(Reading(provider="up", model="m"), "pause_turn", id="no hosted tool"),
    ],
)
def test_only_a_pause_of_hosted_tools_is_resumed(reading: Reading, stop: str) -> None:
    body = {"id": "msg_1", "content": CONTENT, "stop_reason": stop}
    assert PROTOCOLS["anthropic"].parse_response(body, reading, Losses()).resume is None
    decoder = PROTOCOLS["anthropic"].decoder(reading, Losses())
    *_, finish = *decoder.feed(claude({"type": "text", "text": "x"}, stop=stop)), *decoder.close()
    assert isinstance(finish, ir.Finish)
    assert finish.resume is None


def render(*resumes: ir.Resume) -> Rendered:
    search = ir.HostedTool(kind=ir.HostedKind.WEB_SEARCH, protocol="openai_chat", wire={})
    said = ir.Message(role=ir.Role.USER, parts=(ir.Text(text="How is the weather?"),))
    request = ir.Request(
        protocol="openai_chat", model="m", messages=(said,), tools=(search,), resume=resumes
    )
    profile = ModelProfile(hosted_tools=frozenset({ir.HostedKind.WEB_SEARCH}))
    target = Target(provider="up", model="claude-sonnet-5-5", profile=profile)
    return PROTOCOLS["anthropic"].render_request(request, target, Losses())


def test_all_that_came_goes_back_as_the_last_message_unchanged() -> None:
    first = ir.Resume(
        protocol="anthropic", wire={"content": CONTENT[1:3], "container": "c1"}, times=5
    )
    second = ir.Resume(protocol="anthropic", wire={"content": CONTENT[3:]}, times=5)
    rendered = render(first, second)
    assert rendered.body["messages"][-1] == {"role": "assistant", "content": CONTENT[1:]}
    assert rendered.body["container"] == "c1"
    validate(rendered.body, "claude-sonnet-5-5")
    assert rendered.reading.resumable


def test_a_turn_too_long_to_be_held_breaks() -> None:
    transcript = Transcript()
    transcript.add(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    )
    long = {"type": "text_delta", "text": "x" * (MAX_HELD_CHARS // 2)}
    delta = {"type": "content_block_delta", "index": 0, "delta": long}
    transcript.add(delta)
    transcript.add(delta)
    with pytest.raises(GatewayError, match="larger than can be held"):
        transcript.add(delta)
