"""What a deep model adds to the ranker: a weight learned online, in force only while it gains.

Its logits for the proposals of a list are standardised and, times a weight, added to the ranker's scores. The weight
moves by the same listwise loss as the ranker's own (`core.ranking`), on top of what that already knows, and begins at
0: a model that says nothing new never gets a say. Each choice is first a test, then a lesson: what the user's list
would have been worth with the model, less what without (prequential; Gama and others, 2013). A fading mean of that
below 0 takes the model out of the lists, while it goes on being tested, until it gains again.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.core.digest import digest
from streams.core.experiments.sequential import p_value

Floats = NDArray[np.float32]
Slots = NDArray[np.int32]

FIRST_SQUARE = 0.01
"""Where Adagrad's sum of squares starts, as in `core.ranking`."""


def standardised(logits: Floats) -> Floats:
    """(n,) mean 0 and deviation 1 over the items that the model knows; 0, which says nothing, for the others (NaN).

    >>> standardised(np.array([1.0, 3.0, np.nan], np.float32)).tolist()
    [-1.0, 1.0, 0.0]
    """
    known = np.isfinite(logits)
    if known.sum() < 2 or (spread := float(logits[known].std())) < 1e-6:
        return np.zeros(len(logits), np.float32)
    centred = (logits - logits[known].mean()) / np.float32(spread)
    return np.where(known, centred, 0).astype(np.float32)


class Figures(NamedTuple):
    """How a version has done since other versions than now were compared, see `Residual.start_level`.

    choices  of which it had scored the item chosen
    gain     what it added to the NDCG of the chosen item among the proposals, summed over these choices
    squares  of each, summed
    weight   that its scores have now; 0 while it is out
    """

    choices: int
    gain: float
    squares: float
    weight: float

    def __add__(self, other: object) -> "Figures":
        """Of two workers; the weight is the mean by their choices."""
        if not isinstance(other, Figures):
            return NotImplemented
        choices = self.choices + other.choices
        weight = (self.weight * self.choices + other.weight * other.choices) / choices if choices else 0.0
        return Figures(choices, self.gain + other.gain, self.squares + other.squares, weight)

    @property
    def mean(self) -> float:
        """Gain of a choice."""
        return self.gain / self.choices if self.choices else 0.0

    @property
    def error(self) -> float:
        """Standard error of the mean; infinite while too little is known."""
        if self.choices < 2:
            return math.inf
        variance = max(self.squares / self.choices - self.mean**2, 0.0)
        return math.sqrt(variance / (self.choices - 1))


@dataclass(slots=True)
class _Standing:
    weight: float = 0.0
    square: float = FIRST_SQUARE
    recent: float = 0.0
    choices: int = 0
    gain: float = 0.0
    squares: float = 0.0

    @property
    def in_force(self) -> float:
        return self.weight if self.recent >= 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Held:
    version: int
    slots: Slots
    scores: Floats
    added: Floats


@dataclass(slots=True)
class Residual:
    """Told of every list that a model had a part in, and of every choice, in their order.

    rate   of learning the weight
    fade   of the mean gain by which a version stays in force: each choice counts so much
    users  whose newest list is remembered
    """

    rate: float = 0.05
    fade: float = 0.005
    users: int = 5_000
    _standings: dict[int, _Standing] = field(default_factory=dict)
    _held: "OrderedDict[str, _Held]" = field(default_factory=OrderedDict)

    def addition(self, version: int, logits: Floats) -> Floats:
        """(n,) what to add to the ranker's scores of the proposals that the version gave these logits."""
        return np.float32(self._standing(version).in_force) * standardised(logits)

    def hold(self, user_id: str, version: int, slots: Slots, scores: Floats, logits: Floats) -> None:
        """The user's list was made of these proposals.

        scores  (n,) of the ranker alone
        """
        self._held[user_id] = _Held(version, slots.copy(), scores.copy(), standardised(logits))
        self._held.move_to_end(user_id)
        if len(self._held) > self.users:
            self._held.popitem(last=False)

    def choose(self, user_id: str, slot: int) -> None:
        """The user chose an item: test the version that had a part in their list, then teach its weight."""
        held = self._held.pop(user_id, None)
        if held is None:
            return
        found = np.flatnonzero(held.slots == slot)
        if not len(found):
            return
        chosen, standing = int(found[0]), self._standing(held.version)
        with_it = held.scores + np.float32(standing.weight) * held.added
        gained = _gain(with_it, chosen) - _gain(held.scores, chosen)
        standing.choices += 1
        standing.gain += gained
        standing.squares += gained * gained
        standing.recent += self.fade * (gained - standing.recent)
        chances = np.exp(with_it - with_it.max())
        slope = float(held.added[chosen] - held.added @ chances / chances.sum())
        standing.square += slope * slope
        standing.weight = max(0.0, standing.weight + self.rate * slope / math.sqrt(standing.square))

    def forget(self, user_id: str) -> None:
        """Erase what is held of a user."""
        self._held.pop(user_id, None)

    def forget_lists(self) -> None:
        """Erase every list that is held: another worker may make newer ones from now on."""
        self._held.clear()

    def start_level(self) -> None:
        """Count anew how every version does, so that those compared from now on meet the same days and users.

        What was learned of their weights stays.
        """
        for each in self._standings.values():
            each.choices, each.gain, each.squares = 0, 0.0, 0.0

    def figures(self) -> Mapping[int, Figures]:
        """Version -> how it has done."""
        return {
            version: Figures(each.choices, each.gain, each.squares, each.in_force)
            for version, each in self._standings.items()
        }

    def _standing(self, version: int) -> _Standing:
        return self._standings.setdefault(version, _Standing())


def _gain(scores: Floats, chosen: int) -> float:
    """1 / log2(1 + rank), items with the same score sharing the middle of their ranks."""
    better = int((scores > scores[chosen]).sum())
    equal = int((scores == scores[chosen]).sum()) - 1
    return 1 / math.log2(2 + better + equal / 2)


def in_canary(user_id: str, version: int, share: float) -> bool:
    """Whether a user is among those whom a version is tried on; others for each version, the same wherever asked.

    >>> sum(in_canary(f"user-{number}", 7, 0.1) for number in range(10_000))
    1008
    """
    return int.from_bytes(digest(f"{version} {user_id}"), "little") < share * 2**64


DOUBT = 0.05
"""Of versions no better than others, how many may be taken for better, however often somebody looks."""

EFFECT = 0.005
"""Of the NDCG of a choice: about what a version is hoped to gain."""


def decide(canary: Figures, stable: Figures | None, *, least: int, most: int) -> str:
    """'promote', 'roll back' or 'wait': by how much a choice gains from the canary, less from the stable version.

    The test holds whenever somebody looks (`experiments.sequential`): it is asked every hour.

    stable  None where there is none: then the canary is compared with doing without
    least   choices before anything is decided
    most    choices after which the better mean decides, certain or not

    >>> decide(Figures(1000, 20.0, 5.0, 0.3), None, least=300, most=5000)
    'promote'
    """
    if canary.choices < least or (stable is not None and stable.choices < least):
        return "wait"
    apart = canary.mean - (stable.mean if stable else 0.0)
    variance = canary.error**2 + (stable.error**2 if stable else 0.0)
    if p_value(apart, variance, EFFECT) < DOUBT or canary.choices >= most:
        return "promote" if apart > 0 else "roll back"
    return "wait"
