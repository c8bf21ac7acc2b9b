"""The skeletons of stream filters: they take events apart and number the parts that go out."""

from __future__ import annotations

from typing import Protocol

from translators import ir


class EventFilter(Protocol):
    """Events in, events out; keeps the grammar (indexes are renumbered where parts come or go)."""

    def apply(self, event: ir.StreamEvent) -> list[ir.StreamEvent]:
        """What becomes of one event."""
        ...

    @property
    def finished(self) -> bool:
        """True once the filter itself ended the answer (a stop sequence was cut): close the upstream."""
        ...


class Filter:
    """Takes events apart and numbers the parts that go out; by itself it changes nothing.

    `logprobs` of text that is held back wait for the next text that goes out.
    """

    def __init__(self) -> None:
        self.finished = False
        self._out: list[ir.StreamEvent] = []
        self._index = -1
        self._open = False
        self._logprobs: tuple[ir.TokenLogprob, ...] = ()

    def apply(self, event: ir.StreamEvent) -> list[ir.StreamEvent]:
        """See EventFilter."""
        if self.finished:
            return []
        self._out = []
        match event:
            case ir.PartDelta():
                self._logprobs += event.logprobs
                self.on_delta(event.text)
            case ir.PartStart():
                self.on_start(event.part)
            case ir.PartEnd():
                self.on_end(event)
            case ir.CitationAdded():
                self.on_citation(event.citation)
            case ir.Finish():
                self.on_finish(event)
            case ir.StreamFailed():
                self.on_failure()
                self._out.append(event)
            case ir.MessageStart():
                self.on_message(event)
                self._out.append(event)
            case ir.Ping() | ir.OfChoice():
                self._out.append(event)
        return self._out

    # -- to override

    def on_message(self, event: ir.MessageStart) -> None:
        """The answer begins."""

    def on_start(self, part: ir.Part) -> None:
        """A part opens upstream."""
        self.start(part)

    def on_delta(self, text: str) -> None:
        """More of the open part."""
        self.emit(text)

    def on_citation(self, citation: ir.Citation) -> None:
        """A citation of the open part."""
        self._out.append(ir.CitationAdded(index=self._index, citation=citation))

    def on_end(self, end: ir.PartEnd) -> None:
        """The open part ends upstream."""
        self.end(end)

    def on_finish(self, finish: ir.Finish) -> None:
        """The answer ended by itself."""
        self._out.append(finish)

    def on_failure(self) -> None:
        """The stream broke: let go what is held back."""

    # -- for subclasses

    def start(self, part: ir.Part) -> None:
        """Open the next part that goes out."""
        self._index += 1
        self._open = True
        self._out.append(ir.PartStart(index=self._index, part=part))

    def emit(self, text: str) -> None:
        """More of the part that goes out."""
        if text or self._logprobs:
            self._out.append(ir.PartDelta(self._index, text, self._logprobs))
            self._logprobs = ()

    def end(self, end: ir.PartEnd | None = None) -> None:
        """Close the part that goes out."""
        self._open = False
        if end is None:
            self._out.append(ir.PartEnd(index=self._index))
        else:
            self._out.append(ir.PartEnd(index=self._index, state=end.state, complete=end.complete))


class TextFilter(Filter):
    """Rewrites the text of Text parts; one that turns out empty never opens."""

    def __init__(self) -> None:
        super().__init__()
        self._head: ir.Text | None = None  # of the Text part that is open upstream

    def begin(self) -> None:
        """A Text part opens."""

    def feed(self, text: str) -> str:
        """What of it may go out now."""
        return text

    def flush(self) -> str:
        """What is left at its end."""
        return ""

    def on_start(self, part: ir.Part) -> None:
        if isinstance(part, ir.Text):
            self._head = part
            self.begin()
        else:
            self.start(part)

    def on_delta(self, text: str) -> None:
        self.say(text if self._head is None else self.feed(text))

    def on_citation(self, citation: ir.Citation) -> None:
        self._ensure_open()
        super().on_citation(citation)

    def on_end(self, end: ir.PartEnd) -> None:
        if self._head is not None:
            self.say(self.flush())
            self._head = None
        if self._open:
            self.end(end)

    def on_failure(self) -> None:
        if self._head is not None:
            self.say(self.flush())

    def say(self, text: str) -> None:
        """Put text out, in a part that opens now if none is."""
        if text:
            self._ensure_open()
        if self._open:
            self.emit(text)

    def _ensure_open(self) -> None:
        if not self._open and self._head is not None:
            self.start(self._head)
