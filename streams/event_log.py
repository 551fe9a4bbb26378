"""Topics as logs that can be read again, beside the workers and without disturbing them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError
from kafka.structs import OffsetAndMetadata

from streams.adapters import connections
from streams.errors import AnabranchError, Rejected
from streams.events import Embedded, Event, decode, read_embedded
from streams.ports import Incoming
from streams.replica import left_out
from streams.settings import Kafka
from streams.spaces import Spaces

PATIENCE_MS = 30_000  # without a message where there must be one


class GroupBusy(AnabranchError):
    """Workers still run."""


def read_event(message: ConsumerRecord, partition_of: Callable[[bytes], int]) -> Event:
    """What a worker makes of a message of a topic of events; its clock is taken to have stood at the arrival.

    Raises Rejected.
    """
    event = decode(message.topic, message.value, key=message.key, now=message.timestamp / 1000)
    if partition_of(event.key.encode()) != message.partition:
        raise Rejected("wrong_partition", f"partition {message.partition} is not that of key {event.key!r}")
    return event


def incoming(message: ConsumerRecord) -> Incoming:
    """The message as the pipeline has it."""
    at = message.timestamp / 1000
    return Incoming(message.topic, message.partition, message.offset, message.key, message.value, at)


def take_items(messages: Iterable[ConsumerRecord], known: dict[str, Embedded], spaces: Spaces | None = None) -> None:
    """Add items of the log of items to those known by their ids; of an item's uploads the latest counts.

    As every worker does, it leaves out what cannot be read, and what is in other spaces; without `spaces`, those stay.
    """
    for message in messages:
        if message.value is None:
            continue
        try:
            item = read_embedded(message.value)
            if spaces is not None:
                spaces.take(item.spaces)
        except Rejected as refusal:
            left_out(message.topic, message.offset, refusal)
            continue
        if item.item_id not in known or item.order >= known[item.item_id].order:
            known[item.item_id] = item


class EventLog:
    """Reads topics partition by partition, from their first message to their last of now.

    Raises KafkaUnavailable; and AnabranchError where a topic is not there.
    """

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._consumer = connections.kafka(
            KafkaConsumer,
            kafka,
            group_id=kafka.group,  # to ask what the workers have committed: nothing is joined or committed here
            enable_auto_commit=False,
            max_poll_records=10_000,
            check_crcs=False,  # in Python, most of the time would go into it; JSON that was garbled shows anyway
            fetch_max_bytes=16 * 1024 * 1024,
            max_partition_fetch_bytes=8 * 1024 * 1024,
        )

    def starts(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """The first offset still there of every partition; above 0 where retention has taken some."""
        return _asked(self._consumer.beginning_offsets, self._partitions(topics))

    def ends(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """The offset of the next message of every partition."""
        return _asked(self._consumer.end_offsets, self._partitions(topics))

    def committed(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """The offset of the next message that the workers' group has yet to commit."""
        return {each: self._consumer.committed(each) or 0 for each in self._partitions(topics)}

    def since(self, topics: Sequence[str], moment: float) -> Mapping[TopicPartition, int]:
        """The first offset of every partition whose message came at that moment or later, seconds since the epoch."""
        found = dict(self.ends(topics))
        for each in found:  # one by one, as of many the client leaves out those without a leader: see `_asked`
            if at := self._consumer.offsets_for_times({each: int(moment * 1000)})[each]:
                found[each] = at.offset
        return found

    def arrival(self, partition: TopicPartition, offset: int) -> float:
        """When the message at this offset came, seconds since the epoch. Raises AnabranchError where none is there."""
        topic, number = partition
        if partition not in (there := self._partitions((topic,))):
            raise AnabranchError(f"topic {topic!r} has no partition {number}: Kafka has {len(there)}, the first is 0")
        start, end = self.starts((topic,))[partition], self.ends((topic,))[partition]
        message = next(self.read({partition: offset}, {partition: end}), None) if start <= offset else None
        if message is None:
            raise AnabranchError(
                f"topic {topic!r}, partition {number} has no message at offset {offset}: it has those from {start} to"
                f" before {end}"
            )
        return float(message.timestamp) / 1000

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Have the workers' group go on from here. Raises GroupBusy while it has a member."""
        try:
            self._consumer.commit({each: OffsetAndMetadata(at, "", -1) for each, at in offsets.items()})
        except (CommitFailedError, UnknownMemberIdError, RebalanceInProgressError, IllegalGenerationError) as error:
            raise GroupBusy(f"workers of group {self._kafka.group!r} still run") from error

    def read(self, start: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]) -> Iterator[ConsumerRecord]:
        """The messages of some partitions from one offset to before another; of each partition in order.

        Raises AnabranchError when Kafka gives nothing more before the end.
        """
        wanted = [each for each in end if start[each] < end[each]]
        self._consumer.assign(wanted)
        for each in wanted:
            self._consumer.seek(each, start[each])
        while unread := [each for each in wanted if self._consumer.position(each) < end[each]]:
            polled = self._consumer.poll(timeout_ms=PATIENCE_MS)
            if not polled and any(self._consumer.position(each) < end[each] for each in unread):
                topic, partition = unread[0]
                raise AnabranchError(
                    f"{topic} partition {partition} ends at offset {end[unread[0]]}, but Kafka at {self._kafka.address}"
                    f" gave nothing after {self._consumer.position(unread[0])} in {PATIENCE_MS // 1000} s"
                )
            for partition, messages in polled.items():
                yield from (message for message in messages if message.offset < end[partition])

    def whole(self, topics: Sequence[str]) -> Iterator[ConsumerRecord]:
        """Every message that is there by now; of each partition in order."""
        return self.read(self.starts(topics), self.ends(topics))

    def message(self, partition: TopicPartition, offset: int) -> ConsumerRecord | None:
        """The one at this offset; None where it has been compacted away."""
        return next(self.read({partition: offset}, {partition: offset + 1}), None)

    def close(self) -> None:
        self._consumer.close()

    def _partitions(self, topics: Sequence[str]) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for topic in topics for number in self._numbers(topic)]

    def _numbers(self, topic: str) -> list[int]:
        numbers = self._consumer.partitions_for_topic(topic)
        if not numbers:
            raise AnabranchError(
                f"Kafka at {self._kafka.address} has no topic {topic!r}; create it with: anabranch prepare"
            )
        return sorted(numbers)

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _asked(
    ask: Callable[[Sequence[TopicPartition]], dict[TopicPartition, int]], partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """What the client answers of every partition.

    Of many it leaves out those whose leader it does not know at that moment, which it then trips over: it forgets
    those of topics that it does not read. A partition asked for by itself it waits for.
    """
    try:
        return ask(partitions)
    except KeyError:
        return {each: ask((each,))[each] for each in partitions}


def of_partition(offsets: Mapping[TopicPartition, int], number: int) -> dict[TopicPartition, int]:
    """Of these offsets, those of one partition of each topic: all events of some users."""
    return {each: offset for each, offset in offsets.items() if each.partition == number}
