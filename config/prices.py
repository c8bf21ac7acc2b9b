"""The price table: what the upstream's model costs when neither provider nor preset says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from config.patterns import by_specificity, is_pattern, matches
from config.providers import Prices
from config.yamltree import read_yaml
from translators import ir

PRICE_FILE: Final = Path(__file__).parent / "prices.yaml"
MILLION: Final = Decimal(1_000_000)
_DATE_SUFFIX: Final = re.compile(r"[-@](20\d{2}-?\d{2}-?\d{2}|latest)$")
_QUALIFIER: Final = re.compile(r"\[[^\]]*\]$")


class PriceTable:
    """Prices by model name: exact names first, then the longest pattern.

    A name that is not listed is tried without `[qualifier]`, date suffix and vendor prefix, in this order;
    never by a mere common beginning (`gpt-5` is not `gpt-5-mini`).
    """

    def __init__(self, prices: Mapping[str, Prices]) -> None:
        self._exact = {name.lower(): row for name, row in prices.items() if not is_pattern(name)}
        patterns = by_specificity(name for name in prices if is_pattern(name))
        self._patterns = tuple((pattern, prices[pattern]) for pattern in patterns)

    def find(self, model: str) -> Prices | None:
        """The prices of a model, None when it is not known."""
        for name in spellings(model):
            if (row := self._exact.get(name)) is not None:
                return row
        for name in spellings(model):
            for pattern, row in self._patterns:
                if matches(pattern, name):
                    return row
        return None

    def __len__(self) -> int:
        return len(self._exact) + len(self._patterns)


def spellings(model: str) -> tuple[str, ...]:
    """Ways to look a model's name up, the most exact first."""
    name = model.lower()
    found = [name]
    plain = _QUALIFIER.sub("", name)
    undated = _DATE_SUFFIX.sub("", plain)
    bare = undated.rpartition("/")[2]
    for other in (plain, undated, plain.rpartition("/")[2], bare):
        if other and other not in found:
            found.append(other)
    return tuple(found)


def cost_usd(usage: ir.Usage, prices: Prices | None) -> Decimal | None:
    """What an answer cost; None when a count or the price of a kind of token that occurred is not known."""
    if prices is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    rates = prices.rates(usage.input_tokens)
    written = usage.cache_write_tokens or 0
    long_lived = min(usage.cache_write_long_tokens or 0, written)
    read = usage.cache_read_tokens or 0
    write_price = _first(rates.cache_write, rates.input)
    parts = (
        (max(0, usage.input_tokens - read - written), rates.input),
        (read, _first(rates.cached_input, rates.input)),
        (written - long_lived, write_price),
        (long_lived, _first(rates.cache_write_1h, write_price)),
        (usage.output_tokens, rates.output),
    )
    total = Decimal(0)
    for tokens, price in parts:
        if tokens:
            if price is None:
                return None
            total += tokens * price
    return total / MILLION


def _first(*prices: Decimal | None) -> Decimal | None:
    return next((price for price in prices if price is not None), None)


@cache
def price_table() -> PriceTable:
    """The table that comes with llmgate, read once."""
    tree = read_yaml(PRICE_FILE.read_text(encoding="utf-8"), str(PRICE_FILE))
    if tree.problems:
        raise ValueError("\n".join(map(str, tree.problems)))
    return PriceTable(TypeAdapter(dict[str, Prices]).validate_python(tree.value))
