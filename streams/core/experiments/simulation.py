"""Does the analysis keep its promises? Experiments in a made-up world, whose truth is known, judged by the real code.

Users differ: most come seldom and a few often (log-normal), and how readily they click is their own (beta). So their
lists are alike, and who takes lists for independent is misled; the figures say by how much.
"""

import math
from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from streams.core.experiments import sequential
from streams.core.experiments.analysis import click_through, difference
from streams.core.experiments.tally import COLUMNS, Sums

NORMAL = 1.96


class World(Struct, frozen=True, kw_only=True):
    """What is made up.

    users   who come
    lists   given in all, while the experiment runs
    looks   at the report, evenly: after each, one would stop
    rate    of lists that are clicked, of the average user
    spread  how alike users are in that: the less, the more they differ
    lift    by how much the second arm is better, in parts of the rate
    before  lists a user had before the experiment, in parts of those they have in it
    effect  the tests' own, see `plan.Experiment`
    """

    users: int = 2_000
    lists: int = 20_000
    looks: int = 50
    rate: float = 0.2
    spread: float = 4.0
    lift: float = 0.0
    before: float = 0.5
    effect: float = 0.3


class Run(Struct, frozen=True):
    """One experiment.

    found     look, from 1, at which the test found a difference; 0 where it never did
    peeked    whether a z-test over lists, at the same looks, ever did
    covered   whether the truth was in the interval at all looks
    """

    found: int
    peeked: bool
    covered: bool


def run(world: World, *, seed: int, alpha: float = 0.05) -> Run:
    """One experiment of two arms, half of the users each, looked at again and again."""
    found, peeked, covered = 0, False, True
    for look, (arms, sums) in enumerate(_history(world, seed), 1):
        each = [sums[arms == arm] for arm in (0, 1)]
        ratios, _ = click_through(each)
        judged = difference(ratios[0], ratios[1], world.effect, alpha)
        found = found or look * (judged.p <= alpha)
        if judged.low is not None and judged.high is not None:
            covered &= judged.low <= world.lift <= judged.high
        peeked |= _z(each) > NORMAL
    return Run(found, peeked, covered)


def mismatches(*, users: int, looks: int, lost: float, seed: int) -> int:
    """Look at which the alarm of a sample ratio mismatch went off, 0 where it never did.

    lost  share of the second arm's users of whom nothing is heard
    """
    random = np.random.default_rng(seed)
    dealt = random.random(users) < 0.5
    heard = ~dealt | (random.random(users) >= lost)
    for look in range(1, looks + 1):
        some = slice(0, users * look // looks)
        counts = [int((heard[some] & (dealt[some] == arm)).sum()) for arm in (False, True)]
        if sequential.mismatch(counts, [0.5, 0.5]) < 0.001:
            return look
    return 0


def _history(world: World, seed: int) -> Iterator[tuple[NDArray[np.int8], Sums]]:
    """At each look the arm and the sums of every user who has come."""
    random = np.random.default_rng(seed)
    arms = random.integers(0, 2, world.users).astype(np.int8)
    rates = random.beta(world.rate * world.spread, (1 - world.rate) * world.spread, world.users)
    activity = random.lognormal(0, 1, world.users)
    activity /= activity.sum()
    sums = np.zeros((world.users, len(COLUMNS)))
    given = random.poisson(activity * world.lists * world.before)
    sums[:, COLUMNS.index("lists_before")] = given
    sums[:, COLUMNS.index("hits_before")] = random.binomial(given, rates)
    better = np.minimum(1.0, rates * (1 + world.lift * arms))
    lists, hits = COLUMNS.index("lists"), COLUMNS.index("hits")
    for _ in range(world.looks):
        given = random.poisson(activity * world.lists / world.looks)
        sums[:, lists] += given
        sums[:, hits] += random.binomial(given, better)
        come = sums[:, lists] > 0
        yield arms[come], sums[come]


def _z(arms: list[Sums]) -> float:
    """As if all lists were independent, and this the only look."""
    lists = [each[:, COLUMNS.index("lists")].sum() for each in arms]
    hits = [each[:, COLUMNS.index("hits")].sum() for each in arms]
    if min(lists) == 0 or sum(hits) == 0:
        return 0.0
    rate = sum(hits) / sum(lists)
    return float(
        abs(hits[1] / lists[1] - hits[0] / lists[0]) / math.sqrt(rate * (1 - rate) * (1 / lists[0] + 1 / lists[1]))
    )
