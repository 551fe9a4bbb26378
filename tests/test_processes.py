"""Several processes are kept running, and stopped together."""

import asyncio
import sys
from pathlib import Path

import pytest
import structlog

from streams import processes
from streams.processes import run_processes

DUTIFUL = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit({code}))
with pathlib.Path({notes!r}).open("a") as notes:
    print("started", file=notes)
while True:
    time.sleep(0.01)
"""
SHORT_LIVED = """
import pathlib
with pathlib.Path({notes!r}).open("a") as notes:
    print("started", file=notes)
raise SystemExit(70)
"""


def python(script: str, notes: Path, code: int = 0) -> list[str]:
    return [sys.executable, "-c", script.format(notes=str(notes), code=code)]


async def starts(notes: Path, count: int) -> None:
    """Return once that many have been noted."""

    def noted() -> int:
        return notes.read_text().count("started") if notes.exists() else 0

    async with asyncio.timeout(60):
        while noted() < count:  # noqa: ASYNC110 (a file is all there is to look at)
            await asyncio.sleep(0.01)


async def test_all_are_told_to_stop_and_the_worst_exit_code_is_told(tmp_path: Path) -> None:
    notes, stopping = tmp_path / "notes", asyncio.Event()
    commands = [python(DUTIFUL, notes, code) for code in (0, 3)]
    running = asyncio.create_task(run_processes(commands, [{}, {}], stopping))
    await starts(notes, 2)
    stopping.set()
    assert await running == 3


async def test_one_that_ends_is_started_again_while_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LASTING_SECONDS", 0.0)  # no pauses
    steady, flighty, stopping = tmp_path / "steady", tmp_path / "flighty", asyncio.Event()
    with structlog.testing.capture_logs() as logged:
        running = asyncio.create_task(
            run_processes([python(DUTIFUL, steady), python(SHORT_LIVED, flighty)], [{}, {}], stopping)
        )
        await starts(flighty, 3)
        await starts(steady, 1)
        stopping.set()
        await running
    assert steady.read_text().count("started") == 1
    assert {each["code"] for each in logged} == {70}


async def test_one_that_dies_at_once_again_and_again_is_given_longer_and_longer_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LONGEST_PAUSE_SECONDS", 1.5)
    notes, stopping = tmp_path / "notes", asyncio.Event()
    with structlog.testing.capture_logs() as logged:
        running = asyncio.create_task(run_processes([python(SHORT_LIVED, notes)], [{}], stopping))
        await starts(notes, 3)
        stopping.set()
        await running
    assert [each["pause_seconds"] for each in logged][:2] == [1.0, 1.5]
