"""The interfaces that the four protocol packages implement, and the contexts that they are given.

A translator is pure: no sockets, files, clock, environment or logging; ids, times and keys come in as
arguments, and its input is never modified. So every attempt renders afresh, and failover is safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from translators import ir
from translators.errors import ErrorReply, GatewayError
from translators.losses import Losses
from translators.profile import DEFAULT_PROFILE, ModelProfile
from translators.seal import Seal
from translators.wire import JsonObject


class Operation(StrEnum):
    """What a client asks of an endpoint."""

    GENERATE = "generate"
    COUNT_TOKENS = "count_tokens"
    LIST_MODELS = "list_models"
    GET_MODEL = "get_model"
    COMPACT = "compact"
    """R `POST /responses/compact`."""
    RESPONSE_ITEM = "response_item"
    """R `GET`/`DELETE /responses/{id}`, `/cancel`, `/input_items`."""
    LEGACY_COMPLETION = "legacy_completion"
    """`POST /v1/completions`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the URL and headers said about a request, beside its body.

    `model` and `stream` are set when the path carries them (G), else None. `headers` are the client's, lower
    case, only those that change a body's meaning (`anthropic-version`, `anthropic-beta`).
    """

    model: str | None = None
    stream: bool | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    operation: Operation = Operation.GENERATE
    """A: a body to count needs no `max_tokens`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a request is rendered for: the provider's name, its model, and what that accepts."""

    provider: str
    model: str
    profile: ModelProfile = DEFAULT_PROFILE

    def understands(self, state: ir.OpaqueState, protocol: str) -> bool:
        """Whether reasoning state may be replayed here: same protocol, provider and model.

        State of unknown origin (sent bare by a client of this very protocol) is let through.
        """
        if state.protocol != protocol:
            return False
        if state.provider is None:
            return True
        return state.provider == self.provider and state.model == self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How to read the answer of a rendered request: what rendering did that reading must undo.

    `tools` maps names on the wire to what the client declared. `custom` holds the freeform tools that were
    emulated as functions. `wrapped` = the output schema's root was put under a key
    `value`. `cut_at` are stop sequences that the gateway must apply itself. `single_call` = keep only the first
    call of the answer. `json_object` = the whole text must be one JSON object. Decoders and parsers only use
    `tools`, `profile` and the origin; the rest is undone for all protocols alike by filters.py.
    """

    provider: str
    model: str
    profile: ModelProfile = DEFAULT_PROFILE
    tools: Mapping[str, ir.ToolRef] = field(default_factory=dict)
    custom: frozenset[ir.ToolRef] = frozenset()
    wrapped: bool = False
    cut_at: tuple[str, ...] = ()
    single_call: bool = False
    json_object: bool = False
    forced_format_tool: str | None = None
    """The answer's JSON text is really this tool's arguments (A, forced-as-format)."""
    nulls_added: Mapping[ir.ToolRef | None, JsonObject] = field(default_factory=dict)
    """The client's own schemas of the tools, and under None of the output, whose optional properties went out
    as nullable: nulls that these do not admit are taken out of the answer again."""
    answer_tool: ir.ToolRef | None = None
    """The tool of ours whose arguments are the answer's text, for want of output schemas."""
    stream: bool = False
    choices: int = 1
    """How many answers this one call was asked for."""
    calls: int = 1
    """How many calls the gateway makes for the answers that were asked for, where one call gives one answer."""
    resumable: bool = False
    """The answer may pause and want to be resumed (`ir.Resume`)."""
    once_more: bool = False
    """What the model itself gave up (G) is an error in every mode while the client has nothing of it: the call will
    be made once more."""

    def tool(self, wire_name: str) -> ir.ToolRef:
        """The client's tool behind a name on the wire; a name never declared stands for itself."""
        return self.tools.get(wire_name) or ir.ToolRef(wire_name)

    def state(self, kind: ir.StateKind, value: str) -> ir.OpaqueState:
        """Reasoning state made by this upstream."""
        return ir.OpaqueState(kind=kind, value=value, provider=self.provider, model=self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A request in a protocol's words. `headers` are those that the body needs (`anthropic-version`)."""

    body: JsonObject
    reading: Reading
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """What a passed body must fit: the profile of its upstream.

    `asked` is the body before anybody changed it; `seal` opens what this gateway sealed; `without_state` = the
    provider has refused the reasoning state in it, so that none of that goes.
    """

    profile: ModelProfile
    asked: JsonObject = field(default_factory=dict)
    seal: Seal | None = None
    without_state: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """How to write an answer for a client.

    `request` is what it asked, `raw` its body (R echoes fields of it), `model` the name to show, `now_s` unix
    seconds. `seal` None = no reasoning state may be handed out. `chat_reasoning` = give C clients reasoning
    text in this field (`reasoning_content`), None = drop it.
    """

    request: ir.Request
    model: str
    now_s: int
    raw: JsonObject = field(default_factory=dict)
    seal: Seal | None = None
    chat_reasoning: str | None = None
    input_tokens_estimate: int | None = None
    """A: what `message_start` says when the upstream tells its usage only at the end."""
    stored: bool = False
    """R: the gateway keeps this answer under its id."""
    array_framing: bool = False
    """G: the client did not ask for SSE; the stream is one JSON array."""
    request_id: str | None = None
    """A: named in the error event of a broken stream."""


class StreamDecoder(Protocol):
    """Upstream bytes in, hub events out.

    `feed` takes any piece of the body and never raises: what cannot be read becomes a StreamFailed. `close`
    runs once at the end of input on every path; after it the events are complete and end in exactly one
    terminal event. Nothing comes after a terminal event, whatever is fed.
    """

    def bound(self, max_frame_bytes: int) -> None:
        """Limit how much of one unfinished event is held; beyond it the stream fails."""
        ...

    def feed(self, data: bytes) -> list[ir.StreamEvent]:
        """Events that this piece completes; [] is a normal answer."""
        ...

    def close(self, error: GatewayError | None = None) -> list[ir.StreamEvent]:
        """The end of input; `error` says why if the transport broke. A missing terminal event means cut."""
        ...


class StreamEncoder(Protocol):
    """Hub events in, bytes of the client's stream out; b"" is a normal answer."""

    def encode(self, event: ir.StreamEvent) -> bytes:
        """The frames of one event, framing included.

        Raises GatewayError for a loss that the mode refuses; only a StreamFailed of that error may follow.
        """
        ...

    def ping(self) -> bytes:
        """A heartbeat that this client tolerates, b"" where none is safe now."""
        ...


class StreamObserver(Protocol):
    """Watch a passed-through stream without changing it: usage, and whether it ended properly."""

    def bound(self, max_frame_bytes: int) -> None:
        """Limit how much of one unfinished event is held."""
        ...

    @property
    def error(self) -> GatewayError | None:
        """An event outgrew that limit: nothing more can be told of this stream."""
        ...

    def feed(self, data: bytes) -> None:
        """Look at a piece of the body; never raises."""
        ...

    @property
    def usage(self) -> ir.Usage:
        """The counts seen so far."""
        ...

    @property
    def finish_reason(self) -> ir.FinishReason | None:
        """Why it ended, None before the end."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the protocol's terminal event (or its error event) went by."""
        ...

    def failure(self, error: GatewayError) -> bytes:
        """The error event that fits what went by; b"" = what `render_stream_error` makes will do."""
        ...


class Translator(Protocol):
    """One protocol: six conversions, errors, paths. Implemented by each package's `TRANSLATOR`."""

    @property
    def name(self) -> str:
        """`openai_chat`, `openai_responses`, `anthropic` or `gemini`."""
        ...

    def parse_request(self, body: JsonObject, call: Call, seal: Seal | None) -> ir.Request:
        """Read a client's request; `GatewayError` carries the JSON path of the first field refused."""
        ...

    def render_request(self, request: ir.Request, target: Target, losses: Losses) -> Rendered:
        """Write the request for an upstream of this protocol; losses are refused or recorded."""
        ...

    def fit(self, body: JsonObject, fitting: Fitting, losses: Losses) -> JsonObject:
        """A body that passes without the hub, without what this very upstream refuses.

        The very same object when nothing has to change, as it is for nearly all. What is taken away is recorded.
        """
        ...

    def parse_response(self, body: JsonObject, reading: Reading, losses: Losses) -> ir.Response:
        """Read an upstream's whole answer."""
        ...

    def render_response(
        self, response: ir.Response, writing: Writing, losses: Losses
    ) -> JsonObject:
        """Write a whole answer for a client of this protocol."""
        ...

    def decoder(self, reading: Reading, losses: Losses) -> StreamDecoder:
        """A machine that reads one streamed answer of an upstream."""
        ...

    def encoder(self, writing: Writing, losses: Losses) -> StreamEncoder:
        """A machine that writes one streamed answer for a client."""
        ...

    def observer(self) -> StreamObserver:
        """A machine that watches one passed-through stream."""
        ...

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """Read an upstream's error answer; never raises, whatever the body is. Header names are lower case."""
        ...

    def render_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        """Write an error for a client of this protocol."""
        ...

    def render_stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """The bytes that end a client's stream in failure when no encoder is at work (passthrough)."""
        ...

    def upstream_path(self, operation: Operation, model: str, stream: bool) -> str:
        """Path and query below the provider's base URL (which ends in the version, `…/v1`)."""
        ...

    def usage(self, body: JsonObject) -> ir.Usage:
        """The counts in a whole answer of this protocol."""
        ...
