"""A user's taste: a sum of the vectors they touched, each fading with time.

Kept as the sum and the time it was taken at, not as an average, so that touches commute: late, reordered and batched
events give the same taste as a tidy stream. The direction is read off at the end (exponential forgetting as in
Koychev, "Gradual forgetting for adaptation to concept drift", 2000).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from streams.core.vectors import Vector, unit


class Taste(Struct, frozen=True):
    """What a user likes, by modality.

    totals  'fused' and each modality met -> (dim,) float32, the faded sum
    as_of   the time the sums hold for: the latest event, seconds since the epoch
    masses  modality -> the sums of the faded weights and of their squares: how much evidence each total holds
    """

    totals: Mapping[str, Vector] = {}
    as_of: float = 0.0
    masses: Mapping[str, tuple[float, float]] = {}

    def direction(self, modality: str = "fused") -> Vector | None:
        """The taste as a (dim,) unit vector, or None before anything was touched."""
        total = self.totals.get(modality)
        return unit(total) if total is not None and total.any() else None


class Touched(NamedTuple):
    """An item that a user touched.

    item    modality -> (dim,) float32, unit length; 'fused' among them
    weight  how much the touch says: 1 for a click, less for a view
    at      event time, seconds since the epoch; never the wall clock
    """

    item: Mapping[str, Vector]
    weight: float
    at: float


def touch(taste: Taste, touched: Sequence[Touched], half_life: float) -> Taste:
    """Add touched items, in any order, to a fading taste.

    half_life  seconds until a touch counts half; above 0

    >>> item = {"fused": np.array([1, 0], np.float32)}
    >>> once = touch(Taste(), [Touched(item, 1.0, at=100.0)], half_life=10.0)
    >>> touch(once, [Touched(item, 1.0, at=110.0)], half_life=10.0).totals["fused"].tolist()
    [1.5, 0.0]
    """
    as_of = max(taste.as_of, *(each.at for each in touched)) if touched else taste.as_of
    kept = _faded(as_of - taste.as_of, half_life)
    parts: dict[str, tuple[list[Vector], list[float]]] = {}
    for item, weight, at in touched:
        added = weight * _faded(as_of - at, half_life)
        for name, vector in item.items():
            vectors, gains = parts.setdefault(name, ([], []))
            vectors.append(vector)
            gains.append(added)
    totals = {name: total * np.float32(kept) for name, total in taste.totals.items()}
    masses = {name: (mass * kept, squares * kept * kept) for name, (mass, squares) in taste.masses.items()}
    for name, (vectors, gains) in parts.items():
        gained = np.array(gains, np.float32) @ np.array(vectors)
        totals[name] = totals[name] + gained if name in totals else gained
        mass, squares = masses.get(name, (0.0, 0.0))
        masses[name] = (mass + sum(gains), squares + sum(gain * gain for gain in gains))
    return Taste(totals, as_of, masses)


def _faded(age: float, half_life: float) -> float:
    return float(0.5 ** (age / half_life))
