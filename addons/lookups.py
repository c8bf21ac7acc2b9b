"""Optional: look a header up in one pass over the fields.

mitmproxy asks six functions for each look-up and two more for each field that it passes, and looks some thirty headers
up for one request and its answer: a sixth of the calls of a small request (measured). What is found, and in which words
something is refused, is the same; whatever is asked in an unusual way is mitmproxy's own affair.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from mitmproxy import http
from mitmproxy.addonmanager import Loader

log = logging.getLogger(__name__)

PROBE: Final = ((b"Name", b"1"), (b"other", b"\xc3\xa4\xff"), (b"name", b"2"), (b"\xc3\xa4", b""))
ASKED: Final = ("name", "NAME", b"nAme", "Other", "ä", "Ä", "absent", "")

_get: Final = http.Headers.get
_get_all: Final = http.Headers.get_all
_getitem: Final = http.Headers.__getitem__
_contains: Final = http.Headers.__contains__


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


QUICK: Final = {
    "get": get,
    "get_all": get_all,
    "__getitem__": getitem,
    "__contains__": contains,
}


def differs() -> str:
    """The look-up whose result is not what the installed mitmproxy gives, "" when there is none."""
    headers = http.Headers(PROBE)
    for name in ASKED:
        try:
            alike = (
                _get(headers, name, 0) == get(headers, name, 0)
                and _get_all(headers, name) == get_all(headers, name)
                and _contains(headers, name) == contains(headers, name)
            )
        except Exception:  # noqa: BLE001 - whatever an unknown mitmproxy raises is the finding
            alike = False
        if not alike:
            return repr(name)
    return ""


class Lookups:
    """Put the quick look-ups in the place of mitmproxy's."""

    def __init__(self) -> None:
        self._own: dict[str, Any] = {}
        self._installed = False

    def load(self, loader: Loader) -> None:
        """Install, or say why not."""
        if name := differs():
            log.warning("quick header look-ups are off: mitmproxy finds another header %s", name)
            return
        own = vars(http.Headers)
        self._own = {method: own[method] for method in QUICK if method in own}
        self._installed = True
        for method, quick in QUICK.items():
            setattr(http.Headers, method, quick)

    def done(self) -> None:
        """Give mitmproxy its own back."""
        if not self._installed:
            return
        self._installed = False
        for method in QUICK:
            if method in self._own:
                setattr(http.Headers, method, self._own[method])
            else:
                delattr(http.Headers, method)
