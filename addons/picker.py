"""Which candidate an attempt goes to, what is learnt from how it ended, and whether another one is worth it.

The status table decides about failures; the client's own faults neither cool anything nor move on.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from addons.affinity import Sessions, Where
from addons.cooldown import Cooldowns
from addons.credentials import is_refused
from addons.exchange import Candidate, Exchange, Try, now_s
from addons.strategies import Strategies
from config.providers import AuthStyle
from config.status_policy import StatusAction, Verdict
from translators.errors import STATE_REFUSED, ErrorKind, GatewayError

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
_ACCOUNT: Final = frozenset(
    {
        ErrorKind.AUTHENTICATION,
        ErrorKind.PERMISSION,
        ErrorKind.BILLING,
        ErrorKind.RATE_LIMITED,
        ErrorKind.UPSTREAM_REJECTED,
    }
)
"""Kinds that are about the key's account: where it is the client's own, nothing rests for anybody else."""


class Picker:
    """Walk an exchange's candidates in order, past those that rest; when all have failed, once more after a pause."""

    def __init__(
        self,
        cooldowns: Cooldowns | None = None,
        sessions: Sessions | None = None,
        strategies: Strategies | None = None,
        *,
        clock: Callable[[], float] = now_s,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.cooldowns = cooldowns or Cooldowns(clock)
        self.sessions = sessions or Sessions(clock)
        self.strategies = strategies or Strategies(clock)
        self._clock = clock
        self._chance = chance

    def next(self, exchange: Exchange) -> Candidate | None:
        """The next candidate that does not rest, None when none is left."""
        settings = exchange.config.cooldowns
        while exchange.cursor < len(exchange.candidates):
            candidate = exchange.candidates[exchange.cursor]
            exchange.cursor += 1
            if self.cooldowns.take(candidate, settings):
                return candidate
        if exchange.insists:
            exchange.insists = False
            nearest = min(
                exchange.candidates,
                key=lambda one: self.cooldowns.rest_s(one, settings),
                default=None,
            )
            if nearest is not None:
                self.cooldowns.probe(nearest)
            return nearest
        return None if exchange.tries else self._recheck(exchange)

    def _recheck(self, exchange: Exchange) -> Candidate | None:
        settings = exchange.config.cooldowns
        for candidate in exchange.candidates:
            if self.cooldowns.may_recheck(candidate, settings):
                self.cooldowns.probe(candidate)
                return candidate
        return None

    def exhausted(self, exchange: Exchange) -> GatewayError:
        """The error when there is nobody to ask: all rest, or what rests does not know the model."""
        candidates = exchange.candidates
        wait_s = self.recovery_s(exchange)
        if not candidates or wait_s is None:
            return GatewayError(
                ErrorKind.NOT_FOUND,
                f'no provider is left for the model "{exchange.model[:200]}"',
                code="model_not_found",
            )
        reasons = dict.fromkeys(
            f"{one.provider}: {reason}"
            for one in candidates
            if (reason := self.cooldowns.reason(one))
        )
        told = "; ".join(list(reasons)[:5])
        kinds = {self.cooldowns.kind_of(one) for one in candidates}
        if kinds == {ErrorKind.NOT_FOUND}:
            return GatewayError(ErrorKind.NOT_FOUND, told, path="model", code="model_not_found")
        return GatewayError(
            ErrorKind.RATE_LIMITED,
            f'everything that serves the model "{exchange.model[:200]}" rests after failures '
            f"for another {wait_s:.0f} s ({told})",
            code="model_cooldown",
            retry_after_s=wait_s,
        )

    def wait_s(self, exchange: Exchange) -> float:
        """Seconds to wait before a first attempt makes sense; 0.0 = none, or too long to wait."""
        if not exchange.candidates:
            return 0.0
        seconds = self.recovery_s(exchange) or 0.0
        settings = exchange.config.cooldowns
        rechecked = any(self.cooldowns.may_recheck(one, settings) for one in exchange.candidates)
        return 0.0 if rechecked or seconds > exchange.config.retry.max_wait_s else seconds

    def verdict(self, exchange: Exchange, one: Try) -> Verdict:
        """What the table says about a failed attempt; a refused token is first tried anew."""
        error = one.error
        if error is None:
            return Verdict(StatusAction.FAIL_OVER)
        if has_stale_token(exchange, one):
            return Verdict(StatusAction.RETRY)
        if one.candidate.endpoint.auth is AuthStyle.CLIENT and error.kind in _ACCOUNT:
            return Verdict(StatusAction.FINAL)
        text = f"{error.code or ''} {error.message}"
        return one.candidate.upstream.status_policy.decide(error.upstream_status, text, error.kind)

    def failed(self, exchange: Exchange, one: Try) -> None:
        """Learn from a failed attempt."""
        if one.error is None:
            return
        if one.error.once_more:
            self.cooldowns.release([one.candidate])
            return
        verdict = self.verdict(exchange, one)
        self.cooldowns.failed(one.candidate, one.error, verdict, exchange.config.cooldowns)
        if exchange.session is not None and verdict.action is not StatusAction.FINAL:
            self.sessions.forget(exchange.session, exchange.model, where(one.candidate))

    def succeeded(self, exchange: Exchange, one: Try) -> None:
        """Learn from a good one."""
        self.cooldowns.succeeded(one.candidate)
        name = (one.candidate.provider, one.candidate.model)
        self.strategies.answered(name, max(0.0, self._clock() - one.started_s))
        if exchange.session is not None:
            self.sessions.remember(
                exchange.session,
                exchange.model,
                where(one.candidate),
                exchange.config.affinity,
            )

    def released(self, exchange: Exchange) -> None:
        """The exchange is over: a probe that it held is free for others."""
        if exchange.current is not None and exchange.answered_s is None:
            self.cooldowns.release([exchange.current.candidate])

    def recovery_s(self, exchange: Exchange) -> float | None:
        """Seconds until the nearest candidate is usable again, None when none rests."""
        settings = exchange.config.cooldowns
        rests = [self.cooldowns.rest_s(one, settings) for one in exchange.candidates]
        return min(rests) if rests and all(rests) else None

    def retry_delay(self, exchange: Exchange, one: Try) -> float | None:
        """Seconds to wait before the next attempt, None to give up."""
        if self._goes_without_state(exchange, one):
            return 0.0
        error, retry = one.error, exchange.config.retry
        failed = [each for each in exchange.tries if each.error is not None]
        if error is None or len(failed) >= retry.max_attempts:
            return None
        same = sum(1 for each in failed if each.candidate is one.candidate)
        if error.once_more:
            return self._once_more(exchange, one, failed)
        verdict = self.verdict(exchange, one)
        elapsed = self._clock() - exchange.started_s
        if verdict.action is StatusAction.FINAL or elapsed > retry.max_time_s:
            return None
        if verdict.action is StatusAction.RETRY:
            if same <= retry.per_candidate:
                exchange.cursor -= 1
                return self._bounded(exchange, self._backoff(exchange, same - 1))
        if self._has_next(exchange):
            return 0.0
        return self._next_round(exchange, error)

    def _once_more(self, exchange: Exchange, one: Try, failed: list[Try]) -> float | None:
        """The model gave its answer up: the same candidate once more at once, then the others, no further round."""
        given_up = [each for each in failed if each.error is not None and each.error.once_more]
        if sum(1 for each in given_up if each.candidate is one.candidate) == 1:
            exchange.cursor = next(
                place for place, each in enumerate(exchange.candidates) if each is one.candidate
            )
            return 0.0
        return 0.0 if self._has_next(exchange) else None

    def _goes_without_state(self, exchange: Exchange, one: Try) -> bool:
        """Whether the same candidate is asked once more without the reasoning state that it could not read."""
        refused = one.error is not None and one.error.code == STATE_REFUSED
        if not refused or exchange.without_state:
            return False
        if len(exchange.tries) >= exchange.config.retry.max_attempts:
            return False
        exchange.without_state = True
        exchange.cursor -= 1
        return True

    def _has_next(self, exchange: Exchange) -> bool:
        settings = exchange.config.cooldowns
        rest = exchange.candidates[exchange.cursor :]
        return any(self.cooldowns.rest_s(one, settings) == 0 for one in rest)

    def _next_round(self, exchange: Exchange, error: GatewayError) -> float | None:
        """All have been tried or rest: wait for the nearest, or insist on it where a moment may help."""
        if exchange.rounds >= exchange.config.retry.per_candidate:
            return None
        recovery_s = self.recovery_s(exchange)
        backoff_s = self._backoff(exchange, exchange.rounds)
        if error.kind not in _TRANSIENT and recovery_s is None:
            return None
        delay = backoff_s if recovery_s is None else max(recovery_s, backoff_s)
        if error.retry_after_s is not None:
            delay = max(error.retry_after_s, backoff_s) if recovery_s is None else delay
        elif self._bounded(exchange, delay) is None and error.kind in _TRANSIENT:
            delay = backoff_s
        if self._bounded(exchange, delay) is None:
            return None
        exchange.cursor = 0
        exchange.rounds += 1
        exchange.insists = True
        return delay

    def _backoff(self, exchange: Exchange, step: int) -> float:
        backoff = exchange.config.retry.backoff
        pause = min(backoff.first_s * float(2 ** min(step, 32)), backoff.max_s)
        return pause * (1 - backoff.jitter * self._chance())

    def _bounded(self, exchange: Exchange, delay: float) -> float | None:
        retry = exchange.config.retry
        elapsed = self._clock() - exchange.started_s
        fits = delay <= retry.max_wait_s and elapsed + delay <= retry.max_time_s
        return delay if fits else None


def has_stale_token(exchange: Exchange, one: Try) -> bool:
    """Whether a provider refused a token for the first time in an exchange: it may have been revoked, and a new
    one is got. What the issuer itself refused was never sent, and is no try."""
    if one.candidate.upstream.credential is None or not is_refused(one):
        return False
    refused = [
        each
        for each in exchange.tries
        if each.candidate is one.candidate and (each is one or is_refused(each))
    ]
    return len(refused) == 1


def where(candidate: Candidate) -> Where:
    """A candidate as sessions remember it."""
    return candidate.provider, candidate.model, candidate.key.name
