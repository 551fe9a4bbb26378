"""The front door of the HTTP side: settings -> adapters -> replica and reader -> aiohttp application.

A process of its own: it follows the logs as every worker does, owns no partitions, and writes nothing but the events
that it is sent and what its answers to queries showed. However much is asked of it, the stream is not disturbed; start
as many as are needed.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import structlog
from threadpoolctl import threadpool_limits

from encoders.contract import DIM
from streams import kernels, metrics
from streams.adapters import clients
from streams.adapters.cassandra import TRANSIENT, CassandraStore
from streams.adapters.deferred import Graphs
from streams.adapters.index import EFFORT_FOR_LISTS, VectorIndex
from streams.adapters.kafka import Follower, KafkaSink
from streams.adapters.lookup import Lookup
from streams.adapters.patience import breaker
from streams.adapters.ranker import TritonRanker
from streams.adapters.tail import Tail, values
from streams.adapters.triton import HastyEmbedder, TritonEmbedder
from streams.advice import Advice
from streams.errors import SinkUnavailable, StoreUnavailable
from streams.events import DECISIONS, QUEUE, Embedded, Learned, Query, SearchResults, Shown
from streams.knowledge import read_if_set
from streams.one_space import OneSpace
from streams.plan import read_plan
from streams.replica import Replica, left_out
from streams.rules import kept
from streams.searching import empty_search, media_reader
from streams.settings import Settings
from streams.shown import told
from streams.web.access import Tokens
from streams.web.api import Api
from streams.web.application import Counted, application
from streams.web.catalogue import Shelf
from streams.web.experiments import Watcher
from streams.web.feed import Feed
from streams.web.flow import FlowReader
from streams.web.health import Health
from streams.web.moderation import Desk
from streams.web.reader import Reader
from streams.web.server import listening

SHOWN_SECONDS = 1.0  # from one look at shipped models to the next
MOVED_SECONDS = 5.0  # from one look at where the users are to the next
READ_PATIENCE = 1.0  # seconds for one read of Cassandra
GIVE_UP_AFTER = 3.0  # seconds of such reads; whoever asks can ask again

log = structlog.get_logger()


async def run(settings: Settings) -> None:
    """Answer until SIGTERM or SIGINT. Raises AnabranchError."""
    stopping = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    threadpool_limits(1)
    log.info("starting")
    http = settings.http
    tokens = Tokens.read(http.token_file) if http.token_file else None
    tls = clients.http_tls(http)
    await kernels.prepare(settings.recommender)
    async with (
        opened(settings) as (api, health, feed, following, replica),
        kept(settings.worker.rules_file, replica),
    ):
        app = application(api, health, tokens)

        async def let_go(_: object) -> None:
            feed.close()

        app.on_shutdown.append(let_go)
        async with listening(app, http.host, http.port, setting="ANABRANCH_HTTP__PORT", tls=tls, told=Counted):
            log.info("answering", at=f"{'https' if tls else 'http'}://{http.host}:{http.port}/", tokens=bool(tokens))
            done, _ = await asyncio.wait(
                [asyncio.create_task(stopping.wait()), *following], return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Api, Health, Feed, list[asyncio.Task[None]], Replica]]:
    """Open every client, and close them in the end; the tasks follow the logs meanwhile."""
    of_store = breaker("cassandra", *TRANSIENT)
    store = await CassandraStore.connect(
        settings.cassandra,
        dedup_window=1,
        request_timeout=READ_PATIENCE,
        give_up_after=GIVE_UP_AFTER,
        breaker=of_store,
    )
    sink = KafkaSink(settings.kafka)
    index = VectorIndex(DIM, EFFORT_FOR_LISTS)
    triton = TritonEmbedder(settings.triton)
    known = await asyncio.to_thread(read_if_set, settings.worker.knowledge_file)
    replica = Replica(index, worker="http", items_topic=store.items_topic, settings=settings.recommender, known=known)
    hasty = HastyEmbedder(OneSpace(triton, replica.spaces))
    shelf = Shelf()
    plan = read_plan(settings.worker.experiments)
    ranker = TritonRanker(settings.triton, seconds=settings.worker.ranker_seconds)
    advice = Advice(
        ranker, least_weight=settings.worker.click_weight / 2, named=plan.model_versions() if plan is not None else {}
    )
    base, half_life = settings.worker.fusion_weights, settings.worker.taste_half_life_seconds
    reader = Reader(store, replica, index.nearest, shelf, base, half_life, plan=plan, advice=advice)
    feed = Feed(reader.outdate)
    tails = [Tail(settings.kafka, "recommendations", values(feed.take), left_out)]
    watcher = Watcher(plan)
    if plan is not None:
        tails.append(Tail(settings.kafka, "experiments", values(watcher.take), left_out, from_start=True))
    moderation, desk, queue = settings.moderation, None, Lookup(settings.kafka, QUEUE)
    if moderation.enabled and moderation.key is not None:
        desk = Desk(moderation.key.get_secret_value().encode(), moderation.limits, sink, queue.read)
        tails.append(Tail(settings.kafka, QUEUE, desk.take, left_out, from_start=True))
        tails.append(Tail(settings.kafka, DECISIONS, values(desk.decided), left_out, from_start=True))
    graphs = Graphs(DIM)
    search = empty_search(settings, hasty, reader.asker, replica, graphs)
    following: list[asyncio.Task[None]] = []
    building: list[asyncio.Task[None]] = []
    try:
        await sink.start()
        if desk is not None:
            await queue.start()
        for tail in tails:
            await tail.start()

        def put(item: Embedded) -> None:
            shelf.put(item)
            search.put(item)

        def learned(learned: Learned) -> None:
            reader.learned(learned)
            if learned.forgotten:
                feed.forget(learned.user_id)

        replica.on_item, replica.on_learned = put, learned
        follower = Follower(settings.kafka, replica.offsets, replica.follow)
        running = (follower.run(), _until_moved(store), watcher.show(), advice.follow(), _show(advice))
        following += [asyncio.create_task(each) for each in (*running, *(tail.run() for tail in tails))]
        building.append(asyncio.create_task(graphs.build(follower.caught_up)))

        telling: set[asyncio.Task[None]] = set()

        async def found(query: Query) -> SearchResults:
            results, shown = await search.search(query)
            if shown is not None:
                telling.add(task := asyncio.create_task(_tell(sink, shown)))
                task.add_done_callback(telling.discard)
            return results

        health = Health()
        # Not Triton: without it, searches by words alone go on, and so does all the rest.
        health.ready.checks |= {"kafka": sink.check, "cassandra": store.check, "memory": follower.check}
        breakers = {"cassandra": of_store, "triton": hasty.breaker}
        health.ready.breakers |= {server: partial(getattr, each, "state") for server, each in breakers.items()}
        api = Api(
            reader=reader,
            shelf=shelf,
            feed=feed,
            flow=FlowReader(settings.http.workers or (f"{settings.metrics.host}:{settings.metrics.port}",)),
            sink=sink,
            media=media_reader(settings.worker),
            search=found,
            experiments=watcher.report,
            desk=desk,
            pseudonym=settings.kafka.pseudonym,
        )
        yield api, health, feed, following, replica
    finally:
        for task in (*following, *building):
            task.cancel()
        await asyncio.gather(*following, *building, return_exceptions=True)
        await ranker.close()
        await triton.close()
        for tail in tails:
            await tail.close()
        await queue.close()
        await sink.close()
        await store.close()


async def _tell(sink: KafkaSink, shown: Shown) -> None:
    """Have the workers hear of it; the answer does not wait for that, nor fail with it."""
    with suppress(SinkUnavailable):  # counted where it is raised
        await sink.publish([told(shown)])


async def _until_moved(store: CassandraStore) -> None:
    """Raises StoreMoved once the users are elsewhere: a new process finds them there."""
    while True:
        await asyncio.sleep(MOVED_SECONDS)
        with suppress(StoreUnavailable):
            await store.check()


async def _show(advice: Advice) -> None:
    """Publish how shipped models do in the lists that are asked for here."""
    while True:
        metrics.show_advice(advice.residual.figures())
        await asyncio.sleep(SHOWN_SECONDS)
