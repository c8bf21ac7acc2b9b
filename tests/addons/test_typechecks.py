"""The quick type checks of messages refuse what mitmproxy refuses, in its words, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import taddons

from addons import typechecks
from addons.typechecks import CHECK, TypeChecks, missing


class NativeHeaders(http.Headers):
    """Not exactly the declared type, yet one of it."""


class ManyBytes(bytes):
    """Likewise."""


@pytest.fixture
def quick() -> Iterator[None]:
    with taddons.context(TypeChecks(), loadcore=False) as context:
        assert CHECK in vars(http.RequestData)
        assert CHECK in vars(http.ResponseData)
        yield
        context.master.addons.clear()


def request(**changes: Any) -> http.RequestData:
    usual: dict[str, Any] = {
        "http_version": b"HTTP/1.1",
        "headers": http.Headers(),
        "content": b"{}",
        "trailers": None,
        "timestamp_start": 1.5,
        "timestamp_end": None,
        "host": "127.0.0.1",
        "port": 80,
        "method": b"POST",
        "scheme": b"http",
        "authority": b"",
        "path": b"/",
    }
    return http.RequestData(**(usual | changes))


GOOD = [
    pytest.param({}, id="the usual"),
    pytest.param({"content": None, "timestamp_start": 1, "timestamp_end": 2}, id="whole seconds"),
    pytest.param({"trailers": http.Headers()}, id="trailers"),
    pytest.param({"headers": NativeHeaders(), "path": ManyBytes(b"/")}, id="subclasses"),
    pytest.param({"port": True}, id="a bool, which mitmproxy takes for an int"),
]
BAD = [
    pytest.param({"path": "/"}, id="text for bytes"),
    pytest.param({"content": "{}"}, id="text for an optional body"),
    pytest.param({"headers": {}}, id="a dict for headers"),
    pytest.param({"port": "80"}, id="text for a number"),
    pytest.param({"timestamp_start": None}, id="None where it is not allowed"),
]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("changes", GOOD)
def test_what_mitmproxy_takes_is_taken(changes: dict[str, Any]) -> None:
    made = request(**changes)
    assert all(getattr(made, name) is value for name, value in changes.items())


@pytest.mark.parametrize("changes", BAD)
def test_what_mitmproxy_refuses_is_refused_in_its_words(changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError) as own:
        request(**changes)
    with taddons.context(TypeChecks(), loadcore=False) as context:
        with pytest.raises(TypeError) as quick:
            request(**changes)
        context.master.addons.clear()
    assert str(quick.value) == str(own.value)


def test_what_is_right_does_not_reach_the_general_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> None:
        raise AssertionError("asked")

    with taddons.context(TypeChecks(), loadcore=False) as context:
        monkeypatch.setattr(http.typecheck, "check_option_type", never)
        request()
        http.Response.make(200, b"{}")
        context.master.addons.clear()


def test_removing_the_addon_gives_mitmproxy_its_check_back() -> None:
    own = http.RequestData.__post_init__
    with taddons.context(loadcore=False) as context:
        addon = TypeChecks()
        context.master.addons.add(addon)
        context.master.addons.remove(addon)
    assert http.RequestData.__post_init__ is own
    assert CHECK not in vars(http.ResponseData)


def test_it_is_off_when_mitmproxy_lacks_a_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert missing() == []
    monkeypatch.setattr(typechecks, "CLASSES", ("RequestData", "TrailerData"))
    with caplog.at_level(logging.WARNING):
        TypeChecks().load(None)  # type: ignore[arg-type]
    assert "quick type checks are off: mitmproxy has no http.TrailerData" in caplog.text
    assert CHECK not in vars(http.RequestData)
