"""A worker as a process, before its servers are there and after they have gone."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from deploy.local import ports
from deploy.local.worker import running_worker
from streams.faust_app import leave
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


class Leaving:
    """A Faust app, as far as leaving is concerned; what is in `stuck` never returns."""

    def __init__(self, stuck: str = "") -> None:
        self.stuck = stuck
        self.done: list[str] = []
        self.consumer = SimpleNamespace(commit=lambda: self.step("commit"))

    async def stop(self) -> None:
        await self.step("stop")

    async def step(self, name: str) -> None:
        if name == self.stuck:
            await asyncio.Event().wait()
        self.done.append(name)


async def test_a_worker_that_leaves_commits_first() -> None:
    app: Any = Leaving()
    await leave(app, die=lambda: app.done.append("died"))
    assert app.done == ["commit", "stop"]


@pytest.mark.parametrize("stuck", ["commit", "stop"])
async def test_a_worker_leaves_though_kafka_does_not_answer_any_more(stuck: str) -> None:
    app: Any = Leaving(stuck)
    with capture_logs() as logs:
        await leave(app, patience=0.01, die=lambda: app.done.append("died"))
    assert app.done[-1] == "died"
    assert logs[0]["event"].startswith("Kafka does not answer")
