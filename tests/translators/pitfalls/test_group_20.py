"""Pitfalls, group 20: large bodies and heartbeats; timers are tested over HTTP in tests/e2e/test_timers.py."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from config.models import Config
from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.pitfalls import ALL, TEXTS, A, C, R, events_of, parse
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


TURNS = 100
TURN_BYTES = 12_000
GROWTH_MB = 40
"""The bodies of one long session come to 60 MB: a copy of each would be seen."""


def conversation(client: str, turns: int) -> dict[str, Any]:
    """A request behind that many turns."""
    said = [
        {"role": role, "content": f"{number} " + "lorem ipsum " * (TURN_BYTES // 24)}
        for number in range(turns)
        for role in ("user", "assistant")
    ]
    messages = [*said, {"role": "user", "content": "Go on"}]
    return TEXTS[client] | ({"input": messages} if client == R else {"messages": messages})


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("client", [C, R, A])
def test_big_02_a_long_session_leaves_nothing_behind(
    gateway: Gateway, fake: FakeProvider, client: str
) -> None:
    path = {C: "/v1/chat/completions", R: "/v1/responses", A: "/v1/messages"}[client]
    upstream = {C: "claude", R: "chat", A: "gemini"}[client]

    def turn(number: int) -> None:
        body = {**conversation(client, number), "model": f"{upstream}/fake-bench~chunks=1"}
        more = {"store": False} if client == R else {}
        headers = {"anthropic-version": "2023-06-01"}
        status, _, answer = gateway.post(path, json.dumps(body | more).encode(), headers)
        assert status == 200, answer[:300]

    for _ in range(3):
        turn(TURNS)
    before = rss_mb(gateway)
    for number in range(TURNS):
        turn(number)
    assert rss_mb(gateway) - before < GROWTH_MB


def rss_mb(gateway: Gateway) -> float:
    """The gateway's resident memory."""
    pages = int(Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


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
