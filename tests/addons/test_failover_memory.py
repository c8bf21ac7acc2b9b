"""What a stream in progress may hold on to."""

from __future__ import annotations

import gc
import weakref

import pytest
from mitmproxy.test import tflow

from addons.contract import Attempt
from addons.endpoints import Endpoint
from addons.exchange import Exchange
from addons.failover import forget_places, weakly
from addons.translate import Translate
from config.models import Config
from scripts.fault_upstream import answer
from tests.addons.placing import world
from translators import PROTOCOLS
from translators.errors import ErrorKind, GatewayError
from translators.memory import ReasoningMemory
from translators.wire import JsonObject


def test_the_word_that_ends_an_answer_keeps_no_flow_alive() -> None:
    flow = tflow.tflow()
    attempt = Attempt(flow=flow, number=1, request=flow.request)
    finish = weakly(attempt.finish_now)
    finish()
    assert attempt.finished
    gone = weakref.ref(attempt)
    del attempt, flow
    gc.collect()
    assert gone() is None
    finish()


def test_errors_of_a_settled_exchange_keep_no_frames_alive() -> None:
    exchange = Exchange(
        id="req_1",
        config=Config(),
        endpoint=Endpoint(protocol="anthropic"),
        translator=PROTOCOLS["anthropic"],
        created_s=0,
        started_s=0,
    )
    try:
        try:
            raise ValueError("inner")
        except ValueError as inner:
            raise GatewayError(ErrorKind.UPSTREAM_MALFORMED, "outer") from inner
    except GatewayError as error:
        exchange.error = error
    forget_places(exchange)
    assert exchange.error.__traceback__ is None
    assert exchange.error.__cause__ is not None
    assert exchange.error.__cause__.__traceback__ is None


CONFIG = """
client_keys: [{name: test, key: test-gateway-key}]
providers:
  openai_chat: {protocol: openai_chat, base_url: "http://127.0.0.1:9/v1", api_key: k}
  openai_responses: {protocol: openai_responses, base_url: "http://127.0.0.1:9/v1", api_key: k}
  anthropic: {protocol: anthropic, base_url: "http://127.0.0.1:9/v1", api_key: k}
  gemini: {protocol: gemini, base_url: "http://127.0.0.1:9/v1beta", api_key: k}
"""
BODIES: dict[str, JsonObject] = {
    "openai_chat": {"messages": [{"role": "user", "content": "Hi"}]},
    "openai_responses": {"input": "Hi", "store": False},
    "anthropic": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 99},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
}


def streaming(client: str, upstream: str) -> Exchange:
    """An exchange in the middle of its streamed answer."""
    gate = world(CONFIG)
    exchange = gate.place(f"{upstream}/m", protocol=client, stream=True)
    exchange.body = {"model": "m", "stream": True, **BODIES[client]}
    one = gate.attempt(exchange)
    assert one is not None
    one.stream = True
    translate = Translate(ReasoningMemory())
    candidate = one.candidate
    profile = gate.config.resolve_profile(candidate.provider, candidate.model, candidate.protocol)
    translate.outgoing(exchange, one, profile)
    one.relay = translate.relay(
        exchange, one, on_finished=lambda: None, on_pause=lambda: None, keep=True
    )
    frames = answer(upstream, True)
    assert one.relay.prime(b"".join(frames[:8])) is True
    one.relay(b"".join(frames[:10]))
    return exchange


@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("upstream", PROTOCOLS)
def test_an_exchange_that_is_dropped_in_the_middle_is_freed_at_once(
    client: str, upstream: str
) -> None:
    gc.collect()
    gc.disable()
    try:
        exchange = streaming(client, upstream)
        relay = exchange.tries[0].relay
        gone = weakref.ref(exchange), weakref.ref(exchange.tries[0]), weakref.ref(relay)
        del exchange, relay
        assert [one() for one in gone] == [None, None, None]
    finally:
        gc.enable()
