"""The Faust app of a worker, and how it ends."""

import asyncio

import faust
import structlog
from faust.auth import Credentials, SASLCredentials, SSLCredentials
from faust.tables.manager import TableManager

from streams.adapters import clients
from streams.agents import Die, end_process
from streams.settings import Kafka, Settings

LEAVE_SECONDS = 10.0
"""For the last commit, and to leave the group; then the process ends all the same."""

log = structlog.get_logger()


class NoTables(TableManager):
    """Faust's, but for a second that it waits at each start for tables to be there."""

    async def on_start(self) -> None:
        """There are none."""
        await self._update_channels()
        await self.recovery.start()


def faust_app(settings: Settings) -> faust.App:
    """A Faust app that reads and commits, and does nothing else: topics, state and metrics are our own."""
    return faust.App(
        settings.kafka.group,
        broker=f"kafka://{settings.kafka.address}",
        broker_credentials=_credentials(settings.kafka),
        broker_session_timeout=settings.kafka.session_timeout_seconds,
        broker_heartbeat_interval=settings.kafka.session_timeout_seconds / 4,
        broker_commit_interval=settings.kafka.commit_interval_seconds,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=settings.worker.batch_size * 4,
        stream_ack_cancelled_tasks=False,
        stream_wait_empty=False,  # `Agents` waits for the batches in hand, but not for ever
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
        datadir=str(settings.home / "faust"),
        TableManager=NoTables,
    )


def _credentials(kafka: Kafka) -> Credentials | None:
    """What `clients.kafka` says, in Faust's words."""
    context = clients.tls(kafka)
    if kafka.password is None:
        return SSLCredentials(context) if context else None
    return SASLCredentials(
        username=kafka.username,
        password=kafka.password.get_secret_value(),
        ssl_context=context,
        mechanism=kafka.sasl_mechanism,
    )


async def leave(app: faust.App, *, patience: float = LEAVE_SECONDS, die: Die = end_process) -> None:
    """Commit and leave the group. A Kafka that does not answer is not waited for: what is not committed comes again.

    patience  seconds
    die       ends the process, which cannot end by itself while it still waits for Kafka
    """
    try:
        async with asyncio.timeout(patience):
            await app.consumer.commit()
            await app.stop()
    except TimeoutError:
        log.critical(
            "Kafka does not answer, the worker leaves without having committed all it has handled", seconds=patience
        )
        die()
