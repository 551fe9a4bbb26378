"""Neighbours: what they touched whose pasts are like the user's. V-SKNN and STAN, kept up to date with every touch.

A user's whole past is taken for one session.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from streams.core.baselines.baseline import Baseline, Floats, Slots, recencies


class _Neighbours(Baseline):
    """Who touched what, the latest `visitors` of each item; the `neighbours` most alike speak.

    depth  how many of the user's latest items look for neighbours
    half   an item `half` steps back looks half as hard
    """

    def __init__(self, items: Sequence[str], *, visitors: int, neighbours: int, depth: int, half: float) -> None:
        super().__init__(items)
        self._depth, self._half, self._neighbours = depth, half, neighbours
        self._visitors: list[deque[int]] = [deque(maxlen=visitors) for _ in items]
        self._seen_at: list[float] = []

    def _learn(self, row: int, past: Slots, slot: int, at: float) -> None:
        if row == len(self._seen_at):
            self._seen_at.append(at)
        self._seen_at[row] = at
        self._visitors[slot].append(row)

    def _scores(self, row: int, past: Slots, at: float) -> Floats | None:
        latest, loudness = recencies(past, self._depth, self._half)
        rows, likeness = self._alike(row, latest, loudness, at)
        if not len(rows):
            return None
        pasts = [self.pasts[each].slots for each in rows.tolist()]
        lengths = np.array([len(each) for each in pasts])
        items = np.concatenate(pasts)
        starts = np.cumsum(lengths) - lengths
        voices = np.zeros(len(self.items), np.float32)
        voices[latest] = loudness
        shared = voices[items]
        loudest = np.maximum.reduceat(shared, starts)  # the user's latest item that the neighbour has, too
        places = np.arange(len(items)) - np.repeat(starts, lengths)
        met = np.maximum.reduceat(np.where(shared == np.repeat(loudest, lengths), places, -1), starts)
        weights = likeness * self._weight_of_shared(loudest)
        heard = np.repeat(weights, lengths) * self._weight_of_distance(places - np.repeat(met, lengths))
        totals = np.bincount(items, heard, len(self.items)).astype(np.float32)
        return totals * self._weight_of_item()

    def _alike(self, own: int, latest: Slots, loudness: Floats, at: float) -> tuple[Slots, Floats]:
        """(rows, likeness) of the users most like this one, in no order."""
        visitors = [self._visitors[slot] for slot in latest.tolist()]
        counts = [len(each) for each in visitors]
        met = np.fromiter((row for each in visitors for row in each), np.int32, sum(counts))
        rows, where = np.unique(met, return_inverse=True)
        likeness = np.bincount(where, np.repeat(loudness, counts), len(rows)).astype(np.float32)
        others = rows != own
        rows, likeness = rows[others], likeness[others]
        likeness = likeness * self._weight_of_neighbours(rows, at)
        if len(rows) > self._neighbours:
            best = np.argpartition(-likeness, self._neighbours)[: self._neighbours]
            rows, likeness = rows[best], likeness[best]
        return rows, likeness

    def _weight_of_neighbours(self, rows: Slots, at: float) -> Floats:
        """What the loudness of shared items is multiplied by: as in a cosine, long pasts count less."""
        lengths = np.array([len(self.pasts[row].slots) for row in rows.tolist()], np.float32)
        return lengths ** np.float32(-0.5)

    def _weight_of_shared(self, loudest: Floats) -> Floats:
        return np.ones_like(loudest)

    def _weight_of_distance(self, distance: Slots) -> Floats:
        return np.ones(len(distance), np.float32)

    def _weight_of_item(self) -> Floats:
        return np.ones(len(self.items), np.float32)


class VectorNeighbours(_Neighbours):
    """V-SKNN (Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", 2018): the later the
    items that are shared, the more alike; rare items are worth more.
    """

    def _weight_of_shared(self, loudest: Floats) -> Floats:
        return loudest

    def _weight_of_item(self) -> Floats:
        rarity: Floats = np.log1p(np.float32(len(self.pasts)) / np.maximum(self.popularity, 1))
        return rarity


class Stan(_Neighbours):
    """STAN (Garg et al., "Sequence and time aware neighborhood for session-based recommendations", 2019): besides,
    neighbours seen lately are heard more, and of their items those near to the last one that is shared.

    fresh  a neighbour last seen `fresh` seconds ago counts half
    near   an item `near` steps from the shared one counts half
    """

    def __init__(
        self,
        items: Sequence[str],
        *,
        visitors: int,
        neighbours: int,
        depth: int,
        half: float,
        fresh: float,
        near: float,
    ) -> None:
        super().__init__(items, visitors=visitors, neighbours=neighbours, depth=depth, half=half)
        self._fresh, self._near = fresh, near

    def _weight_of_neighbours(self, rows: Slots, at: float) -> Floats:
        ages = at - np.array([self._seen_at[row] for row in rows.tolist()])
        freshness: Floats = np.exp2(-np.maximum(ages, 0) / self._fresh).astype(np.float32)
        return super()._weight_of_neighbours(rows, at) * freshness

    def _weight_of_distance(self, distance: Slots) -> Floats:
        nearness: Floats = np.exp2(-np.abs(distance) / self._near).astype(np.float32)
        return nearness
