"""How much each item was touched, so that experts can tell 'often together' from 'often'."""

import math

import numpy as np

from streams.core.catalogue import longer
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Doubles, Floats, State


class Sizes:
    """Fading touches of each item, as of its latest touch, and what they are divided by when items are compared.

    A cosine divides co-visits by the square root of both items' sizes. Weaker powers favour popular items,
    and do better: `past` applies to the item in the user's past, `proposed` to the one that is proposed.

    past, proposed  (capacity,) float32: size to the power of -past_power or -proposed_power; 0 if never touched
    """

    def __init__(self, capacity: int, *, half_life: float, past_power: float, proposed_power: float) -> None:
        self._rate = math.log(2) / half_life
        self._past_power = past_power
        self._proposed_power = proposed_power
        self.amounts = np.zeros(capacity)
        self._as_of = np.zeros(capacity)
        self.past = np.zeros(capacity, np.float32)
        self.proposed = np.zeros(capacity, np.float32)

    def add(self, slot: int, at: float, weight: float) -> None:
        """The item was touched; a late touch fades before it is added."""
        _add(
            self.amounts, self._as_of, self.past, self.proposed, self._rate,
            self._past_power, self._proposed_power, slot, at, weight,
        )  # fmt: skip

    def resize(self, capacity: int) -> None:
        self.amounts, self._as_of = longer(self.amounts, capacity), longer(self._as_of, capacity)
        self.past, self.proposed = longer(self.past, capacity), longer(self.proposed, capacity)

    def state(self) -> State:
        used = int(np.flatnonzero(self.amounts)[-1]) + 1 if self.amounts.any() else 0
        return {"amounts": self.amounts[:used], "as_of": self._as_of[:used]}

    def load(self, state: State) -> None:
        used = slice(len(state["amounts"]))
        self.amounts[used], self._as_of[used] = state["amounts"], state["as_of"]
        for slot in np.flatnonzero(self.amounts):
            self.add(int(slot), float(self._as_of[slot]), 0.0)


@compiled
def _add(
    amounts: Doubles,
    as_of: Doubles,
    past: Floats,
    proposed: Floats,
    rate: float,
    past_power: float,
    proposed_power: float,
    slot: int,
    at: float,
    weight: float,
) -> None:
    if at >= as_of[slot]:
        amounts[slot] = amounts[slot] * math.exp((as_of[slot] - at) * rate) + weight
        as_of[slot] = at
    else:
        amounts[slot] += weight * math.exp((at - as_of[slot]) * rate)
    past[slot] = amounts[slot] ** -past_power
    proposed[slot] = amounts[slot] ** -proposed_power
