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
from typing import Final, Protocol

from translators import ir
from translators.base import StreamDecoder, StreamEncoder, StreamObserver
from translators.errors import ErrorKind, GatewayError
from translators.filters import EventFilter
from translators.losses import Losses

log = logging.getLogger(__name__)


type OnEvent = Callable[[ir.StreamEvent], Sequence[ir.StreamEvent]]
"""What a script makes of one event: the events that stand in its place, [] = none."""
TERMINAL: Final = (ir.Finish, ir.StreamFailed)
CHANGED_PASSED: Final = (
    "llm_event changed an event of an answer that passes untranslated; "
    "call exchange.use_hub() in llm_request to have it translated"
)


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

    `on_event` gets every event and gives those that stand in its place: it is set only when a script asked for it.
    `on_finished` is called once when the answer ended early (a filter cut it, or the encoder refused what its
    protocol would lose), so that the upstream can be closed. `losses` is where all of them record what is given up.
    """

    def __init__(
        self,
        decoder: StreamDecoder,
        encoder: StreamEncoder,
        filters: list[EventFilter],
        *,
        losses: Losses | None = None,
        keep: EventSink | None = None,
        on_event: OnEvent | None = None,
        on_finished: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._decoder = decoder
        self._encoder = encoder
        self._filters = filters
        self.losses = losses or Losses()
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

    def go_on(self, decoder: StreamDecoder, on_finished: Callable[[], None] | None) -> None:
        """Take the next events from another upstream answer; for the client it is the same stream."""
        self._decoder = decoder
        self._primed, self._pending = 0, []
        if self._on_finished is not None:
            self._on_finished = on_finished

    def prime(self, data: bytes, *, ended: bool = False) -> GatewayError | bool:
        """See Relay."""
        events = self._decoder.feed(data)
        if ended:
            events += self._decoder.close()
        self._primed += len(data)
        self._pending += events
        found = judged(self._pending)
        if isinstance(found, GatewayError):
            self.usage = next(e.usage for e in self._pending if isinstance(e, ir.StreamFailed))
        return found

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
        out = self._encode(events[: self._events_left])
        if not self.ended:
            out += self._encode([ir.StreamFailed(too_many_events(), self.usage)])
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
            if self._on_event is not None:
                batch = [made for result in batch for made in self._on_event(result)]
            for result in batch:
                if self.keep is not None:
                    self.keep.add(result)
                yield result
                if self.ended and not isinstance(event, TERMINAL):  # a script ended it
                    self._close_upstream()
                    return
            if self._on_finished is not None and any(step.finished for step in self._filters):
                self._close_upstream()
                return

    def _crashed(self) -> list[bytes]:
        """A bug, of ours or of a script, must not look like a finished answer."""
        self.ended = True
        self._close_upstream()
        self.error = GatewayError(ErrorKind.INTERNAL, "the gateway failed to translate the stream")
        try:
            out = self._encoder.encode(ir.StreamFailed(self.error, self.usage))
        except Exception:
            log.exception("the failure itself could not be encoded")
            return []
        return [out] if out else []


class Shadow:
    """What scripts see of a stream that passes: its events, and the whole answer; they can end it, not change it."""

    def __init__(
        self, decoder: StreamDecoder, keep: EventSink | None, on_event: OnEvent | None
    ) -> None:
        self.decoder = decoder
        self._keep = keep
        self._on_event = on_event

    def feed(self, data: bytes) -> None:
        """Show the events of a piece; raises what a script raises."""
        self._show(self.decoder.feed(data))

    def close(self, error: GatewayError | None) -> None:
        """Show what the end of the stream brings."""
        self._show(self.decoder.close(error))

    def _show(self, events: list[ir.StreamEvent]) -> None:
        for event in events:
            if self._on_event is not None:
                made = self._on_event(event)
                if len(made) != 1 or made[0] is not event:
                    raise RuntimeError(CHANGED_PASSED)
            if self._keep is not None:
                self._keep.add(event)


def too_many_events() -> GatewayError:
    """The error of a stream that goes on and on."""
    return GatewayError(
        ErrorKind.UPSTREAM_MALFORMED,
        "the provider's stream has more events than the gateway accepts",
        code="upstream_stream_too_long",
    )


class PassingRelay(_Outcome):
    """The same protocol on both sides: bytes pass, usage and the proper end are only observed.

    `steps` change the bytes on their way out (the model's name, the framing); called with b"" they give back what
    they still hold. `first` reads the first event only. `failure` makes the client protocol's error event. `shadow`
    shows the events to scripts, before their bytes go out. `on_finished` closes the upstream after an early end.
    """

    def __init__(
        self,
        observer: StreamObserver,
        first: StreamDecoder,
        failure: Callable[[GatewayError], bytes],
        *,
        steps: Sequence[Callable[[bytes], bytes]] = (),
        ping: bytes = b"",
        shadow: Shadow | None = None,
        on_finished: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._observer = observer
        self._first: StreamDecoder | None = first
        self._failure = failure
        self._steps = tuple(steps)
        self._ping = ping
        self._shadow = shadow
        self._on_finished = on_finished
        self._events_left = sys.maxsize
        self._at_boundary = True

    def bound(self, max_frame_bytes: int, max_events: int) -> None:
        """See Relay: the bytes pass, but an unfinished event is held by who observes them."""
        self._observer.bound(max_frame_bytes)
        if self._first is not None:
            self._first.bound(max_frame_bytes)
        if self._shadow is not None:
            self._shadow.decoder.bound(max_frame_bytes)
        self._events_left = max_events

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
            self._watch(data)
            self._at_boundary = data.endswith((b"\n\n", b"\r\n\r\n"))
            for step in self._steps:
                if data:
                    data = step(data)
        except GatewayError as refused:
            return self._cut(refused)
        except Exception:
            log.exception("a passing stream could not be observed")
            return self._cut(
                GatewayError(ErrorKind.INTERNAL, "the gateway failed to pass the stream on")
            )
        return [data] if data else []

    def _watch(self, data: bytes) -> None:
        """Raise the GatewayError that ends the stream before these bytes."""
        self._observer.feed(data)
        if self._observer.error is not None:
            raise self._observer.error
        self._events_left -= data.count(b"\n\n") or data.count(b"\r\n\r\n")
        if self._events_left < 0:
            raise too_many_events()
        if self._shadow is not None:
            self._shadow.feed(data)

    def broken(self, error: GatewayError) -> list[bytes]:
        """See Relay."""
        return [] if self.ended else self._close(error)

    def ping(self) -> bytes:
        """See Relay: only between two events of the upstream, and not behind its last one (pitfalls STR-48)."""
        over = self.ended or self._observer.ended
        return b"" if over or not self._at_boundary else self._ping

    def _cut(self, error: GatewayError) -> list[bytes]:
        """End the client's stream here, whatever the upstream still says."""
        if self._on_finished is not None:
            notify, self._on_finished = self._on_finished, None
            notify()
        return self._tail(error)

    def _close(self, error: GatewayError) -> list[bytes]:
        failed = not self._observer.ended
        if self._shadow is not None:
            try:
                self._shadow.close(error if failed else None)
            except GatewayError as refused:
                return self._tail(refused)
            except Exception:
                log.exception("a script failed at the end of a stream")
                error = GatewayError(ErrorKind.INTERNAL, "the gateway failed to pass the stream on")
                return self._tail(error)
        return self._tail(error if failed else None)

    def _tail(self, error: GatewayError | None) -> list[bytes]:
        """What steps still hold, and with an error the event that says so."""
        self.ended = True
        self.usage = self._observer.usage
        self.finish_reason = self._observer.finish_reason
        tail = b""
        if error is not None:
            self.error = error
            # An event that was cut in the middle is closed off first, so that ours is read as one.
            tail = (b"" if self._at_boundary else b"\n\n") + (
                self._observer.failure(error) or self._failure(error)
            )
        for step in self._steps:
            tail = (step(tail) if tail else b"") + step(b"")
        return [tail] if tail else []
