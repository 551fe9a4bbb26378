"""Popularity that fades: the most touched items of late, exactly, without ever rescaling.

Each item keeps log(sum of weight * exp(rate * time)), so that an event changes one number and the order
of the others stays (forward decay: Cormode et al., "Forward decay: a practical time decay model for
streaming systems", 2009).
"""

import math

import numpy as np

from streams.core.catalogue import longer
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Doubles, Floats, Marks, Request, Slots, State


class Popularity:
    """The items with the most touches, where a touch counts half after `half_life` seconds.

    leaders  how many of the top items are kept at hand
    """

    def __init__(self, name: str, capacity: int, *, half_life: float, leaders: int) -> None:
        self.name = name
        self._rate = math.log(2) / half_life
        self._logs = np.zeros(capacity)  # 0 stands for 'never touched'
        self._leaders = np.zeros(leaders, np.int32)
        self._place = np.zeros(capacity, np.int32)  # 1 + place among the leaders; 0: none
        self._led = 0

    def learn(self, request: Request, slot: int, weight: float) -> None:
        self._led = _learn(
            self._logs,
            self._leaders,
            self._place,
            self._led,
            slot,
            math.log(weight) + request.at * self._rate,
        )

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        return _propose(
            self._logs, self._leaders, self._led, request.at * self._rate,
            request.shown, request.mark, slots, scores,
        )  # fmt: skip

    def resize(self, capacity: int) -> None:
        self._logs, self._place = longer(self._logs, capacity), longer(self._place, capacity)

    def state(self) -> State:
        used = int(np.flatnonzero(self._logs)[-1]) + 1 if self._logs.any() else 0
        return {"logs": self._logs[:used], "leaders": self._leaders[: self._led]}

    def load(self, state: State) -> None:
        self._logs[: len(state["logs"])] = state["logs"]
        self._led = len(state["leaders"])
        self._leaders[: self._led] = state["leaders"]
        self._place[self._leaders[: self._led]] = np.arange(1, self._led + 1)


@compiled
def _learn(logs: Doubles, leaders: Slots, place: Slots, led: int, slot: int, gain: float) -> int:
    if logs[slot] == 0:
        logs[slot] = gain if gain != 0 else 1e-12
    else:
        high, low = max(logs[slot], gain), min(logs[slot], gain)
        logs[slot] = high + math.log1p(math.exp(low - high))
    if place[slot] > 0:
        return led
    if led < len(leaders):
        leaders[led] = slot
        place[slot] = led + 1
        return led + 1
    weakest = 0
    for row in range(1, led):
        if logs[leaders[row]] < logs[leaders[weakest]]:
            weakest = row
    if logs[slot] > logs[leaders[weakest]]:
        place[leaders[weakest]] = 0
        leaders[weakest] = slot
        place[slot] = weakest + 1
    return led


@compiled
def _propose(
    logs: Doubles,
    leaders: Slots,
    led: int,
    now: float,
    shown: Marks,
    mark: int,
    slots: Slots,
    scores: Floats,
) -> int:
    values = np.empty(led)
    count = 0
    for row in range(led):
        if shown[leaders[row]] >= 0 and shown[leaders[row]] != mark:
            values[count] = logs[leaders[row]]
            count += 1
    room = min(len(slots), count)
    if room == 0:
        return 0
    edge = np.partition(values[:count], count - room)[count - room]
    level = room
    for row in range(count):
        level -= values[row] > edge
    taken = 0
    for row in range(led):
        slot = leaders[row]
        if shown[slot] < 0 or shown[slot] == mark or logs[slot] < edge:
            continue
        if logs[slot] == edge:
            if level == 0:
                continue
            level -= 1
        slots[taken] = slot
        scores[taken] = np.float32(max(math.exp(min(logs[slot] - now, 60.0)), 1e-30))
        taken += 1
    return taken
