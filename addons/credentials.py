"""Add the provider's credential to a request: the last thing that happens before it is sent.

A plain key stands in the configuration; the tokens of other credentials are kept by tokens.py.

`authorize` works on a copy that no script, flow file or record sees.
"""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import quote

from mitmproxy import http

from addons.client_key import GATEWAY_HEADER
from addons.exchange import Candidate, Exchange, Try
from addons.tokens import Tokens
from config.providers import AuthStyle
from config.runtime import USUAL_AUTH
from translators.errors import ErrorKind, GatewayError

log = logging.getLogger(__name__)

UNAUTHORIZED: Final = 401


class Credentials:
    """Put keys and tokens where each provider wants them."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self._tokens = tokens or Tokens()

    async def ready(self, exchange: Exchange, candidate: Candidate) -> GatewayError | None:
        """See that a provider with a `credential` has a token; the reason when it has none."""
        upstream = candidate.upstream
        if upstream.credential is None:
            return None
        try:
            await self._tokens.ready(upstream, upstream.proxy or exchange.config.proxy)
        except GatewayError as error:
            if error.kind is not ErrorKind.MISCONFIGURED:
                return error
            log.error("provider=%s has no usable credential: %s", upstream.name, error.message)
            return GatewayError(
                ErrorKind.MISCONFIGURED,
                f"the provider {upstream.name} has no usable credential; the gateway's log says why",
                provider=upstream.name,
            )
        return None

    def failed(self, one: Try) -> None:
        """Learn from a failed attempt: a token that was refused is not used again."""
        if is_refused(one):
            self._tokens.drop(one.candidate.upstream)

    def authorize(self, exchange: Exchange, one: Try, request: http.Request) -> http.Request:
        """The request with its credential; `misconfigured` when there is none to add."""
        candidate = one.candidate
        endpoint, key = candidate.endpoint, candidate.key
        for name, value in (*endpoint.headers.items(), *key.headers.items()):
            request.headers[name] = value
        if endpoint.auth is AuthStyle.NONE:
            return request
        if endpoint.auth is AuthStyle.CLIENT:
            if exchange.own_credential is None:
                raise GatewayError(
                    ErrorKind.AUTHENTICATION,
                    f"the provider {candidate.provider} takes your own key: send the gateway's key "
                    f"as {GATEWAY_HEADER}, and yours where it usually stands",
                )
            add_key(request, USUAL_AUTH[endpoint.protocol], exchange.own_credential)
            return request
        if (token := self._tokens.value(candidate.upstream)) is not None:
            add_key(request, AuthStyle.BEARER, token)
            return request
        if key.secret is None:
            raise GatewayError(
                ErrorKind.MISCONFIGURED, f"the provider {candidate.provider} has no key configured"
            )
        add_key(request, endpoint.auth, key.secret.get_secret_value())
        return request


def is_refused(one: Try) -> bool:
    """Whether the provider refused the credential of a try."""
    return one.error is not None and one.error.upstream_status == UNAUTHORIZED


def add_key(request: http.Request, style: AuthStyle, key: str) -> None:
    """Write one key into a request."""
    match style:
        case AuthStyle.BEARER:
            request.headers["authorization"] = f"Bearer {key}"
        case AuthStyle.X_API_KEY | AuthStyle.API_KEY | AuthStyle.X_GOOG_API_KEY:
            request.headers[style.value] = key
        case AuthStyle.QUERY_KEY:
            separator = "&" if "?" in request.path else "?"
            request.path = f"{request.path}{separator}key={quote(key, safe='')}"
        case AuthStyle.NONE | AuthStyle.CLIENT:
            pass
