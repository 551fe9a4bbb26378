"""Real activity at a pace that faults may slow down, on a thread of its own."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from types import TracebackType

from streams.datasets.dataset import Dataset, as_of_another
from streams.events import Click, Event, Profile, Upload, View
from streams.producer import EventProducer
from streams.settings import Kafka

REPEATED = 50  # one event in so many is sent once more, as producers do that do not know whether they were heard
REPEATED_AFTER = 20  # events later


def activity(dataset: Dataset, count: int, late: Sequence[Upload]) -> list[Event]:
    """So many clicks, views and sign-ups of the people of a data set, and of as many copies of them as it takes.

    late  uploads, spread evenly: of items that have been clicked before
    """
    copies = -(-count // sum(1 for _ in dataset.with_sign_ups()))
    events: list[Event] = list(islice(_crowd(dataset.with_sign_ups(), copies), count))
    step = len(events) // (len(late) + 1)
    for number, upload in reversed(list(enumerate(late, 1))):
        events.insert(number * step, upload)
    return events


def _crowd(events: Iterable[Profile | Click | View], copies: int) -> Iterator[Event]:
    for event in events:
        for number in range(copies):
            yield as_of_another(event, f"copy{number}")


def with_repeats(events: Sequence[Event]) -> Iterator[Event]:
    """The events, some of them again a little later."""
    for number, event in enumerate(events):
        yield event
        if number % REPEATED == 0 and number >= REPEATED_AFTER:
            yield events[number - REPEATED_AFTER]


class Load:
    """Sends events while in its `with` block; a trickle of them, until told to send more."""

    TRICKLE = 5.0  # events a second

    def __init__(self, kafka: Kafka, events: Sequence[Event], before: Callable[[Event], None]) -> None:
        self.sent = 0
        self._kafka = kafka
        self._events = list(with_repeats(events))
        self._before = before
        self._rate, self._rate_until = self.TRICKLE, 0
        self._failure: Exception | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def spread(self, count: int, seconds: float) -> None:
        """Send so many over some seconds, then a trickle again."""
        self._rate, self._rate_until = max(count / seconds, self.TRICKLE), self.sent + count

    def is_done(self) -> bool:
        """Whether Kafka has all. Raises what went wrong."""
        if self._failure is not None:
            raise self._failure
        return not self._thread.is_alive()

    @property
    def left(self) -> int:
        """Events not sent yet, repeats included."""
        return len(self._events) - self.sent

    def _run(self) -> None:
        try:
            with EventProducer(self._kafka) as producer:
                due = time.monotonic()
                for event in self._events:
                    rate = self._rate if self.sent < self._rate_until else self.TRICKLE
                    due = max(due, time.monotonic() - 1) + 1 / rate
                    while (ahead := due - time.monotonic()) > 0:
                        if self._stopping.wait(min(ahead, 0.1)):
                            return
                    self._before(event)
                    producer.send(event)
                    self.sent += 1
        except Exception as error:  # noqa: BLE001 (handed to the thread that asks)
            self._failure = error
