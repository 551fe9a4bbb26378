"""Neighbours: what the users touched around it who lately touched the same items.

After STAN (Garg et al., "Sequence and time aware neighborhood for session-based recommendations", 2019), but
every shared item speaks for the items near it in the neighbour's past, not only the latest shared one.
"""

import numpy as np
from numpy.typing import NDArray

from streams.core.catalogue import longer
from streams.core.memory.compiled import compiled
from streams.core.memory.expert import (
    NOBODY,
    Floats,
    Marks,
    Request,
    Scratch,
    Slots,
    State,
    cut,
    take_best,
)
from streams.core.memory.rows import Counts
from streams.core.memory.sessions import Sessions
from streams.core.memory.sizes import Sizes

REACH = 20
"""How many steps from a proposed item a shared one is looked for, to name the reason."""


class Neighbours:
    """For each item the sessions that held it last; sessions that share items with the user's past speak.

    visits     how many sessions are remembered for an item, the latest
    depth      how many of the user's latest items look for neighbours
    recency    an item `recency` steps back in the user's past counts half
    speakers   how many sessions may speak, the most similar
    nearness   `nearness` steps from a shared item, an item of the neighbour is proposed half as much
    """

    name = "neighbours"

    def __init__(
        self,
        scratch: Scratch,
        sessions: Sessions,
        sizes: Sizes,
        capacity: int,
        *,
        visits: int,
        depth: int,
        recency: float,
        speakers: int,
        nearness: float,
    ) -> None:
        self._scratch = scratch
        self._sessions = sessions
        self._sizes = sizes
        self._visitors = np.zeros((capacity, visits), np.int32)  # rows of sessions
        self._steps = np.zeros((capacity, visits), np.int32)  # how many items the session had had before
        self._visited = np.zeros(capacity, np.int32)  # visits ever; the next is kept at this modulo `visits`
        self._depth = depth
        self._voice_fade = 0.5 ** (1 / recency)
        self._near_fade = 0.5 ** (1 / nearness)
        self._speakers = speakers
        users, length = sessions.slots.shape
        self._likeness = np.zeros(users, np.float32)
        self._met = np.zeros(users, np.int32)
        self._shared = np.zeros((users, length), np.float32)  # how loud an item of a session is shared

    def learn(self, request: Request, slot: int, weight: float) -> None:
        _learn(self._visitors, self._steps, self._visited, self._sessions.steps, slot, request.row)

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        sessions, scratch = self._sessions, self._scratch
        return _propose(
            self._visitors, self._steps, self._visited, sessions.slots, sessions.lengths, sessions.steps,
            self._likeness, self._met, self._shared, request.trail.slots, request.row, self._depth,
            self._voice_fade, self._near_fade, self._speakers, self._sizes.proposed,
            scratch.totals, scratch.touched, request.shown, request.mark, slots, scores,
        )  # fmt: skip

    def because(self, request: Request, slots: Slots) -> Slots:
        return _because(
            self._visitors, self._steps, self._visited, self._sessions.slots, self._sessions.lengths,
            self._sessions.steps, request.trail.slots[-self._depth :], request.row, self._voice_fade,
            self._near_fade, self._scratch.totals, slots,
        )  # fmt: skip

    def resize(self, capacity: int) -> None:
        self._visitors, self._steps = longer(self._visitors, capacity), longer(self._steps, capacity)
        self._visited = longer(self._visited, capacity)

    def state(self) -> State:
        used = int(np.flatnonzero(self._visited)[-1]) + 1 if self._visited.any() else 0
        held = self._held(used)
        return {
            "visitors": self._visitors[:used][held],
            "steps": self._steps[:used][held],
            "visited": self._visited[:used],
        }

    def load(self, state: State) -> None:
        used = len(state["visited"])
        self._visited[:used] = state["visited"]
        held = self._held(used)
        self._visitors[:used][held], self._steps[:used][held] = state["visitors"], state["steps"]

    def _held(self, used: int) -> NDArray[np.bool_]:
        """(used, visits): which cells hold a visit."""
        held: NDArray[np.bool_] = np.arange(self._visitors.shape[1]) < self._visited[:used, None]
        return held


@compiled
def _place(sessions: Slots, row: int, length: int, place: int, slot: int) -> int:
    """Where the session holds the item, -1 if it does no more; one late arrival moves an item by one."""
    if 0 <= place < length and sessions[row, place] == slot:
        return place
    if -1 <= place < length - 1 and sessions[row, place + 1] == slot:
        return place + 1
    return -1


@compiled
def _learn(visitors: Slots, visit_steps: Slots, visited: Counts, steps: Counts, slot: int, row: int) -> None:
    place = visited[slot] % visitors.shape[1]
    visitors[slot, place] = row
    visit_steps[slot, place] = steps[row]
    visited[slot] += 1


@compiled
def _propose(
    visitors: Slots,
    visit_steps: Slots,
    visited: Counts,
    sessions: Slots,
    lengths: Counts,
    steps: Counts,
    likeness: Floats,
    met: Counts,
    shared: Floats,
    trail: Slots,
    own: int,
    depth: int,
    voice_fade: float,
    near_fade: float,
    speakers: int,
    proposed: Floats,
    totals: Floats,
    touched: Slots,
    shown: Marks,
    mark: int,
    slots: Slots,
    scores: Floats,
) -> int:
    found = 0
    voice = np.float32(1)
    width = visitors.shape[1]
    for back in range(1, min(depth, len(trail)) + 1):
        slot = trail[len(trail) - back]
        for cell in range(min(visited[slot], width)):
            row = visitors[slot, cell]
            if row != own:
                place = visit_steps[slot, cell] - (steps[row] - lengths[row])
                place = _place(sessions, row, lengths[row], place, slot)
                if place >= 0:
                    if likeness[row] == 0:
                        met[found] = row
                        found += 1
                    likeness[row] += voice
                    shared[row, place] = max(shared[row, place], voice)
        voice *= np.float32(voice_fade)
    values = np.empty(found, np.float32)
    for each in range(found):
        values[each] = likeness[met[each]]
        likeness[met[each]] = 0
    loudness = values.view(np.int32)
    sure, maybe, level = 0, 0, found
    if found > speakers:
        sure, maybe = cut(values, speakers)
        level = speakers
        for each in range(found):
            level -= loudness[each] > sure
    count = 0
    fade = np.float32(near_fade)
    before = np.empty(sessions.shape[1], np.float32)  # what is heard from the shared items before a place
    for each in range(found):
        row = met[each]
        loud = values[each]
        length = lengths[row]
        if loudness[each] <= sure:
            level -= loudness[each] > maybe
        if loudness[each] <= maybe or (loudness[each] <= sure and level < 0):
            shared[row, :length] = 0
            continue
        near = np.float32(0)
        for place in range(length):
            near = near * fade + shared[row, place]
            before[place] = near
        near = np.float32(0)
        for place in range(length - 1, -1, -1):
            own_voice = shared[row, place]
            shared[row, place] = 0
            near = near * fade + own_voice
            if own_voice == 0:
                slot = sessions[row, place]
                if totals[slot] == 0:
                    touched[count] = slot
                    count += 1
                totals[slot] += loud * (before[place] + near)
    for each in range(count):
        totals[touched[each]] *= proposed[touched[each]]
    return take_best(totals, touched, count, shown, mark, slots, scores)


@compiled
def _because(
    visitors: Slots,
    visit_steps: Slots,
    visited: Counts,
    sessions: Slots,
    lengths: Counts,
    steps: Counts,
    trail: Slots,
    own: int,
    voice_fade: float,
    near_fade: float,
    totals: Floats,
    slots: Slots,
) -> Slots:
    """The past item that stands nearest to the proposed one in the sessions that hold both, the latest louder."""
    speakers = np.full(len(slots), NOBODY, np.int32)
    voice = np.float32(1)
    voices = np.empty(len(trail), np.float32)
    for back in range(len(trail)):
        place = len(trail) - 1 - back
        voices[place] = voice
        voice *= np.float32(voice_fade)
        totals[trail[place]] = place + 1
    for each in range(len(slots)):
        slot = slots[each]
        heard = np.zeros(len(trail), np.float32)
        for cell in range(min(visited[slot], visitors.shape[1])):
            row = visitors[slot, cell]
            place = visit_steps[slot, cell] - (steps[row] - lengths[row])
            place = _place(sessions, row, lengths[row], place, slot)
            if row == own or place < 0:
                continue
            for other in range(max(0, place - REACH), min(lengths[row], place + REACH + 1)):
                past = int(totals[sessions[row, other]]) - 1
                if past >= 0:
                    heard[past] += voices[past] * near_fade ** abs(other - place)
        if len(trail) and heard.max() > 0:
            speakers[each] = trail[heard.argmax()]
    for slot in trail:
        totals[slot] = 0
    return speakers
