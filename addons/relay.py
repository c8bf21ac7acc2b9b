"""Fit a decoder and an encoder to mitmproxy's stream callable. Not an addon; knows no protocol.

mitmproxy calls the relay with each piece of the upstream's body and once with b"" at the end. Two of its
traps shape this file: an exception in the callable hangs the client, and an empty piece ends an HTTP/1.1 body
at once. So a relay never raises, and answers [] for "nothing yet". Whatever goes wrong ends in the client
protocol's own error event.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from translators import ir
from translators.base import StreamDecoder, StreamEncoder, StreamObserver
from translators.errors import ErrorKind, GatewayError
from translators.filters import EventFilter

log = logging.getLogger(__name__)


class Relay(Protocol):
    """What the gateway needs of a stream in progress."""

    usage: ir.Usage
    finish_reason: ir.FinishReason | None
    error: GatewayError | None

    def bound(self, max_frame_bytes: int, max_events: int) -> None:
        """Limit what one event, and the whole stream, of the upstream may take."""
        ...

    def prime(self, data: bytes, *, ended: bool = False) -> GatewayError | bool:
        """Look at the first pieces before anything is promised to the client.

        False = nothing to judge by yet, True = a good event came, an error = the stream failed at once.
        """
        ...

    def __call__(self, data: bytes) -> list[bytes]:
        """The bytes that this piece becomes for the client; b"" = the end."""
        ...

    def broken(self, error: GatewayError) -> list[bytes]:
        """The upstream died: the bytes that end the client's stream honestly, [] if it had ended already."""
        ...

    def ping(self) -> bytes:
        """A heartbeat for the client, b"" when none is safe now."""
        ...


def judged(events: list[ir.StreamEvent]) -> GatewayError | bool:
    """What the first events say: a failure, a good beginning (True), or nothing yet.

    The start alone says nothing: Responses reports a prompt that is too long right behind it. While the upstream
    is silent after its start, `early_start` keeps the client's stream alive.
    """
    for event in events:
        if isinstance(event, ir.StreamFailed):
            return event.error
        if not isinstance(event, ir.MessageStart | ir.Ping):
            return True
    return False


class EventSink(Protocol):
    """Something that collects events: a Folder, or the trail of reasoning."""

    def add(self, event: ir.StreamEvent) -> None:
        """Take one event."""
        ...


class _Outcome:
    """What every relay remembers about the answer."""

    def __init__(self) -> None:
        self.usage = ir.NO_USAGE
        self.finish_reason: ir.FinishReason | None = None
        self.error: GatewayError | None = None
        self.ended = False


class TranslatingRelay(_Outcome):
    """Upstream bytes -> hub events -> filters -> (observers) -> client bytes.

    `on_event` sees, and may replace or drop, every event: it is set only when a script asked for it.
    `on_finished` is called once when the answer ended early (a filter cut it, or the encoder refused what its
    protocol would lose), so that the upstream can be closed.
    """

    def __init__(
        self,
        decoder: StreamDecoder,
        encoder: StreamEncoder,
        filters: list[EventFilter],
        *,
        keep: EventSink | None = None,
        on_event: Callable[[ir.StreamEvent], ir.StreamEvent | None] | None = None,
        on_finished: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._decoder = decoder
        self._encoder = encoder
        self._filters = filters
        self.keep = keep
        self._on_event = on_event
        self._on_finished = on_finished
        self._plain = not filters and keep is None and on_event is None
        self._events_left = sys.maxsize
        self._primed = 0  # bytes that prime() has decoded and that will be fed once more
        self._pending: list[ir.StreamEvent] = []

    def bound(self, max_frame_bytes: int, max_events: int) -> None:
        """See Relay."""
        self._decoder.bound(max_frame_bytes)
        self._events_left = max_events

    def prime(self, data: bytes, *, ended: bool = False) -> GatewayError | bool:
        """See Relay."""
        events = self._decoder.feed(data)
        if ended:
            events += self._decoder.close()
        self._primed += len(data)
        self._pending += events
        return judged(self._pending)

    def __call__(self, data: bytes) -> list[bytes]:
        """See Relay."""
        if self.ended:
            return []
        try:
            if data and self._primed:
                skipped = min(self._primed, len(data))
                self._primed -= skipped
                data = data[skipped:]
                events, self._pending = self._pending, []
                if data:
                    events += self._decoder.feed(data)
            elif data:
                events = self._decoder.feed(data)
            else:
                events = [*self._pending, *self._decoder.close()]
                self._pending = []
            self._events_left -= len(events)
            if self._events_left < 0:
                return self._too_many(events)
            out = self._encode(events)
        except Exception:
            log.exception("the stream translator failed")
            return self._crashed()
        return [out] if out else []

    def broken(self, error: GatewayError) -> list[bytes]:
        """See Relay."""
        if self.ended:
            return []
        try:
            out = self._encode([*self._pending, *self._decoder.close(error)])
        except Exception:
            log.exception("the stream translator failed")
            return self._crashed()
        return [out] if out else []

    def ping(self) -> bytes:
        """See Relay."""
        return b"" if self.ended else self._encoder.ping()

    def _encode(self, events: Iterable[ir.StreamEvent]) -> bytes:
        encode = self._encoder.encode
        if not self._plain:
            events = self._through_filters(events)
        pieces = []
        try:
            for event in events:
                pieces.append(encode(event))
                if isinstance(event, ir.Finish):
                    self.usage, self.finish_reason, self.ended = event.usage, event.reason, True
                elif isinstance(event, ir.StreamFailed):
                    self.usage, self.error, self.ended = event.usage, event.error, True
                elif isinstance(event, ir.MessageStart):
                    self.usage = event.usage
        except GatewayError as refused:
            # The mode does not allow what the client's protocol would lose: what went well before is sent.
            self.error, self.ended = refused, True
            pieces.append(encode(ir.StreamFailed(refused, self.usage)))
            self._close_upstream()
        return b"".join(pieces)

    def _too_many(self, events: list[ir.StreamEvent]) -> list[bytes]:
        """End the answer where the limit lies."""
        error = GatewayError(
            ErrorKind.UPSTREAM_MALFORMED,
            "the provider's stream has more events than the gateway accepts",
            code="upstream_stream_too_long",
        )
        out = self._encode(events[: self._events_left])
        if not self.ended:
            out += self._encode([ir.StreamFailed(error, self.usage)])
        self._close_upstream()
        return [out]

    def _close_upstream(self) -> None:
        if self._on_finished is not None:
            notify, self._on_finished = self._on_finished, None
            notify()

    def _through_filters(self, events: Iterable[ir.StreamEvent]) -> Iterable[ir.StreamEvent]:
        for event in events:
            batch = [event]
            for step in self._filters:
                batch = [result for item in batch for result in step.apply(item)]
            for result in batch:
                seen = result if self._on_event is None else self._on_event(result)
                if seen is None:
                    continue
                if self.keep is not None:
                    self.keep.add(seen)
                yield seen
            if self._on_finished is not None and any(step.finished for step in self._filters):
                self._close_upstream()
                return

    def _crashed(self) -> list[bytes]:
        """A bug of ours must not look like a finished answer."""
        self.ended = True
        self.error = GatewayError(ErrorKind.INTERNAL, "the gateway failed to translate the stream")
        try:
            out = self._encoder.encode(ir.StreamFailed(self.error, self.usage))
        except Exception:
            log.exception("the failure itself could not be encoded")
            return []
        return [out] if out else []


class PassingRelay(_Outcome):
    """The same protocol on both sides: bytes pass, usage and the proper end are only observed.

    `steps` change the bytes on their way out (the model's name, the framing); called with b"" they give back what
    they still hold. `first` reads the first event only. `failure` makes the client protocol's error event.
    """

    def __init__(
        self,
        observer: StreamObserver,
        first: StreamDecoder,
        failure: Callable[[GatewayError], bytes],
        *,
        steps: Sequence[Callable[[bytes], bytes]] = (),
        ping: bytes = b"",
    ) -> None:
        super().__init__()
        self._observer = observer
        self._first: StreamDecoder | None = first
        self._failure = failure
        self._steps = tuple(steps)
        self._ping = ping
        self._at_boundary = True

    def bound(self, max_frame_bytes: int, max_events: int) -> None:
        """See Relay: what passes is not held, so that nothing needs a limit."""

    def prime(self, data: bytes, *, ended: bool = False) -> GatewayError | bool:
        """See Relay."""
        if self._first is None:
            return True
        events = self._first.feed(data)
        if ended:
            events += self._first.close()
        found = judged(events)
        if found is True:
            self._first = None
        return found

    def __call__(self, data: bytes) -> list[bytes]:
        """See Relay."""
        if self.ended:
            return []
        try:
            if not data:
                return self._close(
                    GatewayError(ErrorKind.UPSTREAM_CUT, "upstream stream ended early")
                )
            self._observer.feed(data)
            self._at_boundary = data.endswith((b"\n\n", b"\r\n\r\n"))
            for step in self._steps:
                if data:
                    data = step(data)
        except Exception:
            log.exception("the stream observer failed")
            return [data] if data else []
        return [data] if data else []

    def broken(self, error: GatewayError) -> list[bytes]:
        """See Relay."""
        return [] if self.ended else self._close(error)

    def ping(self) -> bytes:
        """See Relay: only between two events of the upstream, and not behind its last one (pitfalls STR-48)."""
        over = self.ended or self._observer.ended
        return b"" if over or not self._at_boundary else self._ping

    def _close(self, error: GatewayError) -> list[bytes]:
        self.ended = True
        self.usage = self._observer.usage
        self.finish_reason = self._observer.finish_reason
        failed = not self._observer.ended
        tail = b""
        if failed:
            self.error = error
            # An event that was cut in the middle is closed off first, so that ours is read as one.
            tail = (b"" if self._at_boundary else b"\n\n") + (
                self._observer.failure(error) or self._failure(error)
            )
        for step in self._steps:
            tail = (step(tail) if tail else b"") + step(b"")
        return [tail] if tail else []
