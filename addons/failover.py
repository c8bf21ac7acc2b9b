"""The policy behind the engine: which candidate next, whether an answer is good, what the client hears.

Until the first good upstream event nothing has reached the client, so a failed attempt is invisible to it; after
that there is no failover, only an honest end. Implements `EnginePolicy`; the translation itself is translate.py's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final
from urllib.parse import urlencode
from weakref import WeakMethod

from mitmproxy import http

from addons import bodies, legs
from addons.answers import REQUEST_ID_HEADER, error_response, make_response
from addons.contract import Attempt, Cause, Verdict
from addons.cooldown import HIDDEN
from addons.credentials import Credentials
from addons.egress import egress_proxy
from addons.exchange import Candidate, Exchange, Exchanges, Try, now_s
from addons.framing import copy_request, headers_of, new_request
from addons.headers import (
    RATE_LIMITS,
    STREAM_HEADERS,
    degraded_header,
    encoded,
    select,
)
from addons.media_fetch import MediaFetcher
from addons.pace import asks_stream, ping_interval_s
from addons.payload import passing_betas
from addons.picker import Picker
from addons.relay import TranslatingRelay
from addons.settle import Settler
from addons.steps import Steps, begin
from addons.translate import Outgoing, ReasoningTrail, Translate
from addons.userhooks import UserHooks
from config.providers import AuthStyle
from translators import PROTOCOLS
from translators.errors import ErrorKind, GatewayError
from translators.fold import Folder
from translators.losses import Losses
from translators.profile import ModelProfile

log = logging.getLogger(__name__)

CAUSES: Final[dict[Cause, ErrorKind]] = {
    Cause.CONNECT: ErrorKind.UNREACHABLE,
    Cause.DNS: ErrorKind.UNREACHABLE,
    Cause.TLS: ErrorKind.UNREACHABLE,
    Cause.CONNECT_TIMEOUT: ErrorKind.UNREACHABLE,
    Cause.FIRST_BYTE_TIMEOUT: ErrorKind.TIMEOUT,
    Cause.IDLE_TIMEOUT: ErrorKind.TIMEOUT,
    Cause.TOTAL_TIMEOUT: ErrorKind.TIMEOUT,
    Cause.PROTOCOL: ErrorKind.UPSTREAM_CUT,
    Cause.CUT: ErrorKind.UPSTREAM_CUT,
    Cause.TOO_LARGE: ErrorKind.UPSTREAM_MALFORMED,
    Cause.REFUSED: ErrorKind.INTERNAL,
    Cause.STOPPING: ErrorKind.OVERLOADED,
    Cause.INTERNAL: ErrorKind.INTERNAL,
}
"""What a failure of the transport means; STATUS and FIRST_EVENT carry the upstream's own error."""

WORDS: Final[dict[Cause, str]] = {
    Cause.CONNECT: "could not connect to the provider {name}",
    Cause.DNS: "the host name of the provider {name} could not be resolved",
    Cause.TLS: "no trusted TLS connection to the provider {name}",
    Cause.CONNECT_TIMEOUT: "connecting to the provider {name} took too long",
    Cause.FIRST_BYTE_TIMEOUT: "the provider {name} did not begin to answer in time",
    Cause.IDLE_TIMEOUT: "the provider {name} stopped in the middle of its answer",
    Cause.TOTAL_TIMEOUT: "the answer of the provider {name} took too long",
    Cause.PROTOCOL: "the provider {name} broke the connection before it answered",
    Cause.CUT: "upstream stream ended early",
    Cause.TOO_LARGE: "the answer of the provider {name} is too large",
    Cause.STOPPING: "the gateway is stopping; ask again",
    Cause.INTERNAL: "internal error in the gateway",
}
MAGIC: Final = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
"""How compressed bodies begin."""


class Failover:
    """`llm_attempt` and the engine's policy."""

    def __init__(
        self,
        exchanges: Exchanges,
        translate: Translate,
        credentials: Credentials,
        picker: Picker,
        settler: Settler,
        hooks: UserHooks,
    ) -> None:
        self._exchanges = exchanges
        self._translate = translate
        self._credentials = credentials
        self._picker = picker
        self._settler = settler
        self._hooks = hooks
        self._media = MediaFetcher()

    # -- hooks

    def llm_attempt(self, attempt: Attempt) -> Awaitable[None] | None:
        """Render the request for the next candidate."""
        exchange = self._exchanges.get(attempt.flow)
        if exchange is None:
            return None
        if legs.streaming(exchange) is not None and exchange.answered_s is not None:
            exchange.promised = True
        if attempt.flow.response is not None and not exchange.promised:
            return None
        return begin(self._attempt(exchange, attempt))

    def _attempt(self, exchange: Exchange, attempt: Attempt) -> Steps:
        flow = attempt.flow
        try:
            yield from self._prepare(exchange, attempt)
        except GatewayError as error:
            exchange.error = error
            flow.response = error_response(exchange.translator, error, exchange.id)
        except Exception:
            log.exception("an attempt could not be prepared")
            flow.response = self.internal_error(flow)

    def _prepare(self, exchange: Exchange, attempt: Attempt) -> Steps:
        """Take candidates until one can be rendered for; the last refusal is the client's answer."""
        refusal: GatewayError | None = None
        tokenless: list[Candidate] = []
        while (candidate := legs.next_leg(exchange) or self._picker.next(exchange)) is not None:
            if not legs.going_on(exchange, candidate):
                refusal = exchange.tries[-1].error
                break
            config = exchange.config
            one = Try(
                candidate=candidate,
                number=attempt.number,
                losses=Losses(candidate.mode),
                stream=asks_stream(exchange),
                started_s=now_s(),
            )
            if candidate.upstream.credential is not None:
                one.error = yield self._credentials.ready(exchange, candidate)
            if one.error is not None:
                self._picker.failed(exchange, one)
                refusal = self._shown(exchange, one.error)
                if any(candidate is each for each in tokenless):
                    break
                tokenless.append(candidate)
                continue
            profile = config.resolve_profile(
                candidate.provider, candidate.model, candidate.protocol
            )
            try:
                outgoing = yield from self._outgoing(exchange, one, profile)
            except GatewayError as error:
                if error.kind is not ErrorKind.UNTRANSLATABLE:
                    raise
                refusal = error
                continue
            one.body = outgoing.body
            headers = [
                ("content-type", "application/json"),
                ("accept", "text/event-stream" if one.stream else "application/json"),
                ("accept-encoding", "identity"),
                ("user-agent", "llmgate"),
                *outgoing.headers.items(),
            ]
            native = one.reading is None
            patterns = config.headers.request.get(candidate.endpoint.protocol, ()) if native else ()
            patterns += candidate.upstream.forward_headers
            headers += select(exchange.headers.items(), patterns)
            headers = passing_betas(headers, candidate)
            url = upstream_url(candidate, outgoing.path)
            attempt.request = new_request(url, outgoing.body, encoded(headers))
            attempt.data = one
            exchange.current = one
            exchange.tries.append(one)
            self._limits(exchange, attempt, one)
            return
        if refusal is not None:
            raise refusal
        raise self._picker.exhausted(exchange)

    def _outgoing(
        self, exchange: Exchange, one: Try, profile: ModelProfile
    ) -> Generator[Awaitable[Any], Any, Outgoing]:
        """The rendered request; media that only the renderer's refusal was about are fetched first."""
        settings = exchange.config.media
        for fetches_left in reversed(range(settings.max_files + 1)):
            try:
                return self._translate.outgoing(exchange, one, profile)
            except GatewayError as refusal:
                if refusal.kind is not ErrorKind.UNTRANSLATABLE or not fetches_left:
                    raise
                request = self._translate.hub_request(exchange)
                inlined = yield self._media.inline(request, refusal, settings)
                if inlined is None:
                    raise
                exchange.hub = inlined
                one.losses = Losses(one.candidate.mode)
        raise AssertionError("the last round returns or raises")

    def _limits(self, exchange: Exchange, attempt: Attempt, one: Try) -> None:
        config = exchange.config
        timeouts, limits = config.timeouts, config.limits
        attempt.connect_timeout_s = timeouts.connect_s
        attempt.first_byte_timeout_s = timeouts.first_byte_s
        attempt.idle_timeout_s = timeouts.idle_s
        attempt.max_body_bytes = limits.max_response_bytes
        attempt.max_peek_bytes = limits.max_response_bytes
        if not one.stream:
            attempt.total_timeout_s = timeouts.total_s
        else:
            attempt.total_timeout_s = timeouts.stream_s
            attempt.ping_interval_s = ping_interval_s(exchange)
            early = timeouts.early_start_s
            attempt.early_start_s = config.retry.peek_s if early is None else early
        if exchange.legs is not None and (left_s := legs.time_left_s(exchange)) is not None:
            attempt.total_timeout_s = max(left_s, 0.0)
        candidate = one.candidate
        attempt.http2 = candidate.upstream.http2
        attempt.ca_file = candidate.upstream.ca_file
        attempt.via = egress_proxy(candidate.key.proxy or candidate.upstream.proxy or config.proxy)

    def llm_attempt_failed(self, attempt: Attempt) -> None:
        """Say why, in our own words, and let the picker learn from it."""
        exchange = self._exchanges.get(attempt.flow)
        one = attempt.data
        if exchange is None or not isinstance(one, Try):
            return
        one.cause = attempt.cause.value if attempt.cause is not None else ""
        one.ended_s = now_s()
        if one.error is None:
            one.error = self._error_of(attempt, one)
        answered = attempt.flow.response is not None  # by another addon, in place of the error
        exchange.error = None if answered else one.error
        _tell_operator(exchange.id, attempt, one)
        self._credentials.failed(one)
        self._picker.failed(exchange, one)

    def _error_of(self, attempt: Attempt, one: Try) -> GatewayError:
        response = attempt.response
        if attempt.cause is Cause.STATUS and response is not None:
            headers = {name.lower(): value for name, value in response.headers.items()}
            translator = PROTOCOLS[one.candidate.protocol]
            body = response.get_content(strict=False) or b""
            error = translator.parse_error(response.status_code, headers, body)
            error.upstream_status = response.status_code
        else:
            cause = attempt.cause or Cause.PROTOCOL
            error = _of_transport(cause, one, ErrorKind.UPSTREAM_MALFORMED)
        error.provider = one.candidate.provider
        return error

    # -- EnginePolicy

    @property
    def max_request_bytes(self) -> int:
        """See EnginePolicy."""
        return self._settler.config.limits.max_request_bytes

    def authorize(self, attempt: Attempt) -> http.Request:
        """See EnginePolicy: the credential goes on last, on a copy that nothing else sees."""
        exchange, one = self._both(attempt)
        return self._credentials.authorize(exchange, one, copy_request(attempt.request))

    def verdict(self, attempt: Attempt) -> Verdict:
        """See EnginePolicy: bad statuses fail, good ones are looked into before they are believed."""
        _exchange, one = self._both(attempt)
        response = attempt.response
        if response is None or not 200 <= response.status_code < 300:
            return Verdict.FAIL
        one.relay = None
        return Verdict.PEEK

    def peek(self, attempt: Attempt, data: bytes, ended: bool) -> Verdict | None:
        """See EnginePolicy: a stream until its first good event, a whole answer until it has been translated."""
        exchange, one = self._both(attempt)
        try:
            if one.relay is None and not self._start(exchange, attempt, one, data):
                one.unary_in += data
                if not ended:
                    return None
                content_type = (
                    attempt.response.headers.get("content-type", "") if attempt.response else ""
                )
                whole = plain(attempt, bytes(one.unary_in))
                on_event = self._hooks.on_event(exchange) if exchange.stream else None
                one.unary = self._translate.unary(exchange, one, content_type, whole, on_event)
                one.unary_in = bytearray()
                if one.unary is None:
                    one.ended_s = now_s()
                    return Verdict.GO_ON
                return Verdict.COMMIT
            assert one.relay is not None  # noqa: S101 - _start said so
            judged = one.relay.prime(data, ended=ended)
        except GatewayError as error:
            if error.once_more:
                one.usage = self._translate.spent(one, bytes(one.unary_in))
            one.error = self._blame(error, one)
            return Verdict.FAIL
        if isinstance(judged, GatewayError):
            if judged.once_more:
                one.usage = one.relay.usage
            one.error = self._blame(judged, one)
            return Verdict.FAIL
        return Verdict.COMMIT if judged or ended else None

    def _blame(self, error: GatewayError, one: Try) -> GatewayError:
        error.provider = one.candidate.provider
        return error

    def _start(self, exchange: Exchange, attempt: Attempt, one: Try, data: bytes) -> bool:
        """Begin to relay a stream; False when the answer is to be read whole."""
        response = attempt.response
        content_type = response.headers.get("content-type", "") if response is not None else ""
        if one.unary_in or content_encoding(attempt, data):
            return False  # read whole, for identity was asked for (pitfalls ENC-04, ENC-05)
        if data.lstrip().startswith(b"{"):
            return False  # one JSON body, whatever its type says (pitfalls STR-46)
        is_array = one.candidate.protocol == "gemini" and one.stream
        if not exchange.stream or not (content_type.startswith("text/event-stream") or is_array):
            if legs.streaming(exchange) is not None:
                raise GatewayError(
                    ErrorKind.UPSTREAM_MALFORMED, "the provider did not go on with its stream"
                )
            return False
        one.relay = self._translate.relay(
            exchange,
            one,
            on_event=self._hooks.on_event(exchange),
            on_finished=weakly(attempt.finish_now),
            on_pause=weakly(attempt.go_on_later),
            keep=self._hooks.wants_answer(),
        )
        limits = exchange.config.limits
        one.relay.bound(limits.max_frame_bytes, limits.max_events)
        return True

    def commit(self, attempt: Attempt) -> None:
        """See EnginePolicy: our own response head, and the relay or the translated body behind it."""
        exchange, one = self._both(attempt)
        flow = attempt.flow
        response = flow.response
        if response is None:
            raise RuntimeError("commit without a response")
        if not exchange.promised:
            upstream_headers = response.headers
            response.status_code = 200
            response.reason = "OK"
            response.headers = headers_of(self._answer_headers(exchange, one, upstream_headers))
            exchange.answered_s = now_s()
        exchange.status = 200
        exchange.error = None
        if one.relay is not None and not callable(response.stream):
            recorder = exchange.recorder
            response.stream = one.relay if recorder is None else recorder.around(one.relay)
        self._picker.succeeded(exchange, one)

    def _answer_headers(
        self, exchange: Exchange, one: Try, upstream: http.Headers
    ) -> tuple[tuple[bytes, bytes], ...]:
        streamed = exchange.stream and not exchange.array_framing
        pairs = [
            (
                "content-type",
                "text/event-stream; charset=utf-8" if streamed else "application/json",
            ),
            (REQUEST_ID_HEADER, exchange.id),
            ("x-llmgate-model", str(one.candidate)),
            ("x-llmgate-attempts", str(len(exchange.tries))),
        ]
        if exchange.stream:
            pairs += STREAM_HEADERS.items()
        if one.reading is None:
            pairs += select(upstream.items(), response_patterns(exchange))
        if exchange.config.headers.degraded and (
            degraded := degraded_header(one.losses.degradations)
        ):
            pairs.append(("x-llmgate-degraded", degraded))
        return encoded(pairs)

    def retry_delay(self, attempt: Attempt) -> float | None:
        """See EnginePolicy."""
        exchange, one = self._both(attempt)
        return self._picker.retry_delay(exchange, one)

    def give_up(self, attempt: Attempt) -> http.Response:
        """See EnginePolicy: the last error in the client's words; a client's own fault in the provider's very bytes."""
        exchange, one = self._both(attempt)
        error = one.error or GatewayError(ErrorKind.INTERNAL, "the attempt failed without a reason")
        native = one.candidate.protocol == exchange.endpoint.protocol
        response = attempt.response
        if native and not error.retryable and error.kind not in HIDDEN and response is not None:
            body = response.get_content(strict=False) or b""
            if attempt.cause is Cause.STATUS and body.lstrip()[:1] in (b"{", b"["):
                exchange.error = error
                headers = dict(select(response.headers.items(), response_patterns(exchange)))
                headers |= {"content-type": "application/json", REQUEST_ID_HEADER: exchange.id}
                return make_response(response.status_code, body, headers)
        shown = self._shown(exchange, error)
        exchange.error = shown
        return error_response(exchange.translator, shown, exchange.id)

    def _shown(self, exchange: Exchange, error: GatewayError) -> GatewayError:
        """What the client may hear of an upstream's error."""
        one = exchange.current
        foreign = one is not None and one.candidate.protocol != exchange.endpoint.protocol
        if foreign and error.upstream_status is not None:
            error.path = None  # the provider's own field names say nothing to this client
        if (
            error.kind in HIDDEN
            and one is not None
            and one.candidate.endpoint.auth is AuthStyle.CLIENT
        ):
            return GatewayError(
                ErrorKind.AUTHENTICATION,
                error.message,
                provider=error.provider,
                upstream_status=error.upstream_status,
            )
        if error.kind in HIDDEN:
            shown = GatewayError(
                ErrorKind.UPSTREAM_REJECTED,
                f"the provider {error.provider} refused the gateway's own credential: "
                "check its key in the gateway's configuration, and what that key may do",
                provider=error.provider,
                upstream_status=error.upstream_status,
            )
            log.error("provider=%s refused its key: %s", error.provider, error.message)
            return shown
        if error.retryable and error.retry_after_s is None:
            error.retry_after_s = self._picker.recovery_s(exchange)
        return error

    def stream_broken(self, flow: http.HTTPFlow, cause: Cause, message: str) -> list[bytes]:
        """See EnginePolicy."""
        exchange = self._exchanges.get(flow)
        if exchange is None:
            return []
        one = exchange.current
        error = self._broken(exchange, cause, message)
        exchange.error = error
        relay = one.relay if one is not None else None
        if (relay := relay or legs.streaming(exchange)) is not None:
            return relay.broken(error)
        return [exchange.translator.render_stream_error(error, exchange.id)]

    def unary_broken(self, flow: http.HTTPFlow, cause: Cause, message: str) -> http.Response:
        """See EnginePolicy."""
        exchange = self._exchanges.get(flow)
        if exchange is None:
            return make_response(502, b"", {})
        exchange.error = self._broken(exchange, cause, message)
        return error_response(exchange.translator, exchange.error, exchange.id)

    def _broken(self, exchange: Exchange, cause: Cause, message: str) -> GatewayError:
        one = exchange.current
        if one is not None and one.error is not None and cause in (Cause.STATUS, Cause.FIRST_EVENT):
            return self._shown(exchange, one.error)
        if cause is Cause.REFUSED and exchange.error is not None:
            return self._shown(exchange, exchange.error)
        log.debug("broken request_id=%s cause=%s %s", exchange.id, cause, message)
        return _of_transport(cause, one, ErrorKind.UPSTREAM_CUT)

    def ping(self, attempt: Attempt) -> bytes:
        """See EnginePolicy."""
        one = attempt.data
        if isinstance(one, Try) and one.relay is not None:
            return one.relay.ping()
        exchange = self._exchanges.get(attempt.flow)
        return b"" if exchange is None else self._translate.heartbeat(exchange)

    def early_start(self, attempt: Attempt) -> http.Response | None:
        """See EnginePolicy."""
        exchange, one = self._both(attempt)
        if not exchange.stream or exchange.array_framing:
            return None
        exchange.answered_s = now_s()
        exchange.promised = True
        return http.Response.make(
            200, b"", headers_of(self._answer_headers(exchange, one, http.Headers()))
        )

    def protocol_error(
        self, flow: http.HTTPFlow, status: int, message: str
    ) -> http.Response | None:
        """See EnginePolicy: mitmproxy's own HTML pages become errors of the client's protocol."""
        exchange = self._exchanges.get(flow)
        if exchange is None:
            return None
        if status == 413:
            kind, text = ErrorKind.TOO_LARGE, "the request body is larger than the gateway accepts"
        elif status < 500:
            kind, text = ErrorKind.INVALID_REQUEST, "the request is not valid HTTP"
        else:
            kind, text = ErrorKind.UNREACHABLE, "could not reach the provider"
        log.debug("protocol error request_id=%s status=%s %s", exchange.id, status, message)
        exchange.error = GatewayError(kind, text)
        return error_response(exchange.translator, exchange.error, exchange.id)

    def internal_error(self, flow: http.HTTPFlow) -> http.Response:
        """See EnginePolicy."""
        error = GatewayError(ErrorKind.INTERNAL, "internal error in the gateway")
        exchange = self._exchanges.get(flow)
        if exchange is None:
            return error_response(PROTOCOLS["openai_chat"], error, "")
        exchange.error = error
        return error_response(exchange.translator, error, exchange.id)

    def client_gone(self, flow: http.HTTPFlow) -> None:
        """See EnginePolicy."""
        if (exchange := self._exchanges.get(flow)) is not None:
            exchange.cancelled = True
            self._picker.released(exchange)

    def settled(self, flow: http.HTTPFlow) -> None:
        """See EnginePolicy: the one place that every exchange passes at its end."""
        exchange = self._exchanges.get(flow)
        if exchange is None or exchange.settled:
            return
        one = exchange.current
        if one is not None:
            one.ended_s = one.ended_s or now_s()
            relay = one.relay or legs.streaming(exchange)
            if relay is not None:
                one.usage = relay.usage
                if isinstance(relay, TranslatingRelay):
                    one.losses.extend(relay.losses)
                exchange.finish_reason = relay.finish_reason
                exchange.error = exchange.error or relay.error
                if isinstance(one.trail, ReasoningTrail):
                    self._translate.remember(exchange, one.trail.parts)
                elif isinstance(one.trail, Folder):
                    self._translate.remember(exchange, one.trail.partial().parts)
            elif one.unary is not None:
                exchange.finish_reason = one.finish_reason
            exchange.usage = legs.usage_of(exchange)
        if exchange.status is None and flow.response is not None:
            exchange.status = flow.response.status_code
        self._picker.released(exchange)
        self._settler.settle(exchange)
        forget_places(exchange)

    def response(self, flow: http.HTTPFlow) -> None:
        """Put the translated whole answer in place of the upstream's."""
        exchange = self._exchanges.get(flow)
        one = exchange.current if exchange is not None else None
        if (
            one is not None
            and one.unary is not None
            and one.relay is None
            and flow.response is not None
        ):
            if flow.response.status_code == 200:
                flow.response.content = one.unary
                if exchange is not None and exchange.recorder is not None:
                    exchange.recorder.whole(one.unary)

    def _both(self, attempt: Attempt) -> tuple[Exchange, Try]:
        exchange = self._exchanges.get(attempt.flow)
        if exchange is None or not isinstance(attempt.data, Try):
            raise RuntimeError("an attempt without its exchange")
        return exchange, attempt.data


def _of_transport(cause: Cause, one: Try | None, usual: ErrorKind) -> GatewayError:
    """What went wrong between two hosts, in words that a client may hear."""
    name = one.candidate.provider if one is not None else ""
    words = WORDS.get(cause, str(cause)).format(name=name)
    return GatewayError(CAUSES.get(cause, usual), words, provider=name or None)


def _tell_operator(request_id: str, attempt: Attempt, one: Try) -> None:
    """Log why an attempt failed: what the engine saw, never what the provider said, which may quote a prompt."""
    request, cause = attempt.request, attempt.cause
    why = attempt.error or "no reason given"
    if cause is Cause.STATUS and attempt.response is not None:
        why = f"status {attempt.response.status_code}"
        if attempt.response.status_code in (404, 405):
            path = request.path.partition("?")[0]
            why += f" to POST {path}: a model it does not have, or a wrong base_url?"
    log.warning(
        "attempt_failed provider=%s model=%r cause=%s %s:%d %s request_id=%s",
        one.candidate.provider,
        one.candidate.wire_model,
        cause,
        request.host,
        request.port,
        why,
        request_id,
    )


def forget_places(exchange: Exchange) -> None:
    """Drop bodies, relays, and the tracebacks of its errors, whose frames lead back to the flow and would keep both alive for ever.

    A relay knows its exchange, too, and mitmweb keeps flows: what they hold would stay until somebody collects it.
    """
    errors: list[BaseException | None] = [exchange.error]
    for one in exchange.tries:
        errors += (one.error, one.relay.error if one.relay is not None else None)
        one.unary_in, one.body = bytearray(), b""
        one.relay = one.trail = one.unary = one.response = None
    exchange.raw, exchange.body, exchange.asked = b"", {}, None
    exchange.hub = exchange.answer = exchange.legs = exchange.recorder = None
    while errors:
        if (error := errors.pop()) is not None and error.__traceback__ is not None:
            error.__traceback__ = None
            errors += (error.__cause__, error.__context__)


def weakly(method: Callable[[], None]) -> Callable[[], None]:
    """A method of an attempt, held weakly: a try that led back to its flow would keep both alive for ever."""
    weak = WeakMethod(method)

    def call() -> None:
        if (bound := weak()) is not None:
            bound()

    return call


def content_encoding(attempt: Attempt, body: bytes) -> str:
    """How the upstream compressed its answer although it was asked not to; "" for not at all.

    Some do not say that they did: no JSON and no stream begins with these bytes.
    """
    told = attempt.response.headers.get("content-encoding", "") if attempt.response else ""
    if told.strip().lower() not in ("", "identity"):
        return told.strip()
    return next((name for name, magic in MAGIC.items() if body.startswith(magic)), "")


def plain(attempt: Attempt, body: bytes) -> bytes:
    """The whole body of an answer without its compression."""
    encoding = content_encoding(attempt, body)
    if not encoding:
        return body
    try:
        return bodies.decode(body, encoding, attempt.max_body_bytes or len(body) * 100)
    except GatewayError as error:
        raise GatewayError(
            ErrorKind.UPSTREAM_MALFORMED, "the provider's compressed answer cannot be read"
        ) from error


def response_patterns(exchange: Exchange) -> tuple[str, ...]:
    """Which of the provider's response headers a client of the same protocol sees."""
    lists = exchange.config.headers
    return lists.response + (RATE_LIMITS if lists.rate_limits else ())


def upstream_url(candidate: Candidate, path: str) -> str:
    """The whole URL of a request: base, the protocol's path (or the configured one), fixed query parameters."""
    endpoint = candidate.endpoint
    url = endpoint.base_url + path
    query = candidate.upstream.query
    if query:
        url += ("&" if "?" in url else "?") + urlencode(query)
    return url
