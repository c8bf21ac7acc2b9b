"""Keep access tokens: fetched beside the event loop, one fetch at a time, renewed shortly before their end.

Who issues tokens, and how, is token_fetch.py's. A token is never logged, stored or shown.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from addons.background import in_daemon
from addons.exchange import now_s
from addons.token_fetch import Caller, Token, fetch
from config.providers import Credential, OAuth
from config.runtime import Provider
from translators.errors import ErrorKind, GatewayError

log = logging.getLogger(__name__)

LEAD_S: Final = 300.0
"""So long before its end a token is renewed, while the old one goes on being used."""
LAST_S: Final = 20.0
"""So close to its end a token is not used any more: a request takes its time."""
FETCH_LIMIT_S: Final = 30.0
RENEW_PAUSE_S: Final = 60.0
"""After a renewal ahead of time failed, the next one waits so long."""
MAX_KEPT: Final = 256

type Fetch = Callable[[Credential, str, Caller], Token]


@dataclass(slots=True, eq=False)
class _Kept:
    """One credential's token; the credential is held, so that its identity stays its own."""

    credential: Credential
    value: str = ""
    until_s: float = 0.0
    tried_s: float = float("-inf")
    task: asyncio.Task[None] | None = None


class Tokens:
    """The tokens of all providers that have a `credential`."""

    def __init__(self, get: Fetch = fetch, clock: Callable[[], float] = now_s) -> None:
        self._fetch = get
        self._clock = clock
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    async def ready(self, provider: Provider, proxy: str | None) -> None:
        """See that `value` will give a token; GatewayError when there is none to be had."""
        if provider.credential is None:
            return
        kept = self._entry(provider.credential)
        left_s = kept.until_s - self._clock()
        lead_s = (
            provider.credential.refresh_lead_s if isinstance(provider.credential, OAuth) else LEAD_S
        )
        if left_s > max(LAST_S, lead_s):
            return
        if left_s > LAST_S:
            if self._clock() - kept.tried_s >= RENEW_PAUSE_S:
                self._begin(kept, provider, proxy).add_done_callback(_told)
            return
        # Shielded: the client that asked first may leave, and others wait for the same token.
        try:
            await asyncio.shield(self._begin(kept, provider, proxy))
        except GatewayError as error:
            raise _own(error, provider) from error

    def value(self, provider: Provider) -> str | None:
        """The token to use now, None when `ready` has not been asked for one."""
        if provider.credential is None:
            return None
        return self._entry(provider.credential).value or None

    def drop(self, provider: Provider) -> None:
        """The provider refused the token: the next request gets a new one."""
        if provider.credential is not None:
            kept = self._entry(provider.credential)
            kept.value, kept.until_s = "", 0.0

    def _entry(self, credential: Credential) -> _Kept:
        kept = self._kept.get(id(credential))
        if kept is None:
            kept = self._kept[id(credential)] = _Kept(credential)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(id(credential))
        return kept

    def _begin(self, kept: _Kept, provider: Provider, proxy: str | None) -> asyncio.Task[None]:
        if kept.task is None or kept.task.done():
            kept.tried_s = self._clock()
            kept.task = asyncio.get_running_loop().create_task(self._renew(kept, provider, proxy))
        return kept.task

    async def _renew(self, kept: _Kept, provider: Provider, proxy: str | None) -> None:
        call = partial(self._get, kept.credential, provider, proxy)
        try:
            async with asyncio.timeout(FETCH_LIMIT_S):
                token = await in_daemon(call)
        except TimeoutError as error:
            raise GatewayError(
                ErrorKind.UNREACHABLE, "the issuer of tokens did not answer in time"
            ) from error
        kept.value, kept.until_s = token.value, self._clock() + token.lifetime_s
        log.info("provider=%s has a new token for %.0f s", provider.name, token.lifetime_s)

    def _get(self, credential: Credential, provider: Provider, proxy: str | None) -> Token:
        return self._fetch(credential, provider.name, Caller(proxy, provider.ca_file))


def _own(error: GatewayError, provider: Provider) -> GatewayError:
    """The error for one of those who waited: each may change and keep its own."""
    return GatewayError(
        error.kind,
        error.message,
        code=error.code,
        provider=provider.name,
        upstream_status=error.upstream_status,
    )


def _told(task: asyncio.Task[None]) -> None:
    """A renewal ahead of time may fail: the old token is good for a while."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("a token could not be renewed yet: %s", error)
