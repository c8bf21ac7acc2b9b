"""What all decoders share: one part open at a time, one terminal event, and never an exception."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators import decoding, ir
from translators.decoding import Decoder, Parts
from translators.errors import ErrorKind, GatewayError
from translators.fold import Folder
from translators.grammar import Grammar

START = ir.MessageStart(id="r", model="m")


def text() -> ir.Text:
    return ir.Text(text="")


def folded(out: list[ir.StreamEvent]) -> list[str]:
    grammar, folder = Grammar(), Folder()
    for event in (START, *out, ir.Finish(reason=ir.FinishReason.STOP)):
        grammar.advance(event)
        folder.add(event)
    return [getattr(part, "text", "?") for part in folder.response().parts]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("delta"), st.integers(0, 3), st.text("ab", max_size=2)),
        st.tuples(st.just("end"), st.integers(0, 3), st.just("")),
    ),
    max_size=20,
)


@given(steps)
def test_interleaved_parts_come_one_after_the_other(moves: list[tuple[str, int, str]]) -> None:
    out: list[ir.StreamEvent] = []
    parts = Parts(out)
    said: dict[int, str] = {}
    ended: set[int] = set()
    for what, key, words in moves:
        if key in ended:
            continue
        if key not in said:
            said[key] = ""
            parts.start(key, text())
        if what == "end":
            parts.end(key)
            ended.add(key)
        else:
            parts.delta(key, words)
            said[key] += words
    assert parts.open_keys == tuple(key for key in said if key not in ended)
    parts.end_all()
    assert folded(out) == list(said.values())
    assert parts.front is None
    assert parts.count == len(said)


def test_what_is_held_back_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_HELD_BYTES", 3)
    parts = Parts([])
    parts.start("a", text())
    parts.start("b", text())
    parts.delta("b", "xyz")
    with pytest.raises(GatewayError) as caught:
        parts.delta("b", "x")
    assert caught.value.kind is ErrorKind.UPSTREAM_MALFORMED


def test_held_parts_keep_citations_state_and_completeness() -> None:
    out: list[ir.StreamEvent] = []
    parts = Parts(out)
    parts.start("a", text())
    parts.start("b", text())
    parts.cite("b", ir.UrlCitation(url="u"))
    parts.end("b", complete=False)
    parts.end("a")
    assert out[-2:] == [
        ir.CitationAdded(index=1, citation=ir.UrlCitation(url="u")),
        ir.PartEnd(index=1, complete=False),
    ]


class Plain(Decoder):
    """A protocol of `{"text": …}` that ends in `{"end": true}` or `[DONE]`."""

    def on_event(self, name: str | None, payload: Any) -> None:
        self.start(START)
        if "end" in payload:
            self.finish(ir.Finish(reason=ir.FinishReason.STOP))
            return
        if "t" not in self.parts:
            self.parts.start("t", text())
        self.parts.delta("t", payload["text"])

    def on_done(self) -> None:
        self.finish(ir.Finish(reason=ir.FinishReason.STOP))


def decode(stream: bytes, size: int, error: GatewayError | None = None) -> list[ir.StreamEvent]:
    decoder = Plain()
    grammar = Grammar()
    out = []
    for start in range(0, len(stream), size):
        out += decoder.feed(stream[start : start + size])
    out += decoder.close(error)
    out += decoder.feed(b'data: {"text":"late"}\n\n') + decoder.close()
    for event in out:
        grammar.advance(event)
    assert grammar.ended
    return out


SAID = b'data: {"text":"a"}\n\n'


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        pytest.param(SAID + b'data: {"end":true}\n\n', None, id="a proper end"),
        pytest.param(SAID + b"data: [DONE]\n\n", None, id="the end mark"),
        pytest.param(SAID + b"data:  [DONE] \n\n", None, id="the end mark with spaces"),
        pytest.param(SAID + b'data: {"end":true}', None, id="an end without its blank line"),
        pytest.param(SAID + b"data: [DONE]\n\n" + SAID, None, id="more after the end"),
        pytest.param(SAID, ErrorKind.UPSTREAM_CUT, id="cut"),
        pytest.param(b"", ErrorKind.UPSTREAM_CUT, id="nothing"),
        pytest.param(SAID + b"data: {\n\n", ErrorKind.UPSTREAM_MALFORMED, id="no JSON"),
        pytest.param(SAID + b"data: 1\n\n", ErrorKind.UPSTREAM_MALFORMED, id="no object"),
        pytest.param(SAID + b"data: {}\n\n", ErrorKind.UPSTREAM_MALFORMED, id="a missing field"),
        pytest.param(b"data: \n\n" + SAID + b"data: [DONE]\n\n", None, id="an empty frame"),
    ],
)
def test_streams_end_as_they_ended(stream: bytes, kind: ErrorKind | None, size: int) -> None:
    last = decode(stream, size)[-1]
    if kind is None:
        assert isinstance(last, ir.Finish)
    else:
        assert isinstance(last, ir.StreamFailed)
        assert last.error.kind is kind


def test_a_transport_error_is_told_as_it_is() -> None:
    error = GatewayError(ErrorKind.TIMEOUT, "slow")
    last = decode(SAID, 1000, error)[-1]
    assert isinstance(last, ir.StreamFailed)
    assert last.error is error


def test_comments_are_pings() -> None:
    decoder = Plain()
    assert decoder.feed(b": alive\n\n") == [ir.Ping()]
    assert decoder.feed(SAID + b"data: [DONE]\n\n: late\n\n")[-1] != ir.Ping()


@given(st.binary(max_size=80), st.integers(1, 9))
def test_no_bytes_raise(noise: bytes, size: int) -> None:
    decode(SAID + b"data: " + noise, size)
