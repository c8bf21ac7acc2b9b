"""Which candidate an attempt goes to, and whether another attempt is worth it."""

from __future__ import annotations

from typing import Final

from addons.exchange import Candidate, Exchange, Try, now_s
from translators.errors import ErrorKind, GatewayError

_TRANSIENT: Final = frozenset(
    {
        ErrorKind.RATE_LIMITED,
        ErrorKind.OVERLOADED,
        ErrorKind.SERVER_ERROR,
        ErrorKind.UNREACHABLE,
        ErrorKind.UPSTREAM_MALFORMED,
        ErrorKind.UPSTREAM_CUT,
    }
)
"""Kinds for which the same candidate may succeed a moment later."""


class Picker:
    """Walk an exchange's candidates in order; when all have failed, once more after a pause."""

    def next(self, exchange: Exchange) -> Candidate | None:
        """The next candidate, None when none is left."""
        if exchange.cursor >= len(exchange.candidates):
            return None
        candidate = exchange.candidates[exchange.cursor]
        exchange.cursor += 1
        return candidate

    def exhausted(self, exchange: Exchange) -> GatewayError:
        """The error when there is nobody to ask."""
        return GatewayError(
            ErrorKind.NOT_FOUND,
            f'no provider is left for the model "{exchange.model}"',
            code="model_not_found",
        )

    def failed(self, exchange: Exchange, one: Try) -> None:
        """Learn from a failed attempt."""

    def succeeded(self, exchange: Exchange, one: Try) -> None:
        """Learn from a good one."""

    def released(self, exchange: Exchange) -> None:
        """The exchange holds its places no longer."""

    def recovery_s(self, exchange: Exchange) -> float | None:
        """Seconds until the nearest candidate is usable again, None when not known."""
        return None

    def retry_delay(self, exchange: Exchange, one: Try) -> float | None:
        """Seconds to wait before the next attempt, None to give up."""
        error, retry = one.error, exchange.config.retry
        if error is None or not error.retryable or len(exchange.tries) >= retry.max_attempts:
            return None
        if exchange.cursor < len(exchange.candidates):
            return 0.0
        if error.kind not in _TRANSIENT:
            return None
        delay = error.retry_after_s
        if delay is None:
            delay = min(retry.backoff.first_s * 2 ** (exchange.rounds), retry.backoff.max_s)
        elapsed = now_s() - exchange.started_s
        if exchange.rounds >= retry.per_candidate or delay > retry.max_wait_s:
            return None
        if elapsed + delay > retry.max_time_s:
            return None
        exchange.cursor = 0
        exchange.rounds += 1
        return delay
