"""What an event costs as the catalogue grows: `anabranch scale`.

A catalogue of any size is MovieLens-100k taken many times side by side: every copy has items and users of its own, and
their clicks are interleaved as if all copies happened at once. So popularity, the length of histories and how items go
together are those of real people, while items and users grow in step; for fewer items than MovieLens has, there is one
copy with a random part of them. Items have unit vectors, random around a direction for each genre, in the index that a
worker uses; a user's taste is the vector of their latest item.
"""

import gc
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from threadpoolctl import threadpool_limits

from encoders.contract import DIM
from streams.adapters.index import EFFORT_FOR_LISTS, VectorIndex
from streams.core.history import History
from streams.core.recommender import Interaction, Recommender, RecommenderSettings, UserView
from streams.core.vectors import Vector, unit
from streams.core.warm_up import warm_up
from streams.datasets.dataset import Dataset
from streams.datasets.movielens import movielens
from streams.evaluate.comparison import Cost
from streams.events import Click, Upload
from streams.progress import bars
from streams.reports import Sheet

SEED = 7
MEASURED = 10_000  # clicks, the last
LISTED = 3 * MEASURED  # clicks, the last, that are answered with a list: the ranker learns from lists that were served
LENGTH = 20


class Point(Struct, frozen=True):
    """A catalogue, and what an event cost.

    learned  clicks before those that were measured
    """

    items: int
    users: int
    learned: int
    cost: Cost


def run(downloads: Path, console: Console, sizes: Sequence[int], *, clicks_per_item: float) -> list[Point]:
    """Measure each size in turn, on one core."""
    dataset = movielens(downloads)
    threadpool_limits(1)
    warm_up(RecommenderSettings(), DIM)
    with bars(console) as bar:
        return [_measure(dataset, size, int(clicks_per_item * size), bar) for size in sizes]


def sheet(points: Sequence[Point]) -> Sheet:
    """As a table."""
    headings = ("items", "users", "clicks learned before", "mean", "p50", "p99", "max")
    rows = [
        [f"{each.items:,}", f"{each.users:,}", f"{each.learned:,}"]
        + [f"{ms:.2f}" for ms in (each.cost.mean, each.cost.p50, each.cost.p99, each.cost.max)]
        for each in points
    ]
    return Sheet(f"Milliseconds of one core for a click, learned and answered with a list of {LENGTH}", headings, rows)


def catalogue(uploads: Sequence[Upload], size: int) -> Iterator[tuple[str, Vector]]:
    """`size` items, copy by copy: their ids, copy and film, and (DIM,) float32 unit vectors."""
    generator = np.random.default_rng(SEED)
    order = generator.permutation(len(uploads))
    genres: dict[str, NDArray[np.float32]] = {}
    for number in range(size):
        copy, place = divmod(number, len(uploads))
        film = uploads[order[place]]
        noise = generator.standard_normal(DIM).astype(np.float32)
        for genre in film.attributes:
            noise += genres.setdefault(genre, generator.standard_normal(DIM).astype(np.float32))
        yield f"{copy}:{film.item_id}", unit(noise)


def interleaved(clicks: Sequence[Click], copies: int, items: set[str]) -> Iterator[tuple[str, str, float]]:
    """(user, item, at) of every copy, in the order of the clicks; those on items that are not there are left out.

    >>> click = Click(event_id="", ts=5.0, user_id="u", item_id="i")
    >>> list(interleaved([click], 3, {"0:i", "2:i"}))
    [('0:u', '0:i', 5.0), ('2:u', '2:i', 5.0)]
    """
    for click in clicks:
        for copy in range(copies):
            if (item := f"{copy}:{click.item_id}") in items:
                yield f"{copy}:{click.user_id}", item, click.ts


def _measure(dataset: Dataset, size: int, clicks: int, bar: Progress) -> Point:
    index = VectorIndex(DIM, EFFORT_FOR_LISTS)
    recommender = Recommender(RecommenderSettings(), nearest=index.nearest)
    vectors = dict(catalogue(dataset.uploads, size))
    chosen = [each for each in dataset.activity if isinstance(each, Click)]
    for item, vector in vectors.items():
        recommender.put_item(item, vector, chosen[0].ts)
        index.put(recommender.catalogue.slot(item), vector)
    stream = list(islice(interleaved(chosen, -(-size // len(dataset.uploads)), set(vectors)), clicks))
    task = bar.add_task(f"{size:,} items", total=len(stream))
    users: dict[str, UserView] = {}
    seconds = []
    gc.freeze()  # as a worker does
    for number, (user_id, item, at) in enumerate(stream):
        user = users.setdefault(user_id, UserView(user_id, History()))
        started = time.thread_time()
        interaction = Interaction(str(number), user_id, item, at, 1.0)
        recommender.learn(interaction, recommender.judge(recommender.rehearsal(), user, interaction))
        user.history.add(item, at, 1.0)
        user.taste = vectors[item]
        if number >= len(stream) - LISTED:
            recommender.recommend(user, at, LENGTH)
        if number >= len(stream) - MEASURED:
            seconds.append(time.thread_time() - started)
        bar.advance(task)
    return Point(size, len(users), len(stream) - len(seconds), Cost.of(np.array(seconds)))
