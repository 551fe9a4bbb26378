"""A click, and the list that it came from: the one that its user held, if that is not too long ago."""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from streams.core.evaluation import K


class Given(Struct):
    """A list that a user holds, and what has come of it.

    items     its first K
    teams     for each, the arm that picked it; empty where nothing was interleaved
    at        when it was published, seconds since the epoch
    variants  experiment -> arm
    clicks    within the window, of items in it or not
    place     the best, 1 the first, of an item clicked; 0 while none was
    credit    arm -> items clicked that it had picked
    """

    items: Sequence[str]
    teams: Sequence[str]
    at: float
    variants: Mapping[str, str]
    clicks: int = 0
    place: int = 0
    credit: Counter[str] = field(default_factory=Counter)


class Attribution:
    """Told of every list and every click, in the order they come.

    window  seconds
    users   whose list is remembered, those with the latest

    >>> attribution = Attribution(window=60, users=10)
    >>> attribution.hold("ann", Given(["a", "b"], [], 0.0, {"new-items": "many"}))
    >>> attribution.click("ann", "b", 59.0), attribution.click("ann", "a", 61.0), attribution.click("bob", "a", 1.0)
    (True, False, False)
    >>> attribution.hold("ann", Given([], [], 62.0, {})).place
    2
    """

    def __init__(self, *, window: float, users: int) -> None:
        self._window = window
        self._users = users
        self._held: OrderedDict[str, Given] = OrderedDict()

    def hold(self, user_id: str, given: Given) -> Given | None:
        """The user holds this list from now on. What they held before, with all that came of it, is let go."""
        before = self._held.pop(user_id, None)
        self._held[user_id] = given
        if len(self._held) > self._users:
            self._held.popitem(last=False)
        return before

    def click(self, user_id: str, item_id: str, at: float) -> bool:
        """Put a click down to the list that the user holds; False where there is none, or it was too long ago."""
        held = self._held.get(user_id)
        if held is None or at - held.at > self._window:
            return False
        held.clicks += 1
        if item_id in held.items[:K]:
            place = held.items.index(item_id)
            held.place = min(held.place or K, place + 1)
            if held.teams:
                held.credit[held.teams[place]] += 1
        return True

    def is_of_another(self, user_id: str, variant: str) -> bool:
        """Whether the list that the user holds was made by other arms than this; False where none is known."""
        held = self._held.get(user_id)
        return held is not None and variant not in held.variants.values() and variant not in held.teams

    def forget(self, user_id: str) -> None:
        """Erase the list that is held for this user."""
        self._held.pop(user_id, None)

    def forget_lists(self) -> None:
        """Erase every list that is held: another worker may make newer ones from now on."""
        self._held.clear()
