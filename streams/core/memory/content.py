"""Content: items whose fused vectors are near the user's taste; the one expert that knows items nobody touched."""

from collections.abc import Callable

import numpy as np

from streams.core.catalogue import Catalogue
from streams.core.memory.expert import NOBODY, Floats, Request, Slots, State
from streams.core.vectors import Vector

Nearest = Callable[[Vector, int], tuple[Slots, Floats]]
"""(vector, n) -> the slots of about n items with the most similar vectors, and their cosines."""

TEMPERATURE = 0.1
"""Cosines differ little; a score is exp(cosine / TEMPERATURE), relative to the best."""

LOOKED_BACK = 20
"""How many of the user's latest items may be named as the reason."""


class Content:
    """Nothing to learn: the vectors are the catalogue's and the taste is the user's.

    nearest  an index to ask; without one the newest `exact` items are compared one by one
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
        if self._nearest is not None:
            found, cosines = self._nearest(request.taste, 2 * len(slots))
        else:
            first = max(0, len(self._catalogue) - self._exact)
            found = np.arange(first, len(self._catalogue), dtype=np.int32)
            cosines = self._catalogue.vectors[first : len(self._catalogue)] @ request.taste
        shown = request.shown[found]
        usable = (shown >= 0) & (shown != request.mark) & self._catalogue.has_vector[found]
        found, cosines = found[usable], cosines[usable]
        if len(found) > len(slots):
            best = np.argpartition(-cosines, len(slots) - 1)[: len(slots)]
            found, cosines = found[best], cosines[best]
        count = len(found)
        if count:
            slots[:count], scores[:count] = found, np.exp((cosines - cosines.max()) / TEMPERATURE)
        return count

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
