"""Which modality speaks for a user: the one in which what they choose is most alike.

Someone who clicks on red things of every sort is understood by the picture, someone who clicks on one composer by the
sound. The measure is the mean cosine between the items a user touched, in each modality, above what two items of the
catalogue have in common by chance; the mean cosine follows from the length of their sum (the mean resultant length of
Mardia and Jupp, "Directional Statistics", 2000). It is read off the taste, so it commutes as the taste does.
"""

import math
from collections.abc import Mapping

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from streams.core.taste import Taste
from streams.core.vectors import Vector, unit

STRENGTH = 2.0
BOUND = 2.0  # a modality's weight is at most doubled, at least halved
ENOUGH = 4.0  # touches after which half of what was seen is believed


class Background(Struct):
    """What the catalogue's items have in common by chance, in each modality.

    sums    modality -> (dim,) float64, the sum of the items' unit vectors
    counts  modality -> items
    known   modality -> likeness, since it was last asked for
    """

    sums: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    known: dict[str, float] = field(default_factory=dict)

    def add(self, item: Mapping[str, Vector]) -> None:
        """An item has come."""
        for name, vector in item.items():
            self.sums[name] = self.sums[name] + vector if name in self.sums else vector.astype(np.float64)
            self.counts[name] = self.counts.get(name, 0) + 1
            self.known.pop(name, None)

    def add_all(self, modality: str, vectors: NDArray[np.float32]) -> None:
        """Items have come, (n, dim), all at once."""
        self.sums[modality] = self.sums.get(modality, 0.0) + vectors.sum(0, dtype=np.float64)
        self.counts[modality] = self.counts.get(modality, 0) + len(vectors)
        self.known.pop(modality, None)

    def remove(self, item: Mapping[str, Vector]) -> None:
        """An item that was added has gone, or is about to be added with other vectors."""
        for name, vector in item.items():
            self.sums[name] = self.sums[name] - vector
            self.counts[name] -= 1
            self.known.pop(name, None)

    def likeness(self, modality: str) -> float:
        """The mean cosine between two different items; 0 while there are fewer than two."""
        if modality not in self.known:
            count = self.counts.get(modality, 0)
            self.known[modality] = _mean_cosine(self.sums[modality], count, count) if count > 1 else 0.0
        return self.known[modality]


def modality_weights(taste: Taste, background: Background, base: Mapping[str, float]) -> dict[str, float]:
    """How much each modality counts for a user; the weights of those in the taste sum to 1.

    base  modality -> its weight for everybody

    >>> red, round_, loud = np.eye(3, dtype=np.float32)
    >>> taste = Taste({"image": 3 * red, "audio": red + round_ + loud}, 0.0, {"image": (3, 3), "audio": (3, 3)})
    >>> weights = modality_weights(taste, Background(), {"image": 1.0, "audio": 1.0})
    >>> weights["image"] > weights["audio"]
    True
    """
    present = [name for name in base if base[name] > 0 and name in taste.totals and name in taste.masses]
    if len(present) < 2:
        return dict.fromkeys(present, 1.0)
    excess = [_excess(taste, background, name) for name in present]
    mean = sum(excess) / len(excess)
    factors = [min(max(math.exp(STRENGTH * (each - mean)), 1 / BOUND), BOUND) for each in excess]
    weights = [factor * base[name] for factor, name in zip(factors, present, strict=True)]
    total = sum(weights)
    return {name: weight / total for name, weight in zip(present, weights, strict=True)}


def direction(taste: Taste, weights: Mapping[str, float]) -> Vector | None:
    """The taste as one (dim,) unit vector in the space of fused items, its modalities weighted; None without any.

    weights  as from `modality_weights`; without them the fused taste is what there is
    """
    parts = [(weight, taste.direction(name)) for name, weight in weights.items()]
    known = [(weight, part) for weight, part in parts if part is not None]
    if len(known) < 2:
        return known[0][1] if known else taste.direction()
    return unit(np.sum([np.float32(weight) * part for weight, part in known], axis=0))


def closeness(taste: Taste, weights: Mapping[str, float], item: Vector) -> dict[str, float]:
    """What each modality of a taste adds to the cosine between the taste's `direction` and an item.

    weights  as from `modality_weights`
    item     (dim,) float32, unit length, the fused vector

    >>> red, round_, loud = np.eye(3, dtype=np.float32)
    >>> taste = Taste({"image": 3 * red, "audio": loud}, 0.0, {})
    >>> closeness(taste, {"image": 0.6, "audio": 0.8}, red)
    {'image': 0.6000000238418579, 'audio': 0.0}
    """
    parts = [(name, weight, taste.direction(name)) for name, weight in weights.items()]
    known = {name: np.float32(weight) * part for name, weight, part in parts if part is not None}
    if not known:
        fused = taste.direction()
        known = {"fused": fused} if fused is not None else {}
    length = float(np.linalg.norm(np.sum(list(known.values()), axis=0))) if known else 0.0
    return {name: float(part @ item) / length for name, part in known.items()} if length else {}


def _excess(taste: Taste, background: Background, modality: str) -> float:
    """How much more alike a user's items are than chance: 0 as by chance, 1 all the same; believed with evidence."""
    mass, squares = taste.masses[modality]
    if mass * mass <= squares:
        return 0.0
    chance = min(background.likeness(modality), 0.99)
    alike = _mean_cosine(taste.totals[modality].astype(np.float64), mass, squares)
    return (alike - chance) / (1 - chance) * mass / (mass + ENOUGH)


def _mean_cosine(total: np.ndarray[tuple[int], np.dtype[np.float64]], mass: float, squares: float) -> float:
    """The mean cosine between different unit vectors of a weighted sum.

    mass, squares  the sums of the weights and of their squares
    """
    pairs = mass * mass - squares
    return min(max((float(total @ total) - squares) / pairs, -1.0), 1.0) if pairs > 0 else 0.0
