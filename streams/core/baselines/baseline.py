"""What every baseline is: something that learns choices one by one, and lists what it scores highest."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Slots = NDArray[np.int32]

NOTHING = np.empty(0, np.int32)


class System(Protocol):
    """What can be judged: it lists for a user, then learns what that user chose."""

    def recommend(self, user: str, at: float, k: int) -> list[str]:
        """The k items, the best first, that the user has not touched; at: seconds since the epoch."""

    def learn(self, user: str, item: str, at: float) -> None:
        """The user chose the item."""

    def see(self, user: str, item: str, at: float, weight: float) -> None:
        """The user saw the item without choosing it; weight: what that says, where a choice says 1."""


class Past:
    """What a user touched, oldest first: each item once, where it was touched first."""

    def __init__(self) -> None:
        self._slots = np.empty(8, np.int32)
        self._places: dict[int, int] = {}

    def __contains__(self, slot: int) -> bool:
        return slot in self._places

    @property
    def slots(self) -> Slots:
        """(n,) int32, a view."""
        return self._slots[: len(self._places)]

    def add(self, slot: int) -> None:
        if len(self._places) == len(self._slots):
            self._slots = np.concatenate([self._slots, np.empty_like(self._slots)])
        self._slots[len(self._places)] = slot
        self._places[slot] = len(self._places)


class Baseline:
    """Ids, pasts, popularity and lists; what is left to each kind is how it scores and what else it learns.

    items  the whole catalogue; among equals, and where scores run out, the more popular and then the earlier comes
           first

    A second touch of the same item by the same user teaches nothing, nor does an item that was only seen.
    """

    def __init__(self, items: Sequence[str]) -> None:
        self.items = list(items)
        self.popularity = np.zeros(len(items), np.float32)
        self.pasts: list[Past] = []
        self._slots = {item: slot for slot, item in enumerate(items)}
        self._rows: dict[str, int] = {}

    def recommend(self, user: str, at: float, k: int) -> list[str]:
        """See `System`."""
        row = self._rows.get(user, -1)
        past = self.pasts[row].slots if row >= 0 else NOTHING
        scores = self._scores(row, past, at)
        best = [] if scores is None else highest(scores, past, k)
        if len(best) < k:
            popular = highest(self.popularity + np.float32(1e-6), np.concatenate([past, np.array(best, np.int32)]), k)
            best += popular[: k - len(best)]
        return [self.items[slot] for slot in best]

    def learn(self, user: str, item: str, at: float) -> None:
        """See `System`. Raises KeyError for an item that the catalogue does not have."""
        slot = self._slots[item]
        row = self._rows.setdefault(user, len(self._rows))
        if row == len(self.pasts):
            self.pasts.append(Past())
        past = self.pasts[row]
        if slot in past:
            return
        self._learn(row, past.slots, slot, at)
        past.add(slot)
        self.popularity[slot] += 1

    def see(self, user: str, item: str, at: float, weight: float) -> None:
        """See `System`."""

    def _scores(self, row: int, past: Slots, at: float) -> Floats | None:
        """(items,) float32, above 0 for what may be listed; None where there is nothing to go by.

        row  number of the user, -1 for one that is new
        """
        raise NotImplementedError

    def _learn(self, row: int, past: Slots, slot: int, at: float) -> None:
        """The user, whose past ends before it, touched the item."""


def highest(scores: Floats, without: Slots, k: int) -> list[int]:
    """The k slots with the highest scores above 0, the best first; among equals the lower slot.

    >>> highest(np.array([0.1, 0.9, 0.0, 0.1], np.float32), np.array([1], np.int32), 3)
    [0, 3]
    """
    scores = scores.copy()
    scores[without] = 0
    found = np.flatnonzero(scores > 0)
    if len(found) > k:
        least = np.partition(scores[found], len(found) - k)[len(found) - k]
        found = found[scores[found] >= least]
    order: list[int] = found[np.lexsort((found, -scores[found]))][:k].tolist()
    return order


def recencies(past: Slots, depth: int, half: float) -> tuple[Slots, Floats]:
    """The last `depth` items of a past, oldest first, and how much each still counts: half after `half` steps."""
    latest = past[-depth:]
    steps = np.arange(len(latest) - 1, -1, -1, dtype=np.float32)
    return latest, np.exp2(-steps / np.float32(half))
