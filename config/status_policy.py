"""What the gateway does about a failed attempt, as a table of rules.

A rule names statuses, kinds of failure or words of the error text; the first rule that matches decides.
A provider's own rules come before the configuration's, and those before the defaults.
Counting failures, clocks and the cooled keys themselves are the router's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from pydantic import field_validator, model_validator

from config.section import Seconds, Section, Statuses, Strings
from translators.errors import ErrorKind

DEFAULT_CAP_S: Final = 1800.0
MAX_BACKOFF_STEPS: Final = 32
"""2^32 s is beyond any cap; more would only make big integers."""


class StatusAction(StrEnum):
    """What happens after a failure that the client has not seen."""

    RETRY = "retry"
    """Try the same key again after a pause."""
    COOL_KEY = "cool_key"
    """The key rests for all models; go on with the next candidate."""
    COOL_KEY_MODEL = "cool_key_model"
    """The key rests for this model only; go on with the next candidate."""
    COOL_PROVIDER = "cool_provider"
    """Every key of the provider rests; go on with the next candidate."""
    FAIL_OVER = "fail_over"
    """Go on with the next candidate; nothing rests."""
    FINAL = "final"
    """The client's own fault, or nothing helps: tell the client."""

    @property
    def cools(self) -> bool:
        """Whether something rests afterwards."""
        return self in (
            StatusAction.COOL_KEY,
            StatusAction.COOL_KEY_MODEL,
            StatusAction.COOL_PROVIDER,
        )


class StatusRule(Section):
    """One row of the table: every given condition must hold."""

    status: Statuses = ()
    """HTTP statuses of the upstream's answer; none given = any, also no answer at all."""
    status_range: tuple[int, int] | None = None
    """First and last status of a range, both included."""
    kinds: tuple[ErrorKind, ...] = ()
    """Kinds of failure (`unreachable`, `timeout`, `billing`, …); none given = any."""
    words: Strings = ()
    """Texts to look for in the error's code and message, case ignored; one of them must occur."""
    action: StatusAction
    """What to do."""
    cooldown_s: Seconds = 0.0
    """How long the key, model or provider rests; the first step when `exponential` is set."""
    exponential: bool = False
    """Double the time with every further failure in a row."""
    use_retry_after: bool = False
    """The upstream's own delay wins over `cooldown_s`."""
    reason: str = ""
    """Words for status pages and logs; empty = the upstream's message."""

    @field_validator("words")
    @classmethod
    def _fold(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word.casefold() for word in words)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (self.status or self.status_range or self.kinds or self.words):
            raise ValueError("at least one of `status`, `status_range`, `kinds` and `words`")
        if self.status_range and self.status_range[0] > self.status_range[1]:
            raise ValueError("a status_range whose first status is not above its last")
        if self.cooldown_s and not self.action.cools:
            raise ValueError(
                f"no cooldown_s beside action `{self.action.value}`, which cools nothing"
            )
        if self.action.cools and not (self.cooldown_s or self.use_retry_after):
            raise ValueError(f"a cooldown_s beside action `{self.action.value}`")
        return self

    def matches(self, status: int | None, kind: ErrorKind | None, text: str) -> bool:
        """Whether the rule is about this failure; `text` is already case-folded."""
        if self.status and status not in self.status:
            return False
        if self.status_range is not None and not (
            status is not None and self.status_range[0] <= status <= self.status_range[1]
        ):
            return False
        if self.kinds and kind not in self.kinds:
            return False
        return not self.words or any(word in text for word in self.words)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about one failure. `rule` None = no rule knew it."""

    action: StatusAction
    rule: StatusRule | None = None

    def cooldown_s(
        self, failures: int, retry_after_s: float | None = None, cap_s: float = DEFAULT_CAP_S
    ) -> float:
        """How long to rest after the `failures`-th failure in a row (from 1), never above `cap_s`."""
        if self.rule is None or not self.action.cools:
            return 0.0
        seconds = self.rule.cooldown_s
        if self.rule.exponential:
            seconds *= 2 ** min(max(failures, 1) - 1, MAX_BACKOFF_STEPS)
        if self.rule.use_retry_after and retry_after_s is not None:
            seconds = max(0.0, retry_after_s)
        return min(seconds, cap_s)


@dataclass(frozen=True, slots=True)
class StatusPolicy:
    """An ordered table of rules."""

    rules: tuple[StatusRule, ...]

    def decide(self, status: int | None, text: str = "", kind: ErrorKind | None = None) -> Verdict:
        """The verdict on a failure; `status` None = no HTTP answer came.

        A failure that no rule knows goes by its kind: another candidate where that may help, else final.
        """
        folded = text.casefold()
        for rule in self.rules:
            if rule.matches(status, kind, folded):
                return Verdict(rule.action, rule)
        if status is not None and 400 <= status < 500:
            return Verdict(StatusAction.FINAL)
        return Verdict(StatusAction.FAIL_OVER)

    def after(self, rules: Iterable[StatusRule]) -> StatusPolicy:
        """The same table with more important rules in front."""
        return StatusPolicy((*rules, *self.rules))


QUOTA_WORDS: Final = (
    "insufficient_quota",
    "insufficient balance",
    "insufficient_balance",
    "billing_hard_limit_reached",
    "exceeded your current quota",
    "credit balance is too low",
    "quota exceeded",
    "out of credits",
    "余额不足",
    "欠费",
)
_HALF_HOUR: Final = 1800.0
_MINUTE: Final = 60.0

DEFAULT_RULES: Final[tuple[StatusRule, ...]] = (
    # What the client asked is wrong everywhere: no other key helps.
    StatusRule(
        kinds=(
            ErrorKind.INVALID_REQUEST,
            ErrorKind.UNTRANSLATABLE,
            ErrorKind.CONTEXT_TOO_LONG,
            ErrorKind.CONTENT_POLICY,
            ErrorKind.CANCELLED,
            ErrorKind.MISCONFIGURED,
            ErrorKind.INTERNAL,
        ),
        action=StatusAction.FINAL,
    ),
    StatusRule(
        words=("model_not_supported", "model not supported"),
        status_range=(400, 499),
        action=StatusAction.COOL_KEY_MODEL,
        cooldown_s=43200.0,
        reason="the provider does not serve this model",
    ),
    StatusRule(
        words=("invalid_grant",),
        action=StatusAction.COOL_KEY,
        cooldown_s=_HALF_HOUR,
        reason="the stored login was refused",
    ),
    StatusRule(
        kinds=(ErrorKind.BILLING,),
        action=StatusAction.COOL_KEY,
        cooldown_s=_HALF_HOUR,
        use_retry_after=True,
        reason="the account is out of quota or credit",
    ),
    StatusRule(
        words=QUOTA_WORDS,
        status=(400, 402, 403, 429),
        action=StatusAction.COOL_KEY,
        cooldown_s=_HALF_HOUR,
        use_retry_after=True,
        reason="the account is out of quota or credit",
    ),
    StatusRule(
        status=(401, 402),
        action=StatusAction.COOL_KEY,
        cooldown_s=_HALF_HOUR,
        reason="the provider refused the key",
    ),
    StatusRule(
        status=(403,),
        action=StatusAction.COOL_KEY_MODEL,
        cooldown_s=_HALF_HOUR,
        reason="the key may not use this model",
    ),
    StatusRule(
        status=(404,),
        action=StatusAction.COOL_KEY_MODEL,
        cooldown_s=43200.0,
        reason="the provider does not know this model",
    ),
    StatusRule(
        status=(429,),
        action=StatusAction.COOL_KEY_MODEL,
        cooldown_s=1.0,
        exponential=True,
        use_retry_after=True,
        reason="rate limited",
    ),
    StatusRule(status=(409,), action=StatusAction.RETRY, reason="conflict"),
    StatusRule(
        status=(408, 500, 502, 503, 504, 529),
        action=StatusAction.COOL_KEY_MODEL,
        cooldown_s=_MINUTE,
        use_retry_after=True,
        reason="the provider is failing or overloaded",
    ),
    StatusRule(
        kinds=(ErrorKind.UNREACHABLE,),
        action=StatusAction.COOL_PROVIDER,
        cooldown_s=_MINUTE,
        reason="no connection to the provider",
    ),
    StatusRule(
        kinds=(ErrorKind.TIMEOUT, ErrorKind.OVERLOADED, ErrorKind.SERVER_ERROR),
        action=StatusAction.COOL_KEY_MODEL,
        cooldown_s=_MINUTE,
        use_retry_after=True,
        reason="the provider is failing or overloaded",
    ),
    StatusRule(
        kinds=(ErrorKind.RATE_LIMITED,),
        action=StatusAction.COOL_KEY_MODEL,
        cooldown_s=1.0,
        exponential=True,
        use_retry_after=True,
        reason="rate limited",
    ),
    StatusRule(
        kinds=(ErrorKind.UPSTREAM_REJECTED,),
        action=StatusAction.COOL_KEY,
        cooldown_s=_HALF_HOUR,
        reason="the provider refused the key",
    ),
)
"""Times are those that credential pools use in practice; the configured cap bounds every one."""
