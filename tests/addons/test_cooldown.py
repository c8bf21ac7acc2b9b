"""Cooldowns by a clock that is passed in: who rests, for how long, who may probe, and what nobody ever picks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.addons.placing import World, key_of, world
from translators.errors import ErrorKind

TWO = """
providers:
  a: {protocol: openai_chat, base_url: "http://127.0.0.1:1/v1", api_keys: [x, y]}
  b: {protocol: anthropic, base_url: "http://127.0.0.1:2/v1", api_key: z}
models: {m: {strategy: fill_first, candidates: [a/m, b/m]}, other: {strategy: fill_first, candidates: [a/n]}}
affinity: {enabled: false}
"""
ONE = """
providers: {a: {protocol: openai_chat, base_url: "http://127.0.0.1:1/v1", api_key: x}}
"""


def first(place: World, model: str = "m") -> str | None:
    """Who would be asked now; nothing is left under way."""
    exchange = place.place(model)
    one = place.attempt(exchange)
    place.picker.released(exchange)
    return None if one is None else key_of(one.candidate)


@pytest.mark.parametrize(
    ("status", "kind", "message", "rests_s", "same_key_other_model"),
    [
        pytest.param(401, ErrorKind.UPSTREAM_REJECTED, "", 1800, "rests", id="R11: 401"),
        pytest.param(402, ErrorKind.BILLING, "", 1800, "rests", id="R11: 402"),
        pytest.param(403, ErrorKind.PERMISSION, "", 1800, "used", id="R11: 403, this model only"),
        pytest.param(404, ErrorKind.NOT_FOUND, "", 1800, "used", id="R11: 404, at most the cap"),
        pytest.param(429, ErrorKind.RATE_LIMITED, "", 1, "used", id="R11: 429"),
        pytest.param(
            429, ErrorKind.RATE_LIMITED, "insufficient_quota", 1800, "rests", id="R8: quota words"
        ),
        pytest.param(500, ErrorKind.SERVER_ERROR, "", 60, "used", id="R11: 500"),
        pytest.param(529, ErrorKind.OVERLOADED, "", 60, "used", id="R11: 529"),
        pytest.param(400, ErrorKind.INVALID_REQUEST, "", 0, "used", id="the client's own fault"),
        pytest.param(413, ErrorKind.TOO_LARGE, "", 0, "used", id="too large"),
    ],
)
def test_r8_r11_what_a_failure_rests(
    status: int, kind: ErrorKind, message: str, rests_s: int, same_key_other_model: str
) -> None:
    place = world(TWO)
    exchange = place.place("m")
    one = place.attempt(exchange)
    assert one is not None
    place.fail(exchange, one, status, kind, message=message)
    left = place.picker.cooldowns.rest_s(one.candidate, place.config.cooldowns)
    assert left == rests_s
    assert first(place, "other") == ("a/n#a-2" if same_key_other_model == "rests" else "a/n#a-1")


def test_r10_an_unreachable_provider_rests_with_all_its_keys() -> None:
    place = world(TWO)
    exchange = place.place("m")
    one = place.attempt(exchange)
    assert one is not None
    assert place.fail(exchange, one, None, ErrorKind.UNREACHABLE) == 0.0
    following = place.attempt(exchange)
    assert following is not None
    assert key_of(following.candidate) == "b/m#b"
    assert first(place, "other") is None


def test_r11_retry_after_wins_and_rate_limits_double() -> None:
    place = world(ONE)
    lengths = []
    for retry_after_s in (None, None, None, 17.0):
        exchange = place.place("a/m")
        one = place.attempt(exchange)
        assert one is not None
        place.fail(exchange, one, 429, ErrorKind.RATE_LIMITED, retry_after_s)
        left = place.picker.cooldowns.rest_s(one.candidate, place.config.cooldowns)
        lengths.append(left)
        place.clock.now_s += left
    assert lengths == [1, 2, 4, 17]


def test_nothing_rests_longer_than_the_cap() -> None:
    place = world(ONE + "cooldowns: {cap_s: 10}")
    exchange = place.place("a/m")
    one = place.attempt(exchange)
    assert one is not None
    place.fail(exchange, one, 429, ErrorKind.RATE_LIMITED, retry_after_s=86400)
    assert place.picker.cooldowns.rest_s(one.candidate, place.config.cooldowns) == 10


def test_r12_after_a_rest_one_probes_and_only_success_opens_the_door() -> None:
    place = world(ONE)
    failing = place.place("a/m")
    one = place.attempt(failing)
    assert one is not None
    place.fail(failing, one)
    place.clock.now_s += 60
    probing, waiting = place.place("a/m"), place.place("a/m")
    probe = place.attempt(probing)
    assert probe is not None
    assert place.attempt(waiting) is None
    place.picker.succeeded(probing, probe)
    assert place.attempt(place.place("a/m")) is not None
    assert place.picker.cooldowns.status() == []


def test_r12_a_probe_whose_client_leaves_lets_another_probe() -> None:
    place = world(ONE)
    failing = place.place("a/m")
    one = place.attempt(failing)
    assert one is not None
    place.fail(failing, one)
    place.clock.now_s += 60
    gone = place.place("a/m")
    assert place.attempt(gone) is not None
    place.picker.released(gone)
    assert place.attempt(place.place("a/m")) is not None


def test_r12_a_failed_probe_rests_again() -> None:
    place = world(ONE)
    for _ in range(2):
        exchange = place.place("a/m")
        one = place.attempt(exchange)
        assert one is not None
        place.fail(exchange, one)
        assert place.attempt(place.place("a/m")) is None
        place.clock.now_s += 60


def test_a_threshold_lets_single_failures_pass() -> None:
    place = world(ONE + "cooldowns: {threshold: 2}")
    for wanted in (0.0, 60.0):
        exchange = place.place("a/m")
        one = place.attempt(exchange)
        assert one is not None
        place.fail(exchange, one)
        assert place.picker.cooldowns.rest_s(one.candidate, place.config.cooldowns) == wanted


def test_early_recheck_of_the_only_candidate() -> None:
    place = world(ONE + "cooldowns: {recheck_s: 20}")
    exchange = place.place("a/m")
    one = place.attempt(exchange)
    assert one is not None
    place.fail(exchange, one)
    assert place.attempt(place.place("a/m")) is None
    place.clock.now_s += 20
    assert place.attempt(place.place("a/m")) is not None
    assert place.attempt(place.place("a/m")) is None


def test_r13_state_is_visible_resettable_and_survives_a_restart() -> None:
    place = world(TWO)
    exchange = place.place("m")
    one = place.attempt(exchange)
    assert one is not None
    place.fail(exchange, one, 401, ErrorKind.UPSTREAM_REJECTED)
    (shown,) = place.picker.cooldowns.status()
    assert shown["key"] == "a-1"
    assert shown["reason"] == "the provider refused the key"
    assert shown["remaining_s"] == 1800
    other = world(TWO)
    other.picker.cooldowns.restore(place.picker.cooldowns.dump(), 100, 1800)
    assert other.picker.cooldowns.status()[0]["remaining_s"] == 1700
    assert first(other) == "a/m#a-2"
    other.picker.cooldowns.restore([{"scope": 1}], 0, 1800)
    assert other.picker.cooldowns.reset("b") == 0
    assert other.picker.cooldowns.reset("a", "a-1") == 1
    assert first(other) == "a/m#a-1"


def test_all_cooling_is_a_429_with_the_nearest_end_and_the_reasons() -> None:
    place = world(TWO)
    exchange = place.place("m")
    delays = []
    for status, kind in ((401, ErrorKind.UPSTREAM_REJECTED), (500, ErrorKind.SERVER_ERROR)):
        one = place.attempt(exchange)
        assert one is not None
        delays.append(place.fail(exchange, one, status, kind))
    last = place.attempt(exchange)
    assert last is not None
    assert place.fail(exchange, last, 401, ErrorKind.UPSTREAM_REJECTED) is None
    assert delays == [0.0, 0.0]
    place.clock.now_s += 10
    error = place.picker.exhausted(place.place("m"))
    assert error.kind is ErrorKind.RATE_LIMITED
    assert error.retry_after_s == 50
    assert "a: the provider" in error.message
    assert "b: the provider refused the key" in error.message


def test_r16_a_short_rest_is_waited_for_a_long_one_is_not() -> None:
    place = world(ONE + "retry: {max_wait_s: 5}")
    for retry_after_s, wanted in ((3.0, 3.0), (6.0, 0.0)):
        exchange = place.place("a/m")
        one = place.attempt(exchange)
        assert one is not None
        place.fail(exchange, one, 429, ErrorKind.RATE_LIMITED, retry_after_s)
        assert place.picker.wait_s(place.place("a/m")) == wanted
        place.picker.cooldowns.reset()


def test_r9_the_only_candidate_is_tried_again_after_a_pause_but_not_for_ever() -> None:
    place = world(ONE)
    exchange = place.place("a/m")
    one = place.attempt(exchange)
    assert one is not None
    assert place.fail(exchange, one) == 1.0
    again = place.attempt(exchange)
    assert again is not None
    assert place.fail(exchange, again) is None


def test_r9_attempts_and_time_are_bounded() -> None:
    for setting in ("{max_attempts: 1}", "{max_time_s: 0}"):
        place = world(TWO + f"retry: {setting}")
        exchange = place.place("m")
        one = place.attempt(exchange)
        assert one is not None
        place.clock.now_s += 1
        assert place.fail(exchange, one) is None


def test_r18_a_session_stays_until_its_place_fails() -> None:
    place = world(
        TWO.replace("enabled: false", "enabled: true").replace("fill_first", "round_robin")
    )
    headers = {"x-claude-code-session-id": "s1"}
    exchange = place.place("m", headers=headers)
    one = place.attempt(exchange)
    assert one is not None
    place.picker.succeeded(exchange, one)
    home = key_of(one.candidate)
    for _ in range(5):
        following = place.place("m", headers=headers)
        assert key_of(following.candidates[0]) == home
    one = place.attempt(following)
    assert one is not None
    place.fail(following, one)
    after = place.attempt(following)
    assert after is not None
    place.picker.succeeded(following, after)
    assert key_of(place.place("m", headers=headers).candidates[0]) == key_of(after.candidate)


def test_r18_sessions_end_and_are_bounded() -> None:
    place = world(TWO.replace("enabled: false", "ttl_s: 10, max_sessions: 3"))
    for number in range(5):
        exchange = place.place("m", prompt_cache_key=f"session-{number}")
        one = place.attempt(exchange)
        assert one is not None
        place.picker.succeeded(exchange, one)
    assert len(place.picker.sessions) == 3
    assert exchange.session is not None
    affinity = place.config.affinity
    assert place.picker.sessions.where(exchange.session, "m", affinity) is not None
    place.clock.now_s += 11
    assert place.picker.sessions.where(exchange.session, "m", affinity) is None


def test_r18_a_long_first_message_names_a_session_a_short_one_does_not() -> None:
    place = world(TWO.replace("enabled: false", "enabled: true"))
    long = [{"role": "user", "content": "Please rename this function everywhere. " * 4}]
    more = [*long, {"role": "assistant", "content": "Done."}, {"role": "user", "content": "Now?"}]
    assert place.place("m").session is None
    session = place.place("m", messages=long).session
    assert session is not None
    assert place.place("m", messages=more).session == session


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["m", "other", "a/x", "b/only"]),
        st.sampled_from([None, 400, 401, 403, 404, 429, 500]),
        st.floats(min_value=0, max_value=100),
    ),
    max_size=30,
)
KINDS = {
    400: ErrorKind.INVALID_REQUEST,
    401: ErrorKind.UPSTREAM_REJECTED,
    403: ErrorKind.PERMISSION,
    404: ErrorKind.NOT_FOUND,
    429: ErrorKind.RATE_LIMITED,
    500: ErrorKind.SERVER_ERROR,
}


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_no_forbidden_and_no_resting_candidate_is_ever_picked(
    steps: list[tuple[str, int | None, float]],
) -> None:
    place = world(TWO.replace("api_keys: [x, y]", "api_keys: [{key: x, exclude: [x]}, y]"))
    cooldowns = place.config.cooldowns
    for model, status, pause_s in steps:
        place.clock.now_s += pause_s
        exchange = place.place(model)
        resting = {
            key_of(one)
            for one in exchange.candidates
            if place.picker.cooldowns.rest_s(one, cooldowns) > 0
        }
        one = place.attempt(exchange)
        if one is None:
            assert len(resting) == len(exchange.candidates)
            continue
        assert key_of(one.candidate) not in resting
        assert one.candidate.key.serves(one.candidate.model)
        if status is None:
            place.picker.succeeded(exchange, one)
        else:
            place.fail(exchange, one, status, KINDS[status])
        place.picker.released(exchange)
