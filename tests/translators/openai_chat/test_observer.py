"""Watching a passed-through stream: usage and the end, whatever the pieces."""

from __future__ import annotations

import pytest

from tests.translators.openai_chat.support import BROKEN, STREAMS, chunk, decode, frames
from translators import ir
from translators.base import StreamObserver
from translators.openai_chat import TRANSLATOR


def watch(data: bytes, size: int) -> StreamObserver:
    """What an observer saw of a body fed in pieces."""
    observer = TRANSLATOR.observer()
    for at in range(0, len(data), size):
        observer.feed(data[at : at + size])
    return observer


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s[0]["id"])
@pytest.mark.parametrize("size", [1, 7, 100000])
def test_it_sees_what_the_decoder_sees(stream: list[dict[str, object]], size: int) -> None:
    data = frames(stream)
    finish = decode(data)[-1]
    assert isinstance(finish, ir.Finish)
    observer = watch(data, size)
    assert observer.usage == finish.usage
    assert observer.ended is True
    wanted = finish.reason
    if wanted is ir.FinishReason.REFUSAL:
        wanted = ir.FinishReason.STOP  # refusal text is not looked at
    assert observer.finish_reason is wanted


def test_a_cut_stream_has_not_ended() -> None:
    observer = watch(frames([chunk({"content": 'a "finish_reason": "stop"'})], done=False), 50)
    assert observer.ended is False
    assert observer.finish_reason is None


def test_an_error_is_an_end_without_a_reason() -> None:
    observer = watch(frames(BROKEN[0], done=False), 50)
    assert observer.ended is True
    assert observer.finish_reason is None


def test_a_finish_reason_is_an_end_without_done() -> None:
    assert watch(frames([chunk({"content": "a"}, "stop")], done=False), 50).ended is True


def test_rubbish_does_no_harm() -> None:
    observer = watch(b'data: "usage":{ nonsense\n\n\xff\xfe\x00' * 3, 5)
    assert observer.ended is False
    assert observer.usage == ir.NO_USAGE
