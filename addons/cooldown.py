"""Which keys, models and providers rest after failures, for how long, and who may try one first. No I/O.

The clock is passed in (monotonic seconds). A rest is never longer than the configured cap. When its time is over
one request is let through (half-open); only its success ends the rest for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from addons.exchange import Candidate
from config.settings import Cooldowns as Settings
from config.status_policy import StatusAction, Verdict
from translators.errors import ErrorKind, GatewayError

MAX_RESTS: Final = 10_000
PROBE_S: Final = 60.0
"""A probe that has said nothing for so long no longer keeps others away."""
MAX_REASON_CHARS: Final = 200
REFUSED: Final = "the provider refused the key"
HIDDEN: Final = frozenset(
    {ErrorKind.AUTHENTICATION, ErrorKind.PERMISSION, ErrorKind.UPSTREAM_REJECTED}
)
"""About the gateway's own key: what the provider said of it is for the operator, and no 401 or 403 of the client's."""

type Scope = tuple[str, str, str]
"""Provider, key, model; "" = all of them."""


@dataclass(slots=True, kw_only=True)
class Rest:
    """One thing that failed. `until_s` in the past with `failures` left = half-open."""

    until_s: float
    failures: int
    reason: str
    kind: ErrorKind
    provider: str
    key: str
    model: str
    probe_s: float | None = None
    """When the probe that is under way began."""
    checked_s: float = 0.0
    """When it began, or was last tried before its time."""


class Cooldowns:
    """The state of all pools."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rests: dict[Scope, Rest] = {}

    def failed(
        self, candidate: Candidate, error: GatewayError, verdict: Verdict, settings: Settings
    ) -> None:
        """Learn from a failure; what the table does not cool stays in use."""
        if not settings.enabled or not verdict.action.cools:
            self.release([candidate])
            return
        scope = _scope(candidate, verdict.action)
        now = self._clock()
        old = self._rests.get(scope)
        failures = 1 if old is None else old.failures + 1
        seconds = 0.0
        if failures >= settings.threshold:
            nth = failures - settings.threshold + 1
            seconds = verdict.cooldown_s(nth, error.retry_after_s, settings.cap_s)
        rule = verdict.rule
        said = REFUSED if error.kind in HIDDEN else error.message
        reason = (rule.reason if rule is not None else "") or said
        self._make_room()
        self._rests[scope] = Rest(
            until_s=now + seconds,
            failures=failures,
            reason=reason[:MAX_REASON_CHARS],
            kind=error.kind,
            provider=candidate.provider,
            key=candidate.key.name if scope[1] else "",
            model=candidate.model if scope[2] else "",
            checked_s=now,
        )
        self.release([candidate])

    def succeeded(self, candidate: Candidate) -> None:
        """An answer came: nothing about this candidate rests any more."""
        if self._rests:
            for scope in _scopes(candidate):
                self._rests.pop(scope, None)

    def rest_s(self, candidate: Candidate, settings: Settings) -> float:
        """Seconds until it may be used; 0.0 = now."""
        if not self._rests or not settings.enabled:
            return 0.0
        now = self._clock()
        return max(
            (self._left(rest, now, settings) for rest in self._of(candidate)),
            default=0.0,
        )

    @staticmethod
    def _left(rest: Rest, now: float, settings: Settings) -> float:
        if rest.failures < settings.threshold:
            return 0.0
        if rest.until_s > now:
            return rest.until_s - now
        if settings.half_open and rest.probe_s is not None and now - rest.probe_s < PROBE_S:
            return rest.probe_s + PROBE_S - now
        return 0.0

    def take(self, candidate: Candidate, settings: Settings) -> bool:
        """Use it, if it does not rest; the first one after a rest becomes the probe."""
        if self.rest_s(candidate, settings) > 0:
            return False
        self.probe(candidate)
        return True

    def probe(self, candidate: Candidate) -> None:
        """Note that a try of something that failed is under way."""
        now = self._clock()
        for rest in self._of(candidate):
            rest.probe_s = rest.checked_s = now

    def may_recheck(self, candidate: Candidate, settings: Settings) -> bool:
        """Whether a resting one may be tried before its time, for a request that has no other."""
        if settings.recheck_s is None:
            return False
        now = self._clock()
        return all(
            now - rest.checked_s >= settings.recheck_s
            and (rest.probe_s is None or now - rest.probe_s >= PROBE_S)
            for rest in self._of(candidate)
        )

    def release(self, candidates: Iterable[Candidate]) -> None:
        """A try ended, or its client left: others may probe."""
        if self._rests:
            for candidate in candidates:
                for rest in self._of(candidate):
                    rest.probe_s = None

    def kind_of(self, candidate: Candidate) -> ErrorKind | None:
        """Why it rests, None when nothing is known."""
        return next((rest.kind for rest in self._of(candidate)), None)

    def reason(self, candidate: Candidate) -> str:
        """Why it rests, in words; "" when nothing is known."""
        return next((rest.reason for rest in self._of(candidate)), "")

    def _of(self, candidate: Candidate) -> list[Rest]:
        if not self._rests:
            return []
        found = (self._rests.get(scope) for scope in _scopes(candidate))
        return [rest for rest in found if rest is not None]

    def _make_room(self) -> None:
        if len(self._rests) < MAX_RESTS:
            return
        now = self._clock()
        self._rests = {scope: rest for scope, rest in self._rests.items() if rest.until_s > now}
        while len(self._rests) >= MAX_RESTS:
            del self._rests[next(iter(self._rests))]

    # -- for operators

    def status(self) -> list[dict[str, Any]]:
        """What rests or is half-open, as JSON; no secrets."""
        now = self._clock()
        return [
            {
                "provider": rest.provider,
                "key": rest.key or None,
                "model": rest.model or None,
                "state": "resting" if rest.until_s > now else "half_open",
                "remaining_s": round(max(0.0, rest.until_s - now), 1),
                "failures": rest.failures,
                "kind": rest.kind.value,
                "reason": rest.reason,
            }
            for rest in self._rests.values()
        ]

    def reset(self, provider: str | None = None, key: str | None = None) -> int:
        """Forget the rests of a provider, of one of its keys, or all; how many there were."""
        gone = [
            scope
            for scope, rest in self._rests.items()
            if provider in (None, rest.provider) and key in (None, rest.key)
        ]
        for scope in gone:
            del self._rests[scope]
        return len(gone)

    # -- over restarts

    def dump(self) -> list[dict[str, Any]]:
        """Everything, with the time that is left instead of a time of this process's clock."""
        now = self._clock()
        return [
            {
                "scope": list(scope),
                "left_s": rest.until_s - now,
                "failures": rest.failures,
                "reason": rest.reason,
                "kind": rest.kind.value,
                "provider": rest.provider,
                "key": rest.key,
                "model": rest.model,
            }
            for scope, rest in self._rests.items()
        ]

    def restore(self, saved: Iterable[dict[str, Any]], passed_s: float, cap_s: float) -> None:
        """Take up what `dump` wrote `passed_s` ago; entries that are damaged or over are left out."""
        now = self._clock()
        for one in saved:
            try:
                provider, key, model = map(str, one["scope"])
                left_s = min(float(one["left_s"]) - passed_s, cap_s)
                rest = Rest(
                    until_s=now + left_s,
                    failures=int(one["failures"]),
                    reason=str(one["reason"])[:MAX_REASON_CHARS],
                    kind=ErrorKind(one["kind"]),
                    provider=str(one["provider"]),
                    key=str(one["key"]),
                    model=str(one["model"]),
                    checked_s=now,
                )
            except (KeyError, TypeError, ValueError):
                continue
            if left_s > 0:
                self._make_room()
                self._rests[(provider, key, model)] = rest


def _identity(candidate: Candidate) -> tuple[str, str]:
    """Provider and key; tenants with the same key at the same place share its state."""
    upstream, key = candidate.upstream, candidate.key
    place = f"{upstream.name} {upstream.primary.base_url}"
    mark = key.secret.fingerprint if key.secret is not None else ""
    return place, f"{key.name} {mark}"


def _scopes(candidate: Candidate) -> tuple[Scope, Scope, Scope]:
    place, key = _identity(candidate)
    return (place, key, candidate.model), (place, key, ""), (place, "", "")


def _scope(candidate: Candidate, action: StatusAction) -> Scope:
    by_model, by_key, by_provider = _scopes(candidate)
    match action:
        case StatusAction.COOL_PROVIDER:
            return by_provider
        case StatusAction.COOL_KEY:
            return by_key
        case _:
            return by_model
