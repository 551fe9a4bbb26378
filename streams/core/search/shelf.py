"""The items that can be found: which number each has, and which of them pass the filters."""

from collections.abc import Collection, Iterator, Sequence
from heapq import nlargest

from msgspec import Struct

from streams.core.search.labels import Labels
from streams.core.search.question import Barred, nothing


class Kept(Struct, frozen=True):
    """What is remembered of an item.

    at     when it was uploaded, seconds since the epoch
    words  each once, spaces between: a set of them would take ten times as much
    """

    item_id: str
    title: str
    at: float
    labels: Labels
    words: str


class Shelf:
    """Item ids <-> slots 0, 1, 2, ...; a slot once given is never given to another item.

    >>> shelf = Shelf()
    >>> [shelf.put(Kept(name, "", 0.0, (f"tag={name}",), "")) for name in "ab"]
    [0, 1]
    >>> [slot for slot in (0, 1) if shelf.passes(slot, [{"tag=b", "tag=c"}], ())]
    [1]
    """

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._items: dict[int, Kept] = {}
        self._labelled: dict[str, set[int]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, slot: int) -> Kept:
        return self._items[slot]

    def put(self, item: Kept) -> int:
        """Add an item that is not there; its slot, the one it had before if it was there once."""
        slot = self._slots.setdefault(item.item_id, len(self._slots))
        self._items[slot] = item
        for label in item.labels:
            self._labelled.setdefault(label, set()).add(slot)
        return slot

    def remove(self, item_id: str) -> tuple[int, Kept] | None:
        """Take an item out; its slot and what was remembered, or None if it is not there."""
        slot = self._slots.get(item_id, -1)
        item = self._items.pop(slot, None)
        if item is None:
            return None
        for label in item.labels:
            self._labelled[label].discard(slot)
        return slot, item

    def passes(
        self,
        slot: int,
        required: Sequence[Collection[str]],
        hidden: Collection[str],
        barred: Barred = nothing,
    ) -> bool:
        """Whether an item is there, has one label of each set required, none that is hidden, and is not barred."""
        item = self._items.get(slot)
        if item is None or (hidden and any(label in hidden for label in item.labels)):
            return False
        if barred is not nothing and barred(item.item_id, item.labels):
            return False
        return all(any(label in allowed for label in item.labels) for allowed in required)

    def carried(self, labels: Collection[str]) -> frozenset[str]:
        """Those of the labels that any item has: what none has need not be looked for."""
        return frozenset(label for label in labels if self._labelled.get(label))

    def at_most(self, required: Sequence[Collection[str]]) -> int:
        """A number that those that pass do not exceed."""
        sizes = (sum(len(self._labelled.get(label, ())) for label in allowed) for allowed in required)
        return min(sizes, default=len(self))

    def passing(
        self, required: Sequence[Collection[str]], hidden: Collection[str], barred: Barred = nothing
    ) -> Iterator[int]:
        """The slots of those that pass."""
        candidates: Collection[int] = self._items
        if required:
            fewest = min(required, key=lambda allowed: self.at_most([allowed]))
            candidates = set().union(*(self._labelled.get(label, ()) for label in fewest))
        return (slot for slot in candidates if self.passes(slot, required, hidden, barred))

    def newest(
        self, count: int, required: Sequence[Collection[str]], hidden: Collection[str], barred: Barred = nothing
    ) -> list[int]:
        """The latest `count` slots of those that pass, the newest first."""
        return nlargest(count, self.passing(required, hidden, barred), key=lambda slot: (self._items[slot].at, slot))
