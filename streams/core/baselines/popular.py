"""The most popular items, for everybody alike: of all time, or of late."""

import math
from collections.abc import Sequence

import numpy as np

from streams.core.baselines.baseline import Baseline, Floats, Slots

LARGEST = 2.0**60


class Popular(Baseline):
    """What most people touched so far."""

    def _scores(self, row: int, past: Slots, at: float) -> Floats | None:
        return self.popularity


class RecentlyPopular(Baseline):
    """What people touch of late: a touch counts half after `half_life` seconds."""

    def __init__(self, items: Sequence[str], *, half_life: float) -> None:
        super().__init__(items)
        self._half_life = half_life
        self._fading = np.zeros(len(items))
        self._started = math.nan

    def _scores(self, row: int, past: Slots, at: float) -> Floats | None:
        top = self._fading.max(initial=0.0)
        return (self._fading / top).astype(np.float32) if top else None

    def _learn(self, row: int, past: Slots, slot: int, at: float) -> None:
        # New touches grow instead of old ones fading: the order is the same, and one number changes.
        if math.isnan(self._started):
            self._started = at
        weight = 2.0 ** min((at - self._started) / self._half_life, 1000.0)
        self._fading[slot] += weight
        if weight > LARGEST:
            self._fading /= weight
            self._started = at
