"""`/admin`: what rests and what was used, and the way to reset it. For operators, never for clients.

With an admin key configured that key is asked for; without one only this machine's own programs come in, and
nothing that was forwarded for somebody else or sent by a web page.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from mitmproxy import ctx, http

from addons.admission import refuse
from addons.answers import json_response
from addons.budgets import Ledger
from addons.client_key import digest
from addons.endpoints import Page
from addons.exchange import Exchange, Exchanges
from addons.gate import Places
from addons.guard import fail_closed
from addons.picker import Picker
from translators.errors import ErrorKind, GatewayError
from translators.wire import JsonSyntaxError, loads

FORWARDING: Final = ("forwarded", "x-real-ip", "via", "cf-connecting-ip", "true-client-ip")
MAX_BANS: Final = 10_000

type Handler = Callable[[http.Request], dict[str, Any]]


class Admin:
    """Serve `/admin/status` and `/admin/reset`."""

    def __init__(
        self,
        exchanges: Exchanges,
        picker: Picker,
        ledger: Ledger,
        places: Places,
        clock: Callable[[], float],
    ) -> None:
        self._exchanges = exchanges
        self._picker = picker
        self._ledger = ledger
        self._places = places
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._routes: Mapping[str, tuple[str, Handler]] = {
            "/status": ("GET", self._status),
            "/reset": ("POST", self._reset),
        }

    def running(self) -> None:
        """Keep the Host header as the client sent it: by it a web page that pretends to be local is told."""
        ctx.options.keep_host_header = True

    @fail_closed
    def request(self, flow: http.HTTPFlow) -> None:
        """Answer an admin page; 404 for one that neither this addon nor one before it knows."""
        exchange = self._exchanges.get(flow)
        if exchange is None or exchange.endpoint.page is not Page.ADMIN:
            return
        self.authorize(exchange, flow)
        found = self._routes.get(exchange.endpoint.rest.rstrip("/"))
        if found is None:
            raise GatewayError(ErrorKind.NOT_FOUND, f"no admin page {exchange.endpoint.rest[:100]}")
        method, handler = found
        if flow.request.method != method:
            raise GatewayError(ErrorKind.METHOD_NOT_ALLOWED, f"use {method} here")
        flow.response = json_response(handler(flow.request))

    def authorize(self, exchange: Exchange, flow: http.HTTPFlow) -> None:
        """Let an operator in, or refuse; wrong keys are counted per address."""
        settings = exchange.config.admin
        if not settings.enabled:
            raise GatewayError(ErrorKind.NOT_FOUND, "the admin pages are switched off")
        address = str(flow.client_conn.peername[0])
        failures, since = self._failures.get(address, (0, 0.0))
        if failures >= settings.max_failures:
            left_s = since + settings.ban_s - self._clock()
            if left_s > 0:
                raise GatewayError(
                    ErrorKind.RATE_LIMITED, "too many wrong admin keys", retry_after_s=left_s
                )
            failures = 0
        if settings.key is None:
            check_local(address, exchange.headers)
            return
        if secrets.compare_digest(digest(exchange.admin_key or ""), settings.key.digest):
            self._failures.pop(address, None)
            return
        self._failures[address] = (failures + 1, self._clock())
        self._failures.move_to_end(address)
        if len(self._failures) > MAX_BANS:
            self._failures.popitem(last=False)
        raise GatewayError(
            ErrorKind.AUTHENTICATION, "the admin key is missing or wrong: Authorization: Bearer"
        )

    def _status(self, _request: http.Request) -> dict[str, Any]:
        return {
            "cooldowns": self._picker.cooldowns.status(),
            "sessions": len(self._picker.sessions),
            "active": self._places.active,
            "waiting": self._places.waiting,
            "usage": self._ledger.status(),
        }

    def _reset(self, request: http.Request) -> dict[str, Any]:
        """Body: `{}` or none for everything, else `provider` and `key` by name."""
        raw = request.get_content(strict=False) or b"{}"
        try:
            body = loads(raw)
        except JsonSyntaxError as error:
            raise GatewayError(ErrorKind.INVALID_REQUEST, f"not JSON: {error}") from error
        names = [body.get(name) for name in ("provider", "key")] if isinstance(body, dict) else [0]
        if not all(name is None or isinstance(name, str) for name in names):
            raise GatewayError(
                ErrorKind.INVALID_REQUEST, "expected an object with `provider` and `key` as text"
            )
        return {"reset": self._picker.cooldowns.reset(*names)}

    def dump_bans(self) -> list[dict[str, Any]]:
        """Addresses with wrong keys, for the next process: how many, and how long ago the last one was."""
        now = self._clock()
        return [
            {"address": address, "failures": failures, "since_s": now - since}
            for address, (failures, since) in self._failures.items()
        ]

    def restore_bans(self, saved: Iterable[dict[str, Any]], passed_s: float) -> None:
        """Take up what `dump_bans` gave `passed_s` ago; damaged entries are left out."""
        for one in saved:
            try:
                since_s = float(one["since_s"]) + passed_s
                found = (int(one["failures"]), self._clock() - since_s)
                self._failures[str(one["address"])] = found
            except (KeyError, TypeError, ValueError):
                continue
            if len(self._failures) > MAX_BANS:
                self._failures.popitem(last=False)

    def refuse(self, flow: http.HTTPFlow, error: GatewayError) -> None:
        """Answer with an error."""
        refuse(self._exchanges, flow, error)


def check_local(address: str, headers: Mapping[str, str]) -> None:
    """Refuse everything but a program on this machine that speaks for itself."""
    if not is_loopback(address):
        raise _forbidden("only programs on this machine may come here while admin.key is not set")
    if any(name in FORWARDING or name.startswith("x-forwarded-") for name in headers):
        raise _forbidden("forwarded requests may not come here while admin.key is not set")
    if not is_loopback(_host(headers.get("host", ""))):
        raise _forbidden("the Host header names another machine")
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise _forbidden("other web pages may not come here")


def _forbidden(message: str) -> GatewayError:
    return GatewayError(ErrorKind.PERMISSION, message)


def _host(value: str) -> str:
    return urlsplit(f"//{value}").hostname or ""


def is_loopback(host: str) -> bool:
    """Whether an address, or a name of one, is this machine's own."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
