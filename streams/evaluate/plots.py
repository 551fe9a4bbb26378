"""A comparison as pictures, drawn without a display."""

import io
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from streams.core.evaluation import K
from streams.evaluate.comparison import HEADLINE, HISTORY, Comparison

OURS = "#c8102e"
OTHERS = ("#1b6ca8", "#e08e0b", "#2e8b57", "#7b4ea3", "#7f7f7f", "#17a2b8", "#8c564b", "#556b2f", "#d17fb2", "#333333")
DASHES = ("-", "--", ":")


def draw(comparison: Comparison) -> Figure:
    """Recall over time, rolling and so far; by length of history; coverage and concentration."""
    figure = Figure(figsize=(14, 9.5), layout="constrained")
    figure.suptitle(
        f"{comparison.log}: {comparison.clicks:,} clicks of {comparison.users:,} users on {comparison.items:,} items"
    )
    rolling, so_far, history, spread = figure.subplots(2, 2).flat
    styles = _styles(comparison)
    width = max(comparison.clicks // 20, 1)
    _over_time(rolling, comparison, styles, lambda hits: _rolling(hits, width), start=width)
    rolling.set_title(f"Recall@{K} of the last {width:,} clicks")
    _over_time(so_far, comparison, styles, _so_far, start=max(comparison.clicks // 100, 1))
    so_far.set_title(f"Recall@{K} so far")
    _by_history(history, comparison, styles)
    _spread(spread, comparison, styles)
    figure.legend(*rolling.get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def _styles(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """The system that the others are compared with stands out."""
    first, *others = comparison.systems
    styles: dict[str, dict[str, Any]] = {first: {"color": OURS, "linewidth": 2.4, "zorder": 5}}
    dashes = [dash for dash in DASHES for _ in OTHERS]
    for name, color, dash in zip(others, cycle(OTHERS), cycle(dashes), strict=False):
        styles[name] = {"color": color, "linewidth": 1.3, "linestyle": dash}
    return styles


def _rolling(hits: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    total = np.concatenate([[0.0], np.cumsum(hits)])
    start = np.maximum(np.arange(1, len(total)) - width, 0)
    means: NDArray[np.float64] = (total[1:] - total[start]) / (np.arange(1, len(total)) - start)
    return means


def _so_far(hits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(hits) / np.arange(1, len(hits) + 1)


def _over_time(
    axes: Axes,
    comparison: Comparison,
    styles: dict[str, dict[str, Any]],
    mean: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    start: int,
) -> None:
    at = np.unique(np.linspace(min(start, comparison.clicks) - 1, comparison.clicks - 1, 400).astype(int))
    for name, judged in comparison.judged.items():
        axes.plot(at + 1, mean((judged.ranks > 0).astype(float))[at], label=name, **styles[name])
    axes.set_xlabel("clicks")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)


def _by_history(axes: Axes, comparison: Comparison, styles: dict[str, dict[str, Any]]) -> None:
    found = {name: figures.by_history for name, figures in comparison.systems.items()}
    lengths = list(next(iter(found.values())))
    for name, recalls in found.items():
        axes.plot(lengths, [recalls[each] for each in lengths], marker="o", markersize=4, **styles[name])
    axes.set_title(f"Recall@{K} by length of the user's history, {HEADLINE} of the clicks")
    axes.set_xlabel("clicks before")
    axes.set_ylim(bottom=0)
    axes.set_xlim(-0.3, len(HISTORY) - 0.7)
    axes.grid(alpha=0.25)


def _spread(axes: Axes, comparison: Comparison, styles: dict[str, dict[str, Any]]) -> None:
    """How much of the catalogue is shown, and how unevenly."""
    names = list(comparison.systems)[::-1]
    rows = np.arange(len(names))
    figures = [comparison.systems[name].quality[HEADLINE] for name in names]
    colors = [styles[name]["color"] for name in names]
    axes.barh(rows + 0.2, [each.coverage for each in figures], 0.38, color=colors)
    axes.barh(rows - 0.2, [each.gini for each in figures], 0.38, color=colors, alpha=0.35)
    for row, each in zip(rows, figures, strict=True):
        axes.text(each.coverage + 0.01, row + 0.2, f"{each.coverage:.3f}", va="center", fontsize=7)
        axes.text(each.gini + 0.01, row - 0.2, f"{each.gini:.3f}", va="center", fontsize=7)
    axes.set_yticks(rows, names)
    axes.set_xlim(0, 1.1)
    axes.set_title(f"coverage@{K} (full) and Gini of exposure (pale), {HEADLINE} of the clicks")
    axes.grid(alpha=0.25, axis="x")
