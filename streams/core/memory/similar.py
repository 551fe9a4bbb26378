"""Item similarity: items touched by the same users, as the cosine of fading co-visits (Sarwar et al.,
"Item-based collaborative filtering recommendation algorithms", 2001; decay as in Koren, "Collaborative
filtering with temporal dynamics", 2009).
"""

import math

import numpy as np

from streams.core.catalogue import longer
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Doubles, Floats, Marks, Request, Scratch, Slots, State, take_best
from streams.core.memory.rows import Counts, Rows, add_to_row


class Similar:
    """Co-visits of an item with the last items of its users; proposals weigh a user's late items more.

    depth    how many of a user's latest items an event pairs with and a proposal looks at
    recency  an item `recency` steps back speaks half as loud
    """

    name = "similar"

    def __init__(
        self, scratch: Scratch, capacity: int, *, width: int, half_life: float, depth: int, recency: float
    ) -> None:
        self._scratch = scratch
        self._rows = Rows(capacity, width, half_life)
        self._sizes = np.zeros(capacity)  # fading touches of each item, as of `_sized_at`
        self._sized_at = np.zeros(capacity)
        self._depth = depth
        self._recency = recency

    def learn(self, request: Request, slot: int, weight: float) -> None:
        rows = self._rows
        _learn(
            rows.slots, rows.weights, rows.lengths, rows.as_of, rows.rate, self._sizes, self._sized_at,
            request.trail.slots, request.trail.weights, self._depth, slot, weight, request.at,
        )  # fmt: skip

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        rows, scratch = self._rows, self._scratch
        return _propose(
            rows.slots, rows.weights, rows.lengths, rows.as_of, rows.rate, self._sizes, self._sized_at,
            request.trail.slots, request.at, self._depth, self._recency,
            scratch.totals, scratch.touched, request.shown, request.mark, slots, scores,
        )  # fmt: skip

    def resize(self, capacity: int) -> None:
        self._rows.resize(capacity)
        self._sizes, self._sized_at = longer(self._sizes, capacity), longer(self._sized_at, capacity)

    def state(self) -> State:
        used = int(np.flatnonzero(self._sizes)[-1]) + 1 if self._sizes.any() else 0
        return {**self._rows.state(), "sizes": self._sizes[:used], "sized_at": self._sized_at[:used]}

    def load(self, state: State) -> None:
        self._rows.load(state)
        used = len(state["sizes"])
        self._sizes[:used] = state["sizes"]
        self._sized_at[:used] = state["sized_at"]


@compiled
def _learn(
    slots: Slots,
    weights: Floats,
    lengths: Counts,
    as_of: Doubles,
    rate: float,
    sizes: Doubles,
    sized_at: Doubles,
    trail: Slots,
    trail_weights: Floats,
    depth: int,
    slot: int,
    weight: float,
    at: float,
) -> None:
    if at > sized_at[slot]:
        sizes[slot] = sizes[slot] * math.exp((sized_at[slot] - at) * rate) + weight
        sized_at[slot] = at
    else:
        sizes[slot] += weight * math.exp((at - sized_at[slot]) * rate)
    for step in range(1, min(depth, len(trail)) + 1):
        row = len(trail) - step
        before = trail[row]
        if before != slot:
            both = min(weight, trail_weights[row])
            add_to_row(slots, weights, lengths, as_of, before, slot, both, at, rate)
            add_to_row(slots, weights, lengths, as_of, slot, before, both, at, rate)


@compiled
def _propose(
    row_slots: Slots,
    row_weights: Floats,
    lengths: Counts,
    as_of: Doubles,
    rate: float,
    sizes: Doubles,
    sized_at: Doubles,
    trail: Slots,
    at: float,
    depth: int,
    recency: float,
    totals: Floats,
    touched: Slots,
    shown: Marks,
    mark: int,
    slots: Slots,
    scores: Floats,
) -> int:
    count = 0
    voice = 1.0
    fading = 0.5 ** (1.0 / recency)
    for step in range(1, min(depth, len(trail)) + 1):
        before = trail[len(trail) - step]
        if sizes[before] > 0:
            size = sizes[before] * math.exp((sized_at[before] - at) * rate)
            loud = np.float32(voice * math.exp((as_of[before] - at) * rate) / math.sqrt(size))
            for cell in range(lengths[before]):
                slot = row_slots[before, cell]
                if totals[slot] == 0:
                    touched[count] = slot
                    count += 1
                totals[slot] += row_weights[before, cell] * loud
        voice *= fading
    for row in range(count):
        slot = touched[row]
        size = sizes[slot] * math.exp((sized_at[slot] - at) * rate)
        totals[slot] = np.float32(totals[slot] / math.sqrt(size)) if size > 0 else np.float32(0)
    return take_best(totals, touched, count, shown, mark, slots, scores)
