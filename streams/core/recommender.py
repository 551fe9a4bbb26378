"""Experts learn from every interaction, propose for every request, and are ranked by a learned mix."""

from collections import OrderedDict
from collections.abc import Sequence as Many

import msgspec
import numpy as np

from streams.core.catalogue import HIDDEN, Catalogue
from streams.core.history import History, Trail
from streams.core.memory.expert import Expert, Request, Scratch, State
from streams.core.memory.popularity import Popularity
from streams.core.memory.sequence import Sequence
from streams.core.memory.sessions import Sessions
from streams.core.memory.similar import Similar
from streams.core.memory.snapshot import UnknownSnapshot, pack, unpack
from streams.core.ranking import Candidates, Ranker
from streams.core.vectors import Vector

HOUR = 3600.0
DAY = 24 * HOUR


class RecommenderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Tuned on the first 40% of MovieLens-100k, prequentially. Times in seconds."""

    capacity: int = 131_072
    """Items that fit before arrays must be copied; memory is taken only for items that come."""
    proposals: int = 120
    """Items that each expert may propose."""
    event_window: int = 100_000
    """Event ids remembered, within which a repeat is ignored."""
    session_users: int = 20_000
    session_length: int = 100
    popular_half_life: float = 60 * DAY
    trending_half_life: float = 3 * DAY
    leaders: int = 500
    sequence_half_life: float = 90 * DAY
    sequence_gap: int = 10
    sequence_heads: int = 1
    sequence_width: int = 128
    similar_half_life: float = 90 * DAY
    similar_depth: int = 40
    similar_recency: float = 8.0
    similar_width: int = 256
    knots: tuple[float, ...] = (0.0, 4.0, 20.0, 100.0)
    learning_rate: float = 0.05
    bias_rate: float = 0.05
    prior: float = 0.5


class Interaction(msgspec.Struct, frozen=True):
    """A user touched an item.

    at      event time, seconds since the epoch
    weight  how much the touch says: 1 for a click, less for a view; above 0
    """

    event_id: str
    user_id: str
    item_id: str
    at: float
    weight: float


class UserView(msgspec.Struct):
    """What the recommender may know of a user.

    taste    (dim,) float32, unit length, in the space of the items' fused vectors; None while unknown
    profile  (dim,) float32, unit length, made of who the user says to be; None while unknown
    """

    user_id: str
    history: History
    taste: Vector | None = None
    profile: Vector | None = None


class Scored(msgspec.Struct, frozen=True):
    """An item of a list.

    reason   the expert that spoke for it most: 'similar', 'sequence', 'popular', ...
    because  the past item on which that expert relied, where it relied on one
    """

    item_id: str
    score: float
    reason: str
    because: str | None = None


class Recommender:
    """Learns from interactions in the order they come; the same order gives the same lists."""

    def __init__(self, settings: RecommenderSettings | None = None) -> None:
        self.settings = settings = settings or RecommenderSettings()
        self.catalogue = Catalogue(settings.capacity)
        self._scratch = Scratch(settings.capacity)
        self._sessions = Sessions(settings.session_users, settings.session_length)
        self._experts = self._make_experts()
        self._candidates = Candidates(len(self._experts), settings.proposals, settings.capacity)
        self._ranker = Ranker(
            len(self._experts),
            settings.capacity,
            knots=settings.knots,
            rate=settings.learning_rate,
            bias_rate=settings.bias_rate,
            prior=settings.prior,
        )
        self._events: OrderedDict[str, None] = OrderedDict()

    def put_item(self, item_id: str, vector: Vector | None, at: float, attributes: Many[str] = ()) -> None:
        """Add an item or change it, and list it; vector (dim,) float32, unit length."""
        self.catalogue.put(item_id, vector, at, attributes)
        self._fit()

    def withdraw_item(self, item_id: str) -> None:
        """Never recommend the item from now on, until it is put again."""
        self.catalogue.withdraw(item_id)
        self._fit()

    def learn(self, user: UserView, interaction: Interaction) -> None:
        """Learn from an interaction of a user whose state does not contain it yet."""
        self._learn(interaction, user.taste, user.profile)

    def learn_remote(self, interaction: Interaction) -> None:
        """Learn from an interaction of a user that another worker owns."""
        self._learn(interaction, None, None)

    def recommend(self, user: UserView, at: float, k: int = 20) -> list[Scored]:
        """The best k items that the user has not touched; fewer only where the catalogue has no more.

        at  now, seconds since the epoch
        """
        trail = user.history.trail(self.catalogue)
        request = self._request(trail, at, user.taste, user.profile)
        count = self._propose(request)
        scores = self._ranker.score(self._candidates, count, len(trail.slots))
        best = np.lexsort((self._candidates.union[:count], -scores))[:k]
        listed = [self._explained(int(row), float(scores[row])) for row in best]
        if len(listed) < k:
            listed += self._fill(request, {each.item_id for each in listed}, k - len(listed))
        return listed

    def forget(self, user_id: str) -> None:
        """Erase what is held of this user alone; counts that many users share stay, as they name nobody."""
        self._sessions.forget(user_id)

    def snapshot(self) -> bytes:
        """All that was learned, with the catalogue, as bytes for `restore`."""
        parts = {f"expert.{expert.name}": expert.state() for expert in self._experts}
        parts["ranker"] = self._ranker.state()
        parts["sessions"] = self._sessions.state()
        parts["catalogue"] = self.catalogue.state()
        ids = {
            "items": self.catalogue.ids,
            "attributes": [word for words in self.catalogue.attributes for word in words],
            "users": self._sessions.users(),
            "events": list(self._events),
        }
        return pack(ids, parts)

    @classmethod
    def restore(cls, data: bytes, settings: RecommenderSettings | None = None) -> "Recommender":
        """The recommender that `snapshot` was called on. Raises UnknownSnapshot."""
        ids, parts = unpack(data)
        recommender = cls(settings)
        recommender._load(ids, parts)
        return recommender

    def _make_experts(self) -> list[Expert]:
        settings, capacity = self.settings, self.settings.capacity
        return [
            Popularity("popular", capacity, half_life=settings.popular_half_life, leaders=settings.leaders),
            Popularity("trending", capacity, half_life=settings.trending_half_life, leaders=settings.leaders),
            Sequence(
                self._scratch,
                capacity,
                width=settings.sequence_width,
                half_life=settings.sequence_half_life,
                gap=settings.sequence_gap,
                heads=settings.sequence_heads,
            ),
            Similar(
                self._scratch,
                capacity,
                width=settings.similar_width,
                half_life=settings.similar_half_life,
                depth=settings.similar_depth,
                recency=settings.similar_recency,
            ),
        ]

    def _learn(self, interaction: Interaction, taste: Vector | None, profile: Vector | None) -> None:
        if interaction.event_id in self._events:
            return
        self._events[interaction.event_id] = None
        if len(self._events) > self.settings.event_window:
            self._events.popitem(last=False)
        slot = self.catalogue.ensure(interaction.item_id, interaction.at)
        self._fit()
        row = self._sessions.open(interaction.user_id)
        trail = self._sessions.trail(row)
        request = self._request(trail, interaction.at, taste, profile)
        if self.catalogue.shown[slot] not in (HIDDEN, request.mark):
            count = self._propose(request)
            self._ranker.learn(self._candidates, count, len(trail.slots), slot, interaction.weight)
        for expert in self._experts:
            expert.learn(request, slot, interaction.weight)
        self._sessions.add(row, slot, interaction.at, interaction.weight)

    def _request(self, trail: Trail, at: float, taste: Vector | None, profile: Vector | None) -> Request:
        shown, mark = self.catalogue.shown, self.catalogue.mark()
        seen = trail.slots
        shown[seen[shown[seen] != HIDDEN]] = mark
        return Request(trail, at, shown, mark, taste, profile)

    def _propose(self, request: Request) -> int:
        candidates = self._candidates
        for place, expert in enumerate(self._experts):
            candidates.counts[place] = expert.propose(
                request, candidates.slots[place], candidates.scores[place]
            )
        return candidates.merge()

    def _explained(self, row: int, score: float) -> Scored:
        shares = self._candidates.features[row, ::2]
        return Scored(
            self.catalogue.ids[self._candidates.union[row]], score, self._experts[int(shares.argmax())].name
        )

    def _fill(self, request: Request, taken: set[str], missing: int) -> list[Scored]:
        """Items that no expert proposed, the newest first."""
        catalogue = self.catalogue
        shown = catalogue.shown[: len(catalogue)]
        free = np.flatnonzero((shown != HIDDEN) & (shown != request.mark))
        newest = free[np.argsort(-catalogue.first_seen[free], kind="stable")]
        ids = (catalogue.ids[slot] for slot in newest)
        found = [item_id for item_id in ids if item_id not in taken]
        return [Scored(item_id, 0.0, "new") for item_id in found[:missing]]

    def _fit(self) -> None:
        """Follow the catalogue where it has outgrown the arrays."""
        if self.catalogue.capacity > len(self._scratch.totals):
            self._scratch.resize(self.catalogue.capacity)
            self._candidates.resize(self.catalogue.capacity)
            self._ranker.resize(self.catalogue.capacity)
            for expert in self._experts:
                expert.resize(self.catalogue.capacity)

    def _load(self, ids: dict[str, list[str]], parts: dict[str, State]) -> None:
        stored = parts.keys() - {"ranker", "sessions", "catalogue"}
        if stored != (expected := {f"expert.{expert.name}" for expert in self._experts}):
            raise UnknownSnapshot(
                f"snapshot of experts {sorted(stored)}, where these are set: {sorted(expected)}"
            )
        self.catalogue.load(ids["items"], ids["attributes"], parts["catalogue"])
        self._fit()
        for expert in self._experts:
            expert.load(parts[f"expert.{expert.name}"])
        self._ranker.load(parts["ranker"])
        self._sessions.load(ids["users"], parts["sessions"])
        self._events = OrderedDict.fromkeys(ids["events"])
