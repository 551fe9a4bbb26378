"""Lists that are not ten times the same: items apart from each other, in the user's own proportions, and shown to some
limit.

Greedy re-ranking of the best candidates, by one sum: how relevant an item is, less how like it is to what stands above
it (MMR: Carbonell and Goldstein, "The use of MMR, diversity-based reranking", 1998), less how far the list's mix of
attributes would be from that of the user's past (Steck, "Calibrated recommendations", 2018).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from streams.core.catalogue import Catalogue
from streams.core.history import Trail
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Floats, Slots
from streams.core.memory.settings import ListSettings
from streams.core.search.labels import labels

POOL = 100
"""Candidates that are looked at, the best."""

SMOOTHING = 0.01
"""Of the user's mix that is added to a list's, so that what it lacks is a finite distance away (Steck, eq. 5)."""

MOST = 64
"""Values of an attribute that a mix is made of, those that the user touched most."""

BEGINNING = 20
"""Lists whose places the first limit is of: a share of nothing would be nothing."""

SHOWN = 20
"""Values of an attribute whose exposure is told."""

HALF_LIFE = 500.0
"""Lists after which what was shown counts half against the limits of exposure."""


def reordered(catalogue: Catalogue, trail: Trail, slots: Slots, scores: Floats, k: int, how: ListSettings) -> list[int]:
    """The items in the order in which they are to be shown: the first k picked one by one, the others as they were.

    slots, scores  (n,) the candidates, the best first
    """
    pool = slots[:POOL]
    best, worst = float(scores[0]), float(scores[len(pool) - 1])
    relevance = (scores[: len(pool)] - worst) / np.float32(max(best - worst, 1e-6))
    if how.diversity and catalogue.vectors is not None:
        vectors = catalogue.vectors[pool]
    else:
        vectors = np.zeros((len(pool), 0), np.float32)
    mix, members = np.zeros(0, np.float32), np.zeros((len(pool), 0), np.float32)
    if how.calibration:
        mix, members = _mixes(catalogue, trail, pool, how.calibration_per)
    strength = how.calibration if len(mix) else 0.0
    picked = _greedy(relevance, vectors, mix, members, how.diversity, strength, min(k, len(pool)))
    left = np.ones(len(slots), np.bool_)
    left[picked] = False
    return [*slots[picked].tolist(), *slots[left].tolist()]


def distance(mix: Floats, other: Floats) -> float:
    """How far another mix is from a user's: Kullback and Leibler's divergence, 0 where they are the same.

    >>> user, list_ = np.array([0.5, 0.5], np.float32), np.array([1, 0], np.float32)
    >>> distance(user, user), round(distance(user, list_), 3)
    (0.0, 1.959)
    """
    known = mix > 0
    smoothed = (1 - SMOOTHING) * other[known] + SMOOTHING * mix[known]
    return float((mix[known] * np.log(mix[known] / smoothed)).sum())


def shares(items: Sequence[Sequence[str]], weights: Sequence[float]) -> dict[str, float]:
    """The mix of some items' attributes; each item counts once, however many it has. Sums to 1, or is empty.

    >>> shares([["war", "drama"], ["war"], []], [1.0, 1.0, 1.0])
    {'war': 0.75, 'drama': 0.25}
    """
    mix: dict[str, float] = {}
    for own, weight in zip(items, weights, strict=True):
        for each in own:
            mix[each] = mix.get(each, 0.0) + weight / len(own)
    total = sum(mix.values())
    return {each: share / total for each, share in mix.items()} if total else {}


def values(catalogue: Catalogue, slot: int, attribute: str) -> list[str]:
    """The values of an item's attribute."""
    return [each for each in labels(catalogue.attributes[slot], "", ()) if each.startswith(f"{attribute}=")]


class Exposure:
    """How much each item, or each value of an attribute, was shown of late, so that no one fills all lists.

    attribute  '' counts items
    limit      the share of all places, of late, above which it waits behind the others
    """

    def __init__(self, catalogue: Catalogue, *, attribute: str, limit: float) -> None:
        self._catalogue = catalogue
        self._attribute = attribute
        self._limit = limit
        self._counts: dict[str | int, float] = {}
        self._places = 0.0
        self._now = 1.0  # what a place counts now; grows, so that nothing has to fade

    def over(self, slots: Slots, k: int) -> NDArray[np.bool_]:
        """(n,) which of the items are above the limit.

        k  places of a list
        """
        most = self._limit * max(self._places, BEGINNING * k * self._now)
        return np.array(
            [any(self._counts.get(key, 0.0) > most for key in self._keys(slot)) for slot in slots.tolist()], np.bool_
        )

    def show(self, slots: Sequence[int]) -> None:
        """A list is shown."""
        self._places += len(slots) * self._now
        for slot in slots:
            for key in self._keys(slot):
                self._counts[key] = self._counts.get(key, 0.0) + self._now
        self._now *= 2 ** (1 / HALF_LIFE)
        if self._now > 1e9:
            self._counts = {key: count / self._now for key, count in self._counts.items() if count > 1.0}
            self._places, self._now = self._places / self._now, 1.0

    def _keys(self, slot: int) -> Sequence[str | int]:
        return values(self._catalogue, slot, self._attribute) if self._attribute else [slot]


def _mixes(catalogue: Catalogue, trail: Trail, pool: Slots, attribute: str) -> tuple[Floats, Floats]:
    """The user's mix (a,), and what each of the pool adds to a list's (n, a)."""
    past = [values(catalogue, slot, attribute) for slot in trail.slots.tolist()]
    wanted = shares(past, trail.weights.tolist())
    most = sorted(wanted, key=lambda each: (-wanted[each], each))[:MOST]
    column = {each: place for place, each in enumerate(most)}
    members = np.zeros((len(pool), len(most)), np.float32)
    for row, slot in enumerate(pool.tolist()):
        own = values(catalogue, slot, attribute)
        for each in own:
            if each in column:
                members[row, column[each]] = 1 / len(own)
    return np.array([wanted[each] for each in most], np.float32), members


@compiled
def _greedy(
    relevance: Floats, vectors: Floats, mix: Floats, members: Floats, diversity: float, calibration: float, k: int
) -> Slots:
    """The rows of the k items, in the order they are picked."""
    count, dim = vectors.shape
    nearest = np.zeros(count, np.float32)  # cosine to the nearest of those picked, at least 0
    held = np.zeros(len(mix), np.float32)
    left = np.ones(count, np.bool_)
    picked = np.empty(k, np.int32)
    for place in range(k):
        best, most = -1, -np.inf
        for row in range(count):
            if left[row]:
                worth = (1 - diversity) * relevance[row] - diversity * nearest[row]
                if calibration > 0:
                    away = 0.0
                    for each in range(len(mix)):
                        share = (held[each] + members[row, each]) / (place + 1)
                        away += mix[each] * math.log(mix[each] / ((1 - SMOOTHING) * share + SMOOTHING * mix[each]))
                    worth = (1 - calibration) * worth - calibration * away
                if worth > most:
                    best, most = row, worth
        picked[place] = best
        left[best] = False
        for each in range(len(mix)):
            held[each] += members[best, each]
        for row in range(count):
            if left[row] and dim > 0:
                cosine = np.float32(0)
                for each in range(dim):
                    cosine += vectors[row, each] * vectors[best, each]
                nearest[row] = max(nearest[row], cosine)
    return picked


def intra_list_diversity(vectors: Floats) -> float:
    """How far apart a list's items are: the mean of 1 - cosine over pairs; 0 for fewer than two.

    vectors  (n, dim) float32, unit length

    >>> intra_list_diversity(np.eye(3, dtype=np.float32)), intra_list_diversity(np.ones((2, 1), np.float32))
    (1.0, 0.0)
    """
    count = len(vectors)
    if count < 2:
        return 0.0
    total = vectors.sum(axis=0)
    return 1 - (float(total @ total) - count) / (count * (count - 1))


def mean_diversity(catalogue: Catalogue, lists: Sequence[Sequence[str]]) -> float:
    """The mean diversity within lists of item ids; items without a vector are left out."""
    if catalogue.vectors is None or not lists:
        return 0.0
    vectors, has_vector = catalogue.vectors, catalogue.has_vector
    slots = [[slot for each in list_ if (slot := catalogue.slot(each)) >= 0 and has_vector[slot]] for list_ in lists]
    return float(np.mean([intra_list_diversity(vectors[each]) for each in slots]))


def exposure_shares(catalogue: Catalogue, places: Mapping[str, int], attribute: str) -> dict[str, float]:
    """`attribute=value` -> the share of places whose item has it, of those shown most; none without an attribute.

    places  item -> places that it had
    """
    shown: Counter[str] = Counter()
    for item_id, count in places.items() if attribute else ():
        if count and (slot := catalogue.slot(item_id)) >= 0:
            shown.update(dict.fromkeys(values(catalogue, slot, attribute), count))
    total = sum(places.values())
    return {value: count / total for value, count in shown.most_common(SHOWN)}
