"""Headers that cross the gateway: the last pattern that fits decides."""

import pytest

from addons.headers import select

SENT = [("Anthropic-Version", "2023-06-01"), ("x-team", "a"), ("authorization", "Bearer k")]


@pytest.mark.parametrize(
    ("patterns", "passed"),
    [
        pytest.param((), [], id="without patterns none"),
        pytest.param(("x-*",), ["x-team"], id="a pattern"),
        pytest.param(("x-*", "!x-team"), [], id="a later one keeps it back"),
        pytest.param(("x-*", "!x-team", "x-team"), ["x-team"], id="a still later one lets it through"),
        pytest.param(("!anthropic-version", "x-*"), ["x-team"], id="what nobody asks for stays behind"),
        pytest.param(("*", "!x-*"), ["anthropic-version"], id="HDR-05: a credential never passes"),
    ],
)  # fmt: skip
def test_the_last_pattern_that_fits_decides(patterns: tuple[str, ...], passed: list[str]) -> None:
    assert [name for name, _value in select(SENT, patterns)] == passed
