"""How good lists are, measured prequentially: each list is judged by the very next thing its user chose.

Gama, Sebastião and Rodrigues, "On evaluating stream learning algorithms", Machine Learning 90, 2013; for
recommendation, Vinagre, Jorge and Gama, "Evaluation of recommender systems in streaming environments", 2014.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

K = 10


class Quality(Struct, frozen=True):
    """Means over a window of events.

    recall    share of events whose item was in the list (one item is relevant: equal to the hit rate)
    ndcg      1 / log2(1 + rank) of the item, 0 where it was not in the list
    mrr       1 / rank of the item, likewise
    coverage  share of the catalogue that was in any list
    """

    events: int
    recall: float
    ndcg: float
    mrr: float
    coverage: float


def ranks(lists: Sequence[Sequence[str]], chosen: Sequence[str], k: int = K) -> NDArray[np.int32]:
    """(n,) the place, 1 to k, of each chosen item in its list; 0 where it is not there.

    >>> ranks([["a", "b"], ["a", "b"]], ["b", "c"]).tolist()
    [2, 0]
    """
    places = [list_[:k].index(item) + 1 if item in list_[:k] else 0 for list_, item in zip(lists, chosen, strict=True)]
    return np.array(places, np.int32)


def quality(lists: Sequence[Sequence[str]], chosen: Sequence[str], catalogue: int, k: int = K) -> Quality:
    """Judge the first k of each list by the item chosen next.

    catalogue  items that could have been recommended
    """
    places = ranks(lists, chosen, k)
    hit = places > 0
    safe = np.where(hit, places, 1)
    shown = {item for list_ in lists for item in list_[:k]}
    return Quality(
        events=len(lists),
        recall=float(hit.mean()),
        ndcg=float(np.where(hit, 1 / np.log2(1 + safe), 0).mean()),
        mrr=float(np.where(hit, 1 / safe, 0).mean()),
        coverage=len(shown) / catalogue,
    )
