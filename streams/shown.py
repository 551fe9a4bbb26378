"""What the latest answers showed: a click on one of them teaches what the rankings are to count.

Every worker follows `search.shown`, as the click of a user may come to another than the one that answered.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping

from msgspec import Struct

from streams import metrics
from streams.core.digest import digest
from streams.core.search.clicks import LearnedWeights, slope
from streams.errors import Rejected
from streams.events import SHOWN, Click, Shown, encode, read_shown, reading
from streams.ports import Outgoing

REMEMBERED = 20_000
"""Answers, the latest, some 1 KB each; of older ones a click teaches nothing."""


class _Named(Struct):
    query_id: str


_named = reading(_Named)


class _Answer(Struct):
    """value: as it came; users: digests of those whose click has counted."""

    value: bytes
    users: set[bytes]


class Answers:
    """The latest of all answers, by their query.

    weights  what each ranking counts as set
    learned  what clicks have made of that
    """

    def __init__(self, weights: Mapping[str, float], learned: LearnedWeights) -> None:
        self._weights = weights
        self._learned = learned
        self._answers: OrderedDict[str, _Answer] = OrderedDict()

    def take(self, value: bytes) -> None:
        """One more answer has shown something. Raises Rejected."""
        self._answers[_named(value).query_id] = _Answer(value, set())
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)

    def lesson(self, click: Click) -> dict[str, float]:
        """What a click teaches, see `core.search.clicks.slope`; of one user's clicks on an answer the first counts."""
        if click.query_id is None:
            return {}
        slopes, outcome = self._judge(click.query_id, click)
        metrics.SEARCH_LESSONS.labels(outcome).inc()
        return slopes

    def _judge(self, query_id: str, click: Click) -> tuple[dict[str, float], str]:
        """What it teaches, and what became of it, for the metric."""
        answer = self._answers.get(query_id)
        if answer is None:
            return {}, "answer unknown"
        user = digest(click.user_id)
        if user in answer.users:
            return {}, "again"
        try:
            shown = checked(read_shown(answer.value))
        except Rejected:
            return {}, "answer unreadable"
        if click.item_id not in shown.items:
            return {}, "item not shown"
        answer.users.add(user)
        place = shown.items.index(click.item_id)
        slopes = slope(shown.gains, self._learned.of(self._weights), place)
        return slopes, "taught" if slopes else "nothing to tell apart"


def told(shown: Shown) -> Outgoing:
    """For all workers to hear."""
    return Outgoing(SHOWN, shown.query_id.encode(), encode(shown))


def checked(shown: Shown) -> Shown:
    """Raises Rejected for gains that are none."""
    for name, gains in shown.gains.items():
        if len(gains) != len(shown.items) or not all(0 <= each < math.inf for each in gains):
            raise Rejected("out_of_range", f"{name!r} gave {gains} to {len(shown.items)} items")
    return shown
