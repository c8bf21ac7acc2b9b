"""The hub: one typed conversation and one stream of events that speak nobody's dialect.

Every protocol parses into these types and renders out of them; a field is here because two protocols
share the idea, and its docstring says what they call it: **C** Chat Completions, **R** Responses,
**A** Anthropic Messages, **G** Gemini. What only one protocol can say is an `Unshared` (request field)
or a `Foreign` (content) with the rule for what happens when it meets another protocol.

Everything is frozen except the two events that arrive by the thousand (`PartDelta`, `Ping`), which are
plain slotted classes because a frozen dataclass costs four times as much to build.
`path` is where a thing stood in the client's request; it takes no part in comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from translators.errors import GatewayError
from translators.losses import Action, Loss
from translators.wire import Json, JsonObject

# ---------------------------------------------------------------------------------------- content


class Role(StrEnum):
    """Who speaks. Tool results are parts of a USER message (A, G); C and R keep them apart."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMark:
    """The prompt prefix ends here for caching. A `cache_control`; C, R `prompt_cache_breakpoint`.

    `ttl` is the client's word (`5m`, `1h`, `30m`, `12h`), None = the protocol's default.
    """

    ttl: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlCitation:
    """A web source of a stretch of text. C, R `url_citation`; A `web_search_result_location`; G grounding.

    `start` and `end` are character offsets into the text part; None = the whole part.
    """

    url: str
    title: str = ""
    start: int | None = None
    end: int | None = None
    cited_text: str | None = None
    opaque: str | None = None
    """A `encrypted_index`: a web citation without it cannot be said in A."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentCitation:
    """A place in a document that the client sent. A `char_location` and kin; R `file_citation`.

    `wire` is the citation as its own protocol (`protocol`) spells it.
    """

    protocol: str
    wire: JsonObject
    title: str = ""
    cited_text: str | None = None


type Citation = UrlCitation | DocumentCitation


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """Bytes in the request: standard base64 with padding."""

    media_type: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """Media by reference (`https://…`, `gs://…`); `media_type` None = not said."""

    url: str
    media_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileId:
    """A file stored at a provider; meaningless anywhere but in `protocol`'s own world."""

    file_id: str
    protocol: str
    media_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainText:
    """A document given as text."""

    text: str
    media_type: str = "text/plain"


type Source = Inline | Url | FileId | PlainText


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Visible text. `citations` only in assistant text.

    `phase` is R's word for what the assistant says it for (`commentary`, `final_answer`).
    """

    text: str
    citations: tuple[Citation, ...] = ()
    phase: str | None = None
    cache: CacheMark | None = None
    path: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The model declined, in words. C `refusal`; R `refusal` part; A, G say it as text."""

    text: str
    path: str = field(default="", compare=False)


class StateKind(StrEnum):
    """Which opaque reasoning state this is; the first half names the protocol that made it."""

    ANTHROPIC_SIGNATURE = "anthropic.signature"
    ANTHROPIC_REDACTED = "anthropic.redacted"
    RESPONSES_ENCRYPTED = "openai_responses.encrypted"
    GEMINI_SIGNATURE = "gemini.signature"
    CHAT_DETAILS = "openai_chat.details"
    """OpenRouter's `reasoning_details`, as compact JSON."""
    CHAT_TEXT = "openai_chat.text"
    """Nothing but the text (`reasoning_content`): only inside an envelope, the value is ""."""
    SUMMARY = "llmgate.summary"
    """The gateway's own: an emulated compaction. No upstream understands it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueState:
    """Reasoning state as its maker wrote it: carried verbatim or dropped, never edited or invented.

    `provider` and `model` say who made it; None = the client sent it bare, its origin is not known.
    """

    kind: StateKind
    value: str
    provider: str | None = None
    model: str | None = None

    @property
    def protocol(self) -> str:
        """The protocol whose upstreams understand the value."""
        return self.kind.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """A stretch of thinking, placed before the text or call that it led to.

    `text` is what may be shown ("" when hidden). A `thinking`, `redacted_thinking`; R `reasoning` item
    (summary parts joined by a blank line); G `thought` parts, the signature being that of the *next*
    part; C de-facto `reasoning_content`. `state` None = nothing to send back.
    """

    text: str = ""
    state: OpaqueState | None = None
    item_id: str | None = None
    path: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture. `detail`: `low`, `medium` (G alone has it), `high`, `original`, None = automatic."""

    source: Source
    detail: str | None = None
    cache: CacheMark | None = None
    path: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A PDF or text document. `title` is A `title`, C and R `filename`, G `displayName`.

    `detail` as of an Image (R, G): how closely its pages are looked at.
    """

    source: Source
    title: str | None = None
    context: str | None = None
    cite: bool = False
    detail: str | None = None
    cache: CacheMark | None = None
    path: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """Sound. C `input_audio`; G `inlineData` `audio/*`; `source.media_type` is `audio/wav` and so on."""

    source: Source
    path: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """Moving pictures: G only. `options` is G's `videoMetadata`."""

    source: Source
    options: JsonObject | None = None
    path: str = field(default="", compare=False)


class ToolRef(NamedTuple):
    """A tool's identity: its name inside its namespace (R `namespace`), None = the top level."""

    name: str
    namespace: str | None = None


class ToolKind(StrEnum):
    """What kind of input a client-run tool takes."""

    FUNCTION = "function"
    CUSTOM = "custom"
    """Freeform: one plain string. C and R `custom`; emulated elsewhere."""
    SEARCH = "search"
    """R `tool_search` run by the client: a JSON object that says which tools are looked for; a function elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """The model asks for a tool. C `tool_calls[]`; R `function_call`, `custom_tool_call`; A `tool_use`; G `functionCall`.

    `arguments` is the exact JSON text that the model produced ("" = none), or for a CUSTOM tool its plain
    input. `complete` False = cut by the output limit.
    """

    call_id: str
    name: str
    arguments: str = ""
    kind: ToolKind = ToolKind.FUNCTION
    namespace: str | None = None
    item_id: str | None = None
    complete: bool = True
    path: str = field(default="", compare=False)

    @property
    def ref(self) -> ToolRef:
        """The tool that is called."""
        return ToolRef(self.name, self.namespace)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """The answer to one call. `content` is () for an empty result; `name` None = look the call up."""

    call_id: str
    content: tuple[Text | Image | Document, ...] = ()
    is_error: bool = False
    name: str | None = None
    namespace: str | None = None
    kind: ToolKind = ToolKind.FUNCTION
    cache: CacheMark | None = None
    path: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSource:
    """One hit of a hosted web search."""

    url: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSearch:
    """A search that the provider ran. R `web_search_call`; A `server_tool_use` + `web_search_tool_result`."""

    call_id: str
    query: str = ""
    sources: tuple[WebSource, ...] = ()
    protocol: str = ""
    wire: tuple[JsonObject, ...] = ()
    path: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRun:
    """Code that the provider ran. R `code_interpreter_call`; A `code_execution`; G `executableCode` + result."""

    call_id: str
    code: str = ""
    language: str = "python"
    output: str = ""
    ok: bool = True
    protocol: str = ""
    wire: tuple[JsonObject, ...] = ()
    path: str = field(default="", compare=False)


class ForeignRule(NamedTuple):
    """What each mode does with content of one protocol only, in a history sent to another protocol.

    `as_text` = where the mode does not reject, the readable text goes along instead of being dropped.
    """

    strict: Action
    balanced: Action
    max_compat: Action
    as_text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Content that one protocol alone can say (portability rules, section 4.2).

    `type` is its wire word, for messages; `readable` its rendering as assistant text (section 4.5).
    """

    protocol: str
    type: str
    wire: JsonObject
    rule: ForeignRule
    readable: str | None = None
    path: str = field(default="", compare=False)


type Part = (
    Text
    | Refusal
    | Reasoning
    | Image
    | Document
    | Audio
    | Video
    | ToolCall
    | ToolResult
    | WebSearch
    | CodeRun
    | Foreign
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn's worth of parts. `name` is C's participant name."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    path: str = field(default="", compare=False)


# ------------------------------------------------------------------------------------------ tools


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionTool:
    """A tool that the client runs, with JSON arguments.

    `schema` None = takes no arguments. `openapi` True = the schema is G's OpenAPI flavour (`parameters`,
    upper-case types, `nullable`) and not JSON Schema. `strict` None = the client did not say.
    `examples` are A's `input_examples`.
    """

    name: str
    description: str | None = None
    schema: JsonObject | None = None
    openapi: bool = False
    strict: bool | None = None
    namespace: str | None = None
    examples: tuple[JsonObject, ...] = ()
    output_schema: JsonObject | None = None
    """What results look like. R `output_schema`; G `responseJsonSchema`."""
    kind: ToolKind = ToolKind.FUNCTION
    """FUNCTION or SEARCH: what a client that knows both calls it."""
    cache: CacheMark | None = None
    path: str = field(default="", compare=False)

    @property
    def ref(self) -> ToolRef:
        """This tool's identity."""
        return ToolRef(self.name, self.namespace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """What a freeform tool's input must match; `syntax` is `lark` or `regex`."""

    syntax: str
    definition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomTool:
    """A freeform tool: its input is one plain string, constrained by `grammar` if there is one (C, R)."""

    name: str
    description: str | None = None
    grammar: Grammar | None = None
    namespace: str | None = None
    path: str = field(default="", compare=False)

    @property
    def ref(self) -> ToolRef:
        """This tool's identity."""
        return ToolRef(self.name, self.namespace)


class HostedKind(StrEnum):
    """A capability that the provider runs itself (portability rules, section 6.3)."""

    WEB_SEARCH = "web_search"
    WEB_FETCH = "web_fetch"
    CODE_EXECUTION = "code_execution"
    FILE_SEARCH = "file_search"
    MCP = "mcp"
    PRIVATE_MCP = "private_mcp"
    """An MCP server that only its own provider can reach (R `connector_id`, `tunnel_id`)."""
    IMAGE_GENERATION = "image_generation"
    TOOL_SEARCH = "tool_search"
    MAPS = "maps"
    PROGRAMMATIC = "programmatic"
    CLIENT_TOOLSET = "client_toolset"
    """Computer, browser, shell, patch, bash, editor, memory: run by the client, schema known to one vendor."""
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """Parameters of a web search. `user_location` is flat: {type, city, country, region, timezone}."""

    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    user_location: JsonObject | None = None
    context_size: str | None = None
    max_uses: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """A remote MCP server that the provider connects to. `authorization` is a bare token."""

    label: str
    url: str
    authorization: str | None = None
    allowed_tools: tuple[str, ...] = ()
    require_approval: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedTool:
    """A tool that the provider runs. `wire` is its declaration in `protocol`'s own words."""

    kind: HostedKind
    protocol: str
    wire: JsonObject
    search: SearchOptions | None = None
    mcp: McpServer | None = None
    path: str = field(default="", compare=False)


type Tool = FunctionTool | CustomTool | HostedTool


class ChoiceMode(StrEnum):
    """How free the model is to call tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    VALIDATED = "validated"
    """Text, or calls that fit their schema: G's mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """Which tools may or must be called; `allowed` () = all of them.

    REQUIRED with one allowed tool = that tool is forced. `hosted` forces a hosted capability (R, A).
    """

    mode: ChoiceMode
    allowed: tuple[ToolRef, ...] = ()
    allowed_hosted: tuple[HostedKind, ...] = ()
    """The hosted tools of a subset (R)."""
    hosted: HostedKind | None = None
    path: str = field(default="", compare=False)


# ---------------------------------------------------------------------------------------- request


class OutputKind(StrEnum):
    """The shape that the answer's text must have."""

    TEXT = "text"
    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFormat:
    """C `response_format`; R `text.format`; A `output_config.format`; G `responseMimeType` + schema."""

    kind: OutputKind
    schema: JsonObject | None = None
    openapi: bool = False
    name: str | None = None
    description: str | None = None
    strict: bool | None = None
    path: str = field(default="", compare=False)


class Level(StrEnum):
    """How much to think (portability rules, section 11); absence is "automatic"."""

    OFF = "off"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningControl:
    """C `reasoning_effort`; R `reasoning`; A `thinking` + `output_config.effort`; G `thinkingConfig`.

    `budget_tokens` is the budget as the client gave it (A, G 2.5), with `level` derived from it; -1 in G is
    level None. `summary` True / False = the client asked for, or declined, readable thinking;
    None = the protocol's default. `adaptive` = A asked for adaptive thinking without a level.
    """

    level: Level | None = None
    budget_tokens: int | None = None
    summary: bool | None = None
    adaptive: bool = False
    path: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Numbers that steer the dice, each None when not given; ranges are those of the client's protocol."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None


NO_SAMPLING: Final = Sampling()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unshared:
    """A request field that only the client's protocol has, with a value that differs from its default."""

    path: str
    loss: Loss
    reason: str = "has no equivalent in the provider's protocol"
    value: Json = field(default=None, compare=False)
    """What it said, for an upstream of the same protocol; None = not to be passed on there either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """How an upstream that stopped in the middle goes on. A `pause_turn`; G `CONTINUATION`.

    The same request goes out again with `wire` added, which is in `protocol`'s own words: the content that has come
    (A), a token (G). `times` is how often at most. `open_text` = the next call goes on in the last text.
    """

    protocol: str
    wire: JsonObject
    times: int
    open_text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request for one answer.

    `messages` starts with the leading system messages, one per source in the client's order. `paths`
    maps the names of the fields below to the client's JSON paths, for errors and degradations
    (`Request.path_of`). `stream_usage` is C's `stream_options.include_usage` (True for the others).
    `logprobs` is None when not asked for, else the number of alternatives (0..20).
    """

    protocol: str
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputFormat | None = None
    reasoning: ReasoningControl | None = None
    sampling: Sampling = NO_SAMPLING
    max_output_tokens: int | None = None
    prewarm: bool = False
    """Read the prompt into the cache and answer nothing. R `prompt_cache_options.prewarm`; A `max_tokens: 0`."""
    stop: tuple[str, ...] = ()
    stream: bool = False
    stream_usage: bool = True
    candidates: int = 1
    logprobs: int | None = None
    verbosity: str | None = None
    end_user: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    service_tier: str | None = None
    store: bool | None = None
    cache_key: str | None = None
    cache_prefix: CacheMark | None = None
    """A top-level `cache_control`: mark the last cacheable block by itself."""
    legacy_functions: bool = False
    """C's deprecated `functions`: the answer goes back as `function_call`."""
    unshared: tuple[Unshared, ...] = ()
    resume: tuple[Resume, ...] = ()
    """What the upstream wants back, in order, to go on with an answer that it began in earlier calls."""
    paths: Mapping[str, str] = field(default_factory=dict, compare=False)

    def path_of(self, name: str) -> str:
        """The client's JSON path of a hub field; the hub name when the client's protocol has none."""
        return self.paths.get(name, name)


# --------------------------------------------------------------------------------------- response


class FinishReason(StrEnum):
    """Why generation stopped. Calls in the answer decide TOOL_CALLS, not the wire word (section 14)."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    CONTEXT_WINDOW = "context_window"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    """The model declined in its own words (C, R `refusal`)."""
    PAUSE = "pause"
    """A `pause_turn`: a hosted-tool loop wants to be continued (`Resume`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts of one answer; None = not reported, never 0.

    `input_tokens` is all input: cached, cache-written and hosted-tool input included (C, R, G count so; A
    excludes both cache counts on the wire). `output_tokens` is all output, reasoning included (G excludes
    thoughts on the wire). The rest are parts of those two.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_long_tokens: int | None = None
    """The part of `cache_write_tokens` that is kept for an hour or more (A `ephemeral_1h`, R `ttl_12h`)."""
    cache_write_longest_tokens: int | None = None
    """The part of that which is kept for half a day (R `ttl_12h`); A has none such."""
    reasoning_tokens: int | None = None
    tool_input_tokens: int | None = None
    """Input produced by hosted tools (G `toolUsePromptTokenCount`)."""
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    input_text_tokens: int | None = None
    output_text_tokens: int | None = None
    web_searches: int | None = None
    """Hosted searches made: a count, not tokens."""


NO_USAGE: Final = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """One output token: its text, natural log probability, UTF-8 bytes, and the alternatives looked at."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A further answer when more than one was asked for (C `choices[1:]`, G `candidates[1:]`)."""

    parts: tuple[Part, ...]
    finish_reason: FinishReason
    explanation: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One whole answer.

    `id` is the upstream's own ("" if it gave none), `created_s` unix seconds or None. `explanation` says
    why a content filter or refusal struck. `stop_sequence` is the text that ended it, if known.
    """

    id: str
    model: str
    parts: tuple[Part, ...]
    finish_reason: FinishReason
    created_s: int | None = None
    stop_sequence: str | None = None
    explanation: str | None = None
    category: str | None = None
    """What kind of refusal it was: A `stop_details.category`."""
    usage: Usage = NO_USAGE
    logprobs: tuple[TokenLogprob, ...] = ()
    service_tier: str | None = None
    alternatives: tuple[Candidate, ...] = ()
    resume: Resume | None = None
    """Set when the answer is not over: what its upstream wants back to go on."""


# ----------------------------------------------------------------------------------------- stream


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStart:
    """The answer begins. `usage` is what the upstream already knows (A: the input counts)."""

    id: str
    model: str
    created_s: int | None = None
    usage: Usage = NO_USAGE
    service_tier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStart:
    """A part opens. `part` is its head: a Text, Refusal or Reasoning with text "", a ToolCall with arguments "".

    Parts that come whole (Image, WebSearch, CodeRun, Foreign, Audio) carry everything here and get no deltas.
    """

    index: int
    part: Part


class PartDelta:
    """More of the open part: text, thinking, refusal text or argument text. Never empty unless `logprobs` is set."""

    __slots__ = ("index", "logprobs", "text")

    def __init__(self, index: int, text: str, logprobs: tuple[TokenLogprob, ...] = ()) -> None:
        self.index = index
        self.text = text
        self.logprobs = logprobs

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, PartDelta)
            and self.index == other.index
            and self.text == other.text
            and self.logprobs == other.logprobs
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PartDelta(index={self.index}, text={self.text!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CitationAdded:
    """A citation of the open text part."""

    index: int
    citation: Citation


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEnd:
    """The open part is complete. `state` is the final opaque state of a Reasoning part.

    `complete` False = a tool call that the output limit cut: its arguments must not be executed.
    """

    index: int
    state: OpaqueState | None = None
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The answer ended by itself. `usage` holds the final counts of the whole answer."""

    reason: FinishReason
    usage: Usage = NO_USAGE
    stop_sequence: str | None = None
    explanation: str | None = None
    category: str | None = None
    """See Response."""
    service_tier: str | None = None
    resume: Resume | None = None
    """See Response."""


@dataclass(frozen=True, slots=True)
class StreamFailed:
    """The stream broke: cut, malformed, or the upstream said so. `usage` is what was seen until then."""

    error: GatewayError
    usage: Usage = NO_USAGE


class Ping:
    """The upstream is alive but has nothing to say."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ping)

    def __hash__(self) -> int:
        return hash(Ping)

    def __repr__(self) -> str:
        return "Ping()"


type AnswerEvent = PartStart | PartDelta | CitationAdded | PartEnd | Finish
"""What one answer of several is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfChoice:
    """An event of a further answer, of several in one stream. C `choices[].index`; G `candidates[].index`.

    `choice` counts from 1; the events of the first answer stand bare. The Finish of a further answer has no usage.
    """

    choice: int
    event: AnswerEvent


type StreamEvent = (
    MessageStart
    | PartStart
    | PartDelta
    | CitationAdded
    | PartEnd
    | OfChoice
    | Finish
    | StreamFailed
    | Ping
)
"""What a decoder yields and an encoder takes.

Invariants (grammar.py walks them): MessageStart comes first and once; one part is open at a time, so a
decoder that sees interleaving holds the later part back; part indexes count 0, 1, 2, …; deltas and
citations name the open part; exactly one terminal event, Finish or StreamFailed, and nothing after it. Further answers (OfChoice) each keep these
rules for themselves, in between, and have finished before Finish comes.
A decoder holds Finish until usage or the end of input is there. An upstream that stops early ends in
StreamFailed with whatever part was open left open.
"""
