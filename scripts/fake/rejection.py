"""What a fake provider answers when it does not answer: one exception that every protocol can spell.

It knows no protocol: each `speak_*` module turns it into its own error object.
"""

from __future__ import annotations

from typing import Final

OVERLOADED: Final = 529
MESSAGES: Final = {
    400: "The request could not be processed.",
    401: "The key was not accepted.",
    403: "You do not have access to this resource.",
    404: "The requested resource was not found.",
    408: "The request took too long to arrive.",
    409: "The request conflicts with another one.",
    413: "The request is too large.",
    429: "Rate limit reached for requests. Please try again later.",
    500: "The server had an error while processing your request.",
    502: "Bad gateway.",
    503: "The service is temporarily unavailable.",
    504: "The request timed out.",
    OVERLOADED: "Overloaded",
}


class Rejection(Exception):
    """A refused request: HTTP status, the provider's words, and what OpenAI calls `param` and `code`.

    `retry_after_s` becomes the header and, for Gemini, `RetryInfo`; None sends neither. `overflow` marks
    "the prompt does not fit": Responses reports that inside a stream, not by status.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        overflow: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s
        self.overflow = overflow
