"""Popularity that fades: the most touched items of late, exactly, without ever rescaling.

Each item keeps log(sum of weight * exp(rate * time)), so that an event changes one number and the order of
the others stays (forward decay: Cormode et al., "Forward decay: a practical time decay model for streaming
systems", 2009). The order of the top items is kept, so that a request only walks down it.
"""

import math

import numpy as np

from streams.core.catalogue import longer
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import NOBODY, Doubles, Floats, Marks, Request, Slots, State


class Leaders:
    """The items with the most touches, the first first, where a touch counts half after `half_life` seconds.

    room  how many are kept in order
    """

    def __init__(self, capacity: int, *, half_life: float, room: int) -> None:
        self._rate = math.log(2) / half_life
        self._logs = np.zeros(capacity)  # 0 stands for 'never touched'
        self._leaders = np.zeros(room, np.int32)
        self._place = np.zeros(capacity, np.int32)  # 1 + place among the leaders; 0: none
        self._led = 0

    @property
    def slots(self) -> Slots:
        """The leaders, the most touched first."""
        return self._leaders[: self._led]

    def add(self, slot: int, at: float, weight: float) -> None:
        gain = math.log(weight) + at * self._rate
        self._led = _add(self._logs, self._leaders, self._place, self._led, slot, gain)

    def top(self, request: Request, slots: Slots, scores: Floats) -> int:
        """Write the first that the request may see, with their faded touches."""
        return _top(
            self._logs, self._leaders, self._led, request.at * self._rate, request.shown, request.mark, slots, scores
        )  # fmt: skip

    def resize(self, capacity: int) -> None:
        self._logs, self._place = longer(self._logs, capacity), longer(self._place, capacity)

    def state(self) -> State:
        used = int(np.flatnonzero(self._logs)[-1]) + 1 if self._logs.any() else 0
        return {"logs": self._logs[:used], "leaders": self.slots}

    def load(self, state: State) -> None:
        self._logs[: len(state["logs"])] = state["logs"]
        self._led = len(state["leaders"])
        self._leaders[: self._led] = state["leaders"]
        self._place[self.slots] = np.arange(1, self._led + 1)


class Popularity:
    """The leaders of all users alike."""

    def __init__(self, name: str, leaders: Leaders) -> None:
        self.name = name
        self.leaders = leaders

    def learn(self, request: Request, slot: int, weight: float) -> None:
        self.leaders.add(slot, request.at, weight)

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        return self.leaders.top(request, slots, scores)

    def because(self, request: Request, slots: Slots) -> Slots:
        return np.full(len(slots), NOBODY, np.int32)

    def resize(self, capacity: int) -> None:
        self.leaders.resize(capacity)

    def state(self) -> State:
        return self.leaders.state()

    def load(self, state: State) -> None:
        self.leaders.load(state)


@compiled
def _add(logs: Doubles, leaders: Slots, place: Slots, led: int, slot: int, gain: float) -> int:
    if logs[slot] == 0:
        logs[slot] = gain if gain != 0 else 1e-12
    else:
        high, low = max(logs[slot], gain), min(logs[slot], gain)
        logs[slot] = high + math.log1p(math.exp(low - high))
    if place[slot] == 0:
        if led < len(leaders):
            led += 1
        elif logs[slot] <= logs[leaders[led - 1]]:
            return led
        else:
            place[leaders[led - 1]] = 0
        leaders[led - 1] = slot
        place[slot] = led
    at = place[slot] - 1
    while at > 0 and logs[leaders[at - 1]] < logs[slot]:
        leaders[at] = leaders[at - 1]
        place[leaders[at]] = at + 1
        at -= 1
    leaders[at] = slot
    place[slot] = at + 1
    return led


@compiled
def _top(
    logs: Doubles,
    leaders: Slots,
    led: int,
    now: float,
    shown: Marks,
    mark: int,
    slots: Slots,
    scores: Floats,
) -> int:
    taken = 0
    for row in range(led):
        slot = leaders[row]
        if taken == len(slots):
            break
        if shown[slot] >= 0 and shown[slot] != mark:
            slots[taken] = slot
            scores[taken] = np.float32(math.exp(max(min(logs[slot] - now, 60.0), -60.0)))
            taken += 1
    return taken
