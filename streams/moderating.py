"""`anabranch moderate`: what is held, what becomes of it, and what was decided."""

import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from msgspec import Struct
from rich.markup import escape
from rich.table import Table

from streams.errors import AnabranchError, Rejected
from streams.event_log import EventLog
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
    with EventLog(kafka) as log:
        for message in log.whole((DECISIONS,)):
            with _left_out(message):
                decisions.take(message.value)
        waiting = _waiting(log)
        found = [_held(log, each) for each in waiting.page(0, limit)]
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
def _left_out(message: ConsumerRecord) -> Iterator[None]:
    """What cannot be read is, and that is said."""
    try:
        yield
    except Rejected as refusal:
        left_out(message.topic, message.offset, refusal)


def _waiting(log: EventLog) -> Waiting:
    waiting = Waiting()
    for message in log.whole((QUEUE,)):
        waiting.outdate(message.key)
        if message.value is not None:
            with _left_out(message):
                waiting.take(message.value, Place(message.partition, message.offset))
    return waiting


def _held(log: EventLog, waits: Waits) -> Held | None:
    """The upload that waits; None where it has been replaced meanwhile."""
    message = log.message(TopicPartition(QUEUE, waits.place.partition), waits.place.offset)
    return None if message is None else read_held(message.value)


def _find(kafka: Kafka, item_id: str) -> Held:
    with EventLog(kafka) as log:
        waits = _waiting(log).get(item_id)
        held = None if waits is None else _held(log, waits)
    if held is None:
        raise AnabranchError(f"item {item_id!r} is not held; what is: anabranch moderate list")
    return held


def _send(settings: Settings, upload: Upload) -> None:
    with EventProducer(settings.kafka) as producer:
        producer.send(upload)
