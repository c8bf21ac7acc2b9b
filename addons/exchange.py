"""The typed state of one request, from its first header to its log record.

State lives here and in a weak map from the flow, never in `flow.metadata`: that is saved with the flow, so a
dataclass there breaks `-w`, and a secret there reaches the disk.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from mitmproxy import http

from config.patterns import matches_any
from translators import ir
from translators.base import Reading, Translator
from translators.errors import GatewayError
from translators.losses import Degradation, Losses, Mode
from translators.wire import JsonObject

if TYPE_CHECKING:
    from addons.endpoints import Endpoint
    from addons.recorder import Recorder
    from addons.relay import Relay
    from config.models import Config
    from config.routing import ClientKey
    from config.runtime import Endpoint as UpstreamEndpoint
    from config.runtime import Provider, ProviderKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The authenticated client. `name` is the key's name in the configuration, never the key."""

    name: str
    models: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    mode: Mode | None = None
    """The key's own compatibility mode."""
    limits: ClientKey | None = None
    """Its entry in the configuration; None = the generated key, which only the general limits bind."""

    def may_use(self, model: str) -> bool:
        """Whether it may ask for a model of this name."""
        return matches_any(self.models, model) and not matches_any(self.exclude, model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One choice for a request: a provider, one of its models, one of its keys, in one protocol.

    `model` is the name in the configuration, `wire_model` the one that the provider knows.
    """

    upstream: Provider
    endpoint: UpstreamEndpoint
    key: ProviderKey
    model: str
    wire_model: str
    mode: Mode = Mode.MAX_COMPAT
    reasoning: ir.ReasoningControl | None = None
    """How much to think, whatever the client asked; None = as it asked."""

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self.upstream.name

    @property
    def protocol(self) -> str:
        """The protocol that it is asked in."""
        return self.endpoint.protocol

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(slots=True, kw_only=True)
class Try:
    """One attempt of an exchange at one candidate, as the addons see it."""

    candidate: Candidate
    number: int
    losses: Losses
    reading: Reading | None = None
    """None = the bytes pass, the hub is not involved."""
    relay: Relay | None = None
    trail: object = None
    """What the relay's sink collected."""
    unary_in: bytearray = field(default_factory=bytearray)
    stream: bool = False
    """Whether the upstream was asked to stream."""
    body: bytes = b""
    error: GatewayError | None = None
    unary: bytes | None = None
    """The translated whole answer, once it is there."""
    response: ir.Response | None = None
    usage: ir.Usage = ir.NO_USAGE
    finish_reason: ir.FinishReason | None = None
    cause: str = ""
    """Why it failed, in the engine's word."""
    started_s: float = 0.0
    ended_s: float | None = None


@dataclass(slots=True, kw_only=True, weakref_slot=True)
class Exchange:
    """One request and its answer. Times are `time.monotonic()` seconds, `created_s` is unix time."""

    id: str
    config: Config
    endpoint: Endpoint
    translator: Translator
    created_s: float
    started_s: float
    principal: Principal | None = None
    own_credential: str | None = field(default=None, repr=False)
    """The client's own key for the provider, sent beside `x-llmgate-key`: only for `auth: client`."""
    headers: dict[str, str] = field(default_factory=dict)
    """The client's headers, lower case, credentials removed."""
    raw: bytes = b""
    body: JsonObject = field(default_factory=dict)
    asked: JsonObject | None = None
    """The client's own body where `body` is no longer that: earlier items were put in. None = it still is."""
    recorder: Recorder | None = None
    """Keeps the answer for a client that may come back to it."""
    model: str = ""
    """The name that the client asked for."""
    stream: bool = False
    hub: ir.Request | None = None
    hub_edited: bool = False
    """A script replaced the hub request: even the same protocol must be rendered."""
    input_estimate: int | None = None
    """Input tokens, counted locally, where a client wants them before the upstream tells."""
    keep_answer: bool = False
    """Someone wants the whole hub answer of a stream at its end."""
    array_framing: bool = False
    """Gemini: a stream as one JSON array."""
    admin_key: str | None = field(default=None, repr=False)
    """What an operator presented; set for admin pages only."""
    place: str | None = None
    """Whose place it takes while it is served, None = it has none."""
    session: str | None = None
    """What its session is recognised by, hashed; None = not recognised, or nobody needed to know."""
    insists: bool = False
    """When all candidates rest, the nearest one is tried all the same, once."""
    force_cheapest: bool = False
    """Its budget is used up: the cheapest candidates come first."""
    route: str = ""
    """The route rule that placed it, "" = none."""
    candidates: list[Candidate] = field(default_factory=list)
    cursor: int = 0
    """How many candidates have been taken."""
    rounds: int = 0
    """How often all candidates have been gone through again."""
    tries: list[Try] = field(default_factory=list)
    current: Try | None = None
    promised: bool = False
    """The head of a streamed answer went out before any upstream had answered."""
    answered_s: float | None = None
    """When the first byte for the client was ready."""
    status: int | None = None
    usage: ir.Usage = ir.NO_USAGE
    finish_reason: ir.FinishReason | None = None
    error: GatewayError | None = None
    cost_usd: Decimal | None = None
    cancelled: bool = False
    settled: bool = False

    @property
    def degradations(self) -> tuple[Degradation, ...]:
        """What the answering try gave up."""
        return self.current.losses.degradations if self.current is not None else ()


class Exchanges:
    """Weak map flow -> Exchange: an exchange lives as long as its flow does."""

    def __init__(self) -> None:
        self._by_flow: WeakKeyDictionary[http.HTTPFlow, Exchange] = WeakKeyDictionary()

    def add(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Attach an exchange to its flow."""
        self._by_flow[flow] = exchange

    def get(self, flow: http.HTTPFlow) -> Exchange | None:
        """The exchange of a flow; None for flows that are not ours (attempt records, local pages)."""
        return self._by_flow.get(flow)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(tuple(self._by_flow.values()))

    def __len__(self) -> int:
        return len(self._by_flow)


def new_request_id() -> str:
    """An id for logs and errors: `req_` and 24 hex digits."""
    return "req_" + secrets.token_hex(12)


def now_s() -> float:
    """Monotonic seconds; one place, so that tests can replace it."""
    return time.monotonic()
