"""The typed state of one request, from its first header to its log record.

State lives here and in a weak map from the flow, never in `flow.metadata`: that is saved with the flow, so a
dataclass there breaks `-w`, and a secret there reaches the disk.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
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
    from addons.legs import Legs
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


@dataclass(slots=True, kw_only=True, weakref_slot=True)
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
    """One request and its answer. Times are `time.monotonic()` seconds, `created_s` is unix time.

    Scripts (docs/scripting.md) may rely on: `id`, `model`, `stream`, `headers`, `principal`, `operation`,
    `client_protocol`, `request`, `use`, `use_hub()`, `reply()`, `answer`, `candidate`, `usage`, `finish_reason`,
    `degradations`. The rest is the gateway's own and may change.
    """

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
    """A script replaced the hub request, or asked for the hub: even the same protocol must be rendered."""
    reader: Callable[[Exchange], ir.Request] | None = field(default=None, repr=False)
    """Parses the request when a script asks for it."""
    use: str = ""
    """The model that a script chose, by any name that a client could ask for; "" = as the client asked."""
    answer: ir.Response | None = None
    """The whole answer: what a script replied, or what `llm_response` sees and may replace."""
    input_estimate: int | None = None
    """Input tokens, counted locally, where a client wants them before the upstream tells."""
    array_framing: bool = False
    """Gemini: a stream as one JSON array."""
    presented_key: str | None = field(default=None, repr=False)
    """What an upgrade was admitted by; the turns of its socket are admitted by it again."""
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
    without_state: bool = False
    """A provider refused the reasoning state of the request: it is asked again without."""
    rounds: int = 0
    """How often all candidates have been gone through again."""
    tries: list[Try] = field(default_factory=list)
    current: Try | None = None
    legs: Legs | None = None
    """What earlier calls brought of an answer that takes several; None = one call is enough so far."""
    promised: bool = False
    """The head of a streamed answer is out, and the upstream that is asked now has not answered yet."""
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
    def operation(self) -> str:
        """What is asked for: `generate`, `count_tokens`, `compact` or `legacy_completion`; "" for a local page."""
        operation = self.endpoint.operation
        return operation.value if operation is not None else ""

    @property
    def tenant(self) -> str:
        """Whom things that are kept belong to: a namespace and the client key in it. Keys of two may share a name."""
        name = self.principal.name if self.principal is not None else ""
        return f"{self.endpoint.namespace or ''}/{name}"

    @property
    def client_protocol(self) -> str:
        """`openai_chat`, `openai_responses`, `anthropic` or `gemini`."""
        return self.endpoint.protocol

    @property
    def candidate(self) -> Candidate | None:
        """Who answers: `provider`, `model`, `protocol`; None before the first attempt."""
        return self.current.candidate if self.current is not None else None

    @property
    def request(self) -> ir.Request:
        """The request in the hub, parsed when first asked for; in `llm_request` a changed copy may be assigned.

        Raises the GatewayError that tells a client what is wrong with its request.
        """
        if self.reader is None:
            if self.hub is None:
                raise RuntimeError("the request is there from llm_request on")
            return self.hub
        return self.reader(self)

    @request.setter
    def request(self, request: ir.Request) -> None:
        if self.tries or self.candidates:
            raise RuntimeError("the request can be changed in llm_request only")
        before = self.request
        if (request.model, request.stream) != (before.model, before.stream):
            raise ValueError("model and stream of a request stay; choose a model with exchange.use")
        self.hub = request
        self.hub_edited = True

    def use_hub(self) -> None:
        """Translate this exchange even where both sides speak the same protocol, so that its events can be changed."""
        self.hub_edited = True

    def reply(self, answer: ir.Response | str) -> None:
        """Answer in `llm_request`, without any provider: with a text, or with a whole answer."""
        if self.operation == "count_tokens":
            raise ValueError("a count of tokens cannot be answered with a message")
        if isinstance(answer, str):
            parts = (ir.Text(text=answer),)
            reason = ir.FinishReason.STOP
            answer = ir.Response(id=self.id, model=self.model, parts=parts, finish_reason=reason)
        self.answer = answer

    @property
    def degradations(self) -> tuple[Degradation, ...]:
        """What the answering try gave up."""
        return self.current.losses.degradations if self.current is not None else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """A request that came over a socket of ours, which has no headers of its own."""

    key: str | None = field(repr=False)
    own_credential: str | None = field(repr=False)
    asked: JsonObject | None
    """See Exchange."""


class Exchanges:
    """Weak map flow -> Exchange: an exchange lives as long as its flow does."""

    def __init__(self) -> None:
        self._by_flow: WeakKeyDictionary[http.HTTPFlow, Exchange] = WeakKeyDictionary()
        self._introduced: WeakKeyDictionary[http.HTTPFlow, Introduction] = WeakKeyDictionary()

    def add(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Attach an exchange to its flow."""
        self._by_flow[flow] = exchange

    def get(self, flow: http.HTTPFlow) -> Exchange | None:
        """The exchange of a flow; None for flows that are not ours (attempt records, local pages)."""
        return self._by_flow.get(flow)

    def introduce(self, flow: http.HTTPFlow, introduction: Introduction) -> None:
        """Vouch for a flow that no addon has seen yet."""
        self._introduced[flow] = introduction

    def introduction(self, flow: http.HTTPFlow) -> Introduction | None:
        """Who vouched for a flow, once."""
        return self._introduced.pop(flow, None) if self._introduced else None

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
