"""What clients ask for beside answers: token counts, legacy completions, compactions, stored responses.

Prepares such requests so that the engine carries them like any other, and answers by itself what no upstream has to
be asked for. The words of the protocols are in `translators/`; counting and storing are in files beside this one.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final
from urllib.parse import parse_qs

from mitmproxy import http

from addons.admission import refuse
from addons.answers import REQUEST_ID_HEADER, json_response, make_response
from addons.contract import Attempt
from addons.counting import ANSWERS, Counting
from addons.exchange import Exchange, Exchanges, now_s
from addons.guard import fail_closed
from addons.headers import STREAM_HEADERS, degraded_header
from addons.recorder import Recorder
from addons.snapshot import ConfigHolder
from addons.stored import ResponseStore, StoredResponse
from addons.translate import Translate, must_translate
from translators import ir
from translators.base import Operation
from translators.errors import ErrorKind, GatewayError, invalid
from translators.losses import Degradation, Losses, Mode
from translators.losses import Side as LossSide
from translators.openai_responses import stored
from translators.openai_responses.compaction import TRIGGERED_COMPACTION
from translators.openai_responses.side import TRIGGER, wants_compaction
from translators.wire import JsonObject, dumps

RESPONSES: Final = "openai_responses"
PREWARMS: Final = frozenset({"anthropic", "openai_responses"})
"""Protocols that can ask for a prompt to be cached and nothing else."""
NO_CACHE_TO_FILL: Final = "the provider's cache cannot be filled in advance; nothing was sent to it"
NO_COUNTER: Final = frozenset({404, 405, 501})
"""What an upstream says that speaks the protocol and has no endpoint for counts."""


class Side:
    """Stands behind the Router: an exchange has its candidates."""

    def __init__(
        self,
        exchanges: Exchanges,
        configs: ConfigHolder,
        translate: Translate,
        counting: Counting | None = None,
        store: ResponseStore | None = None,
    ) -> None:
        self._exchanges = exchanges
        self._configs = configs
        self._translate = translate
        self._counting = counting or Counting()
        self._store = store or ResponseStore()

    def running(self) -> None:
        """Look for an encoding in the background."""
        encoding = self._configs.current.token_encoding
        if encoding is not None:
            self._counting.start(encoding)

    async def done(self) -> None:
        """Stop looking."""
        await self._counting.stop()

    @fail_closed
    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Prepare or answer what is not a plain generation."""
        exchange = self._exchanges.get(flow)
        if exchange is None:
            return None
        match exchange.endpoint.operation:
            case Operation.GENERATE if exchange.endpoint.protocol == RESPONSES:
                self._continue(exchange)
                self._record(exchange)
                if wants_compaction(exchange.body):
                    exchange.translator = TRIGGERED_COMPACTION
                self._prewarm(flow, exchange)
            case Operation.GENERATE:
                self._prewarm(flow, exchange)
            case Operation.COUNT_TOKENS:
                self._continue(exchange)
                if not _is_native(exchange) or must_translate(exchange):
                    return self._answer_count(exchange, flow)
            case Operation.COMPACT:
                self._continue(exchange)
            case Operation.RESPONSE_ITEM:
                flow.response = self._item(exchange, flow.request)
            case _:
                pass
        return None

    async def llm_attempt_failed(self, attempt: Attempt) -> None:
        """Count here where the upstream has no counter (pitfalls CNT-01)."""
        flow, response = attempt.flow, attempt.response
        exchange = self._exchanges.get(flow)
        if exchange is None or exchange.endpoint.operation is not Operation.COUNT_TOKENS:
            return
        if flow.response is None and response is not None and response.status_code in NO_COUNTER:
            try:
                flow.response = await self._count(exchange)
            except GatewayError as error:
                refuse(self._exchanges, flow, error)

    def refuse(self, flow: http.HTTPFlow, error: GatewayError) -> None:
        """Answer with an error."""
        refuse(self._exchanges, flow, error)

    # -- counts

    async def _answer_count(self, exchange: Exchange, flow: http.HTTPFlow) -> None:
        flow.response = await self._count(exchange)

    async def _count(self, exchange: Exchange) -> http.Response:
        request = self._translate.hub_request(exchange)
        protocol = exchange.candidates[0].protocol
        tokens = await self._counting.count(request, protocol)
        answer = json_response(ANSWERS[exchange.endpoint.protocol](tokens))
        answer.headers[REQUEST_ID_HEADER] = exchange.id
        if exchange.config.headers.degraded:
            reason = f"counted by the gateway ({self._counting.name})"
            lost = Degradation(path="$", reason=reason)
            answer.headers["x-llmgate-degraded"] = degraded_header((lost,))
        return answer

    # -- answers without an upstream

    def _prewarm(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Answer nothing where a client only wants its prompt cached, and the provider cannot do that alone."""
        first = exchange.candidates[0] if exchange.candidates else None
        if first is None or _is_native(exchange) or first.protocol in PREWARMS:
            return
        if first.mode is Mode.MAX_COMPAT and self._translate.hub_request(exchange).prewarm:
            empty = ir.Response(
                id=exchange.id, model=exchange.model, parts=(), finish_reason=ir.FinishReason.STOP
            )
            flow.response = self.reply(exchange, empty, (Degradation("$", NO_CACHE_TO_FILL),))

    def reply(
        self, exchange: Exchange, answer: ir.Response, lost: tuple[Degradation, ...] = ()
    ) -> http.Response:
        """An answer of our own in the client's protocol, whole or as a stream that comes at once."""
        losses = Losses(exchange.config.compatibility_mode, LossSide.RESPONSE)
        body = self._translate.write_whole(exchange, answer, losses)
        headers = {REQUEST_ID_HEADER: exchange.id, "content-type": "application/json"}
        if exchange.stream:
            headers |= STREAM_HEADERS
            if not exchange.array_framing:
                headers["content-type"] = "text/event-stream; charset=utf-8"
        if exchange.config.headers.degraded and (told := degraded_header(lost)):
            headers["x-llmgate-degraded"] = told
        exchange.status, exchange.answered_s = 200, now_s()
        exchange.usage, exchange.finish_reason = answer.usage, answer.finish_reason
        return make_response(200, body, headers)

    # -- stored responses

    def hub_request(self, exchange: Exchange) -> ir.Request:
        """The request in the hub with the items of an earlier response, for who needs it before it is routed."""
        if exchange.hub is not None or exchange.endpoint.protocol != RESPONSES:
            return self._translate.hub_request(exchange)
        asked, exchange.body = exchange.body, self._inlined(exchange)
        try:
            return self._translate.hub_request(exchange)
        finally:
            exchange.body = asked

    def _inlined(self, exchange: Exchange) -> JsonObject:
        """The body with the items of an earlier response, and those that are referred to, where they are known."""
        body = exchange.body
        previous = body.get("previous_response_id")
        if isinstance(previous, str) and previous:
            entry = self._store.get(exchange.tenant, previous, now_s())
            if entry is not None:
                body = stored.inlined(body, entry.conversation)
        return self._with_references(exchange, body)

    def _continue(self, exchange: Exchange) -> None:
        """Put the items of an earlier response, and those that are referred to, into the request itself."""
        if exchange.endpoint.protocol != RESPONSES:
            return
        asked, body = exchange.body, self._inlined(exchange)
        previous = body.get("previous_response_id")  # gone where the earlier response is known
        if isinstance(previous, str) and previous and not _is_native(exchange):
            raise stored.previous_not_found(previous)
        if body is not asked:
            exchange.asked = asked
            if not exchange.hub_edited:
                exchange.hub = None  # a rule may have looked at the request without those items
            exchange.body, exchange.raw = body, dumps(body)

    def _with_references(self, exchange: Exchange, body: JsonObject) -> JsonObject:
        items = body.get("input")
        if not isinstance(items, list) or not any(map(_is_reference, items)):
            return body
        tenant, now = exchange.tenant, now_s()
        found = [
            (self._store.item(tenant, item["id"], now) or item) if _is_reference(item) else item
            for item in items
        ]
        return {**body, "input": found}

    def _record(self, exchange: Exchange) -> None:
        """Have the answer kept, unless the client says that it never comes back."""
        if exchange.body.get("store") is False:
            return
        said = stored.input_items(exchange.body.get("input"))
        items = tuple(item for item in said if item.get("type") != TRIGGER)
        tenant = exchange.tenant

        def keep(response: JsonObject) -> None:
            self._store.put(tenant, response, items, now_s())

        exchange.recorder = Recorder(keep)

    def _item(self, exchange: Exchange, request: http.Request) -> http.Response:
        wanted, tenant = exchange.endpoint.item or "", exchange.tenant
        entry = self._store.get(tenant, wanted, now_s())
        if entry is None:
            raise stored.not_found(wanted)
        query = parse_qs(request.path.partition("?")[2])
        match exchange.endpoint.action, request.method:
            case "input_items", _:
                return json_response(_page(entry, query))
            case "cancel", _:
                raise GatewayError(
                    ErrorKind.INVALID_REQUEST,
                    "only background responses can be cancelled, and this one is complete",
                )
            case _, "DELETE":
                self._store.delete(tenant, wanted)
                return json_response(stored.deleted(wanted))
            case _:
                if query.get("stream", ["false"])[0].lower() == "true":
                    raise invalid("stream", "false: a stored response is not streamed again", True)
                return json_response(entry.body)


def _is_native(exchange: Exchange) -> bool:
    """Whether the first candidate is asked in the client's own protocol."""
    first = exchange.candidates[0] if exchange.candidates else None
    return first is not None and first.protocol == exchange.endpoint.protocol


def _is_reference(item: object) -> bool:
    return (
        isinstance(item, dict)
        and item.get("type") == "item_reference"
        and isinstance(item.get("id"), str)
    )


def _page(entry: StoredResponse, query: dict[str, list[str]]) -> JsonObject:
    limit = query.get("limit", ["20"])[0]
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= stored.MAX_LISTED):
        raise invalid("limit", f"a number from 1 to {stored.MAX_LISTED}", limit)
    return stored.list_items(
        entry.listed(),
        limit=int(limit),
        after=query.get("after", [None])[0],
        ascending=query.get("order", ["desc"])[0] == "asc",
    )
