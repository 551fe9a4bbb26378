"""Exploration: a chance for new items, which nobody can like before somebody has seen them.

Thompson sampling (Chapelle and Li, "An empirical evaluation of Thompson sampling", 2011) over a normal belief:
the mean is the item's closeness to the user's taste, the spread shrinks with the touches it has had.
"""

from hashlib import blake2b

import numpy as np

from streams.core.catalogue import Catalogue
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Doubles, Request, Slots
from streams.core.memory.settings import ListSettings
from streams.core.memory.sizes import Sizes


class Exploration:
    """Draws from the newest items that few have touched; the same user and hour draw the same."""

    name = "exploration"

    def __init__(self, catalogue: Catalogue, sizes: Sizes) -> None:
        self._catalogue = catalogue
        self._sizes = sizes

    def draw(self, request: Request, user_id: str, count: int, how: ListSettings) -> Slots:
        """Up to `count` new items that the request may see, the most promising draw first."""
        known = len(self._catalogue)
        newest = slice(max(0, known - how.exploration_pool), known)
        shown, amounts = request.shown[newest], self._sizes.amounts[newest]
        open_to = np.flatnonzero((shown >= 0) & (shown != request.mark) & (amounts < how.exploration_enough))
        pool = (open_to + newest.start).astype(np.int32)
        seed = blake2b(f"{user_id} {int(request.at // 3600)}".encode(), digest_size=8).digest()
        noise = _noise(int.from_bytes(seed, "big") >> 1, pool)
        belief = how.exploration_spread * noise / np.sqrt(1 + amounts[open_to])
        if request.taste is not None and self._catalogue.vectors is not None:
            belief += (self._catalogue.vectors[newest] @ request.taste)[open_to]
        return np.take(pool, np.argsort(-belief, kind="stable")[:count])


@compiled
def _noise(seed: int, slots: Slots) -> Doubles:
    """A standard normal number for each item, the same whenever the seed and the item are.

    By mixing bits (SplitMix64: Steele et al., "Fast splittable pseudorandom number generators", 2014) and adding
    up 12 uniform numbers: to make a numpy generator takes longer than the whole draw.
    """
    result = np.empty(len(slots))
    for each in range(len(slots)):
        state = np.uint64(seed) ^ (np.uint64(slots[each]) * np.uint64(0xD1342543DE82EF95))
        total = np.float64(-6)
        for _ in range(12):
            state += np.uint64(0x9E3779B97F4A7C15)
            mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            total += ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * np.float64(2**-53)
        result[each] = total
    return result
