"""Items that go together: cosine of items, and rules of what follows what."""

from collections.abc import Sequence

import numpy as np

from streams.core.baselines.baseline import Baseline, Floats, Slots, recencies


class Row:
    """One item's row of a sparse table: a number for each other item that was met with it."""

    def __init__(self) -> None:
        self.columns = np.empty(4, np.int32)
        self.values = np.empty(4, np.float32)
        self._places: dict[int, int] = {}

    def add(self, column: int, value: float) -> None:
        place = self._places.get(column)
        if place is None:
            place = self._append(column)
        self.values[place] += value

    def _append(self, column: int) -> int:
        place = len(self._places)
        if place == len(self.columns):
            self.columns = np.concatenate([self.columns, np.empty_like(self.columns)])
            self.values = np.concatenate([self.values, np.empty_like(self.values)])
        self.columns[place], self.values[place] = column, 0
        self._places[column] = place
        return place

    def add_to(self, totals: Floats, factor: float) -> None:
        """Add the row, times a factor, to (items,) totals."""
        used = len(self._places)
        totals[self.columns[:used]] += self.values[:used] * np.float32(factor)


class Table:
    """Rows by item, made when they are first written to."""

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}

    def add(self, row: int, column: int, value: float) -> None:
        if row not in self._rows:
            self._rows[row] = Row()
        self._rows[row].add(column, value)

    def sum(self, rows: Slots, factors: Floats, items: int) -> Floats:
        """(items,) float32: the sum of these rows, each times its factor."""
        totals = np.zeros(items, np.float32)
        for row, factor in zip(rows.tolist(), factors.tolist(), strict=True):
            if row in self._rows:
                self._rows[row].add_to(totals, factor)
        return totals


class ItemCosine(Baseline):
    """Items touched by the same people as the user's latest items (Sarwar et al. 2001; incremental, after Papagelis
    et al. 2005): cosine of who touched them, the user's latest items louder.

    window  how far back in a past an item is met with a new one
    depth   how many of the user's latest items speak
    half    an item `half` steps back speaks half as loud
    """

    def __init__(self, items: Sequence[str], *, window: int, depth: int, half: float) -> None:
        super().__init__(items)
        self._window, self._depth, self._half = window, depth, half
        self._met = Table()

    def _scores(self, row: int, past: Slots, at: float) -> Floats | None:
        latest, loudness = recencies(past, self._depth, self._half)
        scores = self._met.sum(latest, loudness / np.sqrt(self.popularity[latest]), len(self.items))
        scores /= np.sqrt(np.maximum(self.popularity, 1))
        return scores

    def _learn(self, row: int, past: Slots, slot: int, at: float) -> None:
        for other in past[-self._window :].tolist():
            self._met.add(slot, other, 1.0)
            self._met.add(other, slot, 1.0)


class SequentialRules(Baseline):
    """What followed the user's latest items in others' pasts, the sooner the more (Kamehkhosh, Jannach and Ludewig,
    "A comparison of frequent pattern techniques and a deep learning method for session-based recommendation", 2017).

    steps  how many steps later an item may follow; it counts 1 / steps
    depth  how many of the user's latest items speak, the latest the loudest: 1 / steps back
    """

    def __init__(self, items: Sequence[str], *, steps: int, depth: int) -> None:
        super().__init__(items)
        self._steps, self._depth = steps, depth
        self._followed = Table()

    def _scores(self, row: int, past: Slots, at: float) -> Floats | None:
        latest = past[-self._depth :]
        loudness = 1 / np.arange(len(latest), 0, -1, dtype=np.float32)
        return self._followed.sum(latest, loudness, len(self.items))

    def _learn(self, row: int, past: Slots, slot: int, at: float) -> None:
        for back, before in enumerate(past[: -self._steps - 1 : -1].tolist(), 1):
            self._followed.add(before, slot, 1 / back)
