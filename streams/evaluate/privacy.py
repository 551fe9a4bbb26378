"""What it costs that everybody learns of made-up touches, too: `anabranch evaluate-privacy`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np
from msgspec import Struct
from rich.console import Console

from streams.core.evaluation import K
from streams.core.memory.deniability import Deniability, truth
from streams.core.memory.settings import RecommenderSettings
from streams.datasets.movielens import movielens
from streams.evaluate import log as logs
from streams.evaluate.log import Log
from streams.evaluate.offline import InProcess, replay
from streams.progress import bars
from streams.reports import Sheet

SEED = 7
EPSILONS = (12.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0)


class Outcome(Struct, frozen=True):
    """Under one epsilon.

    truth   share of touches that are told as they were
    recall  Recall@10 of the last half of the clicks
    """

    name: str
    truth: float
    recall: float


def run(downloads: Path, console: Console, *, clicks: int | None) -> list[Outcome]:
    """`measure` on the first clicks of MovieLens-100k, all unless told."""
    log = logs.of_dataset(movielens(downloads), clicks=clicks)
    with bars(console) as bar:
        task = bar.add_task("settings", total=len(EPSILONS) + 2)
        return measure(log, EPSILONS, on_done=lambda: bar.advance(task))


def measure(log: Log, epsilons: Sequence[float], *, on_done: Callable[[], None] = lambda: None) -> list[Outcome]:
    """Without a limit; without what may not be learned under one; and under each epsilon."""
    started = log.clicks[0].ts
    unranked = RecommenderSettings(ranker_rate=0.0, ranker_bias_rate=0.0)
    made = {
        "off": (1.0, InProcess(log.items, started)),
        "off, and ranking is not learned": (1.0, InProcess(log.items, started, unranked)),
    } | {
        f"{epsilon:g}": (
            truth(epsilon, len(log.items)),
            InProcess(log.items, started, deniability=Deniability(epsilon, Random(SEED))),  # noqa: S311
        )
        for epsilon in epsilons
    }
    outcomes = []
    for name, (kept, system) in made.items():
        lists = replay(system, log, view_weight=0.0).lists
        hits = [click.item_id in listed for click, listed in zip(log.clicks, lists, strict=True)]
        outcomes.append(Outcome(name, kept, float(np.mean(hits[len(hits) // 2 :]))))
        on_done()
    return outcomes


def sheet(outcomes: Sequence[Outcome]) -> Sheet:
    """As a table."""
    rows = [[each.name, f"{each.truth:.0%}", f"{each.recall:.4f}"] for each in outcomes]
    return Sheet(f"Recall@{K} of the last half", ("epsilon of each touch", "told as they were", "Recall"), rows)
