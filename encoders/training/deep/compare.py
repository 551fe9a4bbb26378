"""Models side by side, on the same clicks of several windows in time, with what chance may have added."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from encoders.ranker import Ranker as ServedRanker
from encoders.training.deep.content import IMAGE, ITEM, PIXEL, TEXT, WORDS, Content
from encoders.training.deep.export import export, megabytes, question
from encoders.training.deep.judge import (
    Calibration,
    Jury,
    Verdict,
    auc,
    calibration_error,
    logloss,
)
from encoders.training.deep.log import Log, Places, Split
from encoders.training.deep.rankers import Served, Shape
from encoders.training.deep.task import Learning
from encoders.training.deep.towers import MIXES
from encoders.training.deep.trainer import Training, fit

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

RESAMPLES = 200
CANDIDATES = 100
ROUNDS, REPEATS = 40, 10

FEW = 5
"""Clicks by which an item, or a user, is hardly known."""

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
    """What became of a model.

    verdict  of all windows, calibrated; the rows of one after those of the other
    learned  (m,) int64, clicks on the item of each row that the model had learned from
    seconds  of processor time for training, in each window
    """

    verdict: Verdict
    learned: Places
    seconds: float


MEASURES: Mapping[str, Callable[[Verdict], float]] = {
    "AUC": lambda verdict: auc(verdict.logits, verdict.clicked),
    "log loss": lambda verdict: logloss(verdict.logits, verdict.clicked),
    "calibration error": lambda verdict: calibration_error(verdict.logits, verdict.clicked),
    "Recall@10": lambda verdict: float(verdict.hits.mean()),
    "NDCG@10": lambda verdict: float(verdict.gains.mean()),
}

GROUPS: Mapping[str, Callable[[Judged], Bools]] = {
    f"items clicked less than {FEW} times": lambda judged: judged.learned < FEW,
    "other items": lambda judged: judged.learned >= FEW,
    f"users with less than {FEW} clicks": lambda judged: judged.verdict.before < FEW,
    "other users": lambda judged: judged.verdict.before >= FEW,
}
"""Whose clicks, and clicks on what, are looked at by themselves."""


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
                arrays = {each.name: getattr(judged.verdict, each.name) for each in fields(Verdict)}
                np.savez(path, **arrays, learned=judged.learned, seconds=judged.seconds)
            found[name].append(judged)
            advance(name)
    return {name: _joined(each) for name, each in found.items()}


def _name(log: Log, window: Split, shape: Shape, training: Training) -> str:
    """Of all that a result depends on but the code."""
    clicks = hashlib.sha256(log.users.tobytes() + log.items.tobytes() + log.at.tobytes()).hexdigest()
    return hashlib.sha256(f"{clicks} {window} {shape} {training}".encode()).hexdigest()[:16]


def _read(path: Path) -> Judged:
    with np.load(path) as arrays:
        verdict = Verdict(**{each.name: arrays[each.name] for each in fields(Verdict)})
        return Judged(verdict, arrays["learned"], float(arrays["seconds"]))


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
    calibrated = replace(verdict, logits=calibration(verdict.logits))
    return Judged(calibrated, task.clicks[verdict.items], seconds)


def _joined(each: Sequence[Judged]) -> Judged:
    verdicts = [one.verdict for one in each]
    arrays = {name.name: np.concatenate([getattr(one, name.name) for one in verdicts]) for name in fields(Verdict)}
    learned = np.concatenate([one.learned for one in each])
    return Judged(Verdict(**arrays), learned, float(np.mean([one.seconds for one in each])))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model takes as it is served.

    microseconds  of processor time for a candidate, `CANDIDATES` at once for one user
    megabytes     of what is served
    """

    microseconds: float
    megabytes: float


def costs(log: Log, content: Content, profiles: Floats, window: Split, models: Mapping[str, Shape]) -> dict[str, Cost]:
    """Name -> what such a model takes; it depends on the shape alone, so that none is trained for it."""
    with TemporaryDirectory() as parent:
        versions = {}
        for number, (name, shape) in enumerate(models.items()):
            network = Learning(log, window, shape, content, profiles).network
            versions[name] = export(network, Calibration(1.0, 0.0), log, {}, Path(parent) / str(number))
        took = microseconds(versions)
        return {name: Cost(took[name], megabytes(version)) for name, version in versions.items()}


def microseconds(versions: Mapping[str, Path], users: int = 1) -> dict[str, float]:
    """Of processor time for one candidate, as served: the median over rounds in which all versions take turns.

    Whatever else the machine does meanwhile slows all of them alike.
    """
    rankers = {name: (ServedRanker(folder), question(users, CANDIDATES, folder)) for name, folder in versions.items()}
    took: dict[str, list[float]] = {name: [] for name in rankers}
    for _ in range(ROUNDS):
        for name, (ranker, asked) in rankers.items():
            ranker(asked)  # warm again after the others
            began = time.process_time()
            for _ in range(REPEATS):
                ranker(asked)
            took[name].append((time.process_time() - began) / REPEATS)
    return {name: float(np.median(each)) / (users * CANDIDATES) * 1e6 for name, each in took.items()}


def resamples(verdict: Verdict, seed: int = 0) -> Iterator[Verdict]:
    """The same with users drawn anew, all that is theirs together: their clicks are alike (Efron and Tibshirani, 1993).

    The same seed draws the same users for every model.
    """
    generator = np.random.default_rng(seed)
    people = int(verdict.who.max()) + 1
    for _ in range(RESAMPLES):
        times = np.bincount(generator.integers(0, people, people), minlength=people)
        yield verdict.some(np.repeat(np.arange(len(verdict.who)), times[verdict.who]))


def sampled(verdict: Verdict, measures: Sequence[str] = tuple(MEASURES)) -> Doubles:
    """(RESAMPLES, measures)"""
    return np.array([[MEASURES[name](each) for name in measures] for each in resamples(verdict)])


def table(found: Mapping[str, Judged], taken: Mapping[str, Cost]) -> str:
    """In Markdown: every measure with its 95% interval, and what a model takes."""
    lines = [
        ["model", *MEASURES, "µs a candidate", "MB", "s to train"],
        ["---", *["---:"] * (len(MEASURES) + 3)],
    ]
    for name, judged in found.items():
        low, high = np.percentile(sampled(judged.verdict), [2.5, 97.5], axis=0)
        values = [measure(judged.verdict) for measure in MEASURES.values()]
        cells = [f"{value:.3f} ({a:.3f} to {b:.3f})" for value, a, b in zip(values, low, high, strict=True)]
        cost = taken[name]
        lines.append([name, *cells, f"{cost.microseconds:.2f}", f"{cost.megabytes:.2f}", f"{judged.seconds:.0f}"])
    return _markdown(lines)


def differences(found: Mapping[str, Judged], base: str) -> str:
    """In Markdown: each model less one of them on the same users, with 95% intervals; bold where zero is outside."""
    lines = [[f"less '{base}'", *MEASURES], ["---", *["---:"] * len(MEASURES)]]
    for name, judged in found.items():
        if name != base:
            lines.append([name, *_apart(judged.verdict, found[base].verdict, tuple(MEASURES))])
    return _markdown(lines)


def by_group(found: Mapping[str, Judged], base: str) -> str:
    """In Markdown: the AUC of one model in each of `GROUPS`, and how much larger that of the others is."""
    groups = {name: rows(found[base]) for name, rows in GROUPS.items()}
    clicked = found[base].verdict.clicked
    groups = {name: rows for name, rows in groups.items() if 0 < clicked[rows].sum() < rows.sum()}
    parts = {name: found[base].verdict.some(rows) for name, rows in groups.items()}
    heads = [f"{name}, {len(part.ranks):,} clicks" for name, part in parts.items()]
    lines = [["AUC", *heads], ["---", *["---:"] * len(groups)]]
    lines.append([base, *(f"{part.auc:.3f}" for part in parts.values())])
    for name, judged in found.items():
        if name != base:
            apart = (_apart(judged.verdict.some(rows), parts[group], ("AUC",)) for group, rows in groups.items())
            lines.append([name, *(cell for [cell] in apart)])
    return _markdown(lines)


def _apart(verdict: Verdict, base: Verdict, measures: Sequence[str]) -> list[str]:
    """How much more each measure is than of the base, with its interval."""
    low, high = np.percentile(sampled(verdict, measures) - sampled(base, measures), [2.5, 97.5], axis=0)
    cells = []
    for name, a, b in zip(measures, low, high, strict=True):
        bold = "**" if a > 0 or b < 0 else ""
        cells.append(f"{bold}{MEASURES[name](verdict) - MEASURES[name](base):+.3f}{bold} ({a:+.3f} to {b:+.3f})")
    return cells


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
