"""From the model's name that a client asked for to an ordered list of candidates."""

from __future__ import annotations

from typing import Final

from mitmproxy import http

from addons.admission import refuse
from addons.exchange import Candidate, Exchange, Exchanges
from addons.guard import fail_closed
from config.models import Config
from config.patterns import is_pattern
from config.runtime import Provider
from translators.base import Operation
from translators.errors import ErrorKind, GatewayError
from translators.losses import Mode


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


MAX_ALIAS_DEPTH: Final = 8
MODE_HEADER: Final = "x-llmgate-mode"


def candidates(exchange: Exchange) -> list[Candidate]:
    """The candidates of an exchange, best first; `not_found` names the models that would work."""
    config = exchange.config
    protocol = exchange.endpoint.protocol
    mode = wanted_mode(exchange)
    found = [
        candidate(config, provider, model, protocol, mode)
        for provider, model in targets(config, exchange.model)
    ]
    if not found:
        raise unknown_model(exchange)
    return found


def wanted_mode(exchange: Exchange) -> Mode | None:
    """What the request's header asks for, else the client key, else the model; None = the provider decides."""
    if (asked := exchange.headers.get(MODE_HEADER)) is not None:
        try:
            return Mode(asked.strip().lower())
        except ValueError as error:
            known = ", ".join(Mode)
            raise GatewayError(
                ErrorKind.INVALID_REQUEST,
                f'the header {MODE_HEADER} is "{asked[:50]}"; known modes: {known}',
            ) from error
    if exchange.principal is not None and exchange.principal.mode is not None:
        return exchange.principal.mode
    entry = exchange.config.model_for(exchange.model)
    return entry[1].compatibility_mode if entry is not None else None


def candidate(
    config: Config,
    upstream: Provider,
    model: str,
    client_protocol: str,
    mode: Mode | None = None,
) -> Candidate:
    """One choice, in the client's own protocol where the provider speaks it."""
    return Candidate(
        upstream=upstream,
        endpoint=upstream.endpoint_for(client_protocol, model),
        key=upstream.keys[0],
        model=model,
        wire_model=upstream.wire_model(model),
        mode=mode or upstream.compatibility_mode or config.compatibility_mode,
    )


def targets(config: Config, name: str, depth: int = 0) -> list[tuple[Provider, str]]:
    """Where a model's name leads: alias, `provider/model`, a provider's prefix, the only provider."""
    if entry := config.model_for(name):
        return [
            found
            for choice in entry[1].candidates
            for found in _target(config, choice.target, name, depth)
        ]
    return _direct(config, name)


def _target(config: Config, target: str, asked: str, depth: int) -> list[tuple[Provider, str]]:
    if target in config.models and depth < MAX_ALIAS_DEPTH:
        return targets(config, target, depth + 1)
    provider, slash, model = target.partition("/")
    if slash and provider in config.upstreams:
        return [(config.upstreams[provider], asked if model == "*" else model)]
    return []


def _direct(config: Config, name: str) -> list[tuple[Provider, str]]:
    head, slash, model = name.partition("/")
    if slash and model:
        for upstream in config.upstreams.values():
            if head in (upstream.name, upstream.model_prefix):
                return [(upstream, model)]
    if not config.models and len(config.upstreams) == 1:
        only = next(iter(config.upstreams.values()))
        model = name or only.default_model or ""
        return [(only, model)] if model else []
    return []


def model_names(config: Config) -> list[str]:
    """The names that clients can ask for, patterns left out."""
    names = [
        name for name, entry in config.models.items() if not is_pattern(name) and not entry.hidden
    ]
    for upstream in config.upstreams.values():
        names += [f"{upstream.name}/{model}" for model in upstream.known_models]
    return list(dict.fromkeys(names))


def unknown_model(exchange: Exchange) -> GatewayError:
    """The 404 that says what would work."""
    config = exchange.config
    if not config.upstreams:
        return GatewayError(
            ErrorKind.NOT_FOUND,
            "the gateway has no provider configured; add one under `providers` in llmgate.yaml",
            code="model_not_found",
        )
    principal = exchange.principal
    known = [name for name in model_names(config) if principal is None or principal.may_use(name)]
    shown = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    words = f"known models: {shown}" if known else "ask for provider/model"
    return GatewayError(
        ErrorKind.NOT_FOUND,
        f'the model "{exchange.model[:200]}" is not known here; {words}',
        path="model",
        code="model_not_found",
    )
