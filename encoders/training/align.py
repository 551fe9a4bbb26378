"""Cross-modal alignment: what belongs to one item is brought together in the shared space.

Self-supervised, on the catalogue's own pairs of parts. Text is locked (Zhai and others, 2022, 'LiT'): its network
knows what words mean, and the other modalities learn to say the same. Each projection begins as the ridge regression
onto the text of the same items, and can then be refined together with the others by a symmetric
contrastive loss with in-batch negatives and a learned temperature (InfoNCE; Radford and others, 2021).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from encoders.contract import DIM, MODALITIES
from encoders.projection import Projection, unit_rows
from encoders.training.retrieval import recall_at

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

ANCHOR = "text"
PENALTIES = (0.3, 1.0, 3.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True, slots=True)
class Part:
    """All contents of one modality; an item may have several, such as its name in many languages.

    items    (rows,) int64: the item each row belongs to
    natives  (rows, native_dim) float32, none of them zero
    """

    items: Places
    natives: Floats

    def among(self, items: Places) -> "Part":
        """Only the rows of these items."""
        rows = np.isin(self.items, items)
        return Part(self.items[rows], self.natives[rows])


def align(
    parts: Mapping[str, Part],
    labels: Sequence[str],
    *,
    seed: int = 0,
    contrastive_steps: int = 0,
) -> dict[str, Projection]:
    """A projection for every modality among the parts.

    parts   modality -> its contents; 'text' is needed, and items without a part are normal
    labels  of all items: two of the same label, such as two pictures of a frog, are no negatives of each other,
            and are held out together

    contrastive_steps  of refinement; none by default, since on stamps it gained nothing over the regression

    A tenth of the labels is held out to choose the strength of each ridge penalty, and then learned from as well.
    """
    names = np.asarray(labels)
    generator = np.random.default_rng(seed)
    distinct = generator.permutation(sorted(set(labels)))
    held_out = np.flatnonzero(np.isin(names, distinct[: max(1, len(distinct) // 10)]))
    kept = np.setdiff1d(np.arange(len(names)), held_out)
    train = {name: part.among(kept) for name, part in parts.items()}
    validate = {name: part.among(held_out) for name, part in parts.items()}

    text = Projection.untrained(MODALITIES[ANCHOR])
    text = Projection(unit_rows(parts[ANCHOR].natives).mean(0), text.weight)
    targets = _by_item(text(parts[ANCHOR].natives), parts[ANCHOR].items, len(names))
    found = {ANCHOR: text}
    for name, part in parts.items():
        if name != ANCHOR:
            start = Projection.load(MODALITIES[name])
            scores = [
                _score({ANCHOR: text, name: ridge(start, train[name], targets, penalty)}, validate, names)
                for penalty in PENALTIES
            ]
            found[name] = ridge(start, part, targets, PENALTIES[int(np.argmax(scores))])
    return refine(found, parts, names, generator, contrastive_steps)


def ridge(start: Projection, part: Part, targets: Floats, penalty: float) -> Projection:
    """The linear map of centred unit natives nearest to their items' targets, by least squares with an L2 penalty
    on how far it goes from the start, so that few pairs change little.

    targets  (items, DIM); zero rows are not aimed at
    """
    aimed = targets[part.items].any(axis=1)
    unit = unit_rows(part.natives[aimed])
    mean = unit.mean(0)
    centred = (unit - mean).astype(np.float64)
    aims = targets[part.items[aimed]]
    before = centred @ start.weight
    scale = (before * aims).sum() / (before * before).sum()
    squares = centred.T @ centred + penalty * np.eye(centred.shape[1])
    change = np.linalg.solve(squares, centred.T @ (aims - scale * before))
    return Projection(mean.astype(np.float32), np.asarray(scale * start.weight + change, np.float32))


def _by_item(vectors: Floats, items: Places, count: int) -> Floats:
    sums = np.zeros((count, DIM), np.float32)
    np.add.at(sums, items, vectors)
    return unit_rows(sums)


class SharedSpace(nn.Module):
    """Every modality's projection as torch parameters; the anchor's is fixed.

    Refinement may move a weight only as far as the loss gains by it: `drift` is the squared distance from the start.
    """

    def __init__(self, start: Mapping[str, Projection]) -> None:
        super().__init__()
        self.weights = nn.ParameterDict(
            {name: nn.Parameter(torch.from_numpy(each.weight.copy()), name != ANCHOR) for name, each in start.items()}
        )
        self.start = {name: torch.from_numpy(each.weight.copy()) for name, each in start.items()}
        self.means = {name: torch.from_numpy(each.mean.copy()) for name, each in start.items()}
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(10.0))))

    def forward(self, name: str, natives: Tensor) -> Tensor:
        """(n, native_dim) -> (n, DIM), unit length."""
        centred = functional.normalize(natives) - self.means[name]
        return functional.normalize(centred @ self.weights[name])

    def contrast(self, one: Tensor, other: Tensor, same: Tensor) -> Tensor:
        """Symmetric InfoNCE of n pairs; `same` (n, n) is true where a pair's label is that of another."""
        logits = one @ other.T * self.log_scale.exp().clamp(max=100.0)
        itself = torch.eye(len(one), dtype=torch.bool)
        logits = logits.masked_fill(same & ~itself, -torch.inf)
        truth = torch.arange(len(one))
        return functional.cross_entropy(logits, truth) + functional.cross_entropy(logits.T, truth)

    def drift(self) -> Tensor:
        terms = [(self.weights[name] - self.start[name]).square().sum() for name in self.start if name != ANCHOR]
        return torch.stack(terms).sum()

    def projections(self) -> dict[str, Projection]:
        return {
            name: Projection(self.means[name].numpy(), weight.detach().numpy().copy())
            for name, weight in self.weights.items()
        }


def refine(
    start: Mapping[str, Projection],
    parts: Mapping[str, Part],
    names: NDArray[np.str_],
    generator: np.random.Generator,
    steps: int,
    *,
    batch: int = 256,
    learning_rate: float = 1e-4,
    stiffness: float = 0.1,
) -> dict[str, Projection]:
    """Contrastive refinement of the projections.

    stiffness  weight of the squared distance from the start in the loss
    """
    torch.manual_seed(0)
    space = SharedSpace(start)
    optimiser = torch.optim.Adam((p for p in space.parameters() if p.requires_grad), lr=learning_rate)
    rows = {name: _rows_by_item(parts[name]) for name in start}
    _, codes = np.unique(names, return_inverse=True)
    items = np.unique(np.concatenate([parts[name].items for name in start]))
    for _ in range(steps):
        loss = stiffness * space.drift() if len(start) > 1 else torch.zeros(())
        chosen = generator.choice(items, min(batch, len(items)), replace=False)
        vectors, owners = {}, {}
        for name, by_item in rows.items():
            picked = [generator.choice(by_item[item]) for item in chosen.tolist() if item in by_item]
            if picked:
                vectors[name] = space(name, torch.from_numpy(parts[name].natives[picked]))
                owners[name] = parts[name].items[picked]
        for one, other in combinations(vectors, 2):
            _, left, right = np.intersect1d(owners[one], owners[other], return_indices=True)
            if len(left) > 1:
                code = torch.from_numpy(codes[owners[one][left]])
                loss = loss + space.contrast(vectors[one][left], vectors[other][right], code[:, None] == code)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return space.projections()


def _rows_by_item(part: Part) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for row, item in enumerate(part.items.tolist()):
        found.setdefault(item, []).append(row)
    return found


def _score(projections: Mapping[str, Projection], parts: Mapping[str, Part], names: NDArray[np.str_]) -> float:
    """Recall@5 from each modality to each other among items that have both, averaged."""
    scores = []
    for one, other in combinations(projections, 2):
        shared = np.intersect1d(parts[one].items, parts[other].items)
        if len(shared) < 2:
            continue
        left, right = parts[one].among(shared), parts[other].among(shared)
        a, b = projections[one](left.natives), projections[other](right.natives)
        a_names, b_names = names[left.items].tolist(), names[right.items].tolist()
        scores += [recall_at(5, a, a_names, b, b_names), recall_at(5, b, b_names, a, a_names)]
    return float(np.mean(scores)) if scores else 0.0
