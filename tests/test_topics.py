"""The table of topics."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from kafka.admin import NewTopic

from streams import replica, topics
from streams.events import EVENT_TYPES, MAX_EVENT_BYTES
from streams.settings import Kafka
from streams.topics import TOPICS, Topic

BY_NAME = {topic.name: topic for topic in TOPICS}


def test_every_event_type_has_its_topic() -> None:
    assert set(EVENT_TYPES) <= set(BY_NAME)


def test_last_values_are_compacted_and_logs_are_not() -> None:
    assert {topic.name for topic in TOPICS if topic.compact} == {
        "recommendations",
        "moderation.queue",
        "items.embedded",
    }


def test_what_every_worker_follows_has_one_order_for_all() -> None:
    assert {topic.name for topic in TOPICS if topic.ordered} == set(replica.TOPICS)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_message_over_the_event_limit_still_reaches_kafka(topic: Topic) -> None:
    """It is to be dead-lettered with its bytes, not lost at the producer."""
    assert int(topic.configuration()["max.message.bytes"]) >= 2 * MAX_EVENT_BYTES


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_what_is_not_compacted_ends_one_day(topic: Topic) -> None:
    assert topic.compact != ("retention.ms" in topic.configuration())


class EmptyCluster:
    """An administrator of a cluster without topics."""

    def __init__(self) -> None:
        self.created: list[NewTopic] = []

    def list_topics(self) -> list[str]:
        return []

    def create_topics(self, new: Sequence[NewTopic]) -> None:
        self.created += new


def test_topics_are_created_with_as_many_copies_as_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = EmptyCluster()

    @contextmanager
    def admin(_: Kafka) -> Iterator[EmptyCluster]:
        yield cluster

    monkeypatch.setattr(topics.connections, "kafka_admin", admin)
    assert topics.create(Kafka(partitions=12, replication_factor=3)) == [topic.name for topic in TOPICS]
    assert {each.replication_factor for each in cluster.created} == {3}
    assert {each.name: each.num_partitions for each in cluster.created} == {
        topic.name: 1 if topic.ordered else 12 for topic in TOPICS
    }
