"""Prices: which row a model means, and what an answer costs."""

from decimal import Decimal

import pytest
from pydantic import TypeAdapter

from config.loader import loads
from config.presets import load_presets
from config.prices import PRICE_FILE, PriceTable, cost_usd, price_table, spellings
from config.providers import Prices
from config.yamltree import read_yaml
from translators.ir import Usage

TABLE = PriceTable(
    {
        "gpt-5": Prices(input=Decimal(1)),
        "gpt-5-mini": Prices(input=Decimal(2)),
        "claude-sonnet-4-5": Prices(input=Decimal(3)),
        "qwen*": Prices(input=Decimal(4)),
        "qwen*-max": Prices(input=Decimal(5)),
    }
)


@pytest.mark.parametrize(
    ("model", "price"),
    [
        pytest.param("gpt-5", 1, id="an exact name"),
        pytest.param("GPT-5-mini", 2, id="USE-15: not the shorter name, whatever the case"),
        pytest.param("gpt-5-nano", None, id="USE-15: no guess by a common beginning"),
        pytest.param("gpt-5-2025-08-07", 1, id="USE-15: a date suffix"),
        pytest.param("gpt-5-mini-2025-08-07", 2, id="USE-15: a date suffix of the longer name"),
        pytest.param("claude-sonnet-4-5-20250929", 3, id="a date without dashes"),
        pytest.param("claude-sonnet-4-5@20250929", 3, id="Vertex's date"),
        pytest.param("claude-sonnet-4-5-latest", 3, id="the latest"),
        pytest.param("anthropic/claude-sonnet-4-5", 3, id="a vendor prefix"),
        pytest.param("claude-sonnet-4-5[1m]", 3, id="a qualifier"),
        pytest.param("openrouter/openai/gpt-5-2025-08-07", 1, id="prefixes and a date"),
        pytest.param("qwen3", 4, id="a pattern"),
        pytest.param("qwen3-max", 5, id="the longer pattern"),
        pytest.param("unheard-of", None, id="unknown is unknown"),
    ],
)
def test_o4_the_longest_match(model: str, price: int | None) -> None:
    found = TABLE.find(model)
    assert (found and found.input) == price


def test_spellings_go_from_exact_to_bare() -> None:
    assert spellings("a/b-2025-01-01[1m]") == (
        "a/b-2025-01-01[1m]", "a/b-2025-01-01", "a/b", "b-2025-01-01", "b",
    )  # fmt: skip


FULL = Prices(
    input=Decimal(10), cached_input=Decimal(1), cache_write=Decimal("12.5"), cache_write_1h=Decimal(20),
    output=Decimal(50),
    tiers=({"above_input_tokens": 1000, "input": 20, "output": 100},),  # type: ignore[arg-type]
)  # fmt: skip


@pytest.mark.parametrize(
    ("usage", "prices", "micro_usd"),
    [
        pytest.param(Usage(input_tokens=100, output_tokens=10), FULL, 1500, id="input and output"),
        pytest.param(
            Usage(input_tokens=100, output_tokens=0, cache_read_tokens=60, cache_write_tokens=10),
            FULL, 30 * 10 + 60 + 125, id="USE-01: cached tokens are counted once",
        ),
        pytest.param(
            Usage(input_tokens=30, output_tokens=0, cache_write_tokens=30, cache_write_long_tokens=10),
            FULL, 20 * 12.5 + 10 * 20, id="USE-12: two lifetimes, two prices",
        ),
        pytest.param(Usage(input_tokens=1000, output_tokens=0), FULL, 10_000, id="at the threshold"),
        pytest.param(Usage(input_tokens=1001, output_tokens=1), FULL, 20_020 + 100, id="above it, all of it"),
        pytest.param(
            Usage(input_tokens=100, output_tokens=0, cache_read_tokens=100),
            Prices(input=Decimal(2), output=Decimal(3)), 200, id="no cache price: the input price",
        ),
        pytest.param(Usage(input_tokens=1, output_tokens=None), FULL, None, id="a count that is not known"),
        pytest.param(Usage(input_tokens=1, output_tokens=1), Prices(input=Decimal(1)), None, id="a price that is not known"),
        pytest.param(Usage(input_tokens=1, output_tokens=0), Prices(input=Decimal(1)), 1, id="unless nothing of it occurred"),
        pytest.param(Usage(input_tokens=1, output_tokens=1), None, None, id="no prices"),
    ],
)  # fmt: skip
def test_o4_cost(usage: Usage, prices: Prices | None, micro_usd: float | None) -> None:
    found = cost_usd(usage, prices)
    assert found == (None if micro_usd is None else Decimal(str(micro_usd)) / 1_000_000)


ROWS: dict[str, Prices] = TypeAdapter(dict[str, Prices]).validate_python(
    read_yaml(PRICE_FILE.read_text(encoding="utf-8"), str(PRICE_FILE)).value
)
OF_PRESETS = {
    f"{name}: {model}": info.prices
    for name, preset in load_presets().items()
    for model, info in preset.models.items()
    if info.prices is not None
}


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=name) for name, row in {**ROWS, **OF_PRESETS}.items()]
)
def test_a_price_has_a_source_and_is_per_million_tokens(row: Prices) -> None:
    assert row.source.startswith("https://")
    assert row.date is not None
    assert row.input is not None
    assert row.output is not None
    assert row.input <= row.output < 1000, "dollars for a million tokens, not for one or a thousand"
    assert row.output == 0 or row.output > Decimal("0.01")
    assert row.cached_input is None or row.cached_input <= row.input <= (
        row.cache_write or row.input
    )
    steps = [tier.above_input_tokens for tier in row.tiers]
    assert steps == sorted(steps)
    assert all(tier.output is not None and tier.output >= row.output for tier in row.tiers)


def test_a_dated_name_has_its_models_price() -> None:
    row = price_table().find("claude-sonnet-4-5@20250929")
    assert row is not None
    assert row.input == Decimal(3)


def test_entry_before_preset_before_table() -> None:
    config = loads(
        """
providers:
  a: {preset: anthropic, api_key: k, models: {"claude-opus-5": {prices: {input: 0.1, output: 0.2}}}}
"""
    )
    own, table = config.prices("a", "claude-opus-5"), config.prices("a", "claude-opus-4-5-20251101")
    assert own is not None
    assert own.input == Decimal("0.1")
    assert table is not None
    assert table.output == 25
    assert config.prices("a", "unheard-of") is None
    assert config.prices("nobody", "claude-opus-5") is not None


def test_ones_own_server_has_no_list_prices() -> None:
    config = loads("providers: {mine: {preset: vllm}, theirs: {preset: together, api_key: k}}")
    assert config.prices("mine", "claude-opus-5") is None
    assert config.prices("theirs", "claude-opus-5") is not None
