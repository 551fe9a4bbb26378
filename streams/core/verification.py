"""Whether a stored user is what their events make: compared with a replay of the log.

The replay is the plain definition of what the stream promises, with nothing of how the stream keeps it: no batches, no
order, no versions; a set of events, each once.
"""

import math
from collections import Counter
from collections.abc import Container, Iterator, Mapping

import numpy as np
from msgspec import Struct, field

from streams.core.taste import Taste, Touched, touch
from streams.core.user import ItemVectors, Touch, UserState
from streams.core.vectors import Vector

MASS_TOLERANCE = 1e-6  # relative: masses are float64
VECTOR_TOLERANCE = 1e-4  # of the mass: totals are float32 sums, and each order of summing rounds otherwise


class Said(Struct, frozen=True):
    """What a user said of themselves, and when: event time, seconds since the epoch."""

    at: float
    traits: bytes


class Replayed(Struct):
    """What the log says of one user: each event once, in the order of the log.

    touches   event id -> the item it touched
    profiles  event id -> what was said
    """

    touches: dict[str, Touch] = field(default_factory=dict)
    profiles: dict[str, Said] = field(default_factory=dict)

    def touch(self, event_id: str, touched: Touch) -> None:
        if event_id not in self.profiles:
            self.touches.setdefault(event_id, touched)

    def say(self, event_id: str, said: Said) -> None:
        if event_id not in self.touches:
            self.profiles.setdefault(event_id, said)

    @property
    def event_ids(self) -> set[str]:
        return self.touches.keys() | self.profiles.keys()

    @property
    def profile(self) -> Said | None:
        """The one that counts: the latest, and of equally late ones the last in the log."""
        latest = None
        for said in self.profiles.values():
            if latest is None or said.at >= latest.at:
                latest = said
        return latest


class Log(Struct, frozen=True):
    """What holds for all users of a log.

    vectors       item id -> modality -> (dim,) float32
    changed       items that were uploaded more than once: which vectors a touch met, the log does not tell
    is_complete   it goes back to the first event; if not, what is stored beyond it is no fault, and vectors are not
                  compared
    half_life     of the taste, seconds
    dedup_window  event ids remembered for each user
    remembered    seconds before the latest touch for which a history goes back
    """

    vectors: ItemVectors
    changed: Container[str]
    is_complete: bool
    half_life: float
    dedup_window: int
    remembered: float = math.inf


class Difference(Struct, frozen=True):
    """Where a stored user is not what their events make.

    lost     events of which the user knows nothing
    doubled  times that an event counted once more
    unknown  touches that no event explains
    others   what else is wrong, in words
    """

    user_id: str
    lost: int = 0
    doubled: int = 0
    unknown: int = 0
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = {"lost": self.lost, "doubled": self.doubled, "unknown": self.unknown}
        return "; ".join([f"{count} {name}" for name, count in counts.items() if count] + list(self.others))


def compare(
    user_id: str, replayed: Replayed, stored: UserState | None, log: Log, versions_end: int | None = None
) -> Difference | None:
    """How the stored user differs from the replayed one; None if they are alike.

    stored        None if the store has no such user
    versions_end  what every version is below, see `core.ownership`
    """
    if stored is None:
        return Difference(user_id, lost=len(replayed.event_ids))
    lost, doubled, unknown = _history(replayed, stored, log)
    others = [*_event_ids(replayed, stored, log), *_profile(replayed, stored, log)]
    if not (lost or doubled or unknown):
        others += _taste(replayed, stored, log)
    if stored.version <= 0 or (versions_end is not None and stored.version >= versions_end):
        others.append(f"version {stored.version} is none that the owners of its partition gave")
    if lost or doubled or unknown or others:
        return Difference(user_id, lost, doubled, unknown, tuple(others))
    return None


def _history(replayed: Replayed, stored: UserState, log: Log) -> tuple[int, int, int]:
    """Lost, doubled and unknown touches, as far back as a history goes."""
    history = stored.history
    expected = Counter((touched.item_id, touched.at) for touched in replayed.touches.values())
    found = Counter(zip(history.item_ids, history.times, strict=True))
    horizon = -np.inf
    if len(history) >= history.max_items:
        horizon = history.times[0]
    if len(replayed.touches) > history.max_items:
        times = sorted(touched.at for touched in replayed.touches.values())
        horizon = max(horizon, times[-history.max_items - 1])
    if replayed.touches and log.remembered < math.inf:
        horizon = max(horizon, max(touched.at for touched in replayed.touches.values()) - log.remembered)
    missing, surplus = (expected - found), (found - expected)
    return (
        sum(count for (_, at), count in missing.items() if at > horizon),
        sum(count for key, count in surplus.items() if key in expected),
        sum(count for key, count in surplus.items() if key not in expected and key[1] > horizon and log.is_complete),
    )


def _event_ids(replayed: Replayed, stored: UserState, log: Log) -> Iterator[str]:
    expected = min(len(replayed.event_ids), log.dedup_window)
    known = sum(event_id in stored.recent_events for event_id in replayed.event_ids)
    if known < expected:
        yield f"remembers {known} of its last {expected} event ids"
    if log.is_complete and len(stored.recent_events) > known:
        yield f"remembers {len(stored.recent_events) - known} event ids that are not in the log"


def _profile(replayed: Replayed, stored: UserState, log: Log) -> Iterator[str]:
    said = replayed.profile
    if said is None:
        if stored.traits and log.is_complete:
            yield "has a profile that is not in the log"
    elif (stored.profile_at, stored.traits) != (said.at, said.traits) and (
        log.is_complete or said.at > stored.profile_at
    ):
        yield f"has the profile of {stored.profile_at:.3f}, where the latest is of {said.at:.3f}"


def _taste(replayed: Replayed, stored: UserState, log: Log) -> Iterator[str]:
    """The taste must be the sum over all touches but those that still wait for their item."""
    waiting = Counter(stored.waiting)
    settled = Counter(replayed.touches.values()) - waiting
    if surplus := (waiting - Counter(replayed.touches.values())).total() if log.is_complete else 0:
        yield f"{surplus} touches wait that are not in the log"
        return
    if not log.is_complete or len(stored.waiting) >= UserState.MAX_WAITING:
        return
    if any(touched.item_id in log.changed for touched in settled):
        return
    items = {touched.item_id: log.vectors(touched.item_id) for touched in settled}
    if absent := sorted(item_id for item_id, item in items.items() if item is None):
        yield f"a touch of {absent[0]!r}, an item that was never uploaded, no longer waits"
        return
    met = [Touched(items[each.item_id] or {}, each.weight, each.at) for each in settled.elements()]
    yield from _deviations(touch(Taste(), met, log.half_life), stored.taste)


def _deviations(expected: Taste, found: Taste) -> Iterator[str]:
    if expected.as_of != found.as_of:
        yield f"the taste is of {found.as_of:.3f}, where the latest event is of {expected.as_of:.3f}"
        return
    for name in sorted(expected.masses.keys() | found.masses.keys()):
        mass, stored_mass = expected.masses.get(name, (0.0, 0.0))[0], found.masses.get(name, (0.0, 0.0))[0]
        if abs(mass - stored_mass) > MASS_TOLERANCE * max(mass, stored_mass):
            yield f"the taste in {name} weighs {stored_mass:.6g}, where its events make {mass:.6g}"
        elif (off := _distance(expected.totals, found.totals, name)) > VECTOR_TOLERANCE * mass:
            yield f"the taste in {name} is {off:.2g} off, of {mass:.6g}"


def _distance(one: Mapping[str, Vector], other: Mapping[str, Vector], name: str) -> float:
    return float(np.linalg.norm(one.get(name, np.float32(0)) - other.get(name, np.float32(0))))
