"""SSE: one stream gives the same frames however it is split, and every buffer has its limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.errors import ErrorKind, GatewayError
from translators.sse import Frame, SseParser, data_frame, event_frame


def frames(stream: bytes, size: int) -> list[Frame]:
    parser = SseParser()
    out = []
    for start in range(0, len(stream), size):
        out += parser.feed(stream[start : start + size])
    return [*out, *parser.close()]


CASES = [
    pytest.param(b"data: x\n\n", [Frame(None, b"x")], id="one frame"),
    pytest.param(b"data:x\n\n", [Frame(None, b"x")], id="no space"),
    pytest.param(b"data:  x\n\n", [Frame(None, b" x")], id="only one space is framing"),
    pytest.param(b"event: e\ndata: x\n\n", [Frame("e", b"x")], id="a named event"),
    pytest.param(b"data: a\ndata: b\n\n", [Frame(None, b"a\nb")], id="several data lines"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [Frame(None, b"a"), Frame(None, b"b")], id="CRLF"),
    pytest.param(b"data: a\r\rdata: b\r\r", [Frame(None, b"a"), Frame(None, b"b")], id="CR"),
    pytest.param(b"\xef\xbb\xbfdata: a\n\n", [Frame(None, b"a")], id="a BOM"),
    pytest.param(b": hi\nid: 1\nretry: 9\n\ndata: a\n\n", [Frame(None, b"a")], id="other fields"),
    pytest.param(b"event: e\n\ndata: a\n\n", [Frame(None, b"a")], id="an event without data"),
    pytest.param(b"data: a", [Frame(None, b"a")], id="no end at all"),
    pytest.param(b"data: a\n", [Frame(None, b"a")], id="no blank line at the end"),
    pytest.param(b"data: a\r", [Frame(None, b"a")], id="a CR at the very end"),
    pytest.param("data: 日\u2028😀\n\n".encode(), [Frame(None, "日\u2028😀".encode())], id="U+2028 is text"),
    pytest.param(b"data: [DONE]\n\n", [Frame(None, b"[DONE]")], id="the end mark"),
    pytest.param(b"", [], id="nothing"),
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(("stream", "expected"), CASES)
def test_frames(stream: bytes, expected: list[Frame], size: int) -> None:
    assert frames(stream, size) == expected


lines = st.sampled_from([b"data: ab", b"data:", b"event: e", b": c", b"", b"data: \xe2\x80\xa8"])
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.lists(st.tuples(lines, ends)), st.integers(1, 9))
def test_splitting_changes_nothing(pieces: list[tuple[bytes, bytes]], size: int) -> None:
    stream = b"".join(line + end for line, end in pieces)
    assert frames(stream, size) == frames(stream, len(stream) or 1)


def test_comments_are_counted() -> None:
    parser = SseParser()
    assert parser.feed(b": a\n: b\n") == []
    assert parser.comments == 2


@pytest.mark.parametrize("size", [1, 10, 1000])
@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"data: " + b"x" * 200, id="one long line"),
        pytest.param(b"data: xxxxxxxxxxxxxxxx\n" * 20, id="many lines of one frame"),
        pytest.param(b"data: " + b"x" * 200 + b"\r\n\r\n", id="with CRLF"),
    ],
)
def test_a_frame_that_outgrows_the_limit_is_an_error(stream: bytes, size: int) -> None:
    parser = SseParser(max_frame_bytes=100)
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    with pytest.raises(GatewayError) as caught:
        list(map(parser.feed, pieces))
    assert caught.value.kind is ErrorKind.UPSTREAM_MALFORMED


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n: ping\n\n"])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_long_stream_of_small_frames_is_no_large_frame(end: bytes, size: int) -> None:
    parser = SseParser(max_frame_bytes=60)
    stream = (b"data: " + b"x" * 40 + end) * 50
    found = [
        frame
        for start in range(0, len(stream), size)
        for frame in parser.feed(stream[start : start + size])
    ]
    assert len(found) == 50


def test_writing() -> None:
    assert data_frame({"a": "é"}) == 'data: {"a":"é"}\n\n'.encode()
    assert event_frame("e", [1]) == b"event: e\ndata: [1]\n\n"
    assert data_frame("a\u2028b\u2029") == b'data: "a\\u2028b\\u2029"\n\n'
