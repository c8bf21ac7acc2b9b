"""A CA per provider: its `ca_file` is trusted for its connections, beside what mitmproxy trusts, and for no others.

mitmproxy's own options for that are global. Verification is never switched off here: name and chain are checked as
always, only against more roots. Connections that trust different files are never shared (`Connect`, `Pool`).
"""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import certifi
from mitmproxy import ctx
from mitmproxy.connection import Connection, Server
from mitmproxy.tls import TlsData
from OpenSSL import SSL

log = logging.getLogger(__name__)

_TRUSTED: Final[WeakKeyDictionary[Connection, Path]] = WeakKeyDictionary()


def trust(conn: Connection, ca_file: Path | None) -> None:
    """Note what a connection that is about to be opened trusts."""
    if ca_file is not None:
        _TRUSTED[conn] = ca_file


def trusted_by(conn: Connection) -> Path | None:
    """The file that a connection trusts beside the usual roots."""
    return _TRUSTED.get(conn)


class Trust:
    """Give the connections of a provider with a `ca_file` the roots in it."""

    def running(self) -> None:
        """Say it aloud when mitmproxy was told to check nothing."""
        if ctx.options.ssl_insecure:
            log.warning("ssl_insecure is on: the certificates of providers are not checked")

    def tls_start_server(self, data: TlsData) -> None:
        """Let mitmproxy prepare the handshake as always, then exchange the roots."""
        ca_file = trusted_by(data.conn)
        if ca_file is None or data.ssl_conn is not None or not isinstance(data.conn, Server):
            return
        ctx.master.addons.get("tlsconfig").tls_start_server(data)
        if data.ssl_conn is not None and not ctx.options.ssl_insecure:
            data.ssl_conn.set_context(_context(data.conn, ca_file))


def _context(conn: Server, ca_file: Path) -> SSL.Context:
    options = ctx.options
    folder = options.ssl_verify_upstream_trusted_confdir
    usual = options.ssl_verify_upstream_trusted_ca
    if folder is None and usual is None:
        usual = certifi.where()
    return _made(str(ca_file), ca_file.stat().st_mtime_ns, usual, folder, _client_certificate(conn))


def _client_certificate(conn: Server) -> str | None:
    """As mitmproxy chooses it: one file for all, or one named after the server."""
    if not ctx.options.client_certs:
        return None
    path = Path(ctx.options.client_certs).expanduser()
    if not path.is_file():
        path = path / f"{conn.sni or (conn.address or ('',))[0]}.pem"
    return str(path) if path.is_file() else None


@lru_cache(maxsize=64)
def _made(
    ca_file: str, _changed_ns: int, usual: str | None, folder: str | None, client_cert: str | None
) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_PEER)
    context.load_verify_locations(usual, folder)
    context.load_verify_locations(ca_file)
    if client_cert is not None:
        context.use_privatekey_file(client_cert)
        context.use_certificate_chain_file(client_cert)
    return context
