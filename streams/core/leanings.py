"""What each user adds to the weights of all: to whom other experts speak than to most.

A small step of Adagrad on every lesson of the user's own (Duchi et al., 2011), from zero: who has taught little is
ranked for as all are (personal offsets to shared weights, as the random effects of Zhang et al., "GLMix: generalized
linear mixed models for large-scale response prediction", 2016). It is a leaning to experts: what it is worth that an
item was passed over is learned for all, as one user's lists say too little of it. The lessons are in the log, so every
worker knows the same.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Floats, State
from streams.core.ranking import OTHERS

FIRST_SQUARE = 0.01
"""Where sums of squares start, as those of the ranker do."""


class Leaning(NamedTuple):
    """One user's: (features,) float32 each.

    offsets  added to the weights of the ranker    squares  of the slopes so far
    """

    offsets: Floats
    squares: Floats

    def copied(self) -> "Leaning":
        return Leaning(self.offsets.copy(), self.squares.copy())


class Leanings:
    """Leanings of the users of `Sessions`, by row; a row is cleared when another user takes it over.

    >>> leanings = Leanings(users=2, features=3, rate=0.5)
    >>> leanings.move(leanings.of(1), np.array([9, 0, 9], np.float32))
    >>> leanings.of(1).offsets.round(1).tolist(), leanings.of(-1).offsets.tolist()
    ([0.5, 0.0, 0.0], [0.0, 0.0, 0.0])
    """

    def __init__(self, users: int, features: int, rate: float) -> None:
        self._rate = rate
        self._offsets = np.zeros((users + 1, features), np.float32)  # the last is of those who have no row
        self._squares = np.full((users + 1, features), FIRST_SQUARE, np.float32)

    def of(self, row: int) -> Leaning:
        """The leaning of the user in that row of `Sessions`; -1 leans to nobody."""
        return Leaning(self._offsets[row], self._squares[row])

    def move(self, leaning: Leaning, slope: Floats) -> None:
        """Move it as a lesson says."""
        _move(leaning.offsets, leaning.squares, self._rate, slope)

    def clear(self, row: int) -> None:
        self._offsets[row] = 0
        self._squares[row] = FIRST_SQUARE

    def state(self, rows: NDArray[np.generic]) -> State:
        """Of the users in these rows."""
        held = rows.astype(np.intp)
        return {"offsets": self._offsets[held], "squares": self._squares[held]}

    def load(self, rows: NDArray[np.generic], state: State) -> None:
        held = rows.astype(np.intp)
        self._offsets[held], self._squares[held] = state["offsets"], state["squares"]


@compiled
def _move(offsets: Floats, squares: Floats, rate: float, slope: Floats) -> None:
    for each in range(len(slope) - OTHERS):
        squares[each] += slope[each] * slope[each]
        offsets[each] += np.float32(rate) * slope[each] / np.sqrt(squares[each])
