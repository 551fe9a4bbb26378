"""Fusion as served: the vectors of an item's parts become one, by the average or by a trained network.

The networks are in `encoders.torch_fusion`; training exports the chosen one to `fusion.onnx`.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.projection import FOLDER_SETTING, unit_rows

Floats = NDArray[np.float32]
Fuse = Callable[[Floats], Floats]

FILE = "fusion.onnx"


def average(vectors: Floats) -> Floats:
    """(n, parts, dim) -> (n, dim): the mean direction of the parts present, unit length; zeros where none is.

    A part that is absent is all zeros, and so pulls nowhere.

    >>> items = [[[1, 0], [0, 0]], [[1, 0], [0, 1]], [[0, 0], [0, 0]]]
    >>> average(np.array(items, np.float32)).round(2).tolist()
    [[1.0, 0.0], [0.7099999785423279, 0.7099999785423279], [0.0, 0.0]]
    """
    return unit_rows(vectors.sum(axis=1))


def load(folder: Path | None = None) -> Fuse:
    """The trained network in `folder`, by default the one `ANABRANCH_PROJECTIONS` names; else the average."""
    named = os.environ.get(FOLDER_SETTING)
    folder = folder or (Path(named) if named else None)
    path = folder / FILE if folder else None
    if path is None or not path.is_file():
        return average
    from encoders.networks import session

    network = session(path)

    def fuse(vectors: Floats) -> Floats:
        present = vectors.any(axis=2)
        fused = np.zeros((len(vectors), vectors.shape[2]), np.float32)
        rows = present.any(axis=1)
        if rows.any():
            fused[rows] = network.run(None, {"vectors": vectors[rows], "present": present[rows]})[0]
        return fused

    return fuse
