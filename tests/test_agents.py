"""Micro-batches fill themselves, failures end the process, and a drain loses nothing."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from streams.agents import Agents, next_batch
from streams.errors import StoreUnavailable
from streams.ports import Incoming

T = TypeVar("T")


def queue_of(values: Sequence[T]) -> asyncio.Queue[T]:
    queue: asyncio.Queue[T] = asyncio.Queue()
    for value in values:
        queue.put_nowait(value)
    return queue


@given(st.lists(st.integers(), min_size=1, max_size=50), st.integers(1, 10))
async def test_every_value_comes_once_and_in_order_in_batches_within_the_limit(values: list[int], limit: int) -> None:
    queue = queue_of(values)
    batches = []
    while not queue.empty():
        batches.append(await next_batch(queue, limit))
    assert [value for batch in batches for value in batch] == values
    assert all(1 <= len(batch) <= limit for batch in batches)


async def test_a_lone_value_does_not_wait_for_others() -> None:
    assert await asyncio.wait_for(next_batch(queue_of([1]), limit=100), timeout=5) == [1]


async def test_what_arrives_while_a_batch_is_handled_makes_the_next_one() -> None:
    queue = queue_of([0])
    assert await next_batch(queue, limit=100) == [0]
    for value in range(1, 6):
        queue.put_nowait(value)
    assert await next_batch(queue, limit=100) == [1, 2, 3, 4, 5]


GENERATION = 7


class FakeMessage:
    def __init__(self, offset: int) -> None:
        self.topic, self.partition, self.offset = "events.click", 0, offset
        self.key, self.value, self.timestamp = b"k", b"v", 1.0
        self.generation_id = GENERATION


class FakeConsumer:
    """As much of Faust's consumer as an agent uses."""

    def __init__(self) -> None:
        self.acked: list[int] = []

    def ack(self, message: FakeMessage) -> bool:
        self.acked.append(message.offset)
        return True


class FakeStream:
    """A stream over a channel that holds these messages, and no more will come."""

    def __init__(self, count: int) -> None:
        self.queue = queue_of([FakeMessage(offset) for offset in range(count)])
        self.channel = self.app = self
        self.consumer = FakeConsumer()
        self.consumer_generation_id = GENERATION


class FakePipeline:
    def __init__(self) -> None:
        self.handled: list[int] = []
        self.owned: list[int] = []
        self.fails = False
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.started, self.progress = asyncio.Event(), asyncio.Event()

    async def own(self, partitions: Collection[int]) -> None:
        if self.fails:
            raise StoreUnavailable("the fake store is down")
        self.owned = list(partitions)

    async def interactions(self, batch: Sequence[Incoming]) -> None:
        self.started.set()
        await self.may_finish.wait()
        if self.fails:
            raise ZeroDivisionError("an unforeseen mistake")
        self.handled += [message.offset for message in batch]
        self.progress.set()

    async def has_handled(self, count: int) -> None:
        while len(self.handled) < count:
            self.progress.clear()
            await self.progress.wait()

    uploads = profiles = forgets = interactions


async def an_agent(pipeline: FakePipeline, deaths: list[str], patience: float = 60.0) -> tuple[Agents, Any]:
    agents = Agents(
        pipeline,  # type: ignore[arg-type]
        batch_size=10,
        die=lambda: deaths.append("died"),
        patience=patience,
    )
    await agents.claim([0])
    return agents, agents._consumer(pipeline.interactions)


async def test_events_are_acknowledged_once_they_are_handled() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(25)
    agents, consume = await an_agent(pipeline, deaths)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.has_handled(25)
    await agents.pause()
    consuming.cancel()
    assert pipeline.handled == stream.consumer.acked == list(range(25))
    assert not deaths


async def test_a_batch_that_fails_ends_the_process_and_is_not_acknowledged() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(1)
    agents, consume = await an_agent(pipeline, deaths)
    pipeline.fails = True
    consuming = asyncio.create_task(consume(stream))
    await pipeline.started.wait()
    await agents.pause()
    consuming.cancel()
    assert deaths == ["died"]
    assert stream.consumer.acked == []


async def test_partitions_that_cannot_be_claimed_end_the_process() -> None:
    pipeline, deaths = FakePipeline(), list[str]()
    agents, _ = await an_agent(pipeline, deaths)
    pipeline.fails = True
    await agents.claim([1])
    assert deaths == ["died"]


async def test_a_pause_waits_for_the_batch_in_hand_and_no_other_is_taken_until_partitions_are_claimed() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(25)
    pipeline.may_finish.clear()
    agents, consume = await an_agent(pipeline, deaths)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.started.wait()
    pausing = asyncio.create_task(agents.pause())
    await asyncio.sleep(0)
    assert not pausing.done()
    pipeline.may_finish.set()
    await pausing
    assert pipeline.handled == stream.consumer.acked == list(range(10))
    await agents.claim([3])
    assert pipeline.owned == [3]
    await pipeline.has_handled(25)
    assert pipeline.handled == list(range(25))
    consuming.cancel()


async def test_agents_end_after_a_drain_whether_messages_wait_or_their_queue_is_closed() -> None:
    class ClosedQueue(asyncio.Queue[FakeMessage]):
        async def get(self) -> FakeMessage:
            raise StopAsyncIteration

    pipeline, deaths, waiting, closed = FakePipeline(), list[str](), FakeStream(25), FakeStream(0)
    closed.queue = ClosedQueue()
    agents, consume = await an_agent(pipeline, deaths)
    await agents.pause()
    consuming = asyncio.create_task(consume(waiting))
    await agents.drain()
    await consuming
    await consume(closed)
    assert not pipeline.handled and not deaths


async def test_a_batch_that_outlasts_the_patience_of_a_pause_is_given_up_and_not_acknowledged() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(1)
    pipeline.may_finish.clear()
    agents, consume = await an_agent(pipeline, deaths, patience=0.01)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.started.wait()
    await agents.pause()
    consuming.cancel()
    assert not stream.consumer.acked and not pipeline.handled and not deaths


async def test_messages_fetched_before_the_last_rebalance_are_left_to_those_who_get_them_anew() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(2)
    stream.queue._queue[0].generation_id = GENERATION - 1  # type: ignore[attr-defined]
    _, consume = await an_agent(pipeline, deaths)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.has_handled(1)
    assert pipeline.handled == stream.consumer.acked == [1]
    consuming.cancel()


async def test_an_agent_that_is_cancelled_still_finishes_the_batch_in_hand() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(1)
    pipeline.may_finish.clear()
    agents, consume = await an_agent(pipeline, deaths)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.started.wait()
    consuming.cancel()
    pipeline.may_finish.set()
    await agents.pause()
    assert stream.consumer.acked == [0]
