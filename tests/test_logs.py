"""Logs stay readable while a server is away."""

import logging
import subprocess
import sys
from pathlib import Path

from streams.logs import Once


def line(text: str, *names: object, logger: str = "aiokafka") -> logging.LogRecord:
    return logging.LogRecord(logger, logging.ERROR, __file__, 1, text, names, None)


def test_a_library_that_repeats_itself_is_heard_once_in_a_while_and_the_rest_is_counted() -> None:
    now = 0.0
    once = Once(seconds=10, clock=lambda: now)
    said = []
    for tenth in range(250):
        now = tenth / 10
        record = line("Unable to connect to %s, attempt %d", "kafka", tenth)
        if once.filter(record):
            said.append(record.getMessage())
    assert said == [
        "Unable to connect to kafka, attempt 0",
        "Unable to connect to kafka, attempt 100 (and 99 times more before)",
        "Unable to connect to kafka, attempt 200 (and 99 times more before)",
    ]


def test_different_lines_and_loggers_are_all_heard() -> None:
    once = Once(clock=lambda: 0.0)
    lines = [line("one"), line("other"), line("one", logger="cassandra")]
    assert [once.filter(record) for record in lines] == [True, True, True]


def test_a_process_whose_log_is_on_a_full_disk_goes_on() -> None:
    program = (
        "import logging, structlog; from streams.logs import set_up_logs; set_up_logs();"
        " [structlog.get_logger().warning('lost') for _ in range(3)]; logging.getLogger('other').error('lost, too');"
        " print('here')"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full)
    assert (done.stdout, done.returncode) == (b"here\n", 0)
