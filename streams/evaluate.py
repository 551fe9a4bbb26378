"""Judge the running system by the lists it publishes: `anabranch evaluate`.

MovieLens-100k is replayed click by click. Just before each click the list that its user holds by then is judged by it.
In lockstep the next click waits until the last one's list is out; at a rate it does not, and what was being served is
what counts.
"""

import threading
import time
from itertools import islice
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from streams.core.evaluation import K, Quality, quality
from streams.datasets.dataset import Dataset
from streams.datasets.movielens import movielens
from streams.events import Click, Profile, Recommendations
from streams.producer import EventProducer
from streams.replay import ListWatcher, load_catalogue
from streams.settings import Settings


def evaluate(
    settings: Settings, console: Console, *, clicks: int, clicks_per_second: float, lists_file: Path | None
) -> Table:
    """Replay and judge.

    clicks             how many of the 55,375, oldest first
    clicks_per_second  0 means lockstep
    lists_file         where to write the lists judged, one JSON array of item ids for each click
    """
    dataset = movielens(settings.downloads_folder)
    activity = list(islice((event for event in dataset.activity if isinstance(event, Click)), clicks))
    with EventProducer(settings.kafka.bootstrap_servers, linger_ms=0) as producer:
        load_catalogue(settings, console, producer, dataset.uploads, None)
        lists = _replay(settings, console, producer, dataset, activity, clicks_per_second)
    if lists_file:
        lists_file.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in lists))
    mode = f"at {clicks_per_second:g} clicks/s" if clicks_per_second else "in lockstep"
    return _table(f"the lists published, {mode}", lists, [click.item_id for click in activity], len(dataset.uploads))


def _replay(
    settings: Settings,
    console: Console,
    producer: EventProducer,
    dataset: Dataset,
    activity: list[Click],
    clicks_per_second: float,
) -> list[list[str]]:
    """The list each user held just before each click."""
    held: dict[str, list[str]] = {}
    arrived = threading.Condition()
    answered: set[str] = set()

    def on_list(each: Recommendations) -> None:
        with arrived:
            held[each.user_id] = [item.item_id for item in each.items[:K]]
            answered.update(each.event_ids)
            arrived.notify_all()

    def send_and_wait(event: Click | Profile) -> None:
        watcher.expect(event)
        producer.send(event)
        with arrived:
            if not arrived.wait_for(lambda: event.event_id in answered, timeout=60):
                raise TimeoutError(
                    f"event {event.event_id!r} was not answered with a list in 60 s; is a worker running?"
                )
            answered.clear()

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    judged: list[list[str]] = []
    with ListWatcher(settings.kafka.bootstrap_servers, on_list) as watcher, Progress(*columns, console=console) as bar:
        task = bar.add_task("clicks judged", total=len(activity))
        start = time.monotonic()
        for n, click in enumerate(activity):
            if click.user_id not in held:
                profile = dataset.profiles[click.user_id]
                send_and_wait(
                    Profile(event_id=profile.event_id, ts=click.ts, user_id=click.user_id, traits=profile.traits)
                )
            if clicks_per_second:
                time.sleep(max(0.0, start + n / clicks_per_second - time.monotonic()))
            with arrived:
                judged.append(held[click.user_id])
            if clicks_per_second:
                watcher.expect(click)
                producer.send(click)
            else:
                send_and_wait(click)
            bar.advance(task)
        watcher.wait(patience=30)
    return judged


def _table(title: str, lists: list[list[str]], chosen: list[str], catalogue: int) -> Table:
    total = len(lists)
    windows = {"all": slice(0, total), "first 40%": slice(0, int(0.4 * total)), "last 50%": slice(total // 2, total)}
    table = Table(title=title)
    for heading in ("window", "clicks", f"Recall@{K}", f"NDCG@{K}", f"MRR@{K}", f"coverage@{K}"):
        table.add_column(heading, justify="left" if heading == "window" else "right")
    for name, window in windows.items():
        each: Quality = quality(lists[window], chosen[window], catalogue)
        figures = (each.recall, each.ndcg, each.mrr, each.coverage)
        table.add_row(name, f"{each.events:,}", *(f"{figure:.4f}" for figure in figures))
    return table
