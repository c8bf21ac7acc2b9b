"""From what a client asked to the ordered places that it may go to. Pure: no clock, no state, no flow.

A model's name resolves as: route rule, alias (literal, then pattern), `provider/model`, a prefix (of a key, of a
provider, of a preset), the alias `*`, the only provider. Which of several places comes first is the strategy's
business, and which of them rests the picker's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from addons.asked import Asked, first_match
from config.models import Config
from config.routing import CandidateConfig, Strategy
from config.runtime import Provider, ProviderKey
from translators.ir import Level, ReasoningControl
from translators.losses import Mode
from translators.reasoning import level_of_budget

MAX_ALIAS_DEPTH: Final = 8
_SUFFIX: Final = re.compile(r"^(?P<name>.+)\((?P<word>[a-z]+|-1|\d{1,7})\)$", re.IGNORECASE)
_WORDS: Final = {
    **{level.value: ReasoningControl(level=level) for level in Level},
    "none": ReasoningControl(level=Level.OFF),
    "auto": ReasoningControl(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One model at one provider, with the keys that may be used; `is_fallback` = only after the one before it."""

    provider: Provider
    model: str
    keys: tuple[ProviderKey, ...]
    weight: float = 1.0
    reasoning: ReasoningControl | None = None
    """Asked for by a suffix of the target."""
    is_fallback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where a request may go. `group` names the set of places, for strategies that count."""

    name: str
    """The model's name without its thinking suffix."""
    places: tuple[Place, ...] = ()
    group: str = ""
    strategy: Strategy = Strategy.PRIORITY
    route: str = ""
    """The rule that matched, by name or number."""
    mode: Mode | None = None
    """What route, else model say."""
    reasoning: ReasoningControl | None = None
    """The suffix of the name: wins over what the client asked."""
    usual_reasoning: Level | None = None
    """For clients that ask for none."""


def split_suffix(config: Config, name: str) -> tuple[str, ReasoningControl | None]:
    """`model(high)` or `model(8192)` in two; a name that is configured as it stands stays whole."""
    found = _SUFFIX.match(name)
    if found is None or name in config.models:
        return name, None
    control = reasoning_of(found["word"])
    return (name, None) if control is None else (found["name"].strip(), control)


def reasoning_of(word: str) -> ReasoningControl | None:
    """What a suffix asks for: a level, a budget in tokens, `auto`; None when it is no such word."""
    if word.lstrip("-").isdigit():
        tokens = int(word)
        return ReasoningControl(level=level_of_budget(tokens), budget_tokens=tokens)
    return _WORDS.get(word.lower())


def plan(config: Config, asked: Asked, *, rules: bool = True) -> Plan:
    """Where a request may go; no places = nobody knows the model. Without `rules` the name alone decides."""
    name, reasoning = split_suffix(config, asked.model)
    if name != asked.model:
        asked.model = name
    ruled = _by_rule(config, asked, name) if rules else None
    found = ruled or resolve(config, name)
    places = tuple(_with_fallbacks(_seeing(config, found.places, asked)))
    return replace(found, places=places, reasoning=reasoning)


def _by_rule(config: Config, asked: Asked, name: str) -> Plan | None:
    matched = first_match(config.routes, asked) if config.routes else None
    if matched is None:
        return None
    number, rule = matched
    label = rule.name or str(number)
    places = tuple(_places(config, rule.use, name, 0))
    strategy, mode, reasoning = rule.strategy, rule.compatibility_mode, rule.reasoning
    if len(rule.use) == 1 and (entry := config.models.get(rule.use[0].target)) is not None:
        strategy = strategy or entry.strategy
        mode = mode or entry.compatibility_mode
        reasoning = reasoning or entry.reasoning
    return Plan(
        name=name,
        places=places,
        group=f"routes[{label}]",
        strategy=strategy or Strategy.PRIORITY,
        route=label,
        mode=mode,
        usual_reasoning=reasoning,
    )


def resolve(config: Config, name: str) -> Plan:
    """Where a name leads without any rule."""
    entry = config.model_for(name)
    if entry is not None and entry[0].strip("*"):
        return _alias(config, name, entry[0])
    places = tuple(direct(config, name))
    if places:
        return Plan(name=name, places=places, group=places[0].provider.name)
    if entry is not None:
        return _alias(config, name, entry[0])
    places = tuple(_only_provider(config, name))
    return Plan(name=name, places=places, group=places[0].provider.name if places else "")


def _alias(config: Config, name: str, key: str) -> Plan:
    model = config.models[key]
    return Plan(
        name=name,
        places=tuple(_places(config, model.candidates, name, 0)),
        group=f"models[{key}]",
        strategy=model.strategy,
        mode=model.compatibility_mode,
        usual_reasoning=model.reasoning,
    )


def _places(
    config: Config, candidates: tuple[CandidateConfig, ...], name: str, depth: int
) -> Iterator[Place]:
    for candidate in candidates:
        for place in _target(config, candidate.target, name, depth):
            yield replace(place, weight=candidate.weight * place.provider.weight)


def _target(config: Config, target: str, name: str, depth: int) -> Iterator[Place]:
    head, slash, model = target.partition("/")
    if slash and head in config.upstreams:
        yield from _at(config, config.upstreams[head], name if model == "*" else model)
        return
    if target in config.models and depth < MAX_ALIAS_DEPTH:
        yield from _places(config, config.models[target].candidates, name, depth + 1)
        return
    plain, control = split_suffix(config, target)
    if control is not None and depth < MAX_ALIAS_DEPTH:
        for place in _target(config, plain, name, depth + 1):
            yield replace(place, reasoning=control)
        return
    yield from direct(config, target)


def _at(config: Config, provider: Provider, model: str) -> Iterator[Place]:
    plain, control = split_suffix(config, model)
    if model in provider.known_models:
        plain, control = model, None
    keys = tuple(key for key in provider.keys if key.serves(plain))
    if keys:
        yield Place(
            provider=provider, model=plain, keys=keys, weight=provider.weight, reasoning=control
        )


def direct(config: Config, name: str) -> Iterator[Place]:
    """`provider/model`, or the prefix of a key, of a provider, of a preset; nothing for other names."""
    head, slash, model = name.partition("/")
    if not slash or not model or not head:
        return
    if (provider := config.upstreams.get(head)) is not None:
        yield from _at(config, provider, model)
        return
    for provider in config.upstreams.values():
        keys = tuple(key for key in provider.keys if key.prefix == head and key.serves(model))
        if keys:
            yield Place(provider=provider, model=model, keys=keys, weight=provider.weight)
            return
    for provider in config.upstreams.values():
        if provider.model_prefix == head:
            yield from _at(config, provider, model)
            return
    of_preset = [one for one in config.upstreams.values() if one.preset == head]
    for provider in sorted(of_preset, key=lambda one: -one.priority):
        yield from _at(config, provider, model)


def _only_provider(config: Config, name: str) -> Iterator[Place]:
    if len(config.upstreams) == 1:
        only = next(iter(config.upstreams.values()))
        model = name or only.default_model
        if model:
            yield from _at(config, only, model)


def _seeing(config: Config, places: tuple[Place, ...], asked: Asked) -> tuple[Place, ...]:
    """Without the places that are known not to see pictures, for a request that has some; all if none is left."""
    seeing = tuple(place for place in places if _sees(config, place))
    if len(seeing) == len(places) or not seeing or not asked.has_images:
        return places
    return seeing


def _sees(config: Config, place: Place) -> bool:
    return bool(config.resolve_profile(place.provider.name, place.model).image_types)


def _with_fallbacks(places: tuple[Place, ...]) -> Iterator[Place]:
    for place in places:
        yield place
        for model in place.provider.model_info(place.model).fallbacks:
            keys = tuple(key for key in place.provider.keys if key.serves(model))
            if keys:
                yield replace(place, model=model, keys=keys, is_fallback=True)
