"""For those who send events: a producer that tells you at once when an event is malformed.

with EventProducer("127.0.0.1:9092") as producer:
    producer.send(Click(event_id="e1", user_id="ada", item_id="42", ts=time.time()))
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from msgspec import structs

from streams import tracing
from streams.adapters import connections
from streams.errors import SinkUnavailable
from streams.events import EVENT_TYPES, Event, decode, encode
from streams.settings import Kafka

TOPICS = {kind: topic for topic, kind in EVENT_TYPES.items()}


class EventProducer:
    """Validates and sends events; in the background, and surely once `flush` or the `with` block has returned.

    to           Kafka's settings; or only host:port, where Kafka lets anybody in
    as_they_are  send user ids so, whatever the settings say: they are pseudonyms already, or nobody's
    options      of kafka-python's producer

    Raises KafkaUnavailable.
    """

    def __init__(self, to: Kafka | str, *, as_they_are: bool = False, **options: Any) -> None:
        self._to = "" if as_they_are else to
        self._failure: BaseException | None = None
        ours = {"acks": "all", "linger_ms": 1, "batch_size": 256 * 1024, "max_request_size": 4 * 1024 * 1024}
        self._producer = connections.kafka(KafkaProducer, to, **ours | options)

    def send(self, event: Event, on_sent: Callable[[], None] | None = None) -> None:
        """Send one event, keyed so that all of a user's go through one partition. Raises Rejected.

        on_sent  called, from another thread, once Kafka has it
        """
        event = pseudonymous(event, self._to)
        topic, key, value = TOPICS[type(event)], event.key.encode(), encode(event)
        decode(topic, value, key=key, now=time.time())
        self.send_raw(topic, key, value, on_sent)

    def send_raw(
        self, topic: str, key: bytes | None, value: bytes | None, on_sent: Callable[[], None] | None = None
    ) -> None:
        """Send bytes as they are, unchecked, with whatever user id is in them."""
        future = self._producer.send(topic, value=value, key=key, headers=list(tracing.headers()))
        future.add_errback(self._failed)
        if on_sent:
            future.add_callback(lambda _: on_sent())

    def flush(self) -> None:
        """Wait until Kafka has everything sent so far. Raises SinkUnavailable if it did not take some of it."""
        try:
            self._producer.flush()
        except KafkaError as error:
            raise SinkUnavailable(f"Kafka did not take the events: {error}") from error
        if self._failure:
            raise SinkUnavailable(f"Kafka did not take an event: {self._failure}") from self._failure

    def close(self) -> None:
        """Flush and disconnect."""
        try:
            self.flush()
        finally:
            self._producer.close()

    def _failed(self, error: BaseException) -> None:
        self._failure = self._failure or error

    def __enter__(self) -> "EventProducer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def pseudonymous(event: Event, to: Kafka | str) -> Event:
    """The event with what stands for its user's id, where the settings have a key."""
    user_id = getattr(event, "user_id", None)
    if isinstance(to, str) or user_id is None:
        return event
    return structs.replace(event, user_id=to.pseudonym(user_id))
