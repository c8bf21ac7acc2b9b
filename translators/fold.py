"""Between a stream of events and a whole answer."""

from __future__ import annotations

from collections.abc import Iterator

from translators import ir


class Folder:
    """Collect the events of one stream into a Response; bounded by `max_bytes` of text."""

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        raise NotImplementedError

    def add(self, event: ir.StreamEvent) -> None:
        """Take one event."""
        raise NotImplementedError

    @property
    def failure(self) -> ir.StreamFailed | None:
        """The failure that ended the stream, if one did."""
        raise NotImplementedError

    def response(self) -> ir.Response:
        """The whole answer; raises the stream's own error if it failed or is not over."""
        raise NotImplementedError

    def partial(self) -> ir.Response:
        """What has been collected so far, whatever the state: for logs and hooks."""
        raise NotImplementedError


def unfold(response: ir.Response) -> Iterator[ir.StreamEvent]:
    """The events of a whole answer: one delta per part."""
    raise NotImplementedError
