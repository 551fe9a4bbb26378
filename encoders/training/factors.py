"""Where clicks place items, and projections that put there what nobody has clicked yet.

Who clicked what gives every item its factors, the singular vectors of the normalised clicks (Cremonesi and others,
2010, 'PureSVD'). A ridge regression for each modality then guesses them from what its network says of the content
(Gantner and others, 2010). Text and picture become guesses of the same thing, which is what makes mixing them sensible.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds

from encoders.contract import DIM
from encoders.projection import Projection, unit_rows

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

PENALTIES = (1.0, 3.0, 10.0)


def item_factors(users: Places, items: Places, count: int) -> Floats:
    """(count, DIM): alike where the same people click, each click counting less the more its item and its user have.

    users, items  (clicks,) who clicked what; an item without a click is a zero row
    """
    pairs = np.unique(np.stack([items, users]), axis=1)
    if not pairs.size:
        return np.zeros((count, DIM), np.float32)
    by_item, by_user = (np.bincount(side) for side in pairs)
    values = 1 / np.sqrt(by_item[pairs[0]] * by_user[pairs[1]])
    clicks = csr_array((values, (pairs[0], pairs[1])), shape=(count, len(by_user)))
    rank = min(DIM, *(side - 1 for side in clicks.shape))
    left, lengths, _ = svds(clicks, k=rank, v0=np.ones(min(clicks.shape)))
    factors = np.zeros((count, DIM), np.float32)
    # The strongest first, whichever way the solver orders them.
    order = np.argsort(-lengths)
    factors[:, :rank] = left[:, order] * lengths[order]
    return factors


@dataclass(frozen=True, slots=True)
class Placed:
    """One part of every item, in the space of the factors.

    projection  from native vectors
    vectors     (items, DIM) unit length: where it puts them; zeros where an item lacks the part
    guesses     (items, DIM) factors of each item learned from, guessed by a projection learned without it; zeros
                for the others
    """

    projection: Projection
    vectors: Floats
    guesses: Floats

    def unseen(self) -> Floats:
        """`vectors`, but with every item as if it were new, which is what fusion has to learn from (stacking;
        Wolpert, 1992): an item that a projection was learned from lies closer to its factors than a new one will.
        """
        return np.where(self.guesses.any(axis=1, keepdims=True), unit_rows(self.guesses), self.vectors)


def place(
    natives: Floats, factors: Floats, score: Callable[[Floats], float], *, folds: int = 5, seed: int = 0
) -> Placed:
    """Learn to guess the factors from the content.

    natives  (items, native_dim), zeros where an item lacks the part
    factors  (items, DIM); zero rows are not learned from
    score    how good guesses are: the best decide the strength of the penalty
    """
    rows = np.flatnonzero(natives.any(axis=1) & factors.any(axis=1))
    unit = unit_rows(natives)
    split = np.array_split(np.random.default_rng(seed).permutation(rows), folds)
    tried = (_guess(unit, factors, rows, split, penalty) for penalty in PENALTIES)
    projection, guesses = max(tried, key=lambda each: score(each[1]))
    vectors = projection(natives)
    vectors[~natives.any(axis=1)] = 0
    return Placed(projection, vectors, guesses)


def _guess(
    unit: Floats, factors: Floats, rows: Places, split: list[Places], penalty: float
) -> tuple[Projection, Floats]:
    """The projection learned from all rows, and for each row the guess of one learned without its fold."""
    mean = unit[rows].mean(axis=0)
    centred = unit - mean
    squares = centred[rows].T @ centred[rows] + penalty * np.eye(centred.shape[1], dtype=np.float32)
    products = centred[rows].T @ factors[rows]
    guesses = np.zeros_like(factors)
    for fold in split:
        out = centred[fold]
        guesses[fold] = out @ _solve(squares - out.T @ out, products - out.T @ factors[fold])
    return Projection(mean, _solve(squares, products)), guesses


def _solve(squares: Floats, products: Floats) -> Floats:
    solved: Floats = cho_solve(cho_factor(squares), products)
    return solved
