"""Whether one system is better than another, or was only lucky."""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.stats import binomtest

from streams.core.evaluation import Numbers, Ranks


class McNemar(Struct, frozen=True):
    """Of the events that one of two systems hit and the other missed, how many each hit.

    p  of so uneven a split, or a more uneven one, if neither were better: two-sided, exact
    """

    only_first: int
    only_second: int
    p: float


class Difference(Struct, frozen=True):
    """The first system's mean less the second's, and the interval that holds 95% of the resamples."""

    mean: float
    low: float
    high: float


def mcnemar(first: Ranks, second: Ranks) -> McNemar:
    """Compare hits on the same events (McNemar 1947; for streams, Vinagre, Jorge and Gama 2014).

    first, second  (n,) ranks of two systems, 0 for a miss

    >>> mcnemar(np.array([1, 2, 3, 0, 1, 4]), np.array([0, 0, 0, 0, 0, 9]))
    McNemar(only_first=4, only_second=0, p=0.125)
    """
    only_first = int(((first > 0) & (second == 0)).sum())
    only_second = int(((first == 0) & (second > 0)).sum())
    disagreed = only_first + only_second
    p = float(binomtest(only_first, disagreed).pvalue) if disagreed else 1.0
    return McNemar(only_first, only_second, p)


def user_bootstrap(
    first: NDArray[np.float64], second: NDArray[np.float64], users: Numbers, *, resamples: int = 2000, seed: int = 7
) -> Difference:
    """The difference of two means, with an interval found by drawing users anew, all of their events together.

    A user's events are alike, so that drawing single events would promise more certainty than there is (Efron and
    Tibshirani, "An introduction to the bootstrap", 1993, on clustered data).

    first, second  (n,) the figure of each event for two systems, such as hits or gains
    users          (n,) whose event it is
    """
    _, who = np.unique(users, return_inverse=True)
    gained, events = np.bincount(who, first - second), np.bincount(who)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    for each in range(resamples):
        drawn = generator.integers(0, len(events), len(events))
        means[each] = gained[drawn].sum() / events[drawn].sum()
    low, high = np.quantile(means, (0.025, 0.975))
    return Difference(float(np.mean(first - second)), float(low), float(high))
