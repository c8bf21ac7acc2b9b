"""Wire words that several modules of this package share. It must not decide anything."""

from __future__ import annotations

import base64
from typing import Final

PROTOCOL: Final = "anthropic"

VERSION: Final = "2026-10-21"
SAMPLING_VERSION: Final = "2023-06-01"
"""The last API version that takes temperature, top_p and top_k."""
VERTEX_SAMPLING_VERSION: Final = "vertex-2023-10-16"
"""What `2023-06-01` is called in a Google Cloud body."""

UNSIGNED: Final = base64.b64encode(b"llmg0.unsigned").decode()
"""Stands where the protocol wants an opaque string and no one made any (a thinking block without a signature, a
search hit without encrypted content): recognised and taken off on the way back (pitfalls RSN-14)."""

CALL_PREFIX: Final = "toolu_"
SERVER_CALL_PREFIX: Final = "srvtoolu_"
MESSAGE_PREFIX: Final = "msg_"

MAX_CACHE_MARKS: Final = 4
