"""Streams whose events were lost, doubled, swapped, mixed with those of another answer, or garbled on the way.

Whatever an upstream sends, the client gets a stream that follows its protocol's grammar to a good end, or one that
ends in that protocol's error. No limb of the gateway crashes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.relay import TranslatingRelay
from tests.support.crossing import NAMES, PAIRS, Case, cases, events_of, parse, writing_for
from tests.support.wirecheck import check_stream
from translators import PROTOCOLS, ir
from translators.base import Reading
from translators.errors import ErrorKind
from translators.filters import filters_for
from translators.fold import Folder
from translators.losses import Losses, Mode, Side
from translators.wire import JsonSyntaxError, dumps, loads

SETTINGS = settings(max_examples=30, deadline=None, database=None, derandomize=True)
READING: Final = Reading(provider="up", model="up-model", stream=True)
ODD: Final = st.sampled_from([None, "", "x", 0, -1, 2**70, True, [], {}, [{}], {"type": "x"}, 1.5])


def _frames(case: Case) -> list[bytes]:
    data = case.stream or b""
    end = b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n"
    return [frame + end for frame in data.split(end) if frame]


FRAMES: Final = {
    name: [_frames(case) for case in cases() if case.protocol == name and case.stream]
    for name in NAMES
}


@st.composite
def disturbed(draw: st.DrawFn, upstream: str) -> list[bytes]:
    """A stream after one to four mishaps."""
    frames = list(draw(st.sampled_from(FRAMES[upstream])))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(frames) - 1))
        match draw(st.sampled_from(["drop", "double", "move", "mix", "garble", "rubbish"])):
            case "drop" if len(frames) > 1:
                del frames[place]
            case "double":
                frames.insert(draw(st.integers(0, len(frames))), frames[place])
            case "move":
                frames.insert(draw(st.integers(0, len(frames))), frames.pop(place))
            case "mix":
                other = draw(st.sampled_from(FRAMES[upstream]))
                start = draw(st.integers(0, len(other) - 1))
                frames[place:place] = other[start : start + draw(st.integers(1, 6))]
            case "garble":
                frames[place] = _garbled(draw, frames[place])
            case _:
                frames.insert(place, draw(st.binary(max_size=20)) + b"\n\n")
    return frames


def _garbled(draw: st.DrawFn, frame: bytes) -> bytes:
    """A frame with one value of its JSON replaced or taken out."""
    head, _, tail = frame.partition(b"data: ")
    if not tail.startswith(b"{"):
        return frame
    value = copy.deepcopy(loads(tail.strip()))
    places = list(_places(value))
    if not places:
        return frame
    holder, key = draw(st.sampled_from(places))
    if draw(st.booleans()):
        holder[key] = draw(ODD)
    else:
        del holder[key]
    return head + b"data: " + dumps(value) + b"\n\n"


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else []
    keys = list(range(len(value))) if isinstance(value, list) else keys
    for key in keys:
        yield value, key
        yield from _places(value[key])


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@SETTINGS
@given(data=st.data())
def test_a_disturbed_stream_is_well_formed_to_a_good_end_or_to_an_error(
    client: str, upstream: str, data: st.DataObject
) -> None:
    frames = data.draw(disturbed(upstream))
    mode = data.draw(st.sampled_from(Mode))
    check(client, upstream, frames, mode)


@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize("upstream", ["openai_chat", "gemini"])
def test_an_answer_before_the_first_is_left_out(client: str, upstream: str) -> None:
    frames = _frames(Case(upstream, "text"))
    assert b'"index":0' in frames[1]
    frames[1] = frames[1].replace(b'"index":0', b'"index":-1')
    for mode in Mode:
        check(client, upstream, frames, mode)


@pytest.mark.parametrize("client", NAMES)
def test_arguments_that_go_on_after_their_end_are_refused_or_recorded(client: str) -> None:
    frames = _frames(Case("openai_chat", "reasoning-tool"))
    place = next(place for place, frame in enumerate(frames) if b'"arguments":"{' in frame)
    frames.insert(place, frames[place])
    for mode in Mode:
        check(client, "openai_chat", frames, mode)


def check(client: str, upstream: str, frames: Sequence[bytes], mode: Mode) -> None:
    """What every client must see of this stream."""
    losses = Losses(mode, Side.RESPONSE)
    case = Case(client, "text")
    relay = TranslatingRelay(
        PROTOCOLS[upstream].decoder(READING, losses),
        PROTOCOLS[client].encoder(writing_for(parse(case), case.request or {}), losses),
        filters_for(READING, losses),
        losses=losses,
    )
    sent = b"".join(piece for frame in [*frames, b""] for piece in relay(frame))
    assert relay.ended
    if relay.error is not None:
        assert relay.error.kind is not ErrorKind.INTERNAL, "a crash"
    if not any(
        isinstance(event, ir.MessageStart) for event in events_of(upstream, frames, READING)
    ):
        assert relay.error is not None  # nothing was sent yet: it becomes a plain HTTP error
        return
    assert check_stream(client, sent) is (relay.error is None)
    if relay.error is None:
        _check_calls(client, sent, losses)


def _check_calls(client: str, sent: bytes, losses: Losses) -> None:
    """The client reads a finished answer whose calls it can carry out: each has an id of its own and a name."""
    folder = Folder()
    for event in events_of(client, [sent], READING):
        folder.add(event)
    answer = folder.response()
    calls = [part for part in answer.parts if isinstance(part, ir.ToolCall)]
    assert len({call.call_id for call in calls}) == len(calls)
    assert all(call.call_id and call.name for call in calls)
    said = " ".join(item.reason for item in losses.degradations)
    if client in TAKE_OBJECTS and answer.finish_reason is not ir.FinishReason.LENGTH:
        assert all(map(_is_object, calls)) or "not a JSON object" in said


TAKE_OBJECTS: Final = frozenset({"anthropic", "gemini"})


def _is_object(call: ir.ToolCall) -> bool:
    try:
        return isinstance(loads(call.arguments or "{}"), dict)
    except JsonSyntaxError:
        return False
