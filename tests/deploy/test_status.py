"""What `anabranch status` says where nothing runs."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from deploy.local import ports, status
from deploy.local.status import Line
from streams.settings import load


def test_where_nothing_runs_each_line_says_what_to_do(tmp_path: Path) -> None:
    lines = status.report(ports.choose_all(load(home=tmp_path)))
    assert {line.what: line.next for line in lines} == {
        "kafka": "anabranch up",
        "cassandra": "anabranch up",
        "triton": "anabranch up",
        "worker": "anabranch worker",
    }
    assert not status.is_well(lines)


def test_the_table_shows_what_a_person_asks_for() -> None:
    console = Console(width=160, record=True, file=StringIO())
    well = Line("kafka", "at port 1", pid=12, memory_bytes=3 * 2**20, uptime_seconds=3_700)
    console.print(status.table([well, Line("worker", "no metrics", next="anabranch worker")], Path("/there")))
    shown = console.export_text()
    assert all(part in shown for part in ("kafka", "12", "3 MiB", "1 h 1 min", "anabranch worker"))
