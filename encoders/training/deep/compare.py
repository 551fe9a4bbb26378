"""Models side by side, on the same clicks of several windows in time, with what chance may have added."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.ranker import Ranker as ServedRanker
from encoders.training.deep.content import IMAGE, ITEM, PIXEL, TEXT, WORDS, Content
from encoders.training.deep.export import export, megabytes, question
from encoders.training.deep.judge import (
    Calibration,
    Jury,
    auc,
    calibration_error,
    logloss,
)
from encoders.training.deep.log import Log, Split
from encoders.training.deep.rankers import Served, Shape
from encoders.training.deep.task import Learning
from encoders.training.deep.towers import MIXES
from encoders.training.deep.trainer import Training, fit

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

RESAMPLES = 200
CANDIDATES = 100
ROUNDS = 30

CLICK = Shape("click")
EVERYTHING = (ITEM, TEXT, IMAGE)
MODELS: Mapping[str, Shape] = {
    "matrix factorisation": Shape("mf"),
    "LightGCN": Shape("lightgcn"),
    "two towers": Shape("tower"),
    "sequence, Transformer": Shape("sequence"),
    "sequence, GRU": Shape("sequence", order="gru"),
    **{f"click, {mix}": replace(CLICK, mix=mix) for mix in MIXES},
}
"""What is compared."""

RAW: Mapping[str, Shape] = {
    "click, its own reading of words": replace(CLICK, parts=(ITEM, WORDS)),
    "click, its own view of pictures": replace(CLICK, parts=(ITEM, PIXEL)),
}
"""Text through an LSTM, pictures through a convolutional network, learned from the clicks alone."""

ABLATIONS: Mapping[str, Shape] = {
    "click, without text": replace(CLICK, parts=(ITEM, IMAGE)),
    "click, without image": replace(CLICK, parts=(ITEM, TEXT)),
    "click, without text and image": replace(CLICK, parts=(ITEM,)),
    "click, without the item itself": replace(CLICK, parts=(TEXT, IMAGE)),
    "click, without profile": replace(CLICK, profiles=False),
}
"""The click model with something taken away."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A model over all windows, the clicks of one after those of the other.

    logits        (m,) calibrated
    microseconds  of processor time for a candidate, 100 at once for one user
    megabytes     of what is served
    seconds       of processor time for training, in each window
    """

    users: NDArray[np.int64]
    hits: Doubles
    gains: Doubles
    logits: Doubles
    clicked: NDArray[np.bool_]
    who: NDArray[np.int64]
    microseconds: float
    megabytes: float
    seconds: float


MEASURES: Mapping[str, Callable[[Judged], float]] = {
    "AUC": lambda judged: auc(judged.logits, judged.clicked),
    "log loss": lambda judged: logloss(judged.logits, judged.clicked),
    "calibration error": lambda judged: calibration_error(judged.logits, judged.clicked),
    "Recall@10": lambda judged: float(judged.hits.mean()),
    "NDCG@10": lambda judged: float(judged.gains.mean()),
}


def compare(
    log: Log,
    content: Content,
    profiles: Floats,
    windows: Sequence[Split],
    models: Mapping[str, Shape],
    training: Training,
    *,
    kept: Path,
    advance: Callable[[str], None] = lambda name: None,
) -> dict[str, Judged]:
    """Name -> what became of it; each model is trained in every window, early stopping by the window's own validation.

    kept     folder for what was found of each model in each window: an interrupted comparison goes on from there
    advance  told the name of each model once it is judged in a window
    """
    found: dict[str, list[Judged]] = {name: [] for name in models}
    for window in windows:
        juries = tuple(Jury(log, each, profiles) for each in (window.validate, window.test))
        for name, shape in models.items():
            path = kept / f"{_name(log, window, shape, training)}.npz"
            if path.is_file():
                judged = _read(path)
            else:
                judged = _judge(log, content, profiles, window, juries, shape, training)
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, **{each.name: getattr(judged, each.name) for each in fields(judged)})
            found[name].append(judged)
            advance(name)
    return {name: _joined(each) for name, each in found.items()}


def _name(log: Log, window: Split, shape: Shape, training: Training) -> str:
    """Of all that a result depends on but the code."""
    clicks = hashlib.sha256(log.users.tobytes() + log.items.tobytes() + log.at.tobytes()).hexdigest()
    return hashlib.sha256(f"{clicks} {window} {shape} {training}".encode()).hexdigest()[:16]


def _read(path: Path) -> Judged:
    with np.load(path) as arrays:
        stored: dict[str, Any] = {name: array if array.ndim else float(array) for name, array in arrays.items()}
        return Judged(**stored)


def _judge(
    log: Log,
    content: Content,
    profiles: Floats,
    window: Split,
    juries: Sequence[Jury],
    shape: Shape,
    training: Training,
) -> Judged:
    validate, test = juries
    task = Learning(log, window, shape, content, profiles, jury=validate, seed=training.seed)
    began = time.process_time()
    fit(task, training)
    seconds = time.process_time() - began
    served = Served.of(task.network)
    calibration, verdict = Calibration.of(validate.verdict(served)), test.verdict(served)
    with TemporaryDirectory() as folder:
        version = export(task.network, calibration, log, {}, Path(folder))
        return Judged(
            verdict.users,
            verdict.hits,
            verdict.gains,
            calibration(verdict.logits),
            verdict.clicked,
            verdict.who,
            microseconds(version),
            megabytes(version),
            seconds,
        )


def microseconds(version: Path, users: int = 1) -> float:
    """Of processor time for one candidate, as served; the least of some rounds."""
    ranker, asked = ServedRanker(version), question(users, CANDIDATES, version)
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        ranker(asked)
        took.append(time.process_time() - began)
    return min(took) / (users * CANDIDATES) * 1e6


def _joined(each: Sequence[Judged]) -> Judged:
    def end_to_end(name: str) -> NDArray[np.generic]:
        return np.concatenate([getattr(one, name) for one in each])

    def mean(name: str) -> float:
        return float(np.mean([getattr(one, name) for one in each]))

    arrays = ("users", "hits", "gains", "logits", "clicked", "who")
    numbers = ("microseconds", "megabytes", "seconds")
    return Judged(*map(end_to_end, arrays), *map(mean, numbers))  # type: ignore[arg-type]


def resamples(judged: Judged, seed: int = 0) -> Iterator[Judged]:
    """The same with users drawn anew, all that is theirs together: their clicks are alike (Efron and Tibshirani, 1993).

    The same seed draws the same users for every model.
    """
    generator = np.random.default_rng(seed)
    people = int(judged.who.max()) + 1
    for _ in range(RESAMPLES):
        times = np.bincount(generator.integers(0, people, people), minlength=people)
        clicks, rows = (np.repeat(np.arange(len(each)), times[each]) for each in (judged.users, judged.who))
        yield replace(
            judged,
            users=judged.users[clicks],
            hits=judged.hits[clicks],
            gains=judged.gains[clicks],
            logits=judged.logits[rows],
            clicked=judged.clicked[rows],
            who=judged.who[rows],
        )


def sampled(judged: Judged) -> Doubles:
    """(RESAMPLES, measures)"""
    return np.array([[measure(each) for measure in MEASURES.values()] for each in resamples(judged)])


def table(found: Mapping[str, Judged]) -> str:
    """In Markdown: every measure with its 95% interval, and what a model takes."""
    lines = [
        ["model", *MEASURES, "µs a candidate", "MB", "s to train"],
        ["---", *["---:"] * (len(MEASURES) + 3)],
    ]
    for name, judged in found.items():
        low, high = np.percentile(sampled(judged), [2.5, 97.5], axis=0)
        values = [measure(judged) for measure in MEASURES.values()]
        cells = [f"{value:.3f} ({a:.3f} to {b:.3f})" for value, a, b in zip(values, low, high, strict=True)]
        lines.append([name, *cells, f"{judged.microseconds:.2f}", f"{judged.megabytes:.2f}", f"{judged.seconds:.0f}"])
    return _markdown(lines)


def differences(found: Mapping[str, Judged], base: str) -> str:
    """In Markdown: each model less one of them on the same users, with 95% intervals; bold where zero is outside."""
    lines = [[f"less '{base}'", *MEASURES], ["---", *["---:"] * len(MEASURES)]]
    compared = sampled(found[base])
    values = np.array([measure(found[base]) for measure in MEASURES.values()])
    for name, judged in found.items():
        if name == base:
            continue
        low, high = np.percentile(sampled(judged) - compared, [2.5, 97.5], axis=0)
        apart = np.array([measure(judged) for measure in MEASURES.values()]) - values
        cells = []
        for value, a, b in zip(apart, low, high, strict=True):
            bold = "**" if a > 0 or b < 0 else ""
            cells.append(f"{bold}{value:+.3f}{bold} ({a:+.3f} to {b:+.3f})")
        lines.append([name, *cells])
    return _markdown(lines)


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
