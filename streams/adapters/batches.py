"""Faust's consumer, made to hand over what one fetch brought at once.

Faust hands over one message at a time, with two tasks, a lock and an iteration of its stream for each: more than all
that a message leads to here. The group, rebalances, flow control, acknowledgements and commits stay Faust's own.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faust.transport.drivers import aiokafka
from faust.types import TP, Message

from streams.errors import KafkaUnavailable

ENDS_SECONDS = 3.0
"""For Kafka to say where partitions end."""

FETCH_WAIT_MS = 100
"""That Kafka may wait for news before it answers a fetch.

aiokafka has one fetch at a time under way to each broker. Partitions whose messages nobody has taken for a tenth of a
second, as happens while a large batch's lists are made, are left out of the next; and where nothing comes to the
others, Kafka keeps that fetch waiting while events gather in the busy ones. Faust has it wait for 1.5 seconds.
"""


class BriefFetches(aiokafka.AIOKafkaConsumerThread):
    """Faust's thread for its consumer, with a wait of ours, for which Faust has no setting."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer: Any = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer


class BatchConsumer(aiokafka.Consumer):
    """Puts messages, not events, straight into the queues of the channels that wait for them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Queues know a callback of theirs by its identity.
        self._pressure: dict[TP, tuple[Callable[[], None], Callable[[], None]]] = {}

    def _new_consumer_thread(self) -> aiokafka.AIOKafkaConsumerThread:
        return BriefFetches(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109 (Faust's signature)
        """Fetch and hand over; nothing is left for Faust's loop around it."""
        generation = self.app.consumer_generation_id
        records, _ = await self._wait_next_records(timeout)
        await self.app.flow_control.acquire()  # queues are emptied when the flow is let go again
        if not self.flow_active or self.app.consumer_generation_id != generation:
            with suppress(IllegalStateError):  # the next rebalance is under way, and seeks in its turn
                await self.perform_seek()  # a rebalance has come in between: what was fetched will be fetched again
            return
        self.app.monitor.stream_inbound_time.update(dict.fromkeys(records or {}, time.monotonic()))
        for partition, record in self.scheduler.iterate(records or {}):
            tp = TP(*partition)  # aiokafka's own kind is equal to Faust's, but refused by it
            last = self._read_offset[tp]
            if last is not None and record.offset < last:
                continue
            if last and record.offset > last + 1:
                await self._add_gap(tp, last + 1, record.offset - 1)
            self._hand_over(tp, self._to_message(tp, record))
            self._read_offset[tp] = record.offset
        return
        yield  # an iterator, as Faust expects

    async def perform_seek(self) -> None:
        """Back to what is committed; where nothing is, to the start, while Faust would go on behind what it dropped."""
        await super().perform_seek()
        untouched = [TopicPartition(*each) for each in self.assignment() if not self._committed_offset[each]]
        for tp, offset in (await self._thread.earliest_offsets(*untouched)).items():
            with suppress(IllegalStateError):  # it is another's by now
                await self.seek(TP(*tp), offset)

    async def ends(self) -> dict[TP, int]:
        """Where our partitions end by now. Raises KafkaUnavailable.

        Fetches say so as well, but not of a partition that rests because its events wait here.
        """
        thread: Any = self._thread
        # Not through the thread's queue of calls: fetches and commits wait there, and are not to wait for this.
        asked = asyncio.run_coroutine_threadsafe(thread._highwaters(list(self.assignment())), thread.thread_loop)
        try:
            found = await asyncio.wait_for(asyncio.wrap_future(asked), ENDS_SECONDS)
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable(f"Kafka does not say where partitions end: {error!r}") from error
        return {TP(*partition): end for partition, end in found.items()}

    def _hand_over(self, tp: TP, message: Message) -> None:
        """What a queue holds beyond its limit is one fetch at most: the partition rests until it has drained."""
        on_high, on_drop = self._pressure.get(tp) or self._pressure.setdefault(
            tp, (partial(self.on_buffer_full, tp), partial(self.on_buffer_drop, tp))
        )
        conductor: Any = self.app.topics  # which channels want a partition is missing from Faust's types
        for channel in conductor._tp_index[tp]:
            channel.queue.put_nowait_enhanced(message, on_pressure_high=on_high, on_pressure_drop=on_drop)


class BatchTransport(aiokafka.Transport):
    """Faust's transport with that consumer."""

    Consumer = BatchConsumer
