"""What clients may use, and what they have used: requests and tokens per minute, money per day. No I/O, no flow.

Clocks are passed in. A minute is a sliding one, in steps of a second; a day begins at midnight of the configured
zone. Counts are per client key (and tenant) and for all together.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from addons.exchange import Candidate, Exchange
from config.models import Config
from config.prices import cost_usd
from config.providers import Prices
from config.routing import BudgetAction
from translators import ir
from translators.errors import ErrorKind, GatewayError

log = logging.getLogger(__name__)

MINUTE_S: Final = 60
MAX_ACCOUNTS: Final = 10_000
EVERYONE: Final = ""


class Minute:
    """How much came in during the last 60 seconds."""

    __slots__ = ("_amounts", "_seconds")

    def __init__(self) -> None:
        self._seconds = [-MINUTE_S] * MINUTE_S
        self._amounts = [0] * MINUTE_S

    def add(self, now_s: float, amount: int) -> None:
        """Count something now."""
        second = int(now_s)
        slot = second % MINUTE_S
        if self._seconds[slot] != second:
            self._seconds[slot], self._amounts[slot] = second, 0
        self._amounts[slot] += amount

    def total(self, now_s: float) -> int:
        """The sum over the last minute."""
        return sum(amount for _second, amount in self._recent(now_s))

    def room_in_s(self, now_s: float, limit: int) -> float:
        """Seconds until the sum is below the limit."""
        left = self.total(now_s)
        for second, amount in sorted(self._recent(now_s)):
            if left < limit:
                break
            left -= amount
            if left < limit:
                return max(0.0, second + MINUTE_S - int(now_s))
        return 0.0

    def _recent(self, now_s: float) -> Iterator[tuple[int, int]]:
        oldest = int(now_s) - MINUTE_S
        for second, amount in zip(self._seconds, self._amounts, strict=True):
            if second > oldest and amount:
                yield second, amount


@dataclass(slots=True)
class Account:
    """What one client, or all together, have used."""

    requests: Minute = field(default_factory=Minute)
    tokens: Minute = field(default_factory=Minute)
    day: dt.date | None = None
    spent_usd: Decimal = Decimal(0)
    warned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits of one account; None = none."""

    who: str
    requests_per_minute: int | None
    tokens_per_minute: int | None
    usd_per_day: Decimal | None
    action: BudgetAction


@dataclass(frozen=True, slots=True)
class _Day:
    """A calendar day; times are unix time."""

    date: dt.date
    timezone: str
    begin_s: float
    end_s: float


def _day_of(wall_s: float, timezone: str) -> _Day:
    zone = ZoneInfo(timezone)
    date = dt.datetime.fromtimestamp(wall_s, zone).date()
    begin, end = (
        dt.datetime.combine(one, dt.time(), zone).timestamp()
        for one in (date, date + dt.timedelta(days=1))
    )
    return _Day(date, timezone, begin, end)


class Ledger:
    """All accounts. `clock` is monotonic seconds, `wall` unix time."""

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._clock = clock
        self._wall = wall
        self._accounts: dict[str, Account] = {}
        self._day: _Day | None = None

    def admit(self, exchange: Exchange, *, is_costly: bool = True) -> None:
        """Count a request, or refuse it because a limit is reached; may set `force_cheapest`.

        What costs nothing is only bound by the number of requests.
        """
        config, now = exchange.config, self._clock()
        accounts = [(bounds, self._account(name)) for name, bounds in _bounds(exchange)]
        for bounds, account in accounts:
            self._check_minute(bounds, account, now, is_costly=is_costly)
            if is_costly:
                self._check_day(exchange, bounds, account, config)
        for _bounds_of, account in accounts:
            account.requests.add(now, 1)

    @staticmethod
    def _check_minute(bounds: Bounds, account: Account, now: float, *, is_costly: bool) -> None:
        for minute, limit, unit in (
            (account.requests, bounds.requests_per_minute, "requests"),
            (account.tokens, bounds.tokens_per_minute, "tokens"),
        ):
            if unit == "tokens" and not is_costly:
                continue
            if limit is not None and minute.total(now) >= limit:
                raise GatewayError(
                    ErrorKind.RATE_LIMITED,
                    f"{bounds.who} may use {limit} {unit} per minute, and has",
                    code="rate_limit_exceeded",
                    retry_after_s=max(1.0, minute.room_in_s(now, limit)),
                )

    def _check_day(
        self, exchange: Exchange, bounds: Bounds, account: Account, config: Config
    ) -> None:
        limit = bounds.usd_per_day
        if limit is None:
            return
        today, left_s = self._today(config)
        self._turn(account, today)
        if account.spent_usd < limit:
            return
        match bounds.action:
            case BudgetAction.NOTIFY:
                pass
            case BudgetAction.FORCE_CHEAPEST:
                exchange.force_cheapest = True
            case BudgetAction.BLOCK:
                raise GatewayError(
                    ErrorKind.BILLING,
                    f"{bounds.who} may spend {limit} USD per day, and has; "
                    f"the next day begins in {left_s / 3600:.1f} h",
                    code="insufficient_quota",
                    retry_after_s=left_s,
                )

    def settle(self, exchange: Exchange) -> None:
        """Count what an exchange has used."""
        usage = exchange.usage
        tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0)
        cost = exchange.cost_usd
        if not tokens and not cost:
            return
        today, _left_s = self._today(exchange.config)
        for name, bounds in _bounds(exchange):
            account = self._account(name)
            account.tokens.add(self._clock(), tokens)
            self._turn(account, today)
            if cost is not None:
                account.spent_usd += cost
            self._warn(exchange.config, bounds, account)

    @staticmethod
    def _warn(config: Config, bounds: Bounds, account: Account) -> None:
        limit = bounds.usd_per_day
        if limit is None or account.warned:
            return
        if account.spent_usd >= limit * Decimal(str(config.budgets.warn_at)):
            account.warned = True
            log.warning(
                "budget who=%r spent_usd=%s of usd_per_day=%s", bounds.who, account.spent_usd, limit
            )

    def _account(self, name: str) -> Account:
        account = self._accounts.get(name)
        if account is None:
            if len(self._accounts) >= MAX_ACCOUNTS:
                del self._accounts[next(iter(self._accounts))]
            account = self._accounts[name] = Account()
        return account

    def _today(self, config: Config) -> tuple[dt.date, float]:
        """The day in the configured zone, and the seconds until it ends."""
        name, wall = config.budgets.timezone, self._wall()
        day = self._day
        if day is None or day.timezone != name or not day.begin_s <= wall < day.end_s:
            day = self._day = _day_of(wall, name)
        return day.date, day.end_s - wall

    @staticmethod
    def _turn(account: Account, today: dt.date) -> None:
        if account.day != today:
            account.day, account.spent_usd, account.warned = today, Decimal(0), False

    # -- over restarts

    def dump(self) -> list[dict[str, Any]]:
        """The money spent in the present day of each account."""
        return [
            {"who": name, "day": account.day.isoformat(), "spent_usd": str(account.spent_usd)}
            for name, account in self._accounts.items()
            if account.day is not None and account.spent_usd
        ]

    def restore(self, saved: Iterable[dict[str, Any]]) -> None:
        """Take up what `dump` wrote; the first use on another day starts anew. Damaged entries are left out."""
        for one in saved:
            try:
                day, spent = dt.date.fromisoformat(one["day"]), Decimal(one["spent_usd"])
                account = self._account(str(one["who"]))
            except (ArithmeticError, KeyError, TypeError, ValueError):
                continue
            if spent.is_finite() and spent > 0:
                account.day, account.spent_usd = day, spent

    def status(self) -> list[dict[str, Any]]:
        """What everyone has used, as JSON."""
        now = self._clock()
        return [
            {
                "client_key": name or None,
                "requests_last_minute": account.requests.total(now),
                "tokens_last_minute": account.tokens.total(now),
                "day": account.day.isoformat() if account.day is not None else None,
                "spent_usd": str(account.spent_usd),
            }
            for name, account in self._accounts.items()
        ]


def _bounds(exchange: Exchange) -> Iterator[tuple[str, Bounds]]:
    """The accounts of an exchange, by name: its client's, and everyone's."""
    general = exchange.config.budgets
    principal = exchange.principal
    if principal is not None:
        own = principal.limits
        tenant = exchange.endpoint.namespace
        yield (
            f"{tenant}/{principal.name}" if tenant else principal.name,
            Bounds(
                who=f'the key "{principal.name}"',
                requests_per_minute=own.requests_per_minute if own else None,
                tokens_per_minute=own.tokens_per_minute if own else None,
                usd_per_day=own.budget_usd_per_day if own else None,
                action=(own.budget_action if own else None) or general.action,
            ),
        )
    yield (
        EVERYONE,
        Bounds(
            who="this gateway",
            requests_per_minute=general.requests_per_minute,
            tokens_per_minute=general.tokens_per_minute,
            usd_per_day=general.usd_per_day,
            action=general.action,
        ),
    )


def cost_of(exchange: Exchange) -> Decimal | None:
    """What an exchange cost in US dollars; None when usage or price are not known."""
    if exchange.current is None:
        return None
    paid = [one for one in exchange.tries if one.usage != ir.NO_USAGE]
    if len(paid) < 2:
        return cost_usd(exchange.usage, _prices(exchange, exchange.current.candidate))
    costs = [cost_usd(one.usage, _prices(exchange, one.candidate)) for one in paid]
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal()) if known else None


def _prices(exchange: Exchange, candidate: Candidate) -> Prices | None:
    prices = exchange.config.prices(candidate.provider, candidate.model)
    if prices is None:
        prices = exchange.config.prices(candidate.provider, candidate.wire_model)
    return prices
