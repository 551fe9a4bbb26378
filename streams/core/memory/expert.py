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


@compiled
def take_best(totals: Floats, touched: Slots, count: int, shown: Marks, mark: int, slots: Slots, scores: Floats) -> int:
    """Move the best of the touched totals that may be shown into `slots` and `scores`; clear the totals.

    Equal scores at the edge are taken in the order of `touched`.
    """
    allowed = 0
    for row in range(count):
        slot = touched[row]
        if shown[slot] >= 0 and shown[slot] != mark and totals[slot] > 0:
            touched[allowed] = slot
            allowed += 1
        else:
            totals[slot] = 0
    room = len(slots)
    if allowed <= room:
        for row in range(allowed):
            slots[row] = touched[row]
            scores[row] = totals[touched[row]]
            totals[touched[row]] = 0
        return allowed
    values = np.empty(allowed, np.float32)
    for row in range(allowed):
        values[row] = totals[touched[row]]
    edge = np.partition(values, allowed - room)[allowed - room]
    above = 0
    for row in range(allowed):
        above += values[row] > edge
    level = room - above
    taken = 0
    for row in range(allowed):
        slot = touched[row]
        if values[row] > edge or (values[row] == edge and level > 0):
            level -= values[row] == edge
            slots[taken] = slot
            scores[taken] = values[row]
            taken += 1
        totals[slot] = 0
    return taken
