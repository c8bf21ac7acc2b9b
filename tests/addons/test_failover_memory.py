"""What a stream in progress may hold on to."""

from __future__ import annotations

import gc
import weakref

from mitmproxy.test import tflow

from addons.contract import Attempt
from addons.failover import finishing


def test_the_word_that_ends_an_answer_keeps_no_flow_alive() -> None:
    flow = tflow.tflow()
    attempt = Attempt(flow=flow, number=1, request=flow.request)
    finish = finishing(attempt)
    finish()
    assert attempt.finished
    gone = weakref.ref(attempt)
    del attempt, flow
    gc.collect()
    assert gone() is None
    finish()
