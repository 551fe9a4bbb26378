"""What happened, summed up by user: who is dealt out together is counted together."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streams.core.experiments.assignment import INTERLEAVED
from streams.core.experiments.plan import HOLDOUT, Experiment, Plan

NO_ARM, SEVERAL = -1, -2
COLUMNS = ("lists", "hits", "clicks", "seconds", "items", "lists_before", "hits_before", "first", "second")
Sums = NDArray[np.float64]


class Outcome(Protocol):
    """That a list was given, and what came of the one before: `events.Outcome`."""

    @property
    def user(self) -> str: ...
    @property
    def list_version(self) -> int: ...
    @property
    def variants(self) -> Mapping[str, str]: ...
    @property
    def items(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def before(self) -> Mapping[str, str]: ...
    @property
    def clicks(self) -> int: ...
    @property
    def place(self) -> int: ...
    @property
    def credit(self) -> Mapping[str, int]: ...


class Table:
    """The users of one experiment, a row each.

    arms  (n,) int8: place of the user's arm; NO_ARM before they were in one, SEVERAL where they were in more
    sums  (n, len(COLUMNS)) float64: `lists` given, `hits` of them of which one of the first ten was clicked, `clicks`,
          `seconds` from event to list and `items` in lists; the same `before` the user was in the experiment; items
          clicked that the `first` and the `second` arm had picked
    """

    def __init__(self, arms: list[str]) -> None:
        self._place = {arm: place for place, arm in enumerate(arms)} | {INTERLEAVED: 0}
        self._names = arms
        self._rows: dict[str, int] = {}
        self._arms = np.full(64, NO_ARM, np.int8)
        self._sums = np.zeros((64, len(COLUMNS)))

    @property
    def arms(self) -> NDArray[np.int8]:
        return self._arms[: len(self._rows)]

    @property
    def sums(self) -> Sums:
        return self._sums[: len(self._rows)]

    def add(self, arm: str | None, before: str | None, outcome: Outcome) -> None:
        """Count an outcome.

        arm     of the list that was given; None outside of the experiment
        before  of the list before
        """
        row = self._rows.setdefault(outcome.user, len(self._rows))
        if row == len(self._arms):
            self._arms = np.concatenate([self._arms, np.full(row, NO_ARM, np.int8)])
            self._sums = np.concatenate([self._sums, np.zeros((row, len(COLUMNS)))])
        sums = self._sums[row]
        hit = float(outcome.place > 0)
        if before is not None:
            first, second = (float(outcome.credit.get(name, 0)) for name in self._names[:2])
            sums += (0, hit, outcome.clicks, 0, 0, 0, 0, first, second)
        elif self._arms[row] == NO_ARM:
            sums += (0, 0, 0, 0, 0, 0, hit, 0, 0)
        if arm is not None:
            place = self._place.get(arm, SEVERAL)
            self._arms[row] = place if self._arms[row] in (NO_ARM, place) else SEVERAL
            sums += (1, 0, 0, outcome.seconds, outcome.items, 0, 0, 0, 0)
        elif self._arms[row] == NO_ARM:
            sums += (0, 0, 0, 0, 0, 1, 0, 0, 0)


class Tally:
    """All experiments of a plan. An outcome that comes again, or late, is left out."""

    def __init__(self, plan: Plan) -> None:
        self.tables = {name: Table(list(each.arms)) for name, each in compared(plan).items()}
        self._versions: dict[str, int] = {}

    def add(self, outcome: Outcome) -> None:
        """Count what became of a list."""
        if outcome.list_version <= self._versions.get(outcome.user, 0):
            return
        self._versions[outcome.user] = outcome.list_version
        for name, table in self.tables.items():
            table.add(outcome.variants.get(name), outcome.before.get(name), outcome)


def compared(plan: Plan) -> dict[str, Experiment]:
    """What is reported on: the experiments, and the hold-out as if it were one."""
    holdout = Experiment(arms={"out": {}, "in": {}}, split={"out": plan.holdout, "in": 1 - plan.holdout})
    return ({HOLDOUT: holdout} if plan.holdout else {}) | plan.experiments()
