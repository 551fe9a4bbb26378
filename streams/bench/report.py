"""What was measured: as a table, as JSON, and as Markdown for `docs/performance.md`."""

from collections.abc import Sequence
from statistics import median

from msgspec import Struct

from streams.bench.ceilings import Ceiling
from streams.bench.latency import Latency
from streams.bench.steadiness import Steadiness
from streams.bench.variants import OTHERS, VARIANTS, Measured
from streams.reports import Environment, Sheet, markdown

CEILING = "empty agent"
WHAT = {
    "empty agent": "a Faust agent that takes raw bytes and does nothing: the ceiling",
    "without lists": "agents, decoding, taste, Cassandra; nothing learned or ranked",
    "full": "the worker as it is",
    OTHERS: "what the full worker told all others, learned by one of them: no lists, no users of its own",
    "without Faust": "the full pipeline behind a bare aiokafka consumer",
}
BUSY = 0.25  # load average a core at the start from which on the figures are not to be trusted
KEPT_UP_SECONDS = 1.0  # of the slowest in a hundred: beyond, lists fall behind


class Round(Struct):
    """One variant, once."""

    variant: str
    number: int
    measured: Measured


class Result(Struct):
    """One run.

    events     in the backlog
    latencies  at rates that double, the last of which is too much
    ceilings   the parts of a worker beside the bare libraries
    echoes     at those of the rates that the worker keeps up with, of an agent that does nothing but answer
    steadiness  of the machine, before anything was started
    """

    environment: Environment
    events: int
    rounds: list[Round]
    latencies: list[Latency] = []
    ceilings: list[Ceiling] = []
    echoes: list[Latency] = []
    steadiness: Steadiness | None = None


class Spread(Struct, frozen=True):
    """Of several rounds: the median, the least and the most."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(median(values), min(values), max(values))


class Figures(Struct, frozen=True):
    """One variant over all rounds.

    ratio          events/s, where the empty agent of the same round has 1
    cpu_ratio      the same for events a second of the processor, which a busy machine disturbs less
    cpu_us         microseconds of the processor for an event
    rss_mib        at the end
    lists_per_event  one list answers all of a user's events in a batch
    """

    variant: str
    events_per_second: Spread
    ratio: Spread
    cpu_ratio: Spread
    cpu_us: float
    rss_mib: float
    lists_per_event: float


def is_busy(here: Environment) -> bool:
    """Whether others use the machine so much that the figures say little."""
    return here.load_average / here.cores > BUSY


def figures(rounds: Sequence[Round]) -> list[Figures]:
    """One line for each variant that has been measured, in their usual order. Ratios are taken within a round."""
    found = []
    ceiling = {each.number: each.measured for each in rounds if each.variant == CEILING}
    for variant in VARIANTS:
        ours = [each for each in rounds if each.variant == variant]
        if not ours:
            continue
        measured = [each.measured for each in ours]
        beside = [ceiling[each.number] for each in ours]
        pairs = list(zip(measured, beside, strict=True))
        found.append(
            Figures(
                variant=variant,
                events_per_second=Spread.of([_rate(each) for each in measured]),
                ratio=Spread.of([_rate(each) / _rate(top) for each, top in pairs]),
                cpu_ratio=Spread.of([_cpu(top) / _cpu(each) for each, top in pairs]),
                cpu_us=median(_cpu(each) for each in measured) * 1e6,
                rss_mib=median(each.rss_bytes for each in measured) / 1024**2,
                lists_per_event=median(each.lists / each.events for each in measured),
            )
        )
    return found


def _rate(measured: Measured) -> float:
    return measured.events / measured.seconds


def _cpu(measured: Measured) -> float:
    return measured.cpu_seconds / measured.events


def variants(result: Result) -> Sheet:
    """Each beside the empty agent."""
    rows = [
        (
            each.variant,
            _with_spread(each.events_per_second, ",.0f"),
            _with_spread(each.ratio, ".2f"),
            f"{each.cpu_ratio.median:.2f}",
            f"{each.cpu_us:,.0f}",
            f"{each.lists_per_event:.2f}",
            f"{each.rss_mib:,.0f}",
            WHAT[each.variant],
        )
        for each in figures(result.rounds)
    ]
    headings = ("variant", "events/s", "ratio", "ratio by CPU", "CPU µs/event", "lists/event", "MiB", "what")
    return Sheet(f"{result.events:,} events, {_count(result)}", headings, rows)


def _with_spread(spread: Spread, form: str) -> str:
    middle, low, high = (format(value, form) for value in (spread.median, spread.low, spread.high))
    return middle if low == high else f"{middle} ({low}-{high})"


def keeps_up(latency: Latency) -> bool:
    """Whether the worker answered all events about as fast as they came."""
    return not latency.unanswered and latency.p99 <= KEPT_UP_SECONDS


def event_to_list(result: Result) -> Sheet:
    """At each rate."""
    echoes = _echoes(result)
    rows = [
        (
            f"{each.events_per_second:,.0f}",
            *(_ms(seconds) for seconds in (each.p50, each.p90, each.p99, each.max)),
            f"{_ms(echo.p50)} / {_ms(echo.p99)}" if (echo := echoes.get(each.events_per_second)) else "",
            f"{each.events:,}",
            f"{each.unanswered:,}",
            f"{each.cpu * 1e6:,.0f}" if each.cpu is not None else "",
        )
        for each in result.latencies
    ]
    headings = ("live events/s", "p50", "p90", "p99", "worst", "echo p50 / p99", "events", "no list", "CPU µs/event")
    return Sheet("event to list", headings, rows)


def _echoes(result: Result) -> dict[float, Latency]:
    """By their rate."""
    return {each.events_per_second: each for each in result.echoes}


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f} ms"


def latency_line(result: Result) -> str:
    """What the worker keeps up with, how it is at half of that, and what is below it."""
    kept = [each for each in result.latencies if keeps_up(each)]
    if len(kept) < 2:
        return f"The worker did not keep up with {result.latencies[-1].events_per_second:,.0f} events/s."
    half, most = kept[-2:]
    told = (
        f"One worker keeps up with {most.events_per_second:,.0f} live events/s. At half of that, half of the lists are"
        f" with their reader within {_ms(half.p50)} of when their event was to be sent, and 99 of 100 within"
        f" {_ms(half.p99)}."
    )
    if echo := _echoes(result).get(half.events_per_second):
        told += (
            f" An empty agent that answers each event at once with a list made beforehand takes {_ms(echo.p50)} and"
            f" {_ms(echo.p99)} at that rate: the worker {half.p50 / echo.p50:.1f} and {half.p99 / echo.p99:.1f}"
            " times as long."
        )
    return told


def steadiness_line(found: Steadiness) -> str:
    """What no latency of a worker can be better than."""
    return (
        f"Before anything was started, a piece of arithmetic of {_ms(found.p50)} took this machine {_ms(found.p99)} one"
        f" time in a hundred, and {_ms(found.max)} at worst."
    )


def scaling_line(result: Result) -> str:
    """One sentence: how much more two workers handle than one, each on a core of its own.

    An event costs the worker that handles it `own`, which includes learning it, and every other `others`: so each of
    two workers has (own + others) / 2 to do for each event of both. Empty where that was not measured.
    """
    cpu_us = {each.variant: each.cpu_us for each in figures(result.rounds)}
    if "full" not in cpu_us or OTHERS not in cpu_us:
        return ""
    others = cpu_us[OTHERS]

    def gain(own: float) -> float:
        return 2 * own / (own + others)

    live = [each for each in result.latencies if each.cpu is not None and keeps_up(each)]
    at_rates = "".join(f", at {each.events_per_second:,.0f}/s {gain((each.cpu or 0) * 1e6):.2f}" for each in live)
    return (
        f"Counted by the processor, each of the others learns an event in {others:.0f} µs. So two workers, each on a"
        f" core of its own, get {gain(cpu_us['full']):.2f} times as much of a backlog done as one{at_rates}."
    )


def beside_libraries(ceilings: Sequence[Ceiling]) -> Sheet:
    """Each part of a worker."""
    headings = ("what", "ours/s", "bare/s", "ratio", "ratio by CPU", "bare")
    return Sheet(
        "beside the bare libraries, median of the rounds (least-most)", headings, [*map(_ceiling_cells, ceilings)]
    )


def ratios(each: Ceiling) -> tuple[Spread, Spread | None]:
    """Of ours to the bare library, within a round: by the clock, and by the processor where ours is known."""
    ratio = [our.per_second / theirs.per_second for theirs, our in each.rounds]
    cpu_ratio = [our.cpu_per_second / theirs.cpu_per_second for theirs, our in each.rounds if our.cpu_per_second]
    return Spread.of(ratio), Spread.of(cpu_ratio) if cpu_ratio else None


def _ceiling_cells(each: Ceiling) -> tuple[str, ...]:
    bare, ours = zip(*each.rounds, strict=True)
    ratio, cpu_ratio = ratios(each)
    return (
        each.what if each.recall is None else f"{each.what} (recall {each.recall:.3f})",
        _with_spread(Spread.of([speed.per_second for speed in ours]), ",.0f"),
        _with_spread(Spread.of([speed.per_second for speed in bare]), ",.0f"),
        _with_spread(ratio, ".2f"),
        _with_spread(cpu_ratio, ".2f") if cpu_ratio else "",
        each.beside,
    )


def page(result: Result) -> str:
    """A section of `docs/performance.md`."""
    here = result.environment
    packages = ", ".join(f"{name} {number}" for name, number in here.packages.items())
    busy = " **The machine was busy with other work: ratios say more than rates.**" if is_busy(here) else ""
    parts = [
        f"MovieLens-100k, {result.events:,} clicks and views; {_count(result)}.\n",
        markdown(variants(result)),
        *(_latencies(result) if result.latencies else []),
        *([markdown(beside_libraries(result.ceilings))] if result.ceilings else []),
        f"Machine: {here.cores} cores of {here.cpu}, {here.memory_gib:.0f} GiB, {here.system}, Python {here.python};"
        f" {packages}. Servers and worker share it. Load average before the start: {here.load_average:.2f}.{busy}\n",
    ]
    return "\n".join(parts)


def _latencies(result: Result) -> list[str]:
    steady = steadiness_line(result.steadiness) if result.steadiness else ""
    sentences = [latency_line(result), steady, scaling_line(result)]
    return [markdown(event_to_list(result)), *(f"{each}\n" for each in sentences if each)]


def _count(result: Result) -> str:
    rounds = len({each.number for each in result.rounds})
    return f"median of {rounds} rounds (least-most)" if rounds > 1 else "one round"
