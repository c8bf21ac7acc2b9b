"""What the gateway answers by itself: health, model lists, clients' probes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs

from mitmproxy import http

from addons.admission import refuse
from addons.answers import json_response, make_response
from addons.endpoints import Page as LocalPage
from addons.exchange import Exchange, Exchanges
from addons.guard import fail_closed
from addons.picker import Picker
from addons.router import is_resting, model_names, targets, unknown_model
from addons.snapshot import ConfigHolder
from config.models import Config
from translators.anthropic import models as anthropic_models
from translators.base import Operation
from translators.catalogue import ModelCard, Page
from translators.errors import GatewayError
from translators.gemini import models as gemini_models
from translators.ir import HostedKind
from translators.openai_chat import models as openai_models
from translators.openai_responses import models as codex_models
from translators.wire import JsonObject

RESTING: Final = "(unavailable now)"
VERSION: Final = "0.1.0"
_CODEX: Final = re.compile(r"codex", re.IGNORECASE)

LISTS: Final[Mapping[str, Callable[..., JsonObject]]] = {
    "openai_chat": openai_models.render_models,
    "openai_responses": openai_models.render_models,
    "anthropic": anthropic_models.render_models,
    "gemini": gemini_models.render_models,
}
MODELS: Final[Mapping[str, Callable[[ModelCard], JsonObject]]] = {
    "openai_chat": openai_models.render_model,
    "openai_responses": openai_models.render_model,
    "anthropic": anthropic_models.render_model,
    "gemini": gemini_models.render_model,
}


class LocalPages:
    """Answer pages and model lists; touches nothing else."""

    def __init__(self, exchanges: Exchanges, configs: ConfigHolder, picker: Picker) -> None:
        self._exchanges = exchanges
        self._configs = configs
        self._picker = picker

    @fail_closed
    def request(self, flow: http.HTTPFlow) -> None:
        """Answer if the request is for us."""
        exchange = self._exchanges.get(flow)
        if exchange is None:
            return
        endpoint, method = exchange.endpoint, flow.request.method
        match endpoint.page or endpoint.operation:
            case LocalPage.ROOT:
                flow.response = json_response({"llmgate": VERSION}, method=method)
            case LocalPage.HEALTH | LocalPage.READY:
                flow.response = self._health(endpoint.page is LocalPage.READY, method)
            case LocalPage.CLIENT_NOISE:
                flow.response = make_response(200, b"{}", {"content-type": "application/json"})
            case Operation.LIST_MODELS | Operation.GET_MODEL:
                flow.response = json_response(
                    self._models(exchange, flow.request.path), method=method
                )
            case _:
                pass

    def _health(self, ready: bool, method: str) -> http.Response:
        """`status` is `ok`, or `degraded` when the newest configuration was refused."""
        config, problem = self._configs.current, self._configs.problem
        payload: JsonObject = {
            "status": "ok" if problem is None else "degraded",
            "version": VERSION,
            "providers": len(config.providers),
            "active": sum(1 for exchange in self._exchanges if not exchange.settled),
        }
        if problem is not None:
            payload["config_error"] = problem
        status = 503 if ready and not config.providers else 200
        return json_response(payload, status, method=method)

    def _models(self, exchange: Exchange, path: str) -> JsonObject:
        query = parse_qs(path.partition("?")[2])
        protocol = exchange.translator.name
        config, one = exchange.config, exchange.endpoint.operation is Operation.GET_MODEL
        if one:
            exchange.model = (exchange.endpoint.model or "").removeprefix("models/")
            card = asked_card(config, exchange.model)
            cards = [] if card is None else [card]
        else:
            cards = model_cards(config)
        principal = exchange.principal
        cards = [card for card in cards if principal is None or principal.may_use(card.id)]
        cards = self._usable(config, cards)
        if one and not cards:
            raise unknown_model(exchange)
        listing = MODELS[protocol](cards[0]) if one else LISTS[protocol](cards, _page(query))
        if is_codex(exchange.headers, query):
            listing |= codex_models.render_catalogue(cards)
        return listing

    def _usable(self, config: Config, cards: list[ModelCard]) -> list[ModelCard]:
        """Models whose every key rests are marked or left out, as configured."""
        wanted = config.models_list.unusable
        if wanted == "show" or not self._picker.cooldowns.status():
            return cards
        resting = {card.id for card in cards if is_resting(self._picker, config, card.id)}
        if wanted == "hide":
            return [card for card in cards if card.id not in resting]
        return [
            replace(
                card,
                display_name=f"{card.display_name or card.id} {RESTING}",
                description=f"{card.description} {RESTING}".strip(),
            )
            if card.id in resting
            else card
            for card in cards
        ]

    def refuse(self, flow: http.HTTPFlow, error: GatewayError) -> None:
        """Answer with an error."""
        refuse(self._exchanges, flow, error)


def is_codex(headers: Mapping[str, str], query: Mapping[str, list[str]]) -> bool:
    """Whether the caller reads Codex's catalogue: it says its version, or names itself."""
    return "client_version" in query or _CODEX.search(headers.get("user-agent", "")) is not None


def _page(query: Mapping[str, list[str]]) -> Page:
    def first(*names: str) -> str | None:
        return next((query[name][0] for name in names if query.get(name)), None)

    limit = first("limit", "pageSize", "page_size") or ""
    return Page(
        limit=min(max(int(limit), 1), 1000) if limit.isascii() and limit.isdigit() else 1000,
        after=first("after_id", "pageToken", "page_token"),
        before=first("before_id"),
    )


def model_cards(config: Config) -> list[ModelCard]:
    """Everything that clients can ask for by name, with the limits of the first place that it leads to."""
    cards = (model_card(config, name) for name in model_names(config))
    return [card for card in cards if card is not None]


def asked_card(config: Config, name: str) -> ModelCard | None:
    """The card of a name that is listed, fits a pattern, or says its provider; not of any name at all."""
    return model_card(config, name) if "/" in name or config.model_for(name) else None


def model_card(config: Config, name: str) -> ModelCard | None:
    """What is known of one name, listed or not (`provider/model`); None when it leads nowhere."""
    found = targets(config, name)
    if not found:
        return None
    upstream, model = found[0]
    info = upstream.model_info(model)
    entry = config.model_for(name)
    profile = config.resolve_profile(upstream.name, model)
    return ModelCard(
        id=name,
        owned_by=upstream.name,
        display_name=info.display_name,
        description=entry[1].description if entry else "",
        context_window=(entry[1].context_window if entry else None) or info.context_window,
        max_output_tokens=(entry[1].max_output_tokens if entry else None) or info.max_output_tokens,
        images=bool(profile.image_types),
        documents=profile.documents,
        parallel_calls=profile.parallel_calls,
        reasoning_levels=profile.reasoning_levels,
        custom_tools=profile.custom_tools,
        web_search=HostedKind.WEB_SEARCH in profile.hosted_tools,
    )
