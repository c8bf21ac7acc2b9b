"""Google Gemini: generateContent and streamGenerateContent, as client side and as upstream side."""

from __future__ import annotations

from translators.gemini.translator import TRANSLATOR

__all__ = ["TRANSLATOR"]
