"""The way in: messages become events, or dead letters."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from streams import metrics
from streams.errors import Rejected
from streams.events import Event, decode
from streams.ports import Incoming, Outgoing

Accepted = tuple[Incoming, Event]


def take_in(
    batch: Sequence[Incoming], *, now: float, partition_of: Callable[[bytes], int]
) -> tuple[list[Accepted], list[Outgoing]]:
    """Tell good events from bad; the bad ones become dead letters that hold the original bytes.

    now           the wall clock, seconds since the epoch
    partition_of  Kafka key -> the partition it belongs to
    """
    accepted: list[Accepted] = []
    rejected: list[Outgoing] = []
    for topic, messages in Counter(message.topic for message in batch).items():
        metrics.BATCH.labels(topic).observe(messages)
    metrics.STAGE.labels("queue").observe(max(0.0, now - batch[0].published_at))
    for message in batch:
        try:
            event = decode(message.topic, message.value, key=message.key, now=now)
            _check_partition(message, event, partition_of(event.key.encode()))
            accepted.append((message, event))
        except Rejected as refusal:
            metrics.REJECTED.labels(message.topic, refusal.reason).inc()
            rejected.append(dead_letter(message, refusal))
    return accepted, rejected


def _check_partition(message: Incoming, event: Event, own: int) -> None:
    """Elsewhere, another worker would write the same user. Raises Rejected."""
    if message.partition != own:
        raise Rejected("wrong_partition", f"partition {message.partition}, where key {event.key!r} belongs to {own}")


def dead_letter(message: Incoming, refusal: Rejected) -> Outgoing:
    """What becomes of a bad event: its original bytes, and where they were."""
    headers = (
        ("reason", refusal.reason.encode()),
        ("detail", refusal.detail.encode()[:1000]),
        ("topic", message.topic.encode()),
        ("partition", str(message.partition).encode()),
        ("offset", str(message.offset).encode()),
    )
    return Outgoing("events.rejected", message.key, message.value or b"", headers)


def by_key(accepted: Iterable[Accepted]) -> dict[str, list[Accepted]]:
    """Key -> its events, in order."""
    found: dict[str, list[Accepted]] = {}
    for pair in accepted:
        found.setdefault(pair[1].key, []).append(pair)
    return found


def latest_time(causes: Iterable[Accepted]) -> float:
    """The greatest event time, seconds since the epoch."""
    return max(event.ts for _, event in causes)
