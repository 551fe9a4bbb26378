"""How far to trust each expert, learned online: a linear softmax over the candidates of each request.

After each interaction the weights move so that the item that was touched would have ranked higher
(listwise loss of Cao et al., "Learning to rank: from pairwise approach to listwise approach", 2007; step
sizes by Adagrad, Duchi et al., 2011). The weights depend on how long the user's history is: new users
are served by other experts than old ones.
"""

import math

import numpy as np

from streams.core.catalogue import longer
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Doubles, Floats, Slots, State
from streams.core.memory.rows import Counts

SHARE_SCALE = 1000.0
"""An expert's share s of an item enters as log(1 + SHARE_SCALE * s): 0 where it did not propose it."""


class Candidates:
    """Room for what the experts propose in one request, and for the features made of it.

    slots   (experts, room) int32   scores  (experts, room) float32   counts  (experts,) int32
    union   (experts * room,) int32: the distinct slots
    features  (experts * room, 2 * experts) float32: for expert e, column 2e its share (see SHARE_SCALE),
              column 2e + 1 its score relative to its best
    """

    def __init__(self, experts: int, room: int, capacity: int) -> None:
        self.slots = np.zeros((experts, room), np.int32)
        self.scores = np.zeros((experts, room), np.float32)
        self.counts = np.zeros(experts, np.int32)
        self.union = np.zeros(experts * room, np.int32)
        self.features = np.zeros((experts * room, 2 * experts), np.float32)
        self.place = np.zeros(capacity, np.int32)

    def resize(self, capacity: int) -> None:
        self.place = longer(self.place, capacity)

    def merge(self) -> int:
        """Join the proposals; returns how many distinct items there are."""
        return _merge(self.slots, self.scores, self.counts, self.place, self.union, self.features)


class Ranker:
    """Weights of the experts' features by length of history, and a bias for each item.

    knots   history lengths between which the weights are interpolated on a log scale
    """

    def __init__(
        self,
        experts: int,
        capacity: int,
        *,
        knots: tuple[float, ...],
        rate: float,
        bias_rate: float,
        prior: float,
    ) -> None:
        self.knots = np.log1p(np.array(knots))
        self.rate = rate
        self.bias_rate = bias_rate
        self.weights = np.full((len(knots), 2 * experts), prior, np.float64)
        self.squares = np.full((len(knots), 2 * experts), 1e-2, np.float64)
        self.bias = np.zeros(capacity)
        self.bias_squares = np.zeros(capacity)

    def resize(self, capacity: int) -> None:
        self.bias, self.bias_squares = longer(self.bias, capacity), longer(self.bias_squares, capacity)

    def gate(self, length: int) -> Doubles:
        """(knots,) how much each row of weights counts for a history of this length; they sum to 1.

        >>> Ranker(1, 1, knots=(0, 8), rate=0.1, bias_rate=0.1, prior=1.0).gate(2).round(3).tolist()
        [0.5, 0.5]
        """
        gate = np.zeros(len(self.knots))
        place = float(np.interp(math.log1p(length), self.knots, np.arange(len(self.knots))))
        low = min(int(place), len(gate) - 2)
        gate[low], gate[low + 1] = 1 - (place - low), place - low
        return gate

    def score(self, candidates: Candidates, count: int, length: int) -> Doubles:
        """(count,) the higher the better, for the first `count` of the union."""
        return _score(
            candidates.features, candidates.union, count, self.gate(length), self.weights, self.bias
        )

    def learn(self, candidates: Candidates, count: int, length: int, slot: int, weight: float) -> None:
        """The user chose `slot` among the candidates; nothing is learned where it was not among them."""
        _learn(
            candidates.features, candidates.union, count, self.gate(length), self.weights, self.squares,
            self.bias, self.bias_squares, self.rate, self.bias_rate, slot, weight,
        )  # fmt: skip

    def state(self) -> State:
        used = int(np.flatnonzero(self.bias_squares)[-1]) + 1 if self.bias_squares.any() else 0
        return {
            "weights": self.weights,
            "squares": self.squares,
            "bias": self.bias[:used],
            "bias_squares": self.bias_squares[:used],
        }

    def load(self, state: State) -> None:
        self.weights[:], self.squares[:] = state["weights"], state["squares"]
        used = len(state["bias"])
        self.bias[:used], self.bias_squares[:used] = state["bias"], state["bias_squares"]


@compiled
def _merge(slots: Slots, scores: Floats, counts: Counts, place: Slots, union: Slots, features: Floats) -> int:
    count = 0
    for expert in range(len(counts)):
        total = np.float32(0)
        best = np.float32(0)
        for row in range(counts[expert]):
            total += scores[expert, row]
            best = max(best, scores[expert, row])
        for row in range(counts[expert]):
            slot = slots[expert, row]
            if place[slot] == 0:
                union[count] = slot
                features[count] = 0
                count += 1
                place[slot] = count
            at = place[slot] - 1
            features[at, 2 * expert] = math.log1p(scores[expert, row] / total * SHARE_SCALE)
            features[at, 2 * expert + 1] = scores[expert, row] / best
    for row in range(count):
        place[union[row]] = 0
    return count


@compiled
def _score(
    features: Floats, union: Slots, count: int, gate: Doubles, weights: Doubles, bias: Doubles
) -> Doubles:
    mixed = np.zeros(weights.shape[1])
    for knot in range(len(gate)):
        if gate[knot] != 0:
            mixed += gate[knot] * weights[knot]
    result = np.empty(count)
    for row in range(count):
        total = bias[union[row]]
        for column in range(len(mixed)):
            total += features[row, column] * mixed[column]
        result[row] = total
    return result


@compiled
def _learn(
    features: Floats,
    union: Slots,
    count: int,
    gate: Doubles,
    weights: Doubles,
    squares: Doubles,
    bias: Doubles,
    bias_squares: Doubles,
    rate: float,
    bias_rate: float,
    slot: int,
    weight: float,
) -> None:
    chosen = -1
    for row in range(count):
        if union[row] == slot:
            chosen = row
    if chosen < 0:
        return
    chances = _score(features, union, count, gate, weights, bias)
    chances = np.exp(chances - chances.max())
    chances /= chances.sum()
    slope = np.zeros(weights.shape[1])
    for row in range(count):
        pull = weight * ((1.0 if row == chosen else 0.0) - chances[row])
        for column in range(len(slope)):
            slope[column] += pull * features[row, column]
        item = union[row]
        bias_squares[item] += pull * pull
        if pull != 0:
            bias[item] += bias_rate * pull / math.sqrt(bias_squares[item] + 1e-2)
    for knot in range(len(gate)):
        for column in range(len(slope)):
            part = gate[knot] * slope[column]
            squares[knot, column] += part * part
            weights[knot, column] += rate * part / math.sqrt(squares[knot, column])
