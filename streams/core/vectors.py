"""The one vector type of the core, and how vectors become unit length and bytes."""

import math

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


def unit(vector: Vector) -> Vector:
    """The vector scaled to length 1; a zero vector stays zero.

    >>> unit(np.array([3, 4], np.float32)).tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    length = math.sqrt(vector.dot(vector))
    return (vector / length).astype(np.float32, copy=False) if length > 0 else vector.astype(np.float32)


def to_bytes(vector: Vector) -> bytes:
    """(dim,) float32 as little-endian bytes, the form in Cassandra and on Kafka."""
    return vector.astype("<f4").tobytes()


def from_bytes(data: bytes) -> Vector:
    """The inverse of `to_bytes`; the result may be written to."""
    return np.frombuffer(data, "<f4").astype(np.float32)
