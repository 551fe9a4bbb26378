"""Co-visits: items that users touch close together, in steps or in time.

One way, from the earlier item to the later, these are sequential rules (Kamehkhosh et al., "A comparison of
frequent pattern techniques and a deep learning method for session-based recommendation", 2017); both ways,
item-based neighbours (Sarwar et al., "Item-based collaborative filtering recommendation algorithms", 2001).
Co-visits that are far apart count less, and the user's latest items speak loudest.
"""

import math

import numpy as np

from streams.core.memory.compiled import compiled
from streams.core.memory.expert import (
    NOBODY,
    Doubles,
    Floats,
    Marks,
    Request,
    Scratch,
    Slots,
    State,
    take_best,
)
from streams.core.memory.rows import Counts, Rows, add_to_row
from streams.core.memory.sizes import Sizes

FAINT = 0.02
"""What counts less than this is left out."""


class Closeness:
    """How fast two touches of one user grow apart: half as close every so many steps, and every so many seconds.

    >>> Closeness(steps=2.0).fade, Closeness(seconds=60.0).fade
    (0.7071067811865476, 1.0)
    """

    def __init__(self, *, steps: float = math.inf, seconds: float = math.inf) -> None:
        self.fade = 0.5 ** (1 / steps)
        self.rate = math.log(2) / seconds


class Covisits:
    """A sparse table of co-visits; what it proposes stands in the rows of the user's latest items.

    learned  how close two touches must be to count, at most `window` steps apart
    spoken   how close an item must be to the end of the user's past to speak, at most `window` steps from it
    one_way  only from the earlier item to the later
    """

    def __init__(
        self,
        name: str,
        scratch: Scratch,
        sizes: Sizes,
        rows: Rows,
        *,
        learned: Closeness,
        spoken: Closeness,
        window: int,
        one_way: bool = False,
    ) -> None:
        self.name = name
        self._scratch = scratch
        self._sizes = sizes
        self._rows = rows
        self._learned = learned
        self._spoken = spoken
        self._window = window
        self._one_way = one_way

    def learn(self, request: Request, slot: int, weight: float) -> None:
        rows, trail = self._rows, request.trail
        _learn(
            rows.slots, rows.weights, rows.lengths, trail.slots, trail.times, trail.weights, self._window,
            self._learned.fade, self._learned.rate, self._one_way, slot, weight, request.at, rows.growth(request.at),
        )  # fmt: skip

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        rows, trail, scratch = self._rows, request.trail, self._scratch
        return _propose(
            rows.slots, rows.weights, rows.lengths, self._sizes.past, self._sizes.proposed,
            trail.slots, trail.times, self._window, self._spoken.fade, self._spoken.rate,
            scratch.totals, scratch.touched, request.shown, request.mark, slots, scores,
        )  # fmt: skip

    def because(self, request: Request, slots: Slots) -> Slots:
        rows, trail, scratch = self._rows, request.trail, self._scratch
        return _because(
            rows.slots, rows.weights, rows.lengths, self._sizes.past,
            trail.slots, trail.times, self._window, self._spoken.fade, self._spoken.rate, scratch.totals, slots,
        )  # fmt: skip

    def resize(self, capacity: int) -> None:
        self._rows.resize(capacity)

    def state(self) -> State:
        return self._rows.state()

    def load(self, state: State) -> None:
        self._rows.load(state)


@compiled
def _learn(
    row_slots: Slots,
    row_weights: Floats,
    lengths: Counts,
    trail: Slots,
    times: Doubles,
    weights: Floats,
    window: int,
    fade: float,
    time_rate: float,
    one_way: bool,
    slot: int,
    weight: float,
    at: float,
    growth: float,
) -> None:
    near = 1.0
    for step in range(1, min(window, len(trail)) + 1):
        place = len(trail) - step
        near *= fade
        close = near * math.exp((times[place] - at) * time_rate) if times[place] < at else near
        if close < FAINT:
            return
        before = trail[place]
        if before != slot:
            gain = close * min(weight, weights[place]) * growth
            add_to_row(row_slots, row_weights, lengths, before, slot, gain)
            if not one_way:
                add_to_row(row_slots, row_weights, lengths, slot, before, gain)


@compiled
def _voices(past: Floats, trail: Slots, times: Doubles, window: int, fade: float, time_rate: float) -> Floats:
    """How loud each of the latest items speaks, the latest first; the faint are left out."""
    voices = np.empty(min(window, len(trail)), np.float32)
    near = 1.0
    for back in range(len(voices)):
        place = len(trail) - 1 - back
        close = near * math.exp(min(times[place] - times[-1], 0.0) * time_rate)
        if close < FAINT:
            return voices[:back]
        voices[back] = close * past[trail[place]]
        near *= fade
    return voices


@compiled
def _propose(
    row_slots: Slots,
    row_weights: Floats,
    lengths: Counts,
    past: Floats,
    proposed: Floats,
    trail: Slots,
    times: Doubles,
    window: int,
    fade: float,
    time_rate: float,
    totals: Floats,
    touched: Slots,
    shown: Marks,
    mark: int,
    slots: Slots,
    scores: Floats,
) -> int:
    voices = _voices(past, trail, times, window, fade, time_rate)
    count = 0
    for back in range(len(voices)):
        row = trail[len(trail) - 1 - back]
        for cell in range(lengths[row]):
            slot = row_slots[row, cell]
            if totals[slot] == 0:
                touched[count] = slot
                count += 1
            totals[slot] += row_weights[row, cell] * voices[back]
    for each in range(count):
        totals[touched[each]] *= proposed[touched[each]]
    return take_best(totals, touched, count, shown, mark, slots, scores)


@compiled
def _because(
    row_slots: Slots,
    row_weights: Floats,
    lengths: Counts,
    past: Floats,
    trail: Slots,
    times: Doubles,
    window: int,
    fade: float,
    time_rate: float,
    totals: Floats,
    slots: Slots,
) -> Slots:
    voices = _voices(past, trail, times, window, fade, time_rate)
    speakers = np.full(len(slots), NOBODY, np.int32)
    loudest = np.zeros(len(slots), np.float32)
    for each in range(len(slots)):
        totals[slots[each]] = each + 1
    for back in range(len(voices)):
        row = trail[len(trail) - 1 - back]
        for cell in range(lengths[row]):
            each = int(totals[row_slots[row, cell]]) - 1
            if each >= 0 and row_weights[row, cell] * voices[back] > loudest[each]:
                loudest[each] = row_weights[row, cell] * voices[back]
                speakers[each] = row
    for each in range(len(slots)):
        totals[slots[each]] = 0
    return speakers
