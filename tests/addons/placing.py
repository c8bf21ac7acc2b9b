"""Place requests without a proxy: a configuration as YAML, a body, and the candidates that come of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from addons.endpoints import Endpoint
from addons.exchange import Candidate, Exchange, Exchanges, Principal, Try
from addons.picker import Picker
from addons.router import Router
from addons.translate import Translate
from config.loader import loads
from config.models import Config
from translators import PROTOCOLS
from translators.base import Operation
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses
from translators.memory import ReasoningMemory


@dataclass
class Clock:
    """Time that passes only when told to."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class World:
    """One gateway's routing over a configuration, with a clock of its own."""

    config: Config
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.picker = Picker(clock=self.clock, chance=lambda: 0.0)
        self.router = Router(Exchanges(), Translate(ReasoningMemory()), self.picker)

    def exchange(
        self,
        model: str,
        *,
        protocol: str = "openai_chat",
        key: str | None = None,
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> Exchange:
        """A generation that has been read, not placed yet."""
        given = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **body}
        client = next((one for one in self.config.client_keys if one.name == key), None)
        principal = None
        if client is not None:
            principal = Principal(
                name=client.name,
                models=client.models,
                exclude=client.exclude,
                mode=client.compatibility_mode,
                limits=client,
            )
        return Exchange(
            id="req_test",
            config=self.config,
            endpoint=Endpoint(protocol=protocol, operation=Operation.GENERATE),
            translator=PROTOCOLS[protocol],
            created_s=0.0,
            started_s=self.clock(),
            principal=principal,
            headers=headers or {},
            raw=json.dumps(given).encode(),
            body=given,
            model=model,
            stream=given.get("stream") is True,
        )

    def place(self, model: str, **more: Any) -> Exchange:
        """A generation with its candidates."""
        exchange = self.exchange(model, **more)
        self.router.place(exchange)
        return exchange

    def names(self, model: str, **more: Any) -> list[str]:
        """The candidates as `provider/model`, keys of one place told once."""
        return list(dict.fromkeys(map(str, self.place(model, **more).candidates)))

    def attempt(self, exchange: Exchange) -> Try | None:
        """The next attempt, None when nobody is left to ask."""
        candidate = self.picker.next(exchange)
        if candidate is None:
            return None
        one = Try(
            candidate=candidate,
            number=len(exchange.tries) + 1,
            losses=Losses(),
            started_s=self.clock(),
        )
        exchange.current = one
        exchange.tries.append(one)
        return one

    def fail(
        self,
        exchange: Exchange,
        one: Try,
        status: int | None = 500,
        kind: ErrorKind = ErrorKind.SERVER_ERROR,
        retry_after_s: float | None = None,
        message: str = "failed",
    ) -> float | None:
        """The attempt failed: what the picker wants to do about it."""
        one.error = GatewayError(kind, message, upstream_status=status, retry_after_s=retry_after_s)
        self.picker.failed(exchange, one)
        return self.picker.retry_delay(exchange, one)


def world(text: str) -> World:
    """A world over YAML."""
    return World(loads(text))


def key_of(candidate: Candidate) -> str:
    """Provider, model and key, for assertions."""
    return f"{candidate}#{candidate.key.name}"
