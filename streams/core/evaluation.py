"""How good lists are, measured prequentially: each list is judged by the very next thing its user chose.

Gama, Sebastião and Rodrigues, "On evaluating stream learning algorithms", Machine Learning 90, 2013; for
recommendation, Vinagre, Jorge and Gama, "Evaluation of recommender systems in streaming environments", 2014.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Ranks = NDArray[np.int32]
Numbers = NDArray[np.int32]

K = 10
EMPTY = -1
"""In `Judged.shown`: a place of a list that held no item."""


class Quality(Struct, frozen=True):
    """Means over a window of events; only the item that was chosen next is relevant.

    recall     share of events whose item was in the list: equal to the hit rate
    precision  share of the places of a list that held the item
    ndcg       1 / log2(1 + rank) of the item, 0 where it was not in the list
    mrr        1 / rank of the item, likewise
    coverage   share of the catalogue that was in any list
    novelty    self-information of the items in the lists, in bits; see `judge`
    gini       of how often each item of the catalogue was shown: 0 all alike, 1 always the same one
    """

    events: int
    recall: float
    precision: float
    ndcg: float
    mrr: float
    coverage: float
    novelty: float
    gini: float


class Judged(Struct, frozen=True):
    """Lists beside what was chosen; row n is event n.

    ranks      (n,) int32: place of the chosen item in the list, 1 to k; 0 where it was not there
    shown      (n, k) int32: the list as numbers of items, EMPTY where it was shorter
    surprise   (n,) float64: mean self-information of the items in the list, bits; 0 for an empty list
    users      (n,) int32: numbers of users
    history    (n,) int32: how many events the user had before
    catalogue  items that could have been recommended
    """

    ranks: Ranks
    shown: Numbers
    surprise: NDArray[np.float64]
    users: Numbers
    history: Numbers
    catalogue: int


def windows(count: int) -> dict[str, slice]:
    """The windows that are reported, by name. Settings may be chosen by the first 40% alone.

    >>> windows(1001)["last 50%"]
    slice(500, 1001, None)
    """
    return {"all": slice(0, count), "first 40%": slice(0, int(0.4 * count)), "last 50%": slice(count // 2, count)}


def ranks(lists: Sequence[Sequence[str]], chosen: Sequence[str], k: int = K) -> Ranks:
    """(n,) the place, 1 to k, of each chosen item in its list; 0 where it is not there.

    >>> ranks([["a", "b"], ["a", "b"]], ["b", "c"]).tolist()
    [2, 0]
    """
    places = [list_[:k].index(item) + 1 if item in list_[:k] else 0 for list_, item in zip(lists, chosen, strict=True)]
    return np.array(places, np.int32)


def judge(
    lists: Sequence[Sequence[str]], users: Sequence[str], chosen: Sequence[str], items: Sequence[str], k: int = K
) -> Judged:
    """Judge the first k of each list by the item that its user chose next.

    items  the whole catalogue

    An item that n of the N events so far were about has a self-information of -log2((n + 1) / (N + items)): the
    rarer what a list shows, the more novel it is (Vargas and Castells, "Rank and relevance in novelty and diversity
    metrics", RecSys 2011). Raises KeyError for an item that the catalogue does not have.
    """
    number = {item: place for place, item in enumerate(items)}
    shown = np.full((len(lists), k), EMPTY, np.int32)
    surprise = np.zeros(len(lists))
    history = np.zeros(len(lists), np.int32)
    met: dict[str, int] = {}
    names: dict[str, int] = {}
    popularity = np.ones(len(items))
    for n, (list_, user, item) in enumerate(zip(lists, users, chosen, strict=True)):
        numbers = [number[each] for each in list_[:k]]
        shown[n, : len(numbers)] = numbers
        if numbers:
            surprise[n] = np.log2(n + len(items)) - np.log2(popularity[numbers]).mean()
        popularity[number[item]] += 1
        names.setdefault(user, len(names))
        history[n] = met.get(user, 0)
        met[user] = history[n] + 1
    who = np.array([names[user] for user in users], np.int32)
    return Judged(ranks(lists, chosen, k), shown, surprise, who, history, len(items))


def gains(ranks: Ranks) -> NDArray[np.float64]:
    """(n,) float64: the NDCG of each event, 1 / log2(1 + rank), and 0 for a miss."""
    return np.where(ranks > 0, 1 / np.log2(1 + np.maximum(ranks, 1)), 0.0)


def reciprocals(ranks: Ranks) -> NDArray[np.float64]:
    """(n,) float64: 1 / rank of each event, and 0 for a miss.

    >>> reciprocals(np.array([2, 0])).tolist()
    [0.5, 0.0]
    """
    return np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0.0)


def quality(judged: Judged, window: slice | NDArray[np.bool_] = slice(None)) -> Quality:
    """Means over a window: a slice of the events, or a mask of them. An empty window is 0 in all."""
    ranks, shown = judged.ranks[window], judged.shown[window]
    if not len(ranks):
        return Quality(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    hit = ranks > 0
    exposure = np.bincount(shown[shown != EMPTY], minlength=judged.catalogue)
    return Quality(
        events=len(ranks),
        recall=float(hit.mean()),
        precision=float(hit.mean()) / shown.shape[1],
        ndcg=float(gains(ranks).mean()),
        mrr=float(reciprocals(ranks).mean()),
        coverage=float((exposure > 0).mean()),
        novelty=float(judged.surprise[window].mean()),
        gini=gini(exposure),
    )


def gini(exposure: NDArray[np.int64]) -> float:
    """Gini coefficient of counts, 0 where there are none.

    >>> gini(np.array([5, 5, 5, 5])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    total, count = exposure.sum(), len(exposure)
    if not total:
        return 0.0
    steps = 2 * np.arange(1, count + 1) - count - 1
    return float(steps @ np.sort(exposure) / (count * total))
