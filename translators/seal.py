"""The opaque envelope that carries one vendor's reasoning state through another vendor's client.

Text form: standard base64 of `llmg1.` + JSON + 32-byte HMAC-SHA-256, so that it always begins with
`bGxtZzEu`. The client stores it in its own opaque field (a signature, `encrypted_content`,
`thoughtSignature`) and sends it back; only a gateway with the same key can open it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from translators import ir
from translators.wire import JsonSyntaxError, dumps, loads

PREFIX: Final = b"llmg1."
TEXT_PREFIX: Final = "bGxtZzEu"
_MAC_BYTES: Final = 32


class Seal:
    """Wrap and unwrap reasoning under one key of at least 16 bytes."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("the envelope key must have at least 16 bytes")
        self._key = key

    def wrap(self, reasoning: ir.Reasoning, call_ids: tuple[str, ...] = ()) -> str | None:
        """The envelope of a piece of reasoning, None when it has no state to carry.

        Deterministic: the same reasoning gives the same text.
        """
        state = reasoning.state
        if state is None:
            return None
        payload: dict[str, object] = {"v": 1, "p": state.provider, "m": state.model}
        payload |= {"k": state.kind.value, "t": reasoning.text, "s": state.value}
        if call_ids:
            payload["c"] = list(call_ids)
        if reasoning.item_id:
            payload["i"] = reasoning.item_id
        signed = PREFIX + dumps(payload)
        mac = hmac.digest(self._key, signed, hashlib.sha256)
        return base64.b64encode(signed + mac).decode()

    def wrap_text(self, text: str) -> str | None:
        """The envelope of thoughts without state, None for "".

        They are kept where a client keeps opaque values only, and are known for a stranger's when they come back.
        """
        state = ir.OpaqueState(kind=ir.StateKind.CHAT_TEXT, value="")
        return self.wrap(ir.Reasoning(text=text, state=state)) if text else None

    @staticmethod
    def is_envelope(value: str) -> bool:
        """Whether this looks like an envelope (ours or another gateway's)."""
        return value.startswith(TEXT_PREFIX)

    def unwrap(self, value: str, path: str = "") -> ir.Reasoning | None:
        """The reasoning inside, byte for byte; None when it is no envelope, damaged, or not under our key."""
        if not value.startswith(TEXT_PREFIX):
            return None
        # Gemini clients may hand it back in the URL-safe alphabet and without padding.
        text = value.replace("-", "+").replace("_", "/").rstrip("=")
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except ValueError:  # also what is not ASCII
            return None
        signed, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, hmac.digest(self._key, signed, hashlib.sha256)):
            return None
        try:
            payload = loads(signed[len(PREFIX) :])
            state = ir.OpaqueState(
                kind=ir.StateKind(payload["k"]),
                value=payload["s"],
                provider=payload["p"],
                model=payload["m"],
            )
            return ir.Reasoning(text=payload["t"], state=state, item_id=payload.get("i"), path=path)
        except (JsonSyntaxError, KeyError, ValueError, TypeError):
            return None  # a later version's payload under the same key
