"""Thin Faust agents: gather a micro-batch, have the pipeline handle it, acknowledge it once durable.

Clicks and views have one agent together, as they change the same users: two would wait for each other at each batch. Of
the other topics each has its own.

While one batch is being stored, a worker that is behind begins the next. They are acknowledged in their order all the
same, so that what is committed never passes a batch that is not durable yet. One that keeps up waits instead: what
arrives meanwhile is one larger batch, where many small ones would cost more, and come later.

Faust acknowledges the batch of an agent that raises, which would lose it. So nothing here ever leaves an agent's body
by accident: a batch that fails ends the process before anything of it is committed, and Kafka delivers it again to
whoever comes next.

At a rebalance, all partitions are given up and then claimed anew: see `core.ownership`.
"""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

import structlog
from faust import App, StreamT
from faust.types import Message

from streams import tracing
from streams.events import event_id
from streams.pipeline import Pipeline
from streams.ports import Incoming

CLICKS_AND_VIEWS = ("events.click", "events.view")
HANDOVER_SECONDS = 3.0
NAMED = 5  # events of a batch that failed, in the log
BATCHES_IN_HAND = 4  # of an agent at once when behind, all but one of them waiting to be durable

Handle = Callable[[Sequence[Incoming]], Awaitable[None]]
Overlap = Callable[[Sequence[Incoming], Callable[[], None]], Awaitable[None]]
Die = Callable[[], None]


class Keyed(Protocol):
    """What belongs to a user or an item."""

    key: Any


T = TypeVar("T", bound=Keyed)
log = structlog.get_logger()


def end_process() -> None:
    """Leave at once, committing nothing: 70 is EX_SOFTWARE of sysexits.h."""
    os._exit(70)


class Agents:
    """The agents of one worker.

    answer      handles the queries of a batch; without it none are taken
    batch_size  the most messages handled together
    batch_keys  the most users, or items, that these are of: each of them costs a row and a list
    die         ends the process when a batch fails
    patience    seconds that batches in hand may take when partitions are to be given up
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        batch_size: int,
        batch_keys: int,
        answer: Handle | None = None,
        die: Die = end_process,
        patience: float = HANDOVER_SECONDS,
    ) -> None:
        self._pipeline = pipeline
        self._handlers: dict[tuple[str, ...], Overlap] = {
            CLICKS_AND_VIEWS: pipeline.interactions,
            ("events.upload",): _one_at_a_time(pipeline.uploads),
            ("events.profile",): _one_at_a_time(pipeline.profiles),
            ("events.forget",): _one_at_a_time(pipeline.forgets),
        }
        if answer is not None:
            self._handlers["events.query",] = _one_at_a_time(answer)
        self._batch_size = batch_size
        self._batch_keys = batch_keys
        self._die = die
        self._patience = patience
        self._in_hand: set[asyncio.Task[bool]] = set()
        self._claiming: asyncio.Task[None] | None = None
        self._owning = asyncio.Event()
        self._draining = False

    def attach(self, app: App) -> None:
        """Give the app its agents, and follow its rebalances."""
        for topics, handle in self._handlers.items():
            topic = app.topic(*topics, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
            app.agent(topic, name=f"anabranch.{'+'.join(topics)}")(self._consumer(handle))
        app.on_partitions_revoked.connect(self._revoked)
        app.on_partitions_assigned.connect(self._assigned)

    async def pause(self) -> None:
        """Take no new batch; those in hand may finish, or are given up after a while: they will be delivered again."""
        self._owning.clear()
        if self._claiming is not None:
            self._claiming.cancel()
        if self._in_hand:
            _, late = await asyncio.wait(self._in_hand, timeout=self._patience)
            for each in late:
                each.cancel()
            if late:
                await asyncio.wait(late)

    async def drain(self) -> None:
        """Take no new batch ever: the agents end."""
        await self.pause()
        self._draining = True
        self._owning.set()

    async def claim(self, partitions: Collection[int]) -> None:
        """Own these partitions from now on, and take batches again."""
        with self._dying("partitions could not be claimed", partitions=sorted(partitions)):
            await self._pipeline.own(partitions)
            self._owning.set()

    async def _revoked(self, app: Any, /, *_: Any, **__: Any) -> None:
        """Hand over: what is in hand is finished and committed before anybody else begins."""
        await self.pause()
        with suppress(TimeoutError):
            await asyncio.wait_for(app.consumer.commit(), self._patience)
        self._pipeline.disown()

    def _assigned(self, _: Any, /, *sent: Any, **__: Any) -> None:
        """Not awaited by the rebalance: the group may hear of us while the store is slow."""
        [assigned] = sent
        self._claiming = asyncio.create_task(self.claim({each.partition for each in assigned}))

    def _consumer(self, handle: Overlap) -> Callable[[StreamT[bytes]], Awaitable[None]]:
        async def consume(stream: Any) -> None:
            queue, app = stream.channel.queue, stream.app
            begun: deque[asyncio.Task[bool]] = deque()
            generation = app.consumer_generation_id
            while True:
                if len(begun) == BATCHES_IN_HAND:
                    await asyncio.wait({begun.popleft()})
                if begun and queue.qsize() < self._batch_keys:
                    await asyncio.wait({begun[-1]})
                try:
                    arrived = await next_batch(queue, self._batch_size, self._batch_keys)
                except StopAsyncIteration:  # how Faust closes a queue
                    return
                await self._owning.wait()
                if self._draining:
                    return
                # What waited here while partitions moved is delivered again to whoever has them now.
                messages = [each for each in arrived if each.generation_id == app.consumer_generation_id]
                if generation != app.consumer_generation_id:  # what was begun before is durable, or given up
                    generation = app.consumer_generation_id
                    begun.clear()
                if messages:
                    handed_over = asyncio.Event()
                    before = begun[-1] if begun else None
                    batch = asyncio.create_task(
                        self._handle_or_die(handle, messages, app.consumer, before, handed_over.set)
                    )
                    begun.append(batch)
                    self._in_hand.add(batch)
                    batch.add_done_callback(self._in_hand.discard)
                    batch.add_done_callback(lambda _, event=handed_over: event.set())  # type: ignore[misc]
                    await handed_over.wait()

        return consume

    async def _handle_or_die(
        self,
        handle: Overlap,
        messages: Sequence[Message],
        consumer: Any,
        before: asyncio.Task[bool] | None,
        handed_over: Callable[[], None],
    ) -> bool:
        """Whether the batch is acknowledged: it is durable, and so are those before it."""
        first = messages[0]
        with self._dying(
            "batch failed",
            topic=first.topic,
            partition=first.partition,
            offset=first.offset,
            messages=messages,
        ):
            with tracing.batch(messages):
                await handle([_incoming(message) for message in messages], handed_over)
            if before is not None:
                await asyncio.wait({before})
                if before.cancelled() or not before.result():
                    return False
            for message in messages:
                consumer.ack(message)
            return True
        return False

    @contextmanager
    def _dying(self, what: str, messages: Sequence[Message] = (), **where: Any) -> Iterator[None]:
        """End the process where this fails; the log names the first of the messages."""
        try:
            yield
        except Exception as error:
            if messages:
                where["events"] = len(messages)
                where["event_ids"] = [each for message in messages[:NAMED] if (each := event_id(message.value))]
            log.critical(f"{what}, the worker ends without committing it", **where, exc_info=error)
            self._die()


def _one_at_a_time(handle: Handle) -> Overlap:
    return lambda batch, handed_over: handle(batch)


def _incoming(message: Any) -> Incoming:
    return Incoming(message.topic, message.partition, message.offset, message.key, message.value, message.timestamp)


async def next_batch(queue: asyncio.Queue[T], limit: int, keys: int) -> list[T]:
    """Whatever has arrived since the last batch, at most `limit` messages of `keys` keys at once.

    No timer: an idle topic hands on a lone message at once, and a busy one fills its batches by itself.
    """
    batch = [await queue.get()]
    met = {batch[0].key}
    while len(batch) < limit and len(met) < keys and not queue.empty():
        batch.append(queue.get_nowait())
        met.add(batch[-1].key)
    return batch
