"""Tests that hold at whatever moment somebody looks, and stops: always-valid p-values and intervals.

A difference is tested by a mixture sequential probability ratio (Robbins, "Statistical methods related to the law of
the iterated logarithm", 1970; Johari, Koomen, Pekelis and Walsh, "Peeking at A/B tests", KDD 2017), and its interval is
the normal mixture of Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
sequences", 2021. Both take the estimate for normal, with the variance that was measured.

They are made for estimates to which each moment adds something independent. Ours are sums over users, and what a user
does tomorrow resembles what they did today: such an estimate wanders less than an independent one of the same variance,
so it leaves the bounds more rarely still (Slepian, 1962).
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import chdtrc, gammaln  # scipy.stats says the same, and takes a worker's start a second longer

PRIOR_USERS = 100.0
"""How surely the split is as planned before anybody has come, in users."""


def p_value(estimate: float, variance: float, effect: float) -> float:
    """How rarely so large an estimate, or a larger one at any moment, is met where the truth is 0.

    variance  of the estimate
    effect    what is hoped for: the standard deviation of the truths that are mixed

    >>> round(p_value(0.1, 0.02**2, effect=0.1), 6), p_value(0.0, 0.02**2, effect=0.1)
    (3.1e-05, 1.0)
    """
    if variance <= 0:
        return 1.0
    both = variance + effect**2
    return min(1.0, math.sqrt(both / variance) * math.exp(-(effect**2) * estimate**2 / (2 * variance * both)))


def radius(variance: float, effect: float, alpha: float) -> float:
    """Half of the interval around the estimate that holds the truth at all moments, but in `alpha` of the cases.

    >>> round(radius(0.02**2, effect=0.1, alpha=0.05), 4)  # a look at one moment alone would have 0.0392
    0.062
    """
    both = variance + effect**2
    return math.sqrt(2 * variance * both / effect**2 * (math.log(1 / alpha) + math.log(both / variance) / 2))


def mismatch(users: Sequence[int], parts: Sequence[float]) -> float:
    """How rarely users are dealt out so unevenly, at any moment, where the parts are as planned; always valid.

    Lindon and Malek, "Anytime-valid inference for multinomial count data", 2022.

    >>> mismatch([5_000, 5_000], [0.5, 0.5]), round(mismatch([5_000, 5_300], [0.5, 0.5]), 3)
    (1.0, 0.135)
    """
    counts, prior = np.array(users, float), PRIOR_USERS * np.array(parts)
    log_odds = (
        gammaln(prior + counts).sum()
        - gammaln(prior.sum() + counts.sum())
        + gammaln(prior.sum())
        - gammaln(prior).sum()
        - counts @ np.log(parts)
    )
    return float(min(1.0, math.exp(-min(log_odds, 700.0))))


def mismatch_now(users: Sequence[int], parts: Sequence[float]) -> float:
    """The same for a single look, which was planned before: Pearson's chi-square."""
    counts = np.array(users, float)
    expected = counts.sum() * np.array(parts)
    return float(chdtrc(len(parts) - 1, ((counts - expected) ** 2 / expected).sum())) if counts.sum() else 1.0
