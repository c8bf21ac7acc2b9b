"""Load the configuration at start, and again when a file of it changes.

A changed file is validated as a whole before one reference is swapped; if it is wrong, the old configuration
stays and the problem is shown in the log and in `/health`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, Optional

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader

from addons.background import in_daemon
from addons.client_key import ensure_secret, ensure_token
from addons.home import home
from addons.snapshot import ConfigHolder
from addons.translate import Translate
from config import capabilities
from config import loader as config_loader
from config.models import Config
from config.pending import without_effect
from config.problems import ConfigError
from config.section import Section
from translators.errors import GatewayError
from translators.seal import Seal

log = logging.getLogger(__name__)

PREFIX: Final = "llmgate_"
OPTIONAL_TEXT: Final[Any] = Optional[str]  # noqa: UP045 - the only spelling that mitmproxy knows
POLL_S: Final = 1.0


class ConfigWatcher:
    """Owns the snapshot: nobody else replaces it."""

    def __init__(self, configs: ConfigHolder, translate: Translate) -> None:
        self._configs = configs
        self._translate = translate
        self._task: asyncio.Task[None] | None = None
        self._seen: dict[Path, tuple[int, int]] = {}

    def load(self, loader: Loader) -> None:
        """Declare the options: the file, and every single setting as `llmgate_<section>__<key>`."""
        loader.add_option(
            f"{PREFIX}config", OPTIONAL_TEXT, None, "llmgate's configuration file (YAML)"
        )
        for name, description in setting_names().items():
            loader.add_option(PREFIX + name, OPTIONAL_TEXT, None, description)
        # Reasoning that was handed out before a restart must be readable after it.
        key, _made = ensure_secret(home() / "seal.key")
        self._translate.seal = Seal(key.encode())

    def configure(self, updated: set[str]) -> None:
        """Read the configuration at start and when an option of ours changes."""
        ours = {PREFIX + name for name in (*setting_names(), "config")}
        if not ours & updated:
            return
        try:
            self._take(self._reading()())
        except (ConfigError, GatewayError) as error:
            if self._task is not None:
                raise exceptions.OptionsError(str(error)) from error
            # mitmproxy ends when an error was logged before it runs; an exception would bury it in tracebacks.
            log.error("llmgate cannot start:\n%s", error)

    def running(self) -> None:
        """Begin to watch the files; with a flow view, keep what streamed so that it can be read there."""
        if ctx.master.addons.get("view") is not None:
            ctx.options.store_streamed_bodies = True
        self._seen = self._stamps()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def done(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _path(self) -> Path | None:
        named = getattr(ctx.options, f"{PREFIX}config", None)
        return Path(named) if named else None

    def _reading(self) -> Callable[[], Config]:
        """What reads the configuration as the options are now; it blocks, for secrets may come from commands."""
        given = {name: getattr(ctx.options, PREFIX + name, None) for name in setting_names()}
        options = {name: value for name, value in given.items() if value is not None}
        path, found = self._path(), home() / capabilities.FILE

        def read() -> Config:
            config = config_loader.load(path, options=options)
            findings = capabilities.by_place(capabilities.read_findings(found))
            return config.with_findings(findings)

        return read

    def _take(self, config: Config) -> None:
        if not config.client_keys:
            token, made = ensure_token(home())
            self._configs.accept_generated(token)
            if made:
                log.info("llmgate made a client key: %s", home() / "token")
        if idle := without_effect(config):
            log.warning("these settings have no effect yet: %s", ", ".join(idle))
        self._configs.replace(config)

    def _stamps(self) -> dict[Path, tuple[int, int]]:
        stamps = {}
        for file in (*config_loader.config_files(self._path()), home() / capabilities.FILE):
            try:
                status = file.stat()
            except OSError:
                continue
            stamps[file] = (status.st_mtime_ns, status.st_size)
        return stamps

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            stamps = self._stamps()
            if stamps == self._seen:
                continue
            self._seen = stamps
            await self.reload()

    async def reload(self) -> bool:
        """Read the files again, beside the event loop; False when they are wrong and the old configuration stays."""
        try:
            self._take(await in_daemon(self._reading()))
        except (ConfigError, GatewayError) as error:
            self._configs.problem = str(error)
            log.warning("the changed configuration was refused, the old one stays: %s", error)
            return False
        except Exception:  # a bug of ours must not end the watch
            self._configs.problem = "internal error in the gateway while reading it; see the log"
            log.exception("the changed configuration cannot be read, the old one stays")
            return False
        log.info("llmgate has taken the changed configuration")
        return True


@cache
def setting_names() -> dict[str, str]:
    """Single settings that an option can hold, by name, with their descriptions: `timeouts__connect_s`."""
    names: dict[str, str] = {}
    for name, field in Config.model_fields.items():
        default = field.default
        if isinstance(default, Section):
            for key, inner in type(default).model_fields.items():
                names[f"{name}__{key}"] = inner.description or ""
        elif not isinstance(default, dict | tuple):
            names[name] = field.description or ""
    return names
