"""Popularity by stage: what users touch when their history is as long as this one's.

Newcomers touch other items than old hands: they are led by a first page, a syllabus, a season to begin with.
"""

import math

import numpy as np

from streams.core.memory.expert import NOBODY, Floats, Request, Slots, State
from streams.core.memory.popularity import Leaders


class Stage:
    """Leaders for each stage, stages growing by a factor; a touch counts half for the stages beside its own.

    stages  one for each list of leaders, the first for newcomers
    finer   how many stages there are while a history doubles
    """

    name = "stage"

    def __init__(self, stages: list[Leaders], *, finer: float) -> None:
        self._stages = stages
        self._finer = finer

    def learn(self, request: Request, slot: int, weight: float) -> None:
        own = self._stage(request)
        for stage in range(max(own - 1, 0), min(own + 2, len(self._stages))):
            self._stages[stage].add(slot, request.at, weight if stage == own else weight / 2)

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        return self._stages[self._stage(request)].top(request, slots, scores)

    def because(self, request: Request, slots: Slots) -> Slots:
        return np.full(len(slots), NOBODY, np.int32)

    def resize(self, capacity: int) -> None:
        for leaders in self._stages:
            leaders.resize(capacity)

    def state(self) -> State:
        return {
            f"{stage}.{name}": array
            for stage, leaders in enumerate(self._stages)
            for name, array in leaders.state().items()
        }

    def load(self, state: State) -> None:
        for stage, leaders in enumerate(self._stages):
            leaders.load({name: state[f"{stage}.{name}"] for name in ("logs", "leaders")})

    def _stage(self, request: Request) -> int:
        return min(int(math.log2(1 + request.touches) * self._finer), len(self._stages) - 1)
