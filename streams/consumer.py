"""For those who read lists: follow the `recommendations` topic, or look one user up; for those who search, or forget.

with ListReader("127.0.0.1:9092") as reader:
    for each in reader:
        print(each.user_id, [item.item_id for item in each.items])
"""

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TypeVar

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.partitioner.default import murmur2

from streams.adapters import connections
from streams.errors import AnabranchError
from streams.events import Event, Forget, Forgotten, Query, Recommendations, SearchResults
from streams.producer import EventProducer, pseudonymous
from streams.settings import Kafka

LISTS = "recommendations"
ANSWERS = "search.results"
FORGOTTEN = "forgotten"

T = TypeVar("T")
_decoder = msgspec.json.Decoder(Recommendations)


class ListReader:
    """Reads refreshed lists as they come; never one older than what it has given of that user before.

    to          Kafka's settings; or only host:port, where Kafka lets anybody in
    from_start  begin with the lists that are there already
    taken_back  called with the id of each user who is forgotten: any list of theirs is to be erased

    Raises AnabranchError when the topic does not exist, KafkaUnavailable when Kafka does not let us in.
    """

    def __init__(
        self, to: Kafka | str, *, from_start: bool = False, taken_back: Callable[[str], None] = lambda user_id: None
    ) -> None:
        self._newest: dict[str, int] = {}
        self._taken_back = taken_back
        self._consumer = _connect(to)
        partitions = _partitions(self._consumer, LISTS)
        self._consumer.assign(partitions)
        (self._consumer.seek_to_beginning if from_start else self._consumer.seek_to_end)(*partitions)
        for partition in partitions:
            self._consumer.position(partition)  # settles where we are before anything new arrives

    def poll(self, seconds: float) -> list[Recommendations]:
        """The lists that arrive within some seconds; empty when none does."""
        found = []
        for messages in self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=5_000).values():
            for message in messages:
                if message.value is None:
                    self._take_back(message)
                    continue
                each = _decoder.decode(message.value)
                if each.list_version >= self._newest.get(each.user_id, 0):
                    self._newest[each.user_id] = each.list_version
                    found.append(each)
        return found

    def _take_back(self, message: ConsumerRecord) -> None:
        user_id, version = message.key.decode(), _taken_back_at(message)
        if version >= self._newest.get(user_id, 0):
            self._newest[user_id] = version
            self._taken_back(user_id)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def __iter__(self) -> Iterator[Recommendations]:
        while True:
            yield from self.poll(1.0)

    def __enter__(self) -> "ListReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def latest(to: Kafka | str, user_id: str) -> Recommendations | None:
    """The list a user has now, or None. Raises AnabranchError when the topic does not exist.

    user_id  the real one, where the settings have the key of pseudonyms
    """
    consumer = _connect(to)
    try:
        key = (user_id if isinstance(to, str) else to.pseudonym(user_id)).encode()
        partition = _partition(consumer, LISTS, key)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        found, newest = None, 0
        while consumer.position(partition) < end:
            for message in consumer.poll(timeout_ms=500).get(partition, ()):
                if message.key == key:
                    each = _decoder.decode(message.value) if message.value is not None else None
                    version = each.list_version if each else _taken_back_at(message)
                    if version >= newest:
                        found, newest = each, version
        return found
    finally:
        consumer.close()


def ask(to: Kafka | str, query: Query, patience: float = 10.0) -> SearchResults | None:
    """The answer to a query, or None where none comes for some seconds. Raises AnabranchError.

    Reads and writes: as its Kafka user, who may do both.
    """
    return _ask(to, query, ANSWERS, SearchResults, lambda answer: answer.query_id == query.event_id, patience)


def forget(to: Kafka | str, request: Forget, patience: float = 30.0) -> Forgotten | None:
    """Have a user forgotten: the confirmation, or None where none comes for some seconds. Raises AnabranchError.

    Reads and writes, like `ask`.
    """
    return _ask(to, request, FORGOTTEN, Forgotten, lambda answer: answer.event_id == request.event_id, patience)


def _ask(
    to: Kafka | str, event: Event, topic: str, kind: type[T], is_answer: Callable[[T], bool], patience: float
) -> T | None:
    """Send an event, and wait for the answer under its key in another topic."""
    event = pseudonymous(event, to)
    consumer = _connect(to)
    try:
        key = event.key.encode()
        partition = _partition(consumer, topic, key)
        consumer.assign([partition])
        consumer.seek_to_end(partition)
        consumer.position(partition)  # settles where we are before the answer arrives
        with EventProducer(to, as_they_are=True, linger_ms=0) as producer:
            producer.send(event)
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0:
            for message in consumer.poll(timeout_ms=int(1000 * left) + 1).get(partition, ()):
                if message.key == key:
                    answer = msgspec.json.decode(message.value, type=kind)
                    if is_answer(answer):
                        return answer
        return None
    finally:
        consumer.close()


def _taken_back_at(message: ConsumerRecord) -> int:
    """The version of a list that is taken back: lists with a smaller one are older."""
    return int(dict(message.headers).get("list_version", b"0"))


def _connect(to: Kafka | str) -> KafkaConsumer:
    return connections.kafka(KafkaConsumer, to, group_id=None, enable_auto_commit=False)


def _partition(consumer: KafkaConsumer, topic: str, key: bytes) -> TopicPartition:
    """Where messages with that key are."""
    partitions = _partitions(consumer, topic)
    return partitions[(murmur2(key) & 0x7FFFFFFF) % len(partitions)]


def _partitions(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        consumer.close()
        where = consumer.config["bootstrap_servers"]
        raise AnabranchError(f"Kafka at {where} has no topic {topic!r}; create it with: anabranch topics create")
    return [TopicPartition(topic, number) for number in sorted(numbers)]
