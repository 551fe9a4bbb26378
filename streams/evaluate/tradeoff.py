"""What diversity and fairness cost: `anabranch evaluate-diversity`.

MovieLens-100k is replayed once, test-then-learn; before some of the clicks of the last half, lists are made by each of
many settings from the same memory, as what is learned does not depend on how a list was made. Items have the vectors
that the text encoder makes of title and genres, and users the taste that these make.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from msgspec import Struct, field, structs
from numpy.typing import NDArray
from rich.console import Console

from encoders.text import TextEncoder
from streams.core.catalogue import Catalogue
from streams.core.diversity import distance, intra_list_diversity, shares, values
from streams.core.evaluation import K, gini
from streams.core.history import History
from streams.core.memory.settings import ListSettings
from streams.core.recommender import Interaction, Recommender, RecommenderSettings
from streams.core.user import RecentEvents, Touch, UserState, apply, settle
from streams.core.vectors import Vector
from streams.datasets.dataset import Dataset
from streams.datasets.movielens import movielens
from streams.events import Click
from streams.progress import bars
from streams.reports import Sheet

HALF_LIFE = 7 * 86_400.0
ATTRIBUTE = "tag"


class Point(Struct, frozen=True):
    """Lists made by one way of setting, over all clicks that were judged.

    recall     Recall@10
    groups     value of a trait -> Recall@10 of its users
    coverage   share of the catalogue in any list
    gini       of how often each item is shown
    diversity  mean of 1 - cosine over pairs of a list's items
    mix        distance of a list's mix of genres from that of the user's past, mean
    cold       share of places with items that fewer than 5 had clicked
    """

    name: str
    recall: float
    groups: dict[str, float]
    coverage: float
    gini: float
    diversity: float
    mix: float
    cold: float


class _Tally(Struct):
    """What is counted of one way of making lists; `hits` by group of users."""

    shown: NDArray[np.int64]
    hits: dict[str, list[bool]] = field(default_factory=dict)
    diversity: list[float] = field(default_factory=list)
    mix: list[float] = field(default_factory=list)
    cold: int = 0
    places: int = 0


def ways(base: ListSettings) -> dict[str, ListSettings]:
    """Name -> settings: each knob by itself, and one way of using all."""
    found = {"none": base}
    for strength in (0.2, 0.4, 0.6, 0.8):
        found[f"diversity {strength}"] = structs.replace(base, diversity=strength)
    for strength in (0.2, 0.4, 0.6, 0.8):
        found[f"calibration {strength}"] = structs.replace(base, calibration=strength)
    for limit in (0.01, 0.005, 0.0025):
        found[f"exposure {limit}"] = structs.replace(base, exposure_limit=limit)
    for share in (0.1, 0.2):
        found[f"new items {share}"] = structs.replace(base, exploration_share=share)
    found["all: 0.2, 0.2, 0.01"] = structs.replace(base, diversity=0.2, calibration=0.2, exposure_limit=0.01)
    return found


def run(downloads: Path, console: Console, *, clicks: int | None, every: int, trait: str) -> list[Point]:
    """Replay MovieLens-100k and judge every so-manieth click of the last half, by each of the `ways`."""
    dataset = movielens(downloads)
    chosen = [each for each in dataset.activity if isinstance(each, Click)][:clicks]
    groups = {user: str((each.traits or {}).get(trait, "unknown")) for user, each in dataset.profiles.items()}
    with bars(console) as bar:
        task = bar.add_task("clicks", total=len(chosen))
        return measure(chosen, dataset, _vectors(dataset), groups, every=every, on_click=lambda: bar.advance(task))


def measure(
    clicks: Sequence[Click],
    dataset: Dataset,
    vectors: Mapping[str, Vector],
    groups: Mapping[str, str],
    *,
    every: int,
    on_click: Callable[[], None] = lambda: None,
) -> list[Point]:
    """Judge lists by each of the `ways`.

    vectors  item -> (dim,) float32, unit length
    groups   user -> the group that Recall is told apart by
    """
    recommender = Recommender(RecommenderSettings())
    for film in dataset.uploads:
        recommender.put_item(film.item_id, vectors[film.item_id], clicks[0].ts, film.attributes)
    users: dict[str, UserState] = {}
    settings = ways(recommender.settings)
    tallies = {name: _Tally(np.zeros(len(dataset.uploads), np.int64)) for name in settings}
    touches = np.zeros(len(dataset.uploads), np.int64)
    for number, click in enumerate(clicks):
        user = users.setdefault(click.user_id, UserState(click.user_id, History(), RecentEvents(limit=1)))
        view = user.view({})
        slot = recommender.catalogue.slot(click.item_id)
        recommender.recommend(view, click.ts, K)  # nothing is learned from a list that nobody had
        if number >= len(clicks) // 2 and number % every == 0:
            for name, how in settings.items():
                listed = [each.item_id for each in recommender.recommend(view, click.ts, K, how)]
                slots = [recommender.catalogue.slot(item_id) for item_id in listed]
                group = groups.get(click.user_id, "unknown")
                _count(tallies[name], recommender, view.history, slots, slot in slots, group, touches)
        interaction = Interaction(click.event_id, click.user_id, click.item_id, click.ts, 1.0)
        taught = recommender.judge(recommender.rehearsal(), view, interaction)
        recommender.learn(interaction, taught)
        apply(user, click.event_id, Touch(click.item_id, click.ts, 1.0))
        settle(user, lambda item_id: {"fused": vectors[item_id]}, HALF_LIFE)
        touches[slot] += 1
        on_click()
    return [_point(name, tally) for name, tally in tallies.items()]


def sheet(points: Sequence[Point]) -> Sheet:
    """As a table."""
    names = sorted({group for each in points for group in each.groups})
    headings = ("lists", "Recall", *(f"Recall {name}" for name in names), "coverage", "Gini", "diversity", "mix", "new")
    rows = [
        [
            each.name,
            f"{each.recall:.4f}",
            *(f"{each.groups.get(name, 0.0):.4f}" for name in names),
            *(f"{figure:.3f}" for figure in (each.coverage, each.gini, each.diversity, each.mix, each.cold)),
        ]
        for each in points
    ]
    return Sheet(f"The first {K} items of each list, by knob", headings, rows)


def draw(points: Sequence[Point]) -> Figure:
    """Recall against coverage, Gini and diversity; a line for each knob."""
    first = points[0]
    figure = Figure(figsize=(12, 4), layout="constrained")
    labels = {"coverage": "share of the catalogue shown", "gini": "Gini of exposure", "diversity": "within a list"}
    for axes, (measure, label) in zip(figure.subplots(1, 3), labels.items(), strict=True):
        for knob in ("diversity", "calibration", "exposure", "new items"):
            line = [first, *(each for each in points if each.name.startswith(f"{knob} "))]
            axes.plot([getattr(each, measure) for each in line], [each.recall for each in line], "o-", label=knob, ms=4)
        axes.plot([getattr(first, measure)], [first.recall], "ks", label="none")
        axes.set_xlabel(f"{measure}: {label}" if measure != "gini" else label)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel(f"Recall@{K}")
    figure.axes[0].legend()
    return figure


def _vectors(dataset: Dataset) -> dict[str, Vector]:
    words = [f"{each.title}\n{' '.join(each.attributes)}".encode() for each in dataset.uploads]
    found = TextEncoder().encode(words).vectors
    return {each.item_id: vector for each, vector in zip(dataset.uploads, found, strict=True)}


def _count(
    tally: _Tally,
    recommender: Recommender,
    history: History,
    slots: Sequence[int],
    hit: bool,
    group: str,
    touches: NDArray[np.int64],
) -> None:
    catalogue = recommender.catalogue
    tally.hits.setdefault(group, []).append(hit)
    tally.shown[slots] += 1
    tally.places += len(slots)
    tally.cold += int((touches[slots] < recommender.settings.exploration_enough).sum())
    if catalogue.vectors is not None:
        tally.diversity.append(intra_list_diversity(catalogue.vectors[slots]))
    past = _mix(catalogue, history.trail(catalogue).slots.tolist())
    mix = _mix(catalogue, slots)
    if past:
        names = list(past)
        tally.mix.append(
            distance(
                np.array([past[name] for name in names], np.float32),
                np.array([mix.get(name, 0.0) for name in names], np.float32),
            )
        )


def _mix(catalogue: Catalogue, slots: Sequence[int]) -> dict[str, float]:
    return shares([values(catalogue, slot, ATTRIBUTE) for slot in slots], [1.0] * len(slots))


def _point(name: str, tally: _Tally) -> Point:
    hits = [hit for group in tally.hits.values() for hit in group]
    return Point(
        name=name,
        recall=float(np.mean(hits)),
        groups={group: float(np.mean(each)) for group, each in tally.hits.items()},
        coverage=float((tally.shown > 0).mean()),
        gini=gini(tally.shown),
        diversity=float(np.mean(tally.diversity)),
        mix=float(np.mean(tally.mix)) if tally.mix else 0.0,
        cold=tally.cold / max(tally.places, 1),
    )
