"""A worker process, and short ways to look at what it did."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from streams.settings import Settings


class RunningWorker:
    """`anabranch worker` as users run it; killed at the end if the test has not stopped it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self._settings.home / "logs" / "worker.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "worker"],
            env=os.environ | {"ANABRANCH_HOME": str(self._settings.home)},
            stdout=log,
            stderr=log,
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
        return self._process.wait(timeout=30)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


@contextmanager
def running_worker(settings: Settings) -> Iterator[RunningWorker]:
    worker = RunningWorker(settings)
    worker.start()
    try:
        yield worker
    finally:
        worker.close()


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


def committed(settings: Settings, topic: str) -> int:
    """Events of a topic that the workers' group has committed."""
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.address, group_id=settings.kafka.group, enable_auto_commit=False
    )
    try:
        partitions = [TopicPartition(topic, each) for each in consumer.partitions_for_topic(topic)]
        return sum(consumer.committed(partition) or 0 for partition in partitions)
    finally:
        consumer.close()
