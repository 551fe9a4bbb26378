"""From what is known of items and users to a vector for each: the parts read, reduced and mixed.

Every vector has the same few dimensions, so that an item's is computed once and kept in a table.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.contract import DIM
from encoders.torch_fusion import Block
from encoders.training.deep.content import ITEM, PIXEL, VOCABULARY, WORDS, Content
from encoders.training.deep.examples import HISTORY

SMALL = 0.05
"""Of the entries of an item's own vector before it is learned: an item never met stays next to nothing."""


class ItemId(nn.Module):
    """A vector of each item's own."""

    def __init__(self, array: Tensor, width: int) -> None:
        super().__init__()
        self.own = nn.Embedding(len(array), width)
        nn.init.normal_(self.own.weight, std=SMALL)

    def forward(self, rows: Tensor) -> Tensor:
        vectors: Tensor = self.own(rows)
        return vectors


class Reader(nn.Module):
    """Sub-words through a bidirectional LSTM, the largest over the text of each dimension (Conneau and others,
    2017).
    """

    def __init__(self, array: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("tokens", array, persistent=False)
        self.embed = nn.Embedding(VOCABULARY, width, padding_idx=0)
        self.read = nn.LSTM(width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, rows: Tensor) -> Tensor:
        tokens = self.get_buffer("tokens")[rows]
        states, _ = self.read(self.embed(tokens))
        present = (tokens > 0).unsqueeze(2)
        most = states.masked_fill(~present, -1.0).amax(1)
        read: Tensor = most * present.any(1)
        return read


class Viewer(nn.Module):
    """A small convolutional network over a small picture."""

    def __init__(self, array: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("pixels", array, persistent=False)
        sizes = (3, 16, 32, 64)
        layers = []
        for before, after in pairwise(sizes):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(4, after), nn.GELU()]
        self.look = nn.Sequential(*layers, nn.AdaptiveAvgPool2d((2, 1)), nn.Flatten(), nn.Linear(2 * sizes[-1], width))

    def forward(self, rows: Tensor) -> Tensor:
        pixels = self.get_buffer("pixels")[rows].to(torch.float32) / 255
        seen: Tensor = self.look((pixels - 0.5) * 2) * pixels.flatten(1).any(1, keepdim=True)
        return seen


class Vectors(nn.Module):
    """Vectors of a pretrained encoder, reduced."""

    def __init__(self, array: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", array, persistent=False)
        self.reduce = nn.Linear(array.shape[1], width, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        reduced: Tensor = self.reduce(self.get_buffer("vectors")[rows]) * DIM**0.5 / 4
        return reduced


PART_NETWORKS: Mapping[str, Callable[[Tensor, int], nn.Module]] = {ITEM: ItemId, WORDS: Reader, PIXEL: Viewer}
"""Part -> what reads it, where it is not `Vectors`."""


class Concatenation(nn.Module):
    """All parts side by side through two layers, added to their sum."""

    def __init__(self, parts: int, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(parts * width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, parts: Tensor) -> Tensor:
        mixed: Tensor = parts.sum(1) + self.layers(parts)
        return mixed


class LayerWise(nn.Module):
    """One part after the other is let into what was mixed so far, through layers of its own."""

    def __init__(self, parts: int, width: int, dropout: float) -> None:
        super().__init__()
        self.let_in = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width))
            for _ in range(parts - 1)
        )

    def forward(self, parts: Tensor) -> Tensor:
        mixed = parts[:, 0]
        for number, let_in in enumerate(self.let_in, 1):
            mixed = mixed + parts[:, number] + let_in(torch.cat([mixed, parts[:, number]], 1))
        return mixed


class Attention(nn.Module):
    """The parts weighed by a softmax over what each says (Bahdanau and others, 2015)."""

    def __init__(self, parts: int, width: int, dropout: float) -> None:
        super().__init__()
        self.kind = nn.Parameter(torch.randn(parts, width) * SMALL)
        self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, 1))

    def forward(self, parts: Tensor) -> Tensor:
        weights = self.score(parts + self.kind).softmax(1)
        mixed: Tensor = (weights * parts).sum(1) * parts.shape[1]
        return mixed


MIXES: Mapping[str, Callable[[int, int, float], nn.Module]] = {
    "concatenation": Concatenation,
    "layer-wise": LayerWise,
    "attention": Attention,
}


class ItemTower(nn.Module):
    """(n,) places of items -> (n, width).

    content  part -> array, one row an item
    mix      one of `MIXES`, of no importance with one part
    """

    def __init__(self, content: Content, *, width: int, mix: str, dropout: float) -> None:
        super().__init__()
        self.items = len(next(iter(content.values())))
        arrays = {part: torch.from_numpy(np.ascontiguousarray(array)) for part, array in content.items()}
        self.parts = nn.ModuleDict(
            {f"part {part}": PART_NETWORKS.get(part, Vectors)(array, width) for part, array in arrays.items()}
        )
        self.dropout = nn.Dropout(dropout)
        self.mix = MIXES[mix](len(content), width, dropout) if len(content) > 1 else None

    def forward(self, rows: Tensor) -> Tensor:
        parts = torch.stack([self.dropout(part(rows)) for part in self.parts.values()], 1)
        mixed: Tensor = self.mix(parts) if self.mix is not None else parts[:, 0]
        return mixed


class Propagation(nn.Module):
    """LightGCN (He and others, 2020): items and users are what their neighbours in the graph of clicks are.

    users, items  (clicks,) of the clicks that may be known
    layers        of propagation; an item is the mean of its own vector and those of each layer
    """

    def __init__(self, users: Tensor, items: Tensor, shape: tuple[int, int], *, width: int, layers: int = 2) -> None:
        super().__init__()
        self.items, self.layers = shape[1], layers
        pairs = torch.unique(torch.stack([users, items]), dim=1)
        degrees = [torch.bincount(side, minlength=size).clamp(min=1) for side, size in zip(pairs, shape, strict=True)]
        values = 1 / (degrees[0][pairs[0]] * degrees[1][pairs[1]]).to(torch.float32).sqrt()
        by_user = torch.sparse_coo_tensor(pairs, values, shape, check_invariants=True).coalesce()
        self.register_buffer("by_user", by_user, persistent=False)
        self.register_buffer("by_item", by_user.T.coalesce(), persistent=False)
        self.own = nn.ParameterList(nn.Parameter(torch.randn(size, width) * SMALL) for size in shape)

    def forward(self, rows: Tensor) -> Tensor:
        users, items = self.own
        total = items
        for _ in range(self.layers):
            users, items = (
                torch.sparse.mm(self.get_buffer("by_user"), items),
                torch.sparse.mm(self.get_buffer("by_item"), users),
            )
            total = total + items
        mean: Tensor = total[rows] / (self.layers + 1)
        return mean


class Recent(nn.Module):
    """A user as the mean of the items clicked last, and of who they say to be, refined by two layers.

    plain  the mean alone
    """

    def __init__(self, *, width: int, dropout: float, profiles: bool, plain: bool = False) -> None:
        super().__init__()
        self.profile = nn.Linear(DIM, width, bias=False) if profiles else None
        self.refine = (
            None
            if plain
            else nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width))
        )

    def forward(self, history: Tensor, present: Tensor, profiles: Tensor) -> Tensor:
        """(n, HISTORY, width), (n, HISTORY) bool and (n, DIM) -> (n, width)."""
        mask = present.unsqueeze(2).to(history.dtype)
        user = (mask.transpose(1, 2) @ history).squeeze(1) / mask.sum(1).clamp(min=1.0)
        if self.profile is not None:
            user = user + self.profile(profiles)
        return user if self.refine is None else user + self.refine(user)


class Ordered(nn.Module):
    """The items clicked last, in their order, through a Transformer (SASRec: Kang and McAuley, 2018) or a GRU
    (GRU4Rec: Hidasi and others, 2016).
    """

    HEADS = 2

    def __init__(self, kind: str, *, width: int, dropout: float, profiles: bool, layers: int = 1) -> None:
        super().__init__()
        self.profile = nn.Linear(DIM, width, bias=False) if profiles else None
        self.place = nn.Parameter(torch.randn(1, HISTORY, width) * SMALL)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(width, width, batch_first=True) if kind == "gru" else None
        self.blocks = nn.ModuleList(
            Block(width, heads=self.HEADS, dropout=dropout) for _ in range(0 if kind == "gru" else layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, history: Tensor, present: Tensor, profiles: Tensor) -> Tensor:
        """(n, HISTORY, width), (n, HISTORY) bool and (n, DIM) -> (n, width)."""
        mask = present.unsqueeze(2).to(history.dtype)
        history = history * mask
        tokens = history if self.gru is not None else history + self.place
        if self.profile is not None:
            tokens = tokens + self.profile(profiles).unsqueeze(1)
            # Who has clicked nothing is told by the profile alone, at the last place.
            mask = torch.cat([mask[:, :-1], torch.ones_like(mask[:, -1:])], 1)
        tokens = self.dropout(tokens * mask)
        if self.gru is not None:
            tokens = self.gru(tokens)[0]
        blocked = ((1 - mask) * -1e4).transpose(1, 2).unsqueeze(1)
        for block in self.blocks:
            tokens = block(tokens, blocked)
        user: Tensor = self.norm(tokens[:, -1])
        return user


class Dot(nn.Module):
    """How much user and item point the same way."""

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """(n, width) and (n or 1, m, width) -> (n, m)."""
        return (items @ users.unsqueeze(2)).squeeze(2)


class Layers(nn.Module):
    """User, item and their product through two layers, beside `Dot` (He and others, 2017, 'NeuMF')."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.user, self.item, self.both = (nn.Linear(width, width, bias=bias) for bias in (True, False, False))
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """(n, width) and (n or 1, m, width) -> (n, m)."""
        user = users.unsqueeze(1)
        met = user * items
        hidden = functional.gelu(self.user(user) + self.item(items) + self.both(met))
        scores: Tensor = self.out(self.dropout(hidden)).squeeze(2) + met.sum(2)
        return scores
