"""Find the useful sentence in whatever an upstream sends as an error, and make it safe to show.

Bodies are JSON of any nesting, JSON in a JSON string, HTML, plain text, or gzip that nobody declared
(pitfalls ERR-04, ENC-05). What leaves here holds no control characters and nothing that looks like a secret.
It must not decide what kind of error it is: that is each protocol's business.
"""

from __future__ import annotations

import html
import re
import zlib
from typing import Final

from translators.wire import Json, JsonSyntaxError, loads

MAX_MESSAGE_CHARS: Final = 500
_MAX_BODY_BYTES: Final = 1024 * 1024
_MAX_DEPTH: Final = 8

_MESSAGE_KEYS: Final = (
    "message",
    "msg",
    "error",
    "errors",
    "error_message",
    "errorMessage",
    "error_msg",
    "error_description",
    "detail",
    "details",
    "status_msg",
    "base_resp",
    "response",
    "description",
    "title",
    "reason",
)
"""Where vendors put the sentence, most telling first."""

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_HEADING: Final = re.compile(r"<h1[^>]*>(.*?)</h1>", re.IGNORECASE | re.DOTALL)
_INVISIBLE: Final = re.compile(
    r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL
)
_TAG: Final = re.compile(r"<[^>]*>")
_HTML_START: Final = re.compile(r"\s*(?:<!doctype html|<html|<head|<body|<\?xml)", re.IGNORECASE)

REDACTED: Final = "[redacted]"
_SECRETS: Final = (
    (re.compile(r"([?&](?:key|api_key|apikey|access_token|token|sig|signature)=)[^&\s\"'<>]+", re.I), True),
    (re.compile(r"(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.I), True),
    (re.compile(r"((?:x-api-key|api-key|x-goog-api-key|authorization)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;]{6,}", re.I), True),
    (re.compile(r"\b(?:sk|pk|rk|gsk|xai|pplx|hf|r8|nvapi|fw|csk|tgp|AKIA|ghp|gho|ghu|ghs|glpat)[-_][A-Za-z0-9*._-]{8,}"), False),
    (re.compile(r"\bAIza[0-9A-Za-z_-]{20,}"), False),
    (re.compile(r"\bya29\.[0-9A-Za-z_-]{10,}"), False),
    (re.compile(r"\beyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}(?:\.[0-9A-Za-z_-]*)?"), False),
)  # fmt: skip
"""What looks like a credential; True = group 1 (the name in front of it) stays."""

_OVERFLOW: Final = re.compile(
    r"context[_ ]length[_ ]exceeded"
    r"|maximum context length"
    r"|max(?:imum)?[_ ](?:model|context|seq|sequence)[_ ]?(?:len|length|window)"
    r"|context (?:window|length|size)[^.]{0,60}(?:exceed|exceeds|limit|overflow|too small)"
    r"|exceed(?:s|ed|ing)?[^.]{0,60}context (?:window|length|size|limit)"
    r"|prompt is too long|(?:prompt|input)(?: \w+){0,4} (?:is )?too long"
    r"|input token count[^.]{0,80}exceeds the maximum"
    r"|too many (?:input |prompt )?tokens(?! per)"
    r"|input (?:length|tokens) (?:and `?max_tokens`? )?exceed"
    r"|exceeds the (?:maximum|limit)[^.]{0,40}(?:input )?tokens(?! per)",
    re.IGNORECASE,
)


def read_body(body: bytes) -> Json:
    """The JSON of an error body, unwrapped: undeclared gzip, a one-element array, JSON inside a string.

    None when it is no JSON.
    """
    value: Json = _decode(body)
    for _ in range(3):
        if isinstance(value, str):
            try:
                value = loads(value.strip())
            except JsonSyntaxError:
                return None
        elif isinstance(value, list) and value:
            value = value[0]
        else:
            break
    return value if isinstance(value, dict) else None


def message_of(body: bytes, default: str) -> str:
    """The first useful sentence of an error body, cleaned; `default` when there is none."""
    value = read_body(body)
    if value is not None:
        return clean(find_message(value) or "") or default
    text = _decode(body)
    if _HTML_START.match(text):
        text = _html_text(text)
    return clean(text) or default


def find_message(value: Json, depth: int = 0) -> str | None:
    """The first non-empty sentence in a JSON error, looked for under the keys that vendors use."""
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, str):
        return _nested(value, depth)
    if isinstance(value, list):
        return _first(value, depth)
    if isinstance(value, dict):
        return _first([value[key] for key in _MESSAGE_KEYS if value.get(key)], depth)
    return None


def _first(values: list[Json], depth: int) -> str | None:
    for item in values:
        found = find_message(item, depth + 1)
        if found:
            return found
    return None


def _nested(text: str, depth: int) -> str | None:
    """A sentence, or the one inside a JSON text or HTML page that stands where the sentence should."""
    stripped = text.strip()
    if stripped[:1] in ("{", "["):
        try:
            inner = find_message(loads(stripped), depth + 1)
        except JsonSyntaxError:
            inner = None
        return inner or stripped
    return _html_text(stripped) if _HTML_START.match(stripped) else stripped or None


def clean(text: str) -> str:
    """One safe line: control characters removed, secrets redacted, at most 500 characters."""
    # Cut before the patterns run: a hostile body must not cost time.
    line = " ".join(_CONTROL.sub(" ", text[: 8 * MAX_MESSAGE_CHARS]).split())
    line = redact(line)
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"


def redact(text: str) -> str:
    """Replace what looks like a credential."""
    for pattern, keeps_name in _SECRETS:
        text = pattern.sub(rf"\g<1>{REDACTED}" if keeps_name else REDACTED, text)
    return text


def is_context_overflow(message: str) -> bool:
    """Whether an error text says, in any vendor's words, that the prompt does not fit the model."""
    return _OVERFLOW.search(message) is not None


def _decode(body: bytes) -> str:
    raw = body[:_MAX_BODY_BYTES]
    if raw.startswith(b"\x1f\x8b"):
        try:
            raw = zlib.decompressobj(wbits=31).decompress(raw, _MAX_BODY_BYTES)
        except zlib.error:
            return ""
    return raw.decode("utf-8-sig", "replace")


def _html_text(page: str) -> str:
    page = page[: 64 * 1024]
    for pattern in (_TITLE, _HEADING):
        match = pattern.search(page)
        text = _plain(match[1]) if match else ""
        if text:
            return text
    return _plain(page)


def _plain(markup: str) -> str:
    return " ".join(html.unescape(_TAG.sub(" ", _INVISIBLE.sub(" ", markup))).split())
