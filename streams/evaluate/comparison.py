"""Systems side by side on the same clicks, and whether what sets them apart is luck."""

from collections.abc import Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from streams.core.evaluation import Judged, Quality, gains, judge, quality, windows
from streams.core.significance import Difference, McNemar, mcnemar, user_bootstrap
from streams.errors import AnabranchError
from streams.evaluate.log import Log
from streams.evaluate.offline import Outcome

HEADLINE = "last 50%"
HISTORY = ((0, 0), (1, 5), (6, 20), (21, 50), (51, 100), (101, None))
"""Lengths of a user's past, first and last, that are told apart."""


class Cost(Struct, frozen=True):
    """Milliseconds of the processor for a click, learning and listing together."""

    mean: float
    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: NDArray[np.float64]) -> "Cost":
        spent = 1000 * seconds
        p50, p99 = np.quantile(spent, (0.5, 0.99))
        return cls(mean=float(spent.mean()), p50=float(p50), p99=float(p99), max=float(spent.max()))


class Beside(Struct, frozen=True):
    """The first system less this one, on the headline window.

    hits  who hit where the other missed
    """

    recall: Difference
    ndcg: Difference
    hits: McNemar


class Figures(Struct, frozen=True):
    """One system.

    quality     window -> means
    by_history  length of the user's past -> Recall on the headline window; lengths that nobody had are left out
    beside      None for the first system
    """

    quality: dict[str, Quality]
    by_history: dict[str, float]
    cost: Cost | None
    beside: Beside | None


class Comparison(Struct, frozen=True):
    """All systems on one log; the first is the one that the others are compared with.

    judged  system -> every event, for plots
    """

    log: str
    clicks: int
    users: int
    items: int
    systems: dict[str, Figures]
    judged: dict[str, Judged]


def compare(log: Log, outcomes: Mapping[str, Outcome]) -> Comparison:
    """Judge what each system listed before each click of the log. Raises AnabranchError.

    outcomes  name -> what it listed, the system that the others are compared with first
    """
    users = [click.user_id for click in log.clicks]
    chosen = [click.item_id for click in log.clicks]
    judged = {}
    for name, outcome in outcomes.items():
        if len(outcome.lists) != len(chosen):
            raise AnabranchError(
                f"{name} has {len(outcome.lists):,} lists for the {len(chosen):,} clicks of {log.name}"
            )
        try:
            judged[name] = judge(outcome.lists, users, chosen, log.items)
        except KeyError as error:
            raise AnabranchError(f"{name} lists {error}, an item that {log.name} does not have") from error
    first = next(iter(judged.values()))
    return Comparison(
        log=log.name,
        clicks=len(chosen),
        users=len(set(users)),
        items=len(log.items),
        systems={name: _figures(each, first, outcomes[name]) for name, each in judged.items()},
        judged=judged,
    )


def _figures(judged: Judged, first: Judged, outcome: Outcome) -> Figures:
    last = windows(len(judged.ranks))[HEADLINE]
    return Figures(
        quality={name: quality(judged, window) for name, window in windows(len(judged.ranks)).items()},
        by_history=_by_history(judged, last),
        cost=Cost.of(outcome.seconds) if len(outcome.seconds) else None,
        beside=None if judged is first else _beside(judged, first, last),
    )


def _by_history(judged: Judged, window: slice) -> dict[str, float]:
    hits, history = judged.ranks[window] > 0, judged.history[window]
    found = {}
    for low, high in HISTORY:
        inside = (history >= low) & (history <= (high if high is not None else history.max(initial=0)))
        if inside.any():
            name = str(low) if low == high else f"{low}+" if high is None else f"{low}-{high}"
            found[name] = float(hits[inside].mean())
    return found


def _beside(judged: Judged, first: Judged, window: slice) -> Beside:
    ours, theirs, users = first.ranks[window], judged.ranks[window], judged.users[window]
    return Beside(
        recall=user_bootstrap((ours > 0).astype(float), (theirs > 0).astype(float), users),
        ndcg=user_bootstrap(gains(ours), gains(theirs), users),
        hits=mcnemar(ours, theirs),
    )
