"""One thin Faust agent for each topic: gather a micro-batch, hand it to the pipeline, then acknowledge.

Faust acknowledges the batch of an agent that raises, which would lose it. So nothing here ever leaves an agent's body
by accident: a batch that fails ends the process before anything of it is committed, and Kafka delivers it again to
whoever comes next.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import structlog
from faust import App, StreamT
from faust.types import Message

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
        async def consume(stream: Any) -> None:
            queue, consumer = stream.channel.queue, stream.app.consumer
            while True:
                messages = await next_batch(queue, self._batch_size)
                if self._draining:
                    return
                batch = asyncio.create_task(self._handle_or_die(handle, messages, consumer))
                self._in_hand.add(batch)
                batch.add_done_callback(self._in_hand.discard)
                await asyncio.shield(batch)

        return consume

    async def _handle_or_die(self, handle: Handle, messages: Sequence[Message], consumer: Any) -> None:
        consumer._unacked_messages.update(messages)  # a rebalance waits for these
        try:
            await handle([_incoming(message) for message in messages])
        except Exception as error:
            first = messages[0]
            log.critical(
                "batch failed, the worker ends without committing it",
                topic=first.topic,
                partition=first.partition,
                offset=first.offset,
                events=len(messages),
                exc_info=error,
            )
            self._die()
            return
        for message in messages:
            consumer.ack(message)


def _incoming(message: Any) -> Incoming:
    return Incoming(message.topic, message.partition, message.offset, message.key, message.value, message.timestamp)


async def next_batch(queue: asyncio.Queue[T], limit: int) -> list[T]:
    """Whatever has arrived since the last batch, at most `limit` at once.

    No timer: an idle topic hands on a lone message at once, and a busy one fills its batches by itself.
    """
    batch = [await queue.get()]
    while len(batch) < limit and not queue.empty():
        batch.append(queue.get_nowait())
    return batch
