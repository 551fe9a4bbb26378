"""A worker leaves what it knows in a folder, and the next one begins with it."""

import errno
import fcntl
import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from streams.events import Learned, encode
from streams.ports import Logged
from streams.replica import INTERACTIONS, Replica
from streams.snapshots import KEPT, SnapshotFolder
from tests.pipeline.test_replica import a_replica, follow, interactions


async def a_learned_replica(count: int = 50) -> Replica:
    replica = a_replica()
    await follow(replica, INTERACTIONS, interactions(count))
    return replica


def only_file(folder: Path) -> Path:
    [file] = folder.iterdir()
    return file


def left_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_what_one_left_the_next_begins_with(tmp_path: Path) -> None:
    learned, fresh = await a_learned_replica(), a_replica("w2")
    SnapshotFolder(tmp_path, learned).save()
    SnapshotFolder(tmp_path, fresh).restore()
    assert fresh.offsets == learned.offsets
    assert fresh.recommender.snapshot() == learned.recommender.snapshot()


async def test_nothing_of_the_file_is_kept_once_it_is_restored(tmp_path: Path) -> None:
    learned, fresh = await a_learned_replica(), a_replica("w2")
    SnapshotFolder(tmp_path, learned).save()
    file = only_file(tmp_path)
    with file.open("rb") as opened:
        data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    fresh.restore(data)
    data.close()  # refused while anything refers to it: whoever is forgotten would stay on the disk
    assert fresh.recommender.snapshot() == learned.recommender.snapshot()


async def test_a_snapshot_that_was_cut_short_is_left_aside(tmp_path: Path) -> None:
    SnapshotFolder(tmp_path, await a_learned_replica()).save()
    file = only_file(tmp_path)
    whole = file.read_bytes()
    for length in (20, 30, len(whole) // 2, len(whole) - 100):
        file.write_bytes(whole[:length])
        replica = a_replica()
        with structlog.testing.capture_logs() as logged:
            SnapshotFolder(tmp_path, replica).restore()
        assert replica.offsets[INTERACTIONS] == 0 and len(replica.recommender.catalogue) == 0
        assert [each["event"] for each in logged] == ["snapshot does not fit, all is learned anew"]


async def test_a_snapshot_is_written_only_where_enough_is_new(tmp_path: Path) -> None:
    learned = await a_learned_replica(50)
    folder = SnapshotFolder(tmp_path, learned)
    folder.save(least=52)
    assert left_in(tmp_path) == []
    folder.save(least=51)
    folder.save()
    assert len(left_in(tmp_path)) == 1


async def test_only_the_last_few_are_kept_and_nothing_unfinished(tmp_path: Path) -> None:
    for count in range(1, KEPT + 3):
        SnapshotFolder(tmp_path, await a_learned_replica(count)).save()
    assert left_in(tmp_path) == [f"{number:08}.snapshot" for number in (3, 4)]


@pytest.mark.parametrize("content", [b"", b"anabranch-memory", b"something else entirely"])
def test_a_snapshot_that_is_none_is_told_of_and_left_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "00000001.snapshot").write_bytes(content)
    replica = a_replica()
    with structlog.testing.capture_logs() as logged:
        SnapshotFolder(tmp_path, replica).restore()
    assert replica.offsets[INTERACTIONS] == 0
    assert [each["event"] for each in logged] == ["snapshot does not fit, all is learned anew"]


async def test_a_disk_that_is_full_costs_the_snapshot_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = SnapshotFolder(tmp_path, await a_learned_replica())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("streams.snapshots.os.fsync", full)
        snapshots.save()
    assert left_in(tmp_path) == []
    snapshots.save()
    assert len(left_in(tmp_path)) == 1, "there is room again"


KILLED_AMID_A_WRITE = """
import os, signal, sys
from pathlib import Path
from streams.snapshots import SnapshotFolder
from tests.pipeline.test_replica import a_replica

replica = a_replica()
replica.offsets["interactions"] = 1
replica.snapshot = lambda: [b"forgotten-zaphod"]
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
SnapshotFolder(Path(sys.argv[1]), replica).save()
"""


def killed_amid_a_write(folder: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED_AMID_A_WRITE, str(folder)], timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
    [unfinished] = folder.iterdir()
    assert unfinished.suffix != ".snapshot" and b"zaphod" in unfinished.read_bytes()


async def test_what_a_killed_worker_left_unfinished_is_erased_when_somebody_is_forgotten(tmp_path: Path) -> None:
    replica = a_replica()
    SnapshotFolder(tmp_path, replica)
    killed_amid_a_write(tmp_path)
    forgotten = Learned(user_id="zaphod", touches=[], worker="w", forgotten=True)
    await replica.follow(INTERACTIONS, [Logged(0, encode(forgotten))])
    assert left_in(tmp_path) == []


def test_a_worker_that_starts_sweeps_what_was_left_unfinished_and_nothing_that_is_being_written(tmp_path: Path) -> None:
    killed_amid_a_write(tmp_path)
    at_it = tmp_path / "00000001.1"
    with at_it.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        SnapshotFolder(tmp_path, a_replica()).restore()
        assert left_in(tmp_path) == ["00000001.1"]
    SnapshotFolder(tmp_path, a_replica()).restore()
    assert left_in(tmp_path) == []


async def test_a_snapshot_that_was_erased_while_it_was_written_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, neighbour = SnapshotFolder(tmp_path, await a_learned_replica()), SnapshotFolder(tmp_path, a_replica())
    with monkeypatch.context() as patch:
        patch.setattr("streams.snapshots.os.fsync", lambda _: neighbour.clear())
        writing.save()
    assert left_in(tmp_path) == []
    writing.save()
    assert left_in(tmp_path) == ["00000001.snapshot"]
