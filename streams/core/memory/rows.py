"""A sparse item-by-item table of fading counts, each row bounded."""

import math

import numpy as np
from numpy.typing import NDArray

from streams.core.catalogue import longer
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Doubles, Floats, Slots, State

Counts = NDArray[np.int32]


class Rows:
    """For each item, the items met with it and how much, fading by half in `half_life` seconds.

    A row holds at most `width` items; a new one then takes the place of the weakest.

    slots    (capacity, width) int32      weights  (capacity, width) float32, as of the row's `as_of`
    lengths  (capacity,) int32: how much of a row is in use
    as_of    (capacity,) float64, seconds since the epoch: the latest event of the row
    """

    def __init__(self, capacity: int, width: int, half_life: float) -> None:
        self.rate = math.log(2) / half_life
        self.slots = np.zeros((capacity, width), np.int32)
        self.weights = np.zeros((capacity, width), np.float32)
        self.lengths = np.zeros(capacity, np.int32)
        self.as_of = np.zeros(capacity)

    def resize(self, capacity: int) -> None:
        self.slots, self.weights = longer(self.slots, capacity), longer(self.weights, capacity)
        self.lengths, self.as_of = longer(self.lengths, capacity), longer(self.as_of, capacity)

    def state(self) -> State:
        used = int(np.flatnonzero(self.lengths)[-1]) + 1 if self.lengths.any() else 0
        held = np.arange(self.slots.shape[1]) < self.lengths[:used, None]
        return {
            "lengths": self.lengths[:used],
            "as_of": self.as_of[:used],
            "slots": self.slots[:used][held],
            "weights": self.weights[:used][held],
        }

    def load(self, state: State) -> None:
        used = len(state["lengths"])
        self.lengths[:used] = state["lengths"]
        self.as_of[:used] = state["as_of"]
        held = np.arange(self.slots.shape[1]) < self.lengths[:used, None]
        self.slots[:used][held] = state["slots"]
        self.weights[:used][held] = state["weights"]


@compiled
def add_to_row(
    slots: Slots,
    weights: Floats,
    lengths: Counts,
    as_of: Doubles,
    row: int,
    column: int,
    weight: float,
    at: float,
    rate: float,
) -> None:
    """Add `weight`, seen at time `at`, to one cell; a late one fades before it is added."""
    length = lengths[row]
    if at > as_of[row]:
        kept = np.float32(math.exp((as_of[row] - at) * rate)) if length > 0 else np.float32(0)
        for cell in range(length):
            weights[row, cell] *= kept
        as_of[row] = at
    else:
        weight *= math.exp((at - as_of[row]) * rate)
    cell = _place(slots[row, :length], np.int32(column))
    if cell >= 0:
        weights[row, cell] += weight
        return
    if length < slots.shape[1]:
        lengths[row] = length + 1
    else:
        length = _weakest(weights[row])
    slots[row, length] = column
    weights[row, length] = weight


# Both look at a whole row without a way out in between, which lets the vector unit look at several cells at once.


@compiled
def _place(slots: Slots, slot: np.int32) -> int:
    """Where the slot is, -1 where it is not."""
    place = np.int32(-1)
    for cell in range(len(slots)):
        place = max(place, np.int32(cell) if slots[cell] == slot else np.int32(-1))
    return int(place)


@compiled
def _weakest(weights: Floats) -> int:
    """Where the least is; the bits of numbers that are not negative have the same order as they."""
    bits = weights.view(np.int32)
    least = bits[0]
    for cell in range(len(bits)):
        least = min(least, bits[cell])
    return _place(bits, least)
