"""Which of several places comes first, and which of a provider's keys: the strategies, and what they count.

State is kept per group of places, bounded, and shared by all requests; it must be called on the event loop only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final

from addons.routing import Place, Plan
from config.routing import Strategy
from config.runtime import ProviderKey

MAX_GROUPS: Final = 4096
SPEED_WEIGHT: Final = 0.3
"""How much the newest answer counts in the mean of first-byte times."""
SPEED_TTL_S: Final = 600.0
"""After this long a measured time says nothing any more, and the place is tried again."""

type Choice = tuple[Place, ProviderKey]
type Cost = Callable[[Place], Decimal | None]


class Strategies:
    """Order the places of plans. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._turns: dict[str, int] = {}
        self._weights: dict[str, dict[str, float]] = {}
        self._speeds: dict[tuple[str, str], tuple[float, float]] = {}

    def order(self, plan: Plan, cost: Cost) -> list[Choice]:
        """Every place with every key that may be used, best first; fallbacks stay behind their place."""
        chains = _chains(plan.places)
        if len(chains) > 1:
            chains = self._ordered(plan, chains, cost)
        return [
            (place, key)
            for chain in chains
            for place in chain
            for key in self.keys(place, plan.strategy)
        ]

    def _ordered(self, plan: Plan, chains: list[list[Place]], cost: Cost) -> list[list[Place]]:
        match plan.strategy:
            case Strategy.PRIORITY | Strategy.FILL_FIRST:
                return chains
            case Strategy.ROUND_ROBIN:
                return self._rotated(plan.group, chains)
            case Strategy.WEIGHTED:
                names = [f"{chain[0].provider.name}/{chain[0].model}" for chain in chains]
                weights = [chain[0].weight for chain in chains]
                return [chains[index] for index in self._weighted(plan.group, names, weights)]
            case Strategy.CHEAPEST:
                return sorted(chains, key=lambda chain: _price(cost(chain[0])))
            case Strategy.FASTEST:
                return sorted(chains, key=lambda chain: self.speed_s(chain[0]))

    def keys(self, place: Place, strategy: Strategy) -> list[ProviderKey]:
        """The keys of a place: higher priorities first, equals in turn (or by weight, or the first until it fails)."""
        if len(place.keys) == 1:
            return list(place.keys)
        found: list[ProviderKey] = []
        for priority in sorted({key.priority for key in place.keys}, reverse=True):
            tier = [key for key in place.keys if key.priority == priority]
            group = f"keys[{place.provider.name}][{priority}]"
            weights = [key.weight for key in tier]
            if strategy is Strategy.FILL_FIRST or len(tier) == 1:
                found += tier
            elif strategy is Strategy.WEIGHTED or len(set(weights)) > 1:
                names = [key.name for key in tier]
                found += [tier[index] for index in self._weighted(group, names, weights)]
            else:
                found += self._rotated(group, tier)
        return found

    def _rotated[T](self, group: str, items: Sequence[T]) -> list[T]:
        turn = self._turns.get(group, 0)
        _bound(self._turns)
        self._turns[group] = turn + 1
        start = turn % len(items)
        return [*items[start:], *items[:start]]

    def _weighted(self, group: str, names: Sequence[str], weights: Sequence[float]) -> list[int]:
        """Smooth weighted turns: over many requests each one is first as often as its weight says."""
        _bound(self._weights)
        state = self._weights.setdefault(group, {})
        for gone in state.keys() - set(names):
            del state[gone]
        for name, weight in zip(names, weights, strict=True):
            state[name] = state.get(name, 0.0) + weight
        rank = sorted(
            range(len(names)), key=lambda index: (weights[index] <= 0, -state[names[index]])
        )
        state[names[rank[0]]] -= sum(weights)
        return rank

    # -- speed

    def answered(self, place_name: tuple[str, str], first_byte_s: float) -> None:
        """Note how long the first byte of an answer took."""
        _bound(self._speeds)
        old = self._speeds.get(place_name)
        now = self._clock()
        mean = first_byte_s
        if old is not None and now - old[1] < SPEED_TTL_S:
            mean = old[0] + SPEED_WEIGHT * (first_byte_s - old[0])
        self._speeds[place_name] = (mean, now)

    def speed_s(self, place: Place) -> float:
        """The decaying mean of first-byte times; 0 when none is known, so that it gets measured."""
        found = self._speeds.get((place.provider.name, place.model))
        if found is None or self._clock() - found[1] >= SPEED_TTL_S:
            return 0.0
        return found[0]


def cheapest_first(choices: Iterable[Choice], cost: Cost) -> list[Choice]:
    """The same choices by price, unknown prices last; for whoever has used up a budget."""
    return sorted(choices, key=lambda choice: _price(cost(choice[0])))


def _price(cost: Decimal | None) -> tuple[bool, Decimal]:
    return cost is None, cost or Decimal(0)


def _chains(places: Iterable[Place]) -> list[list[Place]]:
    """Each place with the fallbacks behind it."""
    chains: list[list[Place]] = []
    for place in places:
        if place.is_fallback and chains:
            chains[-1].append(place)
        else:
            chains.append([place])
    return chains


def _bound[K, V](memory: dict[K, V]) -> None:
    if len(memory) >= MAX_GROUPS:
        memory.clear()
