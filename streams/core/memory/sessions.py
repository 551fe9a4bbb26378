"""The latest items of the latest users, as the log of interactions tells them.

Shared memory learns from these sessions and not from the stored users, so that what it knows depends on the log alone:
workers that read the same log hold the same memory, whoever owns the user.
"""

from collections import OrderedDict

import numpy as np

from streams.core.history import Trail
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Doubles, Floats, Slots, State
from streams.core.vectors import Vector


class Sessions:
    """The last `length` items of each of the `users` users seen last, and the users' profiles.

    slots, times, weights  (users, length), oldest first    lengths  (users,) how many are in use
    steps                  (users,) how many items the session has had, those that made room included

    >>> sessions = Sessions(users=2, length=3)
    >>> row = sessions.open("ann")
    >>> sessions.add(row, slot=7, at=1.0, weight=1.0)
    >>> sessions.trail(row).slots.tolist(), sessions.open("ann") == row
    ([7], True)
    """

    def __init__(self, users: int, length: int) -> None:
        self.slots = np.zeros((users, length), np.int32)
        self.times = np.zeros((users, length))
        self.weights = np.zeros((users, length), np.float32)
        self.lengths = np.zeros(users, np.int32)
        self.steps = np.zeros(users, np.int32)
        self._profiles = np.zeros((users, 0), np.float32)  # wide enough once the first is told
        self._told = np.zeros(users, np.bool_)
        self._rows: OrderedDict[str, int] = OrderedDict()  # user -> row, the one seen longest ago first
        self._free: list[int] = []

    def open(self, user_id: str) -> int:
        """The user's row; a new user takes over the row of the one seen longest ago, once all are in use."""
        row = self._rows.get(user_id)
        if row is not None:
            self._rows.move_to_end(user_id)
            return row
        if self._free:
            row = self._free.pop()
        elif len(self._rows) < len(self.lengths):
            row = len(self._rows)
        else:
            row = self._rows.popitem(last=False)[1]
        self._rows[user_id] = row
        self._clear(row)
        return row

    def find(self, user_id: str) -> int:
        """The user's row, -1 where there is none."""
        return self._rows.get(user_id, -1)

    def trail(self, row: int) -> Trail:
        length = int(self.lengths[row])
        return Trail(self.slots[row, :length], self.times[row, :length], self.weights[row, :length])

    def profile(self, row: int) -> Vector | None:
        """(dim,) float32, as it was told; None where it was not."""
        return self._profiles[row] if self._told[row] else None

    def tell(self, row: int, profile: Vector) -> None:
        """The user of the session has this profile."""
        self._room(len(profile))[row] = profile
        self._told[row] = True

    def add(self, row: int, slot: int, at: float, weight: float) -> None:
        """Add an item where its time says; the oldest makes room."""
        _add(self.slots, self.times, self.weights, self.lengths, self.steps, row, slot, at, weight)

    def forget(self, user_id: str) -> int:
        """Erase the user's session; returns the row it had, -1 where there was none."""
        row = self._rows.pop(user_id, -1)
        if row >= 0:
            self.slots[row] = self.times[row] = self.weights[row] = 0
            self._clear(row)
            self._free.append(row)
        return row

    def users(self) -> list[str]:
        """The users of `state`, the one seen longest ago first."""
        return list(self._rows)

    def state(self) -> State:
        """Rows in the order of `users`."""
        rows = np.fromiter(self._rows.values(), np.int32, len(self._rows))
        lengths = self.lengths[rows]
        held = np.arange(self.slots.shape[1]) < lengths[:, None]
        return {
            "rows": rows,
            "free": np.array(self._free, np.int32),
            "lengths": lengths,
            "steps": self.steps[rows],
            "slots": self.slots[rows][held],
            "times": self.times[rows][held],
            "weights": self.weights[rows][held],
            "told": self._told[rows],
            "profiles": self._profiles[rows[self._told[rows]]],
        }

    def load(self, users: list[str], state: State) -> None:
        rows = state["rows"].astype(np.int32, copy=False)
        self._rows = OrderedDict(zip(users, rows.tolist(), strict=True))
        self._free = state["free"].tolist()
        self.lengths[rows], self.steps[rows] = state["lengths"], state["steps"]
        held = np.arange(self.slots.shape[1]) < self.lengths[rows, None]
        for array, name in ((self.slots, "slots"), (self.times, "times"), (self.weights, "weights")):
            packed = np.zeros(held.shape, array.dtype)
            packed[held] = state[name]
            array[rows] = packed
        self._told[rows] = state["told"]
        self._room(state["profiles"].shape[1])[rows[self._told[rows]]] = state["profiles"]

    def _clear(self, row: int) -> None:
        self.lengths[row] = self.steps[row] = 0
        self._profiles[row] = 0
        self._told[row] = False

    def _room(self, dim: int) -> Floats:
        if not self._profiles.shape[1]:
            self._profiles = np.zeros((len(self._told), dim), np.float32)
        return self._profiles


@compiled
def _add(
    slots: Slots,
    times: Doubles,
    weights: Floats,
    lengths: Slots,
    steps: Slots,
    row: int,
    slot: int,
    at: float,
    weight: float,
) -> None:
    steps[row] += 1
    place = lengths[row]
    while place > 0 and times[row, place - 1] > at:
        place -= 1
    if lengths[row] == slots.shape[1]:
        if place == 0:
            return
        place -= 1
        for step in range(place):
            slots[row, step], times[row, step] = slots[row, step + 1], times[row, step + 1]
            weights[row, step] = weights[row, step + 1]
    else:
        for step in range(lengths[row], place, -1):
            slots[row, step], times[row, step] = slots[row, step - 1], times[row, step - 1]
            weights[row, step] = weights[row, step - 1]
        lengths[row] += 1
    slots[row, place], times[row, place], weights[row, place] = slot, at, weight
