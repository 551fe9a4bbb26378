"""A worker leaves what it knows in a folder, and the next one begins with it."""

import errno
import os
from pathlib import Path

import pytest
import structlog

from streams.replica import INTERACTIONS, Replica
from streams.snapshots import KEPT, SnapshotFolder
from tests.pipeline.test_replica import a_replica, follow, interactions


async def a_learned_replica(count: int = 50) -> Replica:
    replica = a_replica()
    await follow(replica, INTERACTIONS, interactions(count))
    return replica


def left_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_what_one_left_the_next_begins_with(tmp_path: Path) -> None:
    learned, fresh = await a_learned_replica(), a_replica("w2")
    SnapshotFolder(tmp_path, learned).save()
    SnapshotFolder(tmp_path, fresh).restore()
    assert fresh.offsets == learned.offsets
    assert fresh.recommender.snapshot() == learned.recommender.snapshot()


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
