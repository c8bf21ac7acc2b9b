"""Outbound proxies: a URL of the configuration as the engine wants it. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import unquote, urlsplit

from mitmproxy.net import server_spec

from addons.contract import Via
from translators.errors import ErrorKind, GatewayError

PORTS: Final = {"http": 80, "https": 443}


@lru_cache(maxsize=1024)
def egress_proxy(proxy: str | None) -> server_spec.ServerSpec | None:
    """The outbound proxy with its credentials, None for a direct connection.

    A scheme that mitmproxy cannot speak to upstreams is `misconfigured`: going round the proxy would be worse.
    """
    if proxy is None or proxy == "direct":
        return None
    parts = urlsplit(proxy)
    if parts.scheme not in PORTS or not parts.hostname:
        raise GatewayError(
            ErrorKind.MISCONFIGURED,
            f"an outbound proxy of the kind {parts.scheme} cannot be used; use http or https",
        )
    auth = ""
    if parts.username is not None:
        auth = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Via(parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme], auth)
