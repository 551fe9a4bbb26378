"""The recommender's kernels are there before anything needs them."""

import asyncio

import structlog

from encoders.contract import DIM
from streams.core.memory.settings import RecommenderSettings
from streams.core.warm_up import warm_up

COMPILING_SECONDS = 3.0
"""To read kernels that were compiled before takes less."""

log = structlog.get_logger()


async def prepare(settings: RecommenderSettings) -> None:
    """Compile them, or read them where they have been compiled before; others have their turn meanwhile."""
    work = asyncio.create_task(asyncio.to_thread(warm_up, settings, DIM))
    _, pending = await asyncio.wait({work}, timeout=COMPILING_SECONDS)
    if pending:
        log.info("kernels are being compiled, which takes a minute or two, the first time")
    await work
