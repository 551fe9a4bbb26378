"""What clicks teach of the weights of rankings, by people that are made up, who look from the top for what is right.

They ask what a trial asks, half of all names, and look at the first ten of each answer. They click the first that is
right, if any is there; now and then one is mistaken, and clicks on whatever stands somewhere, the likelier the higher.
Judged are the queries about the other half of the names, with the weights as they are by then.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from streams.core.search.clicks import LearnedWeights, slope
from streams.core.search.settings import WEIGHTS, SearchSettings
from streams.evaluate.search.judge import folds, searcher, some_of_each
from streams.evaluate.search.trial import Trial
from streams.evaluate.search.weights import Gains, gains, mean_reciprocal_rank
from streams.reports import Sheet

SEED = 7
LOOKED_AT = 10
PEOPLE = 500
CLICKS = (0, 100, 1_000, 10_000)
MISTAKEN = (0.0, 0.3)


def starts() -> dict[str, dict[str, float]]:
    """Weights to begin with, good ones and bad ones."""
    least, most = min(WEIGHTS.values()), max(WEIGHTS.values())
    return {
        "as shipped": dict(WEIGHTS),
        "all alike": dict.fromkeys(WEIGHTS, 1.0),
        "turned about: what counts most counts least": {
            name: least * most / weight for name, weight in WEIGHTS.items()
        },
    }


class Halves(Struct, frozen=True):
    """The queries that are learned from, and those that are judged."""

    learned: Gains
    judged: Gains


def halves(trial: Trial) -> Halves:
    """Some of each kind of query, by the names that they are about."""
    shipped = searcher(trial, SearchSettings())
    slot = {document.item_id: place for place, document in enumerate(trial.documents)}
    kinds = [case.kind for case in trial.cases]
    held_out = folds([case.label for case in trial.cases], 2)[0]
    found = []
    for rows in (np.flatnonzero(~held_out), np.flatnonzero(held_out)):
        cases = [trial.cases[row] for row in some_of_each(kinds, rows)]
        rankings = [shipped.rankings(case.question) for case in cases]
        right = [{slot[item] for item in case.right} for case in cases]
        found.append(gains(rankings, right, [case.kind for case in cases]))
    return Halves(*found)


def sheet(trial: Trial) -> Sheet:
    """MRR by number of clicks, from each start, and with each share of mistaken ones."""
    both = halves(trial)
    rows = []
    for name, weights in starts().items():
        for mistaken in MISTAKEN:
            told = f"{name}, {mistaken:.0%} of clicks mistaken" if mistaken else name
            rows.append([told, *(f"{each:.3f}" for each in course(both, weights, mistaken))])
    title = f"{trial.name}: MRR after so many clicks, the mean of the kinds of queries"
    return Sheet(title, ("weights at the start", *(f"{count:,}" for count in CLICKS)), rows)


def course(both: Halves, weights: Mapping[str, float], mistaken: float, clicks: Sequence[int] = CLICKS) -> list[float]:
    """MRR of what is judged, after each number of clicks.

    weights  at the start
    """
    learned, chance = LearnedWeights(), np.random.default_rng(SEED)
    found, done = [], 0
    for count in clicks:
        while done < count:
            done += _click(both.learned, weights, learned, mistaken, chance)
        found.append(mean_reciprocal_rank(both.judged, _laid_out(both.judged, learned.of(weights))))
    return found


def _click(
    of: Gains, weights: Mapping[str, float], learned: LearnedWeights, mistaken: float, chance: np.random.Generator
) -> bool:
    """Somebody asks, and clicks if they find anything; whether they do."""
    row = int(chance.integers(len(of.gains)))
    now = learned.of(weights)
    sums = of.gains[row] @ _laid_out(of, now)
    shown = np.argsort(-sums, kind="stable")[:LOOKED_AT]
    shown = shown[sums[shown] > 0]
    right = np.flatnonzero(of.right[row, shown])
    if not len(shown) or not len(right):
        return False
    place = int(right[0])
    if chance.random() < mistaken:
        likely = 1 / np.arange(1, len(shown) + 1)
        place = int(chance.choice(len(shown), p=likely / likely.sum()))
    given = of.gains[row, shown]
    had = np.flatnonzero(given.any(axis=0))
    slopes = slope({of.names[each]: given[:, each].tolist() for each in had}, now, place)
    learned.learn(slopes, f"user {chance.integers(PEOPLE)}")
    return True


def _laid_out(of: Gains, weights: Mapping[str, float]) -> NDArray[np.float32]:
    return np.array([weights.get(name, 0.0) for name in of.names], np.float32)
