"""A sparse item-by-item table of fading counts, each row bounded."""

import math

import numpy as np
from numpy.typing import NDArray

from streams.core.catalogue import longer
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Floats, Slots, State

Counts = NDArray[np.int32]

FAR = 40.0
"""Growth, as the power of e, beyond which weights are brought back: a float32 holds twice as much."""


class Rows:
    """For each item, the items met with it and how much, fading by half in `half_life` seconds.

    A row holds at most `width` items; a new one then takes the place of the weakest. Nothing is faded in place: what
    comes later weighs more (forward decay, as in `popularity`), so that only the ratios of weights mean something.

    slots    (capacity, width) int32      weights  (capacity, width) float32, as of `since`
    lengths  (capacity,) int32: how much of a row is in use
    since    seconds since the epoch: what is met at that time counts with its own weight
    """

    def __init__(self, capacity: int, width: int, half_life: float) -> None:
        self._rate = math.log(2) / half_life
        self.slots = np.zeros((capacity, width), np.int32)
        self.weights = np.zeros((capacity, width), np.float32)
        self.lengths = np.zeros(capacity, np.int32)
        self.since: float | None = None

    def growth(self, at: float) -> float:
        """What the weight of a meeting at this time is multiplied by."""
        if self.since is None:
            self.since = at
        ahead = (at - self.since) * self._rate
        if ahead > FAR:
            self.weights *= np.float32(math.exp(-ahead))
            self.since, ahead = at, 0.0
        return math.exp(ahead)

    def resize(self, capacity: int) -> None:
        self.slots, self.weights = longer(self.slots, capacity), longer(self.weights, capacity)
        self.lengths = longer(self.lengths, capacity)

    def state(self) -> State:
        used = int(np.flatnonzero(self.lengths)[-1]) + 1 if self.lengths.any() else 0
        held = np.arange(self.slots.shape[1]) < self.lengths[:used, None]
        return {
            "lengths": self.lengths[:used],
            "since": np.array([] if self.since is None else [self.since]),
            "slots": self.slots[:used][held],
            "weights": self.weights[:used][held],
        }

    def load(self, state: State) -> None:
        used = len(state["lengths"])
        self.lengths[:used] = state["lengths"]
        self.since = float(state["since"][0]) if len(state["since"]) else None
        held = np.arange(self.slots.shape[1]) < self.lengths[:used, None]
        self.slots[:used][held] = state["slots"]
        self.weights[:used][held] = state["weights"]


@compiled
def add_to_row(slots: Slots, weights: Floats, lengths: Counts, row: int, column: int, weight: float) -> None:
    """Add to one cell; `weight` has grown as `Rows.growth` says."""
    length = lengths[row]
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
