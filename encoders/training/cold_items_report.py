"""Items that nobody has clicked yet, found by what they look and read like, as a table in Markdown.

    anabranch train fusion FOLDER

A fifth of MovieLens' items is cold: no click on one is learned from or counted as history. Whenever a user clicks a
cold item, it is ranked among all cold items by the user's earlier clicks on the others.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from encoders import fusion as served
from encoders.contract import MODALITIES
from encoders.projection import Projection, unit_rows
from encoders.torch_fusion import METHODS
from encoders.training import fusion, movies
from encoders.training.fusion import Clicks
from encoders.training.movies import Movies
from encoders.training.natives import natives

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
Ranks = dict[str, Places]


def vectors(data: Movies, cache: Path) -> Floats:
    """(items, 2, DIM): text and image, each centred and of unit length; zeros where there is no poster."""
    text = natives("text", [text.encode() for text in data.texts], cache)
    having = [place for place, poster in enumerate(data.posters) if poster]
    image = np.zeros((len(data.texts), MODALITIES["image"].native_dim), np.float32)
    image[having] = natives("image", [poster.read_bytes() for poster in data.posters if poster], cache)
    parts = []
    for name, found in (("text", text), ("image", image)):
        rows = found.any(1)
        projected = Projection.load(MODALITIES[name])(found)
        projected[rows] = unit_rows(projected[rows] - projected[rows].mean(0))
        projected[~rows] = 0
        parts.append(projected)
    return np.stack(parts, axis=1)


def only(parts: Floats, column: int) -> Floats:
    """The same items with one of their parts; those without it keep the other, as served."""
    single = parts.copy()
    single[parts[:, column].any(1), 1 - column] = 0
    return single


def compare(data: Movies, parts: Floats, seed: int) -> tuple[int, Ranks]:
    """The number of cold items, and method -> rank of every click on one."""
    shuffled = np.random.default_rng(seed).permutation(len(parts))
    cold, warm = np.sort(shuffled[: len(parts) // 5]), np.sort(shuffled[len(parts) // 5 :])
    learn = fusion.clicks(data.users, data.items, warm, warm)
    judge = fusion.clicks(data.users, data.items, warm, cold)
    found: Ranks = {
        "random": np.random.default_rng(seed).integers(0, len(cold), len(judge.nexts)),
        "popularity so far": _by_popularity(data, judge, cold),
    }
    single = {"text": only(parts, 0), "image": only(parts, 1)}
    for name, rows in single.items():
        found[f"{name}, as embedded"] = fusion.ranks(served.average(rows), judge, cold)
    found["text + image, average"] = fusion.ranks(served.average(parts), judge, cold)
    weight = best_weight(data, parts, warm, seed)
    found["text + image, average, weights by cross-validation"] = fusion.ranks(
        served.average(parts * np.array([weight, 1 - weight], np.float32)[:, None]), judge, cold
    )
    for name, rows in single.items():
        for method in ("concatenation", "transformer"):
            found[f"{name}, learned {method}"] = _learned(method, rows, learn, judge, warm, cold)
    for name in METHODS:
        found[f"text + image, learned {name}"] = _learned(name, parts, learn, judge, warm, cold)
    return len(cold), found


def _learned(method: str, rows: Floats, learn: Clicks, judge: Clicks, warm: Places, cold: Places) -> Places:
    network = fusion.train(METHODS[method](rows.shape[1]), rows, learn, warm)
    return fusion.ranks(fusion.fuse(network, rows), judge, cold)


def best_weight(data: Movies, parts: Floats, warm: Places, seed: int, folds: int = 4) -> float:
    """The weight of text, the rest being the image's, that ranks best the warm items when each in turn is cold."""
    split = np.array_split(np.random.default_rng(seed).permutation(warm), folds)
    tried = np.linspace(0, 1, 11)
    totals = np.zeros(len(tried))
    for fold in split:
        judge = fusion.clicks(data.users, data.items, np.setdiff1d(warm, fold), fold)
        for number, weight in enumerate(tried):
            fused = served.average(parts * np.array([weight, 1 - weight], np.float32)[:, None])
            totals[number] += fusion.ranks(fused, judge, np.sort(fold)).mean()
    return float(tried[int(np.argmin(totals))])


def _by_popularity(data: Movies, judge: Clicks, cold: Places) -> Places:
    """By the clicks that cold items had from others before: what is known once they are cold no more."""
    counts = np.zeros(len(data.texts), np.int64)
    is_cold = np.zeros(len(data.texts), bool)
    is_cold[cold] = True
    before: dict[int, int] = {}
    found = []
    for user, item in zip(data.users.tolist(), data.items.tolist(), strict=True):
        if is_cold[item]:
            if before.get(user, 0) >= fusion.SHORTEST_HISTORY:
                found.append(int((counts[cold] > counts[item]).sum()))
            counts[item] += 1
        else:
            before[user] = before.get(user, 0) + 1
    return np.array(found, np.int64)


MEASURES: Mapping[str, Callable[[Places, int], float]] = {
    "Recall@10": lambda ranks, _: float((ranks < 10).mean()),
    "Recall@50": lambda ranks, _: float((ranks < 50).mean()),
    "MRR": lambda ranks, _: float((1 / (1 + ranks)).mean()),
    "mean percentile": lambda ranks, cold: float(100 * (ranks / (cold - 1)).mean()),
}


def table(data: Movies, parts: Floats, splits: int) -> str:
    """Means over the splits and, for Recall@10, their standard deviation, in Markdown."""
    runs = [compare(data, parts, seed) for seed in range(splits)]
    cold, first = runs[0]
    clicks = np.mean([len(run["random"]) for _, run in runs])
    lines = [
        f"{cold} cold items of {len(parts)}, {clicks:.0f} clicks on them, {splits} splits.",
        "",
        f"| items placed by | {' | '.join(MEASURES)} |",
        "|---|" + "---:|" * len(MEASURES),
    ]
    for method in first:
        values = np.array([[measure(run[method], cold) for measure in MEASURES.values()] for _, run in runs])
        mean, spread = values.mean(0), values.std(0)
        lines.append(f"| {method} | {mean[0]:.3f} ± {spread[0]:.3f} | {mean[1]:.3f} | {mean[2]:.3f} | {mean[3]:.1f} |")
    return "\n".join(lines)


def run(folder: Path, cache: Path, *, splits: int) -> None:
    """Print the table.

    folder  with items.jsonl, ml-100k.inter and posters/
    cache   where native vectors are kept
    """
    torch.set_num_threads(1)
    data = movies.read(folder)
    print(table(data, vectors(data, cache / "natives"), splits))
