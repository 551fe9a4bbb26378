"""The table of topics."""

import pytest

from streams import replica
from streams.events import EVENT_TYPES, MAX_EVENT_BYTES
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
