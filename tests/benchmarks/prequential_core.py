"""Quality and cost of the recommender alone, test-then-learn over MovieLens-100k.

    ML100K=.../ml-100k.inter python -m tests.benchmarks.prequential_core [held] [NAME=VALUE ...]

ML100K comes from the wheel of recbole 1.2.1. Each NAME=VALUE changes one of `RecommenderSettings`. Before
event n is learned, the list for its user is scored against it: nothing is trained ahead, first events
count. Ratings of 4 and 5 are clicks; order by time, then line. With `held`, the list is the one made right
after the user's event before, as a stream holds it that refreshes only users who act; a user's first list is
made when it is asked for.
"""

import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.core.history import History
from streams.core.recommender import Interaction, Recommender, RecommenderSettings, Scored, UserView

LENGTH = 10
TUNED_ON = 0.4
"""Settings may be chosen by the first 40% alone."""


class Event(NamedTuple):
    user: str
    item: str
    at: float


class Outcome(NamedTuple):
    """ranks  (n,) int: 1 + place of the item in the list, 0 where it was not there
    lists    (n, LENGTH) int: item numbers
    seconds  (n,) of the processor, for learning and listing together
    """

    ranks: NDArray[np.int64]
    lists: NDArray[np.int64]
    seconds: NDArray[np.float64]


def read_events(path: Path) -> tuple[list[Event], list[str]]:
    """(clicks in order, the whole catalogue: what nobody liked is in it too)."""
    with path.open() as lines:
        rows = [line.split("\t") for line in list(lines)[1:]]
    clicks = [Event(user, item, float(at)) for user, item, rating, at in rows if float(rating) >= 4]
    items = sorted({item for _, item, _, _ in rows}, key=int)
    return sorted(clicks, key=lambda event: event.at), items


def replay(events: list[Event], catalogue: list[str], settings: RecommenderSettings, held: bool = False) -> Outcome:
    """Ask, compare, learn, event by event."""
    recommender = Recommender(settings)
    number = {item: place for place, item in enumerate(catalogue)}
    for place in np.random.default_rng(7).permutation(len(catalogue)):
        recommender.put_item(catalogue[place], None, events[0].at)
    users = {event.user: UserView(event.user, History()) for event in events}
    lists_held: dict[str, list[Scored]] = {}
    ranks = np.zeros(len(events), np.int64)
    lists = np.zeros((len(events), LENGTH), np.int64)
    seconds = np.zeros(len(events))
    for n, event in enumerate(events):
        user = users[event.user]
        started = time.thread_time()
        listed = lists_held.pop(event.user, None) or recommender.recommend(user, event.at, LENGTH)
        recommender.learn(user, Interaction(str(n), event.user, event.item, event.at, 1.0))
        user.history.add(event.item, event.at, 1.0)
        if held:
            lists_held[event.user] = recommender.recommend(user, event.at, LENGTH)
        seconds[n] = time.thread_time() - started
        ids = [each.item_id for each in listed]
        lists[n] = [number[item] for item in ids]
        ranks[n] = ids.index(event.item) + 1 if event.item in ids else 0
    return Outcome(ranks, lists, seconds)


def table(outcome: Outcome, items: int) -> str:
    """One line for each window."""
    count = len(outcome.ranks)
    windows = {
        "all": slice(0, count),
        "first40": slice(0, int(TUNED_ON * count)),
        "last50": slice(count // 2, count),
    }
    lines = ["window    recall@10  ndcg@10  mrr@10  coverage@10"]
    for name, window in windows.items():
        ranks = outcome.ranks[window]
        hit = ranks[ranks > 0]
        total = len(ranks)
        lines.append(
            f"{name:9} {len(hit) / total:9.4f} {np.sum(1 / np.log2(1 + hit)) / total:8.4f} "
            f"{np.sum(1 / hit) / total:7.4f} {len(np.unique(outcome.lists[window])) / items:9.3f}"
        )
    spent = 1000 * outcome.seconds[100:]
    lines.append(
        f"ms per event: mean {spent.mean():.3f}, p50 {np.median(spent):.3f}, "
        f"p99 {np.quantile(spent, 0.99):.3f}, max {spent.max():.1f}"
    )
    return "\n".join(lines)


def main() -> None:
    changes = dict(each.split("=", 1) for each in sys.argv[1:] if each != "held")
    settings = msgspec.convert(changes, RecommenderSettings, strict=False)
    events, catalogue = read_events(Path(os.environ["ML100K"]))
    outcome = replay(events, catalogue, settings, held="held" in sys.argv[1:])
    print(table(outcome, len(catalogue)))


if __name__ == "__main__":
    main()
