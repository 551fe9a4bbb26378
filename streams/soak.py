"""`anabranch soak`: a worker under a steady load for long: do memory, lag and latency stay where they are?"""

import math
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import count, cycle, islice, pairwise
from statistics import NormalDist, fmean, linear_regression, quantiles

from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from deploy.local.servers import worker_process
from streams.bench.servers import load_items, running, worker
from streams.datasets.dataset import Dataset
from streams.datasets.movielens import movielens
from streams.errors import AnabranchError
from streams.events import Click, Profile, View
from streams.producer import EventProducer
from streams.progress import bars
from streams.replay import ListWatcher, Report, play
from streams.reports import Environment, Sheet, environment, machine, markdown, table
from streams.settings import Settings

CAPACITY_EVENTS = 30_000  # sent at once, to see how many are handled in a second
SAMPLE_SECONDS = 10.0
SETTLING = 1 / 3  # of the samples; caches fill meanwhile, and the slope of memory is that of the rest
PATIENCE = 60.0


class Sample(Struct, frozen=True):
    """What was seen at one time.

    at          seconds since the load began
    memory_mib  resident, of the worker
    waiting     events sent that no list has named yet
    p50, p99    seconds from an event's arrival in Kafka to its list, of the lists since the last sample; 0 without any
    """

    at: float
    memory_mib: float
    waiting: int
    p50: float
    p99: float


class Outcome(Struct, frozen=True):
    """One run.

    capacity    events a second, when as many are sent at once
    rate        events a second, of the load
    unanswered  events without a list in the end
    """

    environment: Environment
    capacity: float
    rate: float
    samples: list[Sample]
    unanswered: int

    @property
    def settled(self) -> list[Sample]:
        return self.samples[int(len(self.samples) * SETTLING) :]

    @property
    def memory_slope(self) -> float:
        """MiB an hour, by least squares over the settled samples."""
        return slope([each.at for each in self.settled], [each.memory_mib for each in self.settled])[0] * 3600

    @property
    def memory_slope_error(self) -> float:
        """Half the width of the slope's interval that holds the true one 95 times in 100."""
        return slope([each.at for each in self.settled], [each.memory_mib for each in self.settled])[1] * 3600


def slope(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """By least squares, and half the width of its 95 % interval; what is left over may resemble what was before it.

    The error of independent residuals is widened as for an autoregressive process of first order: by the root of
    (1 + r) / (1 - r), where r is how much each residual resembles the one before.

    >>> [round(each, 6) for each in slope([0, 1, 2, 3], [1, 3, 5, 7])]
    [2.0, 0.0]
    """
    slope, intercept = linear_regression(x, y)
    residuals = [b - intercept - slope * a for a, b in zip(x, y, strict=True)]
    squares, spread = sum(each**2 for each in residuals), sum((each - fmean(x)) ** 2 for each in x)
    if not squares:
        return slope, 0.0
    likeness = sum(a * b for a, b in pairwise(residuals)) / squares
    likeness = min(max(likeness, 0.0), 0.99)
    error = math.sqrt(squares / max(1, len(x) - 2) / spread * (1 + likeness) / (1 - likeness))
    return slope, NormalDist().inv_cdf(0.975) * error


def run(settings: Settings, console: Console, *, minutes: float, share: float) -> Outcome:
    """Measure the capacity of one worker, then load it with a share of that, on servers of its own.

    settings  of the usual home: its downloads are shared, its servers left alone

    Raises AnabranchError when the worker ends, or no list comes.
    """
    here = environment()
    with running(settings.home.resolve() / "soak", settings.downloads_folder.resolve(), console) as own:
        dataset = movielens(own.downloads_folder)
        load_items(own, console, dataset.uploads)
        events = endless(dataset)
        with worker(own, {}):
            with console.status(f"capacity: {CAPACITY_EVENTS:,} events at once"):
                capacity = _capacity(own, list(islice(events, CAPACITY_EVENTS)))
            rate = capacity * share
            console.print(f"capacity {capacity:,.0f} events/s; {minutes:g} min at {rate:,.0f} events/s")
            samples, unanswered = _load(own, console, events, rate, minutes * 60)
            return Outcome(here, capacity, rate, samples, unanswered)


def endless(dataset: Dataset) -> Iterator[Profile | Click | View]:
    """The activity again and again, by the same people, each time under new ids."""
    numbers = count()
    for event in cycle(dataset.with_sign_ups()):
        yield replace(event, event_id=f"soak-{next(numbers)}")


def _capacity(settings: Settings, events: Sequence[Profile | Click | View]) -> float:
    with EventProducer(settings.kafka) as producer, ListWatcher(settings.kafka) as watcher:
        play(producer, events, before=watcher.expect)
        watcher.wait(PATIENCE)
    if watcher.report.unanswered:
        raise AnabranchError(f"{len(watcher.report.unanswered)} of {len(events)} events got no list")
    return watcher.report.events_per_second


def _load(
    settings: Settings,
    console: Console,
    events: Iterator[Profile | Click | View],
    rate: float,
    seconds: float,
) -> tuple[list[Sample], int]:
    """What was seen meanwhile, and how many events got no list."""
    process = worker_process(settings)
    samples: list[Sample] = []
    total = int(rate * seconds)
    with (
        EventProducer(settings.kafka) as producer,
        ListWatcher(settings.kafka) as watcher,
        bars(console) as progress,
    ):
        task = progress.add_task("events answered with a list", total=total)
        sending = threading.Thread(
            target=play,
            args=(producer, islice(events, total)),
            kwargs={"events_per_second": rate, "before": watcher.expect},
            daemon=True,
        )
        start = time.monotonic()
        sending.start()
        while sending.is_alive():
            sending.join(SAMPLE_SECONDS)
            if process.find() is None:
                raise AnabranchError(f"the worker ended; its log says:\n{process.last_words()}")
            samples.append(_sample(watcher.report, time.monotonic() - start, process.memory() / 2**20))
            progress.update(task, completed=watcher.report.sent - samples[-1].waiting)
        watcher.wait(PATIENCE)
    return samples, len(watcher.report.unanswered)


def _sample(report: Report, at: float, memory_mib: float) -> Sample:
    latencies, report.latencies = report.latencies, []
    p50, p99 = (quantiles(latencies, n=100)[percent - 1] for percent in (50, 99)) if len(latencies) > 1 else (0.0, 0.0)
    return Sample(at, memory_mib, len(report.unanswered), p50, p99)


HEADINGS = ("minute", "memory, MiB", "most events waiting", "p50, ms", "worst p99, ms")


def _rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    """One for each tenth of the time."""
    size = max(1, len(outcome.samples) // 10)
    for begin in range(0, len(outcome.samples), size):
        part = outcome.samples[begin : begin + size]
        yield (
            f"{part[-1].at / 60:.1f}",
            f"{part[-1].memory_mib:,.0f}",
            f"{max(each.waiting for each in part):,}",
            f"{sorted(each.p50 for each in part)[len(part) // 2] * 1000:,.0f}",
            f"{max(each.p99 for each in part) * 1000:,.0f}",
        )


def verdict(outcome: Outcome) -> str:
    """One sentence."""
    return (
        f"Memory: {outcome.memory_slope:+,.1f} ± {outcome.memory_slope_error:,.1f} MiB an hour (95 %);"
        f" {outcome.unanswered:,} events without a list."
    )


def summary(outcome: Outcome) -> Table:
    """The report for a terminal."""
    return table(_sheet(outcome), caption=verdict(outcome))


def page(outcome: Outcome) -> str:
    """A section of `docs/operations.md`."""
    return (
        f"{outcome.samples[-1].at / 60:.0f} minutes at {outcome.rate:,.0f} events a second, where"
        f" {outcome.capacity:,.0f} were handled when all were sent at once. {verdict(outcome)}\n\n"
        f"{markdown(_sheet(outcome))}\n{machine(outcome.environment)}\n"
    )


def _sheet(outcome: Outcome) -> Sheet:
    return Sheet(f"at {outcome.rate:,.0f} of {outcome.capacity:,.0f} events/s", HEADINGS, list(_rows(outcome)))
