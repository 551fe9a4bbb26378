"""What lists were picked from, kept so that the ranker learns from what was really served.

A choice is compared with the candidates of the list that the user had before it, with the features as they were then
(feature logging: Zinkevich, "Rules of machine learning", rule 29). Candidates made anew for every choice would cost as
much as a list, and teach the ranker from what nobody was served.
"""

from collections import OrderedDict

from streams.core.ranking import Proposals


class Served:
    """The proposals behind the newest list of each of the `users` users served last.

    >>> import numpy as np
    >>> served = Served(users=1)
    >>> for user_id, slot in (("ann", 3), ("bob", 5)):
    ...     _ = served.put(user_id, Proposals(np.array([slot], np.int32), np.zeros((1, 4), np.float32)))
    >>> served.get("ann"), served.get("bob").union.tolist()
    (None, [5])
    """

    def __init__(self, users: int) -> None:
        self._users = users
        self._proposals: OrderedDict[str, Proposals] = OrderedDict()

    def put(self, user_id: str, proposals: Proposals) -> Proposals:
        """Keep a copy, and return it; the user served longest ago makes room."""
        kept = self._proposals[user_id] = proposals.copied()
        self._proposals.move_to_end(user_id)
        if len(self._proposals) > self._users:
            self._proposals.popitem(last=False)
        return kept

    def get(self, user_id: str) -> Proposals | None:
        """What the user was served from, None where it is not known (any more)."""
        return self._proposals.get(user_id)

    def forget(self, user_id: str) -> None:
        """Erase what is held of a user."""
        self._proposals.pop(user_id, None)
