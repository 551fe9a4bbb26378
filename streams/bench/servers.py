"""Servers of the benchmark's own, and a backlog that every variant reads from its start."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from deploy.local import ports, servers
from deploy.local.downloads import locked
from streams.adapters import connections, schema
from streams.event_log import EventLog
from streams.events import Click, Upload, View
from streams.producer import EventProducer
from streams.replay import load_catalogue, play
from streams.settings import Settings, load

EVENT_TOPICS = ("events.click", "events.view", "events.upload", "events.profile")
SET_UP = ("events.upload", "events.profile")  # what the variants are not to read

WORKER = ("streams.cli", "worker")


@contextmanager
def running(home: Path, downloads: Path, console: Console) -> Iterator[Settings]:
    """Kafka, Cassandra and Triton with fresh data and ports of their own; stopped in the end, come what may.

    home       of their data and logs; one benchmark at a time
    downloads  where the servers' files are kept between runs
    """
    with locked(home / "bench.lock"):
        servers.down(load(home=home, downloads=downloads))  # those of a benchmark that was killed
        settings = ports.choose_all(load(home=home, downloads=downloads))
        try:
            yield servers.up(settings, console, fresh=True)
        finally:
            with console.status("stopping the servers"):
                servers.down(settings)


def load_items(settings: Settings, console: Console, uploads: list[Upload]) -> None:
    """Have a worker embed the catalogue, so that every variant finds the vectors in `items.embedded`."""
    with worker(settings, {}), EventProducer(settings.kafka.address) as producer:
        load_catalogue(settings, console, producer, uploads, servers.worker_process(settings))


@contextmanager
def worker(settings: Settings, environment: dict[str, str], command: Sequence[str] = WORKER) -> Iterator[int]:
    """`anabranch worker` as people run it, or another, with some settings of its own; its process id."""
    process = servers.worker_process(settings)
    process.start([sys.executable, "-m", *command], env=at_home(settings) | environment)
    try:
        running = process.find()
        assert running is not None
        yield running.pid
    finally:
        process.stop()


def at_home(settings: Settings) -> dict[str, str]:
    """The environment that leads a process to these servers."""
    return {"ANABRANCH_HOME": str(settings.home.resolve())}


def send_backlog(settings: Settings, events: Iterable[Click | View]) -> None:
    """Put the events into their topics, as fast as it goes."""
    with EventProducer(settings.kafka.address, linger_ms=20) as producer:
        play(producer, events)


def prepare(settings: Settings, name: str, *, forget: bool = True) -> dict[str, str]:
    """A consumer group and a keyspace that nobody has used.

    forget  no memory of what the variant before has learned

    Returns the environment of a process that is to use them.
    """
    keyspace = f"bench_{name}"
    _begin_at_the_end(settings, keyspace, SET_UP)
    if forget:
        with EventLog(settings.kafka) as log, connections.kafka_admin(settings.kafka) as admin:
            admin.delete_records(dict(log.ends(("interactions",))))
    schema.migrate(settings.cassandra.model_copy(update={"keyspace": keyspace}))
    return using(keyspace, keyspace)


def continue_at_the_end(settings: Settings, name: str, keyspace: str) -> dict[str, str]:
    """A new consumer group that reads only what comes from now on, with the users and the memory that are there."""
    _begin_at_the_end(settings, name, EVENT_TOPICS)
    return using(name, keyspace)


def using(group: str, keyspace: str) -> dict[str, str]:
    return {"ANABRANCH_KAFKA__GROUP": group, "ANABRANCH_CASSANDRA__KEYSPACE": keyspace}


def _begin_at_the_end(settings: Settings, group: str, topics: Sequence[str]) -> None:
    """Have this consumer group go on behind what is in these topics."""
    with EventLog(settings.kafka.model_copy(update={"group": group})) as log:
        log.rewind(log.ends(topics))
