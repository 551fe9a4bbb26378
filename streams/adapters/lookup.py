"""Reads single messages of a topic again, by where they are."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from streams.adapters import clients
from streams.errors import KafkaUnavailable
from streams.settings import Kafka

PATIENCE_MS = 2_000  # for one message
FETCH_BYTES = 64 * 1024  # asked for at once; of a larger message Kafka sends the whole
FETCH_WAIT_MS = 10  # that Kafka waits for more to come: what is asked for is there already


class Lookup:
    """Messages of one topic, in no consumer group; nothing is fetched in between."""

    def __init__(self, settings: Kafka, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._one_at_a_time = asyncio.Lock()
        self._consumer = AIOKafkaConsumer(
            **clients.kafka(settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",  # never somewhere else
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    async def start(self) -> None:
        """Raises KafkaUnavailable."""
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            raise KafkaUnavailable(f"Kafka at {self._settings.address}: {error}") from error

    async def read(self, places: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """The value at each (partition, offset); None where there is none any more. Raises KafkaUnavailable."""
        try:
            async with self._one_at_a_time:
                return [await self._value(TopicPartition(self._topic, number), offset) for number, offset in places]
        except (KafkaError, OSError) as error:
            raise KafkaUnavailable(f"Kafka at {self._settings.address}: {error}") from error

    async def _value(self, partition: TopicPartition, offset: int) -> bytes | None:
        if partition not in self._consumer.assignment():
            self._consumer.assign([partition])
        self._consumer.resume(partition)
        self._consumer.seek(partition, offset)
        try:
            found = await self._consumer.getmany(partition, timeout_ms=PATIENCE_MS, max_records=1)
        except OffsetOutOfRangeError:
            return None
        finally:
            self._consumer.pause(partition)
        messages = found.get(partition, [])
        # One that was replaced under its key may be gone: Kafka answers with the next.
        return messages[0].value if messages and messages[0].offset == offset else None

    async def close(self) -> None:
        await self._consumer.stop()
