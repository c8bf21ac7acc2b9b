"""How much to think: `thinking` and `output_config`, read and written (portability rules, section 11).

Reference: https://platform.claude.com/docs/en/build-with-claude/extended-thinking (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from translators import ir
from translators.anthropic.intake import Intake
from translators.base import Target
from translators.errors import invalid
from translators.fields import Fields
from translators.ir import Level
from translators.losses import Action, Loss, Losses
from translators.profile import ModelProfile, ThinkingForm
from translators.reasoning import ANTHROPIC_MINIMUM, anthropic_budget, level_of_budget, nearest
from translators.wire import JsonObject

EFFORTS: Final[Mapping[str, Level]] = {
    "low": Level.LOW,
    "medium": Level.MEDIUM,
    "high": Level.HIGH,
    "xhigh": Level.XHIGH,
    "max": Level.MAX,
}
_EFFORT_WORDS: Final[Mapping[Level, str]] = {level: word for word, level in EFFORTS.items()}
_OFF: Final[Mapping[ThinkingForm | None, JsonObject]] = {
    ThinkingForm.BETWEEN_TOOLS: {"type": "between_tools"},
}
"""What stands for `disabled` where that is not taken."""
_DISPLAYS: Final[Mapping[str, bool]] = {"summarized": True, "omitted": False, "updates": True}


# ----------------------------------------------------------------------------------------- reading


def parse_effort(config: Fields | None) -> Level | None:
    """`output_config.effort`."""
    if config is None:
        return None
    word = config.optional_text("effort")
    if word is None:
        return None
    level = EFFORTS.get(word)
    if level is None:
        raise invalid(config.at("effort"), ", ".join(EFFORTS), word)
    return level


def parse_thinking(
    thinking: Fields | None, effort: Level | None, effort_path: str, intake: Intake
) -> ir.ReasoningControl | None:
    """The reasoning control of a request; None when it says nothing."""
    if thinking is None:
        return None if effort is None else ir.ReasoningControl(level=effort, path=effort_path)
    kind = thinking.text("type")
    budget = thinking.optional_int("budget_tokens")
    display = thinking.optional_text("display")
    if display is not None and display not in _DISPLAYS:
        raise invalid(thinking.at("display"), ", ".join(_DISPLAYS), display)
    summary = _DISPLAYS[display] if display is not None else None
    if thinking.any("block_binding") is not None:
        intake.unsaid(thinking.at("block_binding"), Loss.TELEMETRY)
    intake.unknown(thinking)
    match kind:
        case "adaptive":
            return ir.ReasoningControl(
                level=effort, summary=summary, adaptive=effort is None, path=thinking.path
            )
        case "enabled":
            if budget is None:
                raise invalid(thinking.at("budget_tokens"), "an integer", None)
            level = effort or level_of_budget(budget)
            return ir.ReasoningControl(
                level=level, budget_tokens=budget, summary=summary, path=thinking.path
            )
        case "disabled" | "between_tools":
            if effort is not None:
                # disabled wins (pitfalls RSN-11); what is left of the effort is a style hint
                intake.unsaid(
                    effort_path, Loss.HINT, "an effort beside disabled thinking has no equivalent"
                )
            return ir.ReasoningControl(level=Level.OFF, summary=summary, path=thinking.path)
        case _:
            raise invalid(thinking.at("type"), "adaptive, enabled, disabled or between_tools", kind)


# ----------------------------------------------------------------------------------------- writing


@dataclass(slots=True)
class Thinking:
    """The thinking part of a rendered request; `max_tokens` may have been raised for the budget's sake."""

    max_tokens: int
    field: JsonObject | None = None
    effort: str | None = None

    @property
    def on(self) -> bool:
        """Whether thinking is asked for."""
        return self.field is not None and self.field["type"] in ("adaptive", "enabled")

    @property
    def manual(self) -> bool:
        """Whether it is the kind with a budget, which is strict about forced calls and history."""
        return self.field is not None and self.field["type"] == "enabled"

    def drop(self, path: str, reason: str, losses: Losses, profile: ModelProfile) -> None:
        """Think no more in this request."""
        losses.give_up(Loss.VALUE, path, reason)
        self.field = _off_field(profile.thinking_form, profile)


def output_limit(request: ir.Request, profile: ModelProfile, losses: Losses) -> int:
    """`max_tokens`, which this protocol requires: the client's, cut to the model's, else a default."""
    if request.prewarm:
        return 0
    asked, most = request.max_output_tokens, profile.max_output_tokens
    if asked is None:
        return most if most is not None else profile.default_max_tokens
    if most is not None and asked > most:
        losses.give_up(
            Loss.VALUE,
            request.path_of("max_output_tokens"),
            f"{asked} is above the model's limit and was cut to {most}",
        )
        return most
    return asked


def render_thinking(request: ir.Request, target: Target, losses: Losses) -> Thinking:
    """Write the reasoning control in the form that the model knows."""
    profile = target.profile
    thinking = Thinking(output_limit(request, profile, losses))
    control = request.reasoning
    if control is None:
        return thinking
    form = profile.thinking_form or ThinkingForm.ADAPTIVE
    if form is ThinkingForm.NONE:
        if control.level is not Level.OFF:
            losses.give_up(Loss.HINT, control.path, "the model does not think")
    elif control.level is Level.OFF:
        _off(thinking, control, profile, form, losses)
    elif form is ThinkingForm.BUDGET and not request.prewarm:
        _budget(thinking, control, request, profile, losses)
    elif form is not ThinkingForm.BUDGET:
        _adaptive(thinking, control, profile, form, losses)
    _display(thinking, control)
    return thinking


def _display(thinking: Thinking, control: ir.ReasoningControl) -> None:
    if thinking.field is not None and thinking.on and control.summary is not None:
        thinking.field["display"] = "summarized" if control.summary else "omitted"


def _off_field(form: ThinkingForm | None, profile: ModelProfile) -> JsonObject | None:
    """The field that switches thinking off; None = it cannot be."""
    if form in _OFF:
        return dict(_OFF[form])
    return None if profile.always_thinks else {"type": "disabled"}


def _off(
    thinking: Thinking,
    control: ir.ReasoningControl,
    profile: ModelProfile,
    form: ThinkingForm,
    losses: Losses,
) -> None:
    thinking.field = _off_field(form, profile)
    if thinking.field is not None:
        return
    losses.give_up(
        Loss.VALUE, control.path, "the model always thinks; it does so as little as it can"
    )
    if form is ThinkingForm.BUDGET:
        thinking.field = {"type": "enabled", "budget_tokens": ANTHROPIC_MINIMUM}
    else:
        thinking.effort = _effort(Level.LOW, profile)


def _effort(level: Level, profile: ModelProfile) -> str:
    supported = tuple(item for item in profile.reasoning_levels if item in _EFFORT_WORDS)
    return _EFFORT_WORDS.get(nearest(level, supported), "low")


def _adaptive(
    thinking: Thinking,
    control: ir.ReasoningControl,
    profile: ModelProfile,
    form: ThinkingForm,
    losses: Losses,
) -> None:
    wanted = form is not ThinkingForm.EFFORT and control.level is not Level.MINIMAL
    if control.level is not None:
        thinking.effort = _effort(control.level, profile)
        if control.budget_tokens is not None:
            losses.give_up(
                Loss.VALUE, control.path, f"the thinking budget became effort {thinking.effort}"
            )
        elif thinking.effort != control.level.value:
            losses.give_up(
                Loss.VALUE,
                control.path,
                f"effort {control.level.value} is not known to the model; it became {thinking.effort}",
            )
    elif not control.adaptive and control.summary is not True:
        wanted = False
    if wanted:
        thinking.field = {"type": "adaptive"}


def _budget(
    thinking: Thinking,
    control: ir.ReasoningControl,
    request: ir.Request,
    profile: ModelProfile,
    losses: Losses,
) -> None:
    if control.level is None:
        if control.adaptive:
            losses.give_up(
                Loss.VALUE,
                control.path,
                "the model does not know adaptive thinking; it is left off",
            )
        return
    budget = control.budget_tokens
    if budget is None or budget < 0:
        budget = anthropic_budget(control.level, profile.max_output_tokens)
        losses.give_up(
            Loss.VALUE, control.path, f"the thinking level became a budget of {budget} tokens"
        )
    least, most = profile.budget_range or (ANTHROPIC_MINIMUM, budget)
    fitted = max(min(budget, most), least, ANTHROPIC_MINIMUM)
    if fitted != budget:
        losses.give_up(
            Loss.VALUE, control.path, f"the thinking budget was changed to {fitted} tokens"
        )
    fitted = _below_limit(thinking, fitted, control, request, profile, losses)
    if fitted >= ANTHROPIC_MINIMUM:
        thinking.field = {"type": "enabled", "budget_tokens": fitted}


def _below_limit(
    thinking: Thinking,
    budget: int,
    control: ir.ReasoningControl,
    request: ir.Request,
    profile: ModelProfile,
    losses: Losses,
) -> int:
    """The budget made to fit under `max_tokens`; 0 when nothing is left for it."""
    if budget < thinking.max_tokens:
        return budget
    if request.max_output_tokens is None and profile.max_output_tokens is None:
        thinking.max_tokens = budget + profile.default_max_tokens
        return budget
    halved = thinking.max_tokens // 2
    fitted = halved if halved >= ANTHROPIC_MINIMUM else 0
    losses.choose(
        control.path,
        f"the thinking budget does not fit under max_tokens {thinking.max_tokens}; "
        + (f"it was cut to {fitted}" if fitted else "thinking was dropped"),
        strict=Action.REJECT,
        balanced=Action.REJECT,
        max_compat=Action.WARN,
    )
    return fitted
