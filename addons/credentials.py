"""Add the provider's credential to a request: the last thing that happens before it is sent.

Works on a copy that no script, flow file or record sees.
"""

from __future__ import annotations

from urllib.parse import quote

from mitmproxy import http

from addons.client_key import GATEWAY_HEADER
from addons.exchange import Exchange, Try
from config.providers import AuthStyle
from config.runtime import USUAL_AUTH
from translators.errors import ErrorKind, GatewayError


class Credentials:
    """Put keys where each provider wants them."""

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
        if key.secret is None:
            raise GatewayError(
                ErrorKind.MISCONFIGURED, f"the provider {candidate.provider} has no key configured"
            )
        add_key(request, endpoint.auth, key.secret.get_secret_value())
        return request


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
