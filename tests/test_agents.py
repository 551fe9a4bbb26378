"""Micro-batches fill themselves, failures end the process, and a drain loses nothing."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from streams.agents import BATCHES_IN_HAND, Agents, next_batch
from streams.errors import StoreUnavailable
from streams.ports import Incoming

T = TypeVar("T")


def queue_of(values: Sequence[T]) -> asyncio.Queue[T]:
    queue: asyncio.Queue[T] = asyncio.Queue()
    for value in values:
        queue.put_nowait(value)
    return queue


class Keyed(NamedTuple):
    value: int
    key: int


@given(
    st.lists(st.builds(Keyed, st.integers(), st.integers(0, 5)), min_size=1, max_size=50),
    st.integers(1, 10),
    st.integers(1, 10),
)
async def test_batches_hold_every_value_once_in_order_within_both_limits(
    values: list[Keyed], limit: int, keys: int
) -> None:
    queue, batches = queue_of(values), []
    while not queue.empty():
        batches.append(await next_batch(queue, limit, keys))
    assert [value for batch in batches for value in batch] == values
    assert all(1 <= len(batch) <= limit and len({each.key for each in batch}) <= keys for batch in batches)


async def test_a_lone_value_does_not_wait_for_others() -> None:
    [lone] = await asyncio.wait_for(next_batch(queue_of([Keyed(1, 1)]), limit=100, keys=100), timeout=5)
    assert lone.value == 1


async def test_what_arrives_while_a_batch_is_handled_makes_the_next_one() -> None:
    queue = queue_of([Keyed(0, 0)])
    await next_batch(queue, limit=100, keys=100)
    for value in range(1, 6):
        queue.put_nowait(Keyed(value, 0))
    assert [each.value for each in await next_batch(queue, limit=100, keys=100)] == [1, 2, 3, 4, 5]


async def test_many_events_of_few_users_are_one_batch_and_those_of_many_users_are_several() -> None:
    few = queue_of([Keyed(value, value % 2) for value in range(100)])
    many = queue_of([Keyed(value, value) for value in range(100)])
    assert [len(await next_batch(queue, limit=100, keys=10)) for queue in (few, many)] == [100, 10]


GENERATION = 7


class FakeMessage:
    def __init__(self, offset: int, generation: int = GENERATION) -> None:
        self.topic, self.partition, self.offset = "events.click", 0, offset
        self.key, self.value, self.timestamp = b"k", b"v", 1.0
        self.generation_id = generation


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
    """Hands every batch over at once. A batch is named by its first offset.

    done      batch -> set once it may be durable; by default all are
    failures  batches that will fail instead
    """

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.handled: list[int] = []
        self.owned: list[int] = []
        self.unavailable = False
        self.done: dict[int, asyncio.Event] = {}
        self.failures: set[int] = set()
        self._progress = asyncio.Condition()

    def hold(self, *batches: int) -> None:
        self.done |= {each: asyncio.Event() for each in batches}

    async def own(self, partitions: Collection[int]) -> None:
        if self.unavailable:
            raise StoreUnavailable("the fake store is down")
        self.owned = list(partitions)

    async def interactions(self, batch: Sequence[Incoming], handed_over: Callable[[], None]) -> None:
        first = batch[0].offset
        self.begun.append(first)
        handed_over()
        async with self._progress:
            self._progress.notify_all()
        if first in self.done:
            await self.done[first].wait()
        if first in self.failures:
            raise ZeroDivisionError("an unforeseen mistake")
        self.handled += [message.offset for message in batch]
        async with self._progress:
            self._progress.notify_all()

    async def uploads(self, batch: Sequence[Incoming]) -> None:
        await self.interactions(batch, lambda: None)

    profiles = forgets = uploads

    async def has_begun(self, *batches: int) -> None:
        async with self._progress:
            await self._progress.wait_for(lambda: set(batches) <= set(self.begun))

    async def has_handled(self, count: int) -> None:
        async with self._progress:
            await self._progress.wait_for(lambda: len(self.handled) >= count)


async def an_agent(
    pipeline: FakePipeline, deaths: list[str], patience: float = 60.0, topic: str = "events.click"
) -> tuple[Agents, Any]:
    agents = Agents(
        pipeline,  # type: ignore[arg-type]
        batch_size=10,
        batch_keys=10,
        die=lambda: deaths.append("died"),
        patience=patience,
    )
    await agents.claim([0])
    [handle] = [handle for topics, handle in agents._handlers.items() if topic in topics]
    return agents, agents._consumer(handle)


async def idle() -> None:
    """Let all tasks go as far as they can."""
    for _ in range(50):
        await asyncio.sleep(0)


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
    pipeline.failures = {0}
    consuming = asyncio.create_task(consume(stream))
    await pipeline.has_begun(0)
    await agents.pause()
    consuming.cancel()
    assert deaths == ["died"]
    assert stream.consumer.acked == []


async def test_partitions_that_cannot_be_claimed_end_the_process() -> None:
    pipeline, deaths = FakePipeline(), list[str]()
    agents, _ = await an_agent(pipeline, deaths)
    pipeline.unavailable = True
    await agents.claim([1])
    assert deaths == ["died"]


async def test_behind_the_next_batch_begins_once_one_is_handed_over_and_all_are_acknowledged_in_order() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(30)
    pipeline.hold(0, 10, 20)
    agents, consume = await an_agent(pipeline, deaths)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.has_begun(0, 10, 20)
    pipeline.done[20].set()
    pipeline.done[10].set()
    await pipeline.has_handled(20)
    await idle()
    assert stream.consumer.acked == []
    pipeline.done[0].set()
    await agents.pause()
    assert stream.consumer.acked == list(range(30))
    consuming.cancel()


async def test_a_worker_that_keeps_up_gathers_what_arrives_until_what_it_has_in_hand_is_durable() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(15)
    pipeline.hold(0)
    _, consume = await an_agent(pipeline, deaths)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.has_begun(0)
    await idle()
    assert pipeline.begun == [0]
    pipeline.done[0].set()
    await pipeline.has_begun(10)
    consuming.cancel()


async def test_no_more_batches_than_a_few_are_in_hand() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(10 * BATCHES_IN_HAND + 10)
    batches = [10 * number for number in range(BATCHES_IN_HAND + 1)]
    pipeline.hold(*batches)
    _, consume = await an_agent(pipeline, deaths)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.has_begun(*batches[:-1])
    await idle()
    assert pipeline.begun == batches[:-1]
    pipeline.done[0].set()
    await pipeline.has_begun(batches[-1])
    consuming.cancel()


async def test_the_batches_of_other_topics_are_taken_one_at_a_time() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(25)
    pipeline.hold(0)
    _, consume = await an_agent(pipeline, deaths, topic="events.upload")
    consuming = asyncio.create_task(consume(stream))
    await pipeline.has_begun(0)
    await idle()
    assert pipeline.begun == [0]
    pipeline.done[0].set()
    await pipeline.has_begun(10, 20)
    consuming.cancel()


async def test_when_a_batch_fails_none_that_was_begun_after_it_is_acknowledged() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(30)
    pipeline.hold(0, 10)
    pipeline.failures = {10}
    agents, consume = await an_agent(pipeline, deaths)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.has_handled(10)
    pipeline.done[10].set()
    pipeline.done[0].set()
    await agents.pause()
    assert deaths == ["died"]
    assert stream.consumer.acked == list(range(10))
    consuming.cancel()


async def test_a_pause_waits_for_what_is_in_hand_and_no_other_is_taken_until_partitions_are_claimed() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(20)
    pipeline.hold(0, 10)
    agents, consume = await an_agent(pipeline, deaths)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.has_begun(0, 10)
    pausing = asyncio.create_task(agents.pause())
    stream.queue.put_nowait(FakeMessage(20))
    pipeline.done[10].set()
    await idle()
    assert not pausing.done()
    pipeline.done[0].set()
    await pausing
    assert stream.consumer.acked == list(range(20)) and pipeline.begun == [0, 10]
    await agents.claim([3])
    assert pipeline.owned == [3]
    await pipeline.has_handled(21)
    assert pipeline.begun == [0, 10, 20]
    consuming.cancel()


async def test_what_was_given_up_at_a_rebalance_does_not_hold_up_what_comes_after_it() -> None:
    pipeline, deaths, stream = FakePipeline(), list[str](), FakeStream(20)
    pipeline.hold(0)
    agents, consume = await an_agent(pipeline, deaths, patience=0.01)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.has_handled(10)
    await agents.pause()
    assert stream.consumer.acked == []
    stream.consumer_generation_id = GENERATION + 1
    for offset in range(20):  # delivered again
        stream.queue.put_nowait(FakeMessage(offset, GENERATION + 1))
    pipeline.done.clear()
    await agents.claim([0])
    await pipeline.has_handled(10 + 20)
    await agents.pause()
    assert stream.consumer.acked == list(range(20)) and not deaths
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
    pipeline.hold(0)
    agents, consume = await an_agent(pipeline, deaths, patience=0.01)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.has_begun(0)
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
    pipeline.hold(0)
    agents, consume = await an_agent(pipeline, deaths)
    consuming = asyncio.create_task(consume(stream))
    await pipeline.has_begun(0)
    consuming.cancel()
    pipeline.done[0].set()
    await agents.pause()
    assert stream.consumer.acked == [0]
