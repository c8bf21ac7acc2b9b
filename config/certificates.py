"""Whether a file holds certificates. Reads it; knows no configuration."""

from __future__ import annotations

import ssl
from pathlib import Path


def problem_with(ca_file: Path) -> str | None:
    """Why a file cannot be a `ca_file`, None if it can: PEM with at least one certificate."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=str(ca_file))
    except ssl.SSLError:
        return f"{ca_file}, which holds no certificate in PEM"
    except OSError as error:
        return f"{ca_file}, which cannot be read ({error.strerror or error})"
    return None
