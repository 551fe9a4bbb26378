"""Fusion by a network that `encoders.training` has trained, in the worker's own process."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from encoders import fusion
from encoders.contract import DIM, PARTS, space_name
from streams.core.vectors import Vector


class LearnedFusion:
    """Fuses as `item_encoder` does with the same `fusion.onnx`.

    folder  where the file is
    space   the name of the space that its vectors are in, besides those of the modalities

    Raises FileNotFoundError.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / fusion.FILE).is_file():
            raise FileNotFoundError(
                f"{folder / fusion.FILE} is missing; train it, or unset the folder to use the average"
            )
        self._fuse = fusion.load(folder)
        self.space = space_name("learned", (folder / fusion.FILE).read_bytes())

    def __call__(self, vectors: Mapping[str, Vector]) -> Vector | None:
        """modality -> (dim,) float32, unit length; the fused vector, None when there are none."""
        parts = np.zeros((1, len(PARTS), DIM), np.float32)
        for place, name in enumerate(PARTS):
            if name in vectors:
                parts[0, place] = vectors[name]
        fused: Vector = self._fuse(parts)[0]
        return fused if fused.any() else None
