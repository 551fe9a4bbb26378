"""What the worker writes to Kafka, and the logs that its shared memory follows."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from streams import metrics, tracing
from streams.adapters import clients
from streams.adapters.refusal import refusal
from streams.errors import KafkaUnavailable, SinkUnavailable
from streams.ports import Logged, Outgoing
from streams.settings import Kafka


class PartitionOf:
    """The partition that Kafka's own producers choose for a key; clients of librdkafka are to set `murmur2_random`.

    partitions  of the topic

    >>> PartitionOf(8)(b"ada"), PartitionOf(1)(b"ada")
    (5, 0)
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._known = lru_cache(maxsize=100_000)(self._compute)

    def __call__(self, key: bytes) -> int:
        return self._known(key)

    def _compute(self, key: bytes) -> int:
        return int(murmur2(key) & 0x7FFFFFFF) % self._partitions


class KafkaSink:
    """The sink of the pipeline (`ports.Sink`): idempotent, acknowledged by all in-sync replicas."""

    def __init__(self, settings: Kafka) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(
            **clients.kafka(settings),
            acks="all",
            enable_idempotence=True,
            max_request_size=4 * 1024 * 1024,
            max_batch_size=256 * 1024,
            compression_type=None,
        )
        self._order = asyncio.Lock()

    async def start(self) -> None:
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            raise SinkUnavailable(await asyncio.to_thread(refusal, self._settings, error)) from error

    async def close(self) -> None:
        await self._producer.stop()

    async def check(self) -> None:
        """Raises KafkaUnavailable when no broker answers."""
        try:
            await self._producer.client.fetch_all_metadata()
        except (KafkaError, OSError) as error:
            raise KafkaUnavailable(f"no broker answers at {self._settings.address}: {error}") from error

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        traced = tracing.headers()
        try:
            async with self._order:  # a full buffer makes some wait, and others are not to overtake them
                acknowledged = [
                    await self._producer.send(each.topic, each.value, each.key, headers=[*each.headers, *traced])
                    for each in messages
                ]
            await asyncio.gather(*acknowledged)
        except KafkaError as error:
            metrics.ERRORS.labels("kafka", type(error).__name__).inc()
            where = self._settings.address
            raise SinkUnavailable(f"Kafka at {where} did not take {len(messages)} messages: {error}") from error


class Follower:
    """Reads logs of one partition each, and goes on as they grow.

    Every worker follows all of them, so it is in no consumer group and commits nothing.

    offsets    topic -> where to begin; a topic is caught up with before the next one is begun
    follow     what to do with the next messages of a topic
    told       called with how many messages have been read, and how many stood there at the start, until they are
    caught_up  set once all that stood in the topics at the start has been handled
    """

    def __init__(
        self,
        settings: Kafka,
        offsets: Mapping[str, int],
        follow: Callable[[str, Sequence[Logged]], Awaitable[None]],
        told: Callable[[int, int], None] = lambda read, of: None,
    ) -> None:
        self.caught_up = asyncio.Event()
        self._told = told
        self._offsets = {TopicPartition(topic, 0): offset for topic, offset in offsets.items()}
        self._follow = follow
        self._consumer = AIOKafkaConsumer(
            **clients.kafka(settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )

    async def check(self) -> None:
        """Raises KafkaUnavailable while the logs have not been read up to where they ended at the start."""
        if not self.caught_up.is_set():
            raise KafkaUnavailable(f"still reading {' and '.join(each.topic for each in self._offsets)}")

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            await self._consumer.start()
            self._consumer.assign(list(self._offsets))
            for partition, offset in self._offsets.items():
                self._consumer.seek(partition, offset)
            ends = await self._consumer.end_offsets(list(self._offsets))
            whole = sum(ends[partition] - offset for partition, offset in self._offsets.items())
            before = 0  # messages of the topics that are caught up with
            for partition, end in ends.items():
                while (position := await self._consumer.position(partition)) < end:
                    self._told(before + position - self._offsets[partition], whole)
                    await self._next(partition)
                before += end - self._offsets[partition]
            self.caught_up.set()
            while True:
                await self._next(*self._offsets)
        finally:
            await self._consumer.stop()

    async def _next(self, *partitions: TopicPartition) -> None:
        for partition, messages in (await self._consumer.getmany(*partitions, timeout_ms=200)).items():
            await self._follow(partition.topic, [Logged(each.offset, each.value) for each in messages])
        for partition in partitions:
            behind = (self._consumer.highwater(partition) or 0) - await self._consumer.position(partition)
            metrics.REPLICA_LAG.labels(partition.topic).set(max(0, behind))
