"""Who may connect at all: this machine, unless somebody asked for more.

mitmproxy binds every interface when it is given none, before any script of ours counts. So what was not asked for
(`--listen-host`, a host in `--mode`, or `listen` in the configuration) is turned away as soon as it connects.
"""

from __future__ import annotations

import logging

from mitmproxy import connection, ctx

from addons.admin import is_loopback
from addons.snapshot import ConfigHolder

log = logging.getLogger(__name__)


class Peers:
    """Turn other machines away from a port that nobody opened to them."""

    def __init__(self, configs: ConfigHolder) -> None:
        self._configs = configs
        self._told = False

    def running(self) -> None:
        """Say that other machines can connect, if they can and one generated key is all that they need."""
        config = self._configs.current
        if not config.client_keys and (place := _opened(asked=not config.is_loopback)):
            log.warning(
                "other machines can connect (%s), and one generated key lets them in: listen at "
                "127.0.0.1 (--listen-host, or @127.0.0.1:PORT in --mode), or give client_keys",
                place,
            )

    def client_connected(self, client: connection.Client) -> None:
        """Close the connection of another machine where none was asked for."""
        if is_loopback(client.peername[0]) or self._is_asked_for(client):
            return
        client.error = "llmgate is for this machine only"
        if not self._told:
            self._told = True
            log.warning(
                "%s was turned away: without --listen-host, a host in --mode or `listen` in the "
                "configuration only this machine can connect",
                client.peername[0],
            )

    def _is_asked_for(self, client: connection.Client) -> bool:
        given = client.proxy_mode.custom_listen_host or ctx.options.listen_host
        return bool(given) or not self._configs.current.is_loopback


def _opened(*, asked: bool) -> str | None:
    """Where the port was opened to other machines, None if it was not."""
    server = ctx.master.addons.get("proxyserver")
    if server is None:
        return None
    for instance in server.servers:
        if asked or instance.mode.custom_listen_host or ctx.options.listen_host:
            for host, port, *_ in instance.listen_addrs:
                if not is_loopback(host):
                    return f"{host}:{port}"
    return None
