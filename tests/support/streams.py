"""Run an encoder as the relay does."""

from __future__ import annotations

from collections.abc import Iterable

from translators import ir
from translators.base import StreamEncoder
from translators.errors import GatewayError


def encoded(encoder: StreamEncoder, events: Iterable[ir.StreamEvent]) -> bytes:
    """The client's bytes of events; what the encoder refuses ends them in a failure."""
    out = b""
    for event in events:
        try:
            out += encoder.encode(event)
        except GatewayError as refused:
            return out + encoder.encode(ir.StreamFailed(refused))
    return out
