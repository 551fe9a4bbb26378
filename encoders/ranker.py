"""A trained ranker in a folder of its own, and how it becomes a Triton model.

A version is a folder with

    ranker.onnx     tables and network: places in `items.npy` in, logits out
    items.npy       (items,) int64: `contract.item_key` of the items that it knows, ascending
    check.npz       inputs and what the trained network answered, to be compared with what is served
    version.json    what it is: configuration, metrics, the time it learned from, and the SHA-256 of the files above
"""

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders import contract, networks
from encoders.contract import Question
from encoders.errors import WeightsUnusable

NETWORK, ITEMS, CHECK, VERSION = "ranker.onnx", "items.npy", "check.npz", "version.json"
SUMS = "sha256"
TOLERANCE = 1e-3

Floats = NDArray[np.float32]
Keys = NDArray[np.int64]


class Ranker:
    """A version, loaded. Raises WeightsUnusable where a file is missing, damaged or of another version."""

    def __init__(self, folder: Path) -> None:
        verify(folder)
        self._keys: Keys = np.load(folder / ITEMS)
        self._network = networks.session(folder / NETWORK)
        self._asks_for = {each.name for each in self._network.get_inputs()}  # profiles, for one, may be of no use to it

    def __call__(self, asked: Question) -> Floats:
        """(n, m) logits; NaN where the item is not known."""
        candidates = self._places(asked.candidates)
        inputs = {
            contract.HISTORY: self._places(asked.history),
            contract.PROFILE: asked.profile,
            contract.CANDIDATES: candidates,
        }
        used = {name: array for name, array in inputs.items() if name in self._asks_for}
        scores: Floats = self._network.run([contract.SCORE], used)[0]
        scores[candidates == 0] = np.nan
        return scores

    def _places(self, keys: Keys) -> Keys:
        """1 + place of each item; 0 where there is none or it is not known."""
        found = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[found] == keys, found + 1, 0)


def verify(folder: Path) -> Mapping[str, Any]:
    """What `version.json` says, once the files are those it was written for. Raises WeightsUnusable."""
    try:
        told: Mapping[str, Any] = json.loads((folder / VERSION).read_text())
        expected = told[SUMS]
        for name in (NETWORK, ITEMS, CHECK):
            found = _sum(folder / name)
            if found != expected[name]:
                raise WeightsUnusable(f"{folder / name} has SHA-256 {found}, where {expected[name]} is expected")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsUnusable(f"{folder} is no version of a ranker: {error!r}") from error
    return told


def seal(folder: Path, told: Mapping[str, Any]) -> None:
    """Write `version.json`, the last file of a version."""
    sums = {name: _sum(folder / name) for name in (NETWORK, ITEMS, CHECK)}
    (folder / VERSION).write_text(json.dumps({**told, SUMS: sums}, indent=2) + "\n")


def check(folder: Path) -> tuple[Question, Floats]:
    """Inputs of a version, and what the trained network answered."""
    with np.load(folder / CHECK) as arrays:
        asked = Question(arrays[contract.HISTORY], arrays[contract.PROFILE], arrays[contract.CANDIDATES])
        return asked, arrays[contract.SCORE]


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class RankerModel:
    """The life of a version in Triton's Python backend."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version, and compare what it answers with what it did when it was trained.

        Raises WeightsUnusable, upon which Triton goes on with the versions that it had.
        """
        self._backend = importlib.import_module("triton_python_backend_utils")
        folder = Path(args["model_repository"]) / args["model_version"]
        self._ranker = Ranker(folder)
        asked, expected = check(folder)
        apart = float(np.abs(self._ranker(asked) - expected).max())
        if not apart <= TOLERANCE:
            raise WeightsUnusable(f"{folder} answers up to {apart:.4g} off, where {TOLERANCE:g} is allowed")

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One response for each request."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        history, profile, candidates = (
            self._backend.get_input_tensor_by_name(request, name).as_numpy()
            for name in (contract.HISTORY, contract.PROFILE, contract.CANDIDATES)
        )
        scores = self._ranker(Question(history, profile, candidates))
        return self._backend.InferenceResponse([self._backend.Tensor(contract.SCORE, scores)])
