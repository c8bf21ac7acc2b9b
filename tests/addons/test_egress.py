"""R27: outbound proxies per key, with credentials."""

from __future__ import annotations

import pytest

from addons.contract import Via
from addons.egress import egress_proxy
from translators.errors import ErrorKind, GatewayError


@pytest.mark.parametrize(
    ("url", "via"),
    [
        pytest.param("http://proxy.example:3128", Via("http", "proxy.example", 3128), id="plain"),
        pytest.param("https://proxy.example", Via("https", "proxy.example", 443), id="usual port"),
        pytest.param(
            "http://me:p%40ss@proxy.example:1",
            Via("http", "proxy.example", 1, "me:p@ss"),
            id="credentials, percent-encoding undone",
        ),
        pytest.param("direct", None, id="direct"),
        pytest.param(None, None, id="none"),
    ],
)
def test_r27_a_proxy_url_becomes_what_the_engine_wants(url: str | None, via: Via | None) -> None:
    assert egress_proxy(url) == via


def test_r27_two_users_of_one_proxy_are_two_proxies() -> None:
    assert egress_proxy("http://a:1@proxy.example:1") != egress_proxy("http://b:1@proxy.example:1")


def test_r27_a_kind_that_cannot_be_used_is_refused_instead_of_going_round_it() -> None:
    with pytest.raises(GatewayError) as caught:
        egress_proxy("socks5://proxy.example:1080")
    assert caught.value.kind is ErrorKind.MISCONFIGURED
