"""The configuration in force: one reference, swapped as a whole."""

from __future__ import annotations

from config.models import Config


class ConfigHolder:
    """Hand out the current snapshot; an exchange keeps the one that it began with."""

    def __init__(self, config: Config) -> None:
        self.current = config
        self.problem: str | None = None
        """Why the newest file was refused, None when it was taken."""

    def replace(self, config: Config) -> None:
        """Take a new snapshot; requests under way keep theirs."""
        self.current = config
        self.problem = None
