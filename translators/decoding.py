"""What all stream decoders share: framing, the promise never to raise, and one part open at a time.

A protocol's decoder subclasses `Decoder`, reads one JSON object per `on_event`, and says what it means with
`start`, `part_*` and `finish`. `Parts` turns interleaved parts into the sequence that the grammar wants.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.sse import MAX_FRAME_BYTES, Frame, SseParser
from translators.wire import Json, JsonSyntaxError, loads

MAX_HELD_BYTES: Final = 64 * 1024 * 1024
"""Most text that is held back for parts which cannot be emitted yet."""

CUT: Final = "upstream stream ended early"


@dataclass(slots=True)
class _Held:
    """A part that waits until the one before it ends."""

    part: ir.Part
    deltas: list[ir.PartDelta | ir.CitationAdded] = field(default_factory=list)
    end: ir.PartEnd | None = None


class Parts:
    """Emit parts one after the other, in order of first appearance, however their pieces interleave.

    Keys are the caller's own (a `tool_calls` index, an item id). Only the front part's pieces go out at once;
    the others wait, bounded by MAX_HELD_BYTES.
    """

    __slots__ = ("_held", "_held_bytes", "_index", "_order", "out")

    def __init__(self, out: list[ir.StreamEvent]) -> None:
        self.out = out
        self._index = -1
        self._order: deque[Hashable] = (
            deque()
        )  # keys of open parts; the first is the one on the wire
        self._held: dict[Hashable, _Held] = {}
        self._held_bytes = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._order

    @property
    def count(self) -> int:
        """Parts begun so far, held ones not counted."""
        return self._index + 1

    @property
    def front(self) -> Hashable | None:
        """The key of the part that is open on the wire."""
        return self._order[0] if self._order else None

    @property
    def open_keys(self) -> tuple[Hashable, ...]:
        """Keys of all parts that have begun and not ended, in order."""
        return tuple(
            key for key in self._order if key not in self._held or self._held[key].end is None
        )

    def start(self, key: Hashable, part: ir.Part) -> None:
        """Open a part under a key that is not open."""
        self._order.append(key)
        if len(self._order) == 1:
            self._index += 1
            self.out.append(ir.PartStart(index=self._index, part=part))
        else:
            self._held[key] = _Held(part)

    def delta(self, key: Hashable, text: str, logprobs: tuple[ir.TokenLogprob, ...] = ()) -> None:
        """More of a part; empty text without logprobs is dropped."""
        if not text and not logprobs:
            return
        if self._order[0] == key:
            self.out.append(ir.PartDelta(self._index, text, logprobs))
            return
        self._held_bytes += len(text)
        if self._held_bytes > MAX_HELD_BYTES:
            raise GatewayError(
                ErrorKind.UPSTREAM_MALFORMED,
                "the provider interleaved more content than can be held back",
                code="upstream_stream_state_too_large",
            )
        self._held[key].deltas.append(ir.PartDelta(-1, text, logprobs))

    def cite(self, key: Hashable, citation: ir.Citation) -> None:
        """A citation of a text part."""
        if self._order[0] == key:
            self.out.append(ir.CitationAdded(index=self._index, citation=citation))
        else:
            self._held[key].deltas.append(ir.CitationAdded(index=-1, citation=citation))

    def end(
        self, key: Hashable, state: ir.OpaqueState | None = None, *, complete: bool = True
    ) -> None:
        """Close a part; the next one in order, if it was held back, goes out now."""
        if self._order[0] != key:
            self._held[key].end = ir.PartEnd(index=-1, state=state, complete=complete)
            return
        self.out.append(ir.PartEnd(index=self._index, state=state, complete=complete))
        self._order.popleft()
        while self._order:
            held = self._held.pop(self._order[0])
            self._index += 1
            self.out.append(ir.PartStart(index=self._index, part=held.part))
            for piece in held.deltas:
                if isinstance(piece, ir.PartDelta):
                    self._held_bytes -= len(piece.text)
                    self.out.append(ir.PartDelta(self._index, piece.text, piece.logprobs))
                else:
                    self.out.append(ir.CitationAdded(index=self._index, citation=piece.citation))
            if held.end is None:
                return
            self.out.append(
                ir.PartEnd(index=self._index, state=held.end.state, complete=held.end.complete)
            )
            self._order.popleft()

    def end_all(self, *, complete: bool = True) -> None:
        """Close every open part, in order."""
        for key in self.open_keys:
            self.end(key, complete=complete)

    def whole(self, key: Hashable, part: ir.Part) -> None:
        """A part that comes in one piece."""
        self.start(key, part)
        self.end(key)


def of_choice(choice: int, events: Iterable[ir.StreamEvent]) -> Iterator[ir.OfChoice]:
    """The events of a further answer as the stream has them; its failure, which is the whole stream's, is raised."""
    for event in events:
        if isinstance(event, ir.StreamFailed):
            raise event.error
        if not isinstance(event, ir.MessageStart | ir.OfChoice | ir.Ping):
            yield ir.OfChoice(choice=choice, event=event)


class Decoder(ABC):
    """The skeleton of a stream decoder; subclasses implement `on_event` and `on_close`.

    `out` collects the events of the current `feed`; `usage` is what was seen so far.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.out: list[ir.StreamEvent] = []
        self.parts = Parts(self.out)
        self.usage = ir.NO_USAGE
        self.started = False
        self.ended = False
        self._parser = SseParser(max_frame_bytes)
        self._comments = 0

    # -- to implement

    @abstractmethod
    def on_event(self, name: str | None, payload: Json) -> None:
        """One frame's JSON; `name` is its `event:` line. May raise GatewayError for a malformed one."""

    def on_done(self) -> None:  # noqa: B027 - only OpenAI's protocols have it
        """The frame `[DONE]`."""

    def on_close(self) -> None:  # noqa: B027 - a stream without its end is cut
        """End of input without a transport error and before a terminal event: finish, or leave it cut."""

    # -- for subclasses

    def start(self, event: ir.MessageStart) -> None:
        """Emit the start once."""
        if not self.started:
            self.started = True
            self.out.append(event)

    def finish(self, event: ir.Finish) -> None:
        """Emit the proper end; open parts are closed first."""
        if not self.ended:
            self.parts.end_all()
            self.ended = True
            self.out.append(event)

    def fail(self, error: GatewayError) -> None:
        """Emit the failure that ends the stream; open parts stay open."""
        if not self.ended:
            self.ended = True
            self.out.append(ir.StreamFailed(error, self.usage))

    # -- StreamDecoder

    def bound(self, max_frame_bytes: int) -> None:
        """See StreamDecoder."""
        self._parser.max_frame_bytes = max_frame_bytes

    def feed(self, data: bytes) -> list[ir.StreamEvent]:
        """See StreamDecoder."""
        if self.ended:
            return []
        try:
            for frame in self.frames(data):
                self._frame(frame)
                if self.ended:
                    break
            if self._parser.comments != self._comments:
                self._comments = self._parser.comments
                if not self.ended:
                    self.out.append(ir.Ping())
        except GatewayError as error:
            self.fail(error)
        return self._take()

    def close(self, error: GatewayError | None = None) -> list[ir.StreamEvent]:
        """See StreamDecoder."""
        if not self.ended:
            try:
                for frame in self.last_frames():
                    self._frame(frame)
                    if self.ended:
                        break
                if error is None and not self.ended:
                    self.on_close()
            except GatewayError as malformed:
                self.fail(
                    error or malformed
                )  # half an event of a broken transport is no fault of its own
            self.fail(error or GatewayError(ErrorKind.UPSTREAM_CUT, CUT))
        return self._take()

    def frames(self, data: bytes) -> list[Frame]:
        """Split input into frames; a protocol with another framing overrides this pair."""
        return self._parser.feed(data)

    def last_frames(self) -> list[Frame]:
        """Frames left at the end of input."""
        return self._parser.close()

    def _frame(self, frame: Frame) -> None:
        data = frame.data
        if data == b"[DONE]" or data.strip() == b"[DONE]":
            self.on_done()
            return
        if not data.strip():
            return
        try:
            payload = loads(data)
        except JsonSyntaxError as error:
            raise GatewayError(
                ErrorKind.UPSTREAM_MALFORMED,
                f"the provider sent a stream event that is not JSON: {error}",
            ) from error
        try:
            self.on_event(frame.event, payload)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            # A tolerant reader meets a shape that it cannot use: an error, never silence.
            raise GatewayError(
                ErrorKind.UPSTREAM_MALFORMED,
                f"the provider sent a stream event of an unreadable shape ({type(error).__name__})",
            ) from error

    def _take(self) -> list[ir.StreamEvent]:
        events = self.out[:]
        self.out.clear()
        return events
