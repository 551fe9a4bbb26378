"""How good a model is, on clicks that came after all it learned from.

Each click is ranked among all items that its user could have chosen then, none sampled (Krichene and Rendle, 2020);
and as a probability it is told from a few of these, with the share of clicks among them as the base rate.
"""

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata
from torch import Tensor

from encoders.training.deep.examples import NOBODY, Examples, Known, examples
from encoders.training.deep.log import Log, Places, Window

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

NEGATIVES = 4
"""For each click, beside what was seen and not clicked."""

AT_ONCE = 256
BINS = 10


class Judgeable(Protocol):
    """A model, in training or as served."""

    def scores(self, histories: Tensor, profiles: Tensor) -> Tensor:
        """(n, HISTORY) places of items and (n, DIM) -> (n, items) logits."""


class Jury:
    """Asks models about the clicks in a window; all about the same.

    profiles  (users, DIM) float32
    limit     clicks that are ranked, at most, evenly over the window
    """

    def __init__(self, log: Log, window: Window, profiles: Floats, *, limit: int = 2_000, seed: int = 0) -> None:
        known = Known(log)
        everything = examples(log, window, views=True)
        clicks = np.flatnonzero(everything.clicked)
        spaced = clicks[np.linspace(0, len(clicks) - 1, min(limit, len(clicks))).astype(np.int64)]
        self.ranked = everything.some(spaced)
        self._profiles = profiles
        self._free = np.array(
            [known.available(*pair) for pair in zip(self.ranked.users.tolist(), self.ranked.at.tolist(), strict=True)]
        ).reshape(len(spaced), len(log.item_ids))
        self._others = known.negatives(self.ranked.users, self.ranked.at, NEGATIVES, np.random.default_rng(seed))
        self._seen = everything.some(~everything.clicked)

    def scores(self, served: Judgeable, asked: Examples) -> Floats:
        """(n, items) logits."""
        found = []
        for start in range(0, len(asked), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            histories = torch.from_numpy(asked.histories[rows])
            profiles = torch.from_numpy(self._profiles[asked.users[rows]])
            found.append(served.scores(histories, profiles).cpu().numpy())
        return np.concatenate(found) if found else np.zeros((0, 0), np.float32)

    def verdict(self, served: Judgeable) -> "Verdict":
        """What the model makes of the clicks."""
        scores = self.scores(served, self.ranked)
        rows = np.arange(len(scores))
        own = scores[rows, self.ranked.items]
        better = ((scores > own[:, None]) & self._free).sum(1)
        equal = ((scores == own[:, None]) & self._free).sum(1) - 1
        seen = self.scores(served, self._seen)[np.arange(len(self._seen)), self._seen.items] if len(self._seen) else []
        others = scores[rows[:, None], self._others]
        logits = np.concatenate([own, others.reshape(-1), seen]).astype(np.float64)
        asked = [self.ranked, self._seen]
        users, histories = ([getattr(each, name) for each in asked] for name in ("users", "histories"))
        lengths = [(each != NOBODY).sum(1) for each in histories]
        return Verdict(
            ranks=better + np.maximum(equal, 0) / 2,
            logits=logits,
            clicked=np.arange(len(logits)) < len(own),
            who=_with_others(*users),
            items=np.concatenate([self.ranked.items, self._others.reshape(-1), self._seen.items]),
            before=_with_others(*lengths),
        )


def _with_others(ranked: Places, seen: Places) -> Places:
    """What is true of clicks, of the items beside each, and of what was only seen."""
    return np.concatenate([ranked, np.repeat(ranked, NEGATIVES), seen])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model made of n clicks, and of m - n items that were not clicked.

    ranks    (n,) float64, 0-based, of each click among what its user could have chosen; in the middle of its equals
    logits   (m,) float64
    clicked  (m,) bool: n of them, in the order of the ranks
    who      (m,) int64, whose each of these is
    items    (m,) int64, what each is about
    before   (m,) int64, items in the user's history, HISTORY at most
    """

    ranks: Doubles
    logits: Doubles
    clicked: Bools
    who: Places
    items: Places
    before: Places

    def some(self, rows: Places | Bools) -> "Verdict":
        """Only these rows of m, each as often as it is named."""
        clicks = (np.cumsum(self.clicked) - 1)[rows][self.clicked[rows]]
        others = {each.name: getattr(self, each.name)[rows] for each in fields(self) if each.name != "ranks"}
        return Verdict(ranks=self.ranks[clicks], **others)

    @property
    def hits(self) -> Doubles:
        """(n,) 1 where the click is among the first 10."""
        return (self.ranks < 10).astype(np.float64)

    @property
    def gains(self) -> Doubles:
        """(n,) NDCG@10 of each click."""
        return np.where(self.ranks < 10, 1 / np.log2(self.ranks + 2), 0.0)

    @property
    def gain(self) -> float:
        """NDCG over the whole order: what models are chosen by."""
        return float(np.mean(1 / np.log2(self.ranks + 2)))

    @property
    def auc(self) -> float:
        """See `auc`."""
        return auc(self.logits, self.clicked)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logits to probabilities, by a line fitted where nothing was learned from (Platt, 1999)."""

    slope: float
    offset: float

    @classmethod
    def of(cls, verdict: Verdict) -> "Calibration":
        """That with the least log loss."""

        def loss(line: Doubles) -> float:
            return logloss(np.exp(line[0]) * verdict.logits + line[1], verdict.clicked)

        found = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"maxiter": 400})
        return cls(float(np.exp(found.x[0])), float(found.x[1]))

    def __call__(self, logits: Doubles) -> Doubles:
        return self.slope * logits + self.offset


def auc(logits: Doubles, clicked: Bools) -> float:
    """How often a click has a larger logit than what was not clicked.

    >>> auc(np.array([2.0, 3.0, 1.0]), np.array([True, False, False]))
    0.5
    """
    clicks = clicked.sum()
    others = len(clicked) - clicks
    return float((rankdata(logits)[clicked].sum() - clicks * (clicks + 1) / 2) / (clicks * others))


def logloss(logits: Doubles, clicked: Bools) -> float:
    """Mean cross-entropy, nats.

    >>> round(logloss(np.zeros(2), np.array([True, False])), 4)
    0.6931
    """
    return float(np.mean(np.logaddexp(0, np.where(clicked, -logits, logits))))


def calibration_error(logits: Doubles, clicked: Bools) -> float:
    """How far the click probability is from the share of clicks, on average over ten equally filled bins (Naeini and
    others, 2015).

    >>> calibration_error(np.zeros(40), np.tile([True, False], 20))
    0.0
    """
    bins = np.array_split(np.argsort(logits, kind="stable"), BINS)
    told = expit(logits)
    apart = [abs(told[rows].mean() - clicked[rows].mean()) * len(rows) for rows in bins if len(rows)]
    return float(np.sum(apart) / len(logits))
