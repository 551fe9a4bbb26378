"""Play recorded activity into the event topics, and watch the lists that come back."""

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from types import TracebackType
from typing import TypeVar

import msgspec
import numpy as np
from kafka.errors import KafkaError
from msgspec import Struct, field
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from deploy.local.process import Process
from streams.consumer import ListReader
from streams.datasets.movielens import movielens
from streams.errors import AnabranchError
from streams.events import Click, Profile, Recommendations, Upload, View
from streams.producer import EventProducer
from streams.settings import Kafka, Settings

E = TypeVar("E", bound=Upload | Profile | Click | View)


class Report(Struct):
    """What came back for what was sent.

    sent        events sent
    unanswered  ids of the events that no list has named yet
    users       user -> their newest list
    latencies   seconds from an event's arrival in Kafka to its list, one for each list
    """

    sent: int = 0
    unanswered: set[str] = field(default_factory=set)
    users: dict[str, Recommendations] = field(default_factory=dict)
    lists: int = 0
    latencies: list[float] = field(default_factory=list)
    started: float = 0.0
    finished: float = 0.0

    @property
    def events_per_second(self) -> float:
        return (self.sent - len(self.unanswered)) / max(self.finished - self.started, 1e-9)

    def latency(self, quantile: float) -> float:
        """Event-to-list latency in seconds, 0 before the first list."""
        return float(np.quantile(self.latencies, quantile)) if self.latencies else 0.0


class ListWatcher:
    """Reads `recommendations` on a thread of its own, and notes which events have been answered.

    on_list  called, from that thread, with every list
    """

    def __init__(self, kafka: Kafka | str, on_list: Callable[[Recommendations], None] | None = None) -> None:
        self.report = Report()
        self._reader = ListReader(kafka)
        self._on_list = on_list
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._watch, name="list-watcher", daemon=True)

    def __enter__(self) -> "ListWatcher":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def expect(self, event: Click | View | Profile) -> None:
        """Call before sending an event that shall be answered with a list."""
        with self._changed:
            self.report.started = self.report.started or time.time()
            self.report.sent += 1
            self.report.unanswered.add(event.event_id)

    def wait(self, patience: float, on_change: Callable[[Report], None] = lambda report: None) -> None:
        """Return once all is answered, or when nothing was for `patience` seconds. Raises AnabranchError.

        on_change  called with the report whenever lists have come
        """
        self.wait_for(lambda report: not report.unanswered, patience, on_change)

    def wait_for(
        self,
        reached: Callable[[Report], bool],
        patience: float,
        on_change: Callable[[Report], None] = lambda report: None,
    ) -> None:
        """Like `wait`, until the report is as wanted."""
        with self._changed:
            while not reached(self.report) and self._failure is None:
                before = self.report.lists
                if not self._changed.wait_for(partial(self._moved_on, before), patience):
                    break
                on_change(self.report)
        if self._failure is not None:
            raise AnabranchError(f"the lists could not be read: {self._failure}") from self._failure

    def _moved_on(self, seen: int) -> bool:
        return self.report.lists > seen or self._failure is not None

    def _watch(self) -> None:
        try:
            while not self._stopping.is_set():
                for each in self._reader.poll(0.1):
                    self._note(each)
        except (KafkaError, msgspec.MsgspecError) as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()
        finally:
            self._reader.close()

    def _note(self, each: Recommendations) -> None:
        with self._changed:
            self.report.lists += 1
            self.report.latencies.append(each.emitted_at - each.published_at)
            self.report.users[each.user_id] = each
            self.report.unanswered.difference_update(each.event_ids)
            self.report.finished = time.time()
            self._changed.notify_all()
        if self._on_list:
            self._on_list(each)


def play(
    producer: EventProducer,
    events: Iterable[E],
    *,
    events_per_second: float = 0.0,
    before: Callable[[E], None] = lambda event: None,
) -> None:
    """Send events in order, at a steady rate.

    events_per_second  0 sends as fast as it goes
    before             called with each event before it is sent
    """
    start = time.monotonic()
    for sent, event in enumerate(events):
        if events_per_second:
            ahead = start + sent / events_per_second - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        before(event)
        producer.send(event)
    producer.flush()


def replay(settings: Settings, console: Console, *, events: int, events_per_second: float, patience: float) -> Report:
    """Play MovieLens-100k, catalogue first, into a running system, and wait for the lists."""
    dataset = movielens(settings.downloads_folder)
    activity = list(islice(dataset.with_sign_ups(), events))
    with EventProducer(settings.kafka) as producer:
        load_catalogue(settings, console, producer, dataset.uploads, None)
        with ListWatcher(settings.kafka) as watcher, _progress(console) as progress:
            task = progress.add_task("events answered with a list", total=len(activity))
            sent = progress.add_task("events sent", total=len(activity))

            def before(event: Upload | Profile | Click | View) -> None:
                if not isinstance(event, Upload):
                    watcher.expect(event)
                    progress.advance(sent)
                    progress.update(task, completed=watcher.report.sent - len(watcher.report.unanswered))

            play(producer, activity, events_per_second=events_per_second, before=before)
            watcher.wait(patience, lambda report: progress.update(task, completed=report.sent - len(report.unanswered)))
    return watcher.report


def load_catalogue(
    settings: Settings,
    console: Console,
    producer: EventProducer,
    uploads: list[Upload],
    worker: Process | None,
) -> None:
    """Upload items and wait until the worker has them all. Raises AnabranchError when `worker` ends meanwhile."""
    with _progress(console) as progress:
        task = progress.add_task("items embedded by Triton", total=len(uploads))
        play(producer, uploads)
        while (known := indexed_items(settings)) < len(uploads):
            if worker is not None and worker.find() is None:
                raise AnabranchError(f"the worker ended; its log says:\n{worker.last_words()}")
            progress.update(task, completed=known)
            time.sleep(0.1)
        progress.update(task, completed=len(uploads))


def indexed_items(settings: Settings) -> int:
    """Items in the worker's index, as its metrics say; 0 while it does not answer."""
    try:
        url = f"http://{settings.metrics.host}:{settings.metrics.port}/metrics"
        body = PoolManager(retries=False, timeout=2).request("GET", url).data.decode()
    except HTTPError:
        return 0
    families = text_string_to_metric_families(body)
    return int(
        sum(sample.value for each in families for sample in each.samples if sample.name == "anabranch_index_items")
    )


def _progress(console: Console) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console)


def summary(report: Report) -> Table:
    """What was sent and what came back."""
    table = Table(title="replayed", show_header=False)
    lost = len(report.unanswered)
    table.add_row("events sent", f"{report.sent:,}")
    table.add_row("without a list", f"[red]{lost:,}" if lost else "0")
    table.add_row("users with a list", f"{len(report.users):,}")
    table.add_row("lists refreshed", f"{report.lists:,}")
    table.add_row("events/s", f"{report.events_per_second:,.0f}")
    table.add_row(
        "event to list, p50 / p99", f"{report.latency(0.5) * 1000:.0f} / {report.latency(0.99) * 1000:.0f} ms"
    )
    return table
