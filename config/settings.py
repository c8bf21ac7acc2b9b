"""The general sections: times, limits, retries, headers, privacy and the rest of what is not routing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from config.routing import BudgetAction
from config.secrets import SecretValue
from config.section import (
    Count,
    FilePath,
    Positive,
    ProtocolName,
    Seconds,
    Section,
    Strings,
    Usd,
)
from config.status_policy import DEFAULT_CAP_S, DEFAULT_RULES, StatusRule

KIB = 1024
MIB = 1024 * KIB


class Timeouts(Section):
    """How long to wait for an upstream. Seconds."""

    connect_s: Seconds = 10.0
    """For a connection, TLS included."""
    first_byte_s: Seconds = 600.0
    """From the request's last byte to the answer's first content, or to the end of one that is not streamed;
    thinking models are silent for minutes."""
    idle_s: Seconds = 300.0
    """Between two pieces of an answer."""
    total_s: Seconds | None = None
    """For a whole answer that is not streamed; absent = no limit. Streams have `stream_s`."""
    stream_s: Seconds | None = None
    """For a whole streamed answer; absent = it may go on as long as no pause exceeds `idle_s`."""
    ping_interval_s: Seconds = 10.0
    """Silence after which a streaming client gets a heartbeat; 0 = never."""
    early_start_s: Seconds | None = None
    """Silence after which a streaming client's answer starts, so that heartbeats can flow although no
    upstream has answered yet; from then on failures end in the stream. Absent = `retry.peek_s`."""
    shutdown_s: Seconds = 30.0
    """How long running answers may go on when the gateway stops; then they end in their protocol's error."""


class Backoff(Section):
    """Pauses between tries of the same candidate: doubled each time, with some randomness."""

    first_s: Seconds = 1.0
    """The first pause."""
    max_s: Seconds = 30.0
    """The longest pause."""
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Share of each pause that is random."""


class Retry(Section):
    """How much to try before a client hears of a failure."""

    max_attempts: Positive = 6
    """Attempts of one request, over all candidates."""
    max_time_s: Seconds = 120.0
    """No new attempt starts this long after the request came."""
    per_candidate: Count = 1
    """Further tries of the same candidate where the status table says `retry`, or none other is left."""
    max_wait_s: Seconds = 30.0
    """When everything cools down: wait for the nearest end if it is at most this far away, else 429."""
    backoff: Backoff = Backoff()
    """Pauses between tries of the same candidate."""
    peek_s: Seconds = 15.0
    """How long the first event of a stream is awaited, to see an error inside a 200, before committing."""
    peek_bytes: Positive = 16 * KIB
    """How much of a stream is held back for that at most."""


class Limits(Section):
    """Sizes and numbers."""

    max_request_bytes: Positive = 100 * MIB
    """A client's body, decompressed."""
    max_response_bytes: Positive = 64 * MIB
    """An upstream's answer that is not streamed."""
    max_error_bytes: Positive = 64 * KIB
    """An upstream's error body; the rest is not read."""
    max_frame_bytes: Positive = 16 * MIB
    """One event of an upstream's stream."""
    max_events: Positive = 1_000_000
    """Events of one stream."""
    max_concurrent: Positive | None = None
    """Requests at the same time; absent = no limit."""
    max_concurrent_per_key: Positive | None = None
    """Requests of one client key at the same time; absent = no limit."""
    queue_s: Seconds = 30.0
    """How long a request waits for a free place before it is refused."""
    requests_per_minute_per_ip: Positive | None = None
    """Requests from one address; absent = no limit."""


class Cooldowns(Section):
    """When a failing key, model or provider rests, and when it is tried again."""

    enabled: bool = True
    """False = nothing ever rests."""
    cap_s: Seconds = DEFAULT_CAP_S
    """Nothing rests longer than this, whatever table or upstream say."""
    rules: tuple[StatusRule, ...] = ()
    """Rules before the built-in table."""
    table: tuple[StatusRule, ...] = DEFAULT_RULES
    """The built-in table; giving it here replaces it as a whole."""
    threshold: Positive = 1
    """Failures in a row before a key rests."""
    half_open: bool = True
    """After a rest one request is let through; only its success ends the rest for the others."""
    recheck_s: Seconds | None = None
    """How often a resting key is tried before its time with a request that has no other candidate; absent = never."""
    persist: bool = True
    """Keep the state over restarts."""


class Budgets(Section):
    """What all clients together may use; each client key can have limits of its own."""

    usd_per_day: Usd | None = None
    """Absent = no limit."""
    tokens_per_minute: Positive | None = None
    """Input and output together; absent = no limit."""
    requests_per_minute: Positive | None = None
    """Absent = no limit."""
    action: BudgetAction = BudgetAction.BLOCK
    """What happens when money is used up: `notify`, `block` or `force_cheapest`."""
    warn_at: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Share of a budget at which a warning is logged."""
    timezone: str = "UTC"
    """Whose midnight starts a new day: an IANA name."""
    persist: bool = True
    """Keep what was spent today over restarts. Limits per minute start anew."""

    @model_validator(mode="after")
    def _zone(self) -> Self:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(self.timezone)
        except (KeyError, OSError, ValueError) as error:
            raise ValueError("an IANA time zone such as `Europe/Oslo` in `timezone`") from error
        return self


class Affinity(Section):
    """Keep a session with one provider and key, for prompt caches and account-bound reasoning."""

    enabled: bool = True
    """False = every request is placed afresh."""
    ttl_s: Seconds = 3600.0
    """How long after its last request a session is remembered."""
    max_sessions: Positive = 10_000
    """How many are remembered."""
    headers: Strings = (
        "x-claude-code-session-id",
        "session-id",
        "session_id",
        "x-session-id",
        "x-session-affinity",
        "x-client-request-id",
    )
    """Request headers that name a session, the best first."""
    body_paths: Strings = ("metadata.user_id", "session_id", "prompt_cache_key", "conversation")
    """Places in the body that name a session, after the headers."""
    first_message: bool = True
    """Without any: recognise a session by its first user message and its tools."""
    first_message_min_chars: Count = 64
    """Shorter first messages are not recognised."""


class Media(Section):
    """Media that clients give by URL."""

    fetch_remote: bool = False
    """Fetch what an upstream cannot fetch itself, and send it inline; off = such requests are refused."""
    max_bytes: Positive = 20 * MIB
    """Of one file."""
    timeout_s: Seconds = 10.0
    """For one file."""
    max_files: Positive = 20
    """Of one request."""
    max_redirects: Count = 3
    """Each target is checked anew."""
    allow_private: bool = False
    """Whether addresses of private networks and of this machine may be fetched."""
    hosts: Strings = ("*",)
    """Patterns of the hosts that may be fetched from."""
    strip_notice: str = "[image omitted: this model reads text only]"
    """What stands in the place of an image that a text-only model cannot have; "" = the request is refused."""


class Privacy(Section):
    """What is kept of what clients say."""

    record_attempts: bool = True
    """Show every attempt as a flow of its own in mitmweb."""
    record_failed_only: bool = False
    """Only those that failed."""
    store_bodies: bool = False
    """Keep request and answer texts in the log database."""
    store_max_bytes: Count = 50 * KIB
    """How much of each text is kept."""
    flow_max_bytes: Count = 1 * MIB
    """How much of a streamed body mitmproxy keeps for viewing and saving."""
    redact: Strings = ()
    """Further texts (patterns) to replace by `[REDACTED]` in everything that is kept or shown."""


class Logging(Section):
    """Log lines and records."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are written."""
    file: FilePath | None = None
    """Write one JSON line per request there, too."""
    retention_days: Positive = 14
    """How long records are kept."""
    trace_file: FilePath | None = None
    """Write requests and answers as JSON lines, texts cut; for debugging only."""
    trace_max_chars: Positive = 16384
    """How much of each text."""


class Hook(Section):
    """An address that gets a JSON record of every request."""

    url: str
    """Where records are posted."""
    authorization: SecretValue | None = None
    """The `Authorization` header, without `Bearer`."""
    bodies: bool = False
    """Whether texts are included."""
    timeout_s: Seconds = 30.0
    """For one delivery."""
    max_pending_bytes: Positive = 100 * MIB
    """Records waiting for delivery; more are dropped and counted."""
    failure_threshold: Positive = 3
    """Failures in a row after which deliveries pause."""
    cooldown_s: Seconds = 300.0
    """How long they pause."""


class Admin(Section):
    """The operator's side."""

    key: SecretValue | None = None
    """The key for `/admin`; absent = loopback peers only."""
    enabled: bool = True
    """False = neither `/admin` nor the dashboard."""
    dashboard: bool = True
    """Whether the web page is served."""
    max_failures: Positive = 5
    """Wrong keys from one address before it is banned."""
    ban_s: Seconds = 1800.0
    """How long a ban lasts."""
    allowed_hosts: Strings = ()
    """Host names that requests may carry, beside loopback names, addresses and `listen`."""
    allowed_origins: Strings = ()
    """Web origins that may call the gateway from a browser."""


ANTHROPIC_HEADERS = ("anthropic-version", "anthropic-beta")
OPENAI_HEADERS = ("openai-beta", "idempotency-key", "x-stainless-helper-method")


class HeaderLists(Section):
    """Which headers pass through. Credentials, cookies and connection headers never do."""

    request: Mapping[ProtocolName, Strings] = {
        "openai_chat": OPENAI_HEADERS,
        "openai_responses": (
            *OPENAI_HEADERS,
            "session_id",
            "session-id",
            "x-codex-turn-state",
            "x-codex-turn-metadata",
        ),
        "anthropic": (*ANTHROPIC_HEADERS, "idempotency-key", "x-stainless-helper-method"),
        "gemini": ("x-goog-api-client",),
    }
    """Patterns of client headers passed on, per upstream protocol, when the client speaks it too."""
    response: Strings = (
        "request-id",
        "x-request-id",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        "openai-processing-ms",
        "openai-model",
        "x-codex-turn-state",
    )
    """Patterns of upstream headers passed back to the client."""
    rate_limits: bool = False
    """Pass back the rate-limit headers of the provider's account, too."""
    degraded: bool = True
    """Tell clients in `x-llmgate-degraded` what a translation gave up."""


class HostedTools(Section):
    """Tools that a provider runs itself, when the request crosses protocols."""

    convert: bool = True
    """Ask the target provider's own tool for what the client asked of its own."""
    allow: Strings = ("*",)
    """Patterns of the kinds (`web_search`, `code_execution`, …) that are converted; others are dropped or refused."""


StreamMode = Literal["auto", "never", "standard", "buffered", "always"]


class StreamRule(Section):
    """How answers stream to some clients; every given condition must hold."""

    user_agent: Strings = ()
    """Patterns of the `User-Agent` header."""
    client_key: Strings = ()
    """Patterns of the client key's name."""
    headers: Mapping[str, str] = {}
    """Patterns of other request headers; `*` = present."""
    client_protocol: Annotated[
        tuple[ProtocolName, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)
    ] = ()
    """The protocol that the client speaks."""
    mode: StreamMode
    """`auto`, `never`, `standard`, `buffered` or `always`."""


class Streaming(Section):
    """How answers stream. `auto`, `standard`: as the client asks, each piece at once. `never`: the provider is asked
    for a whole answer, and a client that wants a stream gets all of it at the end. `buffered`: pieces joined to
    sentences. `always`: a stream whatever the client asks."""

    mode: StreamMode = "auto"
    """For clients that no rule is about."""
    rules: tuple[StreamRule, ...] = ()
    """Modes for some clients; the first rule that matches wins."""
    buffer_chars: Positive = 50
    """`buffered`: text is passed on at this length or at the end of a sentence."""
    buffer_s: Seconds = 5.0
    """`buffered`: text is passed on after this time at the latest."""


class WebSocket(Section):
    """The Responses API over a WebSocket, as Codex uses it."""

    enabled: bool = True
    """False = upgrades are refused with 426, on which Codex goes on over HTTP."""
    lifetime_s: Annotated[Seconds, Field(gt=0)] = 3600.0
    """After this time a connection takes no new turns; running ones are finished. OpenAI allows 60 minutes."""
    max_state_bytes: Positive = 100 * MIB
    """What one connection keeps of its conversations for `previous_response_id`."""


class ModelsList(Section):
    """What `/v1/models` says."""

    unusable: Literal["show", "mark", "hide"] = "mark"
    """What becomes of models whose every key rests."""
    providers: bool = True
    """Whether the known models of the providers are listed as `provider/model`, beside `models:`."""
    patterns: bool = False
    """Whether the patterns of `models:` are listed."""


class Tls(Section):
    """A certificate of the gateway's own listener."""

    cert_file: FilePath
    """Certificate chain (PEM)."""
    key_file: FilePath | None = None
    """Private key (PEM); absent = in `cert_file`."""
