"""Processes that outlive the command which started them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from deploy.local.process import Process

WAITS = [sys.executable, "-c", "input()"]
SLEEPS = "import time; time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); {SLEEPS}"
PARENT = (
    f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPS!r}]); print('up', flush=True); {SLEEPS}"
)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process("sleeper", tmp_path / "run", tmp_path / "logs")
    yield made
    made.stop(patience=0)


def start(process: Process, program: str) -> psutil.Process:
    """Start a Python program, and wait until it says 'up'."""
    process.start([sys.executable, "-c", program])
    found = process.find()
    assert found is not None
    while "up" not in process.last_words():
        assert found.is_running()
    return found


def test_it_is_found_by_a_later_command(process: Process, tmp_path: Path) -> None:
    started = start(process, f"print('up', flush=True); {SLEEPS}")
    assert Process("sleeper", tmp_path / "run", tmp_path / "logs").find() == started
    assert process.memory() > 1_000_000


def test_nothing_is_found_before_the_first_start(process: Process) -> None:
    assert process.find() is None
    assert process.stop() is False
    assert process.memory() == 0


def test_a_stopped_process_is_gone(process: Process) -> None:
    started = start(process, f"print('up', flush=True); {SLEEPS}")
    assert process.stop() is True
    assert not started.is_running() or started.status() == psutil.STATUS_ZOMBIE
    assert process.find() is None


def test_one_that_does_not_listen_is_killed(process: Process) -> None:
    start(process, STUBBORN)
    assert process.stop(patience=0.2) is True
    assert process.find() is None


def test_one_that_is_put_to_sleep_stands_still_until_it_is_woken_and_ends_asleep_too(process: Process) -> None:
    started = start(process, f"print('up', flush=True); {SLEEPS}")
    for _ in range(2):
        process.sleep()
        while started.status() != psutil.STATUS_STOPPED:
            assert process.find() == started
        process.wake()
        while started.status() == psutil.STATUS_STOPPED:
            assert process.find() == started
    process.sleep()
    assert process.stop(patience=0.2) is True
    assert process.find() is None


def test_its_helpers_end_with_it(process: Process) -> None:
    helper = start(process, PARENT).children()[0]
    process.stop()
    assert not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE


def test_a_stale_pid_that_another_program_has_by_now_is_left_alone(process: Process, tmp_path: Path) -> None:
    start(process, f"print('up', flush=True); {SLEEPS}")
    file = tmp_path / "run" / "sleeper.pid"
    mark = msgspec.json.decode(file.read_bytes())
    process.stop()
    with subprocess.Popen(WAITS, stdin=subprocess.PIPE) as other:
        file.write_bytes(msgspec.json.encode(mark | {"pid": other.pid, "started": mark["started"] - 60}))
        assert process.find() is None
        assert process.stop() is False
        assert other.poll() is None
        other.kill()


def test_a_clock_that_was_set_does_not_hide_it(process: Process, tmp_path: Path) -> None:
    started = start(process, f"print('up', flush=True); {SLEEPS}")
    file = tmp_path / "run" / "sleeper.pid"
    mark = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode(mark | {"started": mark["started"] - 3_600}))
    assert process.find() == started


@pytest.mark.parametrize("content", ["", "{}", "12345"])
def test_a_broken_pid_file_means_that_nothing_runs(process: Process, tmp_path: Path, content: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "sleeper.pid").write_text(content)
    assert process.find() is None


def test_the_log_of_the_run_before_is_kept(process: Process, tmp_path: Path) -> None:
    start(process, f"print('up once', flush=True); {SLEEPS}")
    process.stop()
    start(process, f"print('up twice', flush=True); {SLEEPS}")
    assert process.last_words() == "up twice"
    assert (tmp_path / "logs" / "sleeper.previous.log").read_text() == "up once\n"
