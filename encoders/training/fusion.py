"""Learning to fuse: an item's vector shall lie where the items lie that the same people click.

A user is the mean of the fused vectors of the last items clicked; the next click is predicted by a softmax over all
items of the catalogue. Nothing but the fusion is learned, so that an item nobody has clicked yet is placed as well.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from encoders.torch_fusion import Fusion

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

HISTORY = 20
SHORTEST_HISTORY = 3


@dataclass(frozen=True, slots=True)
class Clicks:
    """What was clicked after what.

    histories  (n, HISTORY) int64: places of the items clicked before, -1 where there were fewer
    nexts      (n,) int64: the item clicked then
    """

    histories: Places
    nexts: Places


def clicks(users: Places, items: Places, seen: Places, wanted: Places) -> Clicks:
    """Every click on a `wanted` item by somebody with at least 3 earlier clicks on `seen` items.

    users, items  (clicks,) in the order of time
    seen          items that histories are made of
    """
    in_history, is_wanted = set(seen.tolist()), set(wanted.tolist())
    before: dict[int, list[int]] = {}
    histories, nexts = [], []
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        past = before.setdefault(user, [])
        if item in is_wanted and len(past) >= SHORTEST_HISTORY:
            recent = past[-HISTORY:]
            histories.append(recent + [-1] * (HISTORY - len(recent)))
            nexts.append(item)
        if item in in_history:
            past.append(item)
    return Clicks(np.array(histories, np.int64).reshape(-1, HISTORY), np.array(nexts, np.int64))


def tastes(fused: Tensor, histories: Tensor) -> Tensor:
    """(n, dim) unit length: the mean of the items in each history."""
    padded = functional.pad(fused, (0, 0, 0, 1))
    return functional.normalize(padded[histories].sum(1))


def train(
    network: Fusion,
    vectors: Floats,
    learn: Clicks,
    catalogue: Places,
    *,
    epochs: int = 10,
    batch: int = 2048,
    learning_rate: float = 7e-4,
    drop_part: float = 0.15,
    seed: int = 0,
) -> Fusion:
    """Fit the network to the clicks.

    vectors    (items, parts, dim) unit length, zeros where absent
    catalogue  the items that the softmax is over; histories and next clicks are of these
    drop_part  how often a part is taken away while learning, so that its absence is no surprise
    """
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    warm = torch.from_numpy(vectors[catalogue])
    present = warm.any(2)
    # One more place, for the -1 of a short history.
    place = np.full(len(vectors) + 1, -1)
    place[catalogue] = np.arange(len(catalogue))
    histories, nexts = torch.from_numpy(place[learn.histories]), torch.from_numpy(place[learn.nexts])
    log_scale = nn.Parameter(torch.tensor(float(np.log(10.0))))
    optimiser = torch.optim.AdamW([*network.parameters(), log_scale], lr=learning_rate, weight_decay=0.01)
    network.train()
    for _ in range(epochs):
        order = generator.permutation(len(learn.nexts))
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            kept = present & (torch.rand(present.shape) >= drop_part)
            kept = torch.where(kept.any(1, keepdim=True), kept, present)
            fused = network(warm * kept.unsqueeze(2), kept)
            logits = tastes(fused, histories[rows]) @ fused.T * log_scale.exp()
            loss = functional.cross_entropy(logits, nexts[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return network.eval()


def fuse(network: Fusion, vectors: Floats) -> Floats:
    """(items, parts, dim) -> (items, dim)."""
    rows = torch.from_numpy(vectors)
    with torch.inference_mode():
        fused: Floats = network(rows, rows.any(2)).numpy()
    return fused


def ranks(fused: Floats, judge: Clicks, candidates: Places) -> Places:
    """(n,) 0-based rank of each click's item among the candidates, for the user's taste before that click."""
    users = tastes(torch.from_numpy(fused), torch.from_numpy(judge.histories)).numpy()
    scores = users @ fused[candidates].T
    place = np.full(len(fused), -1)
    place[candidates] = np.arange(len(candidates))
    own = scores[np.arange(len(scores)), place[judge.nexts]]
    return np.asarray((scores > own[:, None]).sum(1), np.int64)
