"""How far to trust each expert, learned online: a linear softmax over the candidates of each request.

After each interaction the weights move so that the item that was touched would have ranked higher (listwise
loss of Cao et al., "Learning to rank: from pairwise approach to listwise approach", 2007; step sizes by
Adagrad, Duchi et al., 2011). The weights depend on how long the user's history is, as new users are served by
other experts than old ones.
"""

import math
from collections.abc import Sequence
from copy import copy
from typing import NamedTuple

import numpy as np

from streams.core.catalogue import longer
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Doubles, Floats, Slots, State
from streams.core.memory.rows import Counts

SHARE_SCALE = 50.0
"""An expert's share s of an item enters as log(1 + SHARE_SCALE * s): 0 where it did not propose it."""

CLEAREST = 20
"""Proposals whose biases a choice moves."""

OTHERS = 1
"""Features that are no expert's, the last: how often the item was passed over, see `served`."""

PASSED_SCALE = 0.25
"""An item that was passed over n times enters as PASSED_SCALE * log(1 + n): small, so that its weight moves slowly."""

FIRST_SQUARE = 0.01
"""Where Adagrad's sums of squares start: a first step is not larger than the learning rate over its root."""


class Ranked(NamedTuple):
    """The best candidates, the best first.

    slots  (k,) int32   scores  (k,) float64
    experts  (k,) int32: the place of the expert whose features added most to the score
    """

    slots: Slots
    scores: Doubles
    experts: Slots


class Weighed(NamedTuple):
    """Every proposal, and what its score is made of.

    slots  (n,) int32   scores  (n,) float64
    parts  (n, experts + 2) float64: what each expert adds to the score, then that the item was passed over, then its
           bias; they sum to the score
    """

    slots: Slots
    scores: Doubles
    parts: Doubles


class Passed(NamedTuple):
    """Items that a user was shown and did not choose.

    slots  (n,) int32    times  (n,) float32: how often
    """

    slots: Slots
    times: Floats


NOTHING_PASSED = Passed(np.zeros(0, np.int32), np.zeros(0, np.float32))


class Proposals(NamedTuple):
    """The distinct items that the experts proposed for one request.

    union  (n,) int32, slots    features  (n, 2 * experts + 1) float32, see `Candidates`
    """

    union: Slots
    features: Floats

    def copied(self) -> "Proposals":
        """The same, to be kept beyond the next request."""
        return Proposals(self.union.copy(), self.features.copy())


def only(proposals: Proposals, experts: Sequence[int]) -> Proposals:
    """What the experts in these places proposed, as if there were no others: a copy, with 0 for the others' features.

    >>> both = Proposals(np.array([7, 8], np.int32), np.array([[1, 1, 0, 0, 0], [0, 0, 2, 1, 3]], np.float32))
    >>> only(both, [1]).union.tolist(), only(both, [1]).features.tolist()
    ([8], [[0.0, 0.0, 2.0, 1.0, 3.0]])
    """
    columns = [column for each in experts for column in (2 * each, 2 * each + 1)]
    mine = np.zeros_like(proposals.features)
    mine[:, columns] = proposals.features[:, columns]
    proposed = mine.any(axis=1)
    mine[:, -OTHERS:] = proposals.features[:, -OTHERS:]
    return Proposals(proposals.union[proposed], mine[proposed])


class Lesson(NamedTuple):
    """What one choice says of how to rank: the slope of its listwise loss, downhill.

    touches  of the user before the choice
    slope    (2 * experts + 1,) float32, by the weights of the features, mixed for so many touches
    slots    (n,) int32, the proposals that the choice speaks of most clearly, the item chosen among them
    pulls    (n,) float32, by the bias of each: above 0 for the item chosen, below for the others
    """

    touches: int
    slope: Floats
    slots: Slots
    pulls: Floats

    def times(self, share: float) -> "Lesson":
        """The same, said less loud."""
        return self._replace(slope=self.slope * np.float32(share), pulls=self.pulls * np.float32(share))


class Candidates:
    """Room for what the experts propose in one request, and for the features made of it.

    room    items that an expert may propose; who scores what others propose may score all of these
    slots   (experts, experts * room) int32   scores  likewise, float32   counts  (experts,) int32
    union   (experts * room,) int32: the distinct slots
    features  (experts * room, 2 * experts + 1) float32: for expert e, column 2e its share (see SHARE_SCALE),
              column 2e + 1 its score relative to its best; the last is how often it was passed over (see PASSED_SCALE)
    """

    def __init__(self, experts: int, room: int, capacity: int) -> None:
        self.room = room
        self.slots = np.zeros((experts, experts * room), np.int32)
        self.scores = np.zeros((experts, experts * room), np.float32)
        self.counts = np.zeros(experts, np.int32)
        self.union = np.zeros(experts * room, np.int32)
        self.features = np.zeros((experts * room, 2 * experts + OTHERS), np.float32)
        self._place = np.zeros(capacity, np.int32)  # 1 + place in the union while merging, else 0

    def resize(self, capacity: int) -> None:
        self._place = longer(self._place, capacity)

    def gather(self, experts: int) -> Slots:
        """(n,) the distinct slots that the first so many experts proposed; valid until the next merge."""
        return self.union[: _gather(self.slots, self.counts, experts, self._place, self.union)]

    def merge(self, passed: Passed = NOTHING_PASSED) -> Proposals:
        """Join the proposals; the result is valid until the next merge.

        passed  what the user was shown before, and did not choose
        """
        count = _merge(
            self.slots, self.scores, self.counts, self._place, self.union, self.features, passed.slots, passed.times
        )  # fmt: skip
        return Proposals(self.union[:count], self.features[:count])


class Ranker:
    """Weights of the experts' features by length of history, and a bias for each item.

    knots  history lengths, ascending, between which the weights are interpolated on a log scale
    prior  what the weights of all experts' shares, and of all their scores, sum to at the start
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
        self._knots = np.log1p(np.array(knots, np.float64))
        self._rate = rate
        self._bias_rate = bias_rate
        self.weights = np.full((len(knots), 2 * experts + OTHERS), prior / max(experts, 1))
        self.weights[:, -OTHERS:] = 0
        self._squares = np.full_like(self.weights, FIRST_SQUARE)
        self._bias = np.zeros(capacity)
        self._bias_squares = np.zeros(capacity)

    def resize(self, capacity: int) -> None:
        self._bias, self._bias_squares = longer(self._bias, capacity), longer(self._bias_squares, capacity)

    def best(
        self,
        proposals: Proposals,
        touches: int,
        length: int,
        added: Floats | None = None,
    ) -> Ranked:
        """The best `length` of what was proposed, for a user with so many touches.

        added  (n,) to the score of each proposal, see `core.residual`
        """
        if added is not None:
            biases = self._bias[proposals.union]
            self._bias[proposals.union] += added
            try:
                return self.best(proposals, touches, length)
            finally:
                self._bias[proposals.union] = biases
        mixed = self._mixed(touches)
        return Ranked(*_best(proposals.features, proposals.union, mixed, self._bias, length))

    def score(self, proposals: Proposals, touches: int) -> Floats:
        """(n,) float32, in the order of the proposals."""
        return _score(proposals.features, proposals.union, self._mixed(touches), self._bias)

    def weigh(self, proposals: Proposals, touches: int) -> Weighed:
        """What the score of each proposal is made of, in the order of the proposals."""
        weighted = proposals.features.astype(np.float64) * self._mixed(touches)
        experts = weighted.shape[1] // 2
        parts = np.empty((len(weighted), experts + 2))
        parts[:, :experts] = weighted[:, 0:-OTHERS:2] + weighted[:, 1::2]
        parts[:, experts] = weighted[:, -1]
        parts[:, -1] = self._bias[proposals.union]
        return Weighed(proposals.union.copy(), parts.sum(axis=1), parts)

    def bias(self, slot: int) -> float:
        """What the item's score is where nobody proposes it."""
        return float(self._bias[slot])

    def judge(self, proposals: Proposals, touches: int, slot: int, weight: float) -> Lesson | None:
        """What the choice of `slot` teaches; None where it was not proposed."""
        mixed = self._mixed(touches)
        slope, pulls = _judge(proposals.features, proposals.union, mixed, self._bias, slot, weight)
        if not len(pulls):
            return None
        clearest = _clearest(pulls, CLEAREST)
        return Lesson(touches, slope, proposals.union[clearest], pulls[clearest])

    def learn(self, lesson: Lesson) -> None:
        """Move the weights and the biases as the lesson says."""
        self.rehearse(lesson)
        _learn_bias(self._bias, self._bias_squares, self._bias_rate, lesson.slots, lesson.pulls)

    def rehearse(self, lesson: Lesson) -> None:
        """Move the weights alone."""
        _learn_weights(self.weights, self._squares, self._knots, lesson.touches, lesson.slope, self._rate)

    def rehearsal(self) -> "Ranker":
        """A ranker with the same biases, and weights of its own that begin with these."""
        ranker = copy(self)
        ranker.weights, ranker._squares = self.weights.copy(), self._squares.copy()
        return ranker

    def _mixed(self, touches: int) -> Floats:
        return _mixed(self._knots, touches, self.weights)

    def state(self) -> State:
        used = int(np.flatnonzero(self._bias_squares)[-1]) + 1 if self._bias_squares.any() else 0
        return {
            "weights": self.weights,
            "squares": self._squares,
            "bias": self._bias[:used],
            "bias_squares": self._bias_squares[:used],
        }

    def load(self, state: State) -> None:
        self.weights[:], self._squares[:] = state["weights"], state["squares"]
        used = len(state["bias"])
        self._bias[:used], self._bias_squares[:used] = state["bias"], state["bias_squares"]


@compiled
def _gather(slots: Slots, counts: Counts, experts: int, place: Slots, union: Slots) -> int:
    count = 0
    for expert in range(experts):
        for row in range(counts[expert]):
            slot = slots[expert, row]
            if place[slot] == 0:
                union[count] = slot
                count += 1
                place[slot] = count
    for row in range(count):
        place[union[row]] = 0
    return count


@compiled
def _merge(
    slots: Slots,
    scores: Floats,
    counts: Counts,
    place: Slots,
    union: Slots,
    features: Floats,
    passed: Slots,
    times: Floats,
) -> int:
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
            features[at, 2 * expert] = math.log(1 + scores[expert, row] / total * np.float32(SHARE_SCALE))
            features[at, 2 * expert + 1] = scores[expert, row] / best
    for each in range(len(passed)):
        if place[passed[each]] > 0:
            features[place[passed[each]] - 1, features.shape[1] - 1] = PASSED_SCALE * math.log1p(times[each])
    for row in range(count):
        place[union[row]] = 0
    return count


@compiled
def _gate(knots: Doubles, touches: int) -> tuple[int, float]:
    """The knot below and how far it is to the one above, 0 to 1."""
    length = math.log1p(touches)
    low = 0
    while low < len(knots) - 2 and length >= knots[low + 1]:
        low += 1
    if len(knots) == 1:
        return 0, 0.0
    return low, min(max((length - knots[low]) / (knots[low + 1] - knots[low]), 0.0), 1.0)


@compiled
def _mixed(knots: Doubles, touches: int, weights: Doubles) -> Floats:
    low, above = _gate(knots, touches)
    high = min(low + 1, len(knots) - 1)
    mixed = np.empty(weights.shape[1], np.float32)
    for column in range(len(mixed)):
        mixed[column] = (1 - above) * weights[low, column] + above * weights[high, column]
    return mixed


@compiled
def _score(features: Floats, union: Slots, mixed: Floats, bias: Doubles) -> Floats:
    result = np.empty(len(union), np.float32)
    for row in range(len(union)):
        total = np.float32(bias[union[row]])
        for column in range(len(mixed)):
            total += features[row, column] * mixed[column]
        result[row] = total
    return result


@compiled
def _best(features: Floats, union: Slots, mixed: Floats, bias: Doubles, length: int) -> tuple[Slots, Doubles, Slots]:
    scores = _score(features, union, mixed, bias)
    count = len(union)
    length = min(length, count)
    rows = np.empty(length, np.int32)
    taken = 0
    for row in range(count):  # insertion into a short sorted list; among equals the lower slot comes first
        if taken == length:
            last = rows[taken - 1] if taken else -1
            if last < 0 or scores[row] < scores[last]:
                continue
            if scores[row] == scores[last] and union[row] > union[last]:
                continue
            taken -= 1
        at = taken
        while at > 0:
            other = rows[at - 1]
            if scores[other] > scores[row] or (scores[other] == scores[row] and union[other] < union[row]):
                break
            rows[at] = other
            at -= 1
        rows[at] = row
        taken += 1
    slots = np.empty(length, np.int32)
    values = np.empty(length)
    experts = np.zeros(length, np.int32)
    for place in range(length):
        row = rows[place]
        slots[place], values[place] = union[row], scores[row]
        most = np.float32(-np.inf)
        for expert in range(len(mixed) // 2):
            if features[row, 2 * expert + 1] > 0:
                share = features[row, 2 * expert] * mixed[2 * expert]
                part = share + features[row, 2 * expert + 1] * mixed[2 * expert + 1]
                if part > most:
                    most = part
                    experts[place] = expert
    return slots, values, experts


@compiled
def _judge(
    features: Floats, union: Slots, mixed: Floats, bias: Doubles, slot: int, weight: float
) -> tuple[Floats, Floats]:
    """(slope, pulls) of all proposals; without pulls where `slot` is not among them."""
    slope = np.zeros(len(mixed), np.float32)
    chosen = -1
    for row in range(len(union)):
        if union[row] == slot:
            chosen = row
    if chosen < 0:
        return slope, np.empty(0, np.float32)
    pulls = _score(features, union, mixed, bias)
    best = pulls.max()
    total = np.float32(0)
    for row in range(len(union)):
        pulls[row] = math.exp(pulls[row] - best)
        total += pulls[row]
    for row in range(len(union)):
        pulls[row] = np.float32(weight) * (np.float32(row == chosen) - pulls[row] / total)
        for column in range(len(slope)):
            slope[column] += pulls[row] * features[row, column]
    return slope, pulls


@compiled
def _clearest(pulls: Floats, count: int) -> Slots:
    """Where the largest are, whatever their sign, the largest first; among equals the first."""
    rows = np.empty(min(count, len(pulls)), np.int32)
    taken = 0
    for row in range(len(pulls)):
        pull = abs(pulls[row])
        if taken == len(rows):
            if pull <= abs(pulls[rows[taken - 1]]):
                continue
            taken -= 1
        at = taken
        while at > 0 and abs(pulls[rows[at - 1]]) < pull:
            rows[at] = rows[at - 1]
            at -= 1
        rows[at] = row
        taken += 1
    return rows


@compiled
def _learn_weights(
    weights: Doubles, squares: Doubles, knots: Doubles, touches: int, slope: Floats, rate: float
) -> None:
    low, above = _gate(knots, touches)
    for knot, gate in ((low, 1 - above), (low + 1, above)):
        if gate > 0:
            for column in range(len(slope)):
                part = gate * slope[column]
                squares[knot, column] += part * part
                weights[knot, column] += rate * part / math.sqrt(squares[knot, column])


@compiled
def _learn_bias(bias: Doubles, squares: Doubles, rate: float, slots: Slots, pulls: Floats) -> None:
    for each in range(len(slots)):
        slot, pull = slots[each], pulls[each]
        squares[slot] += pull * pull
        bias[slot] += rate * pull / math.sqrt(FIRST_SQUARE + squares[slot])
