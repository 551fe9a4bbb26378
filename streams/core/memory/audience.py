"""Audience: what users with a profile like this one's touched more than others did, for whom nothing else is
known yet (demographic filtering: Pazzani, "A framework for collaborative, content-based and demographic
filtering", 1999).
"""

import math

import numpy as np

from streams.core.catalogue import longer
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import NOBODY, Doubles, Floats, Marks, Request, Slots, State, keep_best
from streams.core.memory.popularity import Leaders

MEAN_RATE = 0.001
"""How far one touch moves the average profile."""


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
        _learn(sums, self._touches, self._as_of, self._mean, self._rate, profile, slot, request.at, weight)

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        if request.profile is None or self._sums is None:
            return 0
        leaders = self._leaders.slots[: self._considered]
        return _propose(
            self._sums, self._touches, self._mean, leaders, request.profile, request.shown, request.mark, slots, scores
        )  # fmt: skip

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


@compiled
def _learn(
    sums: Floats,
    touches: Doubles,
    as_of: Doubles,
    mean: Floats,
    rate: float,
    profile: Floats,
    slot: int,
    at: float,
    weight: float,
) -> None:
    kept = math.exp(min((as_of[slot] - at) * rate, 0.0))
    added = weight * math.exp(min((at - as_of[slot]) * rate, 0.0))
    for each in range(len(profile)):
        sums[slot, each] = sums[slot, each] * np.float32(kept) + profile[each] * np.float32(added)
        mean[each] += (profile[each] - mean[each]) * np.float32(MEAN_RATE)
    touches[slot] = touches[slot] * kept + added
    as_of[slot] = max(as_of[slot], at)


@compiled
def _propose(
    sums: Floats,
    touches: Doubles,
    mean: Floats,
    leaders: Slots,
    profile: Floats,
    shown: Marks,
    mark: int,
    slots: Slots,
    scores: Floats,
) -> int:
    usual = np.float32(0)
    for each in range(len(profile)):
        usual += mean[each] * profile[each]
    found = np.empty(len(leaders), np.int32)
    gains = np.empty(len(leaders), np.float32)
    count = 0
    for slot in leaders:
        if shown[slot] >= 0 and shown[slot] != mark and touches[slot] > 0:
            close = np.float32(0)
            for each in range(len(profile)):
                close += sums[slot, each] * profile[each]
            gain = (close - touches[slot] * usual) / math.sqrt(touches[slot])
            if gain > 0:
                found[count] = slot
                gains[count] = gain
                count += 1
    return keep_best(found[:count], gains[:count], slots, scores)
