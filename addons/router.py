"""Place a request: the plan for its model, ordered by strategy, budget and session, as candidates.

What may come first is decided in routing.py, strategies.py and affinity.py; here they meet an exchange.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from mitmproxy import http

from addons.admission import refuse
from addons.affinity import session_of
from addons.asked import Asked
from addons.exchange import Candidate, Exchange, Exchanges
from addons.guard import fail_closed
from addons.picker import Picker, where
from addons.routing import Place, Plan, plan, resolve
from addons.strategies import Choice, cheapest_first
from addons.translate import Translate
from config.models import Config
from config.patterns import is_pattern
from config.prices import cost_usd
from config.providers import AuthStyle
from config.runtime import Provider
from translators.base import Operation
from translators.errors import ErrorKind, GatewayError
from translators.ir import ReasoningControl, Usage
from translators.losses import Mode

MODE_HEADER: Final = "x-llmgate-mode"
USUAL_OUTPUT_TOKENS: Final = 1000
BYTES_PER_TOKEN: Final = 4
"""For comparing prices only: what is compared is the same request everywhere."""


ROUTED: Final = frozenset(
    {
        Operation.GENERATE,
        Operation.COUNT_TOKENS,
        Operation.COMPACT,
        Operation.LEGACY_COMPLETION,
    }
)
"""Operations that name a model."""


class Router:
    """Fill `candidates` of an exchange that goes upstream."""

    def __init__(self, exchanges: Exchanges, translate: Translate, picker: Picker) -> None:
        self._exchanges = exchanges
        self._translate = translate
        self._picker = picker

    @fail_closed
    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Resolve the model of a generation; wait a little where everything rests but not for long."""
        exchange = self._exchanges.get(flow)
        if exchange is None or exchange.endpoint.operation not in ROUTED:
            return None
        self.place(exchange)
        seconds = self._picker.wait_s(exchange)
        return asyncio.sleep(seconds) if seconds > 0 else None

    def place(self, exchange: Exchange) -> None:
        """Give an exchange its candidates, best first."""
        asked = self._asked(exchange)
        found = plan(exchange.config, asked) if not exchange.use else chosen(exchange, asked)
        permit(exchange, found)
        exchange.route = found.route
        choices = self._picker.strategies.order(
            found, lambda place: _cost(exchange.config, place, len(exchange.raw))
        )
        if exchange.force_cheapest:
            choices = cheapest_first(
                choices, lambda place: _cost(exchange.config, place, len(exchange.raw))
            )
        mode = wanted_mode(exchange) or found.mode
        exchange.candidates = _usable(
            exchange, [_candidate(exchange, found, choice, mode, asked) for choice in choices]
        )
        if len(exchange.candidates) > 1:
            self._follow_session(exchange, asked)

    def _asked(self, exchange: Exchange) -> Asked:
        return Asked(
            model=exchange.model,
            client_protocol=exchange.endpoint.protocol,
            hub=lambda: self._translate.hub_request(exchange),
            raw=exchange.raw,
            headers=exchange.headers,
            client_key=exchange.principal.name if exchange.principal is not None else "",
            stream=exchange.stream,
        )

    def _follow_session(self, exchange: Exchange, asked: Asked) -> None:
        settings = exchange.config.affinity
        exchange.session = session_of(
            settings, exchange.headers, exchange.body, exchange.tenant, lambda: asked.hub
        )
        if exchange.session is None:
            return
        last = self._picker.sessions.where(exchange.session, exchange.model, settings)
        if last is not None:
            exchange.candidates.sort(key=lambda candidate: where(candidate) != last)

    def refuse(self, flow: http.HTTPFlow, error: GatewayError) -> None:
        """Answer with an error."""
        refuse(self._exchanges, flow, error)


def chosen(exchange: Exchange, asked: Asked) -> Plan:
    """Where a script sends a request; as under a rule, the client's key must be good for the name that it asked for."""
    asked.model = exchange.use
    found = plan(exchange.config, asked, rules=False)
    if not found.places:
        raise GatewayError(
            ErrorKind.MISCONFIGURED,
            f'a script chose the model "{exchange.use}", which is not known',
        )
    return replace(found, name=exchange.model, route="script")


def permit(exchange: Exchange, found: Plan) -> None:
    """404 for a model that nobody knows, 403 for one that this client key may not ask for."""
    if not found.places:
        raise unknown_model(exchange)
    principal = exchange.principal
    name = found.name or found.places[0].model
    if principal is not None and not principal.may_use(name):
        raise GatewayError(
            ErrorKind.PERMISSION,
            f'the key "{principal.name}" may not use the model "{name[:200]}"',
            path="model",
            code="model_not_allowed",
        )


def _usable(exchange: Exchange, candidates: list[Candidate]) -> list[Candidate]:
    """Each candidate once, without those that want a key of the client's own which it has not sent."""
    unique = list({(*where(one), one.wire_model): one for one in candidates}.values())
    if exchange.own_credential is not None:
        return unique
    usable = [one for one in unique if one.endpoint.auth is not AuthStyle.CLIENT]
    if unique and not usable:
        raise GatewayError(
            ErrorKind.AUTHENTICATION,
            f"the provider {unique[0].provider} takes your own key: send the gateway's key as "
            "x-llmgate-key, and yours where it usually stands",
        )
    return usable


def _candidate(
    exchange: Exchange, found: Plan, choice: Choice, mode: Mode | None, asked: Asked
) -> Candidate:
    """One choice, in the client's own protocol where the provider speaks it."""
    place, key = choice
    upstream, model = place.provider, place.model
    return Candidate(
        upstream=upstream,
        endpoint=upstream.endpoint_for(exchange.endpoint.protocol, model),
        key=key,
        model=model,
        wire_model=upstream.wire_model(model),
        mode=mode or upstream.compatibility_mode or exchange.config.compatibility_mode,
        reasoning=_reasoning(found, place, asked),
    )


def _reasoning(found: Plan, place: Place, asked: Asked) -> ReasoningControl | None:
    control = found.reasoning or place.reasoning
    if control is None and found.usual_reasoning is not None and asked.hub.reasoning is None:
        control = ReasoningControl(level=found.usual_reasoning)
    return control


def _cost(config: Config, place: Place, size_bytes: int) -> Decimal | None:
    """About what a request would cost there, to compare; None = not known."""
    name, model = place.provider.name, place.model
    prices = config.prices(name, model) or config.prices(name, place.provider.wire_model(model))
    usage = Usage(input_tokens=size_bytes // BYTES_PER_TOKEN, output_tokens=USUAL_OUTPUT_TOKENS)
    return cost_usd(usage, prices)


def wanted_mode(exchange: Exchange) -> Mode | None:
    """What the request's header asks for, else the client key; None = route, model or provider decide."""
    if (asked := exchange.headers.get(MODE_HEADER)) is not None:
        try:
            return Mode(asked.strip().lower())
        except ValueError as error:
            known = ", ".join(Mode)
            raise GatewayError(
                ErrorKind.INVALID_REQUEST,
                f'the header {MODE_HEADER} is "{asked[:50]}"; known modes: {known}',
            ) from error
    return exchange.principal.mode if exchange.principal is not None else None


def targets(config: Config, name: str) -> list[tuple[Provider, str]]:
    """Where a model's name leads, rules aside: provider and model, best first."""
    return [
        (place.provider, place.model)
        for place in resolve(config, name).places
        if not place.is_fallback
    ]


def is_resting(picker: Picker, config: Config, name: str) -> bool:
    """Whether every place and key that serves a model rests now: asking for it would be refused."""
    choices = [
        Candidate(
            upstream=place.provider,
            endpoint=place.provider.primary,
            key=key,
            model=place.model,
            wire_model=place.model,
        )
        for place in resolve(config, name).places
        for key in place.keys
    ]
    rests = picker.cooldowns.rest_s
    return bool(choices) and all(rests(one, config.cooldowns) > 0 for one in choices)


def model_names(config: Config) -> list[str]:
    """The names that clients can ask for, patterns left out unless the configuration lists them."""
    listed = config.models_list
    names = [
        name
        for name, entry in config.models.items()
        if not entry.hidden and (listed.patterns or not is_pattern(name))
    ]
    if listed.providers:
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
    if not known and (principal is None or principal.models == ("*",)):
        words += f" (providers: {', '.join(list(config.upstreams)[:20])})"
    asked = f'the model "{exchange.model[:200]}" is not known here'
    return GatewayError(
        ErrorKind.NOT_FOUND,
        f"{asked if exchange.model else 'the request names no model'}; {words}",
        path="model",
        code="model_not_found",
    )
