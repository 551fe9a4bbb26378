"""A worker as a process, before its servers are there."""

import time
from pathlib import Path

from deploy.local import ports
from deploy.local.worker import running_worker
from streams.settings import load
from streams.web.health import Report


def test_a_worker_started_before_its_servers_says_what_it_waits_for_and_stops_when_told_to(tmp_path: Path) -> None:
    settings = ports.choose_all(load(home=tmp_path))
    (tmp_path / "logs").mkdir()
    with running_worker(settings) as worker:
        while "kafka" not in (report := worker.report() or Report({}, [])).wrong:
            assert worker.exit_code() is None, worker.log.read_text()
            time.sleep(0.1)
        assert report.wrong["kafka"] == f"not yet there, at {settings.kafka.address}: Connection refused"
        assert worker.terminate() == 0, worker.log.read_text()
