"""The table of failures: what happens, and for how long."""

import pytest
from pydantic import ValidationError

from config.loader import loads
from config.status_policy import DEFAULT_RULES, StatusAction, StatusPolicy, StatusRule, Verdict
from translators.errors import ErrorKind

DEFAULT = StatusPolicy(DEFAULT_RULES)


@pytest.mark.parametrize(
    ("status", "text", "kind", "action", "seconds"),
    [
        pytest.param(401, "", None, "cool_key", 1800, id="R11: 401 half an hour"),
        pytest.param(402, "", None, "cool_key", 1800, id="R11: 402 half an hour"),
        pytest.param(403, "", None, "cool_key_model", 1800, id="R11: 403 half an hour"),
        pytest.param(404, "", None, "cool_key_model", 43200, id="R11: 404 twelve hours"),
        pytest.param(429, "", None, "cool_key_model", 1, id="R11: 429 from a second on"),
        pytest.param(408, "", None, "cool_key_model", 60, id="R11: 408 a minute"),
        pytest.param(500, "", None, "cool_key_model", 60, id="R11: 500 a minute"),
        pytest.param(502, "", None, "cool_key_model", 60, id="R11: 502 a minute"),
        pytest.param(503, "", None, "cool_key_model", 60, id="R11: 503 a minute"),
        pytest.param(504, "", None, "cool_key_model", 60, id="R11: 504 a minute"),
        pytest.param(529, "", None, "cool_key_model", 60, id="Anthropic's overloaded a minute"),
        pytest.param(400, "", None, "final", 0, id="a bad request is the client's"),
        pytest.param(413, "", None, "final", 0, id="so is a large one"),
        pytest.param(422, "", None, "final", 0, id="and an odd one"),
        pytest.param(409, "", None, "retry", 0, id="a conflict is tried again"),
        pytest.param(501, "", None, "fail_over", 0, id="others above 500 go elsewhere"),
        pytest.param(429, "You exceeded your current QUOTA, please check", None, "cool_key", 1800, id="R8: quota words"),
        pytest.param(429, "code: insufficient_quota", None, "cool_key", 1800, id="R8: a quota code"),
        pytest.param(400, "账户余额不足", None, "cool_key", 1800, id="R8: quota words in Chinese, as a 400"),
        pytest.param(500, "insufficient balance", None, "cool_key_model", 60, id="not in a server error"),
        pytest.param(400, "model_not_supported", None, "cool_key_model", 43200, id="a model that is not served"),
        pytest.param(400, "invalid_grant", None, "cool_key", 1800, id="a login that was refused"),
        pytest.param(None, "", ErrorKind.UNREACHABLE, "cool_provider", 60, id="no connection"),
        pytest.param(None, "", ErrorKind.TIMEOUT, "cool_key_model", 60, id="no answer in time"),
        pytest.param(None, "", ErrorKind.UPSTREAM_CUT, "fail_over", 0, id="a stream cut before the client saw it"),
        pytest.param(None, "", ErrorKind.UPSTREAM_MALFORMED, "fail_over", 0, id="rubbish"),
        pytest.param(200, "", ErrorKind.OVERLOADED, "cool_key_model", 60, id="R17: an error inside a 200"),
        pytest.param(200, "", ErrorKind.RATE_LIMITED, "cool_key_model", 1, id="R17: a rate limit inside a 200"),
        pytest.param(429, "", ErrorKind.BILLING, "cool_key", 1800, id="a kind that says billing"),
        pytest.param(400, "", ErrorKind.CONTEXT_TOO_LONG, "final", 0, id="too long is too long everywhere"),
    ],
)  # fmt: skip
def test_the_default_table(
    status: int | None, text: str, kind: ErrorKind | None, action: str, seconds: float
) -> None:
    verdict = DEFAULT.decide(status, text, kind)
    assert (verdict.action, verdict.cooldown_s(1, cap_s=1e9)) == (action, seconds)


@pytest.mark.parametrize(
    ("failures", "retry_after_s", "seconds"),
    [
        pytest.param(1, None, 1, id="the first time a second"),
        pytest.param(2, None, 2, id="then two"),
        pytest.param(5, None, 16, id="doubling"),
        pytest.param(12, None, 1800, id="to the cap"),
        pytest.param(10**9, None, 1800, id="however often"),
        pytest.param(5, 3.5, 3.5, id="R9: what the upstream says wins"),
        pytest.param(1, 99999, 1800, id="but not over the cap"),
        pytest.param(1, -5, 0, id="nor below nothing"),
    ],
)
def test_rate_limits_rest_longer_each_time(
    failures: int, retry_after_s: float | None, seconds: float
) -> None:
    assert DEFAULT.decide(429).cooldown_s(failures, retry_after_s) == seconds


def test_nothing_rests_longer_than_the_cap() -> None:
    assert DEFAULT.decide(404).cooldown_s(1) == 1800
    assert DEFAULT.decide(404).cooldown_s(1, cap_s=10) == 10
    assert Verdict(StatusAction.FAIL_OVER).cooldown_s(1) == 0


def test_own_rules_come_first_and_the_table_can_be_replaced() -> None:
    config = loads(
        "cooldowns: {rules: [{status: 429, words: Slow Down, action: cool_provider, cooldown_s: 9}]}"
    )
    assert config.status_policy.decide(429, "please slow down").action == "cool_provider"
    assert config.status_policy.decide(429).action == "cool_key_model"
    config = loads("cooldowns: {table: [{status_range: [500, 599], action: retry}]}")
    assert config.status_policy.decide(503).action == "retry"
    assert config.status_policy.decide(429).action == "final"


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"action": "final"}, id="no condition"),
        pytest.param({"status": 429, "action": "cool_key"}, id="a cooldown without a time"),
        pytest.param({"status": 99, "action": "final"}, id="no HTTP status"),
        pytest.param({"status_range": [599, 500], "action": "final"}, id="a range upside down"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        StatusRule.model_validate(rule)
