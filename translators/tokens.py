"""Count the tokens of a request without asking anybody: exactly for one encoding, or by estimate.

Every kind of content counts, and nothing that is not empty counts 0 (pitfalls CNT-04). Pictures, pages and
sounds count what the vendors document; the constants name the figure. It must not load encodings: a tiktoken
encoding is passed in.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from translators import ir
from translators.wire import dump_text


class TokenCounter(Protocol):
    """Something that says how many tokens a text has."""

    def count(self, text: str) -> int:
        """Tokens of a text; 0 only for the empty one."""
        ...


class Encoding(Protocol):
    """The part of `tiktoken.Encoding` that is needed."""

    def encode_ordinary(self, text: str) -> list[int]:
        """Token numbers, special tokens taken as text."""
        ...


_PIECE_CHARS: Final = 50_000
"""Longest text that goes to the encoder at once: a run without spaces costs more than linear time."""


class TiktokenCounter:
    """Count with a tiktoken encoding."""

    __slots__ = ("_encoding",)

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding

    def count(self, text: str) -> int:
        """See TokenCounter."""
        encode = self._encoding.encode_ordinary
        if len(text) <= _PIECE_CHARS:
            return len(encode(text))
        return sum(
            len(encode(text[start : start + _PIECE_CHARS]))
            for start in range(0, len(text), _PIECE_CHARS)
        )


# -- estimate

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_DIGITS: Final = re.compile(r"[0-9]{1,3}| (?=[0-9])")
_MARKS: Final = re.compile(r"[!-/:-@\[-`{-~]{1,3}")
_BREAKS: Final = re.compile(r"\s*\n\s*|[ \t]{2,}")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")

_SCRIPTS: Final = (
    (0x0250, 0.62),  # Latin with marks
    (0x0530, 0.36),  # Greek, Cyrillic
    (0x0700, 0.42),  # Hebrew, Arabic
    (0x0E00, 0.75),  # India
    (0x1100, 0.80),
    (0x1200, 1.00),
    (0x2000, 1.00),
    (0x2E80, 1.10),  # typographic marks, symbols
    (0x3100, 0.85),  # kana and CJK marks
    (0xA000, 0.95),  # Han
    (0xD7B0, 0.75),  # Hangul
    (0x10000, 1.00),
    (0x110000, 2.20),  # emoji and rare scripts
)
"""Up to which code point a character costs how many tokens, between what o200k_base and cl100k_base say."""


class Estimator:
    """Estimate from words, digits, marks and scripts; fitted to o200k_base and cl100k_base."""

    __slots__ = ()

    def count(self, text: str) -> int:
        """See TokenCounter."""
        if not text:
            return 0
        tokens = 0.0
        for word in _WORD.findall(text):
            size = len(word)
            tokens += 1.0 if size < 8 else 0.4 + size / 11
        tokens += len(_DIGITS.findall(text))
        tokens += 0.85 * len(_MARKS.findall(text))
        tokens += 0.8 * len(_BREAKS.findall(text))
        for run in _NOT_ASCII.findall(text):
            tokens += sum(map(_cost, run))
        return max(1, round(tokens))


def _cost(char: str) -> float:
    code = ord(char)
    return next(cost for limit, cost in _SCRIPTS if code < limit)


# -- request


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaCosts:
    """What a protocol's vendor charges for what is not text, in tokens; `tools` is its own tool prompt."""

    image: int
    image_low: int
    page: int
    audio_second: int = 32
    video_second: int = 300
    tools: int = 0


MEDIA_COSTS: Final[Mapping[str, MediaCosts]] = {
    # a 1024x1024 picture in high detail; a page is its picture and its text
    "openai_chat": MediaCosts(image=765, image_low=85, page=1265, audio_second=10),
    "openai_responses": MediaCosts(image=765, image_low=85, page=1265, audio_second=10),
    # width x height / 750 at the largest size that is not scaled down; a page is 1500 to 3000
    "anthropic": MediaCosts(image=1568, image_low=1568, page=2250, tools=346),
    # a tile, a page and a frame are 258 each, a second of sound 32
    "gemini": MediaCosts(image=258, image_low=258, page=258),
}
_USUAL: Final = MediaCosts(image=765, image_low=85, page=1265)

_PER_MESSAGE: Final = 4
_PER_TOOL: Final = 8
_PER_CALL: Final = 6
_WAV_BYTES_PER_SECOND: Final = 32_000
"""16 kHz, 16 bit, one channel."""
_PACKED_BYTES_PER_SECOND: Final = 16_000
_VIDEO_BYTES_PER_SECOND: Final = 250_000
_PAGE: Final = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_PAGE_BYTES: Final = 75_000
"""Of a PDF whose pages cannot be seen because they are packed."""
_STATE_CHARS_PER_TOKEN: Final = 8


def count_request(request: ir.Request, counter: TokenCounter, protocol: str) -> int:
    """The input tokens of a request at an upstream of a protocol; 0 only when nothing at all is in it."""
    count = _RequestCount(counter, MEDIA_COSTS.get(protocol, _USUAL))
    total = sum(count.message(message) for message in request.messages)
    if request.tools:
        total += count.costs.tools + sum(map(count.tool, request.tools))
    if request.output is not None and request.output.schema is not None:
        total += _PER_TOOL + count.json(request.output.schema)
    return total


class _RequestCount:
    """Counts the parts of one request."""

    __slots__ = ("_count", "costs")

    def __init__(self, counter: TokenCounter, costs: MediaCosts) -> None:
        self._count = counter.count
        self.costs = costs

    def json(self, value: object) -> int:
        """Tokens of a JSON value in compact form."""
        return self._count(dump_text(value))

    def message(self, message: ir.Message) -> int:
        """Tokens of a message, its frame included."""
        name = self._count(message.name) if message.name else 0
        return _PER_MESSAGE + name + sum(map(self.part, message.parts))

    def tool(self, tool: ir.Tool) -> int:
        """Tokens of a tool's declaration."""
        match tool:
            case ir.FunctionTool():
                schema = self.json(tool.schema) if tool.schema is not None else 0
                examples = sum(map(self.json, tool.examples))
                own = self._count(tool.name) + self._count(tool.description or "")
                return _PER_TOOL + own + schema + examples
            case ir.CustomTool():
                grammar = self._count(tool.grammar.definition) if tool.grammar else 0
                own = self._count(tool.name) + self._count(tool.description or "")
                return _PER_TOOL + own + grammar
            case ir.HostedTool():
                return _PER_TOOL + self.json(tool.wire)

    def part(self, part: ir.Part) -> int:
        """Tokens of one part."""
        match part:
            case ir.Text() | ir.Refusal():
                return self._count(part.text)
            case ir.Reasoning():
                if part.text or part.state is None:
                    return self._count(part.text)
                return 1 + len(part.state.value) // _STATE_CHARS_PER_TOKEN
            case ir.ToolCall():
                return _PER_CALL + self._count(part.name) + self._count(part.arguments)
            case ir.ToolResult():
                return _PER_CALL + sum(map(self.part, part.content))
            case ir.Image():
                return self.costs.image_low if part.detail == "low" else self.costs.image
            case ir.Document():
                return self.document(part)
            case ir.Audio():
                return self.costs.audio_second * _seconds(part.source, _audio_rate(part.source))
            case ir.Video():
                return self.costs.video_second * _seconds(part.source, _VIDEO_BYTES_PER_SECOND)
            case ir.WebSearch():
                hits = sum(self._count(item.title) + self._count(item.url) for item in part.sources)
                return _PER_CALL + self._count(part.query) + hits
            case ir.CodeRun():
                return _PER_CALL + self._count(part.code) + self._count(part.output)
            case ir.Foreign():
                return self.json(part.wire) if part.readable is None else self._count(part.readable)

    def document(self, part: ir.Document) -> int:
        """Tokens of a document: its text, or its pages."""
        own = self._count(part.title or "") + self._count(part.context or "")
        match part.source:
            case ir.PlainText(text=text):
                return _PER_CALL + own + self._count(text)
            case ir.Inline(media_type=kind, data=data) if kind.startswith("text/"):
                return _PER_CALL + own + self._count(_decoded(data).decode("utf-8", "replace"))
            case ir.Inline(data=data):
                return own + self.costs.page * _pages(_decoded(data))
            case _:
                return own + self.costs.page


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data)
    except binascii.Error:
        return data.encode()


def _pages(document: bytes) -> int:
    return len(_PAGE.findall(document)) or 1 + len(document) // _PAGE_BYTES


def _audio_rate(source: ir.Source) -> int:
    wav = isinstance(source, ir.Inline) and source.media_type == "audio/wav"
    return _WAV_BYTES_PER_SECOND if wav else _PACKED_BYTES_PER_SECOND


def _seconds(source: ir.Source, bytes_per_second: int) -> int:
    """How long a recording is, by its size; a minute when only its address is known."""
    if isinstance(source, ir.Inline):
        return 1 + len(source.data) * 3 // 4 // bytes_per_second
    return 60
