"""A benchmark as a picture, drawn without a display."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from streams.bench.ceilings import Ceiling
from streams.bench.report import Result, Spread, figures, keeps_up, ratios

CLOCK, PROCESSOR = "#c8102e", "#1b6ca8"
WIDTH = 0.38


def draw(result: Result) -> Figure:
    """Ratios to the empty agent and to the bare libraries, with their spread; latency by rate."""
    figure = Figure(figsize=(14, 4.8), layout="constrained")
    variants, parts, latencies = figure.subplots(1, 3)
    found = figures(result.rounds)
    _bars(
        variants, [each.variant for each in found], [each.ratio for each in found], [each.cpu_ratio for each in found]
    )
    variants.set_title("events/s, the empty agent is 1")
    variants.legend(frameon=False)
    if result.ceilings:
        _beside(parts, result.ceilings)
    if result.latencies:
        _by_rate(latencies, result)
    return figure


def _beside(axes: Axes, ceilings: Sequence[Ceiling]) -> None:
    by_clock, by_cpu = zip(*(ratios(each) for each in ceilings), strict=True)
    _bars(axes, [each.what for each in ceilings], by_clock, by_cpu)
    axes.set_title("parts, the bare library is 1")


def _bars(axes: Axes, names: Sequence[str], by_clock: Sequence[Spread], by_cpu: Sequence[Spread | None]) -> None:
    """The median of each as a bar, from the least to the most as a line; nothing where there is none."""
    places = np.arange(len(names))[::-1]
    for offset, color, label, spreads in (
        (WIDTH / 2, CLOCK, "by the clock", by_clock),
        (-WIDTH / 2, PROCESSOR, "by the processor", by_cpu),
    ):
        known = [(place + offset, each) for place, each in zip(places, spreads, strict=True) if each is not None]
        at, medians = [place for place, _ in known], [each.median for _, each in known]
        around = [[each.median - each.low for _, each in known], [each.high - each.median for _, each in known]]
        axes.barh(at, medians, WIDTH, xerr=around, color=color, label=label, error_kw={"linewidth": 1})
    axes.set_yticks(places, names)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.grid(axis="x", alpha=0.25)


def _by_rate(axes: Axes, result: Result) -> None:
    kept = [each for each in result.latencies if keeps_up(each)] or result.latencies
    for latencies, line, of in ((kept, "o-", ""), ([*filter(keeps_up, result.echoes)], "o:", ", echo")):
        at = [each.events_per_second for each in latencies]
        for label, color, seconds in (
            ("99 of 100", CLOCK, [each.p99 for each in latencies]),
            ("half", PROCESSOR, [each.p50 for each in latencies]),
        ):
            if latencies:
                axes.plot(at, [each * 1e3 for each in seconds], line, color=color, label=label + of)
    rates = [each.events_per_second for each in kept]
    axes.set_xscale("log", base=2)
    axes.set_xticks(rates, [f"{rate:,.0f}" for rate in rates], rotation=45)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("live events/s")
    axes.set_title("event to list, ms")
    axes.legend(frameon=False)
    axes.grid(alpha=0.25, which="both")
