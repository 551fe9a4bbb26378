"""Networks in other precisions: size, time, agreement and what retrieval loses, as a table in Markdown.

    anabranch train compress

Writes the int8 files that `ANABRANCH_PRECISION` can then pick, calibrated on some of Tux Paint's stamps without their
names, and measures every variant on all of them. Projections are trained anew for each, as they would be to serve it.
Without hardware for it bfloat16 takes many times as long, so it is measured on a few stamps, and not in retrieval.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from encoders import networks
from encoders.encoder import Encoder
from encoders.errors import Refused
from encoders.networks import NETWORKS, PRECISION_SETTING
from encoders.projection import unit_rows
from encoders.training import stamps
from encoders.training.align import Part, align
from encoders.training.compression import quantise
from encoders.training.natives import encoder
from encoders.training.stamps import Stamp
from encoders.training.stamps_report import part, parts, recall, split, to_align
from encoders.weights import locate

Floats = NDArray[np.float32]

VARIANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "image": ("image", ("float32", "int8", "bfloat16")),
    "audio": ("sound", ("float32", "int8", "bfloat16")),
    "speech": ("speech", ("float32", "int8")),
}
"""Modality -> its network, and the precisions to measure, that of comparison first."""

FEW = {"bfloat16": 24}
"""Precision -> how many stamps it is measured on, where not on all."""

SAMPLE = 96
ROUNDS = 7
TIMED = 4
TEXT = "text in English"


@contextmanager
def computing(network: str, precision: str) -> Iterator[None]:
    """With the setting that picks one variant of one network."""
    before = os.environ.get(PRECISION_SETTING)
    os.environ[PRECISION_SETTING] = f"{network}={precision}"
    try:
        yield
    finally:
        if before is None:
            del os.environ[PRECISION_SETTING]
        else:
            os.environ[PRECISION_SETTING] = before


def content(modality: str) -> Callable[[Stamp], bytes | None]:
    """A stamp's file of a modality: of speech the English one."""

    def read(stamp: Stamp) -> bytes | None:
        path = stamp.speech.get("en") if modality == "speech" else getattr(stamp, modality)
        return path.read_bytes() if path else None

    return read


def some(modality: str, items: Sequence[Stamp], count: int | None) -> Callable[[Stamp], bytes | None]:
    """As `content`, of about so many stamps evenly over the collection, or of all."""
    read = content(modality)
    having = [stamp.item_id for stamp in items if read(stamp)]
    chosen = set(having[:: len(having) // count] if count else having)
    return lambda stamp: read(stamp) if stamp.item_id in chosen else None


def contents(modality: str, items: Sequence[Stamp], count: int, seed: int) -> list[bytes]:
    """Some of the stamps' files, at random."""
    having = [each for stamp in items if (each := content(modality)(stamp))]
    return [having[place] for place in np.random.default_rng(seed).permutation(len(having))[:count]]


def sample(modality: str, items: Sequence[Stamp]) -> Floats:
    """(n, *shape) inputs of a modality's network, to calibrate with."""
    made, rows = encoder(modality), []
    for each in contents(modality, items, SAMPLE, seed=0):
        try:
            read = made.read(each)
        except Refused:
            continue
        rows.append(read if read.ndim > len(NETWORKS[VARIANTS[modality][0]].shape) else read[None])
    return np.asarray(np.concatenate(rows)[:SAMPLE], np.float32)


def milliseconds(made: Sequence[Encoder[Any]], files: Sequence[bytes]) -> list[float]:
    """Of processor time for one content, reading it included: the least of some rounds in which encoders take turns."""
    rounds = []
    for _ in range(ROUNDS):
        took = []
        for each in made:
            began = time.process_time()
            each.encode(files)
            took.append((time.process_time() - began) / len(files) * 1e3)
        rounds.append(took)
    return [min(each) for each in zip(*rounds, strict=True)]


def megabytes(network: str, precision: str) -> float:
    """Of the weights, as stored, or in bfloat16 as held."""
    if network == "speech":
        return locate("speech network").stat().st_size / 1e6
    if precision == "int8":
        return networks.file_of(network, "-int8").stat().st_size / 1e6
    return networks.exported(network).stat().st_size / (2 if precision == "bfloat16" else 1) / 1e6


def recalls(found: Mapping[str, Part], name: str, labels: NDArray[np.str_], splits: int) -> Floats:
    """Recall@10 from text to one part and back, in the space aligned with it; the mean of the splits."""
    scores = []
    for seed in range(splits):
        kept, held_out = split(labels, seed)
        train = {each: part.among(kept) for each, part in to_align(found, "English").items()}
        space = align(train, labels.tolist(), seed=seed)
        scores.append([recall(found, labels, held_out, space, *pair) for pair in ((TEXT, name), (name, TEXT))])
    return np.asarray(np.mean(scores, axis=0), np.float32)


def agreement(one: Part, other: Part) -> float:
    """Mean cosine of the native vectors of the contents that both took."""
    _, left, right = np.intersect1d(one.items, other.items, return_indices=True)
    return float((unit_rows(one.natives[left]) * unit_rows(other.natives[right])).sum(1).mean())


def rows(modality: str, items: Sequence[Stamp], found: Mapping[str, Part], cache: Path, splits: int) -> Iterator[str]:
    """The table's rows of one modality."""
    network, precisions = VARIANTS[modality]
    labels = np.array([stamp.texts["en"] for stamp in items])
    name = "speech in English" if modality == "speech" else modality
    made, variants = [], []
    for precision in precisions:
        with computing(network, precision):
            made.append(encoder(modality))
            variants.append(part(modality, items, some(modality, items, FEW.get(precision)), cache))
    times = milliseconds(made, contents(modality, items, TIMED, seed=1))
    exact = recalls({**found, name: variants[0]}, name, labels, splits)
    for precision, each, took in zip(precisions, variants, times, strict=True):
        retrieval = ""
        if precision not in FEW:
            score = recalls({**found, name: each}, name, labels, splits)
            retrieval = ", ".join(
                f"{value:.3f} ({lost:+.3f})" for value, lost in zip(score, score - exact, strict=True)
            )
        yield (
            f"| {modality} | {precision} | {megabytes(network, precision):.1f} | {took:.1f} | {times[0] / took:.2f} "
            f"| {agreement(variants[0], each):.4f} | {retrieval} |"
        )


def run(cache: Path, *, splits: int) -> None:
    """Write the int8 networks and print the table.

    cache  where the stamps and their native vectors are kept
    """
    torch.set_num_threads(1)
    threadpool_limits(1)
    items = stamps.read(stamps.fetch(cache))
    for modality, (network, precisions) in VARIANTS.items():
        if network in NETWORKS and "int8" in precisions:
            print(quantise(network, sample(modality, items)))
    if not splits:
        return
    found = parts(items, cache / "natives", spoken=("English",))
    print("| modality | precision | MB | ms an item | times faster | cosine | Recall@10 from text, to text |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for modality in VARIANTS:
        for row in rows(modality, items, found, cache / "natives", splits):
            print(row, flush=True)
