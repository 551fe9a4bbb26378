"""What the system knows of one user, and how one interaction changes it.

The change is idempotent (an event id counts once within a window) and commutative (see `taste`), so that at-least-once
delivery has the effect of exactly-once.
"""

import math
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field, structs

from streams.core.attention import direction
from streams.core.consent import Consent
from streams.core.digest import digest
from streams.core.history import History
from streams.core.recommender import UserView
from streams.core.taste import Taste, Touched, touch
from streams.core.vectors import Vector

ItemVectors = Callable[[str], Mapping[str, Vector] | None]


class RecentEvents:
    """The last `limit` event ids of a user, as 8-byte digests: the window within which a repeat is known.

    Two different ids share a digest once in 2^64; the price of one wrongly ignored event in some 10^16.

    >>> recent = RecentEvents(limit=2)
    >>> [recent.add(event_id) for event_id in ("a", "b", "a", "c", "a")]
    [True, True, False, True, True]
    """

    SIZE = 8

    def __init__(self, digests: Iterable[bytes] = (), *, limit: int) -> None:
        self.limit = limit
        self._digests = dict.fromkeys(digests)

    def __len__(self) -> int:
        return len(self._digests)

    def __contains__(self, event_id: str) -> bool:
        return self._digest(event_id) in self._digests

    def add(self, event_id: str) -> bool:
        """Remember an id; False if it was already known."""
        name = self._digest(event_id)
        if name in self._digests:
            return False
        self._digests[name] = None
        if len(self._digests) > self.limit:
            del self._digests[next(iter(self._digests))]
        return True

    @classmethod
    def _digest(cls, event_id: str) -> bytes:
        return digest(event_id, cls.SIZE)

    def to_bytes(self) -> bytes:
        return b"".join(self._digests)

    @classmethod
    def from_bytes(cls, data: bytes, *, limit: int) -> "RecentEvents":
        return cls((data[at : at + cls.SIZE] for at in range(0, len(data), cls.SIZE)), limit=limit)


class Touch(Struct, frozen=True, gc=False, array_like=True):
    """A user touched an item."""

    item_id: str
    at: float
    weight: float


class UserState(Struct):
    """One user.

    waiting       touches of items whose vectors are not known yet; they join the taste when the item is uploaded
    profile       (dim,) float32, unit length, from Triton's profile encoder
    traits        the user's own words, as JSON, that `profile` was made of
    profile_at    event time of the profile, seconds since the epoch: an earlier one that comes later does not count
    version       grows with every change, see `core.ownership`: the version of the user's list
    forgotten_at  what happened until then is forgotten, seconds since the epoch; 0 where it never was
    consent       what they allow to be done with all this
    """

    MAX_WAITING = 200

    user_id: str
    history: History
    recent_events: RecentEvents
    taste: Taste = field(default_factory=Taste)
    waiting: list[Touch] = field(default_factory=list)
    profile: Vector | None = None
    traits: bytes = b""
    profile_at: float = 0.0
    version: int = 0
    forgotten_at: float = 0.0
    consent: Consent = Consent()

    @property
    def known(self) -> bool:
        """Whether there is anything to forget: not so of somebody new, or forgotten and not heard of since."""
        return bool(self.history or self.waiting or self.profile is not None)

    def view(self, weights: Mapping[str, float]) -> UserView:
        """What the recommender may look at. Who allows no profiling is nobody in particular.

        weights  of the modalities, as from `attention.modality_weights`
        """
        if not self.consent.profiling:
            return UserView("", History())
        profile = self.profile if self.consent.use_profile else None
        return UserView(self.user_id, self.history, direction(self.taste, weights), profile, self.traits)


def blank(state: UserState) -> UserState:
    """What is left of a user of whom all is erased: what they allow, their version, and until when all is forgotten."""
    return UserState(
        state.user_id,
        History(),
        RecentEvents(limit=state.recent_events.limit),
        version=state.version,
        forgotten_at=state.forgotten_at,
        consent=state.consent,
    )


def agree(state: UserState, at: float, profiling: bool | None, use_profile: bool | None) -> UserState:
    """The user once they have said what they allow; see `Consent.said`.

    Who allows profiling no longer is erased. What happened before that, or before they allowed it again, is forgotten,
    should it still arrive.
    """
    before, state.consent = state.consent, state.consent.said(at, profiling, use_profile)
    if before.profiling != state.consent.profiling:
        state.forgotten_at = max(state.forgotten_at, at)
    return state if state.consent.profiling else blank(state)


def apply(state: UserState, event_id: str, touched: Touch) -> bool:
    """Let one interaction change the user, but for the taste (see `settle`); False if it had been counted already."""
    if not state.recent_events.add(event_id):
        return False
    state.waiting.append(touched)
    state.history.add(touched.item_id, touched.at, touched.weight)
    return True


def settle(state: UserState, vectors: ItemVectors, half_life: float, remembered: float = math.inf) -> None:
    """Move the touches of items that are known by now into the taste; the oldest beyond the limit are given up.

    vectors     item id -> modality -> (dim,) float32, or None while the item is unknown
    half_life   of the taste, seconds
    remembered  seconds before the latest touch for which the history goes back
    """
    if state.history:
        state.history.drop_before(state.history.times[-1] - remembered)
    known, unknown = [], []
    for waiting in state.waiting:
        item = vectors(waiting.item_id)
        if item is None:
            unknown.append(waiting)
        else:
            known.append(Touched(item, waiting.weight, waiting.at))
    if known:
        state.taste = touch(state.taste, known, half_life)
    state.waiting = unknown[-UserState.MAX_WAITING :]


def without(state: UserState, item_id: str, vectors: ItemVectors, half_life: float) -> UserState:
    """The user as if they had never touched the item: history, and the taste that the rest of it makes.

    vectors, half_life  as for `settle`
    """
    past = zip(state.history.item_ids, state.history.times, state.history.weights, strict=True)
    left = [Touch(other, at, weight) for other, at, weight in past if other != item_id]
    history = History.of(((each.item_id, each.at, each.weight) for each in left), state.history.max_items)
    other = structs.replace(state, history=history, taste=Taste(), waiting=left)
    settle(other, vectors, half_life)
    return other
