"""Admit a request or refuse it at its headers: path, method, client key; opens the Exchange."""

from __future__ import annotations

import time
from typing import Final

from mitmproxy import http

from addons import endpoints
from addons.answers import error_response
from addons.client_key import remove_key, split_keys
from addons.endpoints import Endpoint, Page
from addons.exchange import Exchange, Exchanges, Principal, new_request_id, now_s
from addons.guard import fail_closed
from addons.headers import plain_headers
from addons.snapshot import ConfigHolder
from config.models import Config
from translators import PROTOCOLS
from translators.base import Operation
from translators.errors import ErrorKind, GatewayError

GENERATED: Final = "generated"
"""The name of the key that is made when none is configured."""
EMPTY: Final = Config(client_keys=())
"""What an unknown namespace has: nothing. Its callers hear 401, like everyone without a key."""


class Admission:
    """First addon of a request: everything after it can rely on an Exchange with a Principal."""

    def __init__(self, exchanges: Exchanges, configs: ConfigHolder) -> None:
        self._exchanges = exchanges
        self._configs = configs

    @fail_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Match, authenticate, open the exchange."""
        if flow.is_replay is not None:
            return
        request = flow.request
        endpoint = endpoints.match(request.path)
        exchange = self._open(flow, endpoint)
        key: str | None = None
        try:
            introduction = self._exchanges.introduction(flow)
            if introduction is None:
                key, exchange.own_credential = split_keys(request)
            else:
                key, exchange.own_credential = introduction.key, introduction.own_credential
                exchange.asked = introduction.asked
        finally:
            remove_key(request)
            exchange.headers = plain_headers(request.headers.fields)
        if endpoint is None:
            path = request.path.partition("?")[0]
            raise GatewayError(ErrorKind.NOT_FOUND, f"there is nothing at {request.method} {path}")
        if endpoint.methods and request.method not in endpoint.methods:
            raise GatewayError(
                ErrorKind.METHOD_NOT_ALLOWED,
                f"{request.method} is not possible here; use {' or '.join(endpoint.methods)}",
            )
        if endpoint.page is Page.ADMIN:
            exchange.admin_key = key
        if endpoint.page is not None:  # open to everyone; the admin pages check their own key
            return
        if key is None:
            raise GatewayError(
                ErrorKind.AUTHENTICATION,
                "a gateway key is missing: send it as Authorization: Bearer, x-api-key, api-key, "
                "x-goog-api-key or ?key= (the generated one is in ~/.llmgate/token)",
            )
        exchange.principal = self._principal(exchange.config, key)
        if request.method == "GET" and endpoint.operation is Operation.GENERATE:
            exchange.presented_key = key

    def _principal(self, config: Config, key: str) -> Principal:
        client = config.client_for(key)
        if client is not None:
            return Principal(
                name=client.name,
                models=client.models,
                exclude=client.exclude,
                mode=client.compatibility_mode,
                limits=client,
            )
        known = config is not EMPTY and not config.client_keys
        if known and self._configs.is_generated(key):
            return Principal(name=GENERATED)
        raise GatewayError(
            ErrorKind.AUTHENTICATION,
            "this key is not known to the gateway: it takes keys of its own, not a provider's "
            "(`llmgate token` prints the generated one)",
        )

    def _open(self, flow: http.HTTPFlow, endpoint: Endpoint | None) -> Exchange:
        protocol = endpoint.protocol if endpoint is not None else ""
        if not protocol:
            headers = plain_headers(flow.request.headers.fields)
            protocol = endpoints.guess_protocol(flow.request.path, headers)
        config = self._configs.current
        namespace = endpoint.namespace if endpoint is not None else None
        if namespace is not None:
            config = config.namespace(namespace) or EMPTY
        exchange = Exchange(
            id=new_request_id(),
            config=config,
            endpoint=endpoint or Endpoint(protocol=protocol),
            translator=PROTOCOLS[protocol],
            created_s=time.time(),
            started_s=now_s(),
        )
        self._exchanges.add(flow, exchange)
        return exchange

    def refuse(self, flow: http.HTTPFlow, error: GatewayError) -> None:
        """Answer with an error."""
        refuse(self._exchanges, flow, error)


def refuse(exchanges: Exchanges, flow: http.HTTPFlow, error: GatewayError) -> None:
    """Answer a flow with an error in its client's protocol."""
    exchange = exchanges.get(flow)
    if exchange is None:
        flow.response = error_response(PROTOCOLS["openai_chat"], error, "", flow.request.method)
        return
    exchange.error = error
    flow.response = error_response(exchange.translator, error, exchange.id, flow.request.method)
