"""Indexes that answer before their graph is there: a process beside builds it, once there are many items.

`python -m streams.adapters.deferred VECTORS GRAPH`, two open files by number, is that process.
"""

import asyncio
import os
import signal
import subprocess
import sys
from typing import BinaryIO

import numpy as np
import structlog
from numpy.typing import NDArray

from streams.adapters.index import VectorIndex
from streams.adapters.rows import VectorRows
from streams.core.vectors import Vector

WORTH_A_GRAPH = 10_000
"""Items: to compare with each of fewer takes about as long as to ask a graph, and misses nothing."""

ADDED_AT_ONCE = 256
"""Vectors, before the process sees whether it is still wanted."""

log = structlog.get_logger()


class DeferredIndex:
    """Compares with every vector while it has few items, and until a graph has been built of its many.

    To add an item to a graph takes as long as all else that is done with it, and longer the more there are. So an index
    that is filled from a log answers as soon as the log is read, slowly, and quickly once `build` is done.

    dim    of the vectors
    grown  is set when a graph becomes worth its while
    worth  items that make it so
    """

    def __init__(self, dim: int, grown: asyncio.Event, worth: int = WORTH_A_GRAPH) -> None:
        self._dim = dim
        self._grown = grown
        self._worth = worth
        self._rows = VectorRows(dim)
        self._graph: VectorIndex | None = None
        self._changed: set[int] | None = None  # slots, since the graph was begun; None where it is not under way
        self._failed = False

    @property
    def is_built(self) -> bool:
        """Whether a graph answers."""
        return self._graph is not None

    @property
    def wants_graph(self) -> bool:
        """Whether it has many items, and no graph yet that could be built."""
        return self._graph is None and len(self._rows) >= self._worth and not self._failed

    def put(self, slot: int, vector: Vector) -> None:
        """Add the item in a slot, or move it to another vector; (dim,) float32, unit length."""
        self._there.put(slot, vector)
        if self._changed is not None:
            self._changed.add(slot)
        if self.wants_graph:
            self._grown.set()

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
        """Have the graph built, while the index is used and changed; from then on it answers.

        Where that fails, each item is still compared, and the log says so.
        """
        changed = self._changed = set[int]()
        try:
            graph = await _built(self._dim, self._rows.slots.copy(), self._rows.vectors.copy())
            if graph is None:
                self._failed = True
                return
            while changed:
                slot = changed.pop()
                vector = self._rows.get(slot)
                if vector is None:
                    graph.remove(slot)
                else:
                    graph.put(slot, vector)
                await asyncio.sleep(0)  # each takes a millisecond
            self._graph, self._rows = graph, VectorRows(self._dim)
        finally:
            self._changed = None


class Graphs:
    """Makes indexes, and has the graphs built of those that grow large, one after the other.

    dim    of their vectors
    worth  items that make an index large
    """

    def __init__(self, dim: int, worth: int = WORTH_A_GRAPH) -> None:
        self._dim = dim
        self._worth = worth
        self._grown = asyncio.Event()
        self._indexes: list[DeferredIndex] = []

    def empty(self) -> DeferredIndex:
        """An index without items."""
        self._indexes.append(DeferredIndex(self._dim, self._grown, self._worth))
        return self._indexes[-1]

    async def build(self, filled: asyncio.Event) -> None:
        """Build what is worth it, once the indexes are filled and as they grow, until cancelled."""
        await filled.wait()
        while True:
            await self._grown.wait()
            self._grown.clear()
            for each in self._indexes:
                if each.wants_graph:
                    await each.build()


async def _built(dim: int, slots: NDArray[np.int32], vectors: NDArray[np.float32]) -> VectorIndex | None:
    """The graph of these, (n,) and (n, dim), built by a process that leaves the processor to everybody else.

    A thread would share the interpreter with lists, and of low priority keep them waiting while it has it. Vectors and
    graph change hands in memory: Cassandra's log waits for the disk.
    """
    with _file_in_memory("vectors") as given, _file_in_memory("graph") as made:
        await asyncio.to_thread(_hand_over, given, slots, vectors)
        numbers = given.fileno(), made.fileno()
        # In our session: Linux weighs whole sessions against each other, whatever the priorities in them (autogroup).
        command = [sys.executable, "-m", "streams.adapters.deferred", *map(str, numbers)]
        process = subprocess.Popen(command, pass_fds=numbers)  # noqa: ASYNC220 (vfork: at once, whatever we hold)
        try:
            code = await asyncio.to_thread(process.wait)
        finally:
            process.kill()  # nothing to one that has ended
            process.wait()
        if code:
            log.error("a graph for searches was not built; items are compared one by one", items=len(slots), code=code)
            return None
        graph = VectorIndex(dim)
        await asyncio.to_thread(lambda: graph.load(_from_the_start(made).read()))
        return graph


def _file_in_memory(name: str) -> BinaryIO:
    return os.fdopen(os.memfd_create(name), "r+b")


def _hand_over(file: BinaryIO, slots: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
    np.save(file, slots)
    np.save(file, vectors)
    file.flush()


def _from_the_start(file: BinaryIO) -> BinaryIO:
    file.seek(0)  # whoever wrote it has left off at its end, and shares the place
    return file


def main(vectors_file: int, graph_file: int) -> None:
    """Build the graph of slots and vectors, and write it; end without, where nobody waits.

    vectors_file, graph_file  open files, by number
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever wants this graph, who ends it then
    # It takes minutes, and the processor is wanted for lists: to whoever wakes, its core is as good as idle.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    parent = os.getppid()
    with os.fdopen(vectors_file, "rb") as given:
        _from_the_start(given)
        slots, vectors = np.load(given), np.load(given)
    graph = VectorIndex(vectors.shape[1])
    for start in range(0, len(slots), ADDED_AT_ONCE):
        if os.getppid() != parent:
            sys.exit("whoever wanted this graph has ended")
        some = slice(start, start + ADDED_AT_ONCE)
        graph.put_all(slots[some], vectors[some])
    with os.fdopen(graph_file, "wb") as made:
        made.write(graph.save())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
