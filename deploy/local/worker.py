"""A worker as a child of this process, to which may happen what happens to workers: stopped, killed, started again."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from urllib.error import HTTPError

import msgspec

from deploy.local import ports
from streams.settings import Settings
from streams.web.health import Report


class RunningWorker:
    """`anabranch worker` as people run it.

    name         of its log
    environment  settings of its own
    """

    def __init__(self, settings: Settings, name: str = "worker", environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = settings.home / "logs" / f"{name}.log"
        self._environment = os.environ | {"ANABRANCH_HOME": str(settings.home)} | dict(environment or {})
        self._metrics_port = self._environment.get("ANABRANCH_METRICS__PORT", str(settings.metrics.port))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Its log is added to."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "worker"], env=self._environment, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        return self._started.pid

    def kill(self) -> None:
        """SIGKILL: no time to commit, write or say anything."""
        self._started.kill()
        self._started.wait()

    def terminate(self, patience: float = 120.0) -> int:
        """SIGTERM, as an orchestrator would; the exit code."""
        self._started.terminate()
        return self._started.wait(timeout=patience)

    def sleep(self) -> None:
        """SIGSTOP: not a step more, until `wake`."""
        self._started.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self._started.send_signal(signal.SIGCONT)

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._started.poll()

    def is_ready(self) -> bool:
        """Whether it runs and says that it serves."""
        report = self.report()
        return report is not None and not report.wrong

    def report(self) -> Report | None:
        """What it says of itself; None while it says nothing."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics_port}/readyz", timeout=3) as response:
                answer = response.read()
        except HTTPError as error:
            answer = error.read()
        except OSError:
            return None
        return msgspec.json.decode(answer, type=Report)

    def close(self) -> None:
        """Kill it if it runs."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    @property
    def _started(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, f"{self.name} was never started"
        return self._process


@contextmanager
def running_worker(
    settings: Settings, name: str = "worker", environment: Mapping[str, str] | None = None
) -> Iterator[RunningWorker]:
    """One, killed in the end if it still runs."""
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
