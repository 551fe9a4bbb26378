"""How good the lists are right now: each click is judged by the list that its user held, over the latest clicks."""

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from itertools import islice
from math import log2
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from streams.core.evaluation import K, gains, gini, reciprocals

GROUPS = 20
"""Groups of users whose Recall is told, the most frequent."""


class LiveFigures(Struct, frozen=True):
    """Means over the clicks in the window, as in `evaluation.Quality`; all 0 while there are none.

    novelty  by how popular items were among the clicks of the window, up to each
    groups   group of users -> Recall of their clicks, the most frequent groups
    """

    clicks: int
    recall: float
    precision: float
    ndcg: float
    mrr: float
    coverage: float
    novelty: float
    gini: float
    groups: dict[str, float] = {}


class _Judged(NamedTuple):
    """A click, and the list it was judged by; its numbers are in the arrays of `LiveQuality`."""

    held: tuple[str, ...]
    item_id: str
    group: str
    hit: bool


class LiveQuality:
    """Told of every list and every click, in the order they come; a click costs a few microseconds.

    window  clicks that count, the latest
    users   users whose list is remembered, those with the latest lists

    >>> live = LiveQuality(window=100, users=10)
    >>> live.hold("ann", ["a", "b"])
    >>> live.click("ann", "b"), live.click("bob", "b")
    (True, False)
    >>> now = live.figures(catalogue=4)
    >>> now.clicks, now.recall, now.precision, now.mrr, now.coverage, now.novelty
    (1, 1.0, 0.1, 0.5, 0.5, 2.0)
    """

    def __init__(self, *, window: int, users: int) -> None:
        self._users = users
        self._held: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._judged: deque[_Judged] = deque()
        # Of the clicks in the window, each at its number modulo the window, so that the sums need no loop:
        self._ranks = np.zeros(window, np.int32)  # of the item in the list, 0 where it was not there
        self._before = np.zeros(window)  # clicks in the window when it came
        self._familiar = np.full(window, np.nan)  # mean of log2(1 + clicks on it) over the list; NaN for an empty list
        self._number = 0
        self._clicks: dict[str, int] = {}  # item -> how many of those in the window
        self._exposure: Counter[str] = Counter()
        self._groups: Counter[str] = Counter()  # clicks of users of a group, in the window
        self._hits: Counter[str] = Counter()

    def hold(self, user_id: str, item_ids: Sequence[str]) -> None:
        """The user holds this list from now on, the best first."""
        self._held[user_id] = tuple(item_ids[:K])
        self._held.move_to_end(user_id)
        if len(self._held) > self._users:
            self._held.popitem(last=False)

    def click(self, user_id: str, item_id: str, group: str = "") -> bool:
        """The user clicked the item: judge the list they hold. False where that is not known.

        group  of users whose Recall is told apart; empty: none
        """
        held = self._held.get(user_id)
        if held is None:
            return False
        if len(self._judged) == len(self._ranks):
            self._expire(self._judged.popleft())
        clicks, place = self._clicks, self._number % len(self._ranks)
        rank = _place(held, item_id)
        self._ranks[place], self._before[place] = rank, len(self._judged)
        self._familiar[place] = sum(log2(1 + clicks.get(each, 0)) for each in held) / len(held) if held else np.nan
        self._number += 1
        self._judged.append(_Judged(held, item_id, group, rank > 0))
        self._groups[group] += 1
        self._hits[group] += rank > 0
        clicks[item_id] = clicks.get(item_id, 0) + 1
        self._exposure.update(held)
        return True

    def place(self, user_id: str, item_id: str) -> int | None:
        """Of the item in the list that the user holds, 1 the first; 0 where not among the first K, None: not known."""
        held = self._held.get(user_id)
        return None if held is None else _place(held, item_id)

    def _expire(self, judged: _Judged) -> None:
        self._exposure.subtract(judged.held)
        self._clicks[judged.item_id] -= 1
        if not self._clicks[judged.item_id]:
            del self._clicks[judged.item_id]
        self._groups[judged.group] -= 1
        self._hits[judged.group] -= judged.hit
        if not self._groups[judged.group]:
            del self._groups[judged.group], self._hits[judged.group]

    def forget(self, user_id: str) -> None:
        """Erase the list that is held for this user; the items of lists that were judged name nobody."""
        self._held.pop(user_id, None)

    def forget_lists(self) -> None:
        """Erase every list that is held: another worker may make newer ones from now on."""
        self._held.clear()

    def figures(self, catalogue: int) -> LiveFigures:
        """As of now; takes about a millisecond.

        catalogue  items that could be recommended
        """
        ranks = self._ranks[: len(self._judged)]
        if not len(ranks):
            return LiveFigures(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        shown = np.array([count for count in self._exposure.values() if count], np.int64)
        exposure = np.zeros(max(catalogue, len(shown), 1), np.int64)
        exposure[: len(shown)] = shown
        recall = float((ranks > 0).mean())
        return LiveFigures(
            clicks=len(ranks),
            recall=recall,
            precision=recall / K,
            ndcg=float(gains(ranks).mean()),
            mrr=float(reciprocals(ranks).mean()),
            coverage=len(shown) / len(exposure),
            novelty=self._novelty(len(exposure)),
            gini=gini(exposure),
            groups=self._by_group(),
        )

    @property
    def exposure(self) -> Mapping[str, int]:
        """Item -> places that it had in the judged lists."""
        return self._exposure

    def latest(self, count: int) -> list[tuple[str, ...]]:
        """The lists that were held last."""
        return list(islice(reversed(self._held.values()), count))

    def _novelty(self, catalogue: int) -> float:
        """As in `evaluation.judge`; an empty list has none."""
        count = len(self._judged)
        surprise = np.log2(self._before[:count] + catalogue) - self._familiar[:count]
        return float(np.nansum(surprise)) / count

    def _by_group(self) -> dict[str, float]:
        named = ((group, count) for group, count in self._groups.most_common(GROUPS + 1) if group)
        return {group: self._hits[group] / count for group, count in islice(named, GROUPS)}


def _place(held: Sequence[str], item_id: str) -> int:
    """1 the first; 0 where it is not there."""
    return held.index(item_id) + 1 if item_id in held else 0
