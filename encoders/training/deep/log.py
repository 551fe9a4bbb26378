"""What models learn from: items, people, and what they chose, in the order of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from encoders.training.movies import Movies

Places = NDArray[np.int64]
Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Log:
    """Touches in the order of time, and all that is said of items and users.

    item_ids   of all items
    texts      (items,) what there is to read about each; may be empty
    listed_at  (items,) seconds since the epoch: from when on it could be shown
    traits     (users,) JSON of what each user says of themselves; empty where unknown
    users      (touches,) int64, places in `traits`
    items      (touches,) int64, places in `item_ids`
    at         (touches,) float64, seconds since the epoch, ascending
    clicked    (touches,) bool: chosen, and not only seen
    files      modality -> (items,) the bytes of a file of each, or None; of those modalities that were asked for
    """

    item_ids: Sequence[str]
    texts: Sequence[str]
    listed_at: Times
    traits: Sequence[bytes]
    users: Places
    items: Places
    at: Times
    clicked: NDArray[np.bool_]
    files: Mapping[str, Sequence[bytes | None]] = field(default_factory=dict)

    def files_of(self, modality: str) -> Sequence[bytes | None]:
        """(items,) the bytes of a file of each item; None where it has none."""
        return self.files.get(modality, [None] * len(self.item_ids))

    def oldest(self, clicks: int) -> "Log":
        """Without what came after so many clicks; items and users stay."""
        end = int(np.flatnonzero(self.clicked)[:clicks][-1]) + 1
        return replace(
            self, users=self.users[:end], items=self.items[:end], at=self.at[:end], clicked=self.clicked[:end]
        )


@dataclass(frozen=True, slots=True)
class Window:
    """A time from `start` up to but not including `end`, seconds since the epoch."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Split:
    """Three windows, one after the other: to learn from, to choose by, to judge by."""

    train: Window
    validate: Window
    test: Window


def splits(log: Log, folds: int, *, share: float = 0.1) -> list[Split]:
    """Rolling origins (Tashman, 2000): every fold is judged on a later share of the clicks, and learns from all before.

    share  of the clicks in each window to judge by, and in each to choose by

    Windows meet between two times, so that nothing is learned from the very second that is judged.
    """
    times = log.at[log.clicked]

    def cut(part: float) -> float:
        return np.inf if part > 1 - 1e-9 else float(times[int(part * len(times))])

    made = []
    for fold in range(folds):
        end = 1 - share * (folds - 1 - fold)
        first, second, third = cut(end - 2 * share), cut(end - share), cut(end)
        made.append(Split(Window(-np.inf, first), Window(first, second), Window(second, third)))
    return made


def of_movies(data: Movies) -> Log:
    """Films; each is there from the first click on it, since nobody noted when it was listed."""
    listed_at = np.full(len(data.texts), np.inf)
    np.minimum.at(listed_at, data.items, data.at)
    known, users = np.unique(data.users, return_inverse=True)
    return Log(
        item_ids=data.item_ids,
        texts=data.texts,
        listed_at=listed_at,
        traits=[data.traits.get(user, b"") for user in known.tolist()],
        users=users,
        items=data.items,
        at=data.at,
        clicked=np.ones(len(data.items), np.bool_),
        files={"image": [poster.read_bytes() if poster else None for poster in data.posters]},
    )
