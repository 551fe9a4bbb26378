"""Workers and servers that can be killed, stopped and started again; and who looks after the workers meanwhile."""

import time
from collections.abc import Sequence

from deploy.local.servers import Server
from deploy.local.worker import RunningWorker
from streams.errors import AnabranchError
from streams.faults.plan import Fault

RESTART_SECONDS = 1.0  # from the end of a worker to its next start, as with an orchestrator
SERVER_PATIENCE = 120.0


class Fleet:
    """What faults happen to.

    ended  how often a worker ended by itself, and was started again
    """

    def __init__(self, workers: Sequence[RunningWorker], servers: Sequence[Server]) -> None:
        self.ended = 0
        self._workers = {worker.name: worker for worker in workers}
        self._servers = {server.name: server for server in servers}
        self._struck: set[str] = set()
        self._to_start: dict[str, float] = {}

    def strike(self, fault: Fault) -> None:
        """Stop or kill its victims."""
        self._struck = set(fault.victims)
        for name in fault.victims:
            if worker := self._workers.get(name):
                if worker.exit_code() is None:
                    worker.sleep() if fault.stops else worker.kill()
            else:
                self._servers[name].process.kill()

    def mend(self, fault: Fault) -> None:
        """Let the victims go on, or start them. Returns before they are well."""
        self._struck = set()
        for name in fault.victims:
            if worker := self._workers.get(name):
                worker.wake() if fault.stops else worker.start()
            else:
                self._servers[name].start()

    def tend(self) -> None:
        """Start the workers that ended by themselves: a fenced one does, or one whose server was away for too long.

        Raises AnabranchError when a server ended by itself.
        """
        now = time.monotonic()
        for name, worker in self._workers.items():
            if name in self._struck or worker.exit_code() is None:
                continue
            if now >= self._to_start.setdefault(name, now + RESTART_SECONDS):
                del self._to_start[name]
                self.ended += 1
                worker.start()
        for name, server in self._servers.items():
            if name not in self._struck and server.process.find() is None:
                raise AnabranchError(f"{name} ended by itself; its log ends:\n{server.process.last_words()}")

    def is_ready(self) -> bool:
        """Whether every worker serves: one that only just starts would die of a signal."""
        return all(worker.is_ready() for worker in self._workers.values())

    def drain(self) -> None:
        """Let all workers finish. Raises AnabranchError for one that does not end in good order."""
        for name, worker in self._workers.items():
            if (code := worker.terminate()) != 0:
                raise AnabranchError(f"{name} ended with code {code} when told to stop; its log is {worker.log}")
