"""The engine refuses a mitmproxy that it does not know, in one sentence, and lets nothing pass it by."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy import version
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import taddons

from addons import internals
from addons.engine import Engine, Refusal
from addons.internals import GetHttpConnection, HttpLayer, HttpStream
from addons.selfcheck import IncompatibleMitmproxy, RehearsalPolicy, self_check
from tests.addons.dialogue import Dialogue, Script


def check() -> None:
    with taddons.context(Proxyserver()) as tctx:
        self_check(tctx.options, Engine.rehearsal)


def test_the_installed_mitmproxy_fits() -> None:
    check()


def test_another_major_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "VERSION", "13.0.0")
    with pytest.raises(
        IncompatibleMitmproxy,
        match=r"^llmgate cannot run on mitmproxy 13\.0\.0: it knows 12\.x\. Install ",
    ):
        check()


def test_a_method_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(HttpStream, "send_response")
    with pytest.raises(IncompatibleMitmproxy, match=r"HttpStream\.send_response is gone"):
        check()


def test_a_signature_that_changed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpLayer, "make_stream", lambda self, stream_id, more: None)
    with pytest.raises(
        IncompatibleMitmproxy, match=r"HttpLayer\.make_stream takes \(self, stream_id, more\)"
    ):
        check()


def test_a_changed_behaviour_is_found_by_the_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(self: Any, event: GetHttpConnection, *, reuse: bool = True) -> Any:
        event.address = ("10.9.9.9", 1)
        return original(self, event, reuse=reuse)

    original = HttpLayer.get_connection
    monkeypatch.setattr(HttpLayer, "get_connection", elsewhere)
    with pytest.raises(IncompatibleMitmproxy, match="wrong upstreams"):
        check()


def test_an_exception_in_the_rehearsal_is_the_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(policy: object, context: object) -> Any:
        raise AttributeError("streams")

    with (
        taddons.context(Proxyserver()) as tctx,
        pytest.raises(IncompatibleMitmproxy, match="the rehearsal raised AttributeError: streams"),
    ):
        self_check(tctx.options, broken)


def test_a_refused_engine_says_why_and_closes_every_client(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """mitmproxy exits on an error at start; until then nothing may pass the gateway by."""
    monkeypatch.setattr(version, "VERSION", "13.0.0")
    engine = Engine(RehearsalPolicy())
    with taddons.context(Proxyserver(), loadcore=False) as tctx:
        tctx.master.addons.add(engine)
    assert "llmgate cannot run on mitmproxy 13.0.0" in caplog.text

    class NextLayer:
        layer: Any = None
        context: Any = Dialogue(Script()).layer.context

        def data_client(self) -> bytes:
            return b"POST / HTTP/1.1\r\n"

    NextLayer.context.layers.insert(0, internals.ReverseProxy(NextLayer.context))
    nextlayer = NextLayer()
    engine.next_layer(nextlayer)  # type: ignore[arg-type]
    assert isinstance(nextlayer.layer, Refusal)


def test_only_one_file_imports_the_proxys_layers() -> None:
    from pathlib import Path

    folder = Path(internals.__file__).parent
    importers = {
        path.name
        for path in folder.rglob("*.py")
        if "import" in (text := path.read_text()) and "from mitmproxy.proxy.layers" in text
    }
    assert importers == {"internals.py"}
