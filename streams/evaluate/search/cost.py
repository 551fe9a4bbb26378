"""What a search takes as the catalogue grows, beside the index of vectors alone.

The catalogue is made up. Vectors lie around centres, one for a thousand items, at a cosine of some 0.7, for embeddings
lie in clusters; titles have four words and texts twelve, drawn by Zipf's law from a hundred thousand. A query is two
words of an item's title and a vector near the item's. Half load is that of one process which is asked at random
moments, half as often as it could answer: how long queries wait follows from the measured times (Lindley, "The theory
of queues with a single server", 1952).
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from rich.console import Console
from threadpoolctl import threadpool_limits

from encoders.contract import DIM
from streams.adapters.index import VectorIndex
from streams.adapters.words import WordIndex
from streams.core.search.question import Question
from streams.core.search.searcher import Document, Searcher
from streams.core.search.settings import SearchSettings
from streams.core.vectors import Vector
from streams.progress import bars
from streams.reports import Sheet

SEED = 7
QUERIES = 500
WARM_UP = 50
JUDGED = 200
K = 10
VOCABULARY = 100_000
FRESH = 20
PART = "text"


class Point(Struct, frozen=True):
    """A catalogue, and what a search of it takes; milliseconds of the processor, since others may share the machine.

    recall  share of the K nearest, by comparing all, that the index finds
    index   of the index of vectors alone, to the depth that a search asks it for
    whole   of the search
    loaded  p50 and p99 of the search at half load, waiting included
    fresh   for an upload and the search that finds it
    """

    items: int
    recall: float
    index: NDArray[np.float64]
    whole: NDArray[np.float64]
    loaded: tuple[float, float]
    fresh: float


def measure(sizes: Sequence[int], console: Console) -> list[Point]:
    """Each size in turn, on one core."""
    threadpool_limits(1)
    return [_measure(size, console) for size in sizes]


def sheet(points: Sequence[Point]) -> Sheet:
    """As a table."""
    headings = (
        "items",
        f"recall@{K} of the index",
        "index alone, p50 / p99",
        "search, p50 / p99",
        "ratio of p50",
        "at half load, p50 / p99",
        "upload to found",
    )
    rows = [
        [
            f"{each.items:,}",
            f"{each.recall:.3f}",
            _quantiles(each.index),
            _quantiles(each.whole),
            f"{np.median(each.whole) / np.median(each.index):.1f}",
            f"{each.loaded[0]:.1f} / {each.loaded[1]:.1f}",
            f"{each.fresh:.0f}",
        ]
        for each in points
    ]
    return Sheet("Milliseconds of one core for a search in words and a vector", headings, rows)


def waiting(seconds: NDArray[np.float64], load: float, seed: int = SEED) -> NDArray[np.float64]:
    """(n,) from asking to the answer, where one process answers in turn and is asked at random moments.

    seconds  (n,) that each answer takes by itself
    load     share of the time that the process is busy, below 1

    >>> waiting(np.array([1.0, 1.0]), load=1e-9).tolist()
    [1.0, 1.0]
    """
    between = np.random.default_rng(seed).exponential(seconds.mean() / load, len(seconds))
    found, wait = np.empty(len(seconds)), 0.0
    for place, taken in enumerate(seconds):
        found[place] = wait + taken
        wait = max(0.0, found[place] - between[place])
    return found


class World:
    """The catalogue that is made up."""

    def __init__(self, items: int) -> None:
        self._generator = np.random.default_rng(SEED)
        centres = _units(self._generator.standard_normal((max(1, items // 1_000), DIM)))
        self.vectors = np.empty((items, DIM), np.float32)
        for start in range(0, items, 10_000):
            own = centres[self._generator.integers(len(centres), size=min(10_000, items - start))]
            self.vectors[start : start + len(own)] = _units(own + _units(self._generator.standard_normal(own.shape)))
        self.words = np.minimum(self._generator.zipf(1.2, (items, 16)), VOCABULARY).astype(np.int32)

    def document(self, place: int) -> Document:
        words = [f"w{number}" for number in self.words[place].tolist()]
        return Document(
            item_id=f"i{place}",
            at=float(place),
            title=" ".join(words[:4]),
            text=" ".join(words[4:]),
            vectors={PART: self.vectors[place]},
        )

    def question(self) -> Question:
        """For some item: two words of its title, and a vector near its own."""
        place = int(self._generator.integers(len(self.vectors)))
        words = [f"w{number}" for number in self._generator.permutation(self.words[place, :4])[:2].tolist()]
        near: Vector = _units(self.vectors[place] + 0.5 * _units(self._generator.standard_normal(DIM)))
        return Question(words=" ".join(words), vectors={PART: near})


def _measure(items: int, console: Console) -> Point:
    world = World(items)
    settings = SearchSettings(weights={"words": 2.0, f"{PART} in {PART}": 1.0})
    space = VectorIndex(DIM)
    searcher = Searcher(settings, words=WordIndex(), space=lambda: space)
    with bars(console) as bar:
        task = bar.add_task(f"{items:,} items", total=items)
        for place in range(items):
            searcher.put(world.document(place))
            bar.advance(task)
    questions = [world.question() for _ in range(WARM_UP + QUERIES)]
    index = _timed(questions, lambda question: space.nearest(question.vectors[PART], settings.depth))
    whole = _timed(questions, searcher.search)
    loaded = 1000 * np.quantile(waiting(whole / 1000, 0.5), (0.5, 0.99))
    return Point(
        items=items,
        recall=_recall(world, space, questions[:JUDGED]),
        index=index,
        whole=whole,
        loaded=(float(loaded[0]), float(loaded[1])),
        fresh=_fresh(searcher),
    )


def _timed(questions: Sequence[Question], answer: Callable[[Question], object]) -> NDArray[np.float64]:
    """(QUERIES,) milliseconds of the processor."""
    taken = []
    for question in questions:
        started = time.thread_time()
        answer(question)
        taken.append(1000 * (time.thread_time() - started))
    return np.array(taken[WARM_UP:])


def _recall(world: World, space: VectorIndex, questions: Sequence[Question]) -> float:
    asked = np.stack([question.vectors[PART] for question in questions])
    cosines = world.vectors @ asked.T
    exact = np.argpartition(-cosines, K, axis=0)[:K]
    found = [space.nearest(vector, K)[0] for vector in asked]
    return float(
        np.mean([len(set(one.tolist()) & set(other.tolist())) / K for one, other in zip(exact.T, found, strict=True)])
    )


def _fresh(searcher: Searcher) -> float:
    """Milliseconds that an upload and the search that finds it take, the median."""
    taken = []
    for number in range(FRESH):
        started = time.process_time()  # the index of words has a thread of its own
        searcher.put(Document(item_id=f"fresh{number}", at=0.0, title=f"fresh{number}x"))
        assert searcher.search(Question(words=f"fresh{number}x")).hits[0].item_id == f"fresh{number}"
        taken.append(1000 * (time.process_time() - started))
    return float(np.median(taken))


def _units(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def _quantiles(taken: NDArray[np.float64]) -> str:
    p50, p99 = np.quantile(taken, (0.5, 0.99))
    return f"{p50:.2f} / {p99:.2f}"
