"""From the model's name that a client asked for to an ordered list of candidates."""

from __future__ import annotations

from mitmproxy import http

from addons.admission import refuse
from addons.exchange import Candidate, Exchange, Exchanges
from addons.guard import fail_closed
from translators.base import Operation
from translators.errors import ErrorKind, GatewayError


class Router:
    """Fill `candidates` of an exchange that goes upstream."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges

    @fail_closed
    def request(self, flow: http.HTTPFlow) -> None:
        """Resolve the model of a generation."""
        exchange = self._exchanges.get(flow)
        if exchange is None or exchange.endpoint.operation is not Operation.GENERATE:
            return
        exchange.candidates = candidates(exchange)

    def refuse(self, flow: http.HTTPFlow, error: GatewayError) -> None:
        """Answer with an error."""
        refuse(self._exchanges, flow, error)


def candidates(exchange: Exchange) -> list[Candidate]:
    """The candidates of an exchange, best first; `not_found` names the models that would work."""
    config = exchange.config
    found = []
    for target in config.resolve(exchange.model):
        protocol, base_url = config.endpoint(target.provider, exchange.endpoint.protocol)
        found.append(
            Candidate(
                provider=target.provider,
                model=target.model,
                protocol=protocol,
                base_url=base_url,
                mode=config.mode(target.provider),
            )
        )
    if not found:
        raise unknown_model(exchange)
    return found


def unknown_model(exchange: Exchange) -> GatewayError:
    """The 404 that says what would work."""
    known = exchange.config.model_names()
    if not known:
        return GatewayError(
            ErrorKind.NOT_FOUND,
            "the gateway has no provider configured; add one under `providers` in llmgate.yaml",
            code="model_not_found",
        )
    shown = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    return GatewayError(
        ErrorKind.NOT_FOUND,
        f'the model "{exchange.model[:200]}" is not known here; known models: {shown}',
        path="model",
        code="model_not_found",
    )
