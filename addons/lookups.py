"""Optional: look headers, options and hosts up on a short way.

mitmproxy asks six functions for each header and two more for each field that it passes, and looks some thirty up for
one request and its answer; it copies an option's value twice each time that somebody reads it; and it takes the same
`Host` apart for each addon that asks for a URL. A fifth of the Python calls of a small request (measured). What is
found, and in which words something is refused, is the same; whatever is asked in an unusual way is mitmproxy's affair.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from types import NoneType
from typing import Any, Final

from mitmproxy import http, optmanager
from mitmproxy.addonmanager import Loader
from mitmproxy.net.http import url

log = logging.getLogger(__name__)

PROBE: Final = ((b"Name", b"1"), (b"other", b"\xc3\xa4\xff"), (b"name", b"2"), (b"\xc3\xa4", b""))
ASKED: Final = ("name", "NAME", b"nAme", "Other", "ä", "Ä", "absent", "")

_get: Final = http.Headers.get
_get_all: Final = http.Headers.get_all
_getitem: Final = http.Headers.__getitem__
_contains: Final = http.Headers.__contains__
_option: Final[Any] = getattr(optmanager, "_Option", None)
_unset: Final[Any] = getattr(optmanager, "unset", None)
_current: Final[Any] = getattr(_option, "current", None)
_parse_authority: Final[Any] = getattr(url, "parse_authority", None)

PLAIN: Final = frozenset({bool, int, float, str, NoneType})
"""Types whose copies are the value itself."""
MAX_AUTHORITY: Final = 255
"""Longer ones come from nobody who will come again."""


def _values(headers: http.Headers, name: str) -> list[str]:
    wanted = name.encode("utf-8", "surrogateescape").lower()
    length = len(wanted)
    return [
        value.decode("utf-8", "surrogateescape")
        for key, value in headers.fields
        if len(key) == length and key.lower() == wanted
    ]


def _is_usual(headers: object, name: object) -> bool:
    return type(name) is str and type(headers) is http.Headers


def get(self: http.Headers, key: Any, default: Any = None) -> Any:
    """As Headers.get."""
    if not (type(key) is str and type(self) is http.Headers):
        return _get(self, key, default)
    values = _values(self, key)
    return (values[0] if len(values) == 1 else ", ".join(values)) if values else default


def get_all(self: http.Headers, name: Any) -> list[str]:
    """As Headers.get_all."""
    return _values(self, name) if _is_usual(self, name) else _get_all(self, name)


def getitem(self: http.Headers, key: Any) -> str:
    """As Headers.__getitem__."""
    values = _values(self, key) if _is_usual(self, key) else ()
    found: str = ", ".join(values) if values else _getitem(self, key)
    return found


def contains(self: http.Headers, key: Any) -> bool:
    """As Headers.__contains__."""
    return bool(_values(self, key)) if _is_usual(self, key) else _contains(self, key)


def current(self: Any) -> Any:
    """As _Option.current."""
    value = self._default if self.value is _unset else self.value
    return value if type(value) in PLAIN else _current(self)


def parse_authority(authority: Any, check: bool) -> Any:
    """As url.parse_authority."""
    parse = _parse_authority if len(authority) > MAX_AUTHORITY else _remembered
    return parse(authority, check)


@lru_cache(maxsize=256)
def _remembered(authority: Any, check: bool) -> Any:
    return _parse_authority(authority, check)


QUICK: Final = {
    "get": get,
    "get_all": get_all,
    "__getitem__": getitem,
    "__contains__": contains,
}
PLACES: Final[tuple[tuple[Any, str, Any], ...]] = (
    *((http.Headers, method, quick) for method, quick in QUICK.items()),
    (_option, "current", current),
    (url, "parse_authority", parse_authority),
)


def differs() -> str:
    """What the installed mitmproxy finds another way, or not at all, "" when there is nothing."""
    for what, is_alike in (
        ("option", _same_option),
        ("host", _same_host),
        ("header", _same_header),
    ):
        try:
            alike = is_alike()
        except Exception:  # noqa: BLE001 - whatever an unknown mitmproxy raises is the finding
            alike = False
        if not alike:
            return what
    return ""


def _same_option() -> bool:
    option = _option("name", str, "a", "help", None)
    before = current(option) == _current(option) == "a"
    option.set("b")
    return bool(before and current(option) == _current(option) == "b")


def _same_host() -> bool:
    given: bool = parse_authority(b"host:1", True) == ("host", 1)
    return given and parse_authority("host", False) == ("host", None)


def _same_header() -> bool:
    headers = http.Headers(PROBE)
    return all(
        _get(headers, name, 0) == get(headers, name, 0)
        and _get_all(headers, name) == get_all(headers, name)
        and _contains(headers, name) == contains(headers, name)
        for name in ASKED
    )


class Lookups:
    """Put the quick look-ups in the place of mitmproxy's."""

    def __init__(self) -> None:
        self._own: list[tuple[Any, str, Any]] = []

    def load(self, loader: Loader) -> None:
        """Install, or say why not."""
        if what := differs():
            log.warning("quick look-ups are off: mitmproxy finds another %s", what)
            return
        for owner, name, quick in PLACES:
            self._own.append((owner, name, vars(owner).get(name)))
            setattr(owner, name, quick)

    def done(self) -> None:
        """Give mitmproxy its own back."""
        for owner, name, own in self._own:
            if own is None:  # inherited
                delattr(owner, name)
            else:
                setattr(owner, name, own)
        self._own.clear()
