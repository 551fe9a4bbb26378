"""Fusion networks: the vectors of an item's parts in, one vector out, whichever parts are missing.

Every one starts as a weighted average of the parts present and learns what to add to it, so that little data does
little harm.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.contract import DIM, PARTS
from encoders.fusion import FILE

HIDDEN = 128
DROPOUT = 0.3
LEAST_WEIGHT = 1e-3
"""Of a part in an average, so that an item which has nothing else is still placed."""


class Fusion(nn.Module):
    """(n, parts, DIM) unit vectors, zeros where absent, and (n, parts) bool present -> (n, DIM), unit length.

    weights  of the parts in the average it starts as; those of the parts present are made to sum to 1
    """

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        start = torch.tensor(weights, dtype=torch.float32).clamp(min=LEAST_WEIGHT)
        self.scores = nn.Parameter(start.log().reshape(1, -1, 1))

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        mask = present.unsqueeze(2).to(vectors.dtype)
        vectors = vectors * mask
        average = functional.normalize((_weights(self.scores.expand_as(mask), mask) * vectors).sum(1))
        return functional.normalize(average + self.change(vectors, mask))

    def change(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """(n, DIM): what to add to the average. `mask` is (n, parts, 1), 1 where present."""
        raise NotImplementedError

    def weights(self) -> list[float]:
        """Of the parts in the average, as they are now."""
        found: list[float] = self.scores.detach().flatten().softmax(0).tolist()
        return found


def _silent(layer: nn.Linear) -> nn.Linear:
    """The layer made to answer zero until it has learned."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _weights(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the parts present."""
    return scores.masked_fill(mask == 0, -1e9).softmax(1)


class WeightedAverage(Fusion):
    """One learned weight for each modality, and nothing else."""

    def change(self, vectors: Tensor, mask: Tensor) -> Tensor:
        return torch.zeros_like(vectors[:, 0])


class Concatenation(Fusion):
    """All parts side by side through two layers; an absent part is a learned vector."""

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__(weights)
        parts = len(weights)
        self.absent = nn.Parameter(torch.zeros(1, parts, DIM))
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(parts * DIM, HIDDEN),
            nn.GELU(),
            nn.Dropout(DROPOUT),
            _silent(nn.Linear(HIDDEN, DIM)),
        )

    def change(self, vectors: Tensor, mask: Tensor) -> Tensor:
        added: Tensor = self.layers(vectors + self.absent * (1 - mask))
        return added


class LayerWise(Fusion):
    """One part after the other is let into what was fused so far, through layers of its own."""

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__(weights)
        parts = len(weights)
        self.mix = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * DIM, HIDDEN), nn.GELU(), nn.Dropout(DROPOUT)) for _ in range(parts)
        )
        self.add = nn.ModuleList(_silent(nn.Linear(HIDDEN, DIM)) for _ in range(parts))

    def change(self, vectors: Tensor, mask: Tensor) -> Tensor:
        fused = torch.zeros_like(vectors[:, 0])
        for number, (mix, add) in enumerate(zip(self.mix, self.add, strict=True)):
            here = mask[:, number]
            fused = fused + here * add(mix(torch.cat([fused, vectors[:, number]], 1)))
        return fused


class Attention(Fusion):
    """A softmax over the parts, by what each says, weighs their transformed vectors (Bahdanau and others, 2015)."""

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__(weights)
        self.kind = nn.Parameter(torch.randn(1, len(weights), DIM) / DIM**0.5)
        self.score = nn.Sequential(nn.Linear(DIM, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1))
        self.value = nn.Sequential(
            nn.Linear(DIM, HIDDEN), nn.GELU(), nn.Dropout(DROPOUT), _silent(nn.Linear(HIDDEN, DIM))
        )

    def change(self, vectors: Tensor, mask: Tensor) -> Tensor:
        typed = vectors + self.kind
        added: Tensor = (_weights(self.score(typed), mask) * self.value(typed)).sum(1)
        return added


class Block(nn.Module):
    """One layer of a Transformer, norms first; made of what ONNX has."""

    def __init__(self, width: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor, blocked: Tensor) -> Tensor:
        """(n, tokens, width); `blocked` (n, 1, 1, tokens) is a large negative number where nobody may look."""
        n, length, width = tokens.shape
        split = (n, length, 3, self.heads, width // self.heads)
        query, key, value = self.queries_keys_values(self.before(tokens)).reshape(split).permute(2, 0, 3, 1, 4)
        looks = (query @ key.transpose(2, 3) / (width // self.heads) ** 0.5 + blocked).softmax(3)
        tokens = tokens + self.out((looks @ value).transpose(1, 2).reshape(n, length, width))
        fed: Tensor = tokens + self.feed(self.after(tokens))
        return fed


class Transformer(Fusion):
    """A layer of self-attention over the parts present and one token that gathers (Vaswani and others, 2017)."""

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__(weights)
        self.token = nn.Linear(DIM, HIDDEN)
        self.kind = nn.Parameter(torch.randn(1, len(weights), HIDDEN) / HIDDEN**0.5)
        self.gather = nn.Parameter(torch.randn(1, 1, HIDDEN) / HIDDEN**0.5)
        self.block = Block(HIDDEN, heads=4, dropout=DROPOUT)
        self.out = _silent(nn.Linear(HIDDEN, DIM))

    def change(self, vectors: Tensor, mask: Tensor) -> Tensor:
        tokens = torch.cat([self.gather.expand(vectors.shape[0], 1, HIDDEN), self.token(vectors) + self.kind], 1)
        blocked = functional.pad((1 - mask.transpose(1, 2)) * -1e9, (1, 0)).unsqueeze(1)
        added: Tensor = self.out(self.block(tokens, blocked)[:, 0])
        return added


METHODS: Mapping[str, Callable[[Sequence[float]], Fusion]] = {
    "weighted average": WeightedAverage,
    "concatenation": Concatenation,
    "layer-wise": LayerWise,
    "attention": Attention,
    "transformer": Transformer,
}


class Among(nn.Module):
    """A network of some parts, asked about items with all of `PARTS`.

    parts  those that the network knows, in its order; the others count only in items that have none of these,
           and are then averaged
    """

    def __init__(self, network: Fusion, parts: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.known = [PARTS.index(part) for part in parts]

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        mask = present[:, self.known]
        fused = self.network(vectors[:, self.known], mask)
        others = functional.normalize((vectors * present.unsqueeze(2)).sum(1))
        return torch.where(mask.any(1, keepdim=True), fused, others)


def export(network: Fusion, parts: Sequence[str], folder: Path) -> Path:
    """Write `fusion.onnx`, which `encoders.fusion.load` serves.

    parts  those that the network was made for, in its order
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    vectors = functional.normalize(torch.randn(2, len(PARTS), DIM), dim=2)
    torch.onnx.export(
        Among(network, parts).eval(),
        (vectors, torch.ones(2, len(PARTS), dtype=torch.bool)),
        str(path),
        input_names=["vectors", "present"],
        output_names=["fused"],
        dynamic_axes={"vectors": {0: "items"}, "present": {0: "items"}, "fused": {0: "items"}},
        dynamo=False,
    )
    return path
