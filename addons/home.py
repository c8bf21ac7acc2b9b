"""The state directory, the same for the addon and the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

DEFAULT: Final = "~/.llmgate"


def home() -> Path:
    """`LLMGATE_HOME`, else `~/.llmgate`."""
    return Path(os.environ.get("LLMGATE_HOME") or DEFAULT).expanduser()
