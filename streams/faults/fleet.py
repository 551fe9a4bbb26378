"""Workers and servers that can be killed, stopped and started again; and who looks after the workers meanwhile."""

import time
from collections.abc import Sequence

from deploy.local.servers import Server
from deploy.local.worker import RunningWorker
from streams.errors import AnabranchError
from streams.faults.plan import Fault, How

LEAVING_SECONDS = 600.0
RESTART_SECONDS = 1.0  # from the end of a worker to its next start, as with an orchestrator


class Fleet:
    """What faults happen to.

    ended  who ended by itself, and was started again
    """

    def __init__(self, workers: Sequence[RunningWorker], servers: Sequence[Server]) -> None:
        self.ended: list[str] = []
        self._workers = {worker.name: worker for worker in workers}
        self._servers = {server.name: server for server in servers}
        self._struck: set[str] = set()
        self._to_start: dict[str, float] = {}

    def strike(self, fault: Fault) -> None:
        """Stop or kill its victims, or have them leave."""
        self._struck = set(fault.victims)
        for name in fault.victims:
            if worker := self._workers.get(name):
                if worker.exit_code() is None:
                    match fault.how:
                        case How.killed:
                            worker.kill()
                        case How.stopped:
                            worker.sleep()
                        case How.leaves:
                            worker.terminate(LEAVING_SECONDS)
            elif fault.how == How.stopped:
                self._servers[name].process.sleep()
            else:
                self._servers[name].process.kill()

    def mend(self, fault: Fault) -> None:
        """Let the victims go on, or start them. Returns before they are well."""
        self._struck = set()
        for name in fault.victims:
            if fault.how != How.stopped:
                self._start(name)
            elif worker := self._workers.get(name):
                worker.wake()
            else:
                self._servers[name].process.wake()

    def tend(self) -> None:
        """Start who ended by itself, as an orchestrator does: a worker that is fenced, or whose server was away for too
        long; a server that could not come up on a busy machine."""
        now = time.monotonic()
        for name in (*self._workers, *self._servers):
            if name in self._struck or self._runs(name):
                self._to_start.pop(name, None)
            elif now >= self._to_start.setdefault(name, now + RESTART_SECONDS):
                del self._to_start[name]
                self.ended.append(name)
                self._start(name)

    def _runs(self, name: str) -> bool:
        if worker := self._workers.get(name):
            return worker.exit_code() is None
        return self._servers[name].process.find() is not None

    def _start(self, name: str) -> None:
        (self._workers.get(name) or self._servers[name]).start()

    def is_ready(self) -> bool:
        """Whether every worker serves: one that only just starts would die of a signal."""
        return all(worker.is_ready() for worker in self._workers.values())

    def drain(self) -> None:
        """Let all workers finish. Raises AnabranchError for one that does not end in good order."""
        for name, worker in self._workers.items():
            if (code := worker.terminate(LEAVING_SECONDS)) != 0:
                raise AnabranchError(f"{name} ended with code {code} when told to stop; its log is {worker.log}")
