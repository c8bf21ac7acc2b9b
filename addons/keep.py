"""Cooldowns over restarts: written to the state directory at the end, taken up again at the start."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from addons.client_key import write_secret
from addons.cooldown import Cooldowns
from addons.home import home
from addons.snapshot import ConfigHolder
from translators.wire import JsonSyntaxError, dumps, loads

log = logging.getLogger(__name__)

FILE: Final = "cooldowns.json"


class KeepCooldowns:
    """Save and restore; `wall` gives unix time. A file that cannot be used is told and left."""

    def __init__(
        self, configs: ConfigHolder, cooldowns: Cooldowns, wall: Callable[[], float]
    ) -> None:
        self._configs = configs
        self._cooldowns = cooldowns
        self._wall = wall

    def running(self) -> None:
        """Take up what the process before this one knew."""
        path = self._path()
        settings = self._configs.current.cooldowns
        if not settings.persist or not path.exists():
            return
        try:
            saved = loads(path.read_bytes())
            passed_s = max(0.0, self._wall() - float(saved["at"]))
            self._cooldowns.restore(saved["rests"], passed_s, settings.cap_s)
        except (OSError, JsonSyntaxError, KeyError, TypeError, ValueError) as error:
            log.warning("the cooldowns of before cannot be read: %s", error)

    def done(self) -> None:
        """Write what rests now."""
        if not self._configs.current.cooldowns.persist:
            return
        text = dumps({"at": self._wall(), "rests": self._cooldowns.dump()}).decode()
        try:
            path = self._path()
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_secret(path, text + "\n")
        except OSError as error:
            log.warning("the cooldowns cannot be kept: %s", error)

    @staticmethod
    def _path() -> Path:
        return home() / FILE
