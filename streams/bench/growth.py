"""What many users and items cost a running worker, how soon it starts, and how soon a new item is listed and found.

`anabranch growth`: users and items are made up (`population`), more from step to step. Events are of users drawn at
random, so that with many users hardly one is still in the worker's memory: each is read from Cassandra.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import psutil
import uvloop
from msgspec import Struct
from rich.console import Console

from deploy.local.worker import RunningWorker, running_worker
from streams.adapters import connections
from streams.bench import latency
from streams.bench.freshness import MEDIA, Fresh, until_found, until_listed
from streams.bench.population import Population
from streams.bench.servers import running
from streams.datasets.movielens import movielens
from streams.errors import AnabranchError
from streams.evaluate.scale import catalogue
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
IDLE_EVENTS, IDLE_RATE = 20, 2.0  # each meets a worker that has nothing to do
LOAD_RATE, LOAD_SECONDS, LOAD_WARM_UP = 200.0, 17.0, 2.0
BURST, AT_ONCE = 8_000, 1e6  # clicks that are all sent as fast as it goes, to see how soon they are handled
PATIENCE = 300.0
READING_SECONDS = 7_200.0
"""For a worker without a snapshot to be ready: it puts each item of the log into its index."""


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
            _wait_until_ready(worker)
            listed_after = [uvloop.run(until_listed(own, kind)) for kind in MEDIA]
            found_after = [uvloop.run(until_found(own, kind)) for kind in MEDIA]
    return Growth(found, listed_after, found_after)


def _told(step: Step) -> str:
    """What was just measured, in a line."""
    return (
        f"{step.users:,} users, {step.items:,} items: first list after {step.first:.1f} s,"
        f" at {LOAD_RATE:.0f}/s p50 {step.load.p50 * 1e3:.0f} ms, p99 {step.load.p99 * 1e3:.0f} ms"
    )


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
