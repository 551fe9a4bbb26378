"""What the worker writes to Kafka, and the logs that its shared memory follows."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from streams import metrics
from streams.adapters import clients
from streams.adapters.refusal import refusal
from streams.errors import KafkaUnavailable, SinkUnavailable
from streams.ports import Outgoing
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
        try:
            acknowledged = [
                await self._producer.send(each.topic, each.value, each.key, headers=list(each.headers))
                for each in messages
            ]
            await asyncio.gather(*acknowledged)
        except KafkaError as error:
            metrics.ERRORS.labels("kafka", type(error).__name__).inc()
            where = self._settings.address
            raise SinkUnavailable(f"Kafka at {where} did not take {len(messages)} messages: {error}") from error


class Follower:
    """Reads every partition of some topics from the start, and goes on as they grow.

    Every worker follows all of `items.embedded` and `interactions`, so it is in no consumer group and commits nothing.

    handlers   topic -> what to do with the value of one message
    caught_up  set once all that stood in the topics at the start has been handled
    """

    BREATH = 500  # messages handled before other tasks get a turn

    def __init__(self, settings: Kafka, handlers: Mapping[str, Callable[[bytes], None]]) -> None:
        self.caught_up = asyncio.Event()
        self._handlers = handlers
        self._consumer = AIOKafkaConsumer(
            *handlers,
            **clients.kafka(settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )

    async def check(self) -> None:
        """Raises KafkaUnavailable while the logs have not been read up to where they ended at the start."""
        if not self.caught_up.is_set():
            raise KafkaUnavailable(f"still reading {' and '.join(self._handlers)}")

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._consumer.start()
        try:
            await self._consumer.seek_to_beginning()
            missing = await self._consumer.end_offsets(self._consumer.assignment())
            while True:
                for partition, messages in (await self._consumer.getmany(timeout_ms=200)).items():
                    handle = self._handlers[partition.topic]
                    for start in range(0, len(messages), self.BREATH):
                        for message in messages[start : start + self.BREATH]:
                            if message.value is not None:
                                handle(message.value)
                        await asyncio.sleep(0)
                if missing:
                    missing = {each: end for each, end in missing.items() if await self._consumer.position(each) < end}
                if not missing:
                    self.caught_up.set()
                await self._report_lag()
        finally:
            await self._consumer.stop()

    async def _report_lag(self) -> None:
        lags = dict.fromkeys(self._handlers, 0)
        for partition in self._consumer.assignment():
            end = self._consumer.highwater(partition) or 0
            lags[partition.topic] += max(0, end - await self._consumer.position(partition))
        for topic, lag in lags.items():
            metrics.REPLICA_LAG.labels(topic).set(lag)
