"""Whoever waits until the logs have been read is told how far that is."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import SimpleNamespace

from aiokafka import TopicPartition

from streams.adapters.kafka import Follower
from streams.ports import Logged
from streams.settings import load


class FakeConsumer:
    """Gives two messages at a time, then waits for ever."""

    def __init__(self, ends: Mapping[str, int]) -> None:
        self.ends = {TopicPartition(topic, 0): end for topic, end in ends.items()}
        self.at: dict[TopicPartition, int] = {}
        self.stopped = False

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self.at = dict.fromkeys(partitions, 0)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at[partition] = offset

    async def end_offsets(self, _: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self.ends

    async def position(self, partition: TopicPartition) -> int:
        return self.at[partition]

    def highwater(self, partition: TopicPartition) -> int:
        return self.ends[partition]

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int
    ) -> dict[TopicPartition, list[SimpleNamespace]]:
        if all(self.at[each] >= self.ends[each] for each in partitions):
            await asyncio.Event().wait()
        [first] = [each for each in partitions if self.at[each] < self.ends[each]][:1]
        offsets = range(self.at[first], min(self.at[first] + 2, self.ends[first]))
        self.at[first] = offsets.stop
        return {first: [SimpleNamespace(offset=offset, value=b"") for offset in offsets]}


async def follow(_: str, __: Sequence[Logged]) -> None: ...


async def test_it_tells_how_many_messages_are_read_of_those_that_were_there_and_closes_its_client() -> None:
    told: list[tuple[int, int]] = []
    follower = Follower(load().kafka, {"items": 1, "interactions": 0}, follow, lambda *how_far: told.append(how_far))
    await follower._consumer.stop()
    follower._consumer = consumer = FakeConsumer({"items": 4, "interactions": 3})
    running = asyncio.create_task(follower.run())
    await follower.caught_up.wait()
    assert told == [(0, 6), (2, 6), (3, 6), (5, 6)]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert consumer.stopped
