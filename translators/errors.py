"""The closed list of ways to fail, and the one exception that carries them.

    ErrorKind
    |-- client faults    invalid_request .. unprocessable      the caller must change something
    |-- upstream faults  rate_limited .. upstream_malformed    the provider failed; some can be retried
    `-- gateway faults   misconfigured, internal               ours: logged with a traceback

Each protocol package maps kinds to its own status and type in one table; `POLICY` below says, in one
table for all protocols, what may be retried elsewhere and how loudly it is logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal


class ErrorKind(StrEnum):
    """What went wrong, independent of any protocol."""

    # client faults
    INVALID_REQUEST = "invalid_request"
    UNTRANSLATABLE = "untranslatable"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_POLICY = "content_policy"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNPROCESSABLE = "unprocessable"
    CANCELLED = "cancelled"
    # upstream faults
    RATE_LIMITED = "rate_limited"
    BILLING = "billing"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    UPSTREAM_REJECTED = "upstream_rejected"
    """The provider refused the gateway's own credential: never shown as the client's 401."""
    UPSTREAM_MALFORMED = "upstream_malformed"
    UPSTREAM_CUT = "upstream_cut"
    """The stream ended before its terminal event."""
    # gateway faults
    MISCONFIGURED = "misconfigured"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class KindPolicy:
    """How the gateway treats a kind: `retryable` = another candidate may succeed."""

    retryable: bool
    log_level: Literal["info", "warning", "error"]


_CLIENT: Final = KindPolicy(retryable=False, log_level="info")
_UPSTREAM: Final = KindPolicy(retryable=True, log_level="warning")
_OURS: Final = KindPolicy(retryable=False, log_level="error")

POLICY: Final[Mapping[ErrorKind, KindPolicy]] = {
    ErrorKind.INVALID_REQUEST: _CLIENT,
    ErrorKind.UNTRANSLATABLE: _CLIENT,
    ErrorKind.CONTEXT_TOO_LONG: _CLIENT,
    ErrorKind.CONTENT_POLICY: _CLIENT,
    ErrorKind.AUTHENTICATION: _CLIENT,
    ErrorKind.PERMISSION: _CLIENT,
    ErrorKind.NOT_FOUND: _CLIENT,
    ErrorKind.METHOD_NOT_ALLOWED: _CLIENT,
    ErrorKind.CONFLICT: _CLIENT,
    ErrorKind.TOO_LARGE: _CLIENT,
    ErrorKind.UNPROCESSABLE: _CLIENT,
    ErrorKind.CANCELLED: _CLIENT,
    ErrorKind.RATE_LIMITED: _UPSTREAM,
    ErrorKind.BILLING: _UPSTREAM,
    ErrorKind.SERVER_ERROR: _UPSTREAM,
    ErrorKind.OVERLOADED: _UPSTREAM,
    ErrorKind.TIMEOUT: _UPSTREAM,
    ErrorKind.UNREACHABLE: _UPSTREAM,
    ErrorKind.UPSTREAM_REJECTED: _UPSTREAM,
    ErrorKind.UPSTREAM_MALFORMED: _UPSTREAM,
    ErrorKind.UPSTREAM_CUT: _UPSTREAM,
    ErrorKind.MISCONFIGURED: _OURS,
    ErrorKind.INTERNAL: _OURS,
}


PERMANENT: Final = frozenset(
    {
        ErrorKind.INVALID_REQUEST,
        ErrorKind.UNTRANSLATABLE,
        ErrorKind.CONTEXT_TOO_LONG,
        ErrorKind.CONTENT_POLICY,
        ErrorKind.AUTHENTICATION,
        ErrorKind.PERMISSION,
        ErrorKind.NOT_FOUND,
        ErrorKind.METHOD_NOT_ALLOWED,
        ErrorKind.TOO_LARGE,
        ErrorKind.UNPROCESSABLE,
        ErrorKind.BILLING,
        ErrorKind.UPSTREAM_REJECTED,
        ErrorKind.MISCONFIGURED,
    }
)
"""Kinds that the same request meets again: clients are told not to retry (pitfalls ERR-17)."""

KIND_OF_STATUS: Final[Mapping[int, ErrorKind]] = {
    400: ErrorKind.INVALID_REQUEST,
    # The credential is the gateway's own: the client's was fine.
    401: ErrorKind.UPSTREAM_REJECTED,
    402: ErrorKind.BILLING,
    403: ErrorKind.UPSTREAM_REJECTED,
    404: ErrorKind.NOT_FOUND,
    405: ErrorKind.METHOD_NOT_ALLOWED,
    407: ErrorKind.UPSTREAM_REJECTED,
    408: ErrorKind.TIMEOUT,
    409: ErrorKind.CONFLICT,
    413: ErrorKind.TOO_LARGE,
    422: ErrorKind.UNPROCESSABLE,
    429: ErrorKind.RATE_LIMITED,
    499: ErrorKind.CANCELLED,
    500: ErrorKind.SERVER_ERROR,
    501: ErrorKind.METHOD_NOT_ALLOWED,
    502: ErrorKind.SERVER_ERROR,
    503: ErrorKind.OVERLOADED,
    504: ErrorKind.TIMEOUT,
    522: ErrorKind.TIMEOUT,
    524: ErrorKind.TIMEOUT,
    529: ErrorKind.OVERLOADED,
}
"""What an upstream's status says by itself, whoever speaks; section 17 of the portability rules."""

STATE_REFUSED: Final = "invalid_encrypted_content"
"""The code of a provider that cannot read reasoning state: another account's, or one whose keys have changed."""


class GatewayError(Exception):
    """A failure with everything that any side needs to hear about it.

    `message` is for the client and holds no secret. `path` is the JSON path in the client's request
    (`messages[2].content[0].type`) or None. `code` is a protocol-neutral detail such as
    `model_not_found`. `retry_after_s` is seconds, None when unknown. `provider` and
    `upstream_status` are for operators only. `status` overrides the HTTP status of the kind, for the few
    cases that HTTP has a better word for (415). `should_retry` is the provider's own verdict on asking again,
    None = it gave none. `once_more` = the model failed, not the provider: the same
    call is worth making once more, and nothing rests.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        path: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        provider: str | None = None,
        upstream_status: int | None = None,
        status: int | None = None,
        should_retry: bool | None = None,
        once_more: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.path = path
        self.code = code
        self.retry_after_s = retry_after_s
        self.provider = provider
        self.upstream_status = upstream_status
        self.status = status
        self.should_retry = should_retry
        self.once_more = once_more

    @property
    def retryable(self) -> bool:
        """Whether another candidate, key or moment may succeed."""
        return POLICY[self.kind].retryable

    @property
    def permanent(self) -> bool:
        """Whether the same request meets this again, however often it is sent: the gateway has tried the rest."""
        return self.kind in PERMANENT

    def __repr__(self) -> str:
        return f"GatewayError({self.kind.value}: {self.message!r}, path={self.path!r})"


class StreamContractError(Exception):
    """A decoder or encoder of ours broke the event grammar: a bug, never the peer's fault."""


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error in a client protocol's own words: HTTP status, headers and JSON body."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def invalid(path: str, expected: str, found: object) -> GatewayError:
    """An `invalid_request` error that names path, expected and found."""
    return GatewayError(
        ErrorKind.INVALID_REQUEST,
        f"{path}: expected {expected}, found {describe(found)}",
        path=path,
    )


def describe(value: object) -> str:
    """A short, safe description of a JSON value for an error message: type, and small scalars."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"number {value}"
        case str():
            return f'"{value}"' if len(value) <= 40 else f"a string of {len(value)} characters"
        case list():
            return "an array"
        case dict():
            return "an object"
        case _:
            return type(value).__name__
