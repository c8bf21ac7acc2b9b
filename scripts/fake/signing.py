"""Signatures on the fake's own reasoning, so that a changed, foreign or invented one is found out.

A signature binds a kind (which protocol and block), a model and the text that the client was shown. It needs
no memory: a restarted fake still knows its own. Nothing here is secret; the key only has to be the same.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

_KEY: Final = b"llmgate fake provider"
_MARK: Final = b"\x08\x01FK"
_SALT_BYTES: Final = 12
_MAC_BYTES: Final = 24


def issue(kind: str, model: str, shown: str, hidden: str) -> str:
    """Sign `shown` (what the client sees) for `model`; `hidden` is the full reasoning, which makes it unique."""
    salt = hashlib.sha256(hidden.encode()).digest()[:_SALT_BYTES]
    return base64.b64encode(_MARK + salt + _mac(kind, model, shown, salt)).decode()


def verify(kind: str, model: str, shown: str, signature: str) -> bool:
    """True when `issue` made this signature for the same kind, model and shown text."""
    raw = _decode(signature)
    if len(raw) != len(_MARK) + _SALT_BYTES + _MAC_BYTES or not raw.startswith(_MARK):
        return False
    salt, mac = raw[len(_MARK) : -_MAC_BYTES], raw[-_MAC_BYTES:]
    return hmac.compare_digest(mac, _mac(kind, model, shown, salt))


def is_base64(text: str) -> bool:
    """True for standard or URL-safe base64, with or without its padding."""
    try:
        base64.b64decode(_standard(text), validate=True)
    except ValueError:  # binascii.Error, or characters beyond ASCII
        return False
    return True


def _decode(signature: str) -> bytes:
    try:
        return base64.b64decode(_standard(signature), validate=True)
    except ValueError:
        return b""


def _standard(text: str) -> str:
    text = text.replace("-", "+").replace("_", "/").rstrip("=")
    return text + "=" * (-len(text) % 4)


def _mac(kind: str, model: str, shown: str, salt: bytes) -> bytes:
    message = b"\0".join((kind.encode(), model.encode(), shown.encode("utf-8", "replace"), salt))
    return hmac.new(_KEY, message, hashlib.sha256).digest()[:_MAC_BYTES]
