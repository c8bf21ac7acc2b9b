"""The end of an exchange: one log line and one record, whatever way it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from addons.budgets import cost_of
from addons.exchange import Exchange, now_s
from addons.snapshot import ConfigHolder
from config.models import Config
from translators.errors import POLICY

log = logging.getLogger("llmgate")
LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Settler:
    """Settle exchanges once: log, and hand the record to whoever wants it."""

    def __init__(self, configs: ConfigHolder) -> None:
        self._configs = configs
        self.sinks: list[Callable[[dict[str, Any]], None]] = []
        self.watchers: list[Callable[[Exchange], None]] = []
        """Hear of the exchange itself before its record is made."""

    @property
    def config(self) -> Config:
        """The configuration of now, for questions that belong to no exchange."""
        return self._configs.current

    def settle(self, exchange: Exchange) -> None:
        """Log an exchange and pass its record on; a second call does nothing."""
        if exchange.settled:
            return
        exchange.settled = True
        exchange.cost_usd = cost_of(exchange)
        for watch in self.watchers:
            watch(exchange)
        record = record_of(exchange)
        error = exchange.error
        level = LEVELS[POLICY[error.kind].log_level] if error is not None else logging.INFO
        if log.isEnabledFor(level):
            pairs = " ".join(
                f"{key}={_word(value)}" for key, value in record.items() if value is not None
            )
            log.log(level, "request_done %s", pairs)
        for sink in self.sinks:
            sink(record)


def record_of(exchange: Exchange) -> dict[str, Any]:
    """The log record: no prompt, no answer, no key. Durations in milliseconds, None = not known."""
    usage, one = exchange.usage, exchange.current
    end_s = now_s()
    degradations = exchange.degradations
    return {
        "request_id": exchange.id,
        "principal": exchange.principal.name if exchange.principal else None,
        "client_protocol": exchange.translator.name,
        "operation": exchange.endpoint.operation.value if exchange.endpoint.operation else None,
        "model": exchange.model or None,
        "provider": one.candidate.provider if one else None,
        "upstream_protocol": one.candidate.protocol if one else None,
        "upstream_model": one.candidate.model if one else None,
        "stream": exchange.stream,
        "status": 499 if exchange.cancelled and exchange.status is None else exchange.status,
        "cancelled": exchange.cancelled or None,
        "error": exchange.error.kind.value if exchange.error else None,
        "finish_reason": exchange.finish_reason.value if exchange.finish_reason else None,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_hit_ratio": _share(usage.cache_read_tokens, usage.input_tokens),
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_usd": exchange.cost_usd,
        "first_byte_ms": _ms(exchange.started_s, exchange.answered_s),
        "total_ms": _ms(exchange.started_s, end_s),
        "attempts": len(exchange.tries),
        "degradations": [(d.path, d.reason) for d in degradations] or None,
    }


def _ms(start_s: float, end_s: float | None) -> int | None:
    return None if end_s is None else round((end_s - start_s) * 1000)


def _share(part: int | None, whole: int | None) -> float | None:
    """How much of the input the provider's cache served."""
    return None if part is None or not whole else round(part / whole, 3)


def _word(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text else repr(text)
