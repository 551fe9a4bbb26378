"""What many users and items cost a running worker, how soon it starts, and how soon a new item is listed and found.

`anabranch growth`: users and items are made up and put where a worker finds them, users in Cassandra and items in their
log, more from step to step. A user has a favourite, and chooses of four items, of which popular ones come oftener
(Zipf's law), the one most like it: 100 times in the past, of which the last 20 are their taste, and with each event.
Items are those of `evaluate.scale`. Events are of users drawn at random, so that with many users hardly one is still
in the worker's memory: each is read from Cassandra.
"""

import asyncio
import base64
import io
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from uuid import uuid4

import msgspec
import numpy as np
import psutil
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec import Struct
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from deploy.local.worker import RunningWorker, running_worker
from streams.adapters import clients, connections
from streams.adapters.cassandra import CassandraStore
from streams.batched import batched
from streams.bench import latency
from streams.bench.servers import running
from streams.core.history import History
from streams.core.taste import Taste, Touched, touch
from streams.core.user import RecentEvents, UserState
from streams.core.vectors import Vector, to_bytes
from streams.datasets.movielens import movielens
from streams.errors import AnabranchError
from streams.evaluate.scale import catalogue
from streams.events import ITEMS, Click, Embedded, Query, SearchResults, Upload, View, encode
from streams.producer import TOPICS
from streams.progress import bars
from streams.reports import Sheet
from streams.settings import Settings

STEPS = (  # (users, items)
    (1_000, 1_000),
    (100_000, 1_000),
    (100_000, 10_000),
    (100_000, 100_000),
    (100_000, 300_000),
    (1_000_000, 300_000),
)
PAST = 100  # items of a history, the last TASTED of them in the taste
TASTED = 20
KINDS = 500  # of favourites and pasts; users share theirs with others, as making each anew would take hours
CHOICE = 4  # popular items, of which a user takes the one most like their favourite
WRITTEN_AT_ONCE = 500  # about as many as in a batch of a worker that is behind
SEED = 11

IDLE_EVENTS, IDLE_RATE = 20, 2.0  # each meets a worker that has nothing to do
LOAD_RATE, LOAD_SECONDS, LOAD_WARM_UP = 200.0, 17.0, 2.0
BURST, AT_ONCE = 8_000, 1e6  # clicks that are all sent as fast as it goes, to see how soon they are handled
FRESH = 10  # uploads of each kind
GLANCE_SECONDS = 0.01  # from one view of a user who waits for the new item to the next
PATIENCE = 300.0
READING_SECONDS = 3_600.0
"""For a worker without a snapshot to be ready: it puts each item of the log into its index."""
ANSWERS = "search.results"
_results = msgspec.json.Decoder(SearchResults).decode
DAY = 86_400.0


class Step(Struct, frozen=True):
    """A worker with so many users and items stored; times in seconds.

    first      from its start to the list of an event that was waiting for it, with a snapshot from the worker before it
    ready      from its start until it says that it is ready: queries are answered, too
    idle       lone events
    load       at `LOAD_RATE`
    capacity   events/s handled of a burst
    cpu        of the worker, for an event of the load
    memory     bytes of the worker, resident
    disk       bytes of all users' rows on disk; what Cassandra has in memory alone is not among them
    """

    users: int
    items: int
    ready: float
    first: float
    idle: latency.Latency
    load: latency.Latency
    capacity: float
    cpu: float
    memory: int
    disk: int


class Fresh(Struct, frozen=True):
    """Seconds from each of some uploads to the first list that has the item, or the first search that finds it."""

    kind: str
    seconds: list[float]


class Growth(Struct, frozen=True):
    """All that was measured."""

    steps: list[Step]
    fresh: list[Fresh]
    found: list[Fresh]


def run(settings: Settings, console: Console, steps: Sequence[tuple[int, int]] = STEPS) -> Growth:
    """Measure each step on one worker, on servers of its own below `<home>/growth`, which end with it.

    settings  of the usual home: its downloads are shared, its servers left alone
    steps     (users, items), neither ever fewer than before

    Raises AnabranchError when no list comes.
    """
    found: list[Step] = []
    with running(settings.home.resolve() / "growth", settings.downloads_folder.resolve(), console) as own:
        items = list(catalogue(movielens(own.downloads_folder).uploads, max(items for _, items in steps)))
        population = Population(own, items)
        for users, listed in steps:
            with bars(console) as bar:
                uvloop.run(population.grow(users, listed, bar))
            with console.status("a worker reads the log of items, warms the servers up, and leaves a snapshot"):
                uvloop.run(_warm_up(own, population))
            with console.status("Cassandra compacts what was stored at once"):
                _until_compacted(own)
            with console.status(f"measuring {users:,} users, {listed:,} items"):
                found.append(uvloop.run(_measure(own, population)))
            console.print(_told(found[-1]), highlight=False)
        with console.status("uploading, and watching lists"), running_worker(own) as worker:
            listed_after = [uvloop.run(_freshness(own, worker, kind)) for kind in MEDIA]
            found_after = [uvloop.run(_searching(own, kind)) for kind in MEDIA]
    return Growth(found, listed_after, found_after)


def _told(step: Step) -> str:
    """What was just measured, in a line."""
    return (
        f"{step.users:,} users, {step.items:,} items: first list after {step.first:.1f} s,"
        f" at {LOAD_RATE:.0f}/s p50 {step.load.p50 * 1e3:.0f} ms, p99 {step.load.p99 * 1e3:.0f} ms"
    )


class Population:
    """The users and items that are stored so far.

    items  id and (DIM,) float32 unit vector of all that there may be
    """

    def __init__(self, settings: Settings, items: Sequence[tuple[str, Vector]]) -> None:
        self.users = self.items = 0
        self._settings = settings
        self._all = items
        self._random = np.random.default_rng(SEED)
        self._clicks = count()

    async def grow(self, users: int, items: int, bar: Progress) -> None:
        """Store what is missing; new items come before the users who know them."""
        await self._announce(self._all[self.items : items], bar)
        self.items = max(self.items, items)
        task = bar.add_task(f"{users:,} users", total=users - self.users)
        settings = self._settings
        store = await CassandraStore.connect(settings.cassandra, dedup_window=settings.worker.dedup_window)
        try:
            for some in batched(self.made(range(self.users, users)), WRITTEN_AT_ONCE):
                await store.write_users(some, {})
                bar.advance(task, len(some))
        finally:
            await store.close()
        self.users = max(self.users, users)

    def click(self) -> Click:
        """Of any user, on what they choose."""
        number, user = next(self._clicks), int(self._random.integers(self.users))
        item, _ = self._chosen(user % KINDS)
        return Click(event_id=f"growth-{number}", ts=time.time(), user_id=f"user-{user}", item_id=item)

    def _chosen(self, kind: int) -> tuple[str, Vector]:
        """Of some popular items the one most like the favourite of this kind of user."""
        _, favourite = self._all[kind % self.items]
        return max((self._all[place] for place in self._popular(CHOICE)), key=lambda item: float(item[1] @ favourite))

    def _popular(self, some: int) -> list[int]:
        """By Zipf's law with exponent 1, each as often as one over its place."""
        places: list[int] = (np.exp(self._random.random(some) * np.log(self.items)) - 1).astype(int).tolist()
        return places

    def made(self, numbers: range) -> Iterator[UserState]:
        """The users of these numbers, as they would be stored."""
        now = time.time()
        kinds = {number % KINDS: self._past(now, number % KINDS) for number in numbers[:KINDS]}
        for number in numbers:
            history, taste = kinds[number % KINDS]
            recent = RecentEvents((f"{number:05}{place:03}".encode()[-8:] for place in range(PAST)), limit=PAST)
            yield UserState(f"user-{number}", history, recent, taste, version=1)

    def _past(self, now: float, kind: int) -> tuple[History, Taste]:
        chosen = [self._chosen(kind) for _ in range(PAST)]
        at = [now - DAY * (PAST - place) / PAST for place in range(PAST)]
        history = History.of((item, moment, 1.0) for (item, _), moment in zip(chosen, at, strict=True))
        touched = [
            Touched({"fused": vector, "text": vector}, 1.0, moment)
            for (_, vector), moment in list(zip(chosen, at, strict=True))[-TASTED:]
        ]
        return history, touch(Taste(), touched, self._settings.worker.taste_half_life_seconds)

    async def _announce(self, items: Sequence[tuple[str, Vector]], bar: Progress) -> None:
        """Put items into the log that workers follow."""
        task = bar.add_task(f"{len(items):,} items more", total=len(items))
        producer = AIOKafkaProducer(**clients.kafka(self._settings.kafka), linger_ms=20, max_batch_size=256 * 1024)
        await producer.start()
        try:
            for item_id, vector in items:
                made = Embedded(
                    item_id=item_id,
                    title=item_id,
                    at=time.time(),
                    vectors=dict.fromkeys(("fused", "text"), to_bytes(vector)),
                )
                await producer.send(ITEMS, encode(made), item_id.encode())
                bar.advance(task)
        finally:
            await producer.stop()


def sheets(growth: Growth) -> list[Sheet]:
    """As tables: what grows, and how soon."""
    under_load = f"{LOAD_RATE:,.0f}/s p50 / p99"
    headings = ("users", "items", "start to first list", "to search", "lone event p50 / max", under_load, "events/s")
    rows = [
        [
            f"{each.users:,}",
            f"{each.items:,}",
            f"{each.first:.1f} s",
            f"{each.ready:.1f} s",
            f"{each.idle.p50 * 1e3:.0f} / {each.idle.max * 1e3:.0f} ms",
            f"{each.load.p50 * 1e3:.0f} / {each.load.p99 * 1e3:.0f} ms",
            f"{each.capacity:,.0f}",
            f"{each.cpu * 1e3:.2f} ms",
            f"{each.memory / 1024**2:,.0f} MiB",
            f"{each.disk / each.users:,.0f} bytes a user",
        ]
        for each in growth.steps
    ]
    listed, searched = (
        [
            [each.kind, f"{median(of) * 1e3:.0f} ms", f"{max(of) * 1e3:.0f} ms", str(len(of))]
            for each in every
            for of in [each.seconds]
        ]
        for every in (growth.fresh, growth.found)
    )
    uploads = ("upload", "median", "longest", "uploads")
    return [
        Sheet("Users and items that are stored", (*headings, "CPU an event", "worker", "on disk"), rows),
        Sheet("From an upload to the first list with the item", uploads, listed),
        Sheet("From an upload to the first search that finds the item", uploads, searched),
    ]


async def _warm_up(settings: Settings, population: Population) -> None:
    with running_worker(settings) as worker:
        await asyncio.to_thread(_wait_until_ready, worker)
        await _under_load(settings, population)
        await asyncio.to_thread(worker.terminate)


def _until_compacted(settings: Settings) -> None:
    """Users who come one by one leave less to be compacted at a time than those who were made up."""
    deadline = time.monotonic() + PATIENCE
    with connections.cassandra(settings.cassandra) as session:
        while session.execute("SELECT table_name FROM system_views.sstable_tasks").one() is not None:
            if time.monotonic() > deadline:
                raise AnabranchError(f"Cassandra still compacts after {PATIENCE:.0f} s")
            time.sleep(0.2)


async def _under_load(settings: Settings, population: Population) -> tuple[latency.Latency, int]:
    """What it measured, and events sent."""
    clicks = [population.click() for _ in range(int(LOAD_RATE * LOAD_SECONDS))]
    measured = await latency.measure(settings.kafka, clicks, events_per_second=LOAD_RATE, warm_up=LOAD_WARM_UP)
    return measured, len(clicks)


def _wait_until_ready(worker: RunningWorker) -> None:
    deadline = time.monotonic() + READING_SECONDS
    while not worker.is_ready():
        if (code := worker.exit_code()) is not None:
            raise AnabranchError(f"the worker has ended with {code} before it was ready; see {worker.log}")
        if time.monotonic() > deadline:
            raise AnabranchError(f"the worker is not ready after {READING_SECONDS:.0f} s; see {worker.log}")
        time.sleep(0.02)


async def _measure(settings: Settings, population: Population) -> Step:
    async with latency.sending(settings.kafka) as load:
        began = time.monotonic()
        await load.send([population.click()], began, 1.0)
        with running_worker(settings) as worker:
            if not await load.answered(PATIENCE):
                raise AnabranchError(f"no list came for an event in {PATIENCE:.0f} s; see {worker.log}")
            [(_, first)] = load.latencies
            await asyncio.to_thread(_wait_until_ready, worker)
            ready = time.monotonic() - began
            idle = await latency.measure(
                settings.kafka,
                [population.click() for _ in range(IDLE_EVENTS)],
                events_per_second=IDLE_RATE,
                warm_up=0.0,
            )
            process = psutil.Process(worker.pid)
            before = sum(process.cpu_times()[:2])
            measured, sent = await _under_load(settings, population)
            cpu = (sum(process.cpu_times()[:2]) - before) / sent
            memory = process.memory_info().rss
            burst = [population.click() for _ in range(BURST)]
            handled = await latency.measure(settings.kafka, burst, events_per_second=AT_ONCE, warm_up=0.0)
            await asyncio.to_thread(worker.terminate)
    disk = _size(settings.home / "cassandra" / "data" / "data" / settings.cassandra.keyspace)
    capacity = handled.events / handled.max
    return Step(population.users, population.items, ready, first, idle, measured, capacity, cpu, memory, disk)


def _size(keyspace: Path) -> int:
    """Bytes of the tables of users."""
    return sum(file.stat().st_size for file in keyspace.glob("users-*/*.db"))


def _picture(random: np.random.Generator) -> str:
    """Noise of 160 by 160 pixels, as a `data:` URI."""
    file = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (160, 160, 3), dtype=np.uint8)).save(file, "JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _sound(random: np.random.Generator) -> str:
    """Two seconds of noise, 16,000 samples each, as a `data:` URI."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        sound.writeframes(random.integers(-8_000, 8_000, 32_000, dtype=np.int16).tobytes())
    return f"data:audio/wav;base64,{base64.b64encode(file.getvalue()).decode()}"


MEDIA: dict[str, Callable[[np.random.Generator], dict[str, str]]] = {
    "text": lambda random: {},
    "text, a picture and a sound": lambda random: {"image": _picture(random), "audio": _sound(random)},
}


async def _freshness(settings: Settings, worker: RunningWorker, kind: str) -> Fresh:
    """Each upload is awaited by somebody who has clicked on an item with the same content, and looks at it again."""
    await asyncio.to_thread(_wait_until_ready, worker)
    random = np.random.default_rng(SEED)
    media = [MEDIA[kind](random) for _ in range(FRESH)]
    known, new = ([f"{each} {kind} {number}" for number in range(FRESH)] for each in ("known", "new"))
    async with latency.sending(settings.kafka) as load:
        await _embed(settings, load, [_upload(item, of) for item, of in zip(known, media, strict=True)])
        seconds = [
            await _until_listed(load, f"fan of {before}", before, _upload(item, of))
            for before, item, of in zip(known, new, media, strict=True)
        ]
    return Fresh(kind, seconds)


async def _searching(settings: Settings, kind: str) -> Fresh:
    """Each upload is asked for by its title, again and again."""
    random = np.random.default_rng(SEED)
    producer = AIOKafkaProducer(**clients.kafka(settings.kafka))
    consumer = AIOKafkaConsumer(ANSWERS, **clients.kafka(settings.kafka), group_id=None)
    await producer.start()
    await consumer.start()
    try:
        await consumer.seek_to_end()
        for partition in consumer.assignment():
            await consumer.position(partition)
        seconds = []
        for number in range(FRESH):
            upload = _upload(f"sought {kind} {number}", MEDIA[kind](random))
            began = time.monotonic()
            await producer.send(TOPICS[Upload], encode(upload), upload.key.encode())
            async with asyncio.timeout(PATIENCE):
                while not await _finds(producer, consumer, upload):
                    pass
            seconds.append(time.monotonic() - began)
    finally:
        await consumer.stop()
        await producer.stop()
    return Fresh(kind, seconds)


async def _finds(producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, upload: Upload) -> bool:
    """Whether a search for the title, sent now, finds the item."""
    query = Query(event_id=str(uuid4()), ts=time.time(), text=upload.title)
    await producer.send(TOPICS[Query], encode(query), query.key.encode())
    while (message := await consumer.getone()).key != query.key.encode():
        pass
    return any(item.item_id == upload.item_id for item in _results(message.value).items)


def _upload(item_id: str, media: dict[str, str]) -> Upload:
    subject = item_id.split(maxsplit=1)[1]  # what a known item and a new one have in common
    return Upload(event_id=item_id, ts=time.time(), item_id=item_id, title=subject, text=subject, media=media)


async def _embed(settings: Settings, load: latency.Load, uploads: Sequence[Upload]) -> None:
    """Upload, and wait until all are in the log of items."""
    waiting = {each.item_id.encode() for each in uploads}
    consumer = AIOKafkaConsumer(**clients.kafka(settings.kafka), group_id=None)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(ITEMS, 0)])
        await consumer.seek_to_end()
        await consumer.position(TopicPartition(ITEMS, 0))
        for upload in uploads:
            await load.publish(upload)
        async with asyncio.timeout(PATIENCE):
            while waiting:
                waiting.discard((await consumer.getone()).key)
    finally:
        await consumer.stop()


async def _until_listed(load: latency.Load, user: str, known: str, upload: Upload) -> float:
    """Seconds from the upload until the list of a user, who keeps looking at a known item, has the new one."""
    now = time.monotonic
    await load.send([Click(event_id=user, ts=time.time(), user_id=user, item_id=known)], now(), 1.0)
    began = now()
    await load.publish(upload)
    for glance in count():
        if upload.item_id in load.lists.get(user, ()):
            return now() - began
        if now() - began > PATIENCE:
            raise AnabranchError(f"item {upload.item_id!r} is in no list of {user!r} after {PATIENCE:.0f} s")
        view = View(event_id=f"{user} {glance}", ts=time.time(), user_id=user, item_id=known)
        await load.send([view], now(), 1.0)
        await asyncio.sleep(GLANCE_SECONDS)
    raise AssertionError("unreachable: people look again and again")
