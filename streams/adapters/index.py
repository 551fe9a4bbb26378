"""Nearest items by fused vector, in process: each compared while they are few, then HNSW of usearch.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World
graphs", IEEE TPAMI 42(4), 2020.
"""

import numpy as np
from numpy.typing import NDArray
from usearch.compiled import MetricKind, ScalarKind
from usearch.index import Index

from streams.core.vectors import Vector


class VectorIndex:
    """Nearest neighbours among items, by the inner product of unit vectors; approximate beyond `FEW` slots.

    dim  of the vectors
    """

    FEW = 2_048  # slots: to compare all of them costs a third of a search at that effort, and misses nothing

    CONNECTIVITY = 16
    EFFORT = 384  # candidates looked at in a search; with 96, one in ten of the first 100 is missed

    def __init__(self, dim: int) -> None:
        self._index = Index(
            ndim=dim,
            metric=MetricKind.IP,
            dtype=ScalarKind.F16,
            connectivity=self.CONNECTIVITY,
            expansion_add=128,
            expansion_search=self.EFFORT,
        )
        self._end = 0  # one after the highest slot met
        self._first = np.zeros((self.FEW, dim), np.float32)  # of the slots below FEW; see `_held`
        self._held = np.zeros(self.FEW, np.bool_)

    def __len__(self) -> int:
        return len(self._index)

    def put(self, slot: int, vector: Vector) -> None:
        """Add the item in a slot, or move it to another vector; (dim,) float32, unit length."""
        if slot in self._index:
            self._index.remove(slot)
        self._index.add(slot, vector, threads=1)
        self._end = max(self._end, slot + 1)
        if slot < self.FEW:
            self._first[slot], self._held[slot] = vector, True

    def remove(self, slot: int) -> None:
        """Take the item out, if it is there."""
        if slot in self._index:
            self._index.remove(slot)
            if slot < self.FEW:
                self._held[slot] = False

    def nearest(self, vector: Vector, count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The slots most like a vector, best first, and their cosines.

        vector  (dim,) float32, unit length

        Returns (n,) int32 and (n,) float32, n at most `count`.
        """
        if not len(self._index):
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        if self._end <= self.FEW:
            return self._compare_all(vector, count)
        found = self._index.search(vector, min(count, len(self._index)), threads=1)
        return found.keys.astype(np.int32), (1 - found.distances).astype(np.float32)

    def _compare_all(self, vector: Vector, count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        slots = np.flatnonzero(self._held[: self._end])
        cosines = (self._first[: self._end] @ vector)[slots]
        if len(slots) > count:
            best = np.argpartition(cosines, -count)[-count:]
            slots, cosines = slots[best], cosines[best]
        order = np.argsort(-cosines)
        return slots[order].astype(np.int32), cosines[order]
