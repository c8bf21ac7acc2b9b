"""Streams of Chat Completions; each direction is a file of its own, this one names them together."""

from __future__ import annotations

from translators.openai_chat.decoder import ChatDecoder
from translators.openai_chat.encoder import ChatEncoder
from translators.openai_chat.observer import ChatObserver

__all__ = ["ChatDecoder", "ChatEncoder", "ChatObserver"]
