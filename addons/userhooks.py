"""The hooks of users' scripts: `llm_request`, `llm_event`, `llm_response`, `llm_done` (docs/scripting.md).

A script is anything that mitmproxy loads with `-s`. Handlers run in the order of the scripts; the first one that
answers ends `llm_request`. What a handler raises ends the request: a GatewayError is the client's answer in its own
protocol, anything else a 500, and in a stream the protocol's error event. `llm_attempt` and `llm_attempt_failed` are
the engine's (contract.py). Nothing is parsed, folded or called for a hook that no script defines.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mitmproxy import exceptions, http
from mitmproxy.hooks import Hook

from addons.admission import refuse
from addons.dispatch import Dispatch, Handler
from addons.exchange import Exchange, Exchanges, Try
from addons.guard import fail_closed
from addons.relay import TERMINAL, OnEvent
from addons.router import ROUTED
from addons.side import Side
from addons.translate import Translate
from translators import ir
from translators.errors import GatewayError
from translators.fold import Folder
from translators.losses import Losses
from translators.losses import Side as LossSide

log = logging.getLogger(__name__)


@dataclass
class LlmRequestHook(Hook):
    """A request is read and about to be routed: edit `exchange.request`, set `exchange.use`, or `exchange.reply()`."""

    exchange: Exchange


@dataclass
class LlmEventHook(Hook):
    """One event of a streamed answer. Not `async`.

    None leaves it as it is; an event replaces it, a list of events stands in its place, [] drops it.
    """

    exchange: Exchange
    event: ir.StreamEvent


@dataclass
class LlmResponseHook(Hook):
    """An answer is complete: `exchange.answer`. One that was not streamed can still be replaced."""

    exchange: Exchange


@dataclass
class LlmDoneHook(Hook):
    """A request is over, however it ended: its log record, without prompt, answer and keys."""

    record: dict[str, Any]


class UserHooks:
    """Run the scripts' hooks; stands between the Gate and the Router."""

    def __init__(
        self, exchanges: Exchanges, dispatch: Dispatch, translate: Translate, side: Side
    ) -> None:
        self._exchanges = exchanges
        self._dispatch = dispatch
        self._translate = translate
        self._side = side
        self._tasks: set[asyncio.Task[None]] = set()

    # -- before routing

    @fail_closed
    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Show a request to `llm_request`."""
        handlers = self._dispatch.handlers(LlmRequestHook.name)
        exchange = self._exchanges.get(flow) if handlers else None
        if exchange is None or exchange.endpoint.operation not in ROUTED:
            return None
        return self._ask(flow, exchange, handlers)

    async def _ask(
        self, flow: http.HTTPFlow, exchange: Exchange, handlers: Sequence[Handler]
    ) -> None:
        exchange.reader = self._side.hub_request
        await _run(handlers, exchange, until=lambda: exchange.answer is not None)
        if exchange.answer is not None:
            flow.response = self._side.reply(exchange, exchange.answer)

    # -- while it streams

    def on_event(self, exchange: Exchange) -> OnEvent | None:
        """What a relay calls for each event; None when no script defines `llm_event`."""
        handlers = self._dispatch.handlers(LlmEventHook.name)
        if not handlers:
            return None

        def seen(event: ir.StreamEvent) -> Sequence[ir.StreamEvent]:
            events: Sequence[ir.StreamEvent] = (event,)
            for handler in handlers:
                events = [made for one in events for made in _made(handler, exchange, one)]
            if isinstance(event, TERMINAL) and not (events and isinstance(events[-1], TERMINAL)):
                raise ValueError("llm_event took away the event that ends the stream")
            return events

        return seen

    # -- when it is whole

    def wants_answer(self) -> bool:
        """Whether a script defines `llm_response`."""
        return bool(self._dispatch.handlers(LlmResponseHook.name))

    def response(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Show a whole answer to `llm_response`; runs before Failover puts it into the flow."""
        handlers = self._dispatch.handlers(LlmResponseHook.name)
        exchange = self._exchanges.get(flow) if handlers else None
        one = exchange.current if exchange is not None else None
        if exchange is None or one is None or exchange.error is not None:
            return None
        return self._answered(flow, exchange, one, handlers)

    async def _answered(
        self, flow: http.HTTPFlow, exchange: Exchange, one: Try, handlers: Sequence[Handler]
    ) -> None:
        try:
            await self._show(exchange, one, handlers)
        except GatewayError as error:
            if one.relay is not None or exchange.promised:
                raise
            refuse(self._exchanges, flow, error)

    async def _show(self, exchange: Exchange, one: Try, handlers: Sequence[Handler]) -> None:
        answer = self._whole(one)
        if answer is None:
            return
        exchange.answer = answer
        await _run(handlers, exchange)
        if exchange.answer is answer or exchange.answer is None:
            return
        if one.unary is None:
            raise ValueError("llm_response cannot replace an answer that has been streamed")
        losses = Losses(one.losses.mode, LossSide.RESPONSE)
        one.unary = self._translate.write_whole(exchange, exchange.answer, losses)
        one.losses.extend(losses)

    def _whole(self, one: Try) -> ir.Response | None:
        """The answer in the hub; None when there is none, as of a stream that broke."""
        if one.relay is not None:
            if isinstance(one.trail, Folder) and one.relay.error is None:
                return one.trail.response()
            return None
        if one.response is None and one.unary is not None:
            one.response = self._translate.read_passed(one)
        return one.response

    # -- when it is over

    def record(self, record: dict[str, Any]) -> None:
        """Hand a record to `llm_done`, behind the request's back."""
        handlers = self._dispatch.handlers(LlmDoneHook.name)
        if handlers:
            task = asyncio.get_running_loop().create_task(_tell(handlers, dict(record)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def done(self) -> None:
        """Let the last records arrive."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    def refuse(self, flow: http.HTTPFlow, error: GatewayError) -> None:
        """Answer with an error."""
        refuse(self._exchanges, flow, error)


async def _run(
    handlers: Sequence[Handler], subject: object, until: Callable[[], bool] = lambda: False
) -> None:
    """Each handler in turn, waited for if it is async; mitmproxy's AddonHalt ends the round."""
    try:
        for handler in handlers:
            pending = handler(subject)
            if pending is not None and inspect.isawaitable(pending):
                await pending
            if until():
                return
    except exceptions.AddonHalt:
        return


async def _tell(handlers: Sequence[Handler], record: dict[str, Any]) -> None:
    try:
        await _run(handlers, record)
    except Exception:  # nobody is left who could be told
        log.exception("llm_done of a script failed")


def _made(
    handler: Callable[..., Any], exchange: Exchange, event: ir.StreamEvent
) -> Sequence[ir.StreamEvent]:
    made = handler(exchange, event)
    if made is None:
        return (event,)
    if isinstance(made, list | tuple):
        return made
    if inspect.isawaitable(made):
        if inspect.iscoroutine(made):
            made.close()
        raise TypeError("llm_event cannot be async: it runs inside the stream")
    return (made,)
