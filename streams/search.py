"""Answers queries: what was asked with becomes vectors and words, and the best items for them are found.

It follows `items.embedded`, so that an upload can be found as soon as it is embedded, in whatever process.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import NamedTuple

from msgspec import Struct

from encoders.contract import DIM, MODALITIES
from streams import metrics
from streams.core.search import analysis
from streams.core.search.clicks import LearnedWeights
from streams.core.search.question import Asker, Barred, Found, Question, nothing
from streams.core.search.searcher import NEWEST, Document, Searcher
from streams.core.vectors import Vector, from_bytes
from streams.errors import EmbedderUnavailable, PartRefused, Rejected, StoreUnavailable
from streams.events import Embedded, FoundItem, Query, SearchResults, Shown, read_embedded
from streams.ports import Embedder, Logged, Media
from streams.replica import Breath, left_out
from streams.spaces import Spaces

Askers = Callable[[str], Awaitable[Asker]]

TOLD = 20
"""Places of an answer, from the first, on which clicks teach: every worker remembers as many of each."""
NOTHING = Found(hits=[], total=0, facets={})


class Understood(Struct):
    """What was made of the parts of a query.

    vectors  part -> (dim,) float32, unit length
    heard    what is said in its speech
    refused  part -> why it was left out
    """

    vectors: dict[str, Vector]
    heard: str
    refused: dict[str, str]


class Answer(NamedTuple):
    """An answer to a query, and what it showed for what reasons, where clicks can tell which of these was right."""

    results: SearchResults
    shown: Shown | None


class Search:
    """The items that can be found, and the answer to a query.

    askers   user -> what is known of them. Raises StoreUnavailable
    barred   traits, and the time -> which items rules keep from whoever has them
    unsafe   `name=value` of attributes whose items are shown only to queries with `safe` false
    learned  what clicks have made of the weights of the rankings; None where they are to stay as they were set
    seconds  for fetching and embedding a part of a query; one that takes longer is left out
    items_topic  the log of items
    offsets  topic -> the next message to follow
    dim      of the vectors
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        embedder: Embedder,
        media: Media,
        askers: Askers,
        items_topic: str,
        learned: LearnedWeights | None = None,
        barred: Callable[[bytes | None, float], Barred] = lambda traits, at: nothing,
        unsafe: Collection[str] = (),
        seconds: float = 5.0,
        dim: int = DIM,
    ) -> None:
        self._searcher = searcher
        self._embedder = embedder
        self._media = media
        self._askers = askers
        self._learned = learned
        self._barred = barred
        self._unsafe = frozenset(unsafe)
        self._seconds = seconds
        self._dim = dim
        self._breath = Breath()
        self._spaces = Spaces()
        self._orders: dict[str, tuple[int, int]] = {}
        self.offsets = {items_topic: 0}

    async def follow(self, topic: str, messages: Sequence[Logged]) -> None:
        """Take in the next messages of the log of items."""
        for message in messages:
            if message.value is not None:
                try:
                    self.put(read_embedded(message.value, dim=self._dim))
                except Rejected as refusal:
                    left_out(topic, message.offset, refusal)
            self.offsets[topic] = message.offset + 1
            await self._breath.take()

    def put(self, item: Embedded) -> None:
        """An item has come, has changed, or is withdrawn; of its uploads only the latest counts.

        Raises Rejected for one whose vectors do not compare with those of the others.
        """
        self._spaces.take(item.spaces)
        if item.order < self._orders.get(item.item_id, item.order):
            return
        self._orders[item.item_id] = item.order
        if item.withdrawn:
            self._searcher.remove(item.item_id)
        else:
            vectors = {name: from_bytes(data) for name, data in item.vectors.items()}
            self._searcher.put(
                Document(
                    item_id=item.item_id,
                    at=item.at,
                    title=item.title,
                    text=item.text,
                    attributes=item.attributes,
                    language=item.language,
                    vectors=vectors,
                )
            )
        metrics.SEARCHABLE.set(len(self._searcher))

    async def search(self, query: Query) -> Answer:
        """The best items for a query. A part that cannot be read, and a server that is away, only make it worse."""
        understood, asker = await asyncio.gather(self._understand(query), self._asker(query))
        words = " ".join(filter(None, (query.text, understood.heard)))
        lost = understood.refused and not understood.vectors and not analysis.words(words)
        question = self._question(query, words, understood, asker)
        found = NOTHING if lost else self._searcher.search(question, self._learned)
        if not found.total:
            metrics.UNANSWERED.inc()
        results = SearchResults(
            query_id=query.event_id,
            user_id=query.user_id,
            items=[
                FoundItem(hit.item_id, round(hit.score, 6), hit.title, hit.places if query.explain else {})
                for hit in found.hits
            ],
            total=found.total,
            facets=found.facets,
            did_you_mean=found.meant,
            heard=understood.heard,
            refused=understood.refused,
            weights={name: round(weight, 6) for name, weight in found.weights.items()} if query.explain else {},
        )
        return Answer(results, _shown(query, found) if self._learned is not None else None)

    def _question(self, query: Query, words: str, understood: Understood, asker: Asker) -> Question:
        return Question(
            words=words,
            vectors=understood.vectors,
            filters=query.filters,
            hidden=self._unsafe if query.safe else (),
            barred=self._barred(asker.traits, query.ts),
            taste=asker.taste if query.personal else None,
            likings=partial(asker.likings, query.ts) if query.personal and asker.likings else None,
            offset=query.offset,
            limit=query.limit,
        )

    async def _understand(self, query: Query) -> Understood:
        """Vectors of all parts, asked for side by side."""
        understood = Understood({}, "", {})
        parts = [*query.media, *(["text"] if query.text.strip() else [])]
        await asyncio.gather(*(self._add_part(query, part, understood) for part in parts))
        return understood

    async def _add_part(self, query: Query, part: str, understood: Understood) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                if part == "text":
                    content = query.text.encode()
                else:
                    content = await self._media.fetch(query.media[part], MODALITIES[part].max_bytes)
                answer = await self._embedder.embed(part, [content])
        except TimeoutError:
            understood.refused[part] = f"TooSlow: it took more than {self._seconds:g} s"
        except (PartRefused, EmbedderUnavailable) as error:
            named = isinstance(error, PartRefused)  # these begin with the name of what is wrong
            understood.refused[part] = str(error) if named else f"{type(error).__name__}: {error}"
        else:
            vector, refusal = answer.vectors[0], answer.errors[0]
            if vector is None:
                understood.refused[part] = refusal
            else:
                understood.vectors[part] = vector
                understood.heard = understood.heard or answer.words[0]
        if part in understood.refused:
            metrics.PARTS_REFUSED.labels(part, understood.refused[part].partition(":")[0]).inc()

    async def _asker(self, query: Query) -> Asker:
        if query.user_id is None:
            return Asker()
        try:
            return await self._askers(query.user_id)
        except StoreUnavailable as error:
            metrics.ERRORS.labels("cassandra", type(error).__name__).inc()
            return Asker(traits=None)


def _shown(query: Query, found: Found) -> Shown | None:
    """What clicks can teach with: of items in more than one ranking, and of no others."""
    if len(found.hits) < 2 or len(found.weights) < 2 or NEWEST in found.weights:
        return None
    hits = found.hits[:TOLD]
    gains = {name: [round(hit.gains.get(name, 0.0), 8) for hit in hits] for name in found.weights}
    return Shown(query_id=query.event_id, items=[hit.item_id for hit in hits], gains=gains)
