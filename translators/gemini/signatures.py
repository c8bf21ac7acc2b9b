"""Thought signatures: from the part that carries one to the reasoning before it, and back.

A signature belongs to the part that it stands on. The hub keeps it as a `Reasoning` in front of that part;
one that stands on an empty text part is a `Reasoning` with nothing after it. It must not invent one: the only
value made here is the placeholder that the reference documents for calls of another model.
Reference: https://ai.google.dev/gemini-api/docs/thought-signatures (read 2026-11-21)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from translators import ir
from translators.seal import Seal

BYPASS: Final = "skip_thought_signature_validator"
"""Stands in for the signature of a call that this model did not make."""

_BYPASSES: Final = frozenset(
    {
        "skip/thought/signature/validator",
        "context/engineering/is/the/way/to/go",
        # The same words from a client that encoded them once more.
        "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I",
        "Y29udGV4dF9lbmdpbmVlcmluZ19pc190aGVfd2F5X3RvX2dv",
    }
)
"""In the standard alphabet without padding."""


def is_bypass(signature: str) -> bool:
    """Whether this is a placeholder, that is no state at all."""
    return signature.replace("-", "+").replace("_", "/").rstrip("=") in _BYPASSES


def read_signature(signature: str, seal: Seal | None, path: str) -> ir.Reasoning | None:
    """The reasoning behind a client's `thoughtSignature`: what an envelope holds, or Gemini's own state.

    None for "", a placeholder, or an envelope that cannot be opened here.
    """
    if not signature or is_bypass(signature):
        return None
    if Seal.is_envelope(signature):
        return seal.unwrap(signature, path) if seal else None
    state = ir.OpaqueState(kind=ir.StateKind.GEMINI_SIGNATURE, value=signature)
    return ir.Reasoning(state=state, path=path)


def add_signature(parts: list[ir.Part], signed: ir.Reasoning) -> None:
    """Put a part's signature before it: joined with the thoughts that stand there, if they have none yet."""
    last = parts[-1] if parts else None
    if not isinstance(last, ir.Reasoning) or last.state is not None:
        parts.append(signed)
    elif signed.state is not None and signed.state.protocol == "gemini" and not signed.text:
        parts[-1] = replace(last, state=signed.state)
    else:
        parts[-1] = signed  # an envelope holds the text byte for byte, the client's copy may differ


def signature_of(reasoning: ir.Reasoning, seal: Seal | None) -> str | None:
    """What a Gemini client stores for a piece of reasoning: Gemini's own signature, or the envelope.

    Thoughts without state go along too: Gemini clients drop thoughts from their history, and some Chat upstreams
    refuse a call whose reasoning does not come back.
    """
    if reasoning.state is None:
        return seal.wrap_text(reasoning.text) if seal else None
    if reasoning.state.kind is ir.StateKind.GEMINI_SIGNATURE:
        return reasoning.state.value
    return seal.wrap(reasoning) if seal else None
