"""What a scenario sees of a request, whatever protocol it came in, and what it answers.

The readers (`read_*`) fill a `View`, a scenario turns it into a `Turn`, the speakers (`speak_*`) render that.
A view is for choosing an answer: it is not complete and must not be used to check anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

type JsonObject = dict[str, Any]
type Role = Literal["system", "user", "assistant", "result"]
type Finish = Literal[
    "stop", "tool", "length", "stop_sequence", "filter", "refusal", "pause", "given_up"
]


@dataclass(frozen=True, slots=True)
class Image:
    """An image that came in; `size` is the length of its data or URL."""

    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool that the request offers. `freeform` takes plain text; `namespace` is Responses' grouping."""

    name: str
    schema: JsonObject = field(default_factory=dict)
    freeform: bool = False
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was said: `calls` counts the tool calls of an assistant entry."""

    role: Role
    text: str = ""
    calls: int = 0
    images: tuple[Image, ...] = ()
    reasoning: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A request as a scenario sees it.

    `digest` changes with every change of the body and seeds ids. `thinks` says that reasoning may be sent,
    `shows_thoughts` that its text may be shown. `resumed` is how often the answer has paused. `choice` is `auto`, `none`, `required` or a tool's name.
    """

    protocol: str
    model: str
    stream: bool
    digest: str
    size: int
    entries: tuple[Entry, ...] = ()
    offers: tuple[Offer, ...] = ()
    choice: str = "auto"
    parallel: bool = True
    output_schema: JsonObject | None = None
    wants_json: bool = False
    thinks: bool = True
    shows_thoughts: bool = True
    include_usage: bool = True
    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    as_array: bool = False
    resumed: int = 0
    body: JsonObject = field(default_factory=dict)

    @property
    def current(self) -> tuple[Entry, ...]:
        """The entries of the turn that is being answered.

        A turn begins with the first user entry after the assistant last spoke without calling a tool.
        """
        start = 0
        for index, entry in enumerate(self.entries):
            if entry.role == "user" and index and self._spoke_last(index):
                start = index
        return self.entries[start:]

    def _spoke_last(self, index: int) -> bool:
        for entry in reversed(self.entries[:index]):
            if entry.role == "assistant":
                return not entry.calls
            if entry.role != "system":
                return False
        return False

    @property
    def results(self) -> tuple[Entry, ...]:
        """The tool results of the current turn, in order."""
        return tuple(entry for entry in self.current if entry.role == "result")

    @property
    def prompt(self) -> str:
        """The last user text of the current turn that precedes any tool result."""
        prompt = ""
        for entry in self.current:
            if entry.role == "result":
                break
            if entry.role == "user" and entry.text:
                prompt = entry.text
        return prompt

    @property
    def first_prompt(self) -> str:
        """The first user text of the conversation: it names the conversation."""
        return next((entry.text for entry in self.entries if entry.role == "user"), "")

    @property
    def images(self) -> tuple[Image, ...]:
        """Every image of the current turn, those in tool results included."""
        return tuple(image for entry in self.current for image in entry.images)

    @property
    def reasoning_returned(self) -> int:
        """How many reasoning parts came back in the current turn."""
        return sum(entry.reasoning for entry in self.current)


@dataclass(frozen=True, slots=True)
class Say:
    """Visible text."""

    text: str


@dataclass(frozen=True, slots=True)
class Think:
    """Reasoning, which the speaker signs in its protocol's way."""

    text: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The model's own refusal."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call: `arguments` is JSON text, or the plain input of a freeform tool."""

    offer: Offer
    arguments: str


type Part = Say | Think | Refuse | Call


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts; `input` includes both cache counts, `output` includes `reasoning`."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One answer of the model; `stopped_at` is the stop sequence that ended it."""

    parts: tuple[Part, ...]
    finish: Finish = "stop"
    usage: Usage = Usage(0, 0)
    usage_style: str = "normal"
    piece_chars: int = 12
    stopped_at: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """The frames of a streamed answer; the last `tail` of them say that it is over."""

    frames: list[bytes]
    tail: int
