"""How the events flow, added up from the metrics of all workers."""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic

import aiohttp
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from streams.web.answers import Flow, Timings

PATIENCE = aiohttp.ClientTimeout(total=2.0)
REMEMBERED = 0.9  # seconds for which one look at the workers answers everybody

Families = Mapping[str, Metric]


class FlowReader:
    """Looks at the workers' metrics, however many ask.

    workers  host:port of each one's metrics
    """

    def __init__(self, workers: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        self._workers = workers
        self._clock = clock
        self._asking = asyncio.Lock()
        self._known: Flow | None = None
        self._asked_at = 0.0

    async def read(self) -> Flow:
        """What the workers have done so far; one that does not answer is named, and not counted."""
        async with self._asking:
            if self._known is None or monotonic() - self._asked_at > REMEMBERED:
                self._known = await self._read()
                self._asked_at = monotonic()
            return self._known

    async def _read(self) -> Flow:
        async with aiohttp.ClientSession(timeout=PATIENCE) as session:
            answers = await asyncio.gather(*(_ask(session, worker) for worker in self._workers))
        wrong = {
            worker: answer if isinstance(answer, str) else ""
            for worker, answer in zip(self._workers, answers, strict=True)
        }
        return flow(self._clock(), wrong, [answer for answer in answers if not isinstance(answer, str)])


async def _ask(session: aiohttp.ClientSession, worker: str) -> Families | str:
    """What a worker shows, or why it does not."""
    try:
        async with session.get(f"http://{worker}/metrics") as answer:
            answer.raise_for_status()
            return {family.name: family for family in text_string_to_metric_families(await answer.text())}
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return f"no metrics: {error or 'no answer'}"


def flow(at: float, workers: Mapping[str, str], metrics: Sequence[Families]) -> Flow:
    """Add up what some workers show.

    at       seconds since the epoch
    workers  host:port -> what is wrong with it
    metrics  of each that answered: name -> family
    """
    lists = _sums(metrics, "anabranch_lists_emitted", "_total")
    return Flow(
        at=at,
        workers=dict(workers),
        events=_sums(metrics, "anabranch_events", "_total", "topic"),
        refused=_sums(metrics, "anabranch_events_rejected", "_total", "topic"),
        lists=sum(lists.values()),
        items=max(_sums([each], "anabranch_index_items").get("", 0.0) for each in metrics) if metrics else 0.0,
        waiting=_sums(metrics, "anabranch_consumer_lag_events", "", "topic"),
        stages=_timings(metrics, "anabranch_stage_seconds", "stage"),
        event_to_list=_timings(metrics, "anabranch_event_to_list_seconds").get("", Timings(0, 0, [])),
    )


def _samples(metrics: Iterable[Families], name: str, suffix: str) -> Iterable[tuple[Mapping[str, str], float]]:
    for families in metrics:
        for sample in families[name].samples if name in families else ():
            if sample.name == name + suffix:
                yield sample.labels, sample.value


def _sums(metrics: Iterable[Families], name: str, suffix: str = "", label: str = "") -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for labels, value in _samples(metrics, name, suffix):
        found[labels.get(label, "")] += value
    return dict(found)


def _timings(metrics: Sequence[Families], name: str, label: str = "") -> dict[str, Timings]:
    buckets: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for labels, value in _samples(metrics, name, "_bucket"):
        buckets[labels.get(label, "")][float(labels["le"])] += value
    counts, seconds = _sums(metrics, name, "_count", label), _sums(metrics, name, "_sum", label)
    return {
        key: Timings(counts.get(key, 0.0), round(seconds.get(key, 0.0), 6), _finite(found))
        for key, found in buckets.items()
    }


def _finite(buckets: Mapping[float, float]) -> list[tuple[float, float]]:
    """Sorted, without the last: JSON knows no infinity, and that bucket is the count."""
    return sorted((bound, count) for bound, count in buckets.items() if math.isfinite(bound))
