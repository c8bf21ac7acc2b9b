"""The quick look-ups find what mitmproxy finds, and raise what it raises."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http, optmanager
from mitmproxy.net.http import url
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
    assert url.parse_authority is lookups._parse_authority
    assert optmanager._Option.current is lookups._current


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("kind", "default", "value"),
    [
        pytest.param(bool, True, False, id="a switch"),
        pytest.param(str, "a", "b", id="a text"),
        pytest.param(str | None, None, "b", id="nothing by default"),
        pytest.param(Sequence[str], ["a"], ["b"], id="a list"),
    ],
)
def test_options_are_read_as_before(kind: Any, default: object, value: object) -> None:
    options = optmanager.OptManager()
    options.add_option("name", kind, default, "help")
    assert options.name == default
    options.update(name=value)
    assert options.name == value
    if isinstance(default, list):
        options.name.append("c")
        assert options.name == value
    options.reset()
    assert options.name == default


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    "authority",
    [
        b"example.com",
        b"EXAMPLE.com:81",
        "example.com:81",
        b"[::1]:8080",
        b"xn--bcher-kva.example",
        b"",
        b"a b",
        b"host:99999",
        b"x" * 300,
    ],
)
def test_hosts_are_taken_apart_as_before(authority: Any, check: bool) -> None:
    for _ in range(2):
        assert outcome(url.parse_authority, authority, check) == outcome(
            lookups._parse_authority, authority, check
        )


@pytest.mark.parametrize(
    ("name", "found", "what"),
    [
        pytest.param("_get", lambda headers, name, default: "another", "header", id="a header"),
        pytest.param("_current", lambda option: "another", "option", id="an option"),
        pytest.param("_option", None, "option", id="no option"),
        pytest.param("_parse_authority", None, "host", id="no host"),
    ],
)
def test_it_is_off_when_mitmproxy_finds_something_else(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    found: object,
    what: str,
) -> None:
    assert differs() == ""
    lookups._remembered.cache_clear()
    monkeypatch.setattr(lookups, name, found)
    with caplog.at_level(logging.WARNING):
        Lookups().load(None)  # type: ignore[arg-type]
    assert f"quick look-ups are off: mitmproxy finds another {what}" in caplog.text
    assert http.Headers.get is OWN["get"]
