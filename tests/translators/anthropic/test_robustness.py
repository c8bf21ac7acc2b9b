"""Damaged input of any shape: nothing but `GatewayError` leaves, and a stream always ends in one terminal event."""

from __future__ import annotations

import copy
import json
import random

import pytest

from tests.translators.anthropic.support import (
    CAPTURES,
    EXAMPLES,
    READING,
    STREAMS,
    body_of,
    decode,
    parse,
    render,
    response_losses,
    writing,
)
from translators.anthropic import TRANSLATOR
from translators.errors import ErrorKind, GatewayError

ODD = [None, 7, -1, 1.5, "", "x", True, [], {}, [1], {"a": 1}, ["x"], [None], {"type": "x"}]
ROUNDS = 300


def dice(seed):
    """The same damage in every run."""
    return random.Random(seed)  # noqa: S311 - nothing here is secret


def damaged(value, rng):
    """A copy with up to three places deleted or replaced by something odd."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        holder, key = rng.choice(list(_places(value)))
        if rng.random() < 0.3:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(rng.choice(ODD))
        if not value:
            break
    return value


def _places(value):
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def bodies():
    for _, capture in CAPTURES:
        body = dict(capture["body"])
        yield {**body, "tools": body.get("tools", [])[:2]}
    yield from EXAMPLES["request"]
    yield from EXAMPLES["beta_request"]
    yield body_of(*EXAMPLES["message"])
    yield body_of(tools=EXAMPLES["tool"])
    for block in EXAMPLES["block"]:
        yield body_of(
            {"role": "user", "content": [block]}, {"role": "assistant", "content": [block]}
        )


@pytest.mark.parametrize("seed", range(3))
def test_requests(seed):
    rng = dice(seed)
    sources = list(bodies())
    kinds = set()
    for _ in range(ROUNDS):
        try:
            render(parse(damaged(rng.choice(sources), rng)))
        except GatewayError as error:
            kinds.add(error.kind)
    assert ErrorKind.INVALID_REQUEST in kinds
    assert kinds <= {ErrorKind.INVALID_REQUEST, ErrorKind.UNTRANSLATABLE}


@pytest.mark.parametrize("seed", range(3))
def test_answers(seed):
    rng = dice(seed)
    every = {"id": "x", "content": EXAMPLES["block"][15:], "stop_reason": "end_turn"}
    kinds = set()
    for _ in range(ROUNDS):
        body = damaged(rng.choice([*EXAMPLES["response"], every]), rng)
        try:
            response = TRANSLATOR.parse_response(body, READING, response_losses())
            json.dumps(TRANSLATOR.render_response(response, writing(), response_losses()))
        except GatewayError as error:
            kinds.add(error.kind)
    assert kinds == {ErrorKind.UPSTREAM_MALFORMED}


@pytest.mark.parametrize("seed", range(3))
def test_streams(seed):
    rng = dice(seed)
    sources = list(STREAMS.values())
    for _ in range(ROUNDS):
        events = damaged(rng.choice(sources), rng)
        data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
        encoder = TRANSLATOR.encoder(writing(), response_losses())
        for event in decode(data):
            encoder.encode(event)
        observer = TRANSLATOR.observer()
        observer.feed(data)
        assert observer.usage is not None
