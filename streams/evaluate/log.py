"""A recorded log of events: what happened, in order, and the items there are."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from streams.datasets.dataset import Dataset
from streams.errors import AnabranchError
from streams.events import EVENT_TYPES, Click, Event, Upload, View

SEED = 7


class UnreadableLog(AnabranchError):
    """A line of a log is no event; the message names the file, the line and the reason."""


class Log(Struct, frozen=True):
    """What is replayed.

    items    ids of the whole catalogue, in an order that says nothing
    touches  clicks and views, in the order they happened
    """

    name: str
    items: list[str]
    touches: list[Click | View]

    @property
    def clicks(self) -> list[Click]:
        """What lists are judged by."""
        return [touch for touch in self.touches if isinstance(touch, Click)]


class _Topic(Struct):
    topic: str


def of_dataset(dataset: Dataset, *, clicks: int | None = None, views: bool = False) -> Log:
    """The first clicks of a data set; its views only if they are wanted."""
    touches = [touch for touch in dataset.activity if views or isinstance(touch, Click)]
    return _log(dataset.name, (upload.item_id for upload in dataset.uploads), touches, clicks)


def read(path: Path, *, clicks: int | None = None) -> Log:
    """A log of JSON lines: events as they cross Kafka, each with one more field, `topic`.

    Clicks and views are replayed by `ts`, then by line. Uploads only tell which items there are besides those that are
    clicked or viewed, and withdrawn ones are left out; other topics are skipped. Raises UnreadableLog.
    """
    touches: list[Click | View] = []
    items: dict[str, bool] = {}
    for event in events(path, (Click, View, Upload)):
        if isinstance(event, Click | View):
            touches.append(event)
        elif isinstance(event, Upload):
            items[event.item_id] = not event.withdrawn
    touches.sort(key=lambda touch: touch.ts)
    return _log(path.name, (item for item, listed in items.items() if listed), touches, clicks)


def events(path: Path, kinds: Collection[type[Event]]) -> Iterator[Event]:
    """The events of these kinds in a log of JSON lines; other topics are skipped. Raises UnreadableLog."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                kind = EVENT_TYPES.get(msgspec.json.decode(line, type=_Topic).topic)
                if kind in kinds:
                    yield msgspec.json.decode(line, type=kind)
            except msgspec.MsgspecError as error:
                raise UnreadableLog(f"{path}, line {number}: {error}") from error


def _log(name: str, uploaded: Iterable[str], touches: Sequence[Click | View], clicks: int | None) -> Log:
    if clicks is not None:
        last = [n for n, touch in enumerate(touches) if isinstance(touch, Click)][:clicks][-1:]
        touches = list(islice(touches, last[0] + 1 if last else 0))
    items = list(dict.fromkeys([*uploaded, *(touch.item_id for touch in touches)]))
    order = np.random.default_rng(SEED).permutation(len(items))  # ids in order of release would break ties well
    return Log(name, [items[place] for place in order], list(touches))
