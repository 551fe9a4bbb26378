"""Logs: one line an event, ours and the libraries' alike; quiet unless something is worth knowing."""

import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO, cast

import structlog

from streams import tracing
from streams.core.seldom import Seldom

# These retry by themselves what they log as errors while a broker starts; lag and readiness tell whether it worked.
TALKATIVE = ("aiokafka.consumer.group_coordinator", "aiokafka.conn", "cassandra.cluster", "cassandra.protocol")

# Without the local variables: they can hold what a user said, or a secret.
_tracebacks = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


class Forgiving:
    """A stream whose lines are lost where they cannot be written: a full disk of logs ends nobody."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


class Once(logging.Filter):
    """Lets a library say the same thing, whatever names it fills in, once in a while: a client that has lost its server
    says so ten times a second. A line tells how many it stands for.
    """

    def __init__(self, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seldom = Seldom(seconds)
        self._clock = clock

    def filter(self, record: logging.LogRecord) -> bool:
        withheld = self._seldom.due((record.name, str(record.msg)), self._clock())
        if withheld:
            record.msg = f"{record.msg} (and {withheld} times more before)"
        return withheld is not None


def with_trace(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Name the trace that a line belongs to, so that one leads to the other."""
    if trace_id := tracing.trace_id():
        line["trace_id"] = trace_id
    return line


def set_up_logs(level: int = logging.INFO) -> None:
    """Our own lines from `level`; those of the libraries from WARNING. Colours on a terminal, JSON elsewhere."""
    on_terminal = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        with_trace,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if on_terminal else [_tracebacks]),
    ]
    render = structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    handler.addFilter(Once())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, Forgiving(sys.stderr))),
        cache_logger_on_first_use=True,
    )
