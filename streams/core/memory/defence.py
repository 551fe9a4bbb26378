"""How much a touch may teach everybody, so that neither one user nor a ring of new ones decides what all are shown.

What a touch counts for depends on the log alone, as all that is learned does: on what the user's session held before
it. A flood from one account is capped by repeats and by rate; a ring of accounts by what each has to touch before it
counts, so that an attack is as dear as the histories it needs (Lam and Riedl, "Shilling recommender systems for fun and
profit", 2004). The user's own taste and list are theirs: nothing is taken from these.
"""

import numpy as np

from streams.core.history import Trail
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Doubles, Slots
from streams.core.memory.settings import DAY, RecommenderSettings

MINUTE = 60.0


def counted(trail: Trail, steps: int, slot: int, at: float, settings: RecommenderSettings) -> float:
    """The share of its weight that a touch teaches everybody with, 0 to 1.

    trail  the user's session before the touch
    steps  touches that the session has had, those that made room included
    slot   of the item touched, at this time

    >>> trail = Trail(np.array([7, 7], np.int32), np.array([0.0, 1.0]), np.ones(2, np.float32))
    >>> strict = RecommenderSettings(repeats_counted=2, newcomers_wait=2)
    >>> counted(trail, 2, 7, 2.0, strict), counted(trail, 2, 7, 9e5, strict), counted(trail, 1, 8, 2.0, strict)
    (0.0, 1.0, 0.0)
    """
    if steps < settings.newcomers_wait:
        return 0.0
    if settings.repeats_counted and _repeats(trail.slots, trail.times, slot, at - DAY) >= settings.repeats_counted:
        return 0.0
    if settings.touches_a_minute:
        of_late = 1 + np.count_nonzero(trail.times > at - MINUTE)
        return float(min(1.0, settings.touches_a_minute / of_late))
    return 1.0


@compiled
def _repeats(slots: Slots, times: Doubles, slot: int, since: float) -> int:
    count = 0
    for place in range(len(slots)):
        count += slots[place] == slot and times[place] > since
    return count
