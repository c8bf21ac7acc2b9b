"""Legacy completions: the chat that they become, and what comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import ir
from translators.base import Call, Writing
from translators.errors import ErrorKind, GatewayError
from translators.fold import unfold
from translators.losses import Loss, Losses
from translators.openai_chat.completions import COMPLETIONS, USUAL_MAX_TOKENS, chat_body

REQUEST = ir.Request(
    protocol="openai_chat",
    model="m",
    messages=(ir.Message(role=ir.Role.USER, parts=(ir.Text(text="Hi"),)),),
    stream=True,
    stream_usage=True,
)
WRITING = Writing(request=REQUEST, model="m", now_s=1)


@pytest.mark.parametrize("prompt", ["Say hello", ["Say hello"]])
def test_a_prompt_is_one_user_message(prompt: Any) -> None:
    body = chat_body({"model": "m", "prompt": prompt, "temperature": 0.5, "stop": ["x"]})
    assert body["messages"] == [{"role": "user", "content": "Say hello"}]
    assert (body["temperature"], body["stop"]) == (0.5, ["x"])
    assert body["max_tokens"] == USUAL_MAX_TOKENS
    assert "prompt" not in body


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param({"prompt": "a", "suffix": "b"}, "suffix", id="suffix"),
        pytest.param({"prompt": "a", "echo": True}, "echo", id="echo"),
        pytest.param({"prompt": "a", "best_of": 3}, "best_of", id="best_of"),
        pytest.param({"prompt": ["a", "b"]}, "prompt", id="two prompts"),
        pytest.param({"prompt": [1, 2]}, "prompt", id="token numbers"),
        pytest.param({"prompt": [[1], [2]]}, "prompt", id="lists of token numbers"),
        pytest.param({"prompt": []}, "prompt", id="no prompt in a list"),
        pytest.param({}, "prompt", id="no prompt"),
        pytest.param({"prompt": {"a": 1}}, "prompt", id="an object"),
    ],
)
def test_what_a_chat_cannot_say_is_refused(body: dict[str, Any], path: str) -> None:
    with pytest.raises(GatewayError) as refused:
        chat_body({"model": "m", **body})
    assert refused.value.path == path
    assert refused.value.kind in (ErrorKind.UNTRANSLATABLE, ErrorKind.INVALID_REQUEST)


@pytest.mark.parametrize("neutral", [{"suffix": ""}, {"echo": False}, {"best_of": 1}])
def test_values_that_say_nothing_are_taken(neutral: dict[str, Any]) -> None:
    assert "messages" in chat_body({"model": "m", "prompt": "a", **neutral})


def test_log_probabilities_are_a_loss() -> None:
    request = COMPLETIONS.parse_request({"model": "m", "prompt": "a", "logprobs": 3}, Call(), None)
    assert [(one.path, one.loss) for one in request.unshared] == [("logprobs", Loss.HINT)]
    assert request.logprobs is None


def test_unknown_fields_are_seen() -> None:
    request = COMPLETIONS.parse_request({"model": "m", "prompt": "a", "zzz": 3}, Call(), None)
    assert [(one.path, one.loss) for one in request.unshared] == [("zzz", Loss.UNKNOWN)]


def test_a_stream_ends_with_its_reason_and_usage() -> None:
    losses = Losses()
    encoder = COMPLETIONS.encoder(WRITING, losses)
    events: list[ir.StreamEvent] = [
        ir.MessageStart(id="x", model="m"),
        ir.PartStart(index=0, part=ir.Reasoning(text="")),
        ir.PartDelta(0, "hidden"),
        ir.PartEnd(index=0),
        ir.PartStart(index=1, part=ir.Text(text="")),
        ir.PartDelta(1, "Hello\u2028"),
        ir.PartEnd(index=1),
        ir.Finish(reason=ir.FinishReason.LENGTH, usage=ir.Usage(input_tokens=2, output_tokens=1)),
    ]
    out = b"".join(map(encoder.encode, events))
    assert b"hidden" not in out
    assert "\u2028".encode() not in out
    *frames, done = out.decode().removesuffix("\n\n").split("\n\n")
    assert done == "data: [DONE]"
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    assert [c["text"] for chunk in chunks for c in chunk["choices"]] == ["Hello\u2028", ""]
    assert chunks[1]["choices"][0]["finish_reason"] == "length"
    assert chunks[2]["usage"]["total_tokens"] == 3
    assert losses.degradations


def test_par_10_several_texts_of_a_stream_keep_their_index() -> None:
    def answer(words: str) -> ir.Candidate:
        return ir.Candidate(parts=(ir.Text(text=words),), finish_reason=ir.FinishReason.STOP)

    response = ir.Response(
        id="x",
        model="m",
        parts=(ir.Text(text="one"),),
        finish_reason=ir.FinishReason.STOP,
        alternatives=(answer("two"), answer("three")),
    )
    encoder = COMPLETIONS.encoder(WRITING, Losses())
    out = b"".join(map(encoder.encode, unfold(response))).decode()
    *frames, done = out.removesuffix("\n\n").split("\n\n")
    assert done == "data: [DONE]"
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    said = [choice for chunk in chunks for choice in chunk["choices"]]
    texts = [(choice["index"], choice["text"]) for choice in said if choice["text"]]
    assert texts == [(0, "one"), (1, "two"), (2, "three")]
    ends = {choice["index"]: choice["finish_reason"] for choice in said}
    assert ends == {0: "stop", 1: "stop", 2: "stop"}


def test_a_cut_stream_does_not_look_finished() -> None:
    encoder = COMPLETIONS.encoder(WRITING, Losses())
    encoder.encode(ir.MessageStart(id="x", model="m"))
    out = encoder.encode(ir.StreamFailed(GatewayError(ErrorKind.UPSTREAM_CUT, "cut")))
    assert b"error" in out
    assert b'"finish_reason":"' not in out
    assert encoder.ping() == b""
