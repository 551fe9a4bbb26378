"""What lists were picked from and what they showed, kept so that the ranker learns from what was really served.

A choice is compared with the candidates of the list that the user had before it, with the features as they were then
(feature logging: Zinkevich, "Rules of machine learning", rule 29). Candidates made anew for every choice would cost as
much as a list, and teach the ranker from what nobody was served.

What else that list showed was passed over. How often is a feature of each candidate like others, so that what it is
worth is learned, and not supposed: where people tire of what they have been shown it counts against an item, and where
they come round to it, for it (impression discounting: Lee et al., "Modeling impression discounting in large-scale
recommender systems", KDD 2014).
"""

from collections import OrderedDict

import numpy as np

from streams.core.memory.compiled import compiled
from streams.core.memory.expert import Floats, Slots
from streams.core.ranking import NOTHING_PASSED, Passed, Proposals

NOTHING = np.zeros(0, np.int32)


class _User:
    """What one user was served last, and what they have passed over: `length` items, those shown last."""

    __slots__ = ("length", "proposals", "shown", "slots", "times")

    def __init__(self, room: int) -> None:
        self.proposals: Proposals | None = None
        self.shown = NOTHING
        self.slots = np.zeros(room, np.int32)
        self.times = np.zeros(room, np.float32)
        self.length = 0


class Served:
    """The proposals behind the newest list of each of the `users` users served last, and what they passed over.

    passed  so many items are remembered of each user

    >>> served = Served(users=1, passed=2)
    >>> for user_id, slot in (("ann", 3), ("bob", 5)):
    ...     _ = served.put(user_id, Proposals(np.array([slot], np.int32), np.zeros((1, 5), np.float32)))
    >>> served.get("ann"), served.get("bob").union.tolist()
    (None, [5])
    >>> served.show("bob", np.array([5, 6, 7], np.int32))
    >>> served.chose("bob", 6)
    >>> served.passed("bob")
    Passed(slots=array([5, 7], dtype=int32), times=array([1., 1.], dtype=float32))
    """

    def __init__(self, users: int, passed: int) -> None:
        self._limit = users
        self._room = passed
        self._users: OrderedDict[str, _User] = OrderedDict()

    def put(self, user_id: str, proposals: Proposals) -> Proposals:
        """Keep a copy, and return it; the user served longest ago makes room."""
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _User(self._room)
        self._users.move_to_end(user_id)
        kept = user.proposals = proposals.copied()
        if len(self._users) > self._limit:
            self._users.popitem(last=False)
        return kept

    def get(self, user_id: str) -> Proposals | None:
        """What the user was served from, None where it is not known (any more)."""
        user = self._users.get(user_id)
        return user.proposals if user is not None else None

    def show(self, user_id: str, slots: Slots) -> None:
        """The user sees these until they choose or are shown others; nothing happens where they were served nothing."""
        if (user := self._users.get(user_id)) is not None:
            user.shown = slots

    def chose(self, user_id: str, slot: int) -> None:
        """The user chose an item, and so passed over whatever else they saw; that is counted once for each list."""
        if (user := self._users.get(user_id)) is not None:
            user.length = _pass_over(user.slots, user.times, user.length, user.shown, slot)
            user.shown = NOTHING

    def passed(self, user_id: str) -> Passed:
        """What the user was shown and did not choose, what was shown last at the end."""
        user = self._users.get(user_id)
        return Passed(user.slots[: user.length], user.times[: user.length]) if user is not None else NOTHING_PASSED

    def forget(self, user_id: str) -> None:
        """Erase what is held of a user."""
        self._users.pop(user_id, None)


@compiled
def _pass_over(slots: Slots, times: Floats, length: int, shown: Slots, chosen: int) -> int:
    """Move what was shown to the end, counted once more; what was chosen goes. Returns how many there are."""
    for each in range(-1, len(shown)):
        slot = shown[each] if each >= 0 else chosen
        count = np.float32(0)
        place = 0
        while place < length and slots[place] != slot:
            place += 1
        if place < length:
            count = times[place]
        elif each < 0 or slot == chosen:
            continue
        elif length == len(slots):
            place = 0
        if place < length:
            for step in range(place, length - 1):
                slots[step], times[step] = slots[step + 1], times[step + 1]
            length -= 1
        if each >= 0 and len(slots):
            slots[length], times[length] = slot, count + 1
            length += 1
    return length
