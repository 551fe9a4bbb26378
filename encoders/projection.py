"""The last step of every encoder: from a network's own vector to the space that all modalities share.

It is learned in torch (`encoders.training.align`) and applied in numpy, because one matrix product is not
worth the 500 MB that torch takes in each serving process.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.contract import DIM, MODALITIES, Modality, space_name

Floats = NDArray[np.float32]

FOLDER_SETTING = "ANABRANCH_PROJECTIONS"
"""Environment variable: the folder with trained projections, `<modality>.npz` each; unset means untrained."""


def unit_rows(rows: Floats) -> Floats:
    """(n, d) rows scaled to length 1; a zero row stays zero.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


@dataclass(frozen=True, slots=True)
class Projection:
    """Native vectors to unit vectors of the shared space: unit length, centred, times a matrix, unit length.

    mean    (native_dim,) float32: the centre of unit-length native vectors; zeros where not trained
    weight  (native_dim, DIM) float32
    kind    'untrained', or that of each modality it is made of; empty where its numbers say what it is
    """

    mean: Floats
    weight: Floats
    kind: str = ""

    def __call__(self, natives: Floats) -> Floats:
        """(n, native_dim) -> (n, DIM), unit length."""
        return unit_rows((unit_rows(natives) - self.mean) @ self.weight)

    @property
    def name(self) -> str:
        """What tells it from others, on every machine: random matrices differ in their last bits between processors."""
        return self.kind or space_name(self.mean.tobytes(), self.weight.tobytes())

    @classmethod
    def untrained(cls, modality: Modality) -> "Projection":
        """A random orthogonal matrix, seeded by the modality's name: it keeps the angles of the native space
        exactly where `native_dim` <= DIM, and nearly so above (Johnson and Lindenstrauss, 1984).
        """
        generator = np.random.default_rng(list(modality.name.encode()))
        tall = max(modality.native_dim, DIM)
        square, _ = np.linalg.qr(generator.standard_normal((tall, min(modality.native_dim, DIM))))
        matrix = square if modality.native_dim >= DIM else square.T
        mean = np.zeros(modality.native_dim, np.float32)
        return cls(mean, np.ascontiguousarray(matrix, dtype=np.float32), "untrained")

    @classmethod
    def stacked(cls, modality: Modality, parts: Sequence["Projection"]) -> "Projection":
        """The projections of the modalities that this one is made of, one after the other: what is said lands
        where it would if it were written, and a video where its pictures and its sounds are.

        Native entries beyond those of the parts are projected at random, and count half.
        """
        mean = np.zeros(modality.native_dim, np.float32)
        weight = 0.5 * cls.untrained(modality).weight
        start = 0
        for part in parts:
            rows = slice(start, start + len(part.mean))
            mean[rows], weight[rows] = part.mean, part.weight
            start = rows.stop
        return cls(mean, weight, "+".join(part.name for part in parts))

    @classmethod
    def load(cls, modality: Modality, folder: Path | None = None) -> "Projection":
        """The trained projection in `folder`, or by default in the folder that `ANABRANCH_PROJECTIONS` names.

        Untrained where no folder is named or the folder has none for this modality. Raises ValueError for a
        file of another shape.
        """
        named = os.environ.get(FOLDER_SETTING)
        folder = folder or (Path(named) if named else None)
        path = folder / f"{modality.name}.npz" if folder else None
        if path is None or not path.is_file():
            if modality.made_of:
                return cls.stacked(modality, [cls.load(MODALITIES[name], folder) for name in modality.made_of])
            return cls.untrained(modality)
        with np.load(path, allow_pickle=False) as arrays:
            projection = cls(arrays["mean"].astype(np.float32), arrays["weight"].astype(np.float32))
        if projection.mean.shape != (modality.native_dim,) or projection.weight.shape != (
            modality.native_dim,
            DIM,
        ):
            raise ValueError(
                f"{path}: weight is {projection.weight.shape}, where {(modality.native_dim, DIM)} is expected"
            )
        return projection

    def save(self, modality: Modality, folder: Path) -> Path:
        """Write `<modality>.npz` into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{modality.name}.npz"
        np.savez(path, mean=self.mean, weight=self.weight)
        return path
