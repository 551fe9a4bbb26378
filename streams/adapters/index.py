"""Nearest items by fused vector, in process, with the HNSW of usearch.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World
graphs", IEEE TPAMI 42(4), 2020.
"""

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

with suppress(ImportError):  # an image of a worker does without
    import onnxruntime  # type: ignore[import-untyped] # noqa: F401 (loaded after usearch, it ends the process)
from usearch.compiled import MetricKind, ScalarKind
from usearch.index import Index

from streams.adapters.rows import VectorRows
from streams.core.vectors import Vector

CONNECTIVITY = 16
EFFORT = 384  # candidates looked at for an answer; with 96, up to one in ten of the first 100 is missed
EFFORT_FOR_LISTS = 128
"""For lists, where other experts speak beside what is alike: of the first 100 up to one in twenty is missed, in a third
of the time."""

CHECKED = 16
"""An item has to be among so many nearest of its own vector: otherwise the graph does not lead to it."""
MISSED_KEPT = 1_024
_MISSED = b"missed"


def empty_graph(dim: int, effort: int = EFFORT) -> Index:
    """What `VectorIndex` stands on: usearch's own index, for unit vectors of so many dimensions."""
    return Index(
        ndim=dim,
        metric=MetricKind.IP,
        dtype=ScalarKind.F16,
        connectivity=CONNECTIVITY,
        expansion_add=128,
        expansion_search=effort,
    )


class VectorIndex:
    """Nearest neighbours among items, approximately, by the inner product of unit vectors.

    A graph does not lead to every item: one that is like nothing else may be nobody's near neighbour. Whether it leads
    to an item is seen when that is put; those it misses, the latest 1,024, are compared one by one.

    dim     of the vectors
    effort  candidates looked at in a search: the more, the less is missed, and the longer it takes
    """

    def __init__(self, dim: int, effort: int = EFFORT) -> None:
        self._dim = dim
        self._effort = effort
        self._index = empty_graph(dim, effort)
        self._missed = VectorRows(dim)

    def __len__(self) -> int:
        return len(self._index)

    def put(self, slot: int, vector: Vector) -> None:
        """Add the item in a slot, or move it to another vector; (dim,) float32, unit length."""
        self.remove(slot)
        self.put_all(np.array([slot], np.int32), vector[None])

    def put_all(self, slots: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        """Add items that are not there; (n,) int32 and (n, dim) float32. Other threads run meanwhile."""
        self._index.add(slots.astype(np.uint64), vectors, threads=1)
        found = self._index.search(vectors, min(CHECKED, len(self._index)), threads=1)
        missed = ~(found.keys.reshape(len(slots), -1) == slots[:, None]).any(axis=1)
        self._miss(slots[missed])

    def _miss(self, slots: NDArray[np.int32]) -> None:
        """Compare these one by one from now on; the vectors as the graph has them, so that a snapshot need not."""
        if len(slots):
            vectors = np.asarray(self._index.get(slots.astype(np.uint64), ScalarKind.F32), np.float32)
            for slot, vector in zip(slots.tolist(), vectors, strict=True):
                self._missed.put(slot, vector)
        while len(self._missed) > MISSED_KEPT:
            self._missed.remove(next(iter(self._missed)))

    def remove(self, slot: int) -> None:
        """Take the item out, if it is there; an item that has no slot (-1) is not."""
        if slot >= 0 and slot in self._index:
            self._index.remove(slot)
            self._missed.remove(slot)

    def nearest(self, vector: Vector, count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The slots most like a vector, best first, and their cosines.

        vector  (dim,) float32, unit length

        Returns (n,) int32 and (n,) float32, n at most `count`.
        """
        if not len(self._index):
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        found = self._index.search(vector, min(count, len(self._index)), threads=1)
        slots, cosines = found.keys.astype(np.int32), (1 - found.distances).astype(np.float32)
        if not len(self._missed):
            return slots, cosines
        more, theirs = self._missed.nearest(vector, count)
        there = set(slots.tolist())
        new = [slot not in there for slot in more.tolist()]
        slots, cosines = np.concatenate([slots, more[new]]), np.concatenate([cosines, theirs[new]])
        order = np.argsort(-cosines, kind="stable")[:count]
        return slots[order], cosines[order]

    def among(self, vector: Vector, slots: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Those of the slots that are here and their cosines, best first; each is compared.

        vector  (dim,) float32, unit length
        """
        here = slots[self._index.contains(slots.astype(np.uint64))] if len(slots) else slots
        if not len(here):
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        cosines = np.asarray(self._index.get(here.astype(np.uint64), ScalarKind.F32), np.float32) @ vector
        order = np.argsort(-cosines, kind="stable")
        return here[order], cosines[order]

    def save(self) -> bytes:
        """The index as bytes, for `load`."""
        graph: bytes = self._index.save() or b""
        missed = np.fromiter(self._missed, np.int32, len(self._missed))
        return graph + missed.tobytes() + len(missed).to_bytes(4, "little") + _MISSED

    def load(self, data: bytes | memoryview) -> None:
        """Become the index that was saved; one that was saved before it knew what it misses is read, too."""
        missed = np.zeros(0, np.int32)
        view = memoryview(data)
        end = len(view) - len(_MISSED) - 4
        if end >= 0 and view[end + 4 :] == _MISSED:
            count = int.from_bytes(view[end : end + 4], "little")
            missed = np.frombuffer(view[end - 4 * count : end], np.int32)
            view = view[: end - 4 * count]
        self._index = empty_graph(self._dim, self._effort)
        self._index.load(view)
        self._missed = VectorRows(self._dim)
        self._miss(missed)
