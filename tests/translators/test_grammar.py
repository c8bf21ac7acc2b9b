"""The event grammar: what may follow what, and what is a bug of ours."""

from __future__ import annotations

import pytest

from translators import ir
from translators.errors import ErrorKind, GatewayError, StreamContractError
from translators.grammar import TRANSITIONS, Grammar, Phase

START = ir.MessageStart(id="r", model="m")
FINISH = ir.Finish(reason=ir.FinishReason.STOP)
FAILED = ir.StreamFailed(GatewayError(ErrorKind.UPSTREAM_CUT, "cut"))
CITED = ir.CitationAdded(index=0, citation=ir.UrlCitation(url="u"))


def begin(index: int) -> ir.PartStart:
    return ir.PartStart(index=index, part=ir.Text(text=""))


def end(index: int) -> ir.PartEnd:
    return ir.PartEnd(index=index)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([START, FINISH], id="nothing said"),
        pytest.param([START, begin(0), ir.PartDelta(0, "a"), CITED, end(0), FINISH], id="a text"),
        pytest.param([START, begin(0), end(0), begin(1), end(1), FINISH], id="two parts"),
        pytest.param([FAILED], id="a failure at once"),
        pytest.param([START, begin(0), FAILED], id="a failure inside a part"),
        pytest.param([ir.Ping(), START, ir.Ping(), begin(0), ir.Ping(), end(0), FINISH], id="pings"),
    ],
)  # fmt: skip
def test_legal(events: list[ir.StreamEvent]) -> None:
    grammar = Grammar()
    for event in events:
        assert not grammar.ended
        grammar.advance(event)
    assert grammar.ended


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([FINISH], id="an end before the start"),
        pytest.param([begin(0)], id="a part before the start"),
        pytest.param([START, START], id="two starts"),
        pytest.param([START, begin(1)], id="an index left out"),
        pytest.param([START, begin(0), begin(1)], id="two open parts"),
        pytest.param([START, ir.PartDelta(0, "a")], id="a delta of no part"),
        pytest.param([START, begin(0), ir.PartDelta(1, "a")], id="a delta of another part"),
        pytest.param([START, begin(0), end(1)], id="the end of another part"),
        pytest.param([START, begin(0), FINISH], id="a finish inside a part"),
        pytest.param([START, begin(0), end(0), begin(0)], id="an index twice"),
        pytest.param([START, begin(0), end(0), CITED], id="a citation of a closed part"),
        pytest.param([START, FINISH, FINISH], id="two ends"),
        pytest.param([START, FINISH, FAILED], id="a failure after the end"),
        pytest.param([START, FINISH, ir.Ping()], id="a ping after the end"),
        pytest.param([START, begin(0), end(0), ir.PartDelta(0, "a")], id="a late delta"),
    ],
)
def test_illegal(events: list[ir.StreamEvent]) -> None:
    grammar = Grammar()
    for event in events[:-1]:
        grammar.advance(event)
    with pytest.raises(StreamContractError):
        grammar.advance(events[-1])


def test_the_table_is_complete() -> None:
    assert set(TRANSITIONS) == set(Phase)
