"""A server whose disk is full: nothing is lost, and all goes on once there is room again.

The disks are small ones in memory, which only root may mount; Kafka's and Cassandra's are apart.
"""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from rich.console import Console

from deploy.local import ports
from deploy.local import servers as local_servers
from deploy.local.worker import RunningWorker, running_worker
from streams.errors import SinkUnavailable
from streams.events import Click
from streams.producer import EventProducer
from streams.replay import ListWatcher, play
from streams.settings import Settings, load
from streams.verify import verify
from tests.integration.running import USER_TOPICS, handled, until

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts small disks, which only root may"),
]
QUIET = Console(quiet=True)
MEBIBYTES = {"kafka": 96, "cassandra": 192}  # Kafka makes room for the index of each partition before there is any


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[None]:
    folder.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", f"size={mebibytes}m", "anabranch-test"]
    if subprocess.run(["mount", *options, str(folder)], capture_output=True).returncode:
        pytest.skip("mounts small disks, which is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Kafka and Cassandra of their own on small disks; no Triton, as nothing is to be embedded."""
    downloads = load().downloads_folder.resolve()
    settings = ports.choose_all(load(home=tmp_path_factory.mktemp("cramped"), downloads=downloads))
    with ExitStack() as stack:
        for name, mebibytes in MEBIBYTES.items():
            stack.enter_context(small_disk(settings.home / name, mebibytes))
        try:
            local_servers.start_and_wait(servers(settings), QUIET)
            local_servers.prepare(settings)
            yield settings
        finally:
            for server in servers(settings):
                server.process.stop()


def servers(settings: Settings) -> list[local_servers.Server]:
    return [server for server in local_servers.servers(settings) if server.name in MEBIBYTES]


def fill(disk: Path) -> Path:
    """Take all the room there is left; the file that does."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(64 * 1024)):
                pass
        except OSError as error:
            assert error.strerror == "No space left on device"
    return filler


def says_what_is_wrong(worker: RunningWorker, name: str | None) -> bool:
    """Whether the worker names this server, or none of the two; it is started again if a failed batch has ended it."""
    if worker.exit_code() is not None:
        assert worker.exit_code() == 70
        worker.start()
    report = worker.report()
    if report is None:
        return False
    return name in report.wrong if name else not {*report.wrong} & {"start", *MEBIBYTES}


@pytest.mark.parametrize("name", MEBIBYTES)
def test_a_full_disk_stops_its_server_and_loses_nothing(cramped: Settings, name: str) -> None:
    [server] = [each for each in servers(cramped) if each.name == name]
    sent: list[Click] = []
    with running_worker(cramped) as worker, ListWatcher(cramped.kafka) as watcher:
        # Whoever is told that an event was not taken, or is told nothing, sends it again.
        with suppress(SinkUnavailable), EventProducer(cramped.kafka) as producer:

            def click() -> None:
                number = len(sent)
                sent.append(
                    Click(event_id=f"{name}-{number}", user_id=f"{name}-{number % 50}", item_id="x", ts=time.time())
                )
                watcher.expect(sent[-1])
                producer.send(sent[-1])

            for _ in range(200):
                click()
            watcher.wait(patience=180)
            assert watcher.report.unanswered == set()

            filler = fill(cramped.home / name)

            def ended() -> bool:
                click()
                return server.process.find() is None

            until(ended)
            until(lambda: says_what_is_wrong(worker, name))
            filler.unlink()
            local_servers.start_and_wait([server], QUIET)
        with EventProducer(cramped.kafka) as producer:
            missed = [each for each in sent if each.event_id in watcher.report.unanswered]
            assert missed, "all was answered before the disk was full: the test has shown nothing"
            play(producer, missed)
        until(lambda: says_what_is_wrong(worker, None))
        watcher.wait(patience=180)
        assert watcher.report.unanswered == set()
        until(lambda: handled(cramped, *USER_TOPICS))
        assert worker.terminate() == 0
    report = asyncio.run(verify(cramped, QUIET))
    assert report.is_clean and report.in_motion == 0 and report.users >= 50, str(report)
