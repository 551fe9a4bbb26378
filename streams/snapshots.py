"""Snapshots of what a worker knows, in a folder: written whole or not at all, and begun from where they fit.

All workers know the same at the same place of the logs (`streams.replica`), so whoever wrote a snapshot, all may begin
with it; workers of one machine share the folder.

A snapshot may hold a user who is forgotten later: all are erased when somebody is, and written anew by the next `save`.
So is what a worker that was killed left unfinished: it may hold anybody.
"""

import fcntl
import mmap
import os
from pathlib import Path

import structlog

from streams.core.memory.snapshot import Bytes, UnknownSnapshot
from streams.events import Learned
from streams.replica import Replica

SUFFIX = ".snapshot"
KEPT = 2

log = structlog.get_logger()


class SnapshotFolder:
    """Where the snapshots of one replica come from and go to."""

    def __init__(self, folder: Path, replica: Replica) -> None:
        self._folder = folder
        self._replica = replica
        self._known = 0  # messages that are in the newest snapshot
        replica.on_learned = self._heard

    def restore(self) -> None:
        """Begin with the newest snapshot, where there is one and it fits; a log entry says if it does not."""
        for each in self._unfinished():
            if not _is_being_written(each):
                each.unlink(missing_ok=True)
        path = self._newest()
        if path is None:
            return
        try:
            self._replica.restore(_mapped(path))
        except UnknownSnapshot as refusal:
            log.warning("snapshot does not fit, all is learned anew", file=str(path), reason=str(refusal))
        else:
            self._known = _followed(self._replica)

    def save(self, least: int = 1) -> None:
        """Write a snapshot if at least so many messages were followed since the last one.

        Where it cannot be written, as on a full disk, a log entry says so: the next start only takes longer.
        """
        if _followed(self._replica) - self._known < least:
            return
        try:
            self._write()
        except OSError as error:
            log.warning("no snapshot could be written", folder=str(self._folder), reason=str(error))

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._number() + 1:08}{SUFFIX}"
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            with unfinished.open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed, be it by our death: we are still at it
                file.writelines(self._replica.snapshot())
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        self._known = _followed(self._replica)
        for old in self._files()[:-KEPT]:
            old.unlink(missing_ok=True)

    def _heard(self, learned: Learned) -> None:
        if learned.forgotten:
            self.clear()

    def clear(self) -> None:
        """Erase every snapshot, whoever wrote it or is at it: what is being written fails, and is by a later `save`."""
        for each in [*self._files(), *self._unfinished()]:
            each.unlink(missing_ok=True)
        self._known = 0

    def _newest(self) -> Path | None:
        return next(reversed(self._files()), None)

    def _number(self) -> int:
        newest = self._newest()
        return int(newest.stem) if newest else 0

    def _files(self) -> list[Path]:
        return sorted(each for each in self._folder.glob(f"*{SUFFIX}") if each.stem.isdigit())

    def _unfinished(self) -> list[Path]:
        return [each for each in self._folder.glob("*.*") if each.stem.isdigit() and each.suffix[1:].isdigit()]


def _mapped(path: Path) -> Bytes:
    """What is in a file; only what is looked at is read. It is let go of with the last that refers to it."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""


def _is_being_written(unfinished: Path) -> bool:
    """Whether somebody is at it; a process id would not tell, as each container has its own."""
    try:
        with unfinished.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, or gone by now
        return True
    return False


def _followed(replica: Replica) -> int:
    return sum(replica.offsets.values())
