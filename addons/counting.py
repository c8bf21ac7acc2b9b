"""Count a request's tokens in the gateway itself: with a tiktoken encoding where one is at hand, else by estimate.

An encoding is a file of some megabytes that tiktoken keeps in its own cache. Those in the cache are loaded, and those
missing are fetched, by one background task at start; no request ever waits for it, or fails because of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

import tiktoken

from addons.background import in_daemon
from addons.exchange import Candidate, Exchange
from translators import ir
from translators.anthropic import counting as anthropic_counting
from translators.gemini import counting as gemini_counting
from translators.openai_responses.side import counted_fields, input_tokens_response
from translators.tokens import Encoding, Estimator, TiktokenCounter, TokenCounter, count_request
from translators.wire import JsonObject, dumps

log = logging.getLogger(__name__)

LOAD_TIMEOUT_S: Final = 60.0
"""After this the gateway stops waiting for a load; its thread ends with the process at the latest."""

ANSWERS: Final[Mapping[str, Callable[[int], JsonObject]]] = {
    "anthropic": anthropic_counting.render_count,
    "gemini": gemini_counting.render_count,
    "openai_responses": input_tokens_response,
}
"""A count as each protocol says it."""

type Load = Callable[[str], Encoding]


class Counting:
    """Hold the best counter that there is; `start` looks for a better one behind the scenes."""

    def __init__(
        self, load: Load = tiktoken.get_encoding, *, timeout_s: float = LOAD_TIMEOUT_S
    ) -> None:
        self._load = load
        self._timeout_s = timeout_s
        self._task: asyncio.Task[None] | None = None
        self.counter: TokenCounter = Estimator()
        self.name = "estimate"

    def start(self, encoding: str) -> None:
        """Begin to load an encoding in the background; needs a running event loop. Once is enough."""
        if self._task is None:
            self._task = asyncio.create_task(self._find(encoding))

    async def stop(self) -> None:
        """Give up whatever is going on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _find(self, name: str) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                encoding = await in_daemon(lambda: self._load(name))
        except Exception as error:  # noqa: BLE001 - whatever a download may raise, counting goes on
            reason = str(error)[:200] or type(error).__name__
            log.info("token counts are estimates: the encoding %s is not here (%s)", name, reason)
            return
        self.counter, self.name = TiktokenCounter(encoding), name
        log.info("token counts use the encoding %s", name)

    async def count(self, request: ir.Request, protocol: str) -> int:
        """Tokens of a request at an upstream of a protocol, counted beside the event loop."""
        return await asyncio.to_thread(count_request, request, self.counter, protocol)


class Characters:
    """A counter that costs next to nothing: four characters are a token."""

    __slots__ = ()

    def count(self, text: str) -> int:
        """See TokenCounter."""
        return (len(text) + 3) // 4


def quick_estimate(request: ir.Request, protocol: str) -> int:
    """About how many tokens, for a stream that must name a number before the upstream tells one."""
    return count_request(request, Characters(), protocol)


def counted_body(
    exchange: Exchange, candidate: Candidate, change: Callable[[JsonObject], JsonObject]
) -> bytes | None:
    """The body of a count for an upstream of the client's own protocol; None = the client's bytes will do.

    `change` does to it what a generation would go through, so that what is counted is what would be sent. Anthropic
    refuses fields that a count does not know (pitfalls CNT-05), and so does OpenAI; Gemini's wrapped form is changed
    inside, and names the model once more; Google Cloud has no such form.
    """
    asked, model = exchange.body, candidate.wire_model
    profile = exchange.config.resolve_profile(
        candidate.provider, candidate.model, candidate.protocol
    )
    if candidate.protocol == "gemini":
        body = gemini_counting.forwarded(asked, model, change)
        if profile.vertex:
            body = gemini_counting.without_wrapper(body)
        return None if body is asked else dumps(body)
    body = change(asked)
    if candidate.protocol == "anthropic":
        return dumps(anthropic_counting.count_body(body, model, vertex=profile.vertex))
    if body is asked:
        return None
    return dumps(counted_fields(body, asked, model))
