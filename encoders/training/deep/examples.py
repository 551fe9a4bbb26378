"""Clicks with what was known just before them: the user's history, and items they could have chosen instead."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.contract import HISTORY_LENGTH as HISTORY
from encoders.training.deep.log import Log, Places, Times, Window

__all__ = ["HISTORY", "NOBODY", "Examples", "Known", "examples"]

NOBODY = -1
DRAWS = 50
"""Times that a negative is drawn anew where the user had touched the item; then it stays."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What happened in a window.

    users      (n,) int64
    histories  (n, HISTORY) int64: places of the items clicked before, the latest last; NOBODY where there were fewer
    items      (n,) int64
    at         (n,) float64, seconds since the epoch
    clicked    (n,) bool
    """

    users: Places
    histories: Places
    items: Places
    at: Times
    clicked: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.items)

    def some(self, rows: Places | NDArray[np.bool_]) -> "Examples":
        """Only these rows."""
        return Examples(self.users[rows], self.histories[rows], self.items[rows], self.at[rows], self.clicked[rows])


def examples(log: Log, window: Window, *, views: bool = False) -> Examples:
    """The clicks in a window on items not clicked before by the same user; with `views` what was only seen, too.

    A history may reach back before the window, and never past its click.
    """
    begin, end = np.searchsorted(log.at, [window.start, window.end])
    past: dict[int, list[int]] = {}
    rows, histories = [], []
    everything = zip(log.users[:end].tolist(), log.items[:end].tolist(), log.clicked[:end].tolist(), strict=True)
    for row, (user, item, clicked) in enumerate(everything):
        before = past.setdefault(user, [])
        if row >= begin and (clicked or views) and item not in before:
            recent = before[-HISTORY:]
            rows.append(row)
            histories.append([NOBODY] * (HISTORY - len(recent)) + recent)
        if clicked:
            before.append(item)
    chosen = np.array(rows, np.int64)
    found = np.array(histories, np.int64).reshape(-1, HISTORY)
    return Examples(log.users[chosen], found, log.items[chosen], log.at[chosen], log.clicked[chosen])


class Known:
    """What was known at a time: which items there were, and which of them a user had touched."""

    def __init__(self, log: Log) -> None:
        self._order = np.argsort(log.listed_at, kind="stable")
        self._listed_at = log.listed_at[self._order]
        self._items = len(log.item_ids)
        # The first touch of each pair of user and item; the log is in the order of time.
        self._pairs, first = np.unique(log.users * self._items + log.items, return_index=True)
        self._since = log.at[first]

    def listed(self, at: Times) -> Places:
        """(n,) how many items there were at each time."""
        return np.searchsorted(self._listed_at, at, side="right")

    def available(self, user: int, at: float) -> NDArray[np.bool_]:
        """(items,) which the user could choose, and had not touched before."""
        free = np.zeros(self._items, np.bool_)
        free[self._order[: int(self.listed(np.array([at]))[0])]] = True
        first, last = np.searchsorted(self._pairs, [user * self._items, (user + 1) * self._items])
        mine = slice(first, last)
        free[self._pairs[mine][self._since[mine] < at] - user * self._items] = False
        return free

    def touched(self, users: Places, items: Places, at: Times) -> NDArray[np.bool_]:
        """Whether each user had touched each item by then; what comes later is not looked at."""
        wanted = users * self._items + items
        place = np.minimum(np.searchsorted(self._pairs, wanted), len(self._pairs) - 1)
        had: NDArray[np.bool_] = (self._pairs[place] == wanted) & (self._since[place] <= at)
        return had

    def negatives(self, users: Places, at: Times, count: int, generator: np.random.Generator) -> Places:
        """(n, count) items drawn evenly among those that there were and that the user had not touched by then."""
        listed = np.repeat(self.listed(at)[:, None], count, axis=1)
        who, when = (np.repeat(each[:, None], count, axis=1) for each in (users, at))
        drawn = self._order[(generator.random(listed.shape) * listed).astype(np.int64)]
        for _ in range(DRAWS):
            again = self.touched(who, drawn, when)
            if not again.any():
                break
            drawn[again] = self._order[(generator.random(int(again.sum())) * listed[again]).astype(np.int64)]
        return drawn
