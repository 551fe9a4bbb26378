"""MovieLens-100k replayed through the running system, judged by the lists that it publishes.

Just before each click the list that its user holds by then is taken down. In lockstep the next click waits until the
last one's list is out; at a rate it does not, and what was being served is what counts.
"""

import threading
import time

from rich.console import Console

from streams.core.evaluation import K
from streams.datasets.dataset import Dataset
from streams.events import Click, Profile, Recommendations
from streams.producer import EventProducer
from streams.progress import bars
from streams.replay import ListWatcher, load_catalogue
from streams.settings import Settings


def replay(
    settings: Settings, console: Console, dataset: Dataset, clicks: list[Click], clicks_per_second: float
) -> list[list[str]]:
    """The list that each click's user held just before it. Raises TimeoutError when no list comes in lockstep.

    clicks_per_second  0 means lockstep
    """
    with EventProducer(settings.kafka, as_they_are=True, linger_ms=0) as producer:
        load_catalogue(settings, console, producer, dataset.uploads, None)
        return _replay(settings, console, producer, dataset, clicks, clicks_per_second)


def _replay(
    settings: Settings,
    console: Console,
    producer: EventProducer,
    dataset: Dataset,
    clicks: list[Click],
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

    judged: list[list[str]] = []
    with ListWatcher(settings.kafka, on_list) as watcher, bars(console) as bar:
        task = bar.add_task("clicks judged", total=len(clicks))
        start = time.monotonic()
        for n, click in enumerate(clicks):
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
