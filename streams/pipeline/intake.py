"""The way in: messages become events, or dead letters."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import structlog

from streams import metrics
from streams.core.seldom import Seldom
from streams.errors import Rejected
from streams.events import Event, decode, event_id
from streams.ports import Incoming, Outgoing

Accepted = tuple[Incoming, Event]

log = structlog.get_logger()


def take_in(
    batch: Sequence[Incoming], *, now: float, partition_of: Callable[[bytes], int], refusals: "Refusals"
) -> tuple[list[Accepted], list[Outgoing]]:
    """Tell good events from bad; the bad ones become dead letters that hold the original bytes.

    now           the wall clock, seconds since the epoch
    partition_of  Kafka key -> the partition it belongs to
    refusals      what becomes of bad ones
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
            rejected.append(refusals.dead_letter(message, refusal, now))
    return accepted, rejected


def _check_partition(message: Incoming, event: Event, own: int) -> None:
    """Elsewhere, another worker would write the same user. Raises Rejected."""
    if message.partition != own:
        raise Rejected("wrong_partition", f"partition {message.partition}, where key {event.key!r} belongs to {own}")


class Refusals:
    """What becomes of bad events: each is counted and a dead letter, and one in a while is logged."""

    def __init__(self) -> None:
        self._logged = Seldom()

    def dead_letter(self, message: Incoming, refusal: Rejected, now: float) -> Outgoing:
        """Its original bytes, and where they were. The log names no detail: that may name somebody."""
        metrics.REJECTED.labels(message.topic, refusal.reason).inc()
        withheld = self._logged.due((message.topic, refusal.reason), now)
        if withheld is not None:
            log.info(
                "an event is refused",
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                event_id=event_id(message.value),
                reason=refusal.reason,
                more_before=withheld,
            )
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
