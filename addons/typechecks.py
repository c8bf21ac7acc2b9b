"""Optional: see at one glance that the fields of an HTTP message have their types, and ask mitmproxy only otherwise.

mitmproxy checks each field of each message that it makes, twelve for a request, with its general checker for options:
a tenth of the CPU of a small request (measured). What it refuses, and in which words, stays its own affair.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final, get_args

from mitmproxy import http
from mitmproxy.addonmanager import Loader

log = logging.getLogger(__name__)

CLASSES: Final = ("RequestData", "ResponseData")
CHECK: Final = "__post_init__"

type Kinds = frozenset[type]
type Check = Callable[[Any], None]


def missing() -> list[str]:
    """The names that this module needs and mitmproxy does not have."""
    found = {name: getattr(http, name, None) for name in CLASSES}
    absent = [f"http.{name}" for name, one in found.items() if one is None]
    absent += [
        f"type of http.{name}.{field.name}"
        for name, one in found.items()
        if one is not None
        for field in fields(one)
        if not all(isinstance(kind, type) for kind in _kinds(field.type))
    ]
    return absent


def _kinds(declared: Any) -> Kinds:
    """The exact types that are surely right; mitmproxy takes an integer where it declares a float."""
    kinds = frozenset(get_args(declared) or (declared,))
    return kinds | {int} if float in kinds else kinds


def glance(cls: type, check: Check) -> Check:
    """A `__post_init__` that passes what has exactly its declared types, and asks `check` about the rest."""
    read = attrgetter(*(field.name for field in fields(cls)))
    kinds = [_kinds(field.type) for field in fields(cls)]

    def post_init(self: Any) -> None:
        for value, allowed in zip(read(self), kinds, strict=True):
            if type(value) not in allowed:
                check(self)
                return

    return post_init


class TypeChecks:
    """Put the glance in front of mitmproxy's check."""

    def __init__(self) -> None:
        self._installed: list[type] = []

    def load(self, loader: Loader) -> None:
        """Install, or say why not; without assertions (`python -O`) mitmproxy checks nothing."""
        if absent := missing():
            log.warning("quick type checks are off: mitmproxy has no %s", ", ".join(absent))
            return
        for name in CLASSES:
            cls = getattr(http, name)
            check = getattr(cls, CHECK, None)
            if check is not None and CHECK not in vars(cls):
                setattr(cls, CHECK, glance(cls, check))
                self._installed.append(cls)

    def done(self) -> None:
        """Give mitmproxy its own check back."""
        for cls in self._installed:
            delattr(cls, CHECK)
        self._installed.clear()
