"""Joined chunks: the same bytes, the same end and the same errors as h11 gives, in fewer pieces."""

from __future__ import annotations

import logging
from itertools import pairwise

import h11
import pytest
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from hypothesis import given
from hypothesis import strategies as st

from addons import joinchunks
from addons.contract import Verdict
from addons.joinchunks import JoinChunks, JoinedChunks, missing
from tests.addons.dialogue import END, POST, Dialogue, chunk, stream_head


def read(reader: object, *pieces: bytes) -> tuple[list[str], bytes]:
    """What a reader makes of pieces of a body, as mitmproxy asks it; and what it leaves."""
    buffer = ReceiveBuffer()
    seen: list[str] = []
    for piece in pieces:
        buffer += piece
        while True:
            try:
                event = reader(buffer)  # type: ignore[operator]
            except h11.ProtocolError as error:
                return [*seen, f"{type(error).__name__}: {error}"], bytes(buffer)
            if event is None:
                seen.append("more")
                break
            if isinstance(event, h11.EndOfMessage):
                return [*seen, f"end {list(event.headers)}"], bytes(buffer)
            seen.append(bytes(event.data).decode("latin-1"))
    return seen, bytes(buffer)


def joined(seen: list[str]) -> list[str]:
    """Pieces of one read in one."""
    out: list[str] = []
    fresh = True
    for word in seen:
        special = word == "more" or word.startswith(("end ", "LocalProtocolError"))
        if special or fresh:
            out.append(word)
        else:
            out[-1] += word
        fresh = special
    return out


CASES = [
    pytest.param([chunk(b"a") + chunk(b"b") + END], ["ab", "end []"], id="all in one read"),
    pytest.param(
        [chunk(b"a") + chunk(b"b"), chunk(b"c") + END],
        ["ab", "more", "c", "end []"],
        id="two reads",
    ),
    pytest.param(
        [b"3\r\na", b"b", b"c\r\n1\r", b"\nd\r\n" + END],
        ["a", "more", "b", "more", "c", "more", "d", "end []"],
        id="cut anywhere",
    ),
    pytest.param([chunk(b"a")[:-1], b"\n" + END], ["a", "more", "end []"], id="cut in the footer"),
    pytest.param([END], ["end []"], id="an empty body"),
    pytest.param(
        [chunk(b"a") + b"2;name=value\r\nbc\r\n" + chunk(b"d") + END],
        ["abcd", "end []"],
        id="an extension between plain chunks",
    ),
    pytest.param([b"0A\r\n0123456789\r\n" + END], ["0123456789", "end []"], id="leading zero"),
    pytest.param(
        [chunk(b"a") + b"1\r\nbXX" + chunk(b"c")],
        ["ab", "LocalProtocolError: malformed chunk footer: bytearray(b'XX') (expected b'\\r\\n')"],
        id="a broken footer after good chunks",
    ),
    pytest.param([b"1\r\na", b"\r\n" + END], ["a", "more", "end []"], id="footer in the next read"),
    pytest.param(
        [b"1\r\na\r", b"\n" + chunk(b"b") + END],
        ["a", "more", "b", "end []"],
        id="half a footer in the next read",
    ),
    pytest.param(
        [chunk(b"a") + b"0\r\nx: 1\r\n\r\n"], ["a", "end [(b'x', b'1')]"], id="with a trailer"
    ),
    pytest.param(
        [chunk(b"a") + chunk(b"b") + b"nonsense\r\n"],
        ["ab", "LocalProtocolError: illegal chunk header: bytearray(b'nonsense\\r\\n')"],
        id="broken after good chunks",
    ),
    pytest.param(
        [b"1\r\naXX"],
        ["a", "LocalProtocolError: malformed chunk footer: bytearray(b'XX') (expected b'\\r\\n')"],
        id="a broken footer",
    ),
]


@pytest.mark.parametrize(("pieces", "expected"), CASES)
def test_a_body_is_read_as_h11_reads_it(pieces: list[bytes], expected: list[str]) -> None:
    plain, left = read(ChunkedReader(), *pieces)
    assert read(JoinedChunks(ChunkedReader()), *pieces) == (expected, left)
    assert joined(plain) == expected


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=12),
    cuts=st.lists(st.integers(0, 600), max_size=8),
    tail=st.sampled_from([END, b"", b"zz\r\n", b"1\r\naXX", b"2;e\r\nhi\r\n" + END]),
)
def test_any_body_in_any_reads_gives_the_same_bytes_and_the_same_end(
    chunks: list[bytes], cuts: list[int], tail: bytes
) -> None:
    body = b"".join(chunk(one) for one in chunks) + tail
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    reads = [body[start:end] for start, end in pairwise(places)]

    def outcome(reader: object) -> tuple[bytes, list[str], bytes]:
        seen, left = read(reader, *reads)
        ends = [word for word in seen if word.startswith(("end ", "LocalProtocolError"))]
        data = b"".join(word.encode("latin-1") for word in seen if word not in (*ends, "more"))
        return data, ends, left

    assert outcome(JoinedChunks(ChunkedReader())) == outcome(ChunkedReader())


def test_what_follows_the_body_is_left_in_the_buffer() -> None:
    assert read(JoinedChunks(ChunkedReader()), chunk(b"a") + END + b"HTTP/1.1 200") == (
        ["a", "end []"],
        b"HTTP/1.1 200",
    )


def test_a_connection_closed_in_the_body_is_h11s_error() -> None:
    reader = JoinedChunks(ChunkedReader())
    read(reader, chunk(b"a"))
    with pytest.raises(h11.RemoteProtocolError, match="incomplete chunked read"):
        reader.read_eof()


def streamed(talk: Dialogue) -> list[bytes]:
    """The client's chunks of a streamed answer of 40 events in three reads, the last one cut."""
    talk.client(POST)
    body = [chunk(b"data: %d\n\n" % number) for number in range(40)]
    talk.upstream(1, stream_head() + b"".join(body[:20]))
    talk.upstream(1, b"".join(body[20:30]) + body[30][:-3])
    talk.upstream(1, body[30][-3:] + b"".join(body[31:]) + END)
    text = talk.client_text.partition(b"\r\n\r\n")[2]
    pieces, _ = read(ChunkedReader(), text)
    return [piece.encode() for piece in pieces]


def test_the_client_gets_the_same_stream_with_and_without() -> None:
    plain, quick = Dialogue(), Dialogue()
    JoinChunks(quick.engine).load(None)  # type: ignore[arg-type]
    for talk in (plain, quick):
        talk.policy.verdicts = lambda attempt: Verdict.PEEK
        talk.policy.peeks = [Verdict.COMMIT]
    expected = b"".join(b"data: %d\n\n" % number for number in range(40)) + b"end []"
    assert b"".join(streamed(plain)) == b"".join(streamed(quick)) == expected
    assert plain.lines == quick.lines
    assert len(quick.policy.asked) == len(plain.policy.asked)


def test_it_is_off_with_an_h11_that_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert missing() == ""
    talk = Dialogue()
    before = talk.engine.join_chunks
    monkeypatch.setattr(joinchunks, "ChunkedReader", lambda: lambda buffer: None)
    with caplog.at_level(logging.WARNING):
        JoinChunks(talk.engine).load(None)  # type: ignore[arg-type]
    assert "joined chunks are off" in caplog.text
    assert talk.engine.join_chunks is before
