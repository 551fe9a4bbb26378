"""The front door of a worker: settings -> adapters -> pipeline -> agents -> Faust app."""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from random import SystemRandom
from typing import Any, TypeVar
from uuid import uuid4

import faust
import structlog
from aiohttp import web
from faust.types import TP
from threadpoolctl import threadpool_limits

from encoders.contract import DIM
from streams import kernels, metrics, topics, tracing
from streams.adapters.batches import BatchTransport
from streams.adapters.cassandra import CassandraStore
from streams.adapters.deferred import Graphs
from streams.adapters.fusion import LearnedFusion
from streams.adapters.index import EFFORT_FOR_LISTS, VectorIndex
from streams.adapters.kafka import Follower, KafkaSink, PartitionOf
from streams.adapters.moderation import ContentModerator
from streams.adapters.patience import retrying
from streams.adapters.ranker import TritonRanker
from streams.adapters.tail import Tail, values
from streams.adapters.triton import HastyEmbedder, PatientEmbedder, TritonEmbedder
from streams.advice import Advice
from streams.agents import Agents, Handle, end_process
from streams.core.diversity import exposure_shares, mean_diversity
from streams.core.fusion import Average
from streams.core.memory.deniability import Deniability
from streams.core.search.asker import asker as asker_of
from streams.core.search.question import Asker
from streams.errors import AnabranchError, KafkaUnavailable, RankerUnavailable, StoreMoved, StoreUnavailable
from streams.events import SHOWN
from streams.faust_app import faust_app, leave
from streams.knowledge import read_if_set
from streams.one_space import OneSpace
from streams.pipeline import Pipeline
from streams.pipeline.embedding import Fuse
from streams.pipeline.moderation import Moderation
from streams.pipeline.policy import Policy
from streams.plan import check_versions, read_plan
from streams.queries import Queries
from streams.replica import Replica, left_out
from streams.rules import kept
from streams.search import Search
from streams.searching import empty_search, learns, media_reader, numbers
from streams.settings import Kafka, Metrics, Server, Settings, Worker
from streams.settings import Moderation as ModerationSettings
from streams.shown import Answers
from streams.snapshots import SnapshotFolder
from streams.web.health import Health, Unwell
from streams.web.server import listening

WORTH_A_SNAPSHOT = 5_000
"""Messages followed at the start, which the next start shall not have to follow again."""

OWNERSHIP_SECONDS = 5
"""From one look at who owns our partitions to the next."""

ARRIVAL_SECONDS = 3.0
"""For connecting to a server that may not be there yet."""

T = TypeVar("T")
log = structlog.get_logger()


async def run_worker(settings: Settings) -> None:
    """Run one worker until SIGTERM or SIGINT; then finish the batches in hand, commit them and leave."""
    stopping = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    threadpool_limits(1)  # a worker is one process on one core; more threads would only wait for each other
    log.info("worker is starting")
    health = Health()
    if settings.traces.endpoint:
        tracing.set_up(settings.traces.endpoint, service=settings.kafka.group, share=settings.traces.share)
    try:
        async with _showing(health, settings.metrics):
            warming = asyncio.create_task(kernels.prepare(settings.recommender))
            store = await _unless(stopping, open_store(settings, health))
            if store is None:
                return
            async with open_pipeline(settings, store, health) as pipeline:
                await warming
                snapshots = SnapshotFolder(settings.snapshot_folder, pipeline.replica)
                gc.disable()  # of what is restored nothing is garbage: to look for it takes a third as long again
                snapshots.restore()
                gc.enable()
                async with (
                    kept(settings.worker.rules_file, pipeline.replica),
                    following(settings.kafka, pipeline.replica, health) as follower,
                ):
                    log.info("memory is up to date", items=len(pipeline.replica.item_vectors))
                    snapshots.save(least=WORTH_A_SNAPSHOT)
                    async with open_search(settings, pipeline, health) as (search, following_items, complete):
                        queries = Queries(search, pipeline.sink, complete)
                        followers = [follower, following_items]
                        await serve(settings, pipeline, followers, stopping, health, answer=queries.answer)
                snapshots.save()
    except AnabranchError:
        raise
    except Exception as error:
        # Threads of a client that could not be closed must not keep a dead worker's process, and its partitions, alive.
        log.critical("the worker ends without committing what it has in hand", exc_info=error)
        end_process()
    finally:
        tracing.shut_down()
    log.info("worker has stopped")


@asynccontextmanager
async def _showing(health: Health, where: Metrics) -> AsyncIterator[None]:
    """Show metrics and health from the very start, before anything else is there."""

    async def start() -> None:
        raise Unwell("the worker is starting")

    health.ready.checks["start"] = start
    app = web.Application()
    app.add_routes(health.routes())
    async with listening(app, where.host, where.port, setting="ANABRANCH_METRICS__PORT"):
        yield


@asynccontextmanager
async def following(
    kafka: Kafka,
    replica: Replica,
    health: Health | None = None,
    told: Callable[[int, int], None] = lambda read, of: None,
) -> AsyncIterator[asyncio.Task[None]]:
    """A task that keeps the replica up to date, begun once it is; what ends the task is raised here until then.

    told  called meanwhile with how many messages have been read, and how many there are
    """
    async with _catching_up(kafka, replica, health, told, name="memory") as (task, caught_up):
        await _first(caught_up.wait(), task)
        yield task


@asynccontextmanager
async def _catching_up(
    kafka: Kafka,
    follows: Replica | Search,
    health: Health | None,
    told: Callable[[int, int], None] = lambda read, of: None,
    *,
    name: str,
) -> AsyncIterator[tuple[asyncio.Task[None], asyncio.Event]]:
    """A task that follows the logs, and what says that it has read all that was there at its start.

    name  of the check of health
    """
    follower = Follower(kafka, follows.offsets, follows.follow, told)
    if health is not None:
        health.ready.checks[name] = follower.check
    task = asyncio.create_task(follower.run())
    try:
        yield task, follower.caught_up
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def serve(
    settings: Settings,
    pipeline: Pipeline,
    followers: Sequence[asyncio.Task[None]],
    stopping: asyncio.Event,
    health: Health | None = None,
    *,
    answer: Handle | None = None,
) -> None:
    """Handle events until told to stop; what is in hand is finished and committed.

    followers  what keeps the memory up to date; when one ends, so does this
    answer     handles queries; without it they are left to others
    """
    app = faust_app(settings)
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    agents = Agents(
        pipeline, batch_size=settings.worker.batch_size, batch_keys=settings.worker.batch_keys, answer=answer
    )
    agents.attach(app)
    await app.start()
    watching = [asyncio.create_task(each) for each in (_keep_owning(pipeline), _show(app, pipeline))]
    if health is not None:
        health.alive.checks["agents"] = partial(_agents_run, app)
        health.ready.checks["partitions"] = partial(_has_partitions, app)
        del health.ready.checks["start"]
    gc.freeze()  # what is here by now stays; to look through it again and again would stop the worker for 0.2 s
    log.info("worker is running", metrics=f"http://{settings.metrics.host}:{settings.metrics.port}/metrics")
    try:
        await _first(stopping.wait(), *followers, *watching, app.wait_until_stopped())
        log.info("worker drains")
        await agents.drain()
    finally:
        for each in watching:
            each.cancel()
        await leave(app)


@asynccontextmanager
async def open_pipeline(
    settings: Settings, store: CassandraStore, health: Health | None = None
) -> AsyncIterator[Pipeline]:
    """Open every other client, and close them all in the end.

    health  is told what the worker needs
    """
    worker = f"{socket.gethostname()}-{uuid4().hex[:8]}"  # new at each start: what an earlier life learned is read back
    policy = policy_of(settings)
    sink = KafkaSink(settings.kafka)
    index = VectorIndex(DIM, EFFORT_FOR_LISTS)
    identities = await asyncio.to_thread(topics.identities, settings.kafka, store.items_topic)
    known = await asyncio.to_thread(read_if_set, settings.worker.knowledge_file)
    replica = Replica(
        index,
        worker=worker,
        items_topic=store.items_topic,
        settings=settings.recommender,
        known=known,
        identities=identities,
    )
    fuse = fuse_of(settings.worker)
    triton = TritonEmbedder(settings.triton)
    embedder = OneSpace(triton, replica.spaces, fuse.space)
    experiments = read_plan(settings.worker.experiments)
    named = experiments.model_versions() if experiments else {}
    ranker = TritonRanker(settings.triton, seconds=settings.worker.ranker_seconds)
    advice = Advice(ranker, least_weight=policy.click_weight / 2, named=named)
    meanwhile = [asyncio.create_task(each) for each in (advice.follow(), embedder.watch())]
    try:
        if named and (shipped := await _shipped(ranker)):
            check_versions(settings.worker.experiments, experiments, shipped)
        await sink.start()
        if health is not None:
            health.ready.checks |= {"kafka": sink.check, "cassandra": store.check, "triton": triton.check}
            health.ready.checks["space"] = embedder.check
        async with _hearing(settings, replica) as answers:
            yield Pipeline(
                store=store,
                embedder=PatientEmbedder(embedder),
                media=media_reader(settings.worker),
                sink=sink,
                replica=replica,
                fuse=fuse,
                policy=policy,
                partition_of=PartitionOf(settings.kafka.partitions),
                moderation=await asyncio.to_thread(moderation_of, settings.moderation),
                experiments=experiments,
                advice=advice,
                deniability=Deniability(settings.privacy.epsilon, SystemRandom()) if settings.privacy.epsilon else None,
                answers=answers,
            )
    finally:
        for task in meanwhile:
            task.cancel()
        await ranker.close()
        await triton.close()
        await sink.close()
        await store.close()


async def _shipped(ranker: TritonRanker) -> Collection[int]:
    """The versions of the deep ranker that there are; none where Triton serves none, or cannot be asked."""
    try:
        return (await ranker.arms()).shipped
    except RankerUnavailable as error:
        log.warning("the versions that arms of experiments name are not checked", error=str(error))
        return ()


@asynccontextmanager
async def _hearing(settings: Settings, replica: Replica) -> AsyncIterator[Answers | None]:
    """What answers show, from now on; None where clicks on them are to teach nothing."""
    if not learns(settings):
        yield None
        return
    answers = Answers(numbers(settings).counting, replica.weights)
    tail = Tail(settings.kafka, SHOWN, values(answers.take), left_out)
    await tail.start()
    task = asyncio.create_task(tail.run())
    try:
        yield answers
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await tail.close()


@asynccontextmanager
async def open_search(
    settings: Settings, pipeline: Pipeline, health: Health | None = None
) -> AsyncIterator[tuple[Search, asyncio.Task[None], asyncio.Event]]:
    """What answers queries; the task that keeps it up to date; and what says that it knows every item by now.

    It reads the log while lists are already made, some ten seconds for 100,000 items. From then on it answers, at first
    by comparing with every vector, while the graphs that spare it that are built by a process beside.
    """
    triton = TritonEmbedder(settings.triton)
    hasty = HastyEmbedder(OneSpace(triton, pipeline.replica.spaces))
    if health is not None:
        health.ready.breakers["triton"] = lambda: str(hasty.breaker.state)
    graphs = Graphs(DIM)
    search = empty_search(settings, hasty, partial(asker, pipeline), pipeline.replica, graphs)
    try:
        async with _catching_up(settings.kafka, search, health, name="search") as (task, complete):
            meanwhile = [asyncio.create_task(each) for each in (_keep_what_comes(complete), graphs.build(complete))]
            try:
                yield search, task, complete
            finally:
                for each in meanwhile:
                    each.cancel()
                await asyncio.gather(*meanwhile, return_exceptions=True)
    finally:
        await triton.close()


async def asker(pipeline: Pipeline, user_id: str) -> Asker:
    """A user, as somebody who looks for something. Raises StoreUnavailable."""
    user = (await pipeline.store.read_users([user_id])).get(user_id)
    if user is None:
        return Asker()
    return asker_of(user, pipeline.lists.weights(user), pipeline.replica.recommender.likings)


async def _keep_what_comes(complete: asyncio.Event) -> None:
    """What search takes in while it catches up stays: the collector must not look through it again and again."""
    while not complete.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(complete.wait(), timeout=1)
        gc.freeze()
    log.info("search is up to date")


def fuse_of(worker: Worker) -> Fuse:
    """How the parts of an item become one vector, as set. Raises FileNotFoundError."""
    return LearnedFusion(worker.fusion_folder) if worker.fusion_folder else Average(worker.fusion_weights)


def moderation_of(settings: ModerationSettings) -> Moderation | None:
    """How uploads are looked at, as set; reads what that needs."""
    if not settings.enabled or settings.key is None:
        return None
    moderator = ContentModerator(settings.allowed_words)
    return Moderation(moderator, settings.limits, settings.key.get_secret_value().encode())


def policy_of(settings: Settings) -> Policy:
    """The numbers that the pipeline goes by, as set."""
    worker = settings.worker
    return Policy(
        click_weight=worker.click_weight,
        view_weight=worker.view_weight,
        taste_half_life=worker.taste_half_life_seconds,
        typical_dwell=worker.typical_dwell_seconds,
        modality_weights=settings.worker.fusion_weights,
        list_length=worker.list_length,
        quality_trait=worker.quality_trait,
        remembered=settings.retention.history_seconds,
        dedup_window=worker.dedup_window,
        cached_users=worker.cached_users,
    )


async def open_store(settings: Settings, health: Health | None = None) -> CassandraStore:
    """Return once somebody listens at each address, and no other keyspace is about to be put in place.

    A worker may be started before the servers, and is started again when `anabranch rebuild` has made it end.

    health  is told what the worker waits for
    """

    async def open_it() -> CassandraStore:
        return await CassandraStore.connect(
            settings.cassandra,
            dedup_window=settings.worker.dedup_window,
            users_days=settings.retention.users_days,
            migrated=True,
        )

    await _patiently("kafka", partial(_listens, settings.kafka), health)
    await _patiently("cassandra", partial(_listens, settings.cassandra), health)
    return await _patiently("cassandra", open_it, health)


async def _patiently(server: str, attempted: Callable[[], Awaitable[T]], health: Health | None) -> T:
    """What comes of it once it succeeds; health is told why it does not."""
    async for attempt in retrying(server, (Unwell, StoreMoved), first_pause=0.1, longest_pause=2):
        with attempt:
            try:
                there = await attempted()
                if health is not None:
                    health.ready.checks.pop(server, None)
                return there
            except (Unwell, StoreMoved) as error:
                if health is not None:
                    health.ready.checks[server] = partial(_say, error)
                raise
    raise AssertionError("unreachable: there is no end to the attempts")


async def _say(error: AnabranchError) -> None:
    raise error


async def _listens(server: Server) -> None:
    host, _, port = server.address.rpartition(":")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), ARRIVAL_SECONDS)
    except OSError as error:  # a timeout is one
        reason = error.strerror or "no answer"
        raise Unwell(f"not yet there, at {server.address}: {reason}") from error
    writer.close()


async def _unless(told: asyncio.Event, wanted: Coroutine[Any, Any, T]) -> T | None:
    """What comes of it; None where somebody tells before."""
    task, telling = asyncio.create_task(wanted), asyncio.create_task(told.wait())
    await asyncio.wait({task, telling}, return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    if task.done():
        return task.result()
    task.cancel()
    return None


async def _first(*awaited: Any) -> None:
    """Wait for the first to end; if it failed, raise what it raised."""
    tasks = [asyncio.ensure_future(each) for each in awaited]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _agents_run(app: faust.App) -> None:
    for agent in app.agents.values():
        actors: Any = getattr(agent, "_actors", ())  # missing from Faust's types
        for actor in actors:
            if actor.crashed and not isinstance(actor.crash_reason, asyncio.CancelledError):  # that is a rebalance
                raise Unwell(f"{agent.name} has ended: {actor.crash_reason!r}")


async def _has_partitions(app: faust.App) -> None:
    if not app.consumer.assignment():
        raise Unwell("no partition is assigned; are there more workers than partitions, or is the group rebalancing?")


async def _keep_owning(pipeline: Pipeline) -> None:
    """Now and then make sure that our partitions are still ours: a worker without events would not hear otherwise.

    Raises Fenced.
    """
    while True:
        await asyncio.sleep(OWNERSHIP_SECONDS)
        with suppress(StoreUnavailable):  # whoever writes finds out, and waits
            await pipeline.check_ownership()


async def _show(app: faust.App, pipeline: Pipeline) -> None:
    """Publish how far each partition is behind, and how good the lists are, once a second."""
    consumer: Any = app.consumer  # `BatchConsumer`
    ends: dict[TP, int] = {}
    while True:
        await asyncio.sleep(1)
        metrics.show_quality(pipeline.lists.quality.figures(len(pipeline.replica.item_vectors)))
        catalogue, per = pipeline.replica.recommender.catalogue, pipeline.replica.recommender.settings.exposure_per
        metrics.LIST_DIVERSITY.set(mean_diversity(catalogue, pipeline.lists.quality.latest(100)))
        metrics.show_exposure(exposure_shares(catalogue, pipeline.lists.quality.exposure, per))
        if pipeline.lists.advice is not None:
            metrics.show_advice(pipeline.lists.advice.residual.figures())
        with suppress(KafkaUnavailable):  # `/readyz` says so
            ends = await consumer.ends()
        metrics.LAG.clear()  # of partitions that have moved to another worker, it tells
        for partition in consumer.assignment():
            committed = consumer._committed_offset.get(partition) or 0
            metrics.LAG.labels(partition.topic, str(partition.partition)).set(
                max(0, ends.get(partition, 0) - committed)
            )
