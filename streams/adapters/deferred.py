"""Indexes that answer before their graph is there: it is built in a thread, once what fills them has been read."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from streams.adapters.index import VectorIndex
from streams.adapters.rows import VectorRows
from streams.core.vectors import Vector

BUILT_AT_ONCE = 256
"""Vectors that the thread adds before it rests."""


class DeferredIndex:
    """Compares with every vector until its graph has been built.

    To add an item to a graph takes as long as all else that is done with it, and longer the more there are. So an index
    that is filled from a log answers as soon as the log is read, slowly, and quickly once `build` is done.

    dim  of the vectors
    """

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._rows = VectorRows(dim)
        self._graph: VectorIndex | None = None
        self._changed: set[int] | None = None  # slots, since the graph was begun; None where it is not under way

    @property
    def is_built(self) -> bool:
        """Whether the graph answers."""
        return self._graph is not None

    def put(self, slot: int, vector: Vector) -> None:
        """Add the item in a slot, or move it to another vector; (dim,) float32, unit length."""
        self._there.put(slot, vector)
        if self._changed is not None:
            self._changed.add(slot)

    def remove(self, slot: int) -> None:
        """Take the item out, if it is there."""
        self._there.remove(slot)
        if self._changed is not None:
            self._changed.add(slot)

    @property
    def _there(self) -> VectorIndex | VectorRows:
        return self._rows if self._graph is None else self._graph

    def nearest(self, vector: Vector, count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """See `VectorIndex`."""
        return self._there.nearest(vector, count)

    def among(self, vector: Vector, slots: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """See `VectorIndex`."""
        return self._there.among(vector, slots)

    async def build(self) -> None:
        """Build the graph in a thread, while the index is used and changed; from then on the graph answers."""
        if self._graph is not None:
            return
        graph, unwanted = VectorIndex(self._dim), threading.Event()
        slots, vectors = self._rows.slots.copy(), self._rows.vectors.copy()
        changed = self._changed = set[int]()
        with ThreadPoolExecutor(1, "graph") as thread:
            try:
                await asyncio.get_running_loop().run_in_executor(thread, _fill, graph, slots, vectors, unwanted)
            finally:
                unwanted.set()
        for slot in changed:
            vector = self._rows.get(slot)
            if vector is None:
                graph.remove(slot)
            else:
                graph.put(slot, vector)
        self._graph, self._rows, self._changed = graph, VectorRows(self._dim), None


class Graphs:
    """Makes indexes whose graphs are built together, once what they are filled from has been read.

    dim  of their vectors
    """

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._indexes: list[DeferredIndex] = []

    def empty(self) -> DeferredIndex:
        """An index without items."""
        self._indexes.append(DeferredIndex(self._dim))
        return self._indexes[-1]

    async def build(self, filled: asyncio.Event) -> None:
        """Build the graphs of all indexes that there are by then, one after the other."""
        await filled.wait()
        for each in self._indexes:
            await each.build()


def _fill(
    graph: VectorIndex, slots: NDArray[np.int32], vectors: NDArray[np.float32], unwanted: threading.Event
) -> None:
    """Add them all, unless that is not wanted any more; three quarters of the time are left to others.

    A thread of lower priority would leave them more, but also keep them waiting for the interpreter while it rests.
    """
    for start in range(0, len(slots), BUILT_AT_ONCE):
        began, some = time.monotonic(), slice(start, start + BUILT_AT_ONCE)
        graph.put_all(slots[some], vectors[some])
        if unwanted.wait(3 * (time.monotonic() - began)):
            return
