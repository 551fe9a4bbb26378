"""Embedding: vectors of items, learned event by event so that a user's past points to what they touch next.

Two vectors an item, one for when it is in the past and one for when it comes next (Barkan and Koenigstein, "Item2vec:
neural item embedding for collaborative filtering", 2016); a softmax over the item touched and some of those touched of
late, popular ones more often, so that a score says by how much more than its popularity an item is wanted (Yi et al.,
"Sampling-bias-corrected neural modeling for large corpus item recommendations", 2019). Vectors are alike for items that
were never touched together, too.
"""

import math

import numpy as np
from numpy.typing import NDArray

from streams.core.catalogue import longer
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import NOBODY, Floats, Marks, Request, Slots, State, keep_best
from streams.core.memory.settings import EMBEDDING

FIRST_SQUARE = 0.01
"""Where Adagrad's sums of squares start; 0 stands for an item whose vectors have not begun."""

SPREAD = 0.1
"""Of the random numbers that vectors begin with."""

Bits = NDArray[np.uint64]


class Pool:
    """Which items are to be scored for the next request."""

    def __init__(self) -> None:
        self.slots: Slots = np.zeros(0, np.int32)


class Embedding:
    """Scores what others propose: no search among all items, and a cost that does not grow with the catalogue.

    pool       what to score
    dim        numbers in a vector
    depth      how many of the user's latest items count
    half_life  an item so many steps back counts half
    negatives  items that each touch is compared with
    recent     they are drawn from so many touches, the latest
    """

    name = EMBEDDING

    def __init__(
        self,
        pool: Pool,
        capacity: int,
        *,
        dim: int,
        depth: int,
        half_life: float,
        negatives: int,
        recent: int,
        rate: float,
    ) -> None:
        self._pool = pool
        self._depth = depth
        self._fade = 0.5 ** (1 / half_life)
        self._negatives = negatives
        self._rate = rate
        self._past = np.zeros((capacity, dim), np.float32)
        self._next = np.zeros((capacity, dim), np.float32)
        self._past_squares = np.zeros(capacity, np.float32)
        self._next_squares = np.zeros(capacity, np.float32)
        self._recent = np.zeros(recent, np.int32)
        self._random = np.zeros(2, np.uint64)  # touches so far, and the state of the generator

    def learn(self, request: Request, slot: int, weight: float) -> None:
        _learn(
            self._past, self._next, self._past_squares, self._next_squares, self._recent, self._random,
            request.trail.slots[-self._depth :], self._fade, self._negatives, self._rate * weight, slot,
        )  # fmt: skip

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        return _propose(
            self._past, self._next, self._past_squares, self._next_squares, request.trail.slots[-self._depth :],
            self._fade, self._pool.slots, request.shown, request.mark, slots, scores,
        )  # fmt: skip

    def because(self, request: Request, slots: Slots) -> Slots:
        """The past item whose vector points to each most, the latest louder."""
        past = request.trail.slots[-self._depth :]
        if not len(past):
            return np.full(len(slots), NOBODY, np.int32)
        voices = (self._fade ** np.arange(len(past) - 1, -1, -1)).astype(np.float32)
        said = (self._next[slots] @ self._past[past].T) * voices
        loudest: Slots = np.where(said.max(axis=1) > 0, past[said.argmax(axis=1)], np.int32(NOBODY))
        return loudest

    def resize(self, capacity: int) -> None:
        self._past, self._next = longer(self._past, capacity), longer(self._next, capacity)
        self._past_squares = longer(self._past_squares, capacity)
        self._next_squares = longer(self._next_squares, capacity)

    def state(self) -> State:
        used = int(np.flatnonzero(self._next_squares)[-1]) + 1 if self._next_squares.any() else 0
        return {
            "past": self._past[:used],
            "next": self._next[:used],
            "past_squares": self._past_squares[:used],
            "next_squares": self._next_squares[:used],
            "recent": self._recent,
            "random": self._random,
        }

    def load(self, state: State) -> None:
        used = len(state["next"])
        self._past[:used], self._next[:used] = state["past"], state["next"]
        self._past_squares[:used], self._next_squares[:used] = state["past_squares"], state["next_squares"]
        self._recent[:], self._random[:] = state["recent"], state["random"]


@compiled
def _drawn(random: Bits) -> np.int64:
    """The next number of a linear congruential generator (Knuth's MMIX), 31 bits."""
    random[1] = random[1] * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    return np.int64(random[1] >> np.uint64(33))


@compiled
def _begin(
    past: Floats, following: Floats, past_squares: Floats, next_squares: Floats, random: Bits, slot: int
) -> None:
    for column in range(past.shape[1]):
        # the sum of four even draws, near enough to a normal one
        for vectors in (past, following):
            total = 0.0
            for _ in range(4):
                total += float(_drawn(random)) / 2.0**31 - 0.5
            vectors[slot, column] = np.float32(SPREAD * math.sqrt(3.0) * total)
    past_squares[slot] = next_squares[slot] = np.float32(FIRST_SQUARE)


@compiled
def _user(past: Floats, past_squares: Floats, trail: Slots, fade: float) -> tuple[Floats, float]:
    """(dim,) the sum of the vectors of the past, fading, over the root of the squares of the voices; and the latter."""
    user = np.zeros(past.shape[1], np.float32)
    voice = np.float32(1)
    squares = np.float32(0)
    for back in range(1, len(trail) + 1):
        slot = trail[len(trail) - back]
        if past_squares[slot] > 0:
            for column in range(len(user)):
                user[column] += voice * past[slot, column]
            squares += voice * voice
        voice *= np.float32(fade)
    length = math.sqrt(squares)
    if length > 0:
        for column in range(len(user)):
            user[column] /= np.float32(length)
    return user, length


@compiled
def _learn(
    past: Floats,
    following: Floats,
    past_squares: Floats,
    next_squares: Floats,
    recent: Slots,
    random: Bits,
    trail: Slots,
    fade: float,
    negatives: int,
    rate: float,
    slot: int,
) -> None:
    if next_squares[slot] == 0:
        _begin(past, following, past_squares, next_squares, random, slot)
    held = min(np.int64(random[0]), np.int64(len(recent)))
    user, length = _user(past, past_squares, trail, fade)
    dim = len(user)
    if length > 0 and held > 0:
        compared = np.empty(negatives + 1, np.int32)
        compared[0] = slot
        count = 1
        for _ in range(negatives):
            other = recent[_drawn(random) % held]
            if other != slot:
                compared[count] = other
                count += 1
        chances = np.empty(count, np.float32)
        best = np.float32(-np.inf)
        for each in range(count):
            total = np.float32(0)
            for column in range(dim):
                total += user[column] * following[compared[each], column]
            chances[each] = total
            best = max(best, total)
        total = np.float32(0)
        for each in range(count):
            chances[each] = math.exp(chances[each] - best)
            total += chances[each]
        back = np.zeros(dim, np.float32)  # the slope by the user's vector
        size = np.float32(0)
        for column in range(dim):
            size += user[column] * user[column]
        for each in range(count):
            other = compared[each]
            pull = np.float32(each == 0) - chances[each] / total
            next_squares[other] += pull * pull * size / np.float32(dim)
            step = np.float32(rate) * pull / math.sqrt(next_squares[other])
            for column in range(dim):
                back[column] += pull * following[other, column]
                following[other, column] += step * user[column]
        size = np.float32(0)
        for column in range(dim):
            size += back[column] * back[column]
        voice = np.float32(1 / length)
        for place in range(len(trail) - 1, -1, -1):
            before = trail[place]
            if past_squares[before] > 0:
                past_squares[before] += voice * voice * size / np.float32(dim)
                step = np.float32(rate) * voice / math.sqrt(past_squares[before])
                for column in range(dim):
                    past[before, column] += step * back[column]
            voice *= np.float32(fade)
    recent[np.int64(random[0]) % np.int64(len(recent))] = slot
    random[0] += np.uint64(1)


@compiled
def _propose(
    past: Floats,
    following: Floats,
    past_squares: Floats,
    next_squares: Floats,
    trail: Slots,
    fade: float,
    pool: Slots,
    shown: Marks,
    mark: int,
    slots: Slots,
    scores: Floats,
) -> int:
    user, length = _user(past, past_squares, trail, fade)
    if length == 0:
        return 0
    found = np.empty(len(pool), np.int32)
    values = np.empty(len(pool), np.float32)
    count = 0
    best = np.float32(-np.inf)
    for slot in pool:
        if shown[slot] >= 0 and shown[slot] != mark and next_squares[slot] > 0:
            total = np.float32(0)
            for column in range(len(user)):
                total += user[column] * following[slot, column]
            found[count] = slot
            values[count] = total
            best = max(best, total)
            count += 1
    for each in range(count):
        values[each] = math.exp(max(values[each] - best, np.float32(-60)))
    return keep_best(found[:count], values[:count], slots, scores)
