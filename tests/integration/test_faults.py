"""Workers and servers are killed and stopped while events flow; the full run is `make faults`."""

from pathlib import Path

import pytest
from rich.console import Console

from streams.faults.report import sheet, verdict
from streams.faults.run import run
from streams.reports import table
from streams.settings import load
from streams.verify import named

pytestmark = pytest.mark.servers
KINDS = ["worker killed", "worker stopped", "worker leaves", "all workers killed", "kafka killed", "cassandra killed"]


def test_every_event_counts_once_whatever_is_killed_or_stopped_meanwhile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load(home=tmp_path, downloads=load().downloads_folder.resolve())
    console = Console(quiet=True)
    outcome = run(
        settings, console, events=4_000, faults=len(KINDS), workers=2, seed=1, films=200, stop_seconds=12, kinds=KINDS
    )
    Console().print(table(sheet(outcome)), verdict(outcome), *named(outcome.verified, 20))  # shown if the test fails
    assert outcome.verified.is_clean and outcome.verified.in_motion == 0 and outcome.unanswered == []
    assert len(outcome.recoveries) == len(KINDS), "how long each took says more about the machine"
