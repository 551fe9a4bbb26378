"""How much the meaning of words counts beside the words themselves.

The vector of a sentence is near a little to every sentence, so a loose likeness must count much less than a close one.
And where an item has the very words that were asked with, their meaning adds little but noise: plain words know best.
"""

import math
from collections.abc import Collection, Mapping

from streams.core.search.fusion import Ranking

GUESSED = 0.5
"""What it counts of a word that an item has not the word but what was probably meant by it."""


def rarity(having: int, items: int) -> float:
    """What a word counts that so many of the items have, above 0: the inverse document frequency of BM25.

    >>> rarity(1, 1000) > rarity(10, 1000) > rarity(1000, 1000) > 0
    True
    """
    return math.log(1 + (items - having + 0.5) / (having + 0.5))


def coverage(rarities: Mapping[str, float], meant: Mapping[str, str | None], has: Collection[str]) -> float:
    """The share of the words that an item has, 0 to 1, rare words counting more than frequent ones.

    rarities  word that was asked with -> what it counts, above 0
    meant     word -> what was probably meant by it: itself where it is known, None where nobody knows
    has       the words of the item

    >>> coverage({"red": 1.0, "aple": 3.0}, {"red": "red", "aple": "apple"}, {"red", "apple"})
    0.625
    """
    found = sum(
        counts * (1.0 if word in has else GUESSED if meant.get(word) in has else 0.0)
        for word, counts in rarities.items()
    )
    return found / sum(rarities.values()) if rarities else 0.0


def gated(ranking: Ranking, covered: float, sharpness: float, yielding: float) -> Ranking:
    """A ranking by the meaning of words, as strong as it is to count; the order stays.

    covered    the share of the words that the best item by words has
    sharpness  power of each cosine
    yielding   the share of the strength that is lost where the words are covered wholly

    >>> import numpy as np
    >>> near = Ranking(np.array([3, 4]), np.array([1.0, 0.5]))
    >>> gated(near, covered=1.0, sharpness=2.0, yielding=0.5).strengths.tolist()
    [0.5, 0.125]
    """
    return Ranking(ranking.slots, (1 - yielding * covered) * ranking.strengths.clip(0) ** sharpness)
