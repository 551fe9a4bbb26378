"""One user's past, in time order and bounded: what the recommender ranks from."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.core.catalogue import Catalogue


class Trail(NamedTuple):
    """A user's past as arrays, oldest first; items the catalogue does not know are left out.

    slots  (n,) int32    times  (n,) float64, seconds since the epoch    weights  (n,) float32
    """

    slots: NDArray[np.int32]
    times: NDArray[np.float64]
    weights: NDArray[np.float32]


class History:
    """The last `max_items` interactions of a user; a late one is put where its time says.

    >>> history = History(max_items=2)
    >>> for item, at in (("a", 1.0), ("c", 3.0), ("b", 2.0)):
    ...     history.add(item, at, 1.0)
    >>> history.item_ids, "a" in history, "b" in history
    (['b', 'c'], False, True)
    """

    def __init__(self, max_items: int = 1000) -> None:
        self.max_items = max_items
        self.item_ids: list[str] = []
        self.times: list[float] = []
        self.weights: list[float] = []
        self._count: dict[str, int] = {}
        self._trail: _TrailBuffer | None = None

    @classmethod
    def of(cls, touches: Iterable[tuple[str, float, float]], max_items: int = 1000) -> "History":
        """A history from (item_id, at, weight) in any order."""
        history = cls(max_items)
        for item_id, at, weight in touches:
            history.add(item_id, at, weight)
        return history

    def __len__(self) -> int:
        return len(self.item_ids)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._count

    def add(self, item_id: str, at: float, weight: float) -> None:
        """Remember that the item was touched at this event time."""
        place = bisect_right(self.times, at) if self.times and at < self.times[-1] else len(self.times)
        if place < len(self.times):
            self._trail = None
        self.item_ids.insert(place, item_id)
        self.times.insert(place, at)
        self.weights.insert(place, weight)
        self._count[item_id] = self._count.get(item_id, 0) + 1
        if len(self.item_ids) > self.max_items:
            self._drop_oldest()

    def drop_before(self, moment: float) -> None:
        """Erase what was touched before this event time."""
        while self.times and self.times[0] < moment:
            self._drop_oldest()

    def trail(self, catalogue: Catalogue) -> Trail:
        """The past as arrays of slots; computed once, then extended by what was added since."""
        if self._trail is None or self._trail.catalogue is not catalogue:
            self._trail = _TrailBuffer(catalogue, self.max_items)
        return self._trail.follow(self)

    def _drop_oldest(self) -> None:
        dropped = self.item_ids.pop(0)
        self.times.pop(0)
        self.weights.pop(0)
        self._count[dropped] -= 1
        if not self._count[dropped]:
            del self._count[dropped]
        if self._trail is not None:
            self._trail.drop_oldest()


class _TrailBuffer:
    """Arrays with room at the end; the rows in use are [start, end)."""

    def __init__(self, catalogue: Catalogue, max_items: int) -> None:
        self.catalogue = catalogue
        self._max_items = max_items
        self._known = 0  # the catalogue's size when slots were last looked up
        self._unknown = 0
        self._start = self._end = 0
        self._slots = np.zeros(16, np.int32)
        self._times = np.zeros(16)
        self._weights = np.zeros(16, np.float32)

    def follow(self, history: History) -> Trail:
        held = self._end - self._start
        if self._unknown and self._known != len(self.catalogue):
            held = self._start = self._end = self._unknown = 0
        self._known = len(self.catalogue)
        if held < len(history.item_ids):
            added = history.item_ids[held:]
            self._append(self.catalogue.slots(added), history.times[held:], history.weights[held:])
        window = slice(self._start, self._end)
        trail = Trail(self._slots[window], self._times[window], self._weights[window])
        if not self._unknown:
            return trail
        known = trail.slots >= 0
        return Trail(trail.slots[known], trail.times[known], trail.weights[known])

    def drop_oldest(self) -> None:
        if self._start < self._end:
            self._unknown -= int(self._slots[self._start] < 0)
            self._start += 1

    def _append(self, slots: NDArray[np.int32], times: Sequence[float], weights: Sequence[float]) -> None:
        held, end = self._end - self._start, self._end + len(slots)
        if end > len(self._slots):
            self._reallocate(max(min(2 * (held + 8), 2 * self._max_items + 2), held + len(slots)))
            end = self._end + len(slots)
        rows = slice(self._end, end)
        self._slots[rows], self._times[rows], self._weights[rows] = slots, times, weights
        self._unknown += int(np.count_nonzero(slots < 0))
        self._end = end

    def _reallocate(self, size: int) -> None:
        held = self._end - self._start
        slots, times, weights = np.zeros(size, np.int32), np.zeros(size), np.zeros(size, np.float32)
        window = slice(self._start, self._end)
        slots[:held], times[:held] = self._slots[window], self._times[window]
        weights[:held] = self._weights[window]
        self._slots, self._times, self._weights = slots, times, weights
        self._start, self._end = 0, held
