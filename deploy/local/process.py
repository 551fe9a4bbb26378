"""Processes that outlive the command which started them: kept by pid, and known again by their start time."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec
import psutil


class _Mark(msgspec.Struct):
    pid: int
    started: float


class Process:
    """One background process.

    name    of the pid file and of the log
    run     folder of the pid files
    logs    folder of the logs
    """

    def __init__(self, name: str, run: Path, logs: Path) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        self._mark = run / f"{name}.pid"

    def start(self, command: list[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        """Start it in a group of its own, so that Ctrl-C in the terminal does not reach it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._mark.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                command,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._mark.write_bytes(msgspec.json.encode(_Mark(child.pid, psutil.Process(child.pid).create_time())))

    def find(self) -> psutil.Process | None:
        """The running process, or None. A pid that another program has by now is not taken for ours."""
        try:
            mark = msgspec.json.decode(self._mark.read_bytes(), type=_Mark)
            process = psutil.Process(mark.pid)
            ours = abs(process.create_time() - mark.started) < 1 and process.status() != psutil.STATUS_ZOMBIE
            return process if ours else None
        except (FileNotFoundError, msgspec.DecodeError, psutil.NoSuchProcess):
            return None

    def stop(self, patience: float = 20.0) -> bool:
        """Ask it to end, insist after `patience` seconds, and wait until it has; False if it was not running.

        Helpers that it started end with it.
        """
        process = self.find()
        self._mark.unlink(missing_ok=True)
        if process is None:
            return False
        family = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs([process], timeout=patience)
        for survivor in [each for each in family if each in left or each.is_running()]:
            _kill(survivor)
        psutil.wait_procs(family, timeout=5)
        return True

    def memory(self) -> int:
        """Resident bytes of the process and its children; 0 when it is not running."""
        process = self.find()
        if process is None:
            return 0
        total = 0
        for each in (process, *process.children(recursive=True)):
            try:
                total += each.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
