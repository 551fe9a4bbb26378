"""Five models of the next click, alike from outside: an item tower, a user tower, how the two meet, and a loss.

    click      click probability: parts reduced and mixed, then layers; sampled negatives, binary cross-entropy
    tower      two towers that meet in a product (Yi and others, 2019), for retrieval
    sequence   the recent items in their order, by a Transformer or a GRU, meeting in a product
    mf         matrix factorisation in which a user is the items clicked (Paterek, 2007; Kabbur and others, 2013), so
               that whoever comes later has a vector too
    lightgcn   the same over items that have been through the graph of clicks

All but `click` learn from a softmax over the clicked item and a sample, each item's logit less the logarithm of how
often it is sampled (Bengio and Senécal, 2008): else what is popular would be punished for being sampled often.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.training.deep.content import IMAGE, ITEM, TEXT, Content
from encoders.training.deep.examples import NOBODY
from encoders.training.deep.towers import Dot, ItemTower, Layers, Ordered, Propagation, Recent

KINDS = ("click", "tower", "sequence", "mf", "lightgcn")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model is made of; with its weights and its content this is all of it.

    kind      one of `KINDS`
    parts     of items, see `content.PARTS`; `mf` and `lightgcn` know items by themselves alone
    profiles  whether who users say to be counts
    mix       how parts are mixed, see `towers.MIXES`
    order     of `sequence`: 'transformer' or 'gru'
    """

    kind: str
    parts: tuple[str, ...] = (ITEM, TEXT, IMAGE)
    profiles: bool = True
    mix: str = "concatenation"
    order: str = "transformer"
    width: int = 48
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}, where one of {', '.join(KINDS)} is allowed")
        if self.kind in ("mf", "lightgcn"):
            object.__setattr__(self, "parts", (ITEM,))
            object.__setattr__(self, "profiles", False)


@dataclass(frozen=True, slots=True)
class Graph:
    """The clicks that may be known, for `lightgcn`: (clicks,) int64 users and items, and how many of each there are."""

    users: Tensor
    items: Tensor
    shape: tuple[int, int]


class Ranker(nn.Module):
    """How much a user wants each item; a model of any kind.

    Places of items are int64, NOBODY where a history has none.
    """

    def __init__(self, shape: Shape, content: Content, graph: Graph | None = None) -> None:
        super().__init__()
        self.shape = shape
        width, dropout = shape.width, shape.dropout
        if shape.kind == "lightgcn":
            if graph is None:
                raise ValueError("lightgcn needs the graph of clicks")
            self.tower: nn.Module = Propagation(graph.users, graph.items, graph.shape, width=width)
            self.items = graph.shape[1]
        else:
            self.tower = ItemTower(content, width=width, mix=shape.mix, dropout=dropout)
            self.items = self.tower.items
        # What an item says of who clicked it, where it is not what is clicked.
        self.said = ItemTower(content, width=width, mix=shape.mix, dropout=dropout) if shape.kind == "mf" else None
        self.user = (
            Ordered(shape.order, width=width, dropout=dropout, profiles=shape.profiles)
            if shape.kind == "sequence"
            else Recent(width=width, dropout=dropout, profiles=shape.profiles, plain=shape.kind in ("mf", "lightgcn"))
        )
        self.meet: nn.Module = Layers(width, dropout) if shape.kind == "click" else Dot()
        self.bias = nn.Embedding(self.items, 1)
        nn.init.zeros_(self.bias.weight)

    def forward(self, histories: Tensor, profiles: Tensor, candidates: Tensor, targets: Tensor) -> Tensor:
        """(n,) the loss of each example.

        histories   (n, HISTORY)
        profiles    (n, DIM)
        candidates  (n, m) places of items
        targets     (n, m) of `click` whether it was clicked, NaN for one to leave aside; of the others, what to add to
                    the logit of each, the clicked item being the first
        """
        logits = self.scores(histories, profiles, candidates)
        if self.shape.kind == "click":
            counts = ~targets.isnan()
            losses = functional.binary_cross_entropy_with_logits(logits, targets.nan_to_num(), reduction="none")
            return (losses * counts).sum(1) / counts.sum(1)
        return -(logits + targets).log_softmax(1)[:, 0]

    def scores(self, histories: Tensor, profiles: Tensor, candidates: Tensor) -> Tensor:
        """(n, m) logits of the candidates; each item that is named is computed once."""
        named = torch.cat([histories.clamp(min=0).flatten(), candidates.flatten()])
        rows, where = torch.unique(named, return_inverse=True)
        of_history, of_candidates = where.split([histories.numel(), candidates.numel()])
        vectors = self.tower(rows)
        said = vectors if self.said is None else self.said(rows)
        users = self.users(_take(said, of_history.reshape(histories.shape)), histories != NOBODY, profiles)
        places = of_candidates.reshape(candidates.shape)
        if isinstance(self.meet, Dot):
            # Most candidates are the same for all: one product, and far less to go back over.
            scores: Tensor = (users @ vectors.T).gather(1, places)
        else:
            scores = self.meet(users, _take(vectors, places))
        biased: Tensor = scores + self.bias(candidates).squeeze(2)
        return biased

    def users(self, history: Tensor, present: Tensor, profiles: Tensor) -> Tensor:
        """(n, HISTORY, width), (n, HISTORY) bool and (n, DIM) -> (n, width)."""
        found: Tensor = self.user(history, present, profiles)
        return found

    def tables(self) -> tuple[Tensor, Tensor]:
        """(items, width) each: what every item is, and what it says of who clicked it."""
        rows = torch.arange(self.items, device=self.bias.weight.device)
        vectors: Tensor = self.tower(rows)
        return vectors, vectors if self.said is None else self.said(rows)


def _take(table: Tensor, places: Tensor) -> Tensor:
    """Rows of a table; by `embedding`, whose gradient is far cheaper than that of an index."""
    return functional.embedding(places, table)


@dataclass(frozen=True, slots=True)
class Served:
    """Tables of a trained ranker, so that scoring computes no item again."""

    ranker: Ranker
    vectors: Tensor
    said: Tensor

    @classmethod
    def of(cls, ranker: Ranker) -> "Served":
        ranker.eval()
        with torch.inference_mode():
            return cls(ranker, *ranker.tables())

    def scores(self, histories: Tensor, profiles: Tensor) -> Tensor:
        """(n, items) logits of every item."""
        device = self.vectors.device
        with torch.inference_mode():
            history = _take(self.said, histories.clamp(min=0).to(device))
            users = self.ranker.users(history, (histories != NOBODY).to(device), profiles.to(device))
            scores: Tensor = self.ranker.meet(users, self.vectors.unsqueeze(0)) + self.ranker.bias.weight.T
        return scores
