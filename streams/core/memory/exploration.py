"""Exploration: a chance for new items, which nobody can like before somebody has seen them.

Thompson sampling (Chapelle and Li, "An empirical evaluation of Thompson sampling", 2011) over a normal belief:
the mean is the item's closeness to the user's taste, the spread shrinks with the touches it has had.
"""

from hashlib import blake2b

import numpy as np

from streams.core.catalogue import Catalogue
from streams.core.memory.expert import Request, Slots
from streams.core.memory.sizes import Sizes


class Exploration:
    """Draws from the newest items that few have touched; the same user and hour draw the same.

    share    of a list that is given to new items, at its end, rounded down; 0 turns exploration off
    pool     how many of the newest items are considered
    enough   an item with this many touches is no longer new
    spread   of the belief about an item without touches, in units of cosine
    """

    name = "exploration"

    def __init__(
        self, catalogue: Catalogue, sizes: Sizes, *, share: float, pool: int, enough: float, spread: float
    ) -> None:
        self._catalogue = catalogue
        self._sizes = sizes
        self._share = share
        self._pool = pool
        self._enough = enough
        self._spread = spread

    def places(self, length: int) -> int:
        """How many places of a list are for new items."""
        return int(length * self._share)

    def draw(self, request: Request, user_id: str, count: int) -> Slots:
        """Up to `count` new items that the request may see, the most promising draw first."""
        known = len(self._catalogue)
        pool = np.arange(max(0, known - self._pool), known, dtype=np.int32)
        touches = self._sizes.amounts[pool]
        shown = request.shown[pool]
        pool = pool[(shown >= 0) & (shown != request.mark) & (touches < self._enough)]
        seed = blake2b(f"{user_id} {int(request.at // 3600)}".encode(), digest_size=8).digest()
        noise = np.random.default_rng(int.from_bytes(seed, "big")).standard_normal(len(pool))
        belief = self._spread * noise / np.sqrt(1 + self._sizes.amounts[pool])
        if request.taste is not None and self._catalogue.vectors is not None:
            belief = belief + self._catalogue.vectors[pool] @ request.taste
        return np.take(pool, np.argsort(-belief, kind="stable")[:count])
