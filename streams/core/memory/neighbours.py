"""Neighbours: what the users touched around it who lately touched the same items.

After STAN (Garg et al., "Sequence and time aware neighborhood for session-based recommendations", 2019), but
every shared item speaks for the items near it in the neighbour's past, not only the latest shared one.
"""

import numpy as np

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
    take_best,
)
from streams.core.memory.rows import Counts
from streams.core.memory.sessions import Sessions
from streams.core.memory.sizes import Sizes


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
        place = self._visited[slot] % self._visitors.shape[1]
        self._visitors[slot, place] = request.row
        self._steps[slot, place] = self._sessions.steps[request.row]
        self._visited[slot] += 1

    def propose(self, request: Request, slots: Slots, scores: Floats) -> int:
        sessions, scratch = self._sessions, self._scratch
        return _propose(
            self._visitors, self._steps, self._visited, sessions.slots, sessions.lengths, sessions.steps,
            self._likeness, self._met, self._shared, request.trail.slots, request.row, self._depth,
            self._voice_fade, self._near_fade, self._speakers, self._sizes.proposed,
            scratch.totals, scratch.touched, request.shown, request.mark, slots, scores,
        )  # fmt: skip

    def because(self, request: Request, slots: Slots) -> Slots:
        return np.full(len(slots), NOBODY, np.int32)

    def resize(self, capacity: int) -> None:
        self._visitors, self._steps = longer(self._visitors, capacity), longer(self._steps, capacity)
        self._visited = longer(self._visited, capacity)

    def state(self) -> State:
        used = int(np.flatnonzero(self._visited)[-1]) + 1 if self._visited.any() else 0
        return {
            "visitors": self._visitors[:used],
            "steps": self._steps[:used],
            "visited": self._visited[:used],
        }

    def load(self, state: State) -> None:
        used = len(state["visited"])
        self._visitors[:used], self._steps[:used] = state["visitors"], state["steps"]
        self._visited[:used] = state["visited"]


@compiled
def _place(session: Slots, length: int, place: int, slot: int) -> int:
    """Where the session holds the item, -1 if it does no more; one late arrival moves an item by one."""
    for here in (place, place + 1):
        if 0 <= here < length and session[here] == slot:
            return here
    return -1


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
                place = _place(sessions[row], lengths[row], place, slot)
                if place >= 0:
                    if likeness[row] == 0:
                        met[found] = row
                        found += 1
                    likeness[row] += voice
                    shared[row, place] = max(shared[row, place], voice)
        voice *= np.float32(voice_fade)
    edge = np.float32(0)
    if found > speakers:
        values = np.empty(found, np.float32)
        for each in range(found):
            values[each] = likeness[met[each]]
        edge = np.partition(values, found - speakers)[found - speakers]
    count = 0
    fade = np.float32(near_fade)
    for each in range(found):
        row = met[each]
        loud = likeness[row]
        likeness[row] = 0
        length = lengths[row]
        if loud < edge:
            shared[row, :length] = 0
            continue
        near = np.float32(0)
        for place in range(length):
            near *= fade
            slot = sessions[row, place]
            if shared[row, place] > 0:
                near += shared[row, place]
            elif near > 0:
                if totals[slot] == 0:
                    touched[count] = slot
                    count += 1
                totals[slot] += loud * near
        near = np.float32(0)
        for place in range(length - 1, -1, -1):
            near *= fade
            slot = sessions[row, place]
            if shared[row, place] > 0:
                near += shared[row, place]
            elif near > 0:
                if totals[slot] == 0:
                    touched[count] = slot
                    count += 1
                totals[slot] += loud * near
            shared[row, place] = 0
    for each in range(count):
        totals[touched[each]] *= proposed[touched[each]]
    return take_best(totals, touched, count, shown, mark, slots, scores)
