"""A trained click model made smaller and quicker: pruned, distilled, in int8; each judged as it is served."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional

from encoders import contract
from encoders.contract import Question, item_key
from encoders.ranker import CHECK, NETWORK, SUMS, check, seal, verify
from encoders.ranker import Ranker as ServedRanker
from encoders.training.deep.compare import microseconds
from encoders.training.deep.content import Content
from encoders.training.deep.examples import NOBODY
from encoders.training.deep.export import export, megabytes
from encoders.training.deep.judge import Calibration, Jury, auc, logloss
from encoders.training.deep.log import Log, Places, Split
from encoders.training.deep.rankers import Ranker, Served, Shape
from encoders.training.deep.task import Learning
from encoders.training.deep.towers import Layers
from encoders.training.deep.trainer import Training, fit

Floats = NDArray[np.float32]

STUDENT = 16
"""Dimensions of a distilled model's vectors."""

KEPT = 0.25
"""Of the hidden units of a pruned one."""


def pruned(ranker: Ranker, share: float = KEPT) -> Ranker:
    """The same ranker with only the hidden units that say most: whole ones, so that what is left is dense and quick.

    A unit says as much as its weight in the answer and the length of its weights on what comes in (Li and others,
    2017).
    Best trained on for an epoch or two.
    """
    layers = ranker.meet
    if not isinstance(layers, Layers):
        raise ValueError(f"a {ranker.shape.kind} model has no hidden units to prune")
    parts = [layers.user, layers.item, layers.both]
    lengths = torch.stack([part.weight.detach().norm(dim=1) for part in parts]).sum(0)
    says = lengths * layers.out.weight.detach()[0].abs()
    kept = says.topk(max(1, round(share * len(says)))).indices
    for name, part in zip(("user", "item", "both"), parts, strict=True):
        setattr(layers, name, _rows(part, kept))
    smaller = nn.Linear(len(kept), 1)
    smaller.weight.data, smaller.bias.data = layers.out.weight.data[:, kept].clone(), layers.out.bias.data.clone()
    layers.out = smaller
    return ranker


def _rows(layer: nn.Linear, kept: Tensor) -> nn.Linear:
    smaller = nn.Linear(layer.in_features, len(kept), bias=layer.bias is not None)
    smaller.weight.data = layer.weight.data[kept].clone()
    if layer.bias is not None:
        smaller.bias.data = layer.bias.data[kept].clone()
    return smaller


class Student(nn.Module):
    """A ranker that learns what another answers (Hinton and others, 2015)."""

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, histories: Tensor, profiles: Tensor, candidates: Tensor, answers: Tensor) -> Tensor:
        """(n,) the loss of each example; answers (n, m) are the other's logits."""
        logits = self.ranker.scores(histories, profiles, candidates)
        losses = functional.binary_cross_entropy_with_logits(logits, answers.sigmoid(), reduction="none")
        return losses.mean(1)


class Distilling:
    """Learn what a teacher says of clicks and of what was left, and of as many items again at random.

    learning  of the teacher: what it was taught by
    """

    def __init__(self, learning: Learning, teacher: Ranker, student: Ranker) -> None:
        self.network = Student(student)
        self._learning, self._teacher = learning, teacher.eval()

    def __len__(self) -> int:
        return len(self._learning)

    def batch(self, rows: Places, generator: np.random.Generator) -> tuple[Tensor, ...]:
        """See `Student.forward`."""
        histories, profiles, candidates, _ = self._learning.batch(rows, generator)
        drawn = generator.integers(0, self.network.ranker.items, candidates.shape)
        candidates = torch.cat([candidates, torch.from_numpy(drawn)], 1)
        with torch.no_grad():
            answers = self._teacher.scores(histories, profiles, candidates)
        return histories, profiles, candidates, answers

    def judge(self) -> float:
        """Log loss of the student, on the clicks that the teacher was chosen by."""
        verdict = self._learning.jury.verdict(Served.of(self.network.ranker))
        return logloss(verdict.logits, verdict.clicked)


def quantised(folder: Path, into: Path) -> Path:
    """A version with its tables and its products in int8, ranges found as it runs (dynamic quantisation)."""
    into.mkdir(parents=True, exist_ok=True)
    told = {name: value for name, value in verify(folder).items() if name != SUMS}
    shutil.copytree(folder, into, dirs_exist_ok=True)
    quantize_dynamic(
        folder / NETWORK,
        into / NETWORK,
        weight_type=QuantType.QInt8,
        per_channel=False,
        op_types_to_quantize=["MatMul", "Gemm", "Gather"],
    )
    asked, _ = check(folder)
    seal(into, told)
    arrays: dict[str, Any] = {
        contract.HISTORY: asked.history,
        contract.PROFILE: asked.profile,
        contract.CANDIDATES: asked.candidates,
        contract.SCORE: ServedRanker(into)(asked),
    }
    np.savez(into / CHECK, **arrays)
    seal(into, {**told, "precision": "int8"})
    return into


class AsServed:
    """A version, to be judged like a network in training (`judge.Judgeable`)."""

    def __init__(self, folder: Path, log: Log) -> None:
        self._ranker = ServedRanker(folder)
        self._keys = np.array([item_key(item_id) for item_id in log.item_ids], np.int64)

    def scores(self, histories: Tensor, profiles: Tensor) -> Tensor:
        """(n, items) logits."""
        places = histories.numpy()
        history = np.where(places == NOBODY, 0, self._keys[places])
        candidates = np.broadcast_to(self._keys, (len(places), len(self._keys)))
        return torch.from_numpy(self._ranker(Question(history, profiles.numpy(), np.ascontiguousarray(candidates))))


@dataclass(frozen=True, slots=True)
class Smaller:
    """What became of a version.

    microseconds  of processor time for a candidate, 100 at once for one user
    """

    folder: Path
    megabytes: float
    microseconds: float
    auc: float
    logloss: float
    gain: float


def shrink(
    log: Log,
    split: Split,
    shape: Shape,
    content: Content,
    profiles: Floats,
    training: Training,
    into: Path,
    *,
    advance: Callable[[str], None] = lambda name: None,
) -> dict[str, Smaller]:
    """Train a click model, make it smaller in every way, and judge each as served; versions are written below `into`.

    advance  told the name of each version once it is judged
    """
    validate, test = (Jury(log, window, profiles) for window in (split.validate, split.test))
    found: dict[str, Smaller] = {}

    def judge(name: str, folder: Path) -> None:
        verdict = test.verdict(AsServed(folder, log))
        found[name] = Smaller(
            folder,
            megabytes(folder),
            microseconds(folder),
            auc(verdict.logits, verdict.clicked),
            logloss(verdict.logits, verdict.clicked),
            float(verdict.gains.mean()),
        )
        advance(name)

    def write(name: str, ranker: Ranker) -> None:
        calibration = Calibration.of(validate.verdict(Served.of(ranker)))
        told = {"kind": ranker.shape.kind, "made": name}
        judge(name, export(ranker, calibration, log, told, into / name.replace(" ", "-").replace(",", "")))

    learning = Learning(log, split, shape, content, profiles, jury=validate, seed=training.seed)
    fit(learning, training)
    teacher = learning.network
    write("as trained", teacher)

    small = replace(shape, kind="tower", parts=("item",), width=STUDENT, dropout=0.0)
    student = Learning(log, split, small, content, profiles, jury=validate, seed=training.seed).network
    fit(Distilling(learning, teacher, student), training)
    write("distilled", student)

    pruned(teacher)
    fit(learning, replace(training, epochs=2))
    write("pruned", teacher)
    for name in ("as trained", "pruned", "distilled"):
        made = f"{name}, int8"
        judge(made, quantised(found[name].folder, into / made.replace(" ", "-").replace(",", "")))
    return found


def table(found: Mapping[str, Smaller]) -> str:
    """In Markdown; loss is that of the log loss, relative to the version as trained."""
    first = found["as trained"]
    lines = [
        "| version | MB | µs a candidate | times faster | AUC | log loss | relative loss | NDCG@10 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, each in found.items():
        lines.append(
            f"| {name} | {each.megabytes:.2f} | {each.microseconds:.2f} | {first.microseconds / each.microseconds:.1f} "
            f"| {each.auc:.4f} | {each.logloss:.4f} | {each.logloss / first.logloss - 1:+.2%} | {each.gain:.4f} |"
        )
    return "\n".join(lines) + "\n"
