"""Experts learn from every interaction, propose for every request, and are ranked by a learned mix."""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import json, structs

from streams.core.catalogue import HIDDEN, Catalogue
from streams.core.digest import digest
from streams.core.diversity import Exposure, reordered
from streams.core.history import History, Trail
from streams.core.memory.content import Nearest
from streams.core.memory.defence import counted
from streams.core.memory.expert import NOBODY, Floats, Request, Slots, State
from streams.core.memory.exploration import Exploration
from streams.core.memory.panel import Panel
from streams.core.memory.sessions import Sessions
from streams.core.memory.settings import KNOWLEDGE, ListSettings, RecommenderSettings
from streams.core.memory.snapshot import Bytes, UnknownSnapshot, pack, unpack
from streams.core.ranking import Candidates, Lesson, Proposals, Ranked, Ranker, Weighed, only
from streams.core.rules import NONE, Directives, RuleBook
from streams.core.served import Served
from streams.core.vectors import Vector

__all__ = [
    "Interaction",
    "Recommender",
    "RecommenderSettings",
    "Rehearsal",
    "Remembered",
    "Scored",
    "Taught",
    "UnknownSnapshot",
    "UserView",
]


SEEN = 10
"""Places of a list that a user is taken to have seen when they choose something.

Of the list as it is for everybody: what is learned must not depend on the arm or the shipped model that makes a user's.
"""

PINNED = "pinned"
"""The reason of an item that nobody proposed and a rule wants."""


class Interaction(msgspec.Struct, frozen=True):
    """A user touched an item.

    at       event time, seconds since the epoch
    weight   how much the touch says: 1 for a click, less for a view; 0 teaches nothing
    profile  (dim,) float32, unit length: of the user, where the memory may not know it yet
    """

    event_id: str
    user_id: str
    item_id: str
    at: float
    weight: float
    profile: Vector | None = None


class UserView(msgspec.Struct):
    """What the recommender may know of a user.

    taste    (dim,) float32, unit length, in the space of the items' fused vectors; None while unknown
    profile  (dim,) float32, unit length, made of who the user says to be; None while unknown
    traits   what `profile` was made of, JSON; for rules alone
    """

    user_id: str
    history: History
    taste: Vector | None = None
    profile: Vector | None = None
    traits: bytes = b""


class Taught(msgspec.Struct, frozen=True):
    """A lesson for the ranker, `ranking.Lesson`, as it travels between workers: with the ids of items."""

    touches: int
    slope: Vector
    items: list[str]
    pulls: Vector


class Rehearsal(msgspec.Struct, frozen=True):
    """What `judge` bears in mind from one choice of a micro-batch to the next.

    proposals  user -> what there was for them at their first choice, of those who have been served nothing
    """

    ranker: Ranker
    proposals: dict[str, Proposals]


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """What the memory that all share holds of one user by name: what `forget` erases.

    touches  of theirs in all, and in `session` the latest, oldest first: item, event time, weight
    profile  (dim,) float32, as it was told; None where it was not
    """

    touches: int
    session: list[tuple[str, float, float]]
    profile: Vector | None


class Scored(msgspec.Struct, frozen=True, gc=False):
    """An item of a list.

    reason   the expert that spoke for it most: 'similar', 'sequence', 'popular', ...
    because  the past item on which that expert relied, where it relied on one
    shared   what it has in common with that item, `name=value`, where that is the reason
    """

    item_id: str
    score: float
    reason: str
    because: str | None = None
    shared: str | None = None


class Draft(NamedTuple):
    """What a list is to be picked from, before something from outside has a say in it.

    scores  (n,) float32 of the ranker, in the order of the proposals
    """

    proposals: Proposals
    scores: Vector


class Advised(NamedTuple):
    """What a list is picked from once that has been heard.

    added  (n,) float32, to the score of each of the proposals of a draft
    """

    proposals: Proposals
    added: Vector


class Recommender:
    """Learns from interactions in the order they come; the same order gives the same lists.

    What it learns is what the interactions and their lessons tell, never what one worker alone knows of a user: see
    `Sessions` and `judge`.

    known  item id -> what is known of it beside its own attributes, `name=value` each
    rules  what lists are to keep to, whatever was learned; None: nothing
    """

    def __init__(
        self,
        settings: RecommenderSettings | None = None,
        *,
        nearest: Nearest | None = None,
        known: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.settings = settings = settings or RecommenderSettings()
        self.catalogue = Catalogue(settings.capacity)
        self._sessions = Sessions(settings.sessions, settings.session_length)
        self._panel = Panel(settings, self.catalogue, self._sessions, nearest)
        self._known = known or {}
        self._names = [expert.name for expert in self._panel.experts]
        experts = len(self._names)
        self._candidates = Candidates(experts, settings.proposals, settings.capacity)
        self._ranker = Ranker(
            experts,
            settings.capacity,
            knots=settings.ranker_knots,
            rate=settings.ranker_rate,
            bias_rate=settings.ranker_bias_rate,
            prior=settings.ranker_prior,
        )
        self._exploration = Exploration(self.catalogue, self._panel.sizes)
        self._served = Served(settings.served, settings.passed)
        self._events: OrderedDict[str, None] = OrderedDict()
        self.rules: RuleBook | None = None
        self._no_rules = RuleBook((), self.catalogue)
        self._exposures: dict[ListSettings, Exposure] = {}

    def put_item(self, item_id: str, vector: Vector | None, at: float, attributes: Sequence[str] = ()) -> None:
        """Add an item or change it, and list it; vector (dim,) float32, unit length."""
        slot = self.catalogue.put(item_id, vector, at, attributes)
        self._fit()
        self._know(slot)
        if self.rules is not None:
            self.rules.put(slot)

    def withdraw_item(self, item_id: str) -> None:
        """Never recommend the item from now on, until it is put again."""
        self.catalogue.withdraw(item_id)
        self._fit()

    def shared(self, item_id: str, other_id: str) -> list[str]:
        """What is known to be the same of two items, what few others have first; nothing where nothing is known."""
        return self._panel.knowledge.shared(self.catalogue.slot(item_id), self.catalogue.slot(other_id))

    def rehearsal(self) -> Rehearsal:
        """For `judge`, for the choices of one micro-batch."""
        return Rehearsal(self._ranker.rehearsal(), {})

    def judge(self, rehearsal: Rehearsal, user: UserView, interaction: Interaction) -> Taught | None:
        """What a choice says of the list that its user had before it; None where it says nothing.

        This worker alone knows what that list was picked from (see `served`), so it draws the lesson, for all to learn.
        The choices of a micro-batch are learned later, but each is judged as if those before it had been. Newcomers,
        served nothing yet, are judged, throughout the batch, by what they would have been served at its beginning. Of
        others whose list is not known (any more) nothing is said: it would cost a list, and be a guess.

        user  as before the choice; taste and profile are looked at of newcomers only
        """
        slot = self.catalogue.slot(interaction.item_id)
        if (
            interaction.weight <= 0
            or slot < 0
            or not self.catalogue.listed(slot)
            or interaction.item_id in user.history
        ):
            return None
        proposals = self._served.get(user.user_id) or rehearsal.proposals.get(user.user_id)
        if proposals is None:
            if len(user.history):
                return None
            proposals = self._propose(self._request_of(user, interaction.at), user.user_id).copied()
            rehearsal.proposals[user.user_id] = proposals
        self._served.chose(user.user_id, slot)
        lesson = rehearsal.ranker.judge(proposals, len(user.history), slot, interaction.weight)
        if lesson is None:
            return None
        rehearsal.ranker.rehearse(lesson)
        items = [self.catalogue.ids[each] for each in lesson.slots.tolist()]
        return Taught(lesson.touches, lesson.slope, items, lesson.pulls)

    def learn(self, interaction: Interaction, taught: Taught | None = None) -> float:
        """Learn from an interaction, once; the share of it that counted, 0 to 1, see `counted`.

        taught  what its user's worker made of it, see `judge`
        """
        event = digest(interaction.event_id).hex()  # an id may tell whose it is, and outlives the user here
        if interaction.weight <= 0 or event in self._events:
            return 0.0
        self._events[event] = None
        if len(self._events) > self.settings.event_window:
            self._events.popitem(last=False)
        slot = self.catalogue.ensure(interaction.item_id, interaction.at)
        lesson = self._lesson(taught, interaction.at) if taught else None
        self._fit()
        row = self._sessions.open(interaction.user_id)
        if interaction.profile is not None:
            self._sessions.tell(row, interaction.profile)
        trail, touches = self._sessions.trail(row), int(self._sessions.steps[row])
        share = counted(trail, touches, slot, interaction.at, self.settings) if self.settings.defends else 1.0
        if lesson is not None and share > 0:
            lesson = lesson if share == 1 else lesson.times(share)
            self._ranker.learn(lesson)
        if share > 0:
            # Without a mark of what the user has touched: nothing is proposed here.
            told = self._sessions.profile(row)
            request = Request(row, trail, touches, interaction.at, self.catalogue.shown, HIDDEN, None, told)
            self._panel.learn(request, slot, interaction.weight * share)
        self._sessions.add(row, slot, interaction.at, interaction.weight)
        return share

    def profile(self, user_id: str) -> Vector | None:
        """The (dim,) profile that interactions of the user have told; None where they have not of late."""
        row = self._sessions.find(user_id)
        return self._sessions.profile(row) if row >= 0 else None

    def remembered(self, user_id: str) -> Remembered | None:
        """What is held of this user by name; None where nothing is."""
        row = self._sessions.find(user_id)
        if row < 0:
            return None
        slots, times, weights = (part.tolist() for part in self._sessions.trail(row))
        items = [self.catalogue.ids[slot] for slot in slots]
        return Remembered(
            touches=int(self._sessions.steps[row]),
            session=list(zip(items, times, weights, strict=True)),
            profile=self._sessions.profile(row),
        )

    def draft(self, user: UserView, at: float) -> Draft:
        """What `recommend` would pick from, for whoever has something to add to the scores.

        at  now, seconds since the epoch
        """
        request = self._request_of(user, at, self._directives(user, at))
        proposals = self._served.put(user.user_id, self._propose(request, user.user_id))
        return Draft(proposals, self._ranker.score(proposals, request.touches))

    def likings(self, user: UserView, at: float) -> list[str]:
        """The items that `recommend` would pick from, best first: none that the user has touched, or rules exclude.

        It leaves no trace: what is learned, and the lists that follow, are as if nobody had asked.

        at  now, seconds since the epoch
        """
        request = self._request_of(user, at, self._directives(user, at))
        proposals = self._propose(request, user.user_id)
        scores = self._ranker.score(proposals, request.touches)
        order = np.lexsort((proposals.union, -scores))
        return [self.catalogue.ids[slot] for slot in proposals.union[order].tolist()]

    def recommend(
        self,
        user: UserView,
        at: float,
        k: int = 20,
        how: ListSettings | None = None,
        advised: Advised | None = None,
    ) -> list[Scored]:
        """The best k items that the user has not touched; fewer only where the catalogue has no more.

        at       now, seconds since the epoch
        how      in place of the recommender's own settings. The ranker learns alike from every list, however it was
                 made: from what all experts proposed
        advised  from a draft for the same user and time; what may no longer be shown is left out
        """
        how = how or self.settings
        directives = self._directives(user, at)
        request = self._request_of(user, at, directives)
        added: Vector | None = None
        if advised is not None:
            shown = self.catalogue.shown[advised.proposals.union]
            free = np.flatnonzero((shown != HIDDEN) & (shown != request.mark))
            proposals = Proposals(advised.proposals.union[free], advised.proposals.features[free])
            added = advised.added[free]
        else:
            proposals = self._propose(request, user.user_id)
            self._served.put(user.user_id, proposals)
        first: Ranked | None = None
        if how.experts == self.settings.experts and directives is NONE and not how.rearranges:
            ranked = self._ranker.best(proposals, request.touches, k, added)
            listed = self._listed(request, ranked, self._fresh(request, ranked, user.user_id, k, how), k)
            first = ranked if added is None and k >= SEEN else None
        else:
            listed = self._otherwise(user.user_id, request, proposals, k, how, directives, added)
        if first is None:
            first = self._ranker.best(proposals, request.touches, SEEN)
        self._served.show(user.user_id, first.slots[:SEEN])
        return listed

    def _otherwise(
        self,
        user_id: str,
        request: Request,
        proposals: Proposals,
        k: int,
        how: ListSettings,
        directives: Directives,
        added: Vector | None,
    ) -> list[Scored]:
        """A list of some experts alone, by rules, or rearranged."""
        if how.experts != self.settings.experts:
            proposals, added = self._asked(proposals, how), None
        if directives is not NONE or how.rearranges:
            return self._rearranged(directives, request, proposals, user_id, k, how, added)
        ranked = self._ranker.best(proposals, request.touches, k, added)
        return self._listed(request, ranked, self._fresh(request, ranked, user_id, k, how), k)

    def weigh(
        self, user: UserView, at: float, how: ListSettings | None = None, *, hidden: str | None = None
    ) -> Weighed:
        """What the score of every candidate for the user's list is made of, see `Weighed`; experts as in `experts`.

        how     as for `recommend`
        hidden  an item that is no candidate, although the user has not touched it
        """
        directives = self._directives(user, at)
        if hidden is not None and (slot := self.catalogue.slot(hidden)) >= 0:
            directives = structs.replace(directives, excluded=np.append(directives.excluded, np.int32(slot)))
        request = self._request_of(user, at, directives)
        proposals = self._asked(self._propose(request, user.user_id), how or self.settings)
        return self._ranker.weigh(proposals, request.touches)

    def bias(self, slot: int) -> float:
        """The score of an item that nobody proposes."""
        return self._ranker.bias(slot)

    @property
    def experts(self) -> list[str]:
        """By name, in the order in which they are asked."""
        return list(self._names)

    def forget(self, user_id: str) -> None:
        """Erase what is held of this user alone; counts that many users share stay, as they name nobody."""
        self._sessions.forget(user_id)
        self._served.forget(user_id)

    def snapshot(self) -> bytes:
        """All that was learned, with the catalogue, as bytes for `restore`."""
        return b"".join(pack(*self.state()))

    def state(self) -> tuple[dict[str, list[str]], dict[str, State]]:
        """The same as ids and arrays, for `of_state`."""
        parts = self._panel.state()
        parts["ranker"] = self._ranker.state()
        parts["sessions"] = self._sessions.state()
        parts["catalogue"] = self.catalogue.state()
        ids = {
            "items": self.catalogue.ids,
            "attributes": [word for words in self.catalogue.attributes for word in words],
            "users": self._sessions.users(),
            "events": list(self._events),
            "settings": [self.settings.shaping()],
        }
        return ids, parts

    @classmethod
    def restore(
        cls,
        data: Bytes,
        settings: RecommenderSettings | None = None,
        *,
        nearest: Nearest | None = None,
        known: Mapping[str, Sequence[str]] | None = None,
    ) -> "Recommender":
        """The recommender that `snapshot` was called on. Raises UnknownSnapshot."""
        return cls.of_state(*unpack(data), settings, nearest=nearest, known=known)

    @classmethod
    def of_state(
        cls,
        ids: dict[str, list[str]],
        parts: dict[str, State],
        settings: RecommenderSettings | None = None,
        *,
        nearest: Nearest | None = None,
        known: Mapping[str, Sequence[str]] | None = None,
    ) -> "Recommender":
        """The recommender that `state` was called on; the arrays are copied. Raises UnknownSnapshot."""
        recommender = cls(settings, nearest=nearest, known=known)
        recommender._load(ids, parts)
        return recommender

    def _lesson(self, taught: Taught, at: float) -> Lesson | None:
        """None where a worker with other experts drew it."""
        if len(taught.slope) != self._ranker.weights.shape[1]:
            return None
        return Lesson(taught.touches, taught.slope, self.catalogue.ensure_all(taught.items, at), taught.pulls)

    def _propose(self, request: Request, user_id: str) -> Proposals:
        return self._panel.propose(request, self._candidates, self._served.passed(user_id))

    def _asked(self, proposals: Proposals, how: ListSettings) -> Proposals:
        """What the experts proposed that have a say."""
        if how.experts == self.settings.experts:
            return proposals
        return only(proposals, [place for place, name in enumerate(self._names) if name in how.experts])

    def _directives(self, user: UserView, at: float) -> Directives:
        return self.rules.directives(user.traits, at) if self.rules is not None else NONE

    def _request_of(self, user: UserView, at: float, directives: Directives = NONE) -> Request:
        trail = user.history.trail(self.catalogue)
        row = self._sessions.find(user.user_id)
        request = self._request(row, trail, len(user.history), at, user.taste, user.profile)
        if len(directives.excluded):
            seen_or_excluded = np.concatenate([trail.slots, directives.excluded])
            request = request._replace(mark=self.catalogue.mark(seen_or_excluded))
        return request

    def _request(
        self, row: int, trail: Trail, touches: int, at: float, taste: Vector | None, profile: Vector | None
    ) -> Request:
        mark = self.catalogue.mark(trail.slots)
        return Request(row, trail, touches, at, self.catalogue.shown, mark, taste, profile)

    def _fresh(self, request: Request, ranked: Ranked, user_id: str, k: int, how: ListSettings) -> list[int]:
        """New items for the last places, other than those that are ranked anyway."""
        places = int(k * how.exploration_share)
        if not places:
            return []
        drawn = self._exploration.draw(request, user_id, places + len(ranked.slots), how).tolist()
        taken = set(ranked.slots.tolist())
        return [slot for slot in drawn if slot not in taken][:places]

    def _listed(self, request: Request, ranked: Ranked, fresh: list[int], k: int) -> list[Scored]:
        """Name the best items and why; the last places are for fresh ones, and for any while some are free."""
        kept = min(len(ranked.slots), k - len(fresh))
        floor = float(ranked.scores[kept - 1]) if kept else 0.0
        new = list(fresh)
        if kept + len(new) < k:
            new += self._rest(request, {*ranked.slots.tolist(), *new}, k - kept - len(new))
        ids, names = self.catalogue.ids, self._names
        listed = [
            self._scored(slot, score, names[expert], past)
            for slot, score, expert, past in zip(
                ranked.slots[:kept].tolist(),
                ranked.scores[:kept].tolist(),
                ranked.experts[:kept].tolist(),
                self._because(request, ranked)[:kept].tolist(),
                strict=True,
            )
        ]
        return listed + [Scored(ids[slot], floor, Exploration.name) for slot in new]

    def _rearranged(
        self,
        directives: Directives,
        request: Request,
        proposals: Proposals,
        user_id: str,
        k: int,
        how: ListSettings,
        added: Vector | None,
    ) -> list[Scored]:
        """The list as the rules would have it, and as diverse as is wanted."""
        rules = self.rules or self._no_rules
        scores = self._ranker.score(proposals, request.touches)
        if added is not None:
            scores = scores + added
        scores = rules.boost(directives, proposals.union, scores)
        rows = np.lexsort((proposals.union, -scores))
        order, free = proposals.union[rows], len(rows)
        best = Ranked(order[:k], scores[rows[:k]].astype(np.float64), np.zeros(min(k, len(rows)), np.int32))
        fresh = self._fresh(request, best, user_id, k, how)
        exposure = self._exposure_by(how)
        if exposure is not None:
            over = exposure.over(order, k)
            rows, free = rows[np.argsort(over, kind="stable")], len(rows) - int(over.sum())
            order = proposals.union[rows]
        ranked: list[int] = order.tolist()
        if free and (how.diversity or how.calibration):
            picked = reordered(self.catalogue, request.trail, order[:free], scores[rows[:free]], k, how)
            ranked = [*picked, *ranked[free:]]
        rest = self._rest(request, {*ranked, *fresh}, k) if len(ranked) < 2 * k else []
        slots, pinned = rules.arrange(
            directives, chain(ranked, rest), k, last=fresh, may_show=lambda slot: self._may_show(request, slot)
        )
        if exposure is not None:
            exposure.show(slots)
        return self._named(
            request, proposals, slots, scores, dict(zip(order.tolist(), rows.tolist(), strict=True)), pinned
        )

    def _named(
        self,
        request: Request,
        proposals: Proposals,
        slots: Sequence[int],
        scores: Floats,
        rows: Mapping[int, int],
        pinned: Collection[int],
    ) -> list[Scored]:
        """Say why each is there; what nobody proposed is explored, or pinned.

        scores, rows  of the proposals: (n,) float32, and slot -> row
        """
        chosen = [rows[slot] for slot in slots if slot in rows]
        subset = Proposals(proposals.union[chosen], proposals.features[chosen])
        ranked = self._ranker.best(subset, request.touches, len(chosen))
        speakers = self._because(request, ranked).tolist()
        why = dict(zip(ranked.slots.tolist(), zip(ranked.experts.tolist(), speakers, strict=True), strict=True))
        floor = float(scores[chosen].min()) if chosen else 0.0
        listed = []
        for slot in slots:
            expert, past = why.get(slot, (None, NOBODY))
            unproposed = PINNED if slot in pinned else Exploration.name
            reason = unproposed if expert is None else self._names[expert]
            score = float(scores[rows[slot]]) if slot in rows else floor
            listed.append(self._scored(slot, score, reason, past))
        return listed

    def _scored(self, slot: int, score: float, reason: str, past: int) -> Scored:
        ids = self.catalogue.ids
        because = ids[past] if past >= 0 else None
        both = self._panel.knowledge.shared(slot, past) if reason == KNOWLEDGE else []
        return Scored(ids[slot], score, reason, because, both[0] if both else None)

    def _exposure_by(self, how: ListSettings) -> Exposure | None:
        """What was shown by these settings, where they limit it: lists made in another way are counted apart."""
        if how.exposure_limit >= 1:
            return None
        if how not in self._exposures:
            attribute, limit = how.exposure_per, how.exposure_limit
            self._exposures[how] = Exposure(self.catalogue, attribute=attribute, limit=limit)
        return self._exposures[how]

    def _may_show(self, request: Request, slot: int) -> bool:
        shown = self.catalogue.shown[slot]
        return bool(shown != HIDDEN and shown != request.mark)

    def _because(self, request: Request, ranked: Ranked) -> Slots:
        """For each ranked item the slot of the past item that spoke for it, or NOBODY."""
        speakers = np.full(len(ranked.slots), NOBODY, np.int32)
        for place in set(ranked.experts.tolist()):
            own = np.flatnonzero(ranked.experts == place)
            speakers[own] = self._panel.because(place, request, ranked.slots[own])
        return speakers

    def _rest(self, request: Request, taken: set[int], missing: int) -> list[int]:
        """Items that nobody proposed, the newest first."""
        shown = self.catalogue.shown[: len(self.catalogue)]
        free = np.flatnonzero((shown != HIDDEN) & (shown != request.mark))
        rest = (slot for slot in free[::-1].tolist() if slot not in taken)
        return list(islice(rest, missing))

    def _know(self, slot: int) -> None:
        """Tell what is known of an item."""
        if KNOWLEDGE in self._names:
            own, known = self.catalogue.attributes[slot], self._known.get(self.catalogue.ids[slot], ())
            self._panel.knowledge.put(slot, [*own, *known])

    def _fit(self) -> None:
        """Follow the catalogue where it has outgrown the arrays."""
        if self.catalogue.capacity > len(self._panel.scratch.totals):
            self._panel.resize(self.catalogue.capacity)
            self._candidates.resize(self.catalogue.capacity)
            self._ranker.resize(self.catalogue.capacity)

    def _load(self, ids: dict[str, list[str]], parts: dict[str, State]) -> None:
        stored, own = json.decode(ids["settings"][0]), json.decode(self.settings.shaping())
        if changed := [name for name in own if stored.get(name) != own[name]]:
            differences = ", ".join(f"{name}={stored.get(name)!r} (now {own[name]!r})" for name in changed)
            raise UnknownSnapshot(f"snapshot taken with other settings: {differences}; learn from the log anew")
        self.catalogue.load(ids["items"], ids["attributes"], parts["catalogue"])
        self._fit()
        for slot in range(len(self.catalogue)):
            self._know(slot)
        self._panel.load(parts)
        self._ranker.load(parts["ranker"])
        self._sessions.load(ids["users"], parts["sessions"])
        self._events = OrderedDict.fromkeys(ids["events"])
