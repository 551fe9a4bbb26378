"""How good the lists are right now: each click is judged by the list that its user held, over the latest clicks."""

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
from msgspec import Struct

from streams.core.evaluation import K, gains, gini, reciprocals

GROUPS = 20
"""Groups of users whose Recall is told, the most frequent."""


class LiveFigures(Struct, frozen=True):
    """Means over the clicks in the window, as in `evaluation.Quality`; all 0 while there are none.

    groups  group of users -> Recall of their clicks, the most frequent groups
    """

    clicks: int
    recall: float
    ndcg: float
    mrr: float
    coverage: float
    gini: float
    groups: dict[str, float] = {}


class LiveQuality:
    """Told of every list and every click, in the order they come; a click costs a few microseconds.

    window  clicks that count, the latest
    users   users whose list is remembered, those with the latest lists

    >>> live = LiveQuality(window=100, users=10)
    >>> live.hold("ann", ["a", "b"])
    >>> live.click("ann", "b"), live.click("bob", "b")
    (True, False)
    >>> live.figures(catalogue=4)
    LiveFigures(clicks=1, recall=1.0, ndcg=0.6309297535714575, mrr=0.5, coverage=0.5, gini=0.5, groups={})
    """

    def __init__(self, *, window: int, users: int) -> None:
        self._users = users
        self._held: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._judged: deque[tuple[int, tuple[str, ...], str]] = deque(maxlen=window)  # rank, list, group
        self._exposure: Counter[str] = Counter()

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
        if len(self._judged) == self._judged.maxlen:
            self._exposure.subtract(self._judged[0][1])
        self._judged.append((held.index(item_id) + 1 if item_id in held else 0, held, group))
        self._exposure.update(held)
        return True

    def place(self, user_id: str, item_id: str) -> int | None:
        """Of the item in the list that the user holds, 1 the first; 0 where not among the first K, None: not known."""
        held = self._held.get(user_id)
        if held is None:
            return None
        return held.index(item_id) + 1 if item_id in held else 0

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
        ranks = np.fromiter((rank for rank, *_ in self._judged), np.int32, len(self._judged))
        if not len(ranks):
            return LiveFigures(0, 0.0, 0.0, 0.0, 0.0, 0.0)
        shown = np.array([count for count in self._exposure.values() if count], np.int64)
        exposure = np.zeros(max(catalogue, len(shown), 1), np.int64)
        exposure[: len(shown)] = shown
        return LiveFigures(
            clicks=len(ranks),
            recall=float((ranks > 0).mean()),
            ndcg=float(gains(ranks).mean()),
            mrr=float(reciprocals(ranks).mean()),
            coverage=len(shown) / len(exposure),
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

    def _by_group(self) -> dict[str, float]:
        clicks = Counter(group for *_, group in self._judged if group)
        hits = Counter(group for rank, _, group in self._judged if group and rank)
        return {group: hits[group] / count for group, count in clicks.most_common(GROUPS)}
