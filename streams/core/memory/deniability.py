"""Randomised response: what everybody learns of a touch may be made up, so that nobody can say which item it was.

k-ary randomised response (Kairouz, Bonawitz and Ramage, "Discrete distribution estimation under local privacy", ICML
2016) is epsilon-differentially private for the item of one touch, whatever is computed of it and however often. Noise
on the counts themselves would have to be drawn anew for every list that is made of them, and its epsilons add up.
"""

import math
from random import Random

import numpy as np

from streams.core.catalogue import HIDDEN, Catalogue


def truth(epsilon: float, items: int) -> float:
    """The share of touches that are told as they were, of a catalogue of so many items.

    >>> [round(truth(epsilon, 1_682), 2) for epsilon in (5.0, 8.0, 12.0)]
    [0.08, 0.64, 0.99]
    """
    return 1.0 / (1.0 + (items - 1) * math.exp(-epsilon)) if items else 1.0


class Deniability:
    """Says what is told of touches.

    epsilon  for each touch: no item is told more than exp(epsilon) times as likely after one touch than after another
    random   where chance comes from; who knows its state can tell what was made up

    >>> catalogue = Catalogue(capacity=8)
    >>> for item_id in ("a", "b", "c"):
    ...     _ = catalogue.put(item_id, None, 0.0)
    >>> frank, shy = Deniability(50.0, Random(1)), Deniability(0.01, Random(1))
    >>> [frank.told("a", catalogue) for _ in range(6)], [shy.told("a", catalogue) for _ in range(6)]
    (['a', 'a', 'a', 'a', 'a', 'a'], ['a', 'b', 'a', 'c', 'c', 'b'])
    """

    def __init__(self, epsilon: float, random: Random) -> None:
        self._epsilon = epsilon
        self._random = random

    def told(self, item_id: str, catalogue: Catalogue) -> str:
        """The item, or any other that may be listed; nothing that the catalogue does not know is ever told."""
        listed = np.flatnonzero(catalogue.shown[: len(catalogue)] != HIDDEN)
        slot = catalogue.slot(item_id)
        others = listed[listed != slot]
        if not len(others):
            return item_id
        known = len(others) < len(listed)
        if known and self._random.random() < truth(self._epsilon, len(listed)):
            return item_id
        return catalogue.ids[int(others[self._random.randrange(len(others))])]
