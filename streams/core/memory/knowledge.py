"""Knowledge: items that have something in common with what the user touched, whether or not anybody has touched them.

A graph of items and of what is known of them, `director=Ridley Scott`, walked from the user's past to its neighbours
two steps away; what few items share says more than what many do (paths as reasons: Wang et al., "Explainable reasoning
over knowledge graphs for recommendation", AAAI 2019).
"""

from collections.abc import Collection, Sequence

import numpy as np

from streams.core.memory.expert import NOBODY, Request, Scratch, Slots, State, take_best

WINDOW = 20
"""How many of the user's latest items are walked from."""

FADE = 0.5 ** (1 / 5)
"""How loud each speaks beside the one after it: the fifth before the last half as loud as that."""

COMMON = 1000
"""What more items share is no reason for any of them."""


class Knowledge:
    """Nothing to learn: what is known is told (`put`)."""

    name = "knowledge"

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._of: dict[int, tuple[str, ...]] = {}
        self._having: dict[str, list[int]] = {}
        self._arrays: dict[str, Slots] = {}  # of `_having`, as far as they were asked for since they changed

    def put(self, slot: int, attributes: Collection[str]) -> None:
        """All that is known of an item, in place of what was: `name=value` each; what has no name is left out."""
        for each in self._of.pop(slot, ()):
            self._having[each].remove(slot)
            self._arrays.pop(each, None)
        self._of[slot] = tuple(dict.fromkeys(each for each in attributes if "=" in each))
        for each in self._of[slot]:
            self._having.setdefault(each, []).append(slot)
            self._arrays.pop(each, None)

    def shared(self, slot: int, other: int) -> list[str]:
        """What two items have in common, what few others share first."""
        both = set(self._of.get(slot, ())) & set(self._of.get(other, ()))
        telling = [each for each in both if len(self._having[each]) <= COMMON]
        return sorted(telling, key=lambda each: (len(self._having[each]), each))

    @property
    def told(self) -> bool:
        """Whether anything is known of any item."""
        return bool(self._having)

    def beside(self, slot: int) -> list[Slots]:
        """For each attribute of the item that some others have, and not too many, who has it, the item among them."""
        return [self._items(each) for each in self._of.get(slot, ()) if 1 < len(self._having[each]) <= COMMON]

    def learn(self, request: Request, slot: int, weight: float) -> None:
        pass

    def propose(self, request: Request, slots: Slots, scores: np.ndarray[tuple[int], np.dtype[np.float32]]) -> int:
        voices: dict[str, float] = {}
        for back, past in enumerate(reversed(request.trail.slots[-WINDOW:].tolist())):
            for each in self._of.get(past, ()):
                voices[each] = voices.get(each, 0.0) + FADE**back
        heard = [(self._items(each), voice) for each, voice in voices.items() if 1 < len(self._having[each]) <= COMMON]
        if not heard:
            return 0
        totals, touched = self._scratch.totals, self._scratch.touched
        for items, voice in heard:
            totals[items] += np.float32(voice / np.sqrt(len(items)))
        found = np.unique(np.concatenate([items for items, _ in heard]))
        touched[: len(found)] = found
        return take_best(totals, touched, len(found), request.shown, request.mark, slots, scores)

    def because(self, request: Request, slots: Slots) -> Slots:
        """The past item that shares most with each, the latest louder."""
        past = list(dict.fromkeys(reversed(request.trail.slots[-WINDOW:].tolist())))
        return np.array([self._loudest(past, slot) for slot in slots.tolist()], np.int32)

    def _loudest(self, past: Sequence[int], slot: int) -> int:
        loud, loudest = 0.0, NOBODY
        for back, other in enumerate(past):
            voice = FADE**back * sum(len(self._having[each]) ** -0.5 for each in self.shared(slot, other))
            if voice > loud:
                loud, loudest = voice, other
        return loudest

    def _items(self, attribute: str) -> Slots:
        if attribute not in self._arrays:
            self._arrays[attribute] = np.array(self._having[attribute], np.int32)
        return self._arrays[attribute]

    def resize(self, capacity: int) -> None:
        pass

    def state(self) -> State:
        return {}

    def load(self, state: State) -> None:
        pass
