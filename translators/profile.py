"""What a model or provider accepts, as data: the gates of section 23 of the portability rules.

Presets and user configuration fill these; translators read them. There is no provider name and no
model name in any decision of a translator.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from translators.ir import HostedKind, Level


class MidSystem(StrEnum):
    """What to do with a system message that is not at the start."""

    KEEP = "keep"
    USER = "user"
    """Wrap it as `<system>…</system>` in a user turn: keeps its place, and the prompt cache."""
    HOIST = "hoist"
    """Append it to the leading system text: keeps its authority, loses its place."""


class SamplingSupport(StrEnum):
    """Which sampling values are accepted."""

    FULL = "full"
    DEFAULT_ONLY = "default_only"
    NONE = "none"


class ThinkingForm(StrEnum):
    """How thinking is asked for."""

    NONE = "none"
    EFFORT = "effort"
    """C, R: an effort word."""
    ADAPTIVE = "adaptive"
    """A: `thinking: adaptive` with `output_config.effort`."""
    BETWEEN_TOOLS = "between_tools"
    """A: as `adaptive`; off is `thinking: between_tools`, the least that the model can do."""
    BUDGET = "budget"
    """A `budget_tokens`; G 2.5 `thinkingBudget`."""
    LEVEL = "level"
    """G 3+: `thinkingLevel`."""


class Echo(StrEnum):
    """Whether an assistant turn's readable reasoning goes back to a Chat upstream."""

    UNKNOWN = "unknown"
    """Nobody said: translated turns go without it, what a Chat client itself wrote passes."""

    REQUIRED = "required"
    """Turns with tool calls are refused without it (DeepSeek-style)."""
    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"


class SchemaFallback(StrEnum):
    """How an answer of a given shape is asked for where output schemas are not understood."""

    TOOL = "tool"
    """As the arguments of a tool that must be called; the gateway turns the call back into text."""
    WORDS = "words"
    """In the system text, with JSON mode where there is one."""


ALL_LEVELS: Final = tuple(Level)
ALL_IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """Capabilities of one model at one provider. Defaults describe an unknown but capable model.

    Limits are counts or tokens; None = no limit known.
    """

    # turns
    developer_role: bool = False
    """C: leading system text goes as `developer` instead of `system`."""
    mid_system: MidSystem = MidSystem.KEEP
    single_system: bool = False
    """C: one system message is taken, at the start; several of a Chat client are joined (translated ones always are)."""
    prefill: bool = False
    """A: a final assistant message is continued instead of refused, as models before 4.6 do."""
    # sampling and limits
    sampling: SamplingSupport = SamplingSupport.FULL
    max_temperature: float = 2.0
    stop_limit: int | None = None
    """Most stop sequences accepted; 0 = none, the gateway cuts the text itself."""
    max_tokens_field: str = "max_completion_tokens"
    """C: the name of the limit field, `max_tokens` or `max_completion_tokens`."""
    max_output_tokens: int | None = None
    default_max_tokens: int = 32000
    """A requires a limit: what to send when the client gave none and the maximum is unknown."""
    # reasoning
    thinking_form: ThinkingForm | None = None
    """None = the protocol's usual form."""
    reasoning_levels: tuple[Level, ...] = ALL_LEVELS
    always_thinks: bool = False
    """Thinking cannot be switched off."""
    budget_range: tuple[int, int] | None = None
    """Smallest and largest thinking budget, tokens."""
    reasoning_echo: Echo = Echo.UNKNOWN
    reasoning_field: str = "reasoning_content"
    """C: where an upstream takes echoed reasoning text."""
    signatures_required: bool = False
    """G 3+: the first call of each step must carry a thought signature."""
    think_tags: bool = False
    """C: the upstream writes `<think>…</think>` into the text."""
    cumulative_text: bool = False
    """C: each chunk repeats all text so far."""
    # tools
    parallel_calls: bool = True
    forced_tool_choice: bool = True
    """False = `any` / `tool` is refused (newest A models)."""
    forced_choice_with_thinking: bool = True
    tool_name_limit: int = 64
    call_id_length: int | None = None
    """C: the exact length of call ids, letters and digits only; None = any id is taken."""
    custom_tools: bool = False
    """C, R: freeform tools are understood; False = emulate as a function."""
    strict_tools: bool = True
    hosted_tools: frozenset[HostedKind] = frozenset()
    hosted_with_functions: bool = True
    """G: hosted tools may stand beside function tools; False = they give way to them."""
    web_search_type: str | None = None
    """R: the one name of the hosted search that the provider knows; None = any that a client uses."""
    # media
    image_types: frozenset[str] = ALL_IMAGE_TYPES
    """() = text-only model."""
    image_urls: bool = True
    file_uris: bool = False
    """G: `fileData` may name public URLs; False = only `gs://` and the File API, others must be inlined."""
    documents: bool = True
    audio: bool = False
    video: bool = False
    tool_result_media: bool = True
    """R, A, G: images may stand inside tool results (C never can)."""
    # output format
    json_schema: bool = True
    schema_fallback: SchemaFallback | None = None
    """Without `json_schema`: what to do instead; None = the protocol's usual way (A a tool, C and R words)."""
    json_object: bool = True
    schema_with_tools: bool = True
    """False = no output schema beside tools (G before 3)."""
    openapi_schemas: bool = False
    """G: use `parameters` / `responseSchema` because the `*JsonSchema` fields are missing."""
    # the rest
    cache_control_parts: bool = False
    """C: `cache_control` on content parts is understood (OpenRouter and other fronts of A models)."""
    cache_marks: bool = False
    """C, R: `prompt_cache_breakpoint` and `prompt_cache_key` are understood."""
    openai_extras: bool = False
    """C: OpenAI's own optional fields (`safety_identifier`, `verbosity`, `service_tier`, `store`) are understood."""
    anthropic_version: str = "2026-10-21"
    vertex: bool = False
    """The Google Cloud flavour of A or G (fields that only one of the two surfaces has)."""


DEFAULT_PROFILE: Final = ModelProfile()
