"""Content: items whose fused vectors are near the user's taste; the one expert that knows items nobody touched."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streams.core.catalogue import Catalogue
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import NOBODY, Floats, Marks, Request, Slots, State, keep_best
from streams.core.vectors import Vector

Nearest = Callable[[Vector, int], tuple[Slots, Floats]]
"""(vector, n) -> the slots of about n items with the most similar vectors, and their cosines."""

TEMPERATURE = 0.1
"""Cosines differ little; a score is exp(cosine / TEMPERATURE), relative to the best."""

LOOKED_BACK = 20
"""How many of the user's latest items may be named as the reason."""


class Content:
    """Nothing to learn: the vectors are the catalogue's and the taste is the user's.

    exact    up to so many items are compared one by one, which is exact and costs less than a search
    nearest  an index to ask where there are more; without one the newest `exact` are compared
    """

    name = "content"

    def __init__(self, catalogue: Catalogue, *, exact: int, nearest: Nearest | None = None) -> None:
        self._catalogue = catalogue
        self._exact = exact
        self._nearest = nearest

    def learn(self, request: Request, slot: int, weight: float) -> None:
        pass

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        if request.taste is None or self._catalogue.vectors is None:
            return 0
        first = max(0, len(self._catalogue) - self._exact)
        if self._nearest is not None and first > 0:
            found, cosines = self._nearest(request.taste, 2 * len(slots))
        else:
            found = np.arange(first, len(self._catalogue), dtype=np.int32)
            cosines = self._catalogue.vectors[first : len(self._catalogue)] @ request.taste
        return _keep(found, cosines, self._catalogue.has_vector, request.shown, request.mark, slots, scores)

    def because(self, request: Request, slots: Slots) -> Slots:
        past = request.trail.slots[-LOOKED_BACK:]
        past = past[self._catalogue.has_vector[past]]
        if not len(past) or self._catalogue.vectors is None:
            return np.full(len(slots), NOBODY, np.int32)
        cosines = self._catalogue.vectors[slots] @ self._catalogue.vectors[past].T
        closest: Slots = past[cosines.argmax(axis=1)]
        return closest

    def resize(self, capacity: int) -> None:
        pass

    def state(self) -> State:
        return {}

    def load(self, state: State) -> None:
        pass


@compiled
def _keep(
    found: Slots,
    cosines: Floats,
    has_vector: NDArray[np.bool_],
    shown: Marks,
    mark: int,
    slots: Slots,
    scores: Floats,
) -> int:
    usable = np.empty(len(found), np.int32)
    values = np.empty(len(found), np.float32)
    count = 0
    best = np.float32(-1)
    for each in range(len(found)):
        slot = found[each]
        if shown[slot] >= 0 and shown[slot] != mark and has_vector[slot]:
            usable[count] = slot
            values[count] = cosines[each]
            best = max(best, cosines[each])
            count += 1
    for each in range(count):
        values[each] = math.exp((values[each] - best) / TEMPERATURE)
    return keep_best(usable[:count], values[:count], slots, scores)
