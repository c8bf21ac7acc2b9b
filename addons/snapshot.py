"""The configuration in force: one reference, swapped as a whole."""

from __future__ import annotations

import secrets

from addons.client_key import digest
from config.models import Config


class ConfigHolder:
    """Hand out the current snapshot; an exchange keeps the one that it began with."""

    def __init__(self, config: Config) -> None:
        self.current = config
        self.problem: str | None = None
        """Why the newest file was refused, None when it was taken."""
        self._generated: bytes | None = None

    def accept_generated(self, token: str) -> None:
        """Take the key of the token file for configurations that name no client key."""
        self._generated = digest(token)

    def is_generated(self, key: str) -> bool:
        """Whether this is the key of the token file; compared in constant time."""
        return self._generated is not None and secrets.compare_digest(digest(key), self._generated)

    def replace(self, config: Config) -> None:
        """Take a new snapshot; requests under way keep theirs."""
        self.current = config
        self.problem = None
