"""Ids are deterministic, legal for their protocol, and unique."""

from __future__ import annotations

import pytest

from translators.ids import (
    SHORT_CALL_ID,
    WORD_CALL_ID,
    CallIds,
    call_id,
    digest62,
    digest_hex,
    made_call_id,
    response_id,
)


def test_digests_are_stable_and_keep_their_sources_apart() -> None:
    assert digest62("a") == digest62("a")
    assert digest62("ab", "c") != digest62("a", "bc")
    assert len(digest62("a", length=24)) == 24
    assert digest62("a").isalnum()
    assert len(digest_hex("a", length=48)) == 48


def test_a_lone_surrogate_does_no_harm() -> None:
    assert digest62("\ud800")


def test_response_ids_swap_the_prefix() -> None:
    made = response_id("chatcmpl-", "msg_1")
    assert made.startswith("chatcmpl-")
    assert len(made) == len("chatcmpl-") + 24
    assert made == response_id("chatcmpl-", "msg_1") != response_id("chatcmpl-", "msg_2")
    assert response_id("msg_", "msg_1") == "msg_1"
    assert response_id("msg_", "msg_") != "msg_"


def test_hex_response_ids() -> None:
    made = response_id("resp_", "x", hex_digits=48)
    assert len(made) == len("resp_") + 48
    assert set(made[5:]) <= set("0123456789abcdef")


def test_the_fallback_counts_only_without_an_upstream_id() -> None:
    assert response_id("a-", "", fallback="1") != response_id("a-", "", fallback="2")
    assert response_id("a-", "x", fallback="1") == response_id("a-", "x", fallback="2")


@pytest.mark.parametrize(
    ("rule", "upstream", "kept"),
    [
        (SHORT_CALL_ID, "call_1", True),
        (SHORT_CALL_ID, "toolu.1:x", True),
        (SHORT_CALL_ID, "x" * 64, True),
        (SHORT_CALL_ID, "x" * 65, False),
        (SHORT_CALL_ID, "a b", False),
        (SHORT_CALL_ID, "", False),
        (WORD_CALL_ID, "toolu_1-x", True),
        (WORD_CALL_ID, "x" * 128, True),
        (WORD_CALL_ID, "a.b", False),
    ],
)
def test_call_ids_pass_where_they_are_legal(rule: object, upstream: str, kept: bool) -> None:
    made = call_id("p_", upstream, rule)  # type: ignore[arg-type]
    assert (made == upstream) is kept
    assert made == call_id("p_", upstream, rule)  # type: ignore[arg-type]
    if not kept:
        assert made.startswith("p_")
        assert WORD_CALL_ID.fullmatch(made)
        assert len(made) == 24


def test_made_call_ids_differ_by_place() -> None:
    ids = {made_call_id("call_", r, c, n) for r in "ab" for c in (0, 1) for n in (0, 1)}
    assert len(ids) == 8


def test_repeated_call_ids_are_numbered() -> None:
    ids = CallIds("call_")
    taken = [ids.take("a"), ids.take("a"), ids.take("a_2"), ids.take("a")]
    assert taken == ["a", "a_2", "a_2_2", "a_3"]
    long = CallIds("call_")
    assert len({long.take("x" * 64), long.take("x" * 64)}) == 2
