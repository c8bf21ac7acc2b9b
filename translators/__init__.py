"""Protocol translation: four protocols over one hub, sans-I/O.

No sockets, files, clock, environment, logging or mitmproxy in here; `PROTOCOLS` is the one place that
lists the protocols.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Final

from translators.base import Translator

NAMES: Final = ("openai_chat", "openai_responses", "anthropic", "gemini")


@cache
def _load(name: str) -> Translator:
    translator: Translator = import_module(f"translators.{name}").TRANSLATOR
    return translator


class _Protocols(Mapping[str, Translator]):
    """Name -> translator; a package is imported when it is first used."""

    def __getitem__(self, name: str) -> Translator:
        if name not in NAMES:
            raise KeyError(name)
        return _load(name)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


PROTOCOLS: Final[Mapping[str, Translator]] = _Protocols()
