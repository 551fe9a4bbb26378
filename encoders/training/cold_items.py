"""Items that nobody has clicked yet, ranked for those who then click them: the protocol, and every way to fuse in it.

A fifth of the items is cold in each split: no click on one is learned from, counted as history, or used to choose. Some
splits choose how long to train; no item that is cold in one of them is cold in a split that judges.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from encoders import fusion as served
from encoders.contract import MODALITIES
from encoders.projection import Projection, unit_rows
from encoders.torch_fusion import METHODS, Fusion, WeightedAverage
from encoders.training import fusion
from encoders.training.factors import item_factors, place

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
Weights = tuple[float, ...]

CHOOSING = 2
FOLDS = 5
LEARNING_RATE = 1e-3
CHECKS = (25, 50, 100)
"""Steps of training after which a network is looked at; the same for every way."""

AS_EMBEDDED, BY_CLICKS = "as embedded", "placed by clicks"
WEIGHED = ", weights by cross-validation"
PLAIN = (AS_EMBEDDED, AS_EMBEDDED + WEIGHED, BY_CLICKS, BY_CLICKS + WEIGHED)
CONTROL = "concatenation"
"""The learned way that each part alone goes through as well: without others to mix with it is two plain layers."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Items and the clicks on them.

    natives  modality -> (items, native_dim), zeros where an item lacks the part
    users    (clicks,) int64, in the order of time
    items    (clicks,) int64
    """

    natives: Mapping[str, Floats]
    users: Places
    items: Places

    def __len__(self) -> int:
        return len(next(iter(self.natives.values())))


class Split(NamedTuple):
    """Places of the items, sorted: those held out of all clicks, and the others."""

    cold: Places
    warm: Places


def deal(items: int, splits: int, seed: int = 0) -> tuple[list[Split], list[Split]]:
    """Splits to choose settings by, and so many to judge by; three after each other are cold in disjoint thirds.

    >>> choosing, judging = deal(10, 3)
    >>> [len(split.cold) for split in choosing + judging]
    [2, 2, 2, 2, 2]
    """
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(items)
    fifth = items // 5
    cold = [shuffled[number * fifth : (number + 1) * fifth] for number in range(CHOOSING)]
    while len(cold) < CHOOSING + splits:
        cold += np.array_split(generator.permutation(shuffled[CHOOSING * fifth :]), 3)
    made = [Split(np.sort(each), np.setdiff1d(shuffled, each)) for each in cold[: CHOOSING + splits]]
    return made[:CHOOSING], made[CHOOSING:]


class World:
    """What may be learned of a catalogue where some items are cold, and the clicks to be foreseen.

    parts     the modalities
    learn     clicks on warm items
    judge     clicks on cold items, with histories of warm ones
    embedded  (items, parts, DIM) as `item_encoder` has them without training
    placed    modality -> where clicks on warm items have taught it to put all
    """

    def __init__(self, catalogue: Catalogue, split: Split) -> None:
        self.split = split
        self.parts = tuple(catalogue.natives)
        warm = np.isin(catalogue.items, split.warm)
        users, items = catalogue.users[warm], catalogue.items[warm]
        self.learn = fusion.clicks(users, items, split.warm, split.warm)
        self.judge = fusion.clicks(catalogue.users, catalogue.items, split.warm, split.cold)
        self._folds = np.array_split(np.random.default_rng(0).permutation(split.warm), FOLDS)
        self._foreseen = [fusion.clicks(users, items, np.setdiff1d(split.warm, fold), fold) for fold in self._folds]
        self.embedded = np.stack(
            [Projection.load(MODALITIES[name])(natives) for name, natives in catalogue.natives.items()], axis=1
        )
        factors = item_factors(users, items, len(catalogue))
        self.placed = {
            name: place(natives, factors, lambda guesses: self.foresight(unit_rows(guesses)))
            for name, natives in catalogue.natives.items()
        }

    def foresight(self, fused: Floats) -> float:
        """The mean gain on each fold of the warm items, ranked as if it were cold.

        fused  (items, dim) unit length
        """
        pairs = zip(self._folds, self._foreseen, strict=True)
        return float(np.mean([gain(fusion.ranks(fused, judge, fold)) for fold, judge in pairs]))

    @cached_property
    def vectors(self) -> Floats:
        """(items, parts, DIM) placed by clicks."""
        return np.stack([each.vectors for each in self.placed.values()], axis=1)

    @cached_property
    def unseen(self) -> Floats:
        """(items, parts, DIM) placed by clicks, each warm item as if it were new."""
        return np.stack([each.unseen() for each in self.placed.values()], axis=1)

    @cached_property
    def embedded_weights(self) -> Weights:
        """Of the parts as embedded, by cross-validation."""
        return self._best_weights(self.embedded)

    @cached_property
    def weights(self) -> Weights:
        """Of the parts as placed by clicks, by cross-validation."""
        return self._best_weights(self.unseen)

    def _best_weights(self, vectors: Floats) -> Weights:
        """In tenths, with the sum 1."""
        tenths = [each for each in product(range(11), repeat=len(self.parts)) if sum(each) == 10]
        tried = [tuple(tenth / 10 for tenth in each) for each in tenths]
        return max(tried, key=lambda each: self.foresight(fusion.fuse(WeightedAverage(each), vectors)))


def gain(ranks: Floats) -> float:
    """The discounted gain of the one item wanted (NDCG), over the whole order: what everything is chosen by.

    >>> gain(np.array([0.0, 2.0], np.float32))
    0.75
    """
    return float(np.mean(1 / np.log2(ranks + 2))) if len(ranks) else 0.0


class Way(NamedTuple):
    """One row of the comparison.

    parts   what is used of each item; an item with none of these is placed by what else it has
    method  one of `PLAIN`, or of the learned `METHODS`
    """

    parts: tuple[str, ...]
    method: str

    @property
    def learned(self) -> bool:
        """Whether it has settings to choose."""
        return self.method in METHODS

    def __str__(self) -> str:
        return f"{' + '.join(self.parts)}, {'learned ' if self.learned else ''}{self.method}"


def ways(parts: Sequence[str]) -> list[Way]:
    """Every way, of each part alone and of all together.

    >>> [str(way) for way in ways(["text", "image"])][2:4]
    ['text + image, as embedded', 'text + image, as embedded, weights by cross-validation']
    """
    return [
        Way(used, method)
        for method in (*PLAIN, *METHODS)
        for used in [*((part,) for part in parts), tuple(parts)]
        if len(used) > 1 or method in (AS_EMBEDDED, BY_CLICKS, CONTROL)
    ]


def vectors(world: World, way: Way, *, unseen: bool = False) -> Floats:
    """(items, parts, DIM): what the network of a way is asked about.

    unseen  each warm item as if it were new, to be learned from
    """
    known = world.embedded if way.method.startswith(AS_EMBEDDED) else world.unseen if unseen else world.vectors
    used = known[:, [world.parts.index(part) for part in way.parts]]
    lacking = ~used.any(axis=(1, 2))
    used[lacking, 0] = served.average(known[lacking])
    return used


def untrained(world: World, way: Way) -> Fusion:
    """The network of a way before it learns: a weighted average."""
    if len(way.parts) == 1 or way.method in (AS_EMBEDDED, BY_CLICKS):
        weights: Weights = (1 / len(way.parts),) * len(way.parts)
    else:
        weights = world.embedded_weights if way.method.startswith(AS_EMBEDDED) else world.weights
    torch.manual_seed(0)
    return METHODS.get(way.method, WeightedAverage)(weights).eval()


def train(
    world: World, way: Way, steps: int, after_step: Callable[[int, Fusion], None] = lambda step, network: None
) -> Fusion:
    """The network of a way, trained on the clicks on the world's warm items."""
    network = untrained(world, way)
    if steps:
        fusion.train(
            network,
            vectors(world, way, unseen=True),
            world.learn,
            world.split.warm,
            steps=steps,
            learning_rate=LEARNING_RATE,
            after_step=lambda step: after_step(step, network),
        )
    return network


def ranks(world: World, way: Way, network: Fusion) -> Floats:
    """(n,) rank of each click on a cold item among the cold items."""
    return fusion.ranks(fusion.fuse(network, vectors(world, way)), world.judge, world.split.cold)


def choose(way: Way, worlds: Sequence[World], advance: Callable[[], None] = lambda: None) -> tuple[int, float]:
    """The steps of training with the highest mean gain in these worlds, and that gain.

    advance  called after each network that was trained, one for each world
    """
    if not way.learned:
        return 0, float(np.mean([gain(ranks(world, way, untrained(world, way))) for world in worlds]))
    gains = dict.fromkeys(CHECKS, 0.0)
    for world in worlds:

        def look(steps: int, network: Fusion, world: World = world) -> None:
            if steps in gains:
                gains[steps] += gain(ranks(world, way, network)) / len(worlds)

        train(world, way, max(CHECKS), look)
        advance()
    best = max(gains, key=lambda steps: gains[steps])
    return best, gains[best]


def popularity_so_far(catalogue: Catalogue, world: World) -> Floats:
    """(n,) rank of each click by the clicks that cold items had from others before: no rival but a ceiling of another
    kind, since it knows what the rest may not.
    """
    cold, is_cold = world.split.cold, np.isin(np.arange(len(catalogue)), world.split.cold)
    counts = np.zeros(len(catalogue), np.int64)
    before: dict[int, int] = {}
    found = []
    for user, item in zip(catalogue.users.tolist(), catalogue.items.tolist(), strict=True):
        if is_cold[item]:
            if before.get(user, 0) >= fusion.SHORTEST_HISTORY:
                rivals = counts[cold]
                found.append((rivals > counts[item]).sum() + ((rivals == counts[item]).sum() - 1) / 2)
            counts[item] += 1
        else:
            before[user] = before.get(user, 0) + 1
    return np.array(found, np.float32)
