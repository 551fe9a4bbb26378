"""The items: which dense slot each has, whether it is listed, and what is known of it."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice, repeat
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from streams.core.memory.compiled import compiled
from streams.core.vectors import Vector

Number = TypeVar("Number", bound=np.generic)

HIDDEN = -1
"""In `Catalogue.shown`: an item that is never recommended."""


class Catalogue:
    """Item ids <-> slots 0, 1, 2, ...; a slot once given is never given to another item.

    shown       (capacity,) int64: HIDDEN for withdrawn items, else free for a reader to mark (see `mark`)
    vectors     (capacity, dim) float32, unit length; zeros where unknown. None before the first vector.
    first_seen  (capacity,) float64: when the item was first put or touched, seconds since the epoch

    >>> catalogue = Catalogue(capacity=8)
    >>> catalogue.put("a", None, at=5.0, attributes=("comedy",)), catalogue.slot("a"), catalogue.slot("b")
    (0, 0, -1)
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.ids: list[str] = []
        self.attributes: list[tuple[str, ...]] = []
        self.shown = np.zeros(capacity, np.int64)
        self.first_seen = np.zeros(capacity)
        self.vectors: NDArray[np.float32] | None = None
        self.has_vector = np.zeros(capacity, np.bool_)
        self._slots: dict[str, int] = {}
        self._mark = 0

    def __len__(self) -> int:
        return len(self.ids)

    def slot(self, item_id: str) -> int:
        """The item's slot, -1 where it is unknown."""
        return self._slots.get(item_id, -1)

    def slots(self, item_ids: Sequence[str]) -> NDArray[np.int32]:
        """(n,) the slots of the items, -1 for those that are unknown."""
        return np.fromiter(map(self._slots.get, item_ids, repeat(-1)), np.int32, len(item_ids))

    def ensure(self, item_id: str, at: float) -> int:
        """The item's slot, a new one where it is unknown: it may be touched before its upload arrives."""
        slot = self._slots.get(item_id, -1)
        if slot < 0:
            slot = len(self.ids)
            if slot == self.capacity:
                self._grow()
            self._slots[item_id] = slot
            self.ids.append(item_id)
            self.attributes.append(())
            self.first_seen[slot] = at
        return slot

    def ensure_all(self, item_ids: Sequence[str], at: float) -> NDArray[np.int32]:
        """(n,) the slots of the items, see `ensure`."""
        with suppress(KeyError):
            return np.fromiter(map(self._slots.__getitem__, item_ids), np.int32, len(item_ids))
        return np.array([self.ensure(item_id, at) for item_id in item_ids], np.int32)

    def put(self, item_id: str, vector: Vector | None, at: float, attributes: Sequence[str] = ()) -> int:
        """Add an item or change it; it is listed from now on, even if it was withdrawn before.

        vector  (dim,) float32, unit length, or None where no modality is embedded yet
        Raises ValueError for a vector of another dimension than those before.
        """
        slot = self.ensure(item_id, at)
        if vector is not None:
            if self.vectors is None:
                self.vectors = np.zeros((self.capacity, len(vector)), np.float32)
            if vector.shape != self.vectors.shape[1:]:
                expected = self.vectors.shape[1:]
                raise ValueError(f"item {item_id!r}: vector of shape {vector.shape}, where {expected} is expected")
            self.vectors[slot] = vector
            self.has_vector[slot] = True
        if attributes:
            self.attributes[slot] = tuple(attributes)
        self.shown[slot] = 0
        return slot

    def withdraw(self, item_id: str) -> None:
        """Never recommend this item again, until it is put again; an unknown item may be withdrawn ahead."""
        self.shown[self.ensure(item_id, 0.0)] = HIDDEN

    def listed(self, slot: int) -> bool:
        return bool(self.shown[slot] != HIDDEN)

    def mark(self, slots: NDArray[np.int32]) -> int:
        """A number never used before, set in `shown` for those of the items that are listed.

        `shown[slot] == mark` then means 'skip the item in this request'; marks save clearing an array as long
        as the catalogue for every request.
        """
        self._mark += 1
        _set_mark(self.shown, slots, self._mark)
        return self._mark

    def state(self) -> dict[str, NDArray[np.generic]]:
        """All but the ids and attributes, as arrays; `load` is the inverse."""
        used = slice(len(self.ids))
        state: dict[str, NDArray[np.generic]] = {
            "hidden": self.shown[used] == HIDDEN,
            "first_seen": self.first_seen[used],
            "has_vector": self.has_vector[used],
            "attribute_counts": np.array([len(each) for each in self.attributes], np.int32),
        }
        if self.vectors is not None:
            state["vectors"] = self.vectors[used][self.has_vector[used]]
        return state

    def load(self, ids: Sequence[str], attributes: Sequence[str], state: dict[str, NDArray[np.generic]]) -> None:
        """Become the catalogue of that state; `attributes` are those of all items in one row."""
        while self.capacity < len(ids):
            self._grow()
        self.ids = list(ids)
        self._slots = {item_id: slot for slot, item_id in enumerate(ids)}
        each = iter(attributes)
        self.attributes = [tuple(islice(each, count)) for count in state["attribute_counts"].tolist()]
        used = slice(len(ids))
        self.shown[used] = np.where(state["hidden"], HIDDEN, 0)
        self.first_seen[used] = state["first_seen"]
        self.has_vector[used] = state["has_vector"]
        if "vectors" in state:
            self.vectors = np.zeros((self.capacity, state["vectors"].shape[1]), np.float32)
            self.vectors[np.flatnonzero(self.has_vector)] = state["vectors"]

    def _grow(self) -> None:
        self.capacity *= 2
        self.shown = longer(self.shown, self.capacity)
        self.first_seen = longer(self.first_seen, self.capacity)
        self.has_vector = longer(self.has_vector, self.capacity)
        if self.vectors is not None:
            self.vectors = longer(self.vectors, self.capacity)


BLOCK = 2 * 1024 * 1024
"""Bytes that are copied together: a large page of memory."""


@compiled
def _set_mark(shown: NDArray[np.int64], slots: NDArray[np.int32], mark: int) -> None:
    for slot in slots:
        if shown[slot] >= 0:
            shown[slot] = mark


def longer(array: NDArray[Number], capacity: int) -> NDArray[Number]:
    """The array with its first axis extended by zeros; memory that was never touched costs nothing, then as before."""
    grown = np.zeros((capacity, *array.shape[1:]), array.dtype)
    rows = max(1, BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        block = array[start : start + rows]
        if block.view(np.uint8).any():  # to write zeros would claim memory for them
            grown[start : start + len(block)] = block
    return grown
