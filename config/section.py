"""The base of every configuration model, and the field types that several of them share."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
)

from config.secrets import SecretSources, resolve

ProtocolName = Literal["openai_chat", "openai_responses", "anthropic", "gemini"]
_USER_INFO: Final = re.compile(r"(?<=://)[^/?#]*@")
NAME_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$"


class Section(BaseModel):
    """A frozen mapping of known keys; a docstring below a field is its description."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("an http:// or https:// URL with a host")
    if not value.isprintable() or " " in value:
        raise ValueError("a URL without spaces and line breaks")
    if parts.query or parts.fragment:
        raise ValueError("a URL without query and fragment (use `query` for parameters)")
    return value.rstrip("/")


def _reference(value: Any, info: ValidationInfo) -> Any:
    """A URL that holds a password may come from the environment, too."""
    if isinstance(value, str) and value.startswith(("env:", "file:", "cmd:")):
        sources = info.context if isinstance(info.context, SecretSources) else None
        if sources is not None and not sources.resolve:
            return "direct"
        return resolve(value, sources).get_secret_value()
    return value


def _proxy_url(value: str) -> str:
    if value == "direct":
        return value
    parts = urlsplit(value)
    if parts.scheme in ("socks5", "socks5h", "socks4", "socks4a", "socks"):
        raise ValueError(
            "`direct`, or an http or https proxy: mitmproxy cannot send requests through a SOCKS proxy; "
            "put an HTTP proxy that can in front of it"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("`direct`, or an http or https URL")
    return value


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    return _USER_INFO.sub("", url)


def _decimal(value: Any) -> Any:
    # A YAML float such as 0.1 must become exactly Decimal("0.1").
    return str(value) if isinstance(value, float) else value


type Strings = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
"""A list of strings; one string alone stands for a list of one."""
type Statuses = Annotated[
    tuple[Annotated[int, Field(ge=100, le=599)], ...], BeforeValidator(_as_list)
]
type HttpUrl = Annotated[str, AfterValidator(_http_url)]
type ProxyUrl = Annotated[
    str,
    BeforeValidator(_reference),
    AfterValidator(_proxy_url),
    PlainSerializer(without_password, return_type=str),
]
type Seconds = Annotated[float, Field(ge=0, le=86400 * 7)]
type Count = Annotated[int, Field(ge=0)]
type Positive = Annotated[int, Field(ge=1)]
type Weight = Annotated[float, Field(ge=0)]
type Usd = Annotated[Decimal, BeforeValidator(_decimal), Field(ge=0)]
type Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]
type HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
"""Reference: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2 (read 2026-11-21)"""
type FilePath = Annotated[Path, AfterValidator(Path.expanduser)]
