"""An h2 without the name that farewell.py needs; what it does is in test_engine_live.py."""

from __future__ import annotations

import logging

import h2.connection
import pytest
from hyperframe.frame import GoAwayFrame
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import taddons

from addons.engine import Engine
from addons.farewell import PatientClient, be_patient, missing
from addons.internals import Http2Client
from tests.addons.dialogue import Dialogue, Script


def test_a_new_connection_becomes_patient() -> None:
    http = Http2Client(Dialogue().layer.context)
    be_patient(http)
    assert isinstance(http, PatientClient)
    assert missing() == []


def test_without_the_name_a_connection_stays_as_it_is_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = h2.connection.H2Connection.__init__

    def without(self: h2.connection.H2Connection, *given: object, **named: object) -> None:
        made(self, *given, **named)  # type: ignore[arg-type]
        del self._frame_dispatch_table[GoAwayFrame]

    monkeypatch.setattr(h2.connection.H2Connection, "__init__", without)
    http = Http2Client(Dialogue().layer.context)
    be_patient(http)
    assert type(http) is Http2Client
    with taddons.context(Proxyserver()), caplog.at_level(logging.WARNING):
        Engine(Script()).running()
    assert "a GOAWAY cuts an upstream's answers" in caplog.text
