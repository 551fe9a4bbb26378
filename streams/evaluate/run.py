"""`anabranch evaluate`: replay, compare, show."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from rich.console import Console

from streams.core.recommender import RecommenderSettings
from streams.core.residual import Figures
from streams.datasets.dataset import Dataset
from streams.datasets.movielens import movielens
from streams.datasets.nowplaying import nowplaying
from streams.errors import AnabranchError
from streams.evaluate import log as logs
from streams.evaluate import report, served
from streams.evaluate.comparison import Comparison, compare
from streams.evaluate.log import Log
from streams.evaluate.offline import OURS, InProcess, Make, Outcome, replay, systems
from streams.progress import bars
from streams.reports import table
from streams.settings import Settings

DATASETS: dict[str, Callable[[Path], Dataset]] = {"movielens": movielens, "nowplaying": nowplaying}


class Wanted(Struct, frozen=True, kw_only=True):
    """What to evaluate.

    offline            in this process; else the running system
    file               a log to replay offline in place of a data set
    dataset            one of DATASETS
    clicks             at most so many, the oldest
    views              of MovieLens, ratings below 4, are replayed too
    clicks_per_second  through the running system; 0 means lockstep
    against            'baselines', 'ablations', 'late' or 'nothing'
    changes            settings of the recommender, offline
    versions           offline, of the deep ranker: each has a say in a system of its own
    held               offline, lists are made after a user's event before, not when they are asked for
    compared           name -> file of lists of the same clicks, compared too
    lists              where to write the lists of the first system, one JSON array of item ids for each click
    folder             where to write the report
    """

    offline: bool = False
    file: Path | None = None
    dataset: str = "movielens"
    clicks: int | None = None
    views: bool = False
    clicks_per_second: float = 0.0
    against: str = "nothing"
    changes: Mapping[str, str] = {}
    versions: Sequence[Path] = ()
    held: bool = False
    compared: Mapping[str, Path] = {}
    lists: Path | None = None
    folder: Path | None = None


def evaluate(settings: Settings, console: Console, wanted: Wanted) -> Comparison:
    """Replay, compare, and show. Raises AnabranchError."""
    log = _log(settings, wanted)
    makers = systems(wanted.against, log, recommender(wanted.changes), held=wanted.held, versions=wanted.versions)
    outcomes = {} if wanted.offline else _served(settings, console, log, wanted.clicks_per_second)
    if not wanted.offline:
        del makers[OURS]
    outcomes |= _offline(console, log, makers, view_weight=settings.worker.view_weight)
    if wanted.lists:
        _write_lists(wanted.lists, next(iter(outcomes.values())))
    comparison = compare(log, outcomes | {name: _read_lists(path) for name, path in wanted.compared.items()})
    for sheet in report.sheets(comparison):
        console.print(table(sheet))
    if wanted.folder:
        for path in report.write(comparison, wanted.folder):
            console.print(f"written: {path}", highlight=False)
    return comparison


def recommender(changes: Mapping[str, str]) -> RecommenderSettings:
    """Settings, some of them changed; lists are JSON. Raises AnabranchError."""
    if unknown := set(changes) - set(RecommenderSettings.__struct_fields__):
        raise AnabranchError(f"the recommender has no setting {', '.join(sorted(unknown))}")
    try:
        given = {
            name: msgspec.json.decode(value) if value.startswith("[") else value for name, value in changes.items()
        }
        return msgspec.convert(given, RecommenderSettings, strict=False)
    except msgspec.MsgspecError as error:
        raise AnabranchError(f"settings of the recommender: {error}") from error


def _log(settings: Settings, wanted: Wanted) -> Log:
    if wanted.file:
        log = logs.read(wanted.file, clicks=wanted.clicks)
    else:
        dataset = DATASETS[wanted.dataset](settings.downloads_folder)
        log = logs.of_dataset(dataset, clicks=wanted.clicks, views=wanted.views)
    if not log.clicks:
        raise AnabranchError(f"{log.name} has no click to judge by")
    return log


def _served(settings: Settings, console: Console, log: Log, clicks_per_second: float) -> dict[str, Outcome]:
    lists = served.replay(settings, console, movielens(settings.downloads_folder), log.clicks, clicks_per_second)
    mode = f"at {clicks_per_second:g} clicks/s" if clicks_per_second else "in lockstep"
    return {f"served {mode}": Outcome(lists, np.empty(0))}


def _offline(console: Console, log: Log, makers: Mapping[str, Make], *, view_weight: float) -> dict[str, Outcome]:
    """Each system in turn, in this process."""
    outcomes = {}
    with bars(console) as bar:
        for name, make in makers.items():
            task = bar.add_task(name, total=len(log.clicks))
            advance = partial(bar.advance, task)
            system = make(log.items)
            outcomes[name] = replay(system, log, view_weight=view_weight, on_click=advance)
            if isinstance(system, InProcess) and system.advice is not None:
                for figures in system.advice.residual.figures().values():
                    console.print(f"{name}: {said(figures)}")
    return outcomes


def said(advice: Figures) -> str:
    """What a version added, by its own rule, in words."""
    return (
        f"{advice.mean:+.4f} ± {advice.error:.4f} (standard error) to the NDCG of a choice among the proposals, over"
        f" {advice.choices:,} choices; its weight in the end: {advice.weight:.2f}"
    )


def _write_lists(path: Path, outcome: Outcome) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in outcome.lists))


def _read_lists(path: Path) -> Outcome:
    """What `_write_lists` wrote. Raises AnabranchError."""
    try:
        lists = [msgspec.json.decode(line, type=list[str]) for line in path.read_bytes().splitlines()]
    except (OSError, msgspec.MsgspecError) as error:
        raise AnabranchError(f"{path} is no file of lists: {error}") from error
    return Outcome(lists, np.empty(0))
