"""Errors of Chat Completions: the envelope that both OpenAI protocols share, and how it ends a stream.

Reference: https://platform.openai.com/docs/guides/error-codes (read 2026-11-21)
"""

from __future__ import annotations

from translators.errors import GatewayError
from translators.openai_errors import error_object, parse_error, parse_failure, render_error
from translators.sse import data_frame


def render_stream_error(error: GatewayError, request_id: str) -> bytes:
    """The event that ends a stream in failure; no `[DONE]` follows, and it has no place for the request id."""
    del request_id
    return data_frame({"error": error_object(error)})


__all__ = ["parse_error", "parse_failure", "render_error", "render_stream_error"]
