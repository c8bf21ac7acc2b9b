"""Ends of answers that are none: what is asked for once more, and what is resumed (section 14)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from translators import PROTOCOLS, ir
from translators.base import Reading, Target
from translators.errors import ErrorKind, GatewayError
from translators.gemini.finish import BROKEN
from translators.gemini.stream import GeminiDecoder
from translators.losses import Losses, Mode

GEMINI = PROTOCOLS["gemini"]
ALL_MODES = pytest.mark.parametrize("mode", list(Mode))


def reading(*, stream: bool, **fields: Any) -> Reading:
    return Reading(provider="up", model="m", stream=stream, **fields)


def candidate(text: str, finish: str, **fields: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}] if text else []}
    return {"candidates": [{"content": content, "finishReason": finish, **fields}]}


def streamed(
    *chunks: dict[str, Any], given: Reading, losses: Losses | None = None
) -> list[ir.StreamEvent]:
    decoder = GeminiDecoder(given, losses or Losses())
    events = [
        event
        for chunk in chunks
        for event in decoder.feed(b"data: " + orjson.dumps(chunk) + b"\r\n\r\n")
    ]
    return [*events, *decoder.close()]


# --------------------------------------------------------------------------------------- once more


@ALL_MODES
@pytest.mark.parametrize("word", sorted(BROKEN))
def test_what_the_model_gave_up_is_an_error_while_it_can_be_asked_for_again(
    word: str, mode: Mode
) -> None:
    given = reading(stream=False, once_more=True)
    with pytest.raises(GatewayError) as failed:
        GEMINI.parse_response(candidate("half", word), given, Losses(mode))
    assert (failed.value.kind, failed.value.once_more) == (ErrorKind.UPSTREAM_MALFORMED, True)
    (*_, last) = streamed(
        candidate("", word), given=reading(stream=True, once_more=True), losses=Losses(mode)
    )
    assert isinstance(last, ir.StreamFailed)
    assert last.error.once_more


@pytest.mark.parametrize("stream", [False, True])
def test_the_second_time_max_compat_takes_it_as_it_is(stream: bool) -> None:
    losses = Losses()
    given = reading(stream=stream)
    broken = candidate("", "MALFORMED_FUNCTION_CALL")
    if stream:
        (*_, last) = streamed(broken, given=given, losses=losses)
        assert isinstance(last, ir.Finish)
        assert last.reason is ir.FinishReason.STOP
    else:
        response = GEMINI.parse_response(broken, given, losses)
        assert response.finish_reason is ir.FinishReason.STOP
    assert "gave the answer up" in losses.degradations[0].reason


def test_what_the_client_has_seen_is_not_asked_for_again() -> None:
    given = reading(stream=True, once_more=True)
    chunks = ({"candidates": [{"content": {"parts": [{"text": "a"}]}}]}, candidate("", "OTHER"))
    assert isinstance(streamed(*chunks, given=given)[-1], ir.Finish)
    (*_, last) = streamed(*chunks, given=given, losses=Losses(Mode.BALANCED))
    assert isinstance(last, ir.StreamFailed)


def test_an_account_that_is_limited_is_not_asked_again() -> None:
    given = reading(stream=False, once_more=True)
    with pytest.raises(GatewayError) as failed:
        GEMINI.parse_response(candidate("", "PUP_LIMITED_DISABLED"), given, Losses())
    assert not failed.value.once_more


# ----------------------------------------------------------------------------------------- resumed


@pytest.mark.parametrize(
    ("text", "open_text"), [("half a wo", True), ("", False)], ids=["in a text", "between parts"]
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_continuation_says_how_it_is_resumed(text: str, open_text: bool, stream: bool) -> None:
    losses = Losses()
    given = reading(stream=stream, resumable=True)
    paused = candidate(text, "CONTINUATION", continuationToken="t1")
    if stream:
        (*_, last) = streamed(paused, given=given, losses=losses)
        assert isinstance(last, ir.Finish)
        resume, reason = last.resume, last.reason
    else:
        response = GEMINI.parse_response(paused, given, losses)
        resume, reason = response.resume, response.finish_reason
    assert reason is ir.FinishReason.LENGTH
    assert resume is not None
    assert (resume.wire, resume.times) == ({"continuationToken": "t1"}, 10)
    assert resume.open_text is open_text
    assert losses.degradations == ()


def test_a_continuation_without_its_token_is_cut_with_a_warning() -> None:
    losses = Losses()
    response = GEMINI.parse_response(candidate("a", "CONTINUATION"), reading(stream=False), losses)
    assert (response.resume, response.finish_reason) == (None, ir.FinishReason.LENGTH)
    assert "could have continued" in losses.degradations[0].reason


def test_several_answers_are_not_resumed() -> None:
    losses = Losses()
    paused = candidate("a", "CONTINUATION", continuationToken="t1")
    paused["candidates"].append({**paused["candidates"][0], "index": 1})
    response = GEMINI.parse_response(paused, reading(stream=False, choices=2), losses)
    assert (response.resume, len(response.alternatives)) == (None, 1)
    assert "could have continued" in losses.degradations[0].reason


def test_the_last_token_goes_back_with_the_same_request() -> None:
    resumes = tuple(
        ir.Resume(protocol="gemini", wire={"continuationToken": token}, times=10)
        for token in ("t1", "t2")
    )
    said = ir.Message(role=ir.Role.USER, parts=(ir.Text(text="x"),))
    plain = ir.Request(protocol="openai_chat", model="m", messages=(said,))
    again = ir.Request(protocol="openai_chat", model="m", messages=(said,), resume=resumes)
    target = Target(provider="up", model="m")
    body = GEMINI.render_request(plain, target, Losses()).body
    resumed = GEMINI.render_request(again, target, Losses())
    assert resumed.body == {**body, "continuationToken": "t2"}
    assert (resumed.reading.resumable, resumed.reading.once_more) == (True, True)
