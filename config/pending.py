"""Settings that are read and checked, and have no effect yet: whoever gives one is told.

A test looks that nothing in the gateway reads what is listed here.
"""

from __future__ import annotations

from typing import Final

from config.models import Config

PENDING: Final = (
    "tls",
    "database_url",
    "redis_url",
    "hooks",
    "privacy",
    "hosted_tools",
    "retry.peek_bytes",
    "logging.file",
    "logging.retention_days",
    "logging.trace_file",
    "logging.trace_max_chars",
    "admin.dashboard",
    "admin.allowed_hosts",
    "admin.allowed_origins",
)


def without_effect(config: Config) -> list[str]:
    """The key paths of settings that were given and do nothing."""
    found = []
    for path in PENDING:
        section, _, key = path.partition(".")
        given = section in config.model_fields_set
        if given and (not key or key in getattr(config, section).model_fields_set):
            found.append(path)
    return found
