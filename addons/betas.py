"""`anthropic-beta` flags and the body fields that they unlock: what one upstream refuses goes together. Pure.

A flag that an upstream does not take must not leave its fields behind, or the body is refused (pitfalls HDR-01).
The gateway never adds a flag of its own (HDR-02).
Reference: https://platform.claude.com/docs/en/api/beta-headers (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from config.payload import PayloadContext, PayloadRule, apply_rules
from translators.wire import Json, JsonObject

HEADER: Final = "anthropic-beta"
_CONTEXT: Final = PayloadContext(protocol="anthropic", provider="", model="")

GATED: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("context-management-", ("context_management",)),
    ("compact-", ("compaction", "context_management")),
    ("effort-", ("output_config.effort",)),
    ("task-budgets-", ("output_config.task_budget",)),
    ("structured-outputs-", ("output_format",)),
    ("fast-mode-", ("speed",)),
    ("mcp-client-", ("mcp_servers",)),
    ("server-side-fallback-", ("fallbacks",)),
    ("fallback-credit-", ("fallback_credit_token",)),
    ("user-profiles-billing-", ("billing_policy",)),
    ("cache-diagnosis-", ("diagnostics",)),
    ("message-threads-", ("thread",)),
    ("thinking-binding-controls-", ("thinking.block_binding",)),
    ("mid-conversation-output-config-", ("messages[*].output_config",)),
    ("mid-conversation-system-clear-at-", ("messages[*].clear_at",)),
    ("advanced-tool-use-", ("tools[*].defer_loading", "tools[*].input_examples")),
    ("tool-search-tool-", ("tools[*].defer_loading",)),
    ("fine-grained-tool-streaming-", ("tools[*].eager_input_streaming",)),
)
"""The beginning of a flag's name, and the paths that only it makes valid."""
SCOPE: Final = "prompt-caching-scope-"
"""Gates `cache_control.scope`, which may stand anywhere."""
CACHE: Final = "cache_control"


def split(value: str, passes: Callable[[str], bool]) -> tuple[str, tuple[str, ...]]:
    """The header with the flags that pass ("" = leave it out), and the flags that do not."""
    flags = [flag.strip() for flag in value.split(",") if flag.strip()]
    kept = [flag for flag in flags if passes(flag)]
    return ",".join(kept), tuple(flag for flag in flags if flag not in kept)


def without_gated(body: JsonObject, dropped: Iterable[str]) -> JsonObject:
    """The body without the fields of dropped flags; the very same object when it has none of them."""
    dropped = tuple(dropped)
    paths = [
        path
        for start, gated in GATED
        if any(flag.startswith(start) for flag in dropped)
        for path in gated
    ]
    if paths:
        changed = apply_rules(body, (PayloadRule(remove=tuple(paths)),), _CONTEXT)
        if changed.get("output_config") == {} and body.get("output_config") != {}:
            changed = {key: value for key, value in changed.items() if key != "output_config"}
        body = changed if changed != body else body
    if any(flag.startswith(SCOPE) for flag in dropped):
        unscoped = _unscoped(body)
        body = unscoped if isinstance(unscoped, dict) else body
    return body


def _unscoped(node: Json) -> Json:
    """The node with every `cache_control.scope` taken out; shares all that did not change."""
    if isinstance(node, list):
        items = [_unscoped(item) for item in node]
        return items if any(a is not b for a, b in zip(items, node, strict=True)) else node
    if not isinstance(node, dict):
        return node
    values = {key: _unscoped(value) for key, value in node.items()}
    control = node.get(CACHE)
    if isinstance(control, dict) and "scope" in control:
        values[CACHE] = {key: value for key, value in control.items() if key != "scope"}
    return values if any(values[key] is not value for key, value in node.items()) else node
