"""Media sources: data URLs, media types, base64 and file names (section 5)."""

from __future__ import annotations

from translators import ir


def parse_data_url(url: str, path: str) -> ir.Inline | None:
    """The bytes of a `data:` URL (any case; base64 or percent-encoded), None when it is another URL.

    The media type is normalised (`image/jpg` -> `image/jpeg`); a missing or contradicting one is settled by
    the first bytes. Damaged base64 is `invalid_request` at `path`.
    """
    raise NotImplementedError


def data_url(source: ir.Inline) -> str:
    """`data:<type>;base64,<data>`."""
    raise NotImplementedError


def standard_base64(data: str, path: str) -> str:
    """Base64 in the standard alphabet with padding; accepts the URL-safe one; damaged is `invalid_request`."""
    raise NotImplementedError


def media_type(declared: str | None, data: str) -> str:
    """The media type to use: the declared one normalised, unless the first bytes say otherwise."""
    raise NotImplementedError


def filename(title: str | None, media_type: str) -> str:
    """A file name for C and R: the title, or `document.pdf`, or `file.<ext>`."""
    raise NotImplementedError
