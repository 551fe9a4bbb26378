"""The log's reader, where Kafka's client does not answer all that it was asked."""

from collections.abc import Iterable, Mapping

import pytest
from kafka import TopicPartition
from kafka.structs import OffsetAndTimestamp

from streams.adapters import connections
from streams.event_log import EventLog
from streams.settings import Kafka

TOPICS = ("events.click", "events.view")
CLICKS, VIEWS = (TopicPartition(topic, 0) for topic in TOPICS)
OFFSETS = {CLICKS: 7, VIEWS: 3}


class ForgetfulClient:
    """As kafka-python where clicks are what it reads: it knows no leader of others, until asked for one by itself."""

    def __init__(self, **_: object) -> None: ...

    def partitions_for_topic(self, _: str) -> set[int]:
        return {0}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        answered = self._answered(partitions)
        return {each: answered[each] for each in partitions}

    beginning_offsets = end_offsets

    def offsets_for_times(
        self, moments: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        answered = self._answered(moments)
        late = {each for each, moment in moments.items() if moment >= 10_000}
        return {
            each: OffsetAndTimestamp(answered[each] - 1, moment, -1) if each in answered and each not in late else None
            for each, moment in moments.items()
        }

    def _answered(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        asked = list(partitions)
        return {each: OFFSETS[each] for each in asked if len(asked) == 1 or each == CLICKS}

    def close(self) -> None: ...


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> EventLog:
    monkeypatch.setattr(connections, "kafka", lambda _, __, **options: ForgetfulClient(**options))
    return EventLog(Kafka())


def test_ends_and_starts_are_those_of_every_partition(log: EventLog) -> None:
    assert log.ends(TOPICS) == OFFSETS
    assert log.starts(TOPICS) == OFFSETS


def test_no_partition_is_taken_to_have_nothing_since_a_moment_because_it_was_left_out(log: EventLog) -> None:
    assert log.since(TOPICS, 1.0) == {CLICKS: 6, VIEWS: 2}


def test_what_had_nothing_since_is_read_from_its_end(log: EventLog) -> None:
    assert log.since(TOPICS, 10.0) == OFFSETS
