"""Every way to fuse on items that nobody has clicked yet, as tables in Markdown; and the best of them for serving.

    anabranch train fusion FOLDER --save FOLDER

MovieLens' films with their plots and posters. The protocol is in `encoders.training.cold_items`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from encoders.contract import MODALITIES
from encoders.torch_fusion import LEAST_WEIGHT, export
from encoders.training import cold_items, movies
from encoders.training.cold_items import AS_EMBEDDED, Catalogue, Split, Way, World
from encoders.training.factors import item_factors, place
from encoders.training.movies import Movies
from encoders.training.natives import natives

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

RANDOM, POPULARITY = "random; popularity too, as no cold item has a click", "popularity so far"
RESAMPLES = 1000
LEADING = 32

MEASURES: Mapping[str, Callable[[Floats, int], Floats]] = {
    "Recall@10": lambda ranks, _: np.asarray(ranks < 10, np.float32),
    "Recall@50": lambda ranks, _: np.asarray(ranks < 50, np.float32),
    "MRR": lambda ranks, _: 1 / (1 + ranks),
    "mean percentile": lambda ranks, cold: 100 * ranks / (cold - 1),
}
"""Of each click, by its rank and the number of cold items; a percentile of 0 is best, of 50 chance."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found.

    items, cold  in the catalogue, and of them held out in each split
    users        (clicks,) who made each judged click, all splits one after the other
    wanted       (clicks,) the cold item clicked
    split        (clicks,) int64
    values       name of a row -> (measures, clicks)
    steps        way -> of training, in every split
    gains        way -> its gain in the choosing splits
    explained    modality -> the share of the items' factors that it guesses, and 'image beyond text'
    """

    items: int
    cold: int
    users: Places
    wanted: Places
    split: Places
    values: Mapping[str, Floats]
    steps: Mapping[Way, int]
    gains: Mapping[Way, float]
    explained: Mapping[str, float]

    def best(self, *, parts: int) -> Way:
        """The way with so many parts that was best in the choosing splits."""
        return max((way for way in self.gains if len(way.parts) == parts), key=lambda way: self.gains[way])


def compare(catalogue: Catalogue, splits: int, advance: Callable[[], None]) -> Comparison:
    """Choose how long to train every way, then judge it on so many other splits.

    advance  called after every network, of which there are as many as `networks` says
    """
    choosing, judging = cold_items.deal(len(catalogue), splits)
    every = cold_items.ways(tuple(catalogue.natives))
    worlds = [World(catalogue, split) for split in choosing]
    chosen = {way: cold_items.choose(way, worlds, advance) for way in every}
    steps = {way: found for way, (found, _) in chosen.items()}
    ranks: dict[str, list[Floats]] = {}
    worlds = [World(catalogue, split) for split in judging]
    for number, world in enumerate(worlds):
        clicks, cold = len(world.judge.nexts), len(world.split.cold)
        chance = np.random.default_rng(number).integers(0, cold, clicks)
        ranks.setdefault(RANDOM, []).append(np.asarray(chance, np.float32))
        ranks.setdefault(POPULARITY, []).append(cold_items.popularity_so_far(catalogue, world))
        for way in every:
            network = cold_items.train(world, way, steps[way])
            ranks.setdefault(str(way), []).append(cold_items.ranks(world, way, network))
            if way.learned:
                advance()
    sizes = [len(world.split.cold) for world in worlds]
    return Comparison(
        len(catalogue),
        sizes[0],
        np.concatenate([world.judge.users for world in worlds]),
        np.concatenate([world.judge.nexts for world in worlds]),
        np.repeat(np.arange(splits), [len(world.judge.nexts) for world in worlds]),
        {
            name: np.concatenate(
                [
                    np.stack([measure(*each) for measure in MEASURES.values()])
                    for each in zip(found, sizes, strict=True)
                ],
                1,
            )
            for name, found in ranks.items()
        },
        steps,
        {way: found for way, (_, found) in chosen.items()},
        explained(catalogue),
    )


def networks(parts: Sequence[str], splits: int) -> int:
    """How many `compare` trains."""
    learned = sum(way.learned for way in cold_items.ways(parts))
    return learned * (cold_items.CHOOSING + splits)


def explained(catalogue: Catalogue) -> dict[str, float]:
    """The share of the leading factors' variance that each part tells of held-out items, and of what others leave."""
    leading = item_factors(catalogue.users, catalogue.items, len(catalogue))[:, :LEADING]
    guesses = {}

    def share(name: str, factors: Floats) -> float:
        def told(guesses: Floats) -> float:
            rows = guesses.any(axis=1)
            return 1 - float(np.square(factors - guesses)[rows].sum() / np.square(factors[rows]).sum())

        guesses[name] = place(catalogue.natives[name], factors, told).guesses
        return told(guesses[name])

    shares = {name: share(name, leading) for name in catalogue.natives}
    for name in catalogue.natives:
        rest = leading - np.sum([each for other, each in guesses.items() if other != name], axis=0)
        shares[f"{name} beyond the rest"] = share(name, rest)
    return shares


def interval(differences: Floats, users: Places, items: Places) -> tuple[float, float]:
    """Where 95% of the means lie when users and items are drawn anew, each with replacement (Owen, 2007).

    differences  (clicks,) one way's measure less the other's
    """
    generator = np.random.default_rng(0)
    _, user = np.unique(users, return_inverse=True)
    _, item = np.unique(items, return_inverse=True)
    means = []
    for _ in range(RESAMPLES):
        times = [generator.multinomial(n, np.full(n, 1 / n)) for n in (user.max() + 1, item.max() + 1)]
        weights = times[0][user] * times[1][item]
        means.append(weights @ differences / weights.sum())
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table, before it takes the form of where it is shown."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """With its caption above."""
        lines = [self.headings, ["---", *["---:"] * (len(self.headings) - 1)], *self.rows]
        return f"{self.caption}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def levels(found: Comparison) -> Sheet:
    """Every row's measures: the mean of the splits' means, and their standard deviation."""
    splits = found.split.max() + 1
    rows = []
    for name, values in found.values.items():
        means = np.stack([values[:, found.split == split].mean(axis=1) for split in range(splits)])
        mean, spread = means.mean(axis=0), means.std(axis=0, ddof=1 if splits > 1 else 0)
        digits = (3, 3, 3, 1)
        rows.append([name, *(f"{m:.{d}f} ± {s:.{d}f}" for m, s, d in zip(mean, spread, digits, strict=True))])
    caption = (
        f"{found.cold} cold items of {found.items}, {len(found.split) / splits:.0f} clicks on them, "
        f"mean of {splits} splits and standard deviation:"
    )
    return Sheet(caption, ["items placed by", *MEASURES], rows)


def gains(found: Comparison) -> Sheet:
    """What each way of using all parts gives over the best part alone, with 95% intervals; the one chosen first."""
    many = max(len(way.parts) for way in found.gains)
    alone, chosen = found.best(parts=1), found.best(parts=many)
    rows = []
    for way in sorted((way for way in found.gains if len(way.parts) == many), key=lambda way: way != chosen):
        cells = []
        differences = found.values[str(way)] - found.values[str(alone)]
        for values, digits in zip(differences, (3, 3, 3, 1), strict=True):
            low, high = interval(values, found.users, found.wanted)
            bold = "**" if low > 0 or high < 0 else ""
            cells.append(f"{bold}{values.mean():+.{digits}f}{bold} ({low:+.{digits}f} to {high:+.{digits}f})")
        rows.append([str(way), *cells])
    caption = f"Less '{alone}', the best part alone by the choosing splits, with 95% intervals (bold: zero is outside):"
    return Sheet(caption, ["difference", *MEASURES], rows)


def told(found: Comparison) -> str:
    """What each part tells of who clicks an item, and how long every way was trained, in sentences."""
    shares = "; ".join(f"{name} {share:.1%}" for name, share in found.explained.items())
    trained = "; ".join(f"{way} {steps}" for way, steps in found.steps.items() if way.learned)
    return f"Of what the clicks say of held-out items, told by {shares}.\n\nSteps of training: {trained}.\n"


def report(found: Comparison) -> str:
    """In Markdown."""
    return "\n".join([levels(found).markdown(), gains(found).markdown(), told(found)])


def catalogue_of(data: Movies, cache: Path) -> Catalogue:
    """Text and image of every film; `cache` keeps native vectors."""
    having = [place for place, poster in enumerate(data.posters) if poster]
    image = np.zeros((len(data.texts), MODALITIES["image"].native_dim), np.float32)
    image[having] = natives("image", [poster.read_bytes() for poster in data.posters if poster], cache)
    text = natives("text", [text.encode() for text in data.texts], cache)
    return Catalogue({"text": text, "image": image}, data.users, data.items)


def save(world: World, way: Way, steps: int, folder: Path) -> list[Path]:
    """Write the projections and `fusion.onnx` of a way, learned from the world's warm items; returns their paths."""
    network = cold_items.train(world, way, steps)
    placed = {} if way.method.startswith(AS_EMBEDDED) else world.placed
    paths = [each.projection.save(MODALITIES[name], folder) for name, each in placed.items()]
    return [*paths, export(network, way.parts, folder)]


def run(
    folder: Path, cache: Path, console: Console, *, splits: int, saved: Path | None, method: str | None
) -> tuple[str, dict[str, float]]:
    """The tables in Markdown, and the weights of the parts as embedded, by cross-validation, the largest being 1.

    folder  with items.jsonl, ml-100k.inter and posters/
    cache   where native vectors are kept
    saved   folder for what serves the best way, or the given method over all parts
    """
    torch.set_num_threads(1)
    catalogue = catalogue_of(movies.read(folder), cache / "natives")
    parts = tuple(catalogue.natives)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("networks", total=networks(parts, splits))
        found = compare(catalogue, splits, lambda: progress.advance(task))
    everything = np.arange(len(catalogue))
    world = World(catalogue, Split(everything[:0], everything))
    if saved:
        way = Way(parts, method) if method else found.best(parts=len(parts))
        for path in save(world, way, found.steps[way], saved):
            console.print(f"{way}: {path}", soft_wrap=True)
    weights = world.embedded_weights
    most = max(weights)
    return report(found), {part: max(each / most, LEAST_WEIGHT) for part, each in zip(parts, weights, strict=True)}
