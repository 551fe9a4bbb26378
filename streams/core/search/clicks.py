"""What clicks on answers teach of what each ranking is to count, beside what was set.

Who clicks has looked at the items above, and most probably at the one below, before they chose (Joachims, "Optimizing
search engines using clickthrough data", KDD 2002; Craswell and others, "An experimental comparison of click
position-bias models", WSDM 2008). Of what stands further down a click says nothing, so nothing loses by standing there.
Among those looked at, the choice is taken to be as likely as a power of each item's score (Luce, "Individual choice
behavior", 1959); a lesson is the slope of the logarithm of that by the logarithm of each weight.

Nobody can turn the order: a lesson moves a weight by a small step; of one user's lessons of late the second counts
half, the third a third; what was set draws back; and a weight stays within a quarter and four times of what was set.
"""

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence

import numpy as np

from streams.core.digest import digest

SHARPNESS = 8.0
"""Power of the scores: how surely the better of two items is chosen."""
RATE = 0.05
"""How far the first lesson of a user moves the logarithm of a weight, at most."""
PULL = 0.02
"""What draws back to what was set, beside lessons that all say the same."""
FARTHEST = math.log(4)
"""From what was set, as a logarithm."""
OF_LATE = 1_000
"""Lessons among which those of one user count less and less."""


def slope(gains: Mapping[str, Sequence[float]], weights: Mapping[str, float], clicked: int) -> dict[str, float]:
    """Ranking -> whether it should have counted more (to 1) or less (to -1); empty where a click tells nothing.

    gains    ranking -> what it gave to each item of the answer, best first: strength / (smoothing + place), 0 where it
             does not have the item
    weights  ranking -> what it counts now
    clicked  place in the answer, 0 the first

    >>> given = {"words": [0.016, 0.0], "image in image": [0.0, 0.015]}
    >>> slope(given, {"words": 1.0, "image in image": 1.0}, clicked=1)["image in image"] > 0.5
    True
    """
    names = [name for name in gains if weights.get(name, 0.0) > 0]
    if len(names) < 2:
        return {}
    given = np.array([gains[name][: clicked + 2] for name in names]) * [[weights[name]] for name in names]
    sums = given.sum(axis=0)
    if sums.min() <= 0:
        return {}
    shares = given / sums
    likely = (sums / sums.max()) ** SHARPNESS
    slopes = shares[:, clicked] - shares @ (likely / likely.sum())
    return dict(zip(names, slopes.tolist(), strict=True))


class LearnedWeights:
    """What lessons have made of the weights; the same lessons in the same order lead to the same.

    >>> learned = LearnedWeights()
    >>> for user in range(100):
    ...     learned.learn({"words": -0.5, "image in image": 0.5}, f"user {user}")
    >>> learned.of({"words": 2.0, "image in image": 0.5, "text in text": 1.0})["image in image"] > 1.5
    True
    """

    def __init__(self) -> None:
        self.logarithms: dict[str, float] = {}
        self._latest: deque[str] = deque()
        self._lessons_of: Counter[str] = Counter()

    def learn(self, slopes: Mapping[str, float], user_id: str, share: float = 1.0) -> None:
        """Learn from one click.

        slopes  as of `slope`
        share   0 to 1: how much the click may teach
        """
        if share <= 0 or not slopes:
            return
        user = digest(user_id).hex()  # an id may not outlive its user here
        self._latest.append(user)
        self._lessons_of[user] += 1
        if len(self._latest) > OF_LATE:
            self._drop(self._latest.popleft())
        step = RATE * share / self._lessons_of[user]
        for name, value in slopes.items():
            now = self.logarithms.get(name, 0.0)
            moved = now + step * (max(-1.0, min(value, 1.0)) - PULL * now)
            self.logarithms[name] = max(-FARTHEST, min(moved, FARTHEST))

    def forget(self, user_id: str) -> None:
        """Hold nothing of a user; what their clicks have taught stays, as it names nobody."""
        user = digest(user_id).hex()
        if self._lessons_of.pop(user, 0):
            self._latest = deque(each for each in self._latest if each != user)

    def of(self, weights: Mapping[str, float]) -> dict[str, float]:
        """What each ranking counts, given what was set."""
        return {name: weight * math.exp(self.logarithms.get(name, 0.0)) for name, weight in weights.items()}

    def state(self) -> tuple[list[str], list[float], list[str]]:
        """Rankings, the logarithm of what became of each, and whose lessons were the latest; for `load`."""
        return list(self.logarithms), list(self.logarithms.values()), list(self._latest)

    def load(self, names: Sequence[str], logarithms: Sequence[float], latest: Sequence[str]) -> None:
        """Go on from a `state`."""
        self.logarithms = dict(zip(names, logarithms, strict=True))
        self._latest, self._lessons_of = deque(latest), Counter(latest)

    def _drop(self, user: str) -> None:
        self._lessons_of[user] -= 1
        if not self._lessons_of[user]:
            del self._lessons_of[user]
