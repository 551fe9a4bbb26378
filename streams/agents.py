"""One thin Faust agent for each topic: gather a micro-batch, hand it to the pipeline, then acknowledge.

Faust acknowledges the batch of an agent that raises, which would lose it. So nothing here ever leaves an agent's body
by accident: a batch that fails ends the process before anything of it is committed, and Kafka delivers it again to
whoever comes next.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from faust import App, EventT, StreamT

from streams.pipeline import Pipeline
from streams.ports import Incoming

Handle = Callable[[Sequence[Incoming]], Awaitable[None]]
Die = Callable[[], None]

T = TypeVar("T")
log = structlog.get_logger()


def end_process() -> None:
    """Leave at once, committing nothing: 70 is EX_SOFTWARE of sysexits.h."""
    os._exit(70)


class Agents:
    """The agents of one worker.

    batch_size  the most messages of a topic handled together
    die         ends the process when a batch fails
    """

    def __init__(self, pipeline: Pipeline, *, batch_size: int, die: Die = end_process) -> None:
        self._handlers: dict[str, Handle] = {
            "events.click": pipeline.interactions,
            "events.view": pipeline.interactions,
            "events.upload": pipeline.uploads,
            "events.profile": pipeline.profiles,
        }
        self._batch_size = batch_size
        self._die = die
        self._in_hand: set[asyncio.Task[None]] = set()
        self._draining = False

    def attach(self, app: App) -> None:
        """Give the app one agent for each topic."""
        for name, handle in self._handlers.items():
            topic = app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
            app.agent(topic, name=f"anabranch.{name}")(self._consumer(handle))

    async def drain(self) -> None:
        """Take no new batch, and return once those in hand are handled and acknowledged."""
        self._draining = True
        if self._in_hand:
            await asyncio.wait(self._in_hand)

    def _consumer(self, handle: Handle) -> Callable[[StreamT[bytes]], Awaitable[None]]:
        async def consume(stream: StreamT[bytes]) -> None:
            async for events in micro_batches(_unacknowledged(stream), self._batch_size):
                if self._draining:
                    return
                batch = asyncio.create_task(self._handle_or_die(handle, events))
                self._in_hand.add(batch)
                batch.add_done_callback(self._in_hand.discard)
                await asyncio.shield(batch)

        return consume

    async def _handle_or_die(self, handle: Handle, events: Sequence[EventT[bytes]]) -> None:
        try:
            await handle([_incoming(event) for event in events])
        except Exception as error:
            first = events[0].message
            log.critical(
                "batch failed, the worker ends without committing it",
                topic=first.topic,
                partition=first.partition,
                offset=first.offset,
                events=len(events),
                exc_info=error,
            )
            self._die()
            return
        for event in events:
            event.ack()


def _unacknowledged(stream: Any) -> AsyncIterator[EventT[bytes]]:
    """The stream's events, left for us to acknowledge (`noack` is missing from Faust's types)."""
    events: AsyncIterator[EventT[bytes]] = stream.noack().events()
    return events


def _incoming(event: EventT[bytes]) -> Incoming:
    message: Any = event.message
    return Incoming(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        published_at=message.timestamp,
    )


async def micro_batches(source: AsyncIterator[T], limit: int) -> AsyncIterator[list[T]]:
    """Whatever arrived while the last batch was handled, at most `limit` at once.

    No timer: an idle stream hands on a lone event at once, and a busy one fills its batches by itself.
    """
    waiting: deque[T] = deque()
    arrived, room = asyncio.Event(), asyncio.Event()

    async def fill() -> None:
        try:
            async for each in source:
                waiting.append(each)
                arrived.set()
                if len(waiting) >= limit:
                    room.clear()
                    await room.wait()
        finally:
            arrived.set()

    filling = asyncio.create_task(fill())
    try:
        while True:
            await arrived.wait()
            arrived.clear()
            batch = list(waiting)
            waiting.clear()
            room.set()
            if batch:
                yield batch
            if filling.done() and not waiting:
                await filling  # raises what the source raised
                return
    finally:
        filling.cancel()
        with suppress(asyncio.CancelledError):
            await filling
