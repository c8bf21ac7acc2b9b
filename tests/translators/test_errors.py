"""Error kinds: every one has a policy, and descriptions are short and safe."""

from __future__ import annotations

from typing import Any

import pytest

from translators.errors import POLICY, ErrorKind, GatewayError, describe, invalid


def test_every_kind_has_a_policy() -> None:
    assert set(POLICY) == set(ErrorKind)


@pytest.mark.parametrize(
    ("kind", "retryable", "level"),
    [
        (ErrorKind.INVALID_REQUEST, False, "info"),
        (ErrorKind.CANCELLED, False, "info"),
        (ErrorKind.RATE_LIMITED, True, "warning"),
        (ErrorKind.UPSTREAM_CUT, True, "warning"),
        (ErrorKind.MISCONFIGURED, False, "error"),
    ],
)
def test_policy(kind: ErrorKind, retryable: bool, level: str) -> None:
    assert GatewayError(kind, "m").retryable is retryable
    assert POLICY[kind].log_level == level


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"), (True, "true"), (False, "false"), (3, "number 3"), (0.5, "number 0.5"),
        ("x", '"x"'), ("x" * 41, "a string of 41 characters"), ([], "an array"),
        ({}, "an object"), (b"", "bytes"),
    ],
)  # fmt: skip
def test_descriptions(value: Any, words: str) -> None:
    assert describe(value) == words


def test_an_invalid_field_names_path_expected_and_found() -> None:
    error = invalid("a[0].b", "a string", 1)
    assert (error.kind, error.path) == (ErrorKind.INVALID_REQUEST, "a[0].b")
    assert str(error) == "a[0].b: expected a string, found number 1"
    assert repr(error) == (
        "GatewayError(invalid_request: 'a[0].b: expected a string, found number 1', path='a[0].b')"
    )
