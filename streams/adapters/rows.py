"""Nearest items by comparing with every vector: at once complete, and exact, but slower with each item."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streams.core.catalogue import longer
from streams.core.vectors import Vector

FIRST_ROOM = 1_024


class VectorRows:
    """Nearest neighbours among items by the inner product of unit vectors; nothing is built, nothing missed.

    dim  of the vectors
    """

    def __init__(self, dim: int) -> None:
        self._rows = np.zeros((FIRST_ROOM, dim), np.float32)
        self._slots = np.zeros(FIRST_ROOM, np.int32)  # of each row
        self._row_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def __iter__(self) -> Iterator[int]:
        """The slots, the one that was put first before the others."""
        return iter(self._row_of)

    @property
    def slots(self) -> NDArray[np.int32]:
        """(items,) int32, in the order of `vectors`."""
        return self._slots[: len(self)]

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(items, dim) float32; not to be written to, and moved by the next `put` or `remove`."""
        return self._rows[: len(self)]

    def put(self, slot: int, vector: Vector) -> None:
        """Add the item in a slot, or move it to another vector; (dim,) float32, unit length."""
        row = self._row_of.setdefault(slot, len(self))
        if row == len(self._rows):
            self._rows, self._slots = longer(self._rows, 2 * row), longer(self._slots, 2 * row)
        self._rows[row], self._slots[row] = vector, slot

    def get(self, slot: int) -> Vector | None:
        """The vector of the item in a slot."""
        row = self._row_of.get(slot)
        return None if row is None else self._rows[row].copy()

    def remove(self, slot: int) -> None:
        """Take the item out, if it is there; the last row takes its place."""
        row = self._row_of.pop(slot, None)
        if row is None or row == len(self):
            return
        self._rows[row], self._slots[row] = self._rows[len(self)], self._slots[len(self)]
        self._row_of[int(self._slots[row])] = row

    def nearest(self, vector: Vector, count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The slots most like a vector, best first, and their cosines.

        vector  (dim,) float32, unit length

        Returns (n,) int32 and (n,) float32, n at most `count`.
        """
        return _best(self.slots, self.vectors @ vector, count)

    def among(self, vector: Vector, slots: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Those of the slots that are here and their cosines, best first.

        vector  (dim,) float32, unit length
        """
        rows = [row for slot in slots.tolist() if (row := self._row_of.get(slot)) is not None]
        return _best(self._slots[rows], self._rows[rows] @ vector, len(rows))


def _best(
    slots: NDArray[np.int32], cosines: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The greatest, as many as asked for, in their order."""
    if count < len(cosines):
        first = np.argpartition(-cosines, count)[:count]
        slots, cosines = slots[first], cosines[first]
    order = np.argsort(-cosines, kind="stable")
    return slots[order], cosines[order]
