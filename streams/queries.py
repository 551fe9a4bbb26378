"""The path of a micro-batch of queries: each is answered under its own key, and what is none becomes a dead letter."""

import asyncio
import time
from collections.abc import Callable, Sequence

from streams import metrics
from streams.errors import Rejected
from streams.events import Query, decode, encode
from streams.pipeline.intake import Refusals
from streams.ports import Incoming, Outgoing, Sink
from streams.search import Search
from streams.shown import told

TOPIC = "search.results"


class Queries:
    """Handles `events.query`. A query that is delivered twice is answered twice.

    complete  once it is set, the search knows every item; until then queries wait
    clock     the wall clock, seconds since the epoch
    """

    def __init__(
        self, search: Search, sink: Sink, complete: asyncio.Event, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._search = search
        self._sink = sink
        self._complete = complete
        self._clock = clock
        self._refusals = Refusals()

    async def answer(self, batch: Sequence[Incoming]) -> None:
        """Answer all of them, their parts embedded together; done once the answers are acknowledged."""
        metrics.BATCH.labels(batch[0].topic).observe(len(batch))
        await self._complete.wait()
        answered = await asyncio.gather(*(self._answer(message) for message in batch))
        await self._sink.publish([each for answer in answered for each in answer])

    async def _answer(self, message: Incoming) -> list[Outgoing]:
        try:
            query = decode(message.topic, message.value, key=message.key, now=self._clock())
        except Rejected as refusal:
            return [self._refusals.dead_letter(message, refusal, self._clock())]
        assert isinstance(query, Query)
        results, shown = await self._search.search(query)
        results.published_at, results.emitted_at = message.published_at, self._clock()
        metrics.EVENTS.labels(message.topic).inc()
        metrics.QUERY_TO_RESULTS.observe(max(0.0, results.emitted_at - results.published_at))
        return [Outgoing(TOPIC, message.key, encode(results)), *([told(shown)] if shown else [])]
