"""The HTTP application among fakes: a small cinema, its visitors, and short ways to ask."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from encoders.contract import DIM
from streams.adapters.index import VectorIndex
from streams.adapters.media import MediaReader
from streams.adapters.words import WordIndex
from streams.advice import Advice
from streams.core.experiments.assignment import Assigner
from streams.core.experiments.plan import Plan, read
from streams.core.moderation import Limits
from streams.core.search.searcher import Searcher
from streams.core.search.settings import SearchSettings
from streams.errors import KafkaUnavailable, PartRefused, SinkUnavailable
from streams.events import DECISIONS, QUEUE, Embedded, Learned, Outcome, Query, SearchResults
from streams.pipeline.moderation import Moderation
from streams.ports import Incoming, Outgoing
from streams.search import Search
from streams.web.access import Tokens
from streams.web.api import Api
from streams.web.application import application
from streams.web.catalogue import Shelf
from streams.web.experiments import Watcher
from streams.web.feed import Feed
from streams.web.flow import FlowReader
from streams.web.health import Health
from streams.web.moderation import Desk
from streams.web.reader import Reader
from streams.web.server import MAX_LINE
from tests.fakes import FakeModerator, FakeSink
from tests.pipeline.test_pipeline import FILMS, NOW, WEIGHTS, World

TITLES = {"alien": "Alien", "aliens": "Aliens", "star": "Star Wars", "love": "Love Story"}
KEY = b"a key of the moderators"
LIMITS = {"text": Limits(0.5, 0.9), "image": Limits(0.5, 0.9)}
PICTURE = b"\x89PNG\r\n\x1a\n" + b"pixels"


class BreakableSink(FakeSink):
    """A sink that can be down."""

    down = False

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        if self.down:
            raise SinkUnavailable("the fake sink is down")
        await super().publish(messages)


class FakeMedia:
    """Files by URI, and those that are their own content."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._inline = MediaReader(None)

    async def fetch(self, uri: str, limit: int) -> bytes:
        if uri.startswith("data:"):
            return await self._inline.fetch(uri, limit)
        if uri not in self.files:
            raise PartRefused(f"FileUnreadable: {uri} at /a/secret/place")
        return self.files[uri]


class HttpWorld:
    """A worker's pipeline among fakes, whose log a second process follows and answers from."""

    def __init__(
        self,
        tokens: Tokens | None = None,
        plan: Plan | None = None,
        pseudonym: Callable[[str], str] = str,
        *,
        moderated: bool = False,
        advice: Advice | None = None,
    ) -> None:
        self.worker = World(plan=plan)
        self.store = self.worker.store
        self.sink, self.media, self.health = BreakableSink(), FakeMedia(), Health()
        self.worker.pipeline.media = self.media
        self.shelf = Shelf()
        replica = self.worker.replica
        half_life = self.worker.pipeline.policy.taste_half_life
        nearest = replica.index.nearest
        self.reader = Reader(
            self.store,
            replica,
            nearest,
            self.shelf,
            WEIGHTS,
            half_life,
            plan=plan,
            advice=advice,
            clock=lambda: NOW,
        )
        self.watcher = Watcher(plan)
        self.search = Search(
            Searcher(SearchSettings(), words=WordIndex(), space=lambda: VectorIndex(DIM)),
            embedder=self.worker.embedder,
            media=self.media,
            askers=self.reader.asker,
            items_topic=replica.items_topic,
            barred=replica.barred,
        )
        self.feed = Feed(self.reader.outdate)
        self.queue: list[bytes | None] = []  # the values of `moderation.queue`, by offset
        self.looked_up, self.is_away = 0, False
        self.desk = Desk(KEY, LIMITS, self.sink, self.lookup, clock=lambda: NOW)
        if moderated:
            self.worker.pipeline.moderation = Moderation(FakeModerator(), LIMITS, KEY)
        self.api = Api(
            reader=self.reader,
            shelf=self.shelf,
            feed=self.feed,
            flow=FlowReader([]),
            sink=self.sink,
            media=self.media,
            search=self.found,
            experiments=self.watcher.report,
            desk=self.desk if moderated else None,
            pseudonym=pseudonym,
            clock=lambda: NOW,
        )
        self.tokens = tokens
        self._followed = 0

    async def found(self, query: Query) -> SearchResults:
        return (await self.search.search(query)).results

    async def open(self) -> None:
        """Open the cinema, and begin to answer."""
        app = application(self.api, self.health, self.tokens)
        self.client: TestClient[web.Request, web.Application] = TestClient(TestServer(app))
        await self.client.server.start_server(max_line_size=MAX_LINE)
        await self.client.start_server()
        await self.worker.open_cinema()
        for name, title in TITLES.items():
            await self.upload(name, title=title, text=FILMS[name])

    async def close(self) -> None:
        self.feed.close()
        await self.client.close()

    async def lookup(self, places: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """What Kafka would answer."""
        if self.is_away:
            raise KafkaUnavailable("the fake Kafka is down")
        self.looked_up += len(places)
        return [self.queue[offset] for _, offset in places]

    async def upload(self, item: str, **fields: Any) -> None:
        await self.worker.pipeline.uploads([self.worker.upload(item, **fields)])
        self.follow()

    async def click(self, user: str, *items: str) -> None:
        """A worker handles clicks, one after the other."""
        for item in items:
            await self.worker.pipeline.interactions([self.worker.click(user, item)])
        self.follow()

    async def deliver(self) -> None:
        """A worker handles the uploads that were sent over HTTP."""
        sent, self.sink.messages = self.sink.messages, []
        for at, each in enumerate(sent):
            message = Incoming(each.topic, 0, self.worker.sent + at + 1, each.key, each.value, NOW)
            await self.worker.pipeline.uploads([message])
        self.worker.sent += len(sent)
        self.follow()

    def follow(self) -> None:
        """Hear of what the worker has published since."""
        fresh = self.worker.sink.messages[self._followed :]
        self._followed += len(fresh)
        for message in fresh:
            if message.topic == "items.embedded":
                item = msgspec.json.decode(message.value, type=Embedded)
                self.shelf.put(item)
                self.search.put(item)
            elif message.topic == "interactions":
                learned = msgspec.json.decode(message.value, type=Learned)
                self.reader.learned(learned)
                if learned.forgotten:
                    self.feed.forget(learned.user_id)
            elif message.topic == QUEUE:
                self.queue.append(message.value)
                at = len(self.queue) - 1
                self.desk.take(Incoming(QUEUE, 0, at, message.key, message.value, NOW))
            elif message.topic == DECISIONS:
                self.desk.decided(message.value)
            elif message.topic == "experiments" and message.value is not None:
                self.watcher.take(message.value)
            elif message.topic == "recommendations" and message.value is not None:
                self.feed.take(message.value)

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.client.get(path, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        async with self.client.post(path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


async def next_list(answer: ClientResponse) -> tuple[str, Any]:
    """The id and the data of the next event of a stream."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(20):
        while True:
            line = (await answer.content.readline()).decode().rstrip("\n")
            if not line and "data" in fields:
                return fields["id"], msgspec.json.decode(fields["data"])
            name, _, value = line.partition(": ")
            fields[name] = value


PLAN = """
layers:
  lists:
    new-items:
      share: 0.6
      arms: {control: {}, many: {exploration_share: 0.2}, none: {exploration_share: 0}}
  experts:
    popular-alone: {kind: interleaving, arms: {all: {}, popular: {experts: [popular]}}}
"""


async def opened_laboratory() -> HttpWorld:
    """Many users, each given four lists; those of one arm click more, and those of another get fewer items."""
    plan = read(PLAN)
    world = HttpWorld(plan=plan)
    await world.open()
    assigner = Assigner(plan)
    for n in range(1_200):
        variants = dict(assigner.assign(f"user {n}").variants)
        arm = variants.get("new-items")
        for version in range(1, 5):
            hit = version > 1 and (n + version) % (3 if arm == "many" else 6) == 0
            team = "all" if (n + version) % 4 else "popular"
            outcome = Outcome(
                user=f"{n}",
                at=NOW,
                list_version=version,
                variants=variants,
                items=(12 if arm == "none" else 20) - n % 2,
                seconds=0.02,
                before=variants if version > 1 else {},
                clicks=int(hit),
                place=int(hit),
                credit={team: 1} if hit else {},
            )
            world.watcher.take(msgspec.json.encode(outcome))
    return world
