"""Pitfalls, group 20: large bodies and heartbeats; timers are tested with the engine (tests/addons)."""

from __future__ import annotations

import json

import pytest

from config.models import Config
from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.pitfalls import ALL, TEXTS, A, R, events_of, parse
from translators import PROTOCOLS, ir
from translators.base import Writing
from translators.losses import Losses


def test_big_01_thirty_megabytes_pass(gateway: Gateway, fake: FakeProvider) -> None:
    assert Config().limits.max_request_bytes >= 100 * 1024 * 1024
    text = "lorem ipsum " * (30 * 1024 * 1024 // 12)
    body = {**TEXTS[A], "model": "chat/fake-text", "messages": [{"role": "user", "content": text}]}
    headers = {"anthropic-version": "2023-06-01"}
    status, _, answer = gateway.post("/v1/messages", json.dumps(body).encode(), headers)
    assert status == 200, answer[:300]
    assert text[:1000] not in gateway.log


def test_tmo_01_limits_are_apart_and_streams_have_no_total() -> None:
    timeouts = Config().timeouts
    assert timeouts.idle_s >= 300
    assert timeouts.first_byte_s >= 300
    assert 0 < timeouts.connect_s <= 60


def test_tmo_02_silence_is_broken_every_fifteen_seconds() -> None:
    assert 0 < Config().timeouts.ping_interval_s <= 15


@pytest.mark.parametrize("client", ALL)
def test_tmo_02_tmo_03_pings_are_what_each_client_counts(client: str) -> None:
    request = parse(client, TEXTS[client], stream=True)
    raw = {"model": "m", **TEXTS[client]}
    writing = Writing(request=request, model="m", now_s=1, raw=raw)
    encoder = PROTOCOLS[client].encoder(writing, Losses())
    encoder.encode(ir.MessageStart(id="x", model="m"))
    ping = encoder.ping()
    assert ping
    if client == R:
        [event] = events_of(ping)
        assert event["type"] == "response.in_progress", "Codex counts events, not comments"
    elif client == A:
        assert events_of(ping) == [{"type": "ping"}]
    else:
        assert events_of(ping) == []
