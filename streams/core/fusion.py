"""Fusion: the vectors of an item's modalities become one."""

from collections.abc import Mapping

import numpy as np

from encoders.contract import space_name
from streams.core.vectors import Vector, unit


def fuse(vectors: Mapping[str, Vector], weights: Mapping[str, float]) -> Vector | None:
    """The weighted average of the modalities present, at unit length; None when there are none.

    vectors  modality -> (dim,) float32, unit length
    weights  modality -> its weight; those of the modalities present are renormalised to sum to 1, so an item
             without a picture is not pulled towards nothing. A modality without a weight counts nothing.

    >>> text, image = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    >>> fuse({"text": text}, {"text": 0.5, "image": 0.5}).tolist()
    [1.0, 0.0]
    >>> fuse({"text": text, "image": image}, {"text": 0.5, "image": 0.5}).round(3).tolist()
    [0.7070000171661377, 0.7070000171661377]
    """
    present = {name: weights[name] for name in vectors if weights.get(name, 0) > 0}
    total = sum(present.values())
    if total <= 0:
        return None
    return unit(np.sum([vectors[name] * np.float32(weight / total) for name, weight in present.items()], axis=0))


class Average:
    """`fuse` with these weights.

    space  the name of the space that its vectors are in, besides those of the modalities
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)
        self.space = space_name("average", *(f"{name}={weight:g}" for name, weight in sorted(weights.items())))

    def __call__(self, vectors: Mapping[str, Vector]) -> Vector | None:
        return fuse(vectors, self._weights)
