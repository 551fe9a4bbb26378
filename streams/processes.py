"""Several worker processes on one machine, each on a core of its own; Kafka shares the partitions among them."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence

import structlog

LONGEST_PAUSE_SECONDS = 30.0
LASTING_SECONDS = 60.0  # after so long a life, a worker that ends is started again at once

log = structlog.get_logger()


async def run_processes(
    commands: Sequence[Sequence[str]], environments: Sequence[Mapping[str, str]], stopping: asyncio.Event
) -> int:
    """Run one process for each command until told to stop; the worst of their exit codes then.

    One that ends before is started again, after a pause that grows while it lives for short.
    """
    running = (
        _keep_running(command, environment, stopping)
        for command, environment in zip(commands, environments, strict=True)
    )
    return max(await asyncio.gather(*running), default=0)


async def run_workers(count: int, first_port: int) -> int:
    """`count` times `anabranch worker`, with metrics at `first_port` and those after it, until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    environments = [{**os.environ, "ANABRANCH_METRICS__PORT": str(first_port + number)} for number in range(count)]
    return await run_processes([[sys.executable, "-m", "streams.cli", "worker"]] * count, environments, stopping)


async def _keep_running(command: Sequence[str], environment: Mapping[str, str], stopping: asyncio.Event) -> int:
    pause = 0.0
    stop = asyncio.create_task(stopping.wait())
    try:
        while True:
            began = time.monotonic()
            # In a group of its own: a Ctrl-C in the terminal reaches it through us alone, once.
            process = await asyncio.create_subprocess_exec(*command, env=environment, start_new_session=True)
            ended = asyncio.create_task(process.wait())
            await asyncio.wait({stop, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                process.terminate()
            code = await ended
            if stopping.is_set():
                return abs(code)
            lived = time.monotonic() - began
            pause = 0.0 if lived > LASTING_SECONDS else min(max(1.0, 2 * pause), LONGEST_PAUSE_SECONDS)
            log.error("worker process ended, it is started again", pid=process.pid, code=code, pause_seconds=pause)
            await asyncio.wait({stop}, timeout=pause)
            if stopping.is_set():
                return abs(code)
    finally:
        stop.cancel()
