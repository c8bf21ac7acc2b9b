"""Responses that clients may come back to, in memory: by tenant, bounded in bytes and in time.

Knows nothing of flows. The clock is passed in with every call.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from translators.openai_responses.stored import listed
from translators.wire import JsonObject, dumps

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_ENTRY_BYTES: Final = 8 * 1024 * 1024
TTL_S: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """One answer: what the client saw, and the whole conversation that led to it."""

    body: JsonObject
    items: tuple[JsonObject, ...]
    """The input, that of earlier responses included, as it would be sent again."""
    size_bytes: int
    expires_s: float

    @property
    def conversation(self) -> tuple[JsonObject, ...]:
        """What a request that continues this response starts with."""
        output = self.body.get("output")
        made = [item for item in output if isinstance(item, dict)] if output else []
        return (*self.items, *made)

    def listed(self) -> list[JsonObject]:
        """The input items in order, each with an id."""
        return [listed(item, self.body["id"], at) for at, item in enumerate(self.items)]


class ResponseStore:
    """The newest responses of all tenants; the oldest go first when there is no room."""

    def __init__(self, *, max_bytes: int = MAX_BYTES, ttl_s: float = TTL_S) -> None:
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._entries: OrderedDict[tuple[str, str], StoredResponse] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(
        self, tenant: str, body: JsonObject, items: tuple[JsonObject, ...], now_s: float
    ) -> bool:
        """Keep an answer; False when it is too large.

        Earlier items are shared with the responses that they came from, and still counted in full: the bound holds
        whichever of them goes first.
        """
        size = len(dumps(body)) + len(dumps(items))
        if size > min(MAX_ENTRY_BYTES, self._max_bytes):
            return False
        self.delete(tenant, body["id"])
        self._entries[tenant, body["id"]] = StoredResponse(
            body=body, items=items, size_bytes=size, expires_s=now_s + self._ttl_s
        )
        self.size_bytes += size
        while self.size_bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))
        return True

    def get(self, tenant: str, response_id: str, now_s: float) -> StoredResponse | None:
        """A tenant's response, None when it is not there (any more)."""
        self._expire(now_s)
        return self._entries.get((tenant, response_id))

    def item(self, tenant: str, item_id: str, now_s: float) -> JsonObject | None:
        """An output item of any of a tenant's responses, the newest first."""
        self._expire(now_s)
        for (owner, _), entry in reversed(self._entries.items()):
            if owner == tenant:
                for item in entry.body.get("output") or ():
                    if isinstance(item, dict) and item.get("id") == item_id:
                        return item
        return None

    def delete(self, tenant: str, response_id: str) -> bool:
        """Forget a response; whether it was there."""
        if (tenant, response_id) not in self._entries:
            return False
        self._drop((tenant, response_id))
        return True

    def _drop(self, key: tuple[str, str]) -> None:
        self.size_bytes -= self._entries.pop(key).size_bytes

    def _expire(self, now_s: float) -> None:
        # All live equally long, so the order of arrival is the order of departure.
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.expires_s > now_s:
                return
            self._drop(key)
