"""A trained click model made smaller and quicker: pruned, distilled, in int8; each judged as it is served."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from encoders.contract import Question, item_key
from encoders.ranker import Ranker as ServedRanker
from encoders.training.deep.compare import microseconds
from encoders.training.deep.content import Content
from encoders.training.deep.examples import NOBODY
from encoders.training.deep.export import export, megabytes
from encoders.training.deep.judge import Calibration, Jury, Verdict, logloss
from encoders.training.deep.log import Log, Places, Split
from encoders.training.deep.rankers import Ranker, Served, Shape
from encoders.training.deep.task import Learning
from encoders.training.deep.towers import Layers
from encoders.training.deep.trainer import Training, fit

Floats = NDArray[np.float32]

STEPWISE, FUSED = "as trained, in the steps of training", "as trained"

TOGETHER = (1, 8, 32)
"""Users asked for at once, in timing."""

KEPT = 0.25
"""Of the hidden units of a pruned one."""


def pruned(ranker: Ranker, share: float = KEPT) -> Ranker:
    """The same ranker with only the hidden units that say most: whole ones, so that what is left is dense and quick.

    A unit says as much as its weight in the answer and the length of its weights on what comes in (Li and others,
    2017).
    Best taught again what the whole one answers.
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

    microseconds  of processor time for a candidate, 100 at once for each of so many users at once, as `TOGETHER`
    """

    folder: Path
    megabytes: float
    microseconds: Sequence[float]
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
    folders: dict[str, Path] = {}
    verdicts: dict[str, Verdict] = {}

    def write(name: str, ranker: Ranker, *, fused: bool = True, int8: bool = False) -> None:
        calibration = Calibration.of(validate.verdict(Served.of(ranker)))
        told = {"kind": ranker.shape.kind, "made": name}
        folder = into / name.replace(" ", "-").replace(",", "")
        folders[name] = export(ranker, calibration, log, told, folder, fused=fused, int8=int8)
        verdicts[name] = test.verdict(AsServed(folder, log))
        advance(name)

    learning = Learning(log, split, shape, content, profiles, jury=validate, seed=training.seed)
    fit(learning, training)
    teacher = learning.network
    write(STEPWISE, teacher, fused=False)
    write(FUSED, teacher)

    def taught(student: Ranker) -> Ranker:
        fit(Distilling(learning, teacher, student), training)
        return student

    fewer = taught(pruned(copy.deepcopy(teacher)))
    write("pruned", fewer)
    narrow = replace(shape, width=max(1, shape.width // 2), dropout=0.0)
    thinner = taught(Learning(log, split, narrow, content, profiles, jury=validate, seed=training.seed).network)
    write("distilled", thinner)
    both = taught(pruned(copy.deepcopy(thinner)))
    write("distilled, pruned", both)
    for name, ranker in ((FUSED, teacher), ("pruned", fewer), ("distilled, pruned", both)):
        write(f"{name}, int8", ranker, int8=True)
    took = [microseconds(folders, users) for users in TOGETHER]
    return {
        name: Smaller(
            folder,
            megabytes(folder),
            [each[name] for each in took],
            verdicts[name].auc,
            logloss(verdicts[name].logits, verdicts[name].clicked),
            float(verdicts[name].gains.mean()),
        )
        for name, folder in folders.items()
    }


def table(found: Mapping[str, Smaller]) -> str:
    """In Markdown; times faster, and loss of the log loss, than the version in the steps of training."""
    first = found[STEPWISE]
    heads = [f"µs, {users} user{'s' if users > 1 else ''}" for users in TOGETHER]
    lines = [
        f"| version | MB | {' | '.join(heads)} | AUC | log loss | relative loss | NDCG@10 |",
        f"|---|---:|{'---:|' * len(heads)}---:|---:|---:|---:|",
    ]
    for name, each in found.items():
        times = [
            f"{took:.2f} ({usual / took:.1f}x)"
            for took, usual in zip(each.microseconds, first.microseconds, strict=True)
        ]
        lines.append(
            f"| {name} | {each.megabytes:.2f} | {' | '.join(times)} | {each.auc:.4f} | {each.logloss:.4f} "
            f"| {each.logloss / first.logloss - 1:+.2%} | {each.gain:.4f} |"
        )
    return "\n".join(lines) + "\n"
