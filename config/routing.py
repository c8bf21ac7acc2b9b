"""Models as clients see them, the rules that pick among them, and the clients' keys."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from config.providers import ProviderConfig
from config.secrets import SecretValue
from config.section import Count, Name, Positive, ProtocolName, Section, Strings, Usd, Weight
from translators.ir import Level
from translators.losses import Mode


class Strategy(StrEnum):
    """How one of several candidates is picked first; the others follow on failure."""

    PRIORITY = "priority"
    """In the order given."""
    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    FILL_FIRST = "fill_first"
    """One candidate and key until it fails, so that caches stay warm and limits are used up in turn."""
    CHEAPEST = "cheapest"
    FASTEST = "fastest"


class BudgetAction(StrEnum):
    """What happens when a budget is used up."""

    NOTIFY = "notify"
    BLOCK = "block"
    FORCE_CHEAPEST = "force_cheapest"


class CandidateConfig(Section):
    """One choice. Text stands for `{target: TEXT}`."""

    target: Annotated[str, Field(min_length=1)]
    """`provider/model`, `provider/*` (the name that the client asked), or another name of `models`."""
    weight: Weight = 1.0
    """Its share under the `weighted` strategy; 0 = only when no other is left."""


def _candidate(value: Any) -> Any:
    return {"target": value} if isinstance(value, str) else value


def _candidates(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


type Candidates = Annotated[
    tuple[Annotated[CandidateConfig, BeforeValidator(_candidate)], ...],
    BeforeValidator(_candidates),
    Field(min_length=1),
]


class ModelConfig(Section):
    """A name (or pattern) that clients use. Text or a list stands for `{candidates: …}`."""

    candidates: Candidates
    """Where it may go."""
    strategy: Strategy = Strategy.PRIORITY
    """Which candidate comes first."""
    description: str = ""
    """Shown in model lists that have room for it."""
    context_window: Positive | None = None
    """What model lists say; absent = the smallest of the candidates."""
    max_output_tokens: Positive | None = None
    """What model lists say; absent = the smallest of the candidates."""
    reasoning: Level | None = None
    """The thinking level for clients that ask for none."""
    compatibility_mode: Mode | None = None
    """How much a translation may give up; absent = the provider's or the global setting."""
    hidden: bool = False
    """Usable, but not in model lists."""


def _model(value: Any) -> Any:
    return {"candidates": value} if isinstance(value, str | list) else value


type Models = Mapping[
    Annotated[str, Field(min_length=1, max_length=256)],
    Annotated[ModelConfig, BeforeValidator(_model)],
]

type Scene = Literal["image", "reasoning", "background", "long_text", "tool_heavy"]


class When(Section):
    """Conditions of a rule; every given one must hold, and none given matches everything."""

    scene: Scene | None = None
    """A ready-made set of conditions, added to the ones given here."""
    client_protocol: Annotated[tuple[ProtocolName, ...], BeforeValidator(_candidates)] = ()
    """The protocol that the client speaks."""
    model: Strings = ()
    """Patterns of the model name that the client asked for."""
    client_key: Strings = ()
    """Patterns of the client key's name."""
    headers: Mapping[str, str] = {}
    """Patterns of request headers; `*` = present."""
    min_input_tokens: Count | None = None
    """Smallest estimated input, tokens."""
    max_input_tokens: Count | None = None
    """Largest estimated input, tokens."""
    min_input_chars: Count | None = None
    """Smallest input text, characters."""
    max_input_chars: Count | None = None
    """Largest input text, characters."""
    has_images: bool | None = None
    """Whether an image is anywhere in the input, tool results included."""
    has_documents: bool | None = None
    """Whether a document is anywhere in the input."""
    has_audio: bool | None = None
    """Whether sound is anywhere in the input."""
    has_tools: bool | None = None
    """Whether tools are declared."""
    min_tools: Count | None = None
    """Fewest declared tools."""
    max_tools: Count | None = None
    """Most declared tools."""
    reasoning: bool | None = None
    """Whether the client asked for thinking."""
    system_contains: Strings = ()
    """Texts, one of which must occur in the system text, case ignored."""
    stream: bool | None = None
    """Whether the client asked for a stream."""

    @property
    def expanded(self) -> When:
        """The same with the scene's conditions written out; own conditions win."""
        if self.scene is None:
            return self
        own = {name: getattr(self, name) for name in self.model_fields_set if name != "scene"}
        return When(**{**SCENES[self.scene], **own})

    def contradictions(self) -> list[str]:
        """Why it can never match; [] for most."""
        when = self.expanded
        found = []
        for unit in ("input_tokens", "input_chars", "tools"):
            low, high = getattr(when, f"min_{unit}"), getattr(when, f"max_{unit}")
            if low is not None and high is not None and low > high:
                found.append(f"min_{unit} {low} is above max_{unit} {high}")
        if when.has_tools is False and when.min_tools:
            found.append(f"has_tools is false, and min_tools is {when.min_tools}")
        if when.has_tools and when.max_tools == 0:
            found.append("has_tools is true, and max_tools is 0")
        return found


SCENES: Mapping[str, Mapping[str, Any]] = {
    "image": {"has_images": True},
    "reasoning": {"reasoning": True},
    # What agents use for titles, summaries and other small side jobs.
    "background": {"model": ("*haiku*", "*-mini*", "*-nano*", "*flash-lite*")},
    "long_text": {"min_input_tokens": 60000},
    "tool_heavy": {"min_tools": 20},
}


class RouteConfig(Section):
    """A rule: when the conditions hold, use this. The first one that matches wins."""

    name: Name | None = None
    """What logs call it; absent = its number."""
    when: When = When()
    """The conditions."""
    use: Candidates
    """A name of `models`, or candidates."""
    strategy: Strategy | None = None
    """Which candidate comes first; absent = that of the model, else `priority`."""
    compatibility_mode: Mode | None = None
    """How much a translation may give up; absent = the model's, provider's or global setting."""
    reasoning: Level | None = None
    """The thinking level for clients that ask for none."""


class ClientKey(Section):
    """A key that clients present, and what its holder may do."""

    name: Name
    """What logs and budgets call its holder."""
    key: SecretValue
    """The key."""
    models: Strings = ("*",)
    """Patterns of the model names that it may ask for."""
    exclude: Strings = ()
    """Patterns of the model names that it may not ask for."""
    budget_usd_per_day: Usd | None = None
    """What it may spend in a day; absent = no limit."""
    budget_action: BudgetAction | None = None
    """What happens then; absent = the general setting."""
    requests_per_minute: Positive | None = None
    """Absent = no limit."""
    tokens_per_minute: Positive | None = None
    """Input and output together; absent = no limit."""
    max_concurrent: Positive | None = None
    """Requests at the same time; absent = the general limit per key."""
    compatibility_mode: Mode | None = None
    """Its own setting; absent = that of the route, model, provider, or the global one."""


class Tenant(Section):
    """What a namespace has of its own."""

    client_keys: tuple[ClientKey, ...] = ()
    """Keys that clients present. Without any, one is generated at the first start."""
    providers: Mapping[Name, ProviderConfig] = {}
    """Where requests can go, by name."""
    models: Models = Field(default_factory=dict)
    """The names that clients see: a target, a list of them, or candidates with a strategy."""
    routes: tuple[RouteConfig, ...] = ()
    """Rules that pick by what is asked; the first match wins."""
