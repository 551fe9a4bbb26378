"""A user's arms, by hash alone: the same in every process, today and tomorrow, with nothing to store.

Layers after Tang et al., "Overlapping experiment infrastructure: more, better, faster experimentation", KDD 2010.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from streams.core.experiments.plan import HOLDOUT, ArmSettings, Experiment, Plan, ranges, settings
from streams.core.memory.settings import ListSettings

INTERLEAVED = "interleaved"


class Assigned(Struct, frozen=True):
    """What becomes of a user's lists.

    variants  experiment -> the user's arm; `INTERLEAVED` where lists are drawn from both
    settings  what lists are made by: one, or those of both arms that are interleaved
    teams     the names of these arms; empty where nothing is interleaved
    """

    variants: Mapping[str, str]
    settings: tuple[ArmSettings, ...]
    teams: tuple[str, ...] = ()


class Assigner:
    """Deals users out.

    everywhere  what lists are made by where no arm says otherwise
    nowhere     assigned to whoever is in no experiment

    >>> from streams.core.experiments.plan import read
    >>> plan = read("layers: {lists: {new-items: {arms: {control: {}, many: {exploration_share: 0.2}}}}}")
    >>> assigned = Assigner(plan).assign("ada")
    >>> assigned.variants, assigned.settings[0].exploration_share
    ({'new-items': 'many'}, 0.2)
    """

    def __init__(self, plan: Plan, everywhere: ListSettings | None = None) -> None:
        self.plan = plan
        everywhere = everywhere or ListSettings()
        self._everywhere = {name: getattr(everywhere, name) for name in ListSettings.__struct_fields__}
        self.nowhere = Assigned({}, (settings(self._everywhere),))
        self._made: dict[tuple[str, ...], Assigned] = {}

    def assign(self, user_id: str) -> Assigned:
        """The user's arms. Where there is a hold-out, everybody has a variant of it: 'out', or 'in' experiments."""
        if not self.plan.layers and not self.plan.holdout:
            return self.nowhere
        variants: dict[str, str] = {}
        if self.plan.holdout:
            variants[HOLDOUT] = "out" if point(HOLDOUT, user_id) < self.plan.holdout else "in"
        if variants.get(HOLDOUT) != "out":
            for layer, experiments in self.plan.layers.items():
                place = point(f"layer {layer}", user_id)
                for name, start, end in ranges(experiments):
                    if start <= place < end and not experiments[name].stopped:
                        variants[name] = _arm(name, experiments[name], user_id)
        key = tuple(f"{name} {arm}" for name, arm in variants.items())
        if key not in self._made:
            self._made[key] = self._combined(variants)
        return self._made[key]

    def _combined(self, variants: Mapping[str, str]) -> Assigned:
        """No two layers set the same, so the order does not matter."""
        experiments = self.plan.experiments()
        common = dict(self._everywhere)
        teams: dict[str, dict[str, Any]] = {}
        for name, arm in variants.items():
            if arm == INTERLEAVED:
                teams = experiments[name].arms
            elif name != HOLDOUT:
                common |= experiments[name].arms[arm]
        ways = [common | own for own in teams.values()] if teams else [common]
        return Assigned(variants, tuple(settings(way) for way in ways), tuple(teams))


def point(salt: str, user_id: str) -> float:
    """Where a user falls between 0 and 1, evenly, and for each salt independently."""
    return int.from_bytes(blake2b(f"{salt}\0{user_id}".encode(), digest_size=8).digest(), "big") / 2**64


def _arm(name: str, experiment: Experiment, user_id: str) -> str:
    if experiment.kind == "interleaving":
        return INTERLEAVED
    place, end = point(f"arm {name} {experiment.salt}", user_id), 0.0
    for arm, part in experiment.parts().items():
        end += part
        if place < end:
            return arm
    return arm  # parts of 1/3 may sum to a little less than 1
