"""Reads a topic from where it ends, what is published from now on; or from its start, for who is to know it all."""

from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.adapters import clients
from streams.errors import KafkaUnavailable, Rejected
from streams.ports import Incoming
from streams.settings import Kafka

AT_ONCE = 500  # messages; then others have a turn


def values(handle: Callable[[bytes], object]) -> Callable[[Incoming], object]:
    """For who cares for the values alone; a message without one is passed over."""

    def of(message: Incoming) -> None:
        if message.value is not None:
            handle(message.value)

    return of


class Tail:
    """Every partition of a topic, in no consumer group.

    handle      called with each message; one that raises Rejected is left out
    refused     called with topic, offset and reason of what was left out
    from_start  begin with the messages that are there already
    """

    def __init__(
        self,
        settings: Kafka,
        topic: str,
        handle: Callable[[Incoming], object],
        refused: Callable[[str, int, Rejected], None],
        *,
        from_start: bool = False,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._handle = handle
        self._refused = refused
        self._from_start = from_start
        self._consumer = AIOKafkaConsumer(**clients.kafka(settings), group_id=None, enable_auto_commit=False)

    async def start(self) -> None:
        """From here on nothing is missed. Raises KafkaUnavailable."""
        try:
            await self._consumer.start()
            await self._consumer._client.force_metadata_update()
            numbers = self._consumer.partitions_for_topic(self._topic)
        except (KafkaError, OSError) as error:
            raise KafkaUnavailable(f"Kafka at {self._settings.address}: {error}") from error
        if not numbers:
            where = self._settings.address
            raise KafkaUnavailable(f"Kafka at {where} has no topic {self._topic!r}; create it with: anabranch prepare")
        partitions = [TopicPartition(self._topic, number) for number in numbers]
        self._consumer.assign(partitions)
        await (self._consumer.seek_to_beginning if self._from_start else self._consumer.seek_to_end)(*partitions)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            for messages in (await self._consumer.getmany(timeout_ms=200, max_records=AT_ONCE)).values():
                for message in messages:
                    self._take(message)

    def _take(self, message: ConsumerRecord[bytes, bytes]) -> None:
        published_at = message.timestamp / 1000
        try:
            self._handle(
                Incoming(self._topic, message.partition, message.offset, message.key, message.value, published_at)
            )
        except Rejected as refusal:
            self._refused(self._topic, message.offset, refusal)

    async def close(self) -> None:
        await self._consumer.stop()
