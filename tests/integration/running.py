"""A worker process, and short ways to look at what it did."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.request import urlopen

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from deploy.local.process import Process
from streams.adapters.cassandra import CassandraStore
from streams.app import policy_of
from streams.core.user import UserState
from streams.core.vectors import Vector, from_bytes
from streams.core.verification import Log, compare
from streams.events import Click, Embedded, Profile, Upload, View
from streams.producer import EventProducer
from streams.replay import play
from streams.settings import Settings
from streams.verify import replayed

logging.getLogger("kafka.admin").setLevel(logging.ERROR)  # it cannot read what Faust's members say of themselves

USER_TOPICS = ("events.click", "events.view", "events.profile")
Catalogue = Mapping[str, Mapping[str, Vector]]


@contextmanager
def serving(settings: Settings, **environment: str) -> Iterator[str]:
    """`anabranch serve` as users run it; host:port, once it is ready."""
    process = Process("http", settings.home / "run", settings.home / "logs")
    command = [sys.executable, "-m", "streams.cli", "serve"]
    process.start(command, env={"ANABRANCH_HOME": str(settings.home)} | environment)
    address = f"{settings.http.host}:{settings.http.port}"
    deadline = time.monotonic() + 120
    try:
        while not _answers(f"http://{address}/readyz"):
            assert process.find() is not None and time.monotonic() < deadline, process.last_words()
            time.sleep(0.2)
        yield address
    finally:
        process.stop()


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):
            return True
    except OSError:
        return False


class TopicReader:
    """Reads one topic from where it ended when the reader was made, or from its start."""

    def __init__(self, settings: Settings, topic: str, *, from_start: bool = False) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=settings.kafka.address, group_id=None, enable_auto_commit=False
        )
        partitions = [TopicPartition(topic, each) for each in self._consumer.partitions_for_topic(topic)]
        self._consumer.assign(partitions)
        (self._consumer.seek_to_beginning if from_start else self._consumer.seek_to_end)(*partitions)
        for partition in partitions:
            self._consumer.position(partition)

    def read(self, count: int, patience: float = 60.0) -> list[ConsumerRecord]:
        """At least `count` messages, or what came before nothing did for `patience` seconds."""
        found: list[ConsumerRecord] = []
        while len(found) < count:
            polled = self._consumer.poll(timeout_ms=int(patience * 1000))
            if not polled:
                break
            found += [message for messages in polled.values() for message in messages]
        return found

    def read_all(self) -> list[ConsumerRecord]:
        """Everything that is there by now."""
        found: list[ConsumerRecord] = []
        ends = self._consumer.end_offsets(self._consumer.assignment())
        while any(self._consumer.position(partition) < end for partition, end in ends.items()):
            found += [message for messages in self._consumer.poll(timeout_ms=500).values() for message in messages]
        return found

    def close(self) -> None:
        self._consumer.close()


def upload(
    settings: Settings, uploads: Sequence[Upload], items_topic: str = "items.embedded"
) -> dict[str, dict[str, Vector]]:
    """Upload items; the vectors of these and of all that were there before, as all workers were told of them."""
    announced = TopicReader(settings, items_topic, from_start=True)
    with EventProducer(settings.kafka.address) as producer:
        play(producer, uploads)
    missing = {each.item_id for each in uploads}
    messages: list[ConsumerRecord] = []
    while missing:
        new = announced.read(1)
        assert new, f"{len(missing)} items were not announced"
        messages += new
        missing -= {(each.key or b"").decode() for each in new}
    messages += announced.read_all()  # what other tests have uploaded may come after those of the same names
    announced.close()
    items = [msgspec.json.decode(each.value, type=Embedded) for each in messages if each.value]
    return {item.item_id: {name: from_bytes(data) for name, data in item.vectors.items()} for item in items}


def committed(settings: Settings, topic: str) -> int:
    """Events of a topic that the workers' group has committed."""
    return sum(done for done, _ in progress(settings, topic).values())


def handled(settings: Settings, *topics: str) -> bool:
    """Whether every event of the topics is, so that its effect is stored: lists may be out a moment before."""
    return all(done == end for topic in topics for done, end in progress(settings, topic).values())


def progress(settings: Settings, topic: str) -> dict[int, tuple[int, int]]:
    """For each partition what the workers' group has committed, and where it ends."""
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.address, group_id=settings.kafka.group, enable_auto_commit=False
    )
    try:
        partitions = [TopicPartition(topic, each) for each in consumer.partitions_for_topic(topic)]
        ends = consumer.end_offsets(partitions)
        return {each.partition: (consumer.committed(each) or 0, ends[each]) for each in partitions}
    finally:
        consumer.close()


def until(condition: Callable[[], bool], patience: float = 180.0) -> None:
    """Wait until something is so; fails if it is not in time."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not so after {patience:.0f} s"
        time.sleep(0.05)


def owners(settings: Settings) -> dict[str, dict[str, set[int]]]:
    """Member of the workers' group -> topic -> its partitions; empty while the group is moving them."""
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.address)
    try:
        [group] = admin.describe_groups([settings.kafka.group]).values()
    finally:
        admin.close()
    if group["group_state"] != "Stable":
        return {}
    return {
        member["member_id"]: {
            each["topic"]: set(each["partitions"]) for each in member["member_assignment"]["assigned_partitions"]
        }
        for member in group["members"]
    }


async def read_users(settings: Settings, user_ids: Sequence[str]) -> dict[str, UserState]:
    store = await CassandraStore.connect(settings.cassandra, dedup_window=settings.worker.dedup_window)
    try:
        return dict(await store.read_users(user_ids))
    finally:
        await store.close()


async def assert_as_replayed(
    settings: Settings, activity: Sequence[Profile | Click | View], catalogue: Catalogue
) -> None:
    """Every event of the activity, and nothing else, is in the stored users, once."""
    until(lambda: handled(settings, *USER_TOPICS))
    policy = policy_of(settings)
    log = Log(catalogue.get, set(), True, policy.taste_half_life, policy.dedup_window)
    expected = replayed(activity, policy)
    stored = await read_users(settings, list(expected))
    differences = [
        f"{user_id}: {difference}"
        for user_id, events in expected.items()
        if (difference := compare(user_id, events, stored.get(user_id), log))
    ]
    assert not differences, "\n".join(differences)  # pytest tells nothing of itself here
