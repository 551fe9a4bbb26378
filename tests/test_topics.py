"""The table of topics."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from kafka.admin import NewTopic

from streams import replica, topics
from streams.events import EVENT_TYPES, MAX_EVENT_BYTES
from streams.settings import Kafka, Retention, Settings, SettingsError, load
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
    assert int(topic.configuration(Retention())["max.message.bytes"]) >= 2 * MAX_EVENT_BYTES


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_what_is_not_compacted_ends_one_day(topic: Topic) -> None:
    assert topic.compact != ("retention.ms" in topic.configuration(Retention()))


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
    settings = Settings(kafka=Kafka(partitions=12, replication_factor=3), retention=Retention(events_days=3))
    assert topics.create(settings) == [topic.name for topic in TOPICS]
    kept = {each.name: int(each.topic_configs.get("retention.ms", 0)) / topics.DAY_MS for each in cluster.created}
    assert (kept["events.click"], kept["events.profile"], kept["recommendations"]) == (3, 365, 0)
    assert {each.replication_factor for each in cluster.created} == {3}
    assert {each.name: each.num_partitions for each in cluster.created} == {
        topic.name: 1 if topic.ordered else 12 for topic in TOPICS
    }


def test_who_is_silent_for_as_long_as_is_set_has_no_list_any_more() -> None:
    lists, items = BY_NAME["recommendations"], BY_NAME["items.embedded"]
    short = Retention(users_days=90)
    assert lists.configuration(Retention())["cleanup.policy"] == "compact"
    assert lists.configuration(short)["cleanup.policy"] == "compact,delete"
    assert lists.configuration(short)["retention.ms"] == str(90 * topics.DAY_MS)
    assert items.configuration(short) == items.configuration(Retention())


def test_events_are_not_kept_for_longer_than_the_requests_to_forget_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_RETENTION__PROFILES_DAYS", "60")
    with pytest.raises(SettingsError, match="INTERACTIONS_DAYS=90 is above ANABRANCH_RETENTION__PROFILES_DAYS=60"):
        load()
    monkeypatch.setenv("ANABRANCH_RETENTION__PROFILES_DAYS", "391")
    with pytest.raises(
        SettingsError, match="RETENTION__PROFILES_DAYS='391': Input should be less than or equal to 390"
    ):
        load()
