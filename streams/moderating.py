"""`anabranch moderate`: what is held, and what becomes of it."""

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from rich.table import Table

from streams.adapters import connections
from streams.errors import AnabranchError, Rejected
from streams.events import QUEUE, Held, Upload
from streams.held import Waiting, allowing, refusing
from streams.producer import EventProducer
from streams.replica import left_out
from streams.settings import Kafka, Settings


def held(kafka: Kafka) -> dict[str, Held]:
    """Item -> why it waits, the longest first. Raises AnabranchError."""
    consumer = connections.kafka(KafkaConsumer, kafka, group_id=None, enable_auto_commit=False)
    try:
        numbers = consumer.partitions_for_topic(QUEUE)
        if not numbers:
            raise AnabranchError(f"Kafka at {kafka.address} has no topic {QUEUE!r}; create it with: anabranch prepare")
        partitions = [TopicPartition(QUEUE, number) for number in numbers]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        waiting = Waiting()
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for messages in consumer.poll(timeout_ms=500).values():
                for message in messages:
                    _follow(waiting, message)
    finally:
        consumer.close()
    return dict(sorted(waiting.uploads.items(), key=lambda each: each[1].held_at))


def allow(settings: Settings, item_id: str, note: str = "") -> None:
    """Send the item's upload again, sealed, see `held.allowing`. Raises AnabranchError."""
    waiting = _held(settings, item_id)
    key = settings.moderation.key
    if key is None:
        raise AnabranchError("ANABRANCH_MODERATION__KEY is not set: nobody could tell that this was allowed")
    _send(settings, allowing(waiting, key.get_secret_value().encode(), note))


def refuse(settings: Settings, item_id: str, note: str = "") -> None:
    """Withdraw the item for good, see `held.refusing`. Raises AnabranchError."""
    _send(settings, refusing(_held(settings, item_id), note))


def table(waiting: dict[str, Held]) -> Table:
    """What waits, and why."""
    shown = Table(caption=f"{len(waiting)} held")
    for heading in ("item", "title", "scores"):
        shown.add_column(heading)
    for item_id, each in waiting.items():
        scores = ", ".join(
            f"{part} {score:.2f}" for part, score in sorted(each.scores.items(), key=lambda one: -one[1])
        )
        shown.add_row(item_id, each.upload.title, scores)
    return shown


def _follow(waiting: Waiting, message: ConsumerRecord) -> None:
    """Take in the next message of the queue; what cannot be read is left out."""
    waiting.outdate(message.key)
    if message.value is None:
        return
    try:
        waiting.take(message.value)
    except Rejected as refusal:
        left_out(message.topic, message.offset, refusal)


def _held(settings: Settings, item_id: str) -> Held:
    waiting = held(settings.kafka)
    if item_id not in waiting:
        raise AnabranchError(f"item {item_id!r} is not held; what is: anabranch moderate list")
    return waiting[item_id]


def _send(settings: Settings, upload: Upload) -> None:
    with EventProducer(settings.kafka) as producer:
        producer.send(upload)
