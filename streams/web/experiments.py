"""Experiments as they stand, from the outcomes that workers publish."""

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic

from msgspec import Struct

from streams import metrics
from streams.core.experiments import analysis
from streams.core.experiments.analysis import GUARD_RAILS, ExperimentReport
from streams.core.experiments.plan import Plan
from streams.core.experiments.tally import Tally
from streams.events import read_outcome

REMEMBERED = 2.0  # seconds for which one report answers everybody
SHOWN_SECONDS = 15.0  # from one setting of the gauges to the next


class Experiments(Struct, frozen=True):
    """What the experiments of the plan have shown by now. Look as often as you like: the figures hold at any moment.

    outcomes  lists that they are made from
    """

    experiments: list[ExperimentReport]
    outcomes: int


class Watcher:
    """Keeps count.

    plan  None where nothing is tried
    """

    def __init__(self, plan: Plan | None, clock: Callable[[], float] = monotonic) -> None:
        self._plan = plan or Plan()
        self._tally = Tally(self._plan)
        self._clock = clock
        self._outcomes = 0
        self._known = Experiments([], 0)
        self._known_at = -REMEMBERED

    def take(self, value: bytes) -> None:
        """The value of one message of `experiments`. Raises Rejected."""
        self._tally.add(read_outcome(value))
        self._outcomes += 1

    def report(self) -> Experiments:
        """As of now, or a moment ago."""
        if self._clock() - self._known_at >= REMEMBERED:
            self._known = Experiments(analysis.report(self._plan, self._tally), self._outcomes)
            self._known_at = self._clock()
        return self._known

    async def show(self, seconds: float = SHOWN_SECONDS) -> None:
        """Keep setting the gauges of alarms, whether or not anybody looks at the report."""
        while True:
            _show(self.report().experiments)
            await asyncio.sleep(seconds)


def _show(reports: Iterable[ExperimentReport]) -> None:
    """Set the gauges of what makes experiments doubtful; of one that has stopped nothing is told any more."""
    for gauge in (metrics.EXPERIMENT_MISMATCH, metrics.EXPERIMENT_SEVERAL, metrics.EXPERIMENT_WORSENED):
        gauge.clear()
    for each in reports:
        if each.stopped:
            continue
        metrics.EXPERIMENT_MISMATCH.labels(each.name).set(each.mismatch)
        metrics.EXPERIMENT_SEVERAL.labels(each.name).set(each.several)
        for arm in each.arms:
            if each.kind == "arms" and arm.against is not None:
                for rail in GUARD_RAILS:
                    metrics.EXPERIMENT_WORSENED.labels(each.name, arm.name, rail.name).set(rail.name in arm.worsened)
