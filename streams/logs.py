"""Logs: one line an event, ours and the libraries' alike; quiet unless something is worth knowing."""

import logging
import sys

import structlog

# These retry by themselves what they log as errors while a broker starts; lag and readiness tell whether it worked.
TALKATIVE = ("aiokafka.consumer.group_coordinator", "aiokafka.conn", "cassandra.cluster", "cassandra.protocol")

# Without the local variables: they can hold what a user said, or a secret.
_tracebacks = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def set_up_logs(level: int = logging.INFO) -> None:
    """Our own lines from `level`; those of the libraries from WARNING. Colours on a terminal, JSON elsewhere."""
    on_terminal = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
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
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
