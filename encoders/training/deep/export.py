"""A trained ranker becomes a version that Triton serves: see `encoders.ranker`."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders import contract
from encoders.contract import DIM, HISTORY_LENGTH, Question, item_key
from encoders.ranker import CHECK, ITEMS, NETWORK, seal
from encoders.training.deep.judge import Calibration
from encoders.training.deep.log import Log
from encoders.training.deep.rankers import Ranker, Served

CHECKED = (4, 32)
"""Users and candidates of `check.npz`."""


class Exported(nn.Module):
    """A ranker with all its items in tables; place 0 is nobody.

    order  (items,) the items as they stand in the tables
    """

    def __init__(self, ranker: Ranker, calibration: Calibration, order: Tensor) -> None:
        super().__init__()
        served = Served.of(ranker)
        self.user, self.meet = ranker.user, ranker.meet
        self.slope, self.offset = calibration.slope, calibration.offset
        for name, table in (("vectors", served.vectors), ("said", served.said), ("bias", ranker.bias.weight)):
            self.register_buffer(name, functional.pad(table.detach()[order], (0, 0, 1, 0)).contiguous())

    def forward(self, history: Tensor, profile: Tensor, candidates: Tensor) -> Tensor:
        """(n, HISTORY_LENGTH) and (n, m) places, (n, DIM) -> (n, m) logits, calibrated."""
        user = self.user(functional.embedding(history, self.get_buffer("said")), history > 0, profile)
        scores = self.meet(user, functional.embedding(candidates, self.get_buffer("vectors")))
        scores = scores + functional.embedding(candidates, self.get_buffer("bias")).squeeze(2)
        calibrated: Tensor = self.slope * scores + self.offset
        return calibrated


def export(ranker: Ranker, calibration: Calibration, log: Log, told: Mapping[str, Any], folder: Path) -> Path:
    """Write a version.

    told  for `version.json`: configuration, metrics, the time it learned from
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys = np.array([item_key(item_id) for item_id in log.item_ids], np.int64)
    order = np.argsort(keys)
    module = Exported(ranker.cpu(), calibration, torch.from_numpy(order)).eval()
    generator = np.random.default_rng(0)
    users, candidates = CHECKED
    history = generator.integers(0, len(keys) + 1, (users, HISTORY_LENGTH))
    history[0] = 0
    asked = (
        torch.from_numpy(history),
        torch.from_numpy(generator.standard_normal((users, DIM)).astype(np.float32) / DIM**0.5),
        torch.from_numpy(generator.integers(1, len(keys) + 1, (users, candidates))),
    )
    names = [contract.HISTORY, contract.PROFILE, contract.CANDIDATES]
    axes = {name: {0: "users"} for name in names[:2]} | {
        name: {0: "users", 1: "items"} for name in (contract.CANDIDATES, contract.SCORE)
    }
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about sizes that are fixed on purpose
        torch.onnx.export(
            module,
            asked,
            str(folder / NETWORK),
            input_names=names,
            output_names=[contract.SCORE],
            dynamic_axes=axes,
            dynamo=False,
        )
        answer = module(*asked).numpy()
    np.save(folder / ITEMS, keys[order])
    with_nobody = np.concatenate([[0], keys[order]])
    np.savez(
        folder / CHECK,
        **{
            contract.HISTORY: with_nobody[asked[0].numpy()],
            contract.PROFILE: asked[1].numpy(),
            contract.CANDIDATES: with_nobody[asked[2].numpy()],
            contract.SCORE: answer,
        },
    )
    seal(folder, told)
    return folder


def question(users: int, candidates: int, folder: Path, seed: int = 0) -> Question:
    """One as a worker might ask it, of items that a version knows."""
    keys = np.load(folder / ITEMS)
    generator = np.random.default_rng(seed)
    return Question(
        keys[generator.integers(0, len(keys), (users, HISTORY_LENGTH))],
        np.zeros((users, DIM), np.float32),
        keys[generator.integers(0, len(keys), (users, candidates))],
    )


def megabytes(folder: Path) -> float:
    """Of the files that are served."""
    return sum((folder / name).stat().st_size for name in (NETWORK, ITEMS)) / 1e6
