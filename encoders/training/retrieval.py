"""How often a query finds what belongs to it among the first k, and how often chance would."""

from collections import Counter
from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def recall_at(k: int, queries: Floats, wanted: Sequence[str], candidates: Floats, labels: Sequence[str]) -> float:
    """The share of queries with a candidate of their own label among the k nearest by cosine.

    queries     (n, dim) unit length
    wanted      their labels; every one of them is among `labels`
    candidates  (m, dim) unit length

    >>> axes = np.eye(3, dtype=np.float32)
    >>> recall_at(1, axes, ["a", "b", "c"], axes[[0, 2, 1]], ["a", "b", "c"])
    0.3333333333333333
    """
    nearest = np.argsort(-(queries @ candidates.T), axis=1, kind="stable")[:, :k]
    names = np.asarray(labels)
    return float(np.mean([label in names[places] for label, places in zip(wanted, nearest, strict=True)]))


def chance_at(k: int, wanted: Sequence[str], labels: Sequence[str]) -> float:
    """What `recall_at` expects of a random order.

    >>> chance_at(1, ["a", "b"], ["a", "b", "b", "c"])
    0.375
    """
    counts, total = Counter(labels), len(labels)
    return float(np.mean([1 - comb(total - counts[label], k) / comb(total, k) for label in wanted]))
