"""Graph: items two steps away from the user's past, through items that go with both.

Personalised PageRank by pushing (Andersen, Chung and Lang, "Local graph partitioning using PageRank vectors", 2006),
cut off after two steps and to the strongest on the way, which bounds its cost; popular items are held back by a power
of their size (Christoffel et al., "Blockbusters and wallflowers: accurate, diverse, and scalable recommendations with
random walks", RecSys 2015). The edges are co-visits and, where it was told, what items are known to have in common: the
graph of users, items and attributes, with users folded away.
"""

import numpy as np

from streams.core.memory.compiled import compiled
from streams.core.memory.covisits import Covisits
from streams.core.memory.expert import NOBODY, Floats, Request, Scratch, Slots, State, keep_best, take_best
from streams.core.memory.knowledge import Knowledge
from streams.core.memory.rows import Counts, Rows
from streams.core.memory.sizes import Sizes

FOLLOWED = 0.85
"""The chance that a walk goes on for a step more (Page et al., "The PageRank citation ranking", 1999)."""


class Graph:
    """Not asked by default: on MovieLens it adds nothing to what `similar` and `neighbours` say (docs/quality.md).

    rows       of the co-visits that `edges` learns
    knowledge  edges more, between items that share what few do: half of the walks take them where there are any
    depth      how many of the user's latest items are walked from
    half_life  an item so many steps back counts half
    width      how many items are walked on from, the strongest
    """

    name = "graph"

    def __init__(
        self,
        scratch: Scratch,
        sizes: Sizes,
        rows: Rows,
        edges: Covisits,
        knowledge: Knowledge,
        *,
        depth: int,
        half_life: float,
        width: int,
    ) -> None:
        self._scratch = scratch
        self._sizes = sizes
        self._rows = rows
        self._edges = edges
        self._knowledge = knowledge
        self._depth = depth
        self._fade = 0.5 ** (1 / half_life)
        self._width = width

    def learn(self, request: Request, slot: int, weight: float) -> None:
        self._edges.learn(request, slot, weight)

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        past = request.trail.slots[-self._depth :]
        count = self._walk(past, self._voices(past))
        scratch = self._scratch
        return take_best(scratch.totals, scratch.touched, count, request.shown, request.mark, slots, scores)

    def because(self, request: Request, slots: Slots) -> Slots:
        """The past item that is reached most on the way back, the latest louder."""
        past = request.trail.slots[-self._depth :]
        speakers = np.full(len(slots), NOBODY, np.int32)
        if not len(past):
            return speakers
        voices, totals, touched = self._voices(past), self._scratch.totals, self._scratch.touched
        for each in range(len(slots)):
            count = self._walk(slots[each : each + 1], np.ones(1, np.float32))
            said = voices * totals[past]
            totals[touched[:count]] = 0
            if said.max() > 0:
                speakers[each] = past[said.argmax()]
        return speakers

    def resize(self, capacity: int) -> None:
        self._edges.resize(capacity)

    def state(self) -> State:
        return self._edges.state()

    def load(self, state: State) -> None:
        self._edges.load(state)

    def _voices(self, past: Slots) -> Floats:
        voices: Floats = (self._fade ** np.arange(len(past) - 1, -1, -1)).astype(np.float32)
        return voices

    def _walk(self, start: Slots, voices: Floats) -> int:
        """Leave in `Scratch` how much is at each item after a step and after two; returns how many items."""
        totals, touched = self._scratch.totals, self._scratch.touched
        count = self._step(start, voices, 0)
        between, loud = np.empty(self._width, np.int32), np.empty(self._width, np.float32)
        kept = keep_best(touched[:count].copy(), totals[touched[:count]], between, loud)
        return self._step(between[:kept], loud[:kept], count)

    def _step(self, start: Slots, masses: Floats, count: int) -> int:
        """Add to the totals what goes on from here; `count` items are touched before, as many as it returns after."""
        rows, scratch = self._rows, self._scratch
        known = [self._knowledge.beside(slot) for slot in start.tolist()] if self._knowledge.told else []
        shares = np.full(len(start), FOLLOWED, np.float32)
        for each, ways in enumerate(known):
            if ways:
                shares[each] /= 2
        count = _push(
            rows.slots, rows.weights, rows.lengths, self._sizes.proposed, start, masses * shares,
            scratch.totals, scratch.touched, count,
        )  # fmt: skip
        for mass, ways in zip((masses * shares).tolist(), known, strict=False):
            for items in ways:
                count = _spread(items, mass / (len(ways) * len(items)), scratch.totals, scratch.touched, count)
        return count


@compiled
def _push(
    row_slots: Slots,
    row_weights: Floats,
    lengths: Counts,
    proposed: Floats,
    start: Slots,
    masses: Floats,
    totals: Floats,
    touched: Slots,
    count: int,
) -> int:
    for each in range(len(start)):
        row = start[each]
        total = np.float32(0)
        for cell in range(lengths[row]):
            total += row_weights[row, cell] * proposed[row_slots[row, cell]]
        if total <= 0:
            continue
        for cell in range(lengths[row]):
            slot = row_slots[row, cell]
            gain = masses[each] * row_weights[row, cell] * proposed[slot] / total
            if gain > 0:
                if totals[slot] == 0:
                    touched[count] = slot
                    count += 1
                totals[slot] += gain
    return count


@compiled
def _spread(items: Slots, mass: float, totals: Floats, touched: Slots, count: int) -> int:
    for slot in items:
        if totals[slot] == 0:
            touched[count] = slot
            count += 1
        totals[slot] += np.float32(mass)
    return count
