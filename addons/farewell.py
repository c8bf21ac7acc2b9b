"""An HTTP/2 upstream says GOAWAY: what it still answers is heard to its end, what it will not answer is asked elsewhere.

mitmproxy ends all streams of a connection at any GOAWAY, and so does h2, which takes no frame after it. Servers say it
on every deployment, without any error. Streams above its `last_stream_id` were never looked at, and those that wait for
a free place were never sent: they may be sent again, whatever they ask.
Reference: https://www.rfc-editor.org/rfc/rfc9113#section-6.8 (read 2026-11-21)
"""

from __future__ import annotations

from typing import Any, Final

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event
from hyperframe.frame import Frame, GoAwayFrame
from mitmproxy.proxy.layer import CommandGenerator as Commands

from addons.internals import ErrorCode, Http2Client, ReceiveHttp, ResponseProtocolError

UNPROCESSED: Final = "the upstream leaves and has not looked at the request"


class PatientClient(Http2Client):
    """Of an upstream connection; takes no request any more once it is `leaving`."""

    leaving = False

    def handle_h2_event(self, event: Any) -> Commands[bool]:
        """As the base class does, but a GOAWAY ends only what will not be answered."""
        if not isinstance(event, ConnectionTerminated):
            return (yield from super().handle_h2_event(event))
        self.leaving = True
        last = event.last_stream_id or 0
        queued, sent = list(self.stream_queue), [one for one in self.streams if one > last]
        self.stream_queue.clear()
        self.their_stream_id.update(zip(queued, queued, strict=True))  # they have no id of ours
        for stream_id in (*sent, *queued):
            if self.streams.pop(stream_id, None) is not None and not self.is_closed(stream_id):
                self.h2_conn.reset_stream(stream_id, ErrorCodes.CANCEL)
            yield ReceiveHttp(
                ResponseProtocolError(stream_id, UNPROCESSED, ErrorCode.GENERIC_SERVER_ERROR)
            )
        if event.error_code == ErrorCodes.NO_ERROR:
            return False
        return (yield from super().handle_h2_event(event))


def missing() -> list[str]:
    """The names that this module needs and are not there."""
    table = getattr(H2Connection(), "_frame_dispatch_table", {})
    return [] if GoAwayFrame in table else ["H2Connection._frame_dispatch_table[GoAwayFrame]"]


def be_patient(http: Http2Client) -> None:
    """Make a new connection one that a GOAWAY does not break. What h2 lacks (`missing`) is left as it is."""
    table = getattr(http.h2_conn, "_frame_dispatch_table", {})
    if GoAwayFrame not in table:
        return
    ordinary = table[GoAwayFrame]

    def goaway(frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        if frame.error_code != ErrorCodes.NO_ERROR:
            made: tuple[list[Frame], list[Event]] = ordinary(frame)
            return made
        event = ConnectionTerminated()
        event.error_code = ErrorCodes.NO_ERROR
        event.last_stream_id = frame.last_stream_id
        return [], [event]

    table[GoAwayFrame] = goaway
    http.__class__ = PatientClient
