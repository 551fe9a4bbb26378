"""`anabranch moderate`: what is held, what becomes of it, and what was decided."""

import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from msgspec import Struct
from rich.markup import escape
from rich.table import Table

from streams.adapters import connections
from streams.errors import AnabranchError, Rejected
from streams.events import DECISIONS, QUEUE, Decided, Held, Upload
from streams.held import Decisions, Place, Waiting, Waits, allowing, read_held, refusing
from streams.producer import EventProducer
from streams.replica import left_out
from streams.settings import Kafka, Settings


class Queue(Struct, frozen=True):
    """Some of what waits, the longest first, and what was decided last, the latest first.

    total  how many wait
    """

    held: list[Held]
    total: int
    decided: list[Decided]


def queue(kafka: Kafka, *, limit: int, decided: int) -> Queue:
    """At most `limit` uploads that wait, and `decided` decisions. Raises AnabranchError."""
    decisions = Decisions(decided)
    with _reading(kafka, DECISIONS) as consumer:
        for message in _all(consumer):
            with _left_out(message):
                decisions.take(message.value)
    with _reading(kafka, QUEUE) as consumer:
        waiting = _waiting(consumer)
        found = [_held(consumer, each) for each in waiting.page(0, limit)]
        return Queue([each for each in found if each is not None], len(waiting), decisions.latest())


def allow(settings: Settings, item_id: str, *, moderator: str, note: str = "") -> None:
    """Send the item's upload again, sealed, see `held.allowing`. Raises AnabranchError."""
    waiting = _find(settings.kafka, item_id)
    key = settings.moderation.key
    if key is None:
        raise AnabranchError("ANABRANCH_MODERATION__KEY is not set: nobody could tell that this was allowed")
    sealing = key.get_secret_value().encode()
    _send(settings, allowing(waiting, sealing, moderator=moderator, at=time.time(), note=note))


def refuse(settings: Settings, item_id: str, *, moderator: str, note: str = "") -> None:
    """Withdraw the item for good, see `held.refusing`. Raises AnabranchError."""
    waiting = _find(settings.kafka, item_id)
    _send(settings, refusing(waiting, moderator=moderator, at=time.time(), note=note))


def operator() -> str:
    """The user of the operating system that runs this; by number where it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def tables(found: Queue) -> Iterator[Table]:
    """What waits, and why; and what was decided, if anything was."""
    shown = Table(caption=f"{len(found.held):,} of {found.total:,} held, the longest first")
    for heading in ("item", "title", "scores", "since"):
        shown.add_column(heading)
    for each in found.held:
        scores = ", ".join(
            f"{part} {score:.2f}" for part, score in sorted(each.scores.items(), key=lambda one: -one[1])
        )
        shown.add_row(*map(_plain, (each.upload.item_id, each.upload.title, scores, _time(each.held_at))))
    yield shown
    if not found.decided:
        return
    past = Table(caption=f"the last {len(found.decided):,} decisions, the latest first")
    for heading in ("item", "decision", "by", "at", "note"):
        past.add_column(heading)
    for one in found.decided:
        by = one.moderator or "unknown"
        past.add_row(*map(_plain, (one.item_id, one.decision, by, _time(one.decided_at), one.note)))
    yield past


def _plain(text: str) -> str:
    """As it is: a stranger's title neither colours the terminal nor tells it what to do."""
    return escape("".join(letter if letter.isprintable() else " " for letter in text))


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


@contextmanager
def _reading(kafka: Kafka, topic: str) -> Iterator[KafkaConsumer]:
    """A consumer of all of a topic, from its start. Raises AnabranchError."""
    consumer = connections.kafka(KafkaConsumer, kafka, group_id=None, enable_auto_commit=False)
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise AnabranchError(f"Kafka at {kafka.address} has no topic {topic!r}; create it with: anabranch prepare")
        partitions = [TopicPartition(topic, number) for number in numbers]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        yield consumer
    finally:
        consumer.close()


def _all(consumer: KafkaConsumer) -> Iterator[ConsumerRecord]:
    """Every message that is there by now."""
    partitions = consumer.assignment()
    ends = consumer.end_offsets(partitions)
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for messages in consumer.poll(timeout_ms=500).values():
            yield from messages


@contextmanager
def _left_out(message: ConsumerRecord) -> Iterator[None]:
    """What cannot be read is, and that is said."""
    try:
        yield
    except Rejected as refusal:
        left_out(message.topic, message.offset, refusal)


def _waiting(consumer: KafkaConsumer) -> Waiting:
    waiting = Waiting()
    for message in _all(consumer):
        waiting.outdate(message.key)
        if message.value is not None:
            with _left_out(message):
                waiting.take(message.value, Place(message.partition, message.offset))
    return waiting


def _held(consumer: KafkaConsumer, waits: Waits) -> Held | None:
    """The upload that waits; None where it has been replaced meanwhile."""
    partition = TopicPartition(QUEUE, waits.place.partition)
    consumer.assign([partition])
    consumer.seek(partition, waits.place.offset)
    [message] = consumer.poll(timeout_ms=5_000, max_records=1).get(partition) or [None]
    return read_held(message.value) if message is not None and message.offset == waits.place.offset else None


def _find(kafka: Kafka, item_id: str) -> Held:
    with _reading(kafka, QUEUE) as consumer:
        waits = _waiting(consumer).get(item_id)
        held = None if waits is None else _held(consumer, waits)
    if held is None:
        raise AnabranchError(f"item {item_id!r} is not held; what is: anabranch moderate list")
    return held


def _send(settings: Settings, upload: Upload) -> None:
    with EventProducer(settings.kafka) as producer:
        producer.send(upload)
