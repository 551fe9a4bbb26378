"""EASE, fitted anew every so often, asked with a profile that is up to date."""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import lapack
from scipy.sparse import csr_matrix

from streams.core.baselines.baseline import Baseline, Floats, Slots, recencies


class Ease(Baseline):
    """EASE (Steck, "Embarrassingly shallow autoencoders for sparse data", 2019): a linear model of each item by the
    others, in closed form.

    ridge  added to the diagonal
    refit  touches between two fits; each is of what came before
    widest  items that are modelled, the most popular: a fit takes widest ** 3
    depth, half  see `recencies`: the user's latest items, which the model is asked with
    """

    def __init__(self, items: Sequence[str], *, ridge: float, refit: int, widest: int, depth: int, half: float) -> None:
        super().__init__(items)
        self._ridge, self._refit, self._widest = ridge, refit, widest
        self._depth, self._half = depth, half
        self._touches = 0
        self._modelled = np.empty(0, np.int32)
        self._columns = np.full(len(items), -1, np.int32)
        self._model = np.empty((0, 0), np.float32)

    def _scores(self, row: int, past: Slots, at: float) -> Floats | None:
        latest, loudness = recencies(past, self._depth, self._half)
        columns = self._columns[latest]
        known = columns >= 0
        if not known.any():
            return None
        scores = np.zeros(len(self.items), np.float32)
        scores[self._modelled] = loudness[known] @ self._model[columns[known]]
        return scores

    def _learn(self, row: int, past: Slots, slot: int, at: float) -> None:
        if self._touches and self._touches % self._refit == 0:
            self._fit()
        self._touches += 1

    def _fit(self) -> None:
        """B = I - P / diag(P), where P is the inverse of the ridged Gram matrix of who touched what."""
        touched = np.flatnonzero(self.popularity)
        self._modelled = touched[np.argsort(-self.popularity[touched], kind="stable")][: self._widest]
        self._columns[:] = -1
        self._columns[self._modelled] = np.arange(len(self._modelled))
        lengths = [len(past.slots) for past in self.pasts]
        columns = self._columns[np.concatenate([past.slots for past in self.pasts])]
        known = columns >= 0
        rows = np.repeat(np.arange(len(lengths)), lengths)[known]
        shape = (len(lengths), len(self._modelled))
        users = csr_matrix((np.ones(len(rows), np.float32), (rows, columns[known])), shape)
        gram = (users.T @ users).toarray()
        gram[np.diag_indices_from(gram)] += self._ridge
        factor, _ = lapack.spotrf(gram, overwrite_a=True)
        upper, _ = lapack.spotri(factor, overwrite_c=True)
        inverse = np.triu(upper) + np.triu(upper, 1).T
        self._model = -inverse / np.diag(inverse)
        np.fill_diagonal(self._model, 0)
