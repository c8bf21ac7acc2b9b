"""The quick header look-ups find what mitmproxy finds, and raise what it raises."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.test import taddons

from addons import lookups
from addons.lookups import QUICK, Lookups, differs

OWN = {name: getattr(http.Headers, name) for name in QUICK}


class Other(http.Headers):
    """Headers of somebody who finds something else."""

    def get_all(self, name: str | bytes) -> list[str]:
        return [f"all of {name!r}"]


@pytest.fixture
def quick() -> Iterator[None]:
    with taddons.context(Lookups(), loadcore=False) as context:
        assert http.Headers.get is lookups.get
        yield
        context.master.addons.clear()


def outcome(ask: Callable[..., Any], *args: Any) -> object:
    """What an answer is, or what is raised."""
    try:
        return ask(*args)
    except Exception as error:  # noqa: BLE001 - compared
        return type(error), error.args


NAMES = st.one_of(
    st.sampled_from(["content-type", "Content-Type", "", "ä", "\udcff", "x" * 300]),
    st.text(max_size=4),
    st.binary(max_size=4),
    st.just(None),
    st.just(1),
)
FIELDS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from([b"Content-Type", b"content-TYPE", b""]), st.binary(max_size=4)),
        st.binary(max_size=6),
    ),
    max_size=6,
)


@given(fields=FIELDS, name=NAMES)
def test_any_header_is_found_as_mitmproxy_finds_it(
    fields: list[tuple[bytes, bytes]], name: Any
) -> None:
    headers = http.Headers(fields)
    for method, own in OWN.items():
        assert outcome(QUICK[method], headers, name) == outcome(own, headers, name)


@pytest.mark.usefixtures("quick")
def test_headers_work_as_before() -> None:
    headers = http.Headers([(b"Accept", b"a"), (b"accept", b"b"), (b"Host", b"h")])
    assert headers["ACCEPT"] == "a, b"
    assert headers.get_all("accept") == ["a", "b"]
    assert "host" in headers
    assert headers.get("absent", "default") == "default"
    assert headers.pop("host") == "h"
    with pytest.raises(KeyError, match="host"):
        headers["host"]


@pytest.mark.usefixtures("quick")
def test_a_subclass_keeps_its_own_ways() -> None:
    other = Other([(b"name", b"value")])
    assert other.get("name") == other["name"] == "all of 'name'"
    assert "absent" in other


def test_removing_the_addon_gives_mitmproxy_its_own_back() -> None:
    with taddons.context(loadcore=False) as context:
        addon = Lookups()
        context.master.addons.add(addon)
        assert http.Headers.get is not OWN["get"]
        context.master.addons.remove(addon)
    assert {name: getattr(http.Headers, name) for name in QUICK} == OWN
    assert "get" not in vars(http.Headers)


def test_it_is_off_when_mitmproxy_finds_something_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert differs() == ""
    monkeypatch.setattr(lookups, "_get", lambda headers, name, default: "another")
    with caplog.at_level(logging.WARNING):
        Lookups().load(None)  # type: ignore[arg-type]
    assert "quick header look-ups are off: mitmproxy finds another header 'name'" in caplog.text
    assert http.Headers.get is OWN["get"]
