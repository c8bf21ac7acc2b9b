"""Protocol translation: four protocols over one hub, sans-I/O.

No sockets, files, clock, environment, logging or mitmproxy in here; `PROTOCOLS` is the one place that
lists the protocols.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators.anthropic import TRANSLATOR as ANTHROPIC
from translators.base import Translator
from translators.gemini import TRANSLATOR as GEMINI
from translators.openai_chat import TRANSLATOR as OPENAI_CHAT
from translators.openai_responses import TRANSLATOR as OPENAI_RESPONSES

PROTOCOLS: Final[Mapping[str, Translator]] = {
    translator.name: translator for translator in (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC, GEMINI)
}
