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
from encoders.training.deep.towers import Layers

CHECKED = (4, 32)
"""Users and candidates of `check.npz`."""


class Table(nn.Module):
    """A row for each place, the first of zeros: nobody.

    rows  (items, width) as they are to stand from place 1 on
    int8  kept in a byte an entry, in steps of each column's own
    """

    step: Tensor | None

    def __init__(self, rows: Tensor, *, int8: bool) -> None:
        super().__init__()
        padded = functional.pad(rows.detach(), (0, 0, 1, 0))
        step = (padded.abs().amax(0) / 127).clamp(min=1e-12)
        self.register_buffer("rows", (padded / step).round().to(torch.int8) if int8 else padded.contiguous())
        self.register_buffer("step", step if int8 else None)

    def forward(self, places: Tensor) -> Tensor:
        """(n, m) -> (n, m, width)."""
        found = functional.embedding(places, self.get_buffer("rows"))
        return found if self.step is None else found.to(torch.float32) * self.step


class Stepwise(nn.Module):
    """User and candidates meet as they did in training."""

    def __init__(self, ranker: Ranker, vectors: Table, bias: Tensor, calibration: Calibration, *, int8: bool) -> None:
        super().__init__()
        self.meet, self.vectors, self.bias = ranker.meet, vectors, Table(bias, int8=int8)
        self.slope, self.offset = calibration.slope, calibration.offset

    def forward(self, users: Tensor, candidates: Tensor) -> Tensor:
        """(n, width) and (n, m) places -> (n, m) logits, calibrated."""
        scores: Tensor = self.meet(users, self.vectors(candidates)) + self.bias(candidates).squeeze(2)
        return self.slope * scores + self.offset


class Fused(nn.Module):
    """The same of `towers.Layers`, in one product for each user.

    What an item adds to the hidden units does not depend on the user, and is in a table. What the product of both adds
    is linear in the item for a given user: a matrix of the user's. The sum beside the hidden units, with bias and
    calibration, becomes two more of them, for x = gelu(x) - gelu(-x).
    """

    def __init__(
        self, layers: Layers, vectors: Table, items: Tensor, bias: Tensor, calibration: Calibration, *, int8: bool
    ) -> None:
        super().__init__()
        slope, beside = calibration.slope, torch.tensor([[1.0, -1.0]])
        through = functional.linear(items, layers.item.weight)
        alone = slope * (bias + layers.out.bias) + calibration.offset
        self.vectors, self.adds = vectors, Table(torch.cat([through, alone @ beside], 1), int8=int8)
        summed = torch.full((items.shape[1], 1), slope)
        self.register_buffer("both", torch.cat([layers.both.weight.T, summed @ beside], 1).detach())
        self.user = nn.Linear(items.shape[1], len(layers.user.weight) + 2)
        self.user.weight.data = functional.pad(layers.user.weight.detach(), (0, 0, 0, 2))
        self.user.bias.data = functional.pad(layers.user.bias.detach(), (0, 2))
        self.register_buffer("out", torch.cat([slope * layers.out.weight, beside], 1).detach().T.contiguous())

    def forward(self, users: Tensor, candidates: Tensor) -> Tensor:
        """See `Stepwise`."""
        of_user = users.unsqueeze(2) * self.get_buffer("both")
        added = self.user(users).unsqueeze(1) + self.adds(candidates)
        hidden = functional.gelu(self.vectors(candidates) @ of_user + added)
        scores: Tensor = (hidden @ self.get_buffer("out")).squeeze(2)
        return scores


class Exported(nn.Module):
    """A ranker with all its items in tables; place 0 is nobody.

    order  (items,) the items as they stand in the tables
    """

    def __init__(
        self, ranker: Ranker, calibration: Calibration, order: Tensor, *, fused: bool = True, int8: bool = False
    ) -> None:
        super().__init__()
        served, bias = Served.of(ranker), ranker.bias.weight[order]
        vectors = Table(served.vectors[order], int8=int8)
        self.user = ranker.user
        self.said = vectors if served.said is served.vectors else Table(served.said[order], int8=int8)
        self.meet: nn.Module
        if fused and isinstance(ranker.meet, Layers):
            self.meet = Fused(ranker.meet, vectors, served.vectors[order], bias, calibration, int8=int8)
        else:
            self.meet = Stepwise(ranker, vectors, bias, calibration, int8=int8)

    def forward(self, history: Tensor, profile: Tensor, candidates: Tensor) -> Tensor:
        """(n, HISTORY_LENGTH) and (n, m) places, (n, DIM) -> (n, m) logits, calibrated."""
        calibrated: Tensor = self.meet(self.user(self.said(history), history > 0, profile), candidates)
        return calibrated


def export(
    ranker: Ranker,
    calibration: Calibration,
    log: Log,
    told: Mapping[str, Any],
    folder: Path,
    *,
    fused: bool = True,
    int8: bool = False,
) -> Path:
    """Write a version.

    told   for `version.json`: configuration, metrics, the time it learned from
    fused  in as few steps as give the same answers; else in those of training, to compare with
    int8   with tables of a byte an entry
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys = np.array([item_key(item_id) for item_id in log.item_ids], np.int64)
    order = np.argsort(keys)
    module = Exported(ranker.cpu(), calibration, torch.from_numpy(order), fused=fused, int8=int8).eval()
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
