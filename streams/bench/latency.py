"""From an event's scheduled time to its list in a reader's hands, under a load that waits for nobody.

Events leave at times fixed beforehand, whether or not earlier ones have been answered, and each latency counts from
the scheduled time: a stall shows in every event that it held up (no 'coordinated omission', Gil Tene).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec import Struct

from streams.errors import AnabranchError
from streams.events import Click, Recommendations, Upload, View, encode
from streams.producer import TOPICS
from streams.settings import Kafka

LISTS = "recommendations"
LEAD = 0.05  # seconds between the setting of the schedule and its first event
PATIENCE = 30.0
_decode = msgspec.json.Decoder(Recommendations).decode


class Latency(Struct):
    """Seconds, but for the counts. Events of the first `warm_up` seconds are sent and not counted.

    cpu  of the worker for an event, where it was watched
    """

    events_per_second: float
    warm_up: float
    events: int
    unanswered: int
    p50: float
    p90: float
    p99: float
    max: float
    cpu: float | None = None


async def measure(
    kafka: Kafka,
    events: Sequence[Click | View],
    *,
    events_per_second: float,
    warm_up: float,
    on_answer: Callable[[int], None] = lambda answered: None,
) -> Latency:
    """Send events on schedule and wait for their lists.

    events     the first is sent ahead and waited for, so that the worker is known to be there
    on_answer  called with the number of events answered

    Raises AnabranchError when the first event gets no list.
    """
    async with sending(kafka, on_answer) as load:
        await load.send(events[:1], time.monotonic(), 1.0)
        if not await load.answered(PATIENCE):
            raise AnabranchError(f"no list came for an event in {PATIENCE:.0f} s; is a worker running?")
        load.latencies.clear()
        await load.send(events[1:], time.monotonic() + LEAD, events_per_second)
        await load.answered(PATIENCE)
        return load.summary(events_per_second, warm_up)


@asynccontextmanager
async def sending(kafka: Kafka, on_answer: Callable[[int], None] = lambda answered: None) -> AsyncIterator["Load"]:
    """A load without events yet, whose lists are read from now on."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.address)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.address, group_id=None)
    load = Load(producer, on_answer)
    await producer.start()
    await consumer.start()
    try:
        await _seek_to_end(consumer, kafka.partitions)
        reading = asyncio.create_task(load.read(consumer))
        yield load
        reading.cancel()
    finally:
        await consumer.stop()
        await producer.stop()


class Load:
    """Events on their way, and how long those that came back took.

    lists  user -> the items of their latest list
    """

    def __init__(self, producer: AIOKafkaProducer, on_answer: Callable[[int], None] = lambda answered: None) -> None:
        self.lists: dict[str, list[str]] = {}
        self._producer = producer
        self._on_answer = on_answer
        self._due: dict[str, float] = {}  # event id -> its scheduled time, while unanswered
        self._all_answered = asyncio.Event()
        self.latencies: list[tuple[float, float]] = []  # (scheduled time, seconds)

    async def send(self, events: Sequence[Click | View], start: float, events_per_second: float) -> None:
        for number, event in enumerate(events):
            due = start + number / events_per_second
            if (ahead := due - time.monotonic()) > 0:
                await asyncio.sleep(ahead)
            self._due[event.event_id] = due
            self._all_answered.clear()
            await self.publish(event)
        await self._producer.flush()

    async def publish(self, event: Click | View | Upload) -> None:
        """Send one event that no list is waited for."""
        await self._producer.send(TOPICS[type(event)], encode(event), event.key.encode())

    async def read(self, consumer: AIOKafkaConsumer) -> None:
        async for message in consumer:
            now = time.monotonic()
            made = _decode(message.value)
            self.lists[made.user_id] = [each.item_id for each in made.items]
            for event_id in made.event_ids:
                due = self._due.pop(event_id, None)
                if due is not None:
                    self.latencies.append((due, now - due))
            self._on_answer(len(self.latencies))
            if not self._due:
                self._all_answered.set()

    async def answered(self, patience: float) -> bool:
        """Whether all that was sent is answered within some seconds."""
        try:
            await asyncio.wait_for(self._all_answered.wait(), patience)
        except TimeoutError:
            return False
        return True

    def summary(self, events_per_second: float, warm_up: float) -> Latency:
        start = min((due for due, _ in self.latencies), default=0.0) + warm_up
        counted = np.array([seconds for due, seconds in self.latencies if due >= start] or [np.nan])
        p50, p90, p99 = (float(np.quantile(counted, each)) for each in (0.5, 0.9, 0.99))
        return Latency(events_per_second, warm_up, len(counted), len(self._due), p50, p90, p99, float(counted.max()))


async def _seek_to_end(consumer: AIOKafkaConsumer, partitions: int) -> None:
    lists = [TopicPartition(LISTS, number) for number in range(partitions)]
    consumer.assign(lists)
    await consumer.seek_to_end(*lists)
    for each in lists:
        await consumer.position(each)  # settles where we are before anything new arrives
