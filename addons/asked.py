"""What a request asks, as rules see it: cheap facts at once, the conversation only when a rule needs it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Final

from config.patterns import matches, matches_any
from config.routing import RouteConfig, When
from translators import ir
from translators.tokens import Estimator, count_request

_ESTIMATOR: Final = Estimator()


class Asked:
    """The facts of one request. `hub` parses the body when it is first needed."""

    def __init__(
        self,
        *,
        model: str,
        client_protocol: str,
        hub: Callable[[], ir.Request],
        raw: bytes = b"",
        headers: Mapping[str, str] | None = None,
        client_key: str = "",
        stream: bool = False,
    ) -> None:
        self.model = model
        self.client_protocol = client_protocol
        self.raw = raw
        self.headers: Mapping[str, str] = headers if headers is not None else {}
        self.client_key = client_key
        self.stream = stream
        self._hub = hub

    @cached_property
    def hub(self) -> ir.Request:
        """The parsed request."""
        return self._hub()

    @cached_property
    def _parts(self) -> tuple[ir.Part, ...]:
        return tuple(_every_part(self.hub))

    def _has(self, kind: type) -> bool:
        return any(isinstance(part, kind) for part in self._parts)

    @cached_property
    def has_images(self) -> bool:
        """Whether a picture is anywhere, tool results included. Without the word in the bytes there is none."""
        return b"image" in self.raw and self._has(ir.Image)

    @property
    def has_documents(self) -> bool:
        """Whether a document is anywhere."""
        return self._has(ir.Document)

    @property
    def has_audio(self) -> bool:
        """Whether sound is anywhere."""
        return self._has(ir.Audio)

    @property
    def tools(self) -> int:
        """How many tools are declared."""
        return len(self.hub.tools)

    @property
    def reasoning(self) -> bool:
        """Whether the client asked for thinking."""
        control = self.hub.reasoning
        if control is None or control.level is ir.Level.OFF:
            return False
        return control.level is not None or control.adaptive or bool(control.budget_tokens)

    @cached_property
    def input_tokens(self) -> int:
        """Estimated input, tokens."""
        return count_request(self.hub, _ESTIMATOR, self.client_protocol)

    @cached_property
    def input_chars(self) -> int:
        """Characters of all input text."""
        return sum(len(text) for part in self._parts for text in _texts(part))

    @cached_property
    def system_text(self) -> str:
        """All system text, case-folded."""
        return "\n".join(
            part.text
            for message in self.hub.messages
            if message.role is ir.Role.SYSTEM
            for part in message.parts
            if isinstance(part, ir.Text)
        ).casefold()


def _every_part(request: ir.Request) -> Iterator[ir.Part]:
    for message in request.messages:
        for part in message.parts:
            yield part
            if isinstance(part, ir.ToolResult):
                yield from part.content


def _texts(part: ir.Part) -> Iterator[str]:
    match part:
        case ir.Text() | ir.Refusal() | ir.Reasoning():
            yield part.text
        case ir.ToolCall():
            yield part.arguments
        case ir.Document(source=ir.PlainText(text=text)):
            yield text
        case _:
            pass


def first_match(routes: tuple[RouteConfig, ...], asked: Asked) -> tuple[int, RouteConfig] | None:
    """The first rule whose conditions all hold, with its position."""
    for number, route in enumerate(routes):
        if holds(route.when, asked):
            return number, route
    return None


def holds(when: When, asked: Asked) -> bool:
    """Whether every given condition holds; the cheap ones are asked first."""
    when = when.expanded
    return _cheap(when, asked) and all(check(when, asked) for check in _CONDITIONS)


def _cheap(when: When, asked: Asked) -> bool:
    return (
        (not when.client_protocol or asked.client_protocol in when.client_protocol)
        and (not when.model or matches_any(when.model, asked.model))
        and (not when.client_key or matches_any(when.client_key, asked.client_key))
        and (when.stream is None or when.stream == asked.stream)
        and all(
            (value := asked.headers.get(name.lower())) is not None and matches(pattern, value)
            for name, pattern in when.headers.items()
        )
    )


def _within(low: int | None, high: int | None, value: Callable[[], int]) -> bool:
    if low is None and high is None:
        return True
    found = value()
    return (low is None or found >= low) and (high is None or found <= high)


def _is(wanted: bool | None, value: Callable[[], bool]) -> bool:
    return wanted is None or wanted == value()


_CONDITIONS: Final[tuple[Callable[[When, Asked], bool], ...]] = (
    lambda when, asked: _is(when.has_images, lambda: asked.has_images),
    lambda when, asked: _is(when.has_documents, lambda: asked.has_documents),
    lambda when, asked: _is(when.has_audio, lambda: asked.has_audio),
    lambda when, asked: _is(when.has_tools, lambda: asked.tools > 0),
    lambda when, asked: _within(when.min_tools, when.max_tools, lambda: asked.tools),
    lambda when, asked: _is(when.reasoning, lambda: asked.reasoning),
    lambda when, asked: (
        not when.system_contains
        or any(text.casefold() in asked.system_text for text in when.system_contains)
    ),
    lambda when, asked: _within(
        when.min_input_chars, when.max_input_chars, lambda: asked.input_chars
    ),
    lambda when, asked: _within(
        when.min_input_tokens, when.max_input_tokens, lambda: asked.input_tokens
    ),
)
"""The conditions that need the conversation."""
