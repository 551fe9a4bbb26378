"""Sequential rules: what users touch soon after an item (Kamehkhosh et al., "A comparison of frequent
pattern techniques and a deep learning method for session-based recommendation", 2017).
"""

import math

import numpy as np

from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Doubles, Floats, Marks, Request, Scratch, Slots, State, take_best
from streams.core.memory.rows import Counts, Rows, add_to_row


class Sequence:
    """Counts, for pairs of items, how often the second followed the first, less for wider gaps.

    gap    the second item may be up to `gap` steps after the first, and counts 1 / steps
    heads  how many of the latest items of a user propose, each 1 / steps as much
    """

    name = "sequence"

    def __init__(
        self, scratch: Scratch, capacity: int, *, width: int, half_life: float, gap: int, heads: int
    ):
        self._scratch = scratch
        self._rows = Rows(capacity, width, half_life)
        self._gap = gap
        self._heads = heads

    def learn(self, request: Request, slot: int, weight: float) -> None:
        rows = self._rows
        _learn(
            rows.slots, rows.weights, rows.lengths, rows.as_of, rows.rate,
            request.trail.slots, self._gap, slot, weight, request.at,
        )  # fmt: skip

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        rows, scratch = self._rows, self._scratch
        return _propose(
            rows.slots, rows.weights, rows.lengths, rows.as_of, rows.rate,
            request.trail.slots, request.at, self._heads,
            scratch.totals, scratch.touched, request.shown, request.mark, slots, scores,
        )  # fmt: skip

    def resize(self, capacity: int) -> None:
        self._rows.resize(capacity)

    def state(self) -> State:
        return self._rows.state()

    def load(self, state: State) -> None:
        self._rows.load(state)


@compiled
def _learn(
    slots: Slots,
    weights: Floats,
    lengths: Counts,
    as_of: Doubles,
    rate: float,
    trail: Slots,
    gap: int,
    slot: int,
    weight: float,
    at: float,
) -> None:
    for step in range(1, min(gap, len(trail)) + 1):
        before = trail[len(trail) - step]
        if before != slot:
            add_to_row(slots, weights, lengths, as_of, before, slot, weight / step, at, rate)


@compiled
def _propose(
    row_slots: Slots,
    row_weights: Floats,
    lengths: Counts,
    as_of: Doubles,
    rate: float,
    trail: Slots,
    at: float,
    heads: int,
    totals: Floats,
    touched: Slots,
    shown: Marks,
    mark: int,
    slots: Slots,
    scores: Floats,
) -> int:
    count = 0
    for step in range(1, min(heads, len(trail)) + 1):
        before = trail[len(trail) - step]
        voice = np.float32(math.exp((as_of[before] - at) * rate) / step)
        for cell in range(lengths[before]):
            slot = row_slots[before, cell]
            if totals[slot] == 0:
                touched[count] = slot
                count += 1
            totals[slot] += row_weights[before, cell] * voice
    return take_best(totals, touched, count, shown, mark, slots, scores)
