"""`anabranch rollout`: versions of the ranker come and go while events flow, and what people wait for their lists.

The versions have learned nothing: what it takes to ship, serve or refuse one does not depend on what it knows.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, pairwise, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from deploy.local.process import Process
from deploy.local.servers import worker_process
from encoders.ranker import NETWORK, seal, verify
from encoders.training.deep.content import ITEM
from encoders.training.deep.export import export
from encoders.training.deep.judge import Calibration
from encoders.training.deep.log import Log
from encoders.training.deep.rankers import Ranker, Shape
from streams.adapters.ranker import TritonModels
from streams.bench.servers import load_items, running, worker
from streams.datasets.dataset import Dataset
from streams.datasets.movielens import movielens
from streams.deep.deciding import added_up, ask
from streams.deep.registry import ModelRefused, Registry
from streams.deep.source import of_events
from streams.errors import AnabranchError
from streams.events import Recommendations
from streams.producer import EventProducer
from streams.progress import bars
from streams.replay import ListWatcher, play
from streams.reports import Environment, Sheet, environment, machine, markdown, table
from streams.searching import media_reader
from streams.settings import Settings
from streams.soak import endless

SHAPE = Shape("click", parts=(ITEM,))
WIDE = Shape("click", parts=(ITEM,), width=512)
"""Answers rightly, and takes far longer."""

PATIENCE = 60.0


class Sighting(Struct, frozen=True):
    """A list that came.

    at       when it was emitted, seconds since the epoch
    seconds  since its event had arrived in Kafka
    """

    at: float
    seconds: float


class Step(Struct, frozen=True):
    """What was done, and what was seen from then until the next step.

    outcome    in words
    took       seconds that it took
    begin, end seconds since the epoch
    events     sent
    choices    version -> choices of users whose list it had a part in, since others were served than now
    unadvised  lists that were made without the version that serves their user
    seen       the lists that came, in their order
    """

    name: str
    outcome: str
    took: float
    begin: float
    end: float
    events: int
    choices: dict[int, int]
    unadvised: int
    seen: list[Sighting] = []

    def with_lists(self, seen: Sequence[Sighting]) -> "Step":
        """With those of its time; they come from several partitions, in no order."""
        mine = sorted((each for each in seen if self.begin <= each.at < self.end), key=lambda each: each.at)
        return replace(self, seen=mine)

    def waited(self, quantile: float) -> float:
        """Seconds from an event's arrival in Kafka to its list; 0 without any."""
        return float(np.quantile([each.seconds for each in self.seen], quantile)) if self.seen else 0.0

    @property
    def longest_pause(self) -> float:
        """Seconds without any list."""
        return max(
            after - before for before, after in pairwise([self.begin, *(each.at for each in self.seen), self.end])
        )


class Outcome(Struct, frozen=True):
    """One run.

    rate        events a second
    seconds     of each step
    unanswered  events without a list in the end
    """

    environment: Environment
    rate: float
    seconds: float
    steps: list[Step]
    unanswered: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, and all that is bad was refused."""
        refused = [each.outcome for each in self.steps if each.outcome.startswith("refused")]
        return not self.unanswered and refused == ["refused: corrupt", "refused: unloadable", "refused: slow"]


def run(settings: Settings, console: Console, *, rate: float, seconds: float) -> Outcome:
    """Ship, try, promote and take back versions under load, on servers of its own.

    settings  of the usual home: its downloads are shared, its servers left alone
    rate      events a second
    seconds   of each step, at least

    Raises AnabranchError when the worker ends.
    """
    here, home = environment(), settings.home.resolve() / "rollout"
    shutil.rmtree(home / "models", ignore_errors=True)
    with running(home, settings.downloads_folder.resolve(), console) as own, TemporaryDirectory() as folder:
        dataset = movielens(own.downloads_folder)
        load_items(own, console, dataset.uploads)
        log = of_events([*dataset.uploads, *dataset.activity], media_reader(own.worker))
        steps = plan(Registry(own.models_folder, TritonModels(own.triton)), log, Path(folder))
        with (
            worker(own, {}),
            Watch(own) as watch,
            _load(own, dataset, rate, watch.lists),
            bars(console) as progress,
        ):
            bar = progress.add_task("steps", total=len(steps))
            done: list[Step] = []
            for name, step in steps:
                done.append(watch.during(name, step, seconds, since=done[-1].end if done else time.time()))
                progress.update(bar, advance=1, description=name)
        unanswered = len(watch.lists.report.unanswered)
        return Outcome(here, rate, seconds, [each.with_lists(watch.seen) for each in done], unanswered)


@contextmanager
def _load(settings: Settings, dataset: Dataset, rate: float, lists: ListWatcher) -> Iterator[None]:
    """So many events a second from when the first has its list; in the end the lists of all are waited for."""
    stopping = threading.Event()
    events = endless(dataset)
    with EventProducer(settings.kafka) as producer:
        play(producer, islice(events, 1), before=lists.expect)
        lists.wait(PATIENCE)
        sending = threading.Thread(
            target=play,
            args=(producer, takewhile(lambda event: not stopping.is_set(), events)),
            kwargs={"events_per_second": rate, "before": lists.expect},
        )
        sending.start()
        try:
            yield
        finally:
            stopping.set()
            sending.join()
        lists.wait(PATIENCE)


def plan(registry: Registry, log: Log, folder: Path) -> list[tuple[str, Callable[[], str]]]:
    """The steps, each with what does it and says in words what came of it."""
    first, second, slow = (
        _version(folder / name, log, shape, seed)
        for seed, (name, shape) in enumerate((("first", SHAPE), ("second", SHAPE), ("slow", WIDE)))
    )
    corrupt, wrong = (Path(shutil.copytree(second, folder / name)) for name in ("corrupt", "wrong"))
    damage(corrupt)
    take_another_network(wrong, first)

    def ship(version: Path) -> str:
        try:
            return f"version {registry.ship(version)} is tried, and kept"
        except ModelRefused as refusal:
            return f"refused: {refusal.reason}"

    def canary(number: int) -> str:
        registry.canary(number, 0.5)
        return f"version {number} serves half of the users"

    def promote() -> str:
        return f"version {registry.promote()} serves everybody"

    def roll_back() -> str:
        return f"version {registry.roll_back()} serves everybody"

    return [
        ("no model", lambda: "nothing is done"),
        ("ship", lambda: ship(first)),
        ("canary", lambda: canary(1)),
        ("promote", promote),
        ("ship a second", lambda: ship(second)),
        ("canary", lambda: canary(2)),
        ("promote", promote),
        ("roll back", roll_back),
        ("ship a damaged one", lambda: ship(corrupt)),
        ("ship one with another network", lambda: ship(wrong)),
        ("ship a slow one", lambda: ship(slow)),
    ]


def damage(folder: Path) -> None:
    """One bit of a version's network flips on its way."""
    data = bytearray((folder / NETWORK).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / NETWORK).write_bytes(bytes(data))


def take_another_network(folder: Path, other: Path) -> None:
    """A version sealed in good order, but with the network of another training."""
    told = verify(folder)
    shutil.copy(other / NETWORK, folder / NETWORK)
    seal(folder, told)


def _version(folder: Path, log: Log, shape: Shape, seed: int) -> Path:
    torch.manual_seed(seed)
    network = Ranker(shape, {ITEM: np.arange(len(log.item_ids))}).eval()
    return export(network, Calibration(1.0, 0.0), log, {"kind": shape.kind}, folder)


class Watch:
    """What comes back from a worker while something is done.

    lists  that come
    seen   when each of them came
    """

    def __init__(self, settings: Settings) -> None:
        self._metrics = f"{settings.metrics.host}:{settings.metrics.port}"
        self._worker: Process = worker_process(settings)
        self.seen: list[Sighting] = []
        self.lists = ListWatcher(settings.kafka, self._note)
        self._events = self._unadvised = 0

    def __enter__(self) -> "Watch":
        self.lists.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.lists.__exit__(None, None, None)

    def during(self, name: str, step: Callable[[], str], seconds: float, *, since: float) -> Step:
        """Do something, and watch for so long. Raises AnabranchError when the worker has ended."""
        outcome = step()
        took = time.time() - since
        time.sleep(max(0.0, seconds - took))
        if self._worker.find() is None:
            raise AnabranchError(f"the worker ended; its log says:\n{self._worker.last_words()}")
        figures, without = added_up([ask(self._metrics)])
        choices = {version: each.choices for version, each in sorted(figures.items()) if each.choices}
        events, unadvised = self.lists.report.sent, int(sum(without.values()))
        done = Step(
            name, outcome, took, since, time.time(), events - self._events, choices, unadvised - self._unadvised
        )
        self._events, self._unadvised = events, unadvised
        return done

    def _note(self, each: Recommendations) -> None:
        self.seen.append(Sighting(each.emitted_at, each.emitted_at - each.published_at))


HEADINGS = (
    "step",
    "what came of it",
    "it took, s",
    "events",
    "lists",
    "p50, ms",
    "p99, ms",
    "longest pause, ms",
    "choices by version",
    "lists without their version",
)


def _rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for each in outcome.steps:
        yield (
            each.name,
            each.outcome,
            f"{each.took:.1f}",
            f"{each.events:,}",
            f"{len(each.seen):,}",
            f"{each.waited(0.5) * 1000:,.0f}",
            f"{each.waited(0.99) * 1000:,.0f}",
            f"{each.longest_pause * 1000:,.0f}",
            ", ".join(f"{version}: {choices:,}" for version, choices in each.choices.items()),
            f"{each.unadvised:,}",
        )


def verdict(outcome: Outcome) -> str:
    """One sentence."""
    events, lists = sum(each.events for each in outcome.steps), sum(len(each.seen) for each in outcome.steps)
    return (
        f"{events:,} events at {outcome.rate:,.0f} a second, {lists:,} lists, {outcome.unanswered:,} events without a"
        " list."
    )


def summary(outcome: Outcome) -> Table:
    """The report for a terminal."""
    return table(_sheet(outcome), caption=verdict(outcome))


def page(outcome: Outcome) -> str:
    """A section of `docs/models.md`."""
    return f"{verdict(outcome)}\n\n{markdown(_sheet(outcome))}\n{machine(outcome.environment)}\n"


def _sheet(outcome: Outcome) -> Sheet:
    return Sheet("", HEADINGS, list(_rows(outcome)))
