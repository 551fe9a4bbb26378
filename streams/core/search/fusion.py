"""Many rankings become one by reciprocal rank, each place counting as much as the match is strong.

Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods",
SIGIR 2009. Places alone do not tell a ranking that found from one that guessed: asked in Japanese, an index of English
words still has a first place. So each place is multiplied by the strength of its match.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.core.search.settings import SMOOTHING

Slots = NDArray[np.int32]


class Ranking(NamedTuple):
    """Items, best first, each once.

    slots      (n,) int32
    strengths  (n,) float32: how good each match is by itself, 1 as good as can be; 0 or less is none
    """

    slots: Slots
    strengths: NDArray[np.float32]


NOTHING = Ranking(np.zeros(0, np.int32), np.zeros(0, np.float32))


def given_by(ranking: Ranking, smoothing: float = SMOOTHING) -> NDArray[np.float64]:
    """(n,) what a ranking gives to each of its items: strength / (smoothing + place)."""
    strengths = np.maximum(ranking.strengths, 0).astype(np.float64)
    return strengths / (smoothing + np.arange(1, len(ranking.slots) + 1))


def fuse(
    rankings: Mapping[str, Ranking], weights: Mapping[str, float], smoothing: float = SMOOTHING
) -> tuple[Slots, NDArray[np.float64]]:
    """All items of the rankings by their sum of weight * strength / (smoothing + place), best first; equals by slot.

    rankings  by name
    weights   name -> weight, 0 or more; a ranking without one does not count

    Returns (m,) int32 slots and (m,) float64 sums above 0.

    >>> both = {"a": Ranking(np.array([7, 5]), np.array([1.0, 1.0])), "b": Ranking(np.array([5]), np.array([0.5]))}
    >>> slots, sums = fuse(both, {"a": 1.0, "b": 1.0}, smoothing=1.0)
    >>> slots.tolist(), sums.round(3).tolist()
    ([5, 7], [0.583, 0.5])
    """
    return _summed(rankings, weights, lambda each: given_by(each, smoothing))


def matches(rankings: Mapping[str, Ranking], weights: Mapping[str, float]) -> tuple[Slots, NDArray[np.float64]]:
    """All items of the rankings by their sum of weight * strength, whatever their places; sums as shares of the best.

    Arguments and shapes as for `fuse`.

    >>> slots, shares = matches({"a": Ranking(np.array([7, 5]), np.array([0.8, 0.6]))}, {"a": 1.0})
    >>> slots.tolist(), shares.round(2).tolist()
    ([7, 5], [1.0, 0.75])
    """
    slots, sums = _summed(rankings, weights, lambda each: np.maximum(each.strengths, 0).astype(np.float64))
    return slots, sums / sums[:1]


def _summed(
    rankings: Mapping[str, Ranking], weights: Mapping[str, float], given: Callable[[Ranking], NDArray[np.float64]]
) -> tuple[Slots, NDArray[np.float64]]:
    """Distinct slots and the weighted sums of what each is given, above 0, best first; equals by slot."""
    counting = [(weights[name], each) for name, each in rankings.items() if weights.get(name, 0.0) > 0]
    if not counting:
        return NOTHING.slots, np.zeros(0)
    gains = [weight * given(each) for weight, each in counting]
    slots, places = np.unique(np.concatenate([each.slots for _, each in counting]), return_inverse=True)
    sums = np.bincount(places, np.concatenate(gains), len(slots))
    order = np.argsort(-sums, kind="stable")
    order = order[sums[order] > 0]
    return np.asarray(slots[order], np.int32), np.asarray(sums[order], np.float64)
