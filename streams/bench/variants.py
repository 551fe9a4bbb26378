"""One variant in a process of its own: reads the backlog from its start, and measures itself.

python -m streams.bench.variants VARIANT EVENTS

Settings come from the environment, as in a worker. Each line it prints is one JSON object: how many events are handled
so far, and in the end a `Measured`.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
import psutil
import uvloop
from aiokafka import AIOKafkaConsumer
from faust import StreamT
from msgspec import Struct
from prometheus_client import REGISTRY
from threadpoolctl import threadpool_limits

from encoders.contract import DIM
from streams.agents import BATCHES_IN_HAND, CLICKS_AND_VIEWS
from streams.app import following, open_pipeline, open_store, serve
from streams.bench.echo import attach
from streams.core.memory.settings import ListSettings
from streams.core.recommender import (
    Advised,
    Interaction,
    Recommender,
    RecommenderSettings,
    Rehearsal,
    Scored,
    Taught,
    UserView,
)
from streams.core.warm_up import warm_up
from streams.faust_app import faust_app
from streams.logs import set_up_logs
from streams.pipeline import Pipeline
from streams.ports import Incoming
from streams.settings import Settings, load

OTHERS = "others' events"  # what the variant before has handled
WARM_UP = 0.1  # of the events, handled before the clock starts: connections, buffers and caches are filled by then
PROGRESS_SECONDS = 0.25

T = TypeVar("T")
Rest = ParamSpec("Rest")


class Handled(Struct, tag="handled"):
    """Events handled so far."""

    events: int


class Measured(Struct, tag="measured"):
    """What one variant did between its warm-up and its last event.

    cpu_seconds  of all threads of the process
    rss_bytes    resident memory at the end
    lists        published, empty ones included
    """

    events: int
    seconds: float
    cpu_seconds: float
    rss_bytes: int
    lists: int


class Meter:
    """Counts events, and measures from the first tenth of `total` to the last.

    >>> meter = Meter(10)
    >>> meter.add(1); meter.add(9)
    >>> meter.done.is_set(), meter.measured().events
    (True, 9)
    """

    def __init__(self, total: int) -> None:
        self.handled = 0
        self.done = asyncio.Event()
        self._total = total
        self._next = max(1, int(total * WARM_UP))
        self._marks: list[tuple[int, float, float, int]] = []

    def add(self, events: int) -> None:
        """So many more have been handled."""
        self.handled += events
        if self.handled >= self._next and not self.done.is_set():
            self._marks.append((self.handled, time.perf_counter(), time.process_time(), _lists()))
            if self.handled >= self._total:
                self.done.set()
            self._next = self._total

    def around(
        self, handle: Callable[Concatenate[Sequence[Incoming], Rest], Awaitable[None]]
    ) -> Callable[Concatenate[Sequence[Incoming], Rest], Coroutine[Any, Any, None]]:
        """The same handler, counted once a batch is done."""

        async def counted(batch: Sequence[Incoming], /, *rest: Rest.args, **named: Rest.kwargs) -> None:
            await handle(batch, *rest, **named)
            self.add(len(batch))

        return counted

    def measured(self) -> Measured:
        """Between the first mark and the last."""
        first, last = self._marks[0], self._marks[-1]
        events, seconds, cpu_seconds, lists = (after - before for before, after in zip(first, last, strict=True))
        return Measured(int(events), seconds, cpu_seconds, psutil.Process().memory_info().rss, int(lists))


class Unranked(Recommender):
    """Knows the items, learns nothing, recommends nothing: what is left is the rest of the path."""

    def judge(self, rehearsal: Rehearsal, user: UserView, interaction: Interaction) -> Taught | None:
        return None

    def learn(self, interaction: Interaction, taught: Taught | None = None) -> float:
        return 0.0

    def recommend(
        self,
        user: UserView,
        at: float,
        k: int = 20,
        how: ListSettings | None = None,
        advised: Advised | None = None,
    ) -> list[Scored]:
        return []


async def empty_agent(settings: Settings, meter: Meter) -> None:
    """A Faust agent that takes raw bytes and does nothing with them."""
    app = faust_app(settings)

    async def count(stream: StreamT[bytes]) -> None:
        async for _ in stream:
            meter.add(1)

    attach(app, count)
    await app.start()
    await meter.done.wait()
    await app.stop()


async def without_lists(settings: Settings, meter: Meter) -> None:
    """The worker with a recommender that does nothing."""
    async with open_pipeline(settings, await open_store(settings)) as pipeline:
        pipeline.replica.recommender = Unranked()
        _count(pipeline, meter)
        async with following(settings.kafka, pipeline.replica) as follower:
            await serve(settings, pipeline, [follower], meter.done)


async def full(settings: Settings, meter: Meter) -> None:
    """The worker as it is."""
    warm_up(RecommenderSettings(), DIM)
    async with open_pipeline(settings, await open_store(settings)) as pipeline:
        _count(pipeline, meter)
        async with following(settings.kafka, pipeline.replica) as follower:
            await serve(settings, pipeline, [follower], meter.done)


async def others_events(settings: Settings, meter: Meter) -> None:
    """A worker whose users do nothing: it only learns what the worker before it has told all others."""
    warm_up(RecommenderSettings(), DIM)
    async with open_pipeline(settings, await open_store(settings)) as pipeline:
        pipeline.replica.on_learned = lambda learned: meter.add(len(learned.touches))
        async with following(settings.kafka, pipeline.replica):
            await meter.done.wait()


async def without_faust(settings: Settings, meter: Meter) -> None:
    """The worker's pipeline behind a bare aiokafka consumer: the same batches, in the same order."""
    warm_up(RecommenderSettings(), DIM)
    async with (
        open_pipeline(settings, await open_store(settings)) as pipeline,
        following(settings.kafka, pipeline.replica),
    ):
        _count(pipeline, meter)
        await pipeline.own(range(settings.kafka.partitions))
        consumer = AIOKafkaConsumer(
            *CLICKS_AND_VIEWS,
            bootstrap_servers=settings.kafka.address,
            group_id=settings.kafka.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            await _handle(consumer, pipeline, settings.worker.batch_size, meter)
            await consumer.commit()
        finally:
            await consumer.stop()


VARIANTS: dict[str, Callable[[Settings, Meter], Coroutine[Any, Any, None]]] = {
    "empty agent": empty_agent,
    "without lists": without_lists,
    "full": full,
    OTHERS: others_events,
    "without Faust": without_faust,
}


async def _handle(consumer: AIOKafkaConsumer, pipeline: Pipeline, batch_size: int, meter: Meter) -> None:
    """Handle both topics, their partitions in turn and their batches overlapping as in a worker."""
    room = asyncio.Semaphore(BATCHES_IN_HAND)
    async with asyncio.TaskGroup() as in_hand:
        while not meter.done.is_set():
            messages = interleaved((await consumer.getmany(timeout_ms=200)).values())
            for start in range(0, len(messages), batch_size):
                batch = [
                    Incoming(each.topic, each.partition, each.offset, each.key, each.value, each.timestamp / 1000)
                    for each in messages[start : start + batch_size]
                ]
                await room.acquire()
                handed_over = asyncio.Event()
                handling = in_hand.create_task(pipeline.interactions(batch, handed_over.set))
                handling.add_done_callback(lambda _: room.release())
                await handed_over.wait()


def interleaved(columns: Iterable[Sequence[T]]) -> list[T]:
    """One of each in turn.

    >>> interleaved([[1, 2, 3], [10]])
    [1, 10, 2, 3]
    """
    nothing = object()
    return [each for each in chain.from_iterable(zip_longest(*columns, fillvalue=nothing)) if each is not nothing]  # type: ignore[misc]


def _count(pipeline: Pipeline, meter: Meter) -> None:
    pipeline.interactions = meter.around(pipeline.interactions)  # type: ignore[method-assign,assignment]


def _lists() -> int:
    return int(REGISTRY.get_sample_value("anabranch_lists_emitted_total") or 0)


def _say(what: Handled | Measured) -> None:
    print(msgspec.json.encode(what).decode(), flush=True)


async def _report(meter: Meter) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        _say(Handled(meter.handled))


async def main(variant: str, events: int) -> None:
    """Run one variant over a backlog of so many events."""
    threadpool_limits(1)  # as a worker does
    meter = Meter(events)
    reporting = asyncio.create_task(_report(meter))
    await VARIANTS[variant](load(), meter)
    reporting.cancel()
    with suppress(asyncio.CancelledError):
        await reporting
    _say(meter.measured())


if __name__ == "__main__":
    set_up_logs()
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
