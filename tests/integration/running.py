"""A worker process, and short ways to look at what it did."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from urllib.request import urlopen

import msgspec
import numpy as np
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from deploy.local import ports
from deploy.local.process import Process
from streams.adapters.cassandra import CassandraStore
from streams.core.history import History
from streams.core.user import RecentEvents, Touch, UserState, apply, settle
from streams.core.vectors import Vector, from_bytes
from streams.events import Click, Embedded, Profile, Upload, View
from streams.producer import EventProducer
from streams.replay import play
from streams.settings import Settings

logging.getLogger("kafka.admin").setLevel(logging.ERROR)  # it cannot read what Faust's members say of themselves

USER_TOPICS = ("events.click", "events.view", "events.profile")
Catalogue = Mapping[str, Mapping[str, Vector]]


class RunningWorker:
    """`anabranch worker` as users run it; killed at the end if the test has not stopped it.

    name         of its log
    environment  settings of its own
    """

    def __init__(self, settings: Settings, name: str = "worker", environment: Mapping[str, str] | None = None) -> None:
        self.log = settings.home / "logs" / f"{name}.log"
        self._environment = os.environ | {"ANABRANCH_HOME": str(settings.home)} | dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self.log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "worker"], env=self._environment, stdout=log, stderr=log
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9: no time to commit, write or say anything."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> int:
        """SIGTERM, as an orchestrator would; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=120)

    def sleep(self) -> None:
        """SIGSTOP: not a step more, until `wake`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def exit_code(self) -> int | None:
        """None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


@contextmanager
def running_worker(
    settings: Settings, name: str = "worker", environment: Mapping[str, str] | None = None
) -> Iterator[RunningWorker]:
    worker = RunningWorker(settings, name, environment)
    worker.start()
    try:
        yield worker
    finally:
        worker.close()


@contextmanager
def running_workers(settings: Settings, count: int, **environment: str) -> Iterator[list[RunningWorker]]:
    """Several at once, each with a port for its metrics."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                running_worker(settings, f"worker-{n}", {"ANABRANCH_METRICS__PORT": str(ports.choose()), **environment})
            )
            for n in range(count)
        ]


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


def upload(settings: Settings, uploads: Sequence[Upload]) -> dict[str, dict[str, Vector]]:
    """Upload items; the vectors of these and of all that were there before, as all workers were told of them."""
    announced = TopicReader(settings, "items.embedded", from_start=True)
    with EventProducer(settings.kafka.address) as producer:
        play(producer, uploads)
    missing = {each.item_id for each in uploads}
    vectors: dict[str, dict[str, Vector]] = {}
    while missing:
        messages = announced.read(1)
        assert messages, f"{len(missing)} items were not announced"
        for item in (msgspec.json.decode(each.value, type=Embedded) for each in messages):
            missing.discard(item.item_id)  # other tests' uploads may be announced as well
            vectors[item.item_id] = {name: from_bytes(data) for name, data in item.vectors.items()}
    announced.close()
    return vectors


def committed(settings: Settings, topic: str) -> int:
    """Events of a topic that the workers' group has committed."""
    return sum(done for done, _ in _progress(settings, topic))


def handled(settings: Settings, *topics: str) -> bool:
    """Whether every event of the topics is, so that its effect is stored: lists may be out a moment before."""
    return all(done == end for topic in topics for done, end in _progress(settings, topic))


def _progress(settings: Settings, topic: str) -> list[tuple[int, int]]:
    """For each partition what the workers' group has committed, and where it ends."""
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.address, group_id=settings.kafka.group, enable_auto_commit=False
    )
    try:
        partitions = [TopicPartition(topic, each) for each in consumer.partitions_for_topic(topic)]
        ends = consumer.end_offsets(partitions)
        return [(consumer.committed(partition) or 0, ends[partition]) for partition in partitions]
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


def replayed(
    settings: Settings, activity: Sequence[Profile | Click | View], catalogue: Catalogue
) -> dict[str, UserState]:
    """The users as a pure in-process replay of the same events makes them."""
    users: dict[str, UserState] = {}
    for event in activity:
        user = users.setdefault(
            event.user_id, UserState(event.user_id, History(), RecentEvents(limit=settings.worker.dedup_window))
        )
        if isinstance(event, Click | View):
            weight = settings.worker.click_weight if isinstance(event, Click) else settings.worker.view_weight
            apply(user, event.event_id, Touch(event.item_id, event.ts, weight))
    for user in users.values():
        settle(user, catalogue.get, settings.worker.taste_half_life_seconds)
    return users


async def assert_as_replayed(
    settings: Settings, activity: Sequence[Profile | Click | View], catalogue: Catalogue
) -> None:
    """Every event of the activity, and nothing else, is in the stored users, once."""
    until(lambda: handled(settings, *USER_TOPICS))
    expected = replayed(settings, activity, catalogue)
    stored = await read_users(settings, list(expected))
    assert set(stored) == set(expected)
    for user_id, user in expected.items():
        found, wanted = Counter(stored[user_id].history.item_ids), Counter(user.history.item_ids)
        assert found == wanted, f"{user_id}: lost {wanted - found}, doubled {found - wanted}"
        if user.taste.totals:
            np.testing.assert_allclose(
                stored[user_id].taste.totals["fused"], user.taste.totals["fused"], rtol=1e-4, atol=1e-5, err_msg=user_id
            )
