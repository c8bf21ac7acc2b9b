"""What must outlive the process: cooldowns, the money spent today, bans of wrong admin keys.

Each part is one small file of the state directory, written every few seconds while it changes and at the end, and
taken up again at the start. A kill loses a few seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from addons.background import in_daemon
from addons.client_key import write_secret
from addons.home import home
from addons.snapshot import ConfigHolder
from config.models import Config
from translators.wire import Json, JsonSyntaxError, dumps, loads

log = logging.getLogger(__name__)

WRITE_S: Final = 5.0
MAX_FILE_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that is kept. `dump` gives JSON, `restore` takes it up: with the seconds that have passed since."""

    name: str
    wanted: Callable[[Config], bool]
    dump: Callable[[], list[dict[str, Any]]]
    restore: Callable[[list[dict[str, Any]], float, Config], None]

    @property
    def path(self) -> Path:
        """Its file."""
        return home() / f"{self.name}.json"


class KeepState:
    """Save and restore; `wall` gives unix time. A file that cannot be used is told and left."""

    def __init__(
        self, configs: ConfigHolder, parts: Sequence[Part], wall: Callable[[], float]
    ) -> None:
        self._configs = configs
        self._parts = parts
        self._wall = wall
        self._written: dict[str, list[dict[str, Any]]] = {}
        self._task: asyncio.Task[None] | None = None

    def running(self) -> None:
        """Take up what the process before this one knew, and begin to write."""
        config = self._configs.current
        for part in self._parts:
            if part.wanted(config) and part.path.exists():
                self._restore(part, config)
        self._task = asyncio.get_running_loop().create_task(self._write_on())

    def _restore(self, part: Part, config: Config) -> None:
        try:
            if part.path.stat().st_size > MAX_FILE_BYTES:
                raise ValueError("it is too large")
            saved = loads(part.path.read_bytes())
            passed_s = max(0.0, self._wall() - float(saved["at"]))
            part.restore(saved[part.name], passed_s, config)
        except (OSError, JsonSyntaxError, AttributeError, KeyError, TypeError, ValueError) as error:
            log.warning("the %s of before cannot be read: %s", part.name, error)

    def done(self) -> None:
        """Write what is known now."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for path, text in self._changed():
            _write(path, text)

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(WRITE_S)
            for path, text in self._changed():
                await in_daemon(lambda path=path, text=text: _write(path, text))  # type: ignore[misc]

    def _changed(self) -> list[tuple[Path, str]]:
        """The files to write: those of parts that are not what was written last."""
        found = []
        for part in self._parts:
            state = part.dump() if part.wanted(self._configs.current) else []
            if state == self._written.get(part.name, []):
                continue
            self._written[part.name] = state
            content: Json = {"at": self._wall(), part.name: state}
            found.append((part.path, dumps(content).decode() + "\n"))
        return found


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(path, text)
    except OSError as error:
        log.warning("%s cannot be written: %s", path, error)
