"""What a stream in progress may hold on to."""

from __future__ import annotations

import gc
import weakref

from mitmproxy.test import tflow

from addons.contract import Attempt
from addons.endpoints import Endpoint
from addons.exchange import Exchange
from addons.failover import forget_places, weakly
from config.models import Config
from translators import PROTOCOLS
from translators.errors import ErrorKind, GatewayError


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
