"""Processes that outlive the command which started them: kept by pid, known again by start and command."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import psutil

KILLED_PATIENCE = 10.0


class _Mark(msgspec.Struct):
    """What the pid file holds. Another program that got the pid since has another start, and another command."""

    pid: int
    command: list[str]
    started: float = 0.0


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

    def start(self, command: list[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start it in a group of its own, so that Ctrl-C in the terminal does not reach it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._mark.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".previous.log"))
        with self.log.open("wb") as log:
            child = subprocess.Popen(
                command,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        mark = _Mark(child.pid, command, psutil.Process(child.pid).create_time())
        self._mark.write_bytes(msgspec.json.encode(mark))

    def find(self) -> psutil.Process | None:
        """The running process, or None. A pid that another program has by now is not taken for ours."""
        try:
            mark = msgspec.json.decode(self._mark.read_bytes(), type=_Mark)
            process = psutil.Process(mark.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            # Either will do: the clock may have been set since, and a busy process may show no command.
            same_start = abs(process.create_time() - mark.started) < 1
            return process if same_start or process.cmdline() == mark.command else None
        except (FileNotFoundError, msgspec.DecodeError, psutil.NoSuchProcess, psutil.AccessDenied):
            return None

    def stop(self, patience: float = 20.0) -> bool:
        """Ask it to end, insist after `patience` seconds, and wait until it has; False if it was not running.

        Helpers that it started, which are in its group, end with it.
        """
        process = self.find()
        if process is None:
            self._mark.unlink(missing_ok=True)
            return False
        process.terminate()
        psutil.wait_procs([process], timeout=patience)
        _kill_group(process.pid)
        self._mark.unlink(missing_ok=True)
        return True

    def kill(self) -> None:
        """SIGKILL to it and to the helpers in its group, as when the machine runs out of memory."""
        if process := self.find():
            _kill_group(process.pid)

    def sleep(self) -> None:
        """SIGSTOP to it and to the helpers in its group: not a step more, until `wake`."""
        if process := self.find():
            os.killpg(process.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        if process := self.find():
            os.killpg(process.pid, signal.SIGCONT)

    def memory(self) -> int:
        """Resident bytes of the process and its helpers; 0 when it is not running."""
        process = self.find()
        if process is None:
            return 0
        return sum(_resident(each) for each in (process, *process.children(recursive=True)))

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _kill_group(group: int) -> None:
    """Kill what is left in a process group, and wait until it is gone."""
    deadline = time.monotonic() + KILLED_PATIENCE
    while members := [each for each in psutil.process_iter() if _is_running_in(each, group)]:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return
        psutil.wait_procs(members, timeout=deadline - time.monotonic())
        if time.monotonic() > deadline:
            return


def _is_running_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
