"""Matrix factorisation learned online, by comparing what was touched with what was not."""

from collections.abc import Sequence

import numpy as np

from streams.core.baselines.baseline import Baseline, Floats, Slots


class OnlineBpr(Baseline):
    """BPR (Rendle et al. 2009) by stochastic steps as touches come, with past touches replayed (Diaz-Aviles et al.,
    "Real-time top-n recommendation in social streams", 2012).

    size    numbers in a vector
    replay  past touches, drawn at random, learned again with each new one
    recent  how many touches back they are drawn from
    own     the user's latest touches, learned again likewise: the profile stays live
    """

    def __init__(
        self,
        items: Sequence[str],
        *,
        size: int,
        rate: float,
        decay: float,
        replay: int,
        recent: int,
        own: int,
        seed: int = 7,
    ) -> None:
        super().__init__(items)
        self._generator = np.random.default_rng(seed)
        self._rate, self._decay, self._replay, self._recent = rate, decay, replay, recent
        self._own = own
        self._item_vectors = self._random(len(items), size)
        self._biases = np.zeros(len(items), np.float32)
        self._user_vectors = self._random(64, size)
        self._touches = np.zeros((recent, 2), np.int32)
        self._touched = 0

    def _scores(self, row: int, past: Slots, at: float) -> Floats | None:
        if row < 0:
            return None
        logits = self._item_vectors @ self._user_vectors[row] + self._biases
        scores: Floats = np.exp(np.minimum(logits, 30.0), dtype=np.float32)
        return scores

    def _learn(self, row: int, past: Slots, slot: int, at: float) -> None:
        if row == len(self._user_vectors):
            more = self._random(*self._user_vectors.shape)
            self._user_vectors = np.concatenate([self._user_vectors, more])
        self._touches[self._touched % self._recent] = row, slot
        self._touched += 1
        drawn = self._generator.integers(0, min(self._touched, self._recent), self._replay)
        rows, touched = self._touches[drawn].T
        latest = np.append(past[-self._own :], slot)
        self._step(np.append(rows, np.full(len(latest), row)), np.append(touched, latest))

    def _step(self, rows: Slots, touched: Slots) -> None:
        """One step for each pair of a user and an item they touched, against an item drawn at random."""
        others = self._generator.integers(0, len(self.items), len(rows))
        users, items, wrong = self._user_vectors[rows], self._item_vectors[touched], self._item_vectors[others]
        gap = np.einsum("nd,nd->n", users, items - wrong) + self._biases[touched] - self._biases[others]
        pull = (self._rate / (1 + np.exp(gap)))[:, None].astype(np.float32)
        kept = np.float32(self._rate * self._decay)
        np.add.at(self._user_vectors, rows, pull * (items - wrong) - kept * users)
        np.add.at(self._item_vectors, touched, pull * users - kept * items)
        np.add.at(self._item_vectors, others, -pull * users - kept * wrong)
        np.add.at(self._biases, touched, pull[:, 0] - kept * self._biases[touched])
        np.add.at(self._biases, others, -pull[:, 0] - kept * self._biases[others])

    def _random(self, rows: int, size: int) -> Floats:
        return self._generator.normal(0, 0.1, (rows, size)).astype(np.float32)
