"""Media sources: data URLs, media types, base64 and file names (section 5)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from translators import ir
from translators.errors import ErrorKind, GatewayError, invalid

UNKNOWN_TYPE: Final = "application/octet-stream"

_ALIASES: Final[Mapping[str, str]] = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "application/x-pdf": "application/pdf",
    "audio/mpeg": "audio/mp3",
    "audio/x-mp3": "audio/mp3",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
}

_EXTENSIONS: Final[Mapping[str, str]] = {
    "text/plain": "txt",
    "text/markdown": "md",
    "text/javascript": "js",
    "text/x-python": "py",
    "image/jpeg": "jpg",
    "image/svg+xml": "svg",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    UNKNOWN_TYPE: "bin",
}

_TYPES: Final[Mapping[str, str]] = {
    **{name: f"image/{name}" for name in ("png", "jpeg", "webp", "gif", "heic", "heif", "bmp")},
    **{name: f"audio/{name}" for name in ("mp3", "wav", "aac", "ogg", "flac", "aiff")},
    **{name: f"video/{name}" for name in ("mp4", "mpeg", "webm")},
    **{name: f"text/{name}" for name in ("html", "css", "csv", "xml")},
    "jpg": "image/jpeg",
    "m4a": "audio/mp4",
    "mpg": "video/mpeg",
    "mov": "video/quicktime",
    "avi": "video/x-msvideo",
    "wmv": "video/x-ms-wmv",
    "flv": "video/x-flv",
    "3gp": "video/3gpp",
    "pdf": "application/pdf",
    "json": "application/json",
    **{extension: kind for kind, extension in _EXTENSIONS.items() if kind != UNKNOWN_TYPE},
}
"""By extension. Not `mimetypes`: that reads files of the machine, and says something else on each."""

_CERTAIN: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF", "application/pdf"),
)
"""First bytes that leave no doubt: they overrule a declared type."""
_LIKELY: Final = (
    (b"ID3", "audio/mp3"),
    (b"\xff\xfb", "audio/mp3"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"BM", "image/bmp"),
)
"""First bytes of containers and short marks: they only fill a missing type."""
_RIFF_FORMS: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_HEIF_BRANDS: Final = {b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif"}
_HEAD_CHARS: Final = 64
_PLAIN: Final = re.compile(r"[\s_-]")
_SPACE: Final = re.compile(r"\s+")


def type_of_name(name: str) -> str | None:
    """The media type that a file's name or a URL's path tells by its extension, None when it tells none."""
    _stem, dot, extension = name.rpartition(".")
    return _TYPES.get(extension.lower()) if dot else None


def parse_data_url(url: str, path: str) -> ir.Inline | None:
    """The bytes of a `data:` URL (any case; base64 or percent-encoded), None when it is another URL.

    The media type is normalised (`image/jpg` -> `image/jpeg`); a missing or contradicting one is settled by
    the first bytes. Damaged base64 is `invalid_request` at `path`.
    """
    if url[:5].lower() != "data:":
        return None
    comma = url.find(",")
    if comma < 0:
        raise invalid(path, "a data URL with a comma before its data", url)
    declared, *parameters = (item.strip() for item in url[5:comma].split(";"))
    if declared.lower() == "base64":  # `data:base64,…`, as some clients write it
        declared, parameters = "", [declared]
    if parameters and parameters[-1].lower() == "base64":
        parameters.pop()
        body = url[comma + 1 :]
        data = standard_base64(unquote(body) if "%" in body else body, path)
    else:
        data = base64.b64encode(unquote_to_bytes(url[comma + 1 :])).decode()
    full = ";".join((declared, *parameters)) if declared else None
    return ir.Inline(media_type=media_type(full, data), data=data)


def data_url(source: ir.Inline) -> str:
    """`data:<type>;base64,<data>`."""
    return f"data:{source.media_type};base64,{source.data}"


def standard_base64(data: str, path: str) -> str:
    """Base64 in the standard alphabet with padding; accepts the URL-safe one; damaged is `invalid_request`."""
    text = data
    if _PLAIN.search(text):
        text = _SPACE.sub("", text).replace("-", "+").replace("_", "/")
    if len(text) % 4:
        text = text.rstrip("=")
        text += "=" * (-len(text) % 4)
    try:
        if not text:
            raise ValueError("empty")
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST, f"{path}: expected base64 data ({error})", path=path
        ) from error
    return text


def media_type(declared: str | None, data: str) -> str:
    """The media type to use: the declared one normalised, unless the first bytes say otherwise.

    `data` is standard base64. Parameters are kept for audio only, where they give the sample rate.
    """
    told = normalised(declared)
    certain, likely = _sniff(data)
    if certain and certain != told:
        return certain
    if told and told != UNKNOWN_TYPE:
        return told
    return likely or told or UNKNOWN_TYPE


def normalised(declared: str | None) -> str | None:
    """A media type in lower case under its usual name; None when there is none."""
    if not declared or not declared.strip():
        return None
    essence, _, parameters = declared.partition(";")
    essence = essence.strip().lower()
    known = _ALIASES.get(essence, essence)
    if parameters.strip() and known.startswith("audio/"):
        # `audio/L16;rate=24000` means nothing without its rate
        return f"{known};{parameters.strip()}"
    return known


def filename(title: str | None, media_type: str) -> str:
    """A file name for C and R: the title, or `document.pdf`, or `file.<ext>`."""
    if title:
        return title
    if media_type == "application/pdf":
        return "document.pdf"
    essence = media_type.partition(";")[0]
    extension = _EXTENSIONS.get(essence) or essence.rpartition("/")[2].removeprefix("x-")
    return f"file.{extension or 'bin'}"


def _sniff(data: str) -> tuple[str | None, str | None]:
    """The type that the first bytes prove, and the one that they suggest."""
    head = data[:_HEAD_CHARS]
    try:
        start = binascii.a2b_base64(head[: len(head) // 4 * 4])
    except ValueError:
        return None, None
    for magic, kind in _CERTAIN:
        if start.startswith(magic):
            return kind, kind
    if start[:4] == b"RIFF":
        container = _RIFF_FORMS.get(start[8:12])
        return container, container
    if start[4:8] == b"ftyp":
        return None, _HEIF_BRANDS.get(start[8:12], "video/mp4")
    for magic, kind in _LIKELY:
        if start.startswith(magic):
            return None, kind
    return None, None
