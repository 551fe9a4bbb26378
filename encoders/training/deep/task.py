"""A ranker and the clicks it learns from, for the trainer."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.training.deep.content import ITEM, Content
from encoders.training.deep.examples import Examples, Known, examples
from encoders.training.deep.judge import NEGATIVES, Jury, logloss
from encoders.training.deep.log import Log, Places, Split
from encoders.training.deep.rankers import Graph, Ranker, Served, Shape

Floats = NDArray[np.float32]

SAMPLE = 128
"""Items beside the clicked one that the softmax is over."""

FLATTENED = 0.75
"""Power of an item's clicks by which it is sampled (Mikolov and others, 2013)."""


class Learning:
    """Learn the clicks of a split's first window; judged by its second (`trainer.Task`).

    content   part -> array, at least the parts of the shape
    profiles  (users, DIM) float32
    jury      of the second window, where it is at hand

    `clicks` are those on each item that it learns from.
    """

    def __init__(
        self,
        log: Log,
        split: Split,
        shape: Shape,
        content: Content,
        profiles: Floats,
        *,
        jury: Jury | None = None,
        seed: int = 0,
    ) -> None:
        torch.manual_seed(seed)
        begin, end = np.searchsorted(log.at, [split.train.start, split.train.end])
        learned = np.arange(begin, end)[log.clicked[begin:end]]
        users, items = log.users[learned], log.items[learned]
        chosen = {part: content[part] if part != ITEM else np.arange(len(log.item_ids)) for part in shape.parts}
        size = (len(log.traits), len(log.item_ids))
        graph = Graph(torch.from_numpy(users), torch.from_numpy(items), size) if shape.kind == "lightgcn" else None
        self.network = Ranker(shape, chosen, graph)
        self.jury = jury or Jury(log, split.validate, profiles)
        self._shape, self._log, self._profiles = shape, log, profiles
        self._known = Known(log)
        self._examples = examples(log, split.train, views=shape.kind == "click")
        self.clicks = np.bincount(items, minlength=len(log.item_ids))
        flattened = self.clicks.astype(np.float64) ** FLATTENED
        self._drawn_by = flattened / flattened.sum()

    def __len__(self) -> int:
        return len(self._examples)

    def batch(self, rows: Places, generator: np.random.Generator) -> tuple[Tensor, ...]:
        """See `Ranker.forward`."""
        some = self._examples.some(rows)
        draw = self._with_negatives if self._shape.kind == "click" else self._with_sample
        candidates, targets = draw(some, generator)
        return (
            torch.from_numpy(some.histories),
            torch.from_numpy(self._profiles[some.users]),
            torch.from_numpy(candidates),
            torch.from_numpy(targets.astype(np.float32)),
        )

    def judge(self) -> float:
        """Log loss of a click model; of others 1 less the gain."""
        verdict = self.jury.verdict(Served.of(self.network))
        return logloss(verdict.logits, verdict.clicked) if self._shape.kind == "click" else 1 - verdict.gain

    def _with_negatives(self, some: Examples, generator: np.random.Generator) -> tuple[Places, NDArray[np.float64]]:
        """Beside every click a few items that the user left, of those that there were."""
        negatives = self._known.negatives(some.users, some.at, NEGATIVES, generator)
        targets = np.zeros((len(some), 1 + NEGATIVES))
        targets[:, 0] = some.clicked
        targets[~some.clicked, 1:] = np.nan  # what was only seen is a negative itself
        return np.column_stack([some.items, negatives]), targets

    def _with_sample(self, some: Examples, generator: np.random.Generator) -> tuple[Places, NDArray[np.float64]]:
        """One sample for all, of which each example leaves aside what there was not yet, and its own item."""
        sample = generator.choice(len(self._drawn_by), SAMPLE, p=self._drawn_by)
        rarity = -np.log(np.maximum(self._drawn_by, 1e-9))
        correction = np.column_stack([rarity[some.items], np.broadcast_to(rarity[sample], (len(some), SAMPLE))])
        absent = (self._log.listed_at[sample] > some.at[:, None]) | (sample == some.items[:, None])
        correction[:, 1:][absent] = -np.inf
        candidates = np.column_stack([some.items, np.broadcast_to(sample, (len(some), SAMPLE))])
        return candidates, correction
