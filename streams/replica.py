"""What a worker knows of the whole system: the items, and what was learned from everybody.

It is made of two logs and nothing else: `items.embedded` and `interactions`, each of one partition, so that all workers
read them in one order. A worker learns its own interactions from there too, a moment after it has published them; what
only it can tell, how its lists stood up to its users' choices, it publishes along with them. So workers that stand at
the same places know the same, bit by bit, and what one knows can be another's start.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import numpy as np
import structlog

from encoders.contract import DIM
from streams import metrics
from streams.core.attention import Background
from streams.core.memory.expert import State
from streams.core.memory.snapshot import Bytes, UnknownSnapshot, below, pack, under, unpack
from streams.core.recommender import Interaction, Recommender, RecommenderSettings, Taught
from streams.core.search.clicks import LearnedWeights
from streams.core.search.question import Barred, nothing
from streams.core.vectors import Vector, from_bytes
from streams.errors import Rejected
from streams.events import ITEMS, Embedded, Learned, LearnedLesson, check_learned, encode, read_embedded, read_learned
from streams.ports import Index, Logged, Outgoing
from streams.spaces import Spaces

INTERACTIONS = "interactions"
TOPICS = (ITEMS, INTERACTIONS)
LEARNED = "recommender"
"""Within a snapshot."""
BREATH_SECONDS = 0.005  # of following a log, before other tasks get a turn

log = structlog.get_logger()


class Breath:
    """Gives other tasks a turn, once whoever takes it has been at work for some milliseconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    async def take(self) -> None:
        """Between any two steps of work that are short by themselves."""
        if time.monotonic() - self._last > BREATH_SECONDS:
            await asyncio.sleep(0)
            self._last = time.monotonic()


class Replica:
    """Follows the logs (`follow`), and is what lists are made from.

    weights     what clicks on answers have made of those of a search's rankings
    spaces      that the vectors of its items are in; items of others are left out
    worker      the name under which this process publishes interactions
    known       item id -> what is known of it beside its own attributes, see `Recommender`
    identities  topic -> its identity in Kafka: a snapshot is of use only to a replica of the very same logs
    offsets     topic -> the next message to follow
    items_topic  the log of items
    dim         of the vectors
    """

    def __init__(
        self,
        index: Index,
        *,
        worker: str,
        items_topic: str,
        dim: int = DIM,
        settings: RecommenderSettings | None = None,
        known: Mapping[str, Sequence[str]] | None = None,
        identities: Mapping[str, str] | None = None,
    ) -> None:
        self.recommender = Recommender(settings, nearest=index.nearest, known=known)
        self._known = known
        self.index = index
        self.worker = worker
        self._dim = dim
        self.items_topic = items_topic
        self._identities = [(identities or {}).get(topic, "") for topic in (items_topic, INTERACTIONS)]
        self.weights = LearnedWeights()
        self.item_vectors: dict[str, dict[str, Vector]] = {}
        self.spaces = Spaces()
        self.background = Background()
        self._orders: dict[str, tuple[int, int]] = {}
        self.offsets = {items_topic: 0, INTERACTIONS: 0}
        self._told: dict[bytes, Learned] = {}
        self._published = 0  # messages of our own that have not come back yet
        self._learned_all = asyncio.Event()
        self._learned_all.set()
        self._breath = Breath()
        # Called with each message once it is taken in, for those who keep more than this does.
        self.on_item: Callable[[Embedded], None] = lambda item: None
        self.on_learned: Callable[[Learned], None] = lambda learned: None

    async def follow(self, topic: str, messages: Sequence[Logged]) -> None:
        """Take in the next messages of a log. All workers leave out the same ones, those that cannot be read."""
        for message in messages:
            try:
                if message.value is not None and topic == self.items_topic:
                    item = read_embedded(message.value, dim=self._dim)
                    self.spaces.take(item.spaces)
                    self._put(item)
                    self.on_item(item)
                    await self._breath.take()
                elif message.value is not None:
                    learned = self._read(message.value)
                    await self._learn(learned)
                    self.on_learned(learned)
            except Rejected as refusal:
                left_out(topic, message.offset, refusal)
            self.offsets[topic] = message.offset + 1
        metrics.ITEMS.set(len(self.item_vectors))

    def telling(self, learned: Learned) -> Outgoing:
        """What all workers are to hear; kept until it comes back from the log, so that it is not decoded again."""
        value = encode(learned)
        self._told[value] = learned
        return Outgoing(INTERACTIONS, learned.user_id.encode(), value)

    def barred(self, traits: bytes | None, at: float) -> Barred:
        """Which items the rules keep from somebody, see `RuleBook.barred`."""
        rules = self.recommender.rules
        return nothing if rules is None else rules.barred(traits, at)

    def publishing(self, messages: int) -> None:
        """So many messages of this worker are about to enter the log of interactions."""
        self._published += messages
        if self._published > 0:
            self._learned_all.clear()

    async def learned_own(self) -> None:
        """Return once all that this worker has published so far has been learned."""
        await self._learned_all.wait()

    def snapshot(self) -> list[Bytes]:
        """All that is known by now, as what to write one after the other; the whole is for `restore`."""
        known = [self.item_vectors.get(item_id, {}) for item_id in self._orders]
        rankings, logarithms, lessons_of = self.weights.state()
        learned_ids, learned = self.recommender.state()
        ids = {
            "topics": list(self.offsets),
            "rankings": rankings,
            "lessons_of": lessons_of,
            "identities": self._identities,
            "parts": list(self.spaces.known),
            "spaces": list(self.spaces.known.values()),
            "items": list(self._orders),
            "modalities": [name for vectors in known for name in vectors],
        }
        items: State = {
            "counts": np.array([len(vectors) for vectors in known], np.int32),
            "known": np.array([item_id in self.item_vectors for item_id in self._orders], np.bool_),
            "orders": np.array(list(self._orders.values()), np.int64),
            "vectors": np.array([vector for vectors in known for vector in vectors.values()], np.float32),
        }
        whole: State = {
            "offsets": np.array(list(self.offsets.values()), np.int64),
            "index": np.frombuffer(self.index.save(), np.uint8),
            "weights": np.array(logarithms, np.float64),
        }
        return pack(ids | under(LEARNED, learned_ids), {"items": items, "whole": whole} | under(LEARNED, learned))

    def restore(self, data: Bytes) -> None:
        """Go on from where `snapshot` was called; for a replica that has followed nothing yet. Nothing of it is kept.

        Raises UnknownSnapshot, and has changed nothing then.
        """
        ids, parts = unpack(data)
        for topic, then, now in zip(ids["topics"], ids["identities"], self._identities, strict=True):
            if topic not in self.offsets or then != now:
                raise UnknownSnapshot(f"snapshot of topic {topic!r} as it was before it was made anew")
        items, whole = parts["items"], parts["whole"]
        self.recommender = Recommender.of_state(
            below(LEARNED, ids),
            below(LEARNED, parts),
            self.recommender.settings,
            nearest=self.index.nearest,
            known=self._known,
        )
        self.index.load(whole["index"].data)
        self.weights.load(ids["rankings"], whole["weights"].tolist(), ids["lessons_of"])
        self._show_weights(ids["rankings"])
        self.spaces.take(dict(zip(ids["parts"], ids["spaces"], strict=True)))
        vectors = np.array(items["vectors"])
        rows = zip(ids["modalities"], vectors, strict=True)
        for item_id, count, known, order in zip(
            ids["items"], *(items[name].tolist() for name in ("counts", "known", "orders")), strict=True
        ):
            self._orders[item_id] = tuple(order)
            if known:
                self.item_vectors[item_id] = dict(islice(rows, count))
        modalities = np.array(ids["modalities"])
        for modality in dict.fromkeys(ids["modalities"]):
            self.background.add_all(modality, vectors[modalities == modality])
        self.offsets = dict(zip(ids["topics"], whole["offsets"].tolist(), strict=True))
        metrics.ITEMS.set(len(self.item_vectors))

    def _put(self, item: Embedded) -> None:
        if item.order < self._orders.get(item.item_id, item.order):
            return
        self._orders[item.item_id] = item.order
        catalogue = self.recommender.catalogue
        if item.withdrawn:
            self.index.remove(catalogue.slot(item.item_id))
            self.recommender.withdraw_item(item.item_id)
            return
        vectors = {name: from_bytes(data) for name, data in item.vectors.items()}
        fused = vectors.get("fused")
        self.background.remove(self.item_vectors.get(item.item_id, {}))
        self.background.add(vectors)
        self.item_vectors[item.item_id] = vectors
        self.recommender.put_item(item.item_id, fused, item.at, tuple(item.attributes))
        if fused is not None:
            self.index.put(catalogue.slot(item.item_id), fused)

    def _read(self, value: bytes) -> Learned:
        own = self._told.pop(value, None)
        if own is None:
            return read_learned(value, dim=self._dim)
        check_learned(own, dim=self._dim)
        return own

    async def _learn(self, learned: Learned) -> None:
        profile = from_bytes(learned.profile) if learned.profile else None
        for each in learned.touches:
            interaction = Interaction(each.event_id, learned.user_id, each.item_id, each.at, each.weight, profile)
            share = self.recommender.learn(interaction, _taught(each.lesson) if each.lesson else None)
            if each.rankings:  # of a click on an answer; others teach rankings nothing
                self.weights.learn(each.rankings, learned.user_id, share)
                self._show_weights(each.rankings)
            await self._breath.take()
        if learned.forgotten:
            self.recommender.forget(learned.user_id)
            self.weights.forget(learned.user_id)
        if learned.worker == self.worker:
            self._published -= 1
            if self._published <= 0:
                self._learned_all.set()

    def _show_weights(self, rankings: Iterable[str]) -> None:
        for name, times in self.weights.of(dict.fromkeys(rankings, 1.0)).items():
            metrics.SEARCH_WEIGHT.labels(name).set(times)


def left_out(topic: str, offset: int, refusal: Rejected) -> None:
    """Say that a message of a log was not followed."""
    metrics.LEFT_OUT.labels(topic, refusal.reason).inc()
    log.error("a message of the log cannot be read and is left out", topic=topic, offset=offset, reason=str(refusal))


def _taught(lesson: LearnedLesson) -> Taught:
    return Taught(lesson.touches, from_bytes(lesson.slope), lesson.items, from_bytes(lesson.pulls))
