"""Micro-batches fill themselves, failures end the process, and a drain loses nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.agents import Agents, micro_batches
from streams.ports import Incoming


async def source(values: Sequence[int]) -> AsyncIterator[int]:
    for value in values:
        yield value
        await asyncio.sleep(0)


@given(st.lists(st.integers(), max_size=50), st.integers(1, 10))
async def test_every_value_comes_once_and_in_order_in_batches_within_the_limit(values: list[int], limit: int) -> None:
    batches = [batch async for batch in micro_batches(source(values), limit)]
    assert [value for batch in batches for value in batch] == values
    assert all(1 <= len(batch) <= limit for batch in batches)


async def test_a_lone_value_does_not_wait_for_others() -> None:
    never = asyncio.Event()

    async def one_and_silence() -> AsyncIterator[int]:
        yield 1
        await never.wait()

    batches = micro_batches(one_and_silence(), limit=100)
    assert await asyncio.wait_for(anext(batches), timeout=5) == [1]
    await batches.aclose()  # type: ignore[attr-defined]


async def test_what_arrives_while_a_batch_is_handled_makes_the_next_one() -> None:
    arrived = asyncio.Event()

    async def one_then_many() -> AsyncIterator[int]:
        yield 0
        await arrived.wait()
        for value in range(1, 6):
            yield value

    batches = micro_batches(one_then_many(), limit=100)
    assert await anext(batches) == [0]
    arrived.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await anext(batches) == [1, 2, 3, 4, 5]


async def test_what_the_source_raises_is_raised_after_what_it_gave() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise OSError("the wire is cut")

    seen = []
    with pytest.raises(OSError, match="the wire is cut"):
        async for batch in micro_batches(broken(), limit=10):
            seen += batch
    assert seen == [1]


class FakeMessage:
    def __init__(self, offset: int) -> None:
        self.topic, self.partition, self.offset = "events.click", 0, offset
        self.key, self.value, self.timestamp = b"k", b"v", 1.0


class FakeEvent:
    def __init__(self, offset: int) -> None:
        self.message = FakeMessage(offset)
        self.acked = False

    def ack(self) -> bool:
        self.acked = True
        return True


class FakeStream:
    """As much of a Faust stream as an agent uses."""

    def __init__(self, events: list[FakeEvent]) -> None:
        self._events = events

    def noack(self) -> "FakeStream":
        return self

    async def events(self) -> AsyncIterator[FakeEvent]:
        for event in self._events:
            yield event


class FakePipeline:
    def __init__(self) -> None:
        self.handled: list[int] = []
        self.fails = False
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.started = asyncio.Event()

    async def interactions(self, batch: Sequence[Incoming]) -> None:
        self.started.set()
        await self.may_finish.wait()
        if self.fails:
            raise ZeroDivisionError("an unforeseen mistake")
        self.handled += [message.offset for message in batch]

    uploads = profiles = interactions


def an_agent(pipeline: FakePipeline, deaths: list[str]) -> tuple[Agents, Any]:
    agents = Agents(pipeline, batch_size=10, die=lambda: deaths.append("died"))  # type: ignore[arg-type]
    return agents, agents._consumer(pipeline.interactions)


async def test_events_are_acknowledged_once_they_are_handled() -> None:
    pipeline, deaths = FakePipeline(), list[str]()
    events = [FakeEvent(offset) for offset in range(25)]
    _, consume = an_agent(pipeline, deaths)
    await consume(FakeStream(events))
    assert pipeline.handled == list(range(25))
    assert all(event.acked for event in events) and not deaths


async def test_a_batch_that_fails_ends_the_process_and_is_not_acknowledged() -> None:
    pipeline, deaths = FakePipeline(), list[str]()
    pipeline.fails = True
    events = [FakeEvent(0)]
    _, consume = an_agent(pipeline, deaths)
    await consume(FakeStream(events))
    assert deaths == ["died"]
    assert not events[0].acked


async def test_a_drain_waits_for_the_batch_in_hand_and_takes_no_other() -> None:
    pipeline, deaths = FakePipeline(), list[str]()
    pipeline.may_finish.clear()
    events = [FakeEvent(offset) for offset in range(25)]
    agents, consume = an_agent(pipeline, deaths)
    consuming = asyncio.create_task(consume(FakeStream(events)))
    await pipeline.started.wait()
    draining = asyncio.create_task(agents.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    pipeline.may_finish.set()
    await draining
    await consuming
    assert 0 < len(pipeline.handled) <= 10
    assert [event.message.offset for event in events if event.acked] == pipeline.handled


async def test_an_agent_that_is_cancelled_still_finishes_the_batch_in_hand() -> None:
    pipeline, deaths = FakePipeline(), list[str]()
    pipeline.may_finish.clear()
    events = [FakeEvent(0)]
    agents, consume = an_agent(pipeline, deaths)
    consuming = asyncio.create_task(consume(FakeStream(events)))
    await pipeline.started.wait()
    consuming.cancel()
    pipeline.may_finish.set()
    await agents.drain()
    assert events[0].acked
