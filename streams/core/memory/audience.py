"""Audience: what users with a profile like this one's touched more than others did, for whom nothing else is
known yet (demographic filtering: Pazzani, "A framework for collaborative, content-based and demographic
filtering", 1999).
"""

import math

import numpy as np

from streams.core.catalogue import longer
from streams.core.memory.expert import NOBODY, Floats, Request, Slots, State
from streams.core.memory.popularity import Leaders


class Audience:
    """For each item the fading sum of the profiles of those who touched it, looked up for popular items only.

    An item scores by how much closer its audience is to the user than the average audience, times the square
    root of its touches: a large audience is surer than a small one.

    considered  how many of the leaders are looked at
    """

    name = "audience"

    def __init__(self, leaders: Leaders, capacity: int, *, half_life: float, considered: int) -> None:
        self._leaders = leaders
        self._considered = considered
        self._rate = math.log(2) / half_life
        self._sums: Floats | None = None  # (capacity, dim), as of `_as_of`
        self._touches = np.zeros(capacity)
        self._as_of = np.zeros(capacity)
        self._mean = np.zeros(0, np.float32)  # (dim,) of all profiles, fading by number
        self._capacity = capacity

    def learn(self, request: Request, slot: int, weight: float) -> None:
        profile = request.profile
        if profile is None:
            return
        sums = self._room(len(profile))
        kept = math.exp(min((self._as_of[slot] - request.at) * self._rate, 0.0))
        late = math.exp(min((request.at - self._as_of[slot]) * self._rate, 0.0))
        sums[slot] *= np.float32(kept)
        sums[slot] += profile * np.float32(weight * late)
        self._touches[slot] = self._touches[slot] * kept + weight * late
        self._as_of[slot] = max(self._as_of[slot], request.at)
        self._mean += (profile - self._mean) * np.float32(0.001)

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        if request.profile is None or self._sums is None:
            return 0
        leaders = self._leaders.slots[: self._considered]
        touches = self._touches[leaders]
        usable = (request.shown[leaders] >= 0) & (request.shown[leaders] != request.mark) & (touches > 0)
        leaders, touches = leaders[usable], touches[usable]
        gains = (self._sums[leaders] @ request.profile - touches * float(self._mean @ request.profile)) / np.sqrt(
            touches
        )
        best = np.argsort(-gains, kind="stable")[: len(slots)]
        best = best[gains[best] > 0]
        slots[: len(best)], scores[: len(best)] = leaders[best], gains[best]
        return len(best)

    def because(self, request: Request, slots: Slots) -> Slots:
        return np.full(len(slots), NOBODY, np.int32)

    def resize(self, capacity: int) -> None:
        self._capacity = capacity
        self._touches, self._as_of = longer(self._touches, capacity), longer(self._as_of, capacity)
        if self._sums is not None:
            self._sums = longer(self._sums, capacity)

    def state(self) -> State:
        used = int(np.flatnonzero(self._touches)[-1]) + 1 if self._touches.any() else 0
        sums = self._sums[:used] if self._sums is not None else np.zeros((0, 0), np.float32)
        return {
            "sums": sums,
            "touches": self._touches[:used],
            "as_of": self._as_of[:used],
            "mean": self._mean,
        }

    def load(self, state: State) -> None:
        used = len(state["touches"])
        self._touches[:used], self._as_of[:used] = state["touches"], state["as_of"]
        if used:
            self._room(state["sums"].shape[1])[:used] = state["sums"]
            self._mean[:] = state["mean"]

    def _room(self, dim: int) -> Floats:
        if self._sums is None:
            self._sums = np.zeros((self._capacity, dim), np.float32)
            self._mean = np.zeros(dim, np.float32)
        return self._sums
