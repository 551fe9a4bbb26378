"""The parts of a worker beside the bare libraries that they stand on: Cassandra's driver, usearch, the encoders.

Ours and the bare library take turns in short rounds, so that other work on the machine meets both. Users and vectors
are made up, of a realistic size.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import uvloop
from cassandra.cluster import Session
from msgspec import Struct
from numpy.typing import NDArray
from rich.console import Console
from threadpoolctl import threadpool_limits

from encoders.contract import DIM
from encoders.throughput import Clock, Embed, Speed, interleaved, server_clock
from encoders.training.natives import encoder
from streams.adapters import connections, schema
from streams.adapters.cassandra import CassandraStore
from streams.adapters.index import VectorIndex, empty_graph
from streams.adapters.triton import TritonEmbedder
from streams.core.history import History
from streams.core.taste import Taste
from streams.core.user import RecentEvents, UserState
from streams.core.vectors import Vector
from streams.events import ITEMS
from streams.settings import Settings

KEYSPACE = "bench_ceilings"
TASTES = ("fused", "text", "image")
NEAREST = 100  # items asked for in a search
EMBEDDED = {"text": "texts embedded", "image": "pictures embedded"}
SEED = 7

Run = Callable[[Coroutine[Any, Any, object]], object]


class Sizes(Struct, frozen=True):
    """How much is measured.

    users     in one call
    history   items that each of them has touched
    items     in the index
    searches  one after the other, each from another vector
    contents  in one call
    seconds   of each measurement, at least
    """

    users: int = 512
    history: int = 100
    items: int = 100_000
    searches: int = 100
    contents: int = 32
    rounds: int = 7
    seconds: float = 0.4


class Ceiling(Struct, frozen=True):
    """One part of a worker beside a bare library.

    what    it does, in the plural
    beside  what the bare library does
    rounds  of each round the speed of the bare library, and ours
    recall  of the nearest items, the share that exact search finds and ours does, too
    """

    what: str
    beside: str
    rounds: list[tuple[Speed, Speed]]
    recall: float | None = None


class Recorded:
    """A session that keeps what it is asked to execute, to be asked again without us."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.requests: list[tuple[Any, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def execute_async(self, statement: Any, values: Any = None, **how: Any) -> Any:
        self.requests.append((statement, values))
        return self._session.execute_async(statement, values, **how)


def measure(settings: Settings, console: Console, sizes: Sizes) -> list[Ceiling]:
    """Measure each part in turn, on servers that run.

    settings  of these servers; users go to a keyspace of their own
    """
    with running() as run, threadpool_limits(1):
        with console.status("users in Cassandra, beside the driver alone"):
            found = users(settings, run, sizes)
        with console.status(f"nearest of {sizes.items:,} items, beside usearch alone"):
            found.append(nearest(sizes))
        with console.status("vectors from Triton, beside the encoders in process"):
            found += embedded(settings, run, sizes)
    return found


@contextmanager
def running() -> Iterator[Run]:
    """An event loop that never stops, as a worker's does, in a thread of its own; what runs a coroutine in it.

    In a loop that is stopped and run again for each call, gRPC's client spins until its answer is there.
    """
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="event loop", daemon=True)
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def users(settings: Settings, run: Run, sizes: Sizes) -> list[Ceiling]:
    """Users written and read, beside the driver's handling of the very same requests."""
    to = settings.cassandra.model_copy(update={"keyspace": KEYSPACE})
    schema.migrate(to)
    everybody = people(sizes)
    names = [user.user_id for user in everybody]
    with connections.cassandra(to) as session:
        session.set_keyspace(KEYSPACE)
        written, read = Recorded(session), Recorded(session)
        store = partial(
            CassandraStore,
            home=KEYSPACE,
            items_topic=ITEMS,
            shards=to.shards,
            dedup_window=settings.worker.dedup_window,
            users_days=0,
            request_timeout=5.0,
            give_up_after=60.0,
        )
        ours = store(session)
        run(store(written).write_users(everybody, {}))
        run(store(read).read_users(names))
        return [
            Ceiling(
                "users written",
                "the driver alone, sending the same batches, encoded beforehand",
                _in_turn(
                    partial(_ask, session, written.requests),
                    lambda: run(ours.write_users(everybody, {})),
                    len(everybody),
                    sizes,
                ),
            ),
            Ceiling(
                "users read",
                "the driver alone, sending the same requests; its rows are left as they are",
                _in_turn(
                    partial(_ask, session, read.requests), lambda: run(ours.read_users(names)), len(everybody), sizes
                ),
            ),
        ]


def people(sizes: Sizes) -> list[UserState]:
    """Users as a worker holds them, some 7 KB each in Cassandra."""
    generator = np.random.default_rng(SEED)

    def one(number: int) -> UserState:
        touched = generator.integers(100_000, size=sizes.history)
        times = 1.7e9 + np.sort(generator.uniform(0, 1e7, sizes.history))
        recent = RecentEvents(limit=max(sizes.history, 1))
        for place in range(sizes.history):
            recent.add(f"event-{number}-{place}")
        return UserState(
            f"user-{number}",
            History.of(zip([f"item-{item}" for item in touched], times.tolist(), [1.0] * sizes.history, strict=True)),
            recent,
            Taste(
                dict(zip(TASTES, generator.standard_normal((len(TASTES), DIM)).astype(np.float32), strict=True)),
                float(times[-1]),
                dict.fromkeys(TASTES, (20.0, 8.0)),
            ),
            version=1,
        )

    return [one(number) for number in range(sizes.users)]


def nearest(sizes: Sizes) -> Ceiling:
    """`VectorIndex` beside the index of usearch that it stands on, both with one graph."""
    vectors, asked = _clustered(sizes.items, sizes.searches)
    bare, ours = empty_graph(DIM), VectorIndex(DIM)
    bare.add(np.arange(len(vectors)), vectors)
    ours.load(bare.save() or b"")
    count = min(NEAREST, len(vectors))

    def search_bare() -> None:
        for vector in asked:
            bare.search(vector, count, threads=1)

    def search_ours() -> None:
        for vector in asked:
            ours.nearest(vector, count)

    return Ceiling(
        f"searches for the {count} nearest of {len(vectors):,} items",
        "usearch alone, with the same graph",
        _in_turn(search_bare, search_ours, len(asked), sizes),
        recall(ours, vectors, asked, count),
    )


def recall(index: VectorIndex, vectors: NDArray[np.float32], asked: NDArray[np.float32], count: int) -> float:
    """The share of the nearest that the index finds.

    vectors  (n, dim) float32, unit length: what is in the index, by slot
    asked    (m, dim) float32, unit length
    count    nearest to find, at most n
    """
    exact = np.argpartition(asked @ vectors.T, -count, axis=1)[:, -count:]
    found = [index.nearest(vector, count)[0] for vector in asked]
    return float(np.mean([np.isin(best, near).mean() for best, near in zip(exact, found, strict=True)]))


def embedded(settings: Settings, run: Run, sizes: Sizes) -> list[Ceiling]:
    """Texts and pictures embedded by Triton, beside the same encoders in this process."""
    clock = server_clock(settings.triton.address)
    triton = run(_connect(settings))
    assert isinstance(triton, TritonEmbedder)
    found = []
    for modality, what in EMBEDDED.items():
        local = encoder(modality)
        contents = [local.sample()] * sizes.contents
        rounds = _in_turn(
            partial(local.encode, contents),
            lambda modality=modality, contents=contents: run(triton.embed(modality, contents)),  # type: ignore[misc]
            sizes.contents,
            sizes,
            clock,
        )
        found.append(Ceiling(what, "the same encoder in process", rounds))
    run(triton.close())
    return found


async def _connect(settings: Settings) -> TritonEmbedder:
    return TritonEmbedder(settings.triton)  # within the event loop, which its client keeps to


def _in_turn(
    bare: Embed, ours: Embed, items: int, sizes: Sizes, clock: Clock | None = time.process_time
) -> list[tuple[Speed, Speed]]:
    """The bare library and ours, round after round.

    items  that one call does
    clock  seconds of the processor that ours takes
    """
    rounds = interleaved([(bare, time.process_time), (ours, clock)], items, sizes.seconds, sizes.rounds)
    return [(theirs, our) for theirs, our in rounds]


def _ask(session: Session, requests: Sequence[tuple[Any, Any]]) -> None:
    """Execute all at once, and wait for their answers."""
    for answer in [session.execute_async(statement, values) for statement, values in requests]:
        answer.result()


def _clustered(items: int, searches: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(items, DIM) and (searches, DIM) float32 unit vectors around 200 directions, as embeddings are around topics."""
    generator = np.random.default_rng(SEED)
    topics = generator.standard_normal((200, DIM), dtype=np.float32)

    def some(count: int) -> NDArray[np.float32]:
        rows: Vector = generator.standard_normal((count, DIM), dtype=np.float32)
        rows += topics[generator.integers(len(topics), size=count)]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows

    return some(items), some(searches)
