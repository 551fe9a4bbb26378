"""What each ranking counts, chosen so that the right answers come first.

Coordinate ascent on the mean reciprocal rank (Metzler and Croft, "Linear feature-based models for information
retrieval", Information Retrieval 10(3), 2007), every kind of query counting alike.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from streams.core.search.fusion import Ranking, given_by

STEPS = (4.0, 2.0, 1.4)
START = 0.3
LEAST_GAIN = 1e-4


class Gains(Struct, frozen=True):
    """What each ranking gives to each candidate of each query.

    gains  (queries, candidates, rankings) float32; zeros where there are fewer candidates
    right  (queries, candidates) bool
    kinds  (queries,) int: what sort of query it is
    names  of the rankings
    """

    gains: NDArray[np.float32]
    right: NDArray[np.bool_]
    kinds: NDArray[np.int64]
    names: list[str]


def gains(rankings: Sequence[Mapping[str, Ranking]], right: Sequence[Collection[int]], kinds: Sequence[str]) -> Gains:
    """Lay out the rankings of queries side by side.

    right  slots of what each query looks for
    """
    names = sorted({name for each in rankings for name in each})
    nothing = np.zeros(0, np.int32)
    candidates = [np.unique(np.concatenate([nothing, *(one.slots for one in each.values())])) for each in rankings]
    widest = max((len(each) for each in candidates), default=0)
    given = np.zeros((len(rankings), widest, len(names)), np.float32)
    is_right = np.zeros((len(rankings), widest), np.bool_)
    for row, (each, slots) in enumerate(zip(rankings, candidates, strict=True)):
        is_right[row, : len(slots)] = np.isin(slots, list(right[row]))
        for name, one in each.items():
            given[row, np.searchsorted(slots, one.slots), names.index(name)] = given_by(one)
    return Gains(given, is_right, np.unique(kinds, return_inverse=True)[1], names)


def mean_reciprocal_rank(of: Gains, weights: NDArray[np.float32]) -> float:
    """The mean over kinds of queries of the mean of 1 / place of the first right answer."""
    sums = of.gains @ weights
    best = np.where(of.right, sums, 0.0).max(axis=1, initial=0.0)
    places = 1 + (sums > best[:, None]).sum(axis=1)
    reciprocal = np.where(best > 0, 1 / places, 0.0)
    return float((np.bincount(of.kinds, reciprocal) / np.bincount(of.kinds)).mean())


def tuned(of: Gains, start: Mapping[str, float]) -> dict[str, float]:
    """Weights at which no change of one of them gains anything.

    start  where to begin, 0 for what it lacks
    """
    weights = np.array([start.get(name, 0.0) for name in of.names], np.float32)
    best = mean_reciprocal_rank(of, weights)
    for step in STEPS:
        for _ in range(2):
            for place in range(len(of.names)):
                now = float(weights[place])
                for tried in (now * step, now / step, 0.0) if now else (START / step,):
                    changed = weights.copy()
                    changed[place] = tried
                    if (found := mean_reciprocal_rank(of, changed)) > best + LEAST_GAIN:
                        best, weights = found, changed
    return {name: float(weight) for name, weight in zip(of.names, weights, strict=True) if weight}
