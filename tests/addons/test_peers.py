"""Who may connect: this machine, unless a listening address was asked for."""

from __future__ import annotations

import pytest
from mitmproxy import connection
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons

from addons.peers import Peers
from addons.snapshot import ConfigHolder
from config import loader

MODE = "reverse:http://localhost:9@8080"
KEYS = "client_keys: [{name: a, key: k}]\n"


def turned_away(peer: str, *, mode: str = MODE, option: str = "", config: str = "") -> bool:
    """Whether a connection from there is closed."""
    peers = Peers(ConfigHolder(loader.loads(config or "{}")))
    with taddons.context(peers) as context:
        context.options.listen_host = option
        client = connection.Client(
            peername=(peer, 40000),
            sockname=("192.0.2.1", 8080),
            timestamp_start=1.0,
            proxy_mode=ProxyMode.parse(mode),
        )
        peers.client_connected(client)
    return client.error is not None


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_always_connect(peer: str) -> None:
    assert not turned_away(peer)


@pytest.mark.parametrize("peer", ["192.168.1.7", "203.0.113.9", "::ffff:10.0.0.1", "fe80::1%eth0"])
def test_others_may_not_where_nobody_asked_for_it(peer: str) -> None:
    assert turned_away(peer)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"option": "0.0.0.0"}, id="by an option"),
        pytest.param({"mode": "reverse:http://localhost:9@0.0.0.0:8080"}, id="in the mode"),
        pytest.param({"config": f"listen: 0.0.0.0:8080\n{KEYS}"}, id="by the configuration"),
    ],
)
def test_others_may_where_somebody_asked_for_it(asked: dict[str, str]) -> None:
    assert not turned_away("192.168.1.7", **asked)


def test_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    assert turned_away("192.168.1.7")
    (record,) = caplog.records
    assert "192.168.1.7 was turned away: without --listen-host" in record.getMessage()
