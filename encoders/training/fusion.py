"""Learning to fuse: an item's vector shall lie where the items lie that the same people click.

A user is the mean of the fused vectors of the last items clicked; the next click is predicted by a softmax over all
items learned from. Nothing but the fusion is learned, so that an item nobody has clicked yet is placed as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
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

    users      (n,) int64: who clicked
    histories  (n, HISTORY) int64: places of the items clicked before, -1 where there were fewer
    nexts      (n,) int64: the item clicked then
    """

    users: Places
    histories: Places
    nexts: Places


def clicks(users: Places, items: Places, seen: Places, wanted: Places) -> Clicks:
    """Every click on a `wanted` item by somebody with at least 3 earlier clicks on `seen` items.

    users, items  (clicks,) in the order of time
    seen          items that histories are made of
    """
    in_history, is_wanted = set(seen.tolist()), set(wanted.tolist())
    before: dict[int, list[int]] = {}
    who, histories, nexts = [], [], []
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        past = before.setdefault(user, [])
        if item in is_wanted and len(past) >= SHORTEST_HISTORY:
            recent = past[-HISTORY:]
            who.append(user)
            histories.append(recent + [-1] * (HISTORY - len(recent)))
            nexts.append(item)
        if item in in_history:
            past.append(item)
    return Clicks(
        np.array(who, np.int64), np.array(histories, np.int64).reshape(-1, HISTORY), np.array(nexts, np.int64)
    )


def train(
    network: Fusion,
    vectors: Floats,
    learn: Clicks,
    catalogue: Places,
    *,
    steps: int,
    learning_rate: float,
    batch: int = 256,
    drop_part: float = 0.15,
    seed: int = 0,
    after_step: Callable[[int], None] = lambda step: None,
) -> Fusion:
    """Fit the network to the clicks.

    vectors     (items, parts, dim) unit length, zeros where absent
    catalogue   the items that the softmax is over; histories and next clicks are of these
    batch       clicks in one step, drawn at random
    drop_part   how often a part is taken away while learning, so that its absence is no surprise
    after_step  told the number of steps done; the network is in evaluation mode then
    """
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    count = len(catalogue)
    warm = torch.from_numpy(vectors[catalogue])
    present = warm.any(2)
    # One more place, for the -1 of a short history.
    place = np.full(len(vectors) + 1, count)
    place[catalogue] = np.arange(count)
    histories, nexts = torch.from_numpy(place[learn.histories]), torch.from_numpy(place[learn.nexts])
    log_scale = nn.Parameter(torch.tensor(float(np.log(10.0))))
    optimiser = torch.optim.AdamW([*network.parameters(), log_scale], lr=learning_rate, weight_decay=0.0)
    for step in range(1, steps + 1):
        network.train()
        rows = torch.from_numpy(generator.integers(0, len(nexts), batch))
        kept = present & (torch.rand(present.shape) >= drop_part)
        kept = torch.where(kept.any(1, keepdim=True), kept, present)
        fused = network(warm, kept)
        loss = functional.cross_entropy(_tastes(fused, histories[rows]) @ fused.T * log_scale.exp(), nexts[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        network.eval()
        after_step(step)
    return network.eval()


def _tastes(fused: Tensor, histories: Tensor) -> Tensor:
    """(n, dim) unit length: the mean direction of the items in each history; one past the last item is nobody.

    By a product with counts, whose gradient is far cheaper than that of an index.
    """
    counts = torch.zeros(len(histories), len(fused) + 1).scatter_add_(1, histories, torch.ones(histories.shape))
    return functional.normalize(counts[:, :-1] @ fused)


def fuse(network: Fusion, vectors: Floats) -> Floats:
    """(items, parts, dim) -> (items, dim)."""
    rows = torch.from_numpy(vectors)
    with torch.inference_mode():
        fused: Floats = network(rows, rows.any(2)).numpy()
    return fused


def ranks(fused: Floats, judge: Clicks, candidates: Places) -> Floats:
    """(n,) 0-based rank of each click's item among the candidates, for the user's taste before that click.

    fused  (items, dim) unit length

    Of items with the same score, each gets the middle of their ranks.
    """
    row, column = np.nonzero(judge.histories >= 0)
    places = judge.histories[row, column]
    counts = csr_array((np.ones(len(row), np.float32), (row, places)), shape=(len(judge.nexts), len(fused)))
    # Lengths of tastes change no order.
    scores = (counts @ fused) @ fused[candidates].T
    place = np.full(len(fused), -1)
    place[candidates] = np.arange(len(candidates))
    own = scores[np.arange(len(scores)), place[judge.nexts]][:, None]
    return np.asarray((scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2, np.float32)
