"""Show upstream attempts as flows of their own, in mitmweb, the console and saved files.

The client's flow keeps the client's request and what the client received; an attempt's flow shows what went
upstream, redacted, and what came back. Only mitmproxy's own observers see these flows: to a script or to our addons
they would look like requests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakKeyDictionary

from mitmproxy import ctx, flow, http
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Server
from mitmproxy.proxy.commands import StartHook

from addons.contract import Attempt
from addons.internals import (
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
)

OPTION: Final = "llmgate_record_attempts"
OBSERVERS: Final = ("view", "save", "savehar", "dumper")
"""Addons of mitmproxy that show or keep flows and never change them."""
SECRET_HEADERS: Final = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
        "set-cookie",
    }
)
SECRET_PARAMETERS: Final = frozenset({"key", "api_key", "access_token"})
REDACTED: Final = "<redacted>"
MAX_BODY_BYTES: Final = 1024 * 1024
FAILED_MARK: Final = ":x:"
SENT_MARK: Final = ":outbox_tray:"


def describe_target(attempt: Attempt) -> str:
    """Where an attempt went, when nobody knows better."""
    return f"{attempt.request.host}:{attempt.request.port}"


class AttemptRecorder:
    """Turn attempts into flows: the failed ones, or with a flow view also those that were answered."""

    def __init__(self, describe: Callable[[Attempt], str] = describe_target) -> None:
        self._describe = describe
        self._latest: WeakKeyDictionary[http.HTTPFlow, Attempt] = WeakKeyDictionary()

    def load(self, loader: Loader) -> None:
        """Add the option."""
        loader.add_option(
            OPTION,
            str,
            "auto",
            "Which upstream attempts become flows of their own; auto = all when there is a flow view.",
            choices=("auto", "all", "failed", "none"),
        )

    def _wants(self, failed: bool) -> bool:
        wanted = getattr(ctx.options, OPTION)
        if wanted == "auto":
            wanted = "all" if ctx.master.addons.get("view") is not None else "failed"
        return wanted == "all" or (failed and wanted == "failed")

    # --- hooks

    def llm_attempt(self, attempt: Attempt) -> Awaitable[None] | None:
        """Remember the attempt that may become the answer, and record the one that it goes on from."""
        earlier = self._latest.get(attempt.flow)
        self._latest[attempt.flow] = attempt
        if earlier is None or not self._wants(failed=False):
            return None
        return self._record(earlier)

    def llm_attempt_failed(self, attempt: Attempt) -> Awaitable[None] | None:
        """Record a failed attempt."""
        self._latest.pop(attempt.flow, None)
        return self._record(attempt) if self._wants(failed=True) else None

    def response(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Record the attempt that was answered."""
        return self._record_last(flow)

    def error(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Record the attempt that broke, or that the client left."""
        return self._record_last(flow)

    def _record_last(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        attempt = self._latest.pop(flow, None)
        if attempt is None or not self._wants(failed=attempt.cause is not None):
            return None
        return self._record(attempt)

    async def _record(self, attempt: Attempt) -> None:
        record = attempt_flow(attempt, self._describe(attempt))
        hooks: list[StartHook] = [HttpRequestHeadersHook(record), HttpRequestHook(record)]
        if record.response is not None:
            hooks += [HttpResponseHeadersHook(record), HttpResponseHook(record)]
        else:
            hooks.append(HttpErrorHook(record))
        manager = ctx.master.addons
        for hook in hooks:
            for name in OBSERVERS:
                if (observer := manager.get(name)) is not None:
                    await manager.invoke_addon(observer, hook)


def attempt_flow(attempt: Attempt, where: str) -> http.HTTPFlow:
    """A flow that shows one attempt; what it holds is a redacted copy."""
    parent = attempt.flow
    request = attempt.request
    server = attempt.server_conn or Server(address=(request.host, request.port))
    record = http.HTTPFlow(parent.client_conn, server)
    record.request = request.copy()
    record.request.timestamp_start = attempt.started_at
    record.request.timestamp_end = attempt.started_at
    _redact(record.request)
    _redact_query(record.request)
    if attempt.response is not None:
        record.response = attempt.response.copy()
        record.response.timestamp_end = attempt.started_at + (attempt.duration_s or 0)
        _redact(record.response)
    if attempt.cause is not None:
        record.error = flow.Error(f"{attempt.cause}: {attempt.error}")
    record.live = False
    record.marked = SENT_MARK if attempt.cause is None else FAILED_MARK
    record.comment = _comment(attempt, where)
    record.metadata["llm_parent"] = parent.id
    record.metadata["llm_attempt"] = attempt.number
    record.metadata["llm_cause"] = attempt.cause.value if attempt.cause is not None else ""
    return record


def _comment(attempt: Attempt, where: str) -> str:
    words = [f"attempt {attempt.number} of {attempt.flow.id[:8]} at {where}"]
    if attempt.cause is not None:
        words.append(f"{attempt.cause}: {attempt.error}")
    if attempt.duration_s is not None:
        words.append(f"{attempt.duration_s * 1000:.0f} ms")
    return ", ".join(words)


def _redact(message: http.Message) -> None:
    for name in SECRET_HEADERS:
        if name in message.headers:
            message.headers[name] = REDACTED
    if message.raw_content is not None and len(message.raw_content) > MAX_BODY_BYTES:
        message.raw_content = message.raw_content[:MAX_BODY_BYTES]


def _redact_query(request: http.Request) -> None:
    for name in SECRET_PARAMETERS:
        if name in request.query:
            request.query[name] = REDACTED
