"""Lists, tastes and neighbours, made on demand from what Cassandra holds of a user and the replica of the rest."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import asdict

from streams.advice import Advice
from streams.core.attention import Background, modality_weights
from streams.core.experiments import lists
from streams.core.experiments.assignment import Assigned, Assigner
from streams.core.experiments.plan import Plan
from streams.core.explain import explain, sentence
from streams.core.history import History
from streams.core.memory.content import Nearest
from streams.core.recommender import Advised, Recommender, Scored, UserView
from streams.core.search.asker import asker as asker_of
from streams.core.search.question import Asker
from streams.core.user import RecentEvents, UserState
from streams.core.vectors import Vector
from streams.events import Learned, Recommendations, Recommended
from streams.ports import Store
from streams.web.answers import Explained, ListedItem, ModalityTaste, PastTouch, SimilarItems, User, UserList
from streams.web.cache import How, StaleWhileRevalidate
from streams.web.catalogue import Shelf

TYPICAL = 4  # items that stand for a taste in one modality
SEEN = 500  # touches shown of a user
WIDER = 4  # times as many neighbours are asked for where the rules left too few


class Replica(Protocol):
    """What a process that follows the logs knows of the whole system."""

    recommender: Recommender
    item_vectors: dict[str, dict[str, Vector]]
    background: Background


class _Snapshot(Struct):
    """A user as stored a moment ago, and the lists that were made of it: one for each length asked for."""

    user: UserState
    weights: Mapping[str, float]
    lists: dict[int, UserList] = field(default_factory=dict)


class Reader:
    """Reads what people ask for.

    nearest    finds items by fused vector
    base       modality -> its weight for everybody
    half_life  of a taste, seconds
    plan       the experiments that lists are made by, too
    advice     the models that are shipped; None where none is asked
    clock      the wall clock, seconds since the epoch
    """

    def __init__(
        self,
        store: Store,
        replica: Replica,
        nearest: Nearest,
        shelf: Shelf,
        base: Mapping[str, float],
        half_life: float,
        *,
        plan: Plan | None = None,
        advice: Advice | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._replica = replica
        self._nearest = nearest
        self._shelf = shelf
        self._base = base
        self._half_life = half_life
        self._assigner = Assigner(plan or Plan(), replica.recommender.settings)
        self._advice = advice
        self._clock = clock
        self._latest = 0.0
        self._users = StaleWhileRevalidate(self._snapshot)

    def learned(self, learned: Learned) -> None:
        """Somebody has touched something: time goes on. Or they are forgotten.

        Lists are made for the time of the latest event and not of the wall clock, so that what was recorded long ago
        can be replayed.
        """
        self._latest = max(self._latest, *(each.at for each in learned.touches), 0.0)
        if learned.forgotten:
            self._users.forget(learned.user_id)
        if self._advice is not None:
            self._advice.judge(self._replica.recommender.catalogue, learned)

    def outdate(self, user_id: str) -> None:
        """The user has changed."""
        self._users.outdate(user_id)

    async def recommendations(self, user_id: str, k: int) -> tuple[UserList, How, float]:
        """The best k items for a user; how the answer came about, and its age in seconds. Raises StoreUnavailable."""
        kept = await self._users.get(user_id)
        snapshot = kept.answer
        made = snapshot.lists.get(k)
        if made is None or not all(self._is_listed(each.item_id) for each in made.items):
            made = snapshot.lists[k] = await self._rank(snapshot, k)
        return made, kept.how, kept.age

    async def user(self, user_id: str) -> User | None:
        """What is known of a user; None where nothing is. Raises StoreUnavailable."""
        snapshot = (await self._users.get(user_id)).answer
        user = snapshot.user
        if not user.known:
            return None
        past = zip(user.history.item_ids, user.history.times, user.history.weights, strict=True)
        history = [self._shelf.touched(item_id, at, weight) for item_id, at, weight in past][: -SEEN - 1 : -1]
        return User(
            user_id=user_id,
            version=user.version,
            as_of=user.taste.as_of,
            taste=[self._taste(user, modality, weight) for modality, weight in snapshot.weights.items()],
            history=history,
            waiting=len(user.waiting),
            traits=user.traits.decode(),
        )

    async def explanation(self, user_id: str, item_id: str, past: int) -> Explained:
        """Why the item stands where it does in the user's list, made by their arms; of two interleaved, by the first's.

        Raises StoreUnavailable, Unexplained.

        past  so many of the user's latest items are taken away in turn
        """
        user = (await self._users.get(user_id)).answer.user
        assigned = self._assigned(user)
        how = assigned.settings[0]
        found = explain(
            self._replica.recommender,
            user,
            item_id,
            self._now(),
            weights=lambda someone: self._weights(someone, how.fusion_weights),
            vectors=self._replica.item_vectors.get,
            half_life=self._half_life,
            how=how,
            past=past,
        )
        past_touches = [PastTouch(**asdict(each), title=self._shelf.title(each.item_id)) for each in found.past]
        return Explained(
            **asdict(found) | {"past": past_touches},
            user_id=user_id,
            title=self._shelf.title(item_id),
            list_version=user.version,
            sentence=sentence(found, lambda each: self._shelf.title(each) or each),
            variants=dict(assigned.variants),
        )

    async def asker(self, user_id: str) -> Asker:
        """A user, as somebody who looks for something. Raises StoreUnavailable."""
        snapshot = (await self._users.get(user_id)).answer

        def likings(known: UserView, asked_at: float) -> list[str]:
            return self._replica.recommender.likings(known, self._now())  # as their list, not when they ask

        return asker_of(snapshot.user, snapshot.weights, likings)

    async def similar(self, item_id: str, k: int, user_id: str | None = None) -> SimilarItems:
        """The k listed items most like one that rules do not keep from the user; none where it has no vector.

        Raises StoreUnavailable where a user is named.
        """
        recommender, vector = self._replica.recommender, self._vectors(item_id).get("fused")
        if vector is None:
            return SimilarItems(item_id, [])
        left_out = {recommender.catalogue.slot(item_id)}
        if recommender.rules is not None:
            traits = (await self.asker(user_id)).traits if user_id is not None else b""
            left_out.update(recommender.rules.directives(traits or b"", self._now()).excluded.tolist())
        asked = k + 1
        while True:
            slots, cosines = self._nearest(vector, asked)
            pairs = zip(slots.tolist(), cosines.tolist(), strict=True)
            found = [(slot, cosine) for slot, cosine in pairs if slot not in left_out]
            if len(found) >= k or len(slots) < asked:
                break
            asked *= WIDER
        ids = recommender.catalogue.ids
        return SimilarItems(item_id, [self._shelf.listed(ids[slot], cosine) for slot, cosine in found[:k]])

    def shown(self, each: Recommendations, k: int) -> UserList:
        """A list as a worker published it, with titles, without what was withdrawn since; at most k items."""
        return UserList(
            user_id=each.user_id,
            list_version=each.list_version,
            made_at=each.emitted_at,
            items=[
                self._shelf.listed(item.item_id, item.score, item.reason, item.because, item.shared)
                for item in each.items
                if self._is_listed(item.item_id)
            ][:k],
            modalities=each.modalities,
            variants=each.variants,
        )

    async def _snapshot(self, user_id: str) -> _Snapshot:
        stored = await self._store.read_users([user_id])
        user = stored.get(user_id) or UserState(user_id, History(), RecentEvents(limit=1))
        return _Snapshot(user, self._weights(user))

    def _weights(self, user: UserState, base: Mapping[str, float] | None = None) -> Mapping[str, float]:
        return modality_weights(user.taste, self._replica.background, base or self._base)

    def _assigned(self, user: UserState) -> Assigned:
        return self._assigner.assign(user.user_id) if user.consent.profiling else self._assigner.nowhere

    def _now(self) -> float:
        return self._latest or self._clock()

    async def _rank(self, snapshot: _Snapshot, k: int) -> UserList:
        user, at = snapshot.user, self._now()
        assigned = self._assigned(user)
        best, _ = lists.make(
            self._replica.recommender,
            assigned,
            lambda base: user.view(self._weights(user, base) if base else snapshot.weights),
            at,
            k,
            f"{user.user_id} {user.version}",
            await self._advised(user, assigned, at),
        )
        return UserList(
            user_id=user.user_id,
            list_version=user.version,
            made_at=self._clock(),
            items=[
                self._shelf.listed(each.item_id, each.score, each.reason, each.because, each.shared)
                for each in best[:k]
            ],
            modalities={name: round(weight, 3) for name, weight in snapshot.weights.items()},
            variants=dict(assigned.variants),
        )

    async def _advised(self, user: UserState, assigned: Assigned, at: float) -> Advised | None:
        """What a shipped model says, as in a worker: of people who allow it, and of lists that are not interleaved."""
        if self._advice is None or not self._advice.serves or not user.consent.profiling or assigned.teams:
            return None
        how = assigned.settings[0]
        view = user.view(self._weights(user, how.fusion_weights))
        advised = await self._advice.advise(self._replica.recommender, [(view, at, how.model_version)])
        return advised.get(user.user_id)

    def _is_listed(self, item_id: str) -> bool:
        catalogue = self._replica.recommender.catalogue
        slot = catalogue.slot(item_id)
        return slot < 0 or catalogue.listed(slot)  # of an unknown one the upload was not read yet

    def _listed(self, each: Recommended | Scored) -> ListedItem:
        return self._shelf.listed(each.item_id, each.score, each.reason, each.because, each.shared)

    def _taste(self, user: UserState, modality: str, weight: float) -> ModalityTaste:
        direction = user.taste.direction(modality)
        seen = dict.fromkeys(reversed(user.history.item_ids))
        known = [(item_id, self._vectors(item_id).get(modality)) for item_id in seen]
        closeness = [
            (float(vector @ direction), item_id)
            for item_id, vector in known
            if vector is not None and direction is not None
        ]
        return ModalityTaste(
            modality=modality,
            weight=round(weight, 4),
            evidence=round(user.taste.masses.get(modality, (0.0, 0.0))[0], 3),
            typical=self._best(closeness),
        )

    def _best(self, closeness: Sequence[tuple[float, str]]) -> list[ListedItem]:
        return [self._shelf.listed(item_id, cosine) for cosine, item_id in sorted(closeness, reverse=True)[:TYPICAL]]

    def _vectors(self, item_id: str) -> Mapping[str, Vector]:
        return self._replica.item_vectors.get(item_id, {})
