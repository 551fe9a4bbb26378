"""What every expert is: something that learns from interactions and proposes items."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.core.history import Trail
from streams.core.memory.compiled import compiled

Slots = NDArray[np.int32]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Marks = NDArray[np.int64]
State = dict[str, NDArray[np.generic]]


NOBODY = -1
"""In the answer of `Expert.because`: no past item spoke for this one."""


class Request(NamedTuple):
    """Who asks for proposals, and when.

    row      the user's row in `Sessions`, -1 where there is none
    trail    the user's past, oldest first
    touches  how many items the user has touched, those beyond the trail included
    at       seconds since the epoch
    shown    (capacity,) int64, of the catalogue; items that are HIDDEN or equal `mark` must not be proposed
    mark     see `Catalogue.mark`
    taste    (dim,) float32, unit length, or None; `profile` likewise
    """

    row: int
    trail: Trail
    touches: int
    at: float
    shown: Marks
    mark: int
    taste: Floats | None = None
    profile: Floats | None = None


class Expert(Protocol):
    """Learns from interactions one by one, in fixed memory, and proposes items."""

    name: str

    def learn(self, request: Request, slot: int, weight: float) -> None:
        """The user of the request, whose trail ends before it, touched the item in `slot` at `request.at`.

        weight  how much the touch says: 1 for a click, less for a view
        """

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        """Write the best items into `slots` and their scores, above 0, into `scores`; return how many.

        Items that the request must not see are left out. The order is free.
        """

    def because(self, request: Request, slots: Slots) -> Slots:
        """For each of the items, the past item that spoke loudest for it, or NOBODY."""

    def resize(self, capacity: int) -> None:
        """Make room for slots below `capacity`."""

    def state(self) -> State:
        """All that was learned, as arrays; `load` is the inverse."""

    def load(self, state: State) -> None: ...


class Scratch:
    """Room to add up scores by slot, shared by all experts of one recommender.

    totals   (capacity,) float32, zero between uses
    touched  (capacity,) int32: the slots whose totals are in use
    """

    def __init__(self, capacity: int) -> None:
        self.resize(capacity)

    def resize(self, capacity: int) -> None:
        self.totals = np.zeros(capacity, np.float32)
        self.touched = np.zeros(capacity, np.int32)


SHIFT = 17
"""Bits of a float32 below which two scores are the same when the best are picked: steps of 1 to 2 percent."""

STEPS = 2048


@compiled
def cut(values: Floats, room: int) -> tuple[int, int]:
    """Where to cut off scores, all above 0, so that the best `room` stay: a histogram, faster than sorting.

    Returns (sure, maybe), to compare with the bits of a score as an integer: above `sure` it stays, above `maybe`
    it stays while there is room. Scores between the two differ by 2 percent at most, or are negligible.
    """
    bits = values.view(np.int32)
    top = bits.max()
    steps = np.zeros(STEPS, np.int32)
    for each in range(len(bits)):
        steps[min((top - bits[each]) >> SHIFT, STEPS - 1)] += 1
    total = 0
    for step in range(STEPS):
        total += steps[step]
        if total > room:
            return top - (step << SHIFT), top - ((step + 1) << SHIFT) if step < STEPS - 1 else 0
    return 0, 0


@compiled
def keep_best(found: Slots, values: Floats, slots: Slots, scores: Floats) -> int:
    """Copy the items with the best values, all above 0, into `slots` and `scores`; returns how many.

    Where there are more than fit, values that differ by less than 2 percent count as equal, and equal ones are taken
    in the order of `found`.
    """
    room = len(slots)
    if len(found) <= room:
        for row in range(len(found)):
            slots[row] = found[row]
            scores[row] = values[row]
        return len(found)
    bits = values.view(np.int32)
    sure, maybe = cut(values, room)
    level = room
    for row in range(len(found)):
        level -= bits[row] > sure
    taken = 0
    for row in range(len(found)):
        if bits[row] > sure or (bits[row] > maybe and level > 0):
            level -= bits[row] <= sure
            slots[taken] = found[row]
            scores[taken] = values[row]
            taken += 1
    return taken


@compiled
def take_best(totals: Floats, touched: Slots, count: int, shown: Marks, mark: int, slots: Slots, scores: Floats) -> int:
    """Move the best of the touched totals that may be shown into `slots` and `scores`, see `keep_best`; clear all."""
    allowed = 0
    values = np.empty(count, np.float32)
    for row in range(count):
        slot = touched[row]
        if shown[slot] >= 0 and shown[slot] != mark and totals[slot] > 0:
            touched[allowed] = slot
            values[allowed] = totals[slot]
            allowed += 1
        totals[slot] = 0
    return keep_best(touched[:allowed], values[:allowed], slots, scores)
