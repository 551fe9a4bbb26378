"""The path of one micro-batch, read top to bottom.

Every method takes the messages of one batch and returns only when their effect is durable: in Cassandra, and
acknowledged by Kafka. Then, and not before, may the caller commit their offsets. A batch that fails raises, and nothing
of it may be committed; handling it again has no further effect on a user.

A batch changes its users in memory, in turn with all others; storing them and publishing their lists may overlap. That
is safe in any order, as a row holds the whole user: of two writes the later version stays, and it holds the effect of
the earlier too. Of a batch that did not become durable nothing is committed, nor of any after it.
"""

import asyncio
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from encoders.contract import MODALITIES
from streams import metrics
from streams.advice import Advice
from streams.core.attention import modality_weights
from streams.core.digest import digest
from streams.core.evaluation import K
from streams.core.experiments import lists
from streams.core.experiments.assignment import Assigned, Assigner
from streams.core.experiments.attribution import Attribution, Given
from streams.core.experiments.plan import Plan
from streams.core.history import History
from streams.core.live_quality import LiveQuality
from streams.core.moderation import Limits, is_sealed, verdict
from streams.core.ownership import next_version
from streams.core.recommender import Advised, Interaction, Taught
from streams.core.user import RecentEvents, Touch, UserState, agree, apply, blank, settle
from streams.core.vectors import Vector, to_bytes
from streams.core.weighing import weigh
from streams.errors import Fenced, PartRefused, Rejected
from streams.events import (
    Click,
    Embedded,
    Event,
    Forgotten,
    Held,
    Learned,
    LearnedLesson,
    LearnedTouch,
    Outcome,
    Profile,
    Recommendations,
    Recommended,
    Upload,
    View,
    decode,
    encode,
)
from streams.ports import Embedder, Incoming, Media, Moderator, Outgoing, Sink, Store
from streams.replica import INTERACTIONS, ITEMS, Replica

LISTS = "recommendations"
QUEUE = "moderation.queue"
OUTCOMES = "experiments"
FORGOTTEN = "forgotten"
MAX_FETCHES = 8  # at once
MAX_UPLOADS_IN_MEMORY = 64  # with all their media, before they are vectors
MAX_MEDIA_IN_MEMORY = 1024**3  # bytes of these, should each be as large as is allowed

Accepted = tuple[Incoming, Event]
Fuse = Callable[[Mapping[str, Vector]], Vector | None]


class Policy(Struct, frozen=True, kw_only=True):
    """The numbers the pipeline goes by.

    taste_half_life   seconds until a touch counts half in a user's taste
    modality_weights  modality -> its weight for everybody, before a user's own choices speak
    list_length       items in a list
    remembered        seconds before the latest touch for which a user's history goes back
    dedup_window      event ids remembered for each user
    cached_users      users held in memory between batches
    quality_window    clicks by which the lists are judged live
    quality_trait     of profiles, by whose values these are told apart; empty: none
    typical_dwell     seconds on an item that say as much as if no time was given
    """

    click_weight: float = 1.0
    view_weight: float = 0.2
    taste_half_life: float = 7 * 86_400.0
    modality_weights: Mapping[str, float]
    list_length: int = 20
    remembered: float = math.inf
    dedup_window: int = 1024
    cached_users: int = 50_000
    quality_window: int = 10_000
    quality_trait: str = ""
    typical_dwell: float = 30.0

    def weight(self, event: Click | View) -> float:
        """How much the event says; see `core.weighing`."""
        base = self.click_weight if isinstance(event, Click) else self.view_weight
        return weigh(base, rating=event.rating, dwell_s=event.dwell_s, typical_dwell_s=self.typical_dwell)


class Moderation(Struct, frozen=True):
    """How uploads are looked at before they are listed.

    limits  part -> scores from which it is held, and refused
    key     with which moderators seal what they allow
    """

    moderator: Moderator
    limits: Mapping[str, Limits]
    key: bytes


class Owned(Struct):
    """The partitions that this worker owns, and their users held in memory.

    A rebalance replaces it as a whole: a batch that began before goes on with what it began with.

    epochs   partition -> the epoch in which it was claimed, see `core.ownership`
    writing  user -> writes on their way: until they are acknowledged, the store may know an older state than we do
    """

    epochs: Mapping[int, int] = {}
    users: OrderedDict[str, UserState] = field(default_factory=OrderedDict)
    writing: Counter[str] = field(default_factory=Counter)


class Pipeline:
    """Handles micro-batches of the event topics, but for queries.

    replica       what this worker knows of items and of everybody; it has to be following its logs
    partition_of  Kafka key -> the partition it belongs to
    experiments   what is tried on whom; None tries nothing, and tells of no outcomes
    moderation    how uploads are looked at; None: they are listed as they are
    advice        the models that are shipped; None where none can be
    clock         the wall clock, seconds since the epoch: for checking and stamping, never for learning
    """

    def __init__(
        self,
        *,
        store: Store,
        embedder: Embedder,
        media: Media,
        sink: Sink,
        replica: Replica,
        fuse: Fuse,
        policy: Policy,
        partition_of: Callable[[bytes], int],
        moderation: Moderation | None = None,
        experiments: Plan | None = None,
        advice: Advice | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.embedder = embedder
        self.media = media
        self.sink = sink
        self.replica = replica
        self.fuse = fuse
        self.policy = policy
        self.partition_of = partition_of
        self.moderation = moderation
        self.advice = advice
        self.clock = clock
        self.quality = LiveQuality(window=policy.quality_window, users=policy.cached_users)
        self.assigner = Assigner(experiments or Plan(), replica.recommender.settings)
        self.attribution = (
            Attribution(window=experiments.window_seconds, users=policy.cached_users) if experiments else None
        )
        self._owned = Owned()
        # Click, view and profile batches of one user may be in flight together; their changes take turns.
        self._turn = asyncio.Lock()
        self._fetches = asyncio.Semaphore(MAX_FETCHES)

    async def own(self, partitions: Collection[int]) -> None:
        """Claim these partitions, for the time until the next call or `disown`. Raises StoreUnavailable."""
        epochs = await self.store.claim(partitions, self.replica.worker)
        self._owned = Owned(epochs)
        metrics.OWNED.set(len(epochs))

    async def check_ownership(self) -> None:
        """Raises Fenced when another worker has claimed a partition of ours, as `anabranch rebuild` does."""
        owned = self._owned
        try:
            await self.store.write_users([], owned.epochs)
        except Fenced:
            if owned is self._owned:  # otherwise it moved in good order meanwhile
                raise

    def disown(self) -> None:
        """Forget partitions and users: they may have moved to another worker."""
        self._owned = Owned()
        self.quality.forget_lists()
        if self.attribution is not None:
            self.attribution.forget_lists()
        if self.advice is not None:
            self.advice.residual.forget_lists()
        metrics.OWNED.set(0)
        metrics.CACHED_USERS.set(0)

    async def interactions(self, batch: Sequence[Incoming], handed_over: Callable[[], None] = lambda: None) -> None:
        """Clicks and views: let each change its user, refresh their lists, and have all workers learn from it.

        The lists know all that this worker has published before.

        handed_over  called once the next batch may begin, before this one is durable
        """
        accepted, rejected = self._decode(batch)
        async with self._turn:
            owned = self._owned
            users, accepted = _not_forgotten(await self._read_users(owned, accepted), accepted)
            with metrics.stage("learn"):
                await self.replica.learned_own()
            learned = self._touch(users, [event for _, event in accepted if isinstance(event, Click | View)])
            durable = await self._write_and_refresh(owned, users, accepted, [*learned, *rejected])
        handed_over()
        await durable

    async def profiles(self, batch: Sequence[Incoming]) -> None:
        """Profiles: embed what users say of themselves, do as they allow, and give each a list, be it their first."""
        accepted, rejected = self._decode(batch)
        said = [event for _, event in accepted if isinstance(event, Profile)]
        traits = [encode(event.traits) for event in said if event.traits is not None]
        with metrics.stage("embed"):
            embedded = await self.embedder.embed("profile", traits)
        answers = zip(traits, embedded.vectors, embedded.errors, strict=True)
        async with self._turn:
            owned = self._owned
            users = await self._read_users(owned, accepted)
            told = self._agree(owned, users, said)
            counting, accepted = _not_forgotten(users, accepted)
            for event in said:
                raw, vector, error = next(answers) if event.traits is not None else (b"", None, "")
                user = counting.get(event.user_id)
                if user is None or not _counts(user, event):
                    continue
                if event.traits is None or not user.consent.profiling:
                    metrics.EVENTS.labels("events.profile").inc()
                elif vector is None:
                    _count_refusal("profile", error)
                elif user.recent_events.add(event.event_id):
                    if event.ts >= user.profile_at:
                        user.profile, user.traits, user.profile_at = vector, raw, event.ts
                    metrics.EVENTS.labels("events.profile").inc()
                else:
                    metrics.DUPLICATES.labels("events.profile").inc()
            durable = await self._write_and_refresh(owned, counting, accepted, [*told, *rejected])
        await durable

    def _agree(self, owned: Owned, users: dict[str, UserState], said: Sequence[Profile]) -> list[Outgoing]:
        """Let users be as they allow from now on; what all workers are to be told.

        Whoever takes something back is told of again when the event is delivered again: the first attempt may have died
        before it was.
        """
        told = []
        for event in said:
            if not event.is_about_consent:
                continue
            user = agree(users[event.user_id], event.ts, event.profiling, event.use_profile)
            users[event.user_id] = owned.users[event.user_id] = user
            if user.consent.objects and user.consent.at == event.ts:
                metrics.OBJECTIONS.inc()
                self._let_go(event.user_id)
                told.append(self._told_to_forget(user))
        return told

    def _let_go(self, user_id: str) -> None:
        """Erase what this worker holds of a user beside their state."""
        self.quality.forget(user_id)
        if self.attribution is not None:
            self.attribution.forget(user_id)
        if self.advice is not None:
            self.advice.residual.forget(user_id)

    async def forgets(self, batch: Sequence[Incoming]) -> None:
        """Requests to forget: erase the user here and in the store, take their list back, tell all workers; confirm.

        A repeated delivery erases nothing of a user who has come back, but tells all workers again: the first attempt
        may have died before it did.
        """
        accepted, rejected = self._decode(batch)
        async with self._turn:
            owned = self._owned
            epochs = _epochs(owned, accepted)
            users = await self._read_users(owned, accepted)
            gone: dict[str, UserState] = {}
            confirmed: list[Forgotten] = []
            for user, causes in _by_user(users, accepted):
                requests = [event for _, event in causes]
                fresh = [event for event in requests if user.recent_events.add(event.event_id)]
                blank = self._blank(user, fresh)
                if blank is not None:
                    blank.version = _next_version(user, causes[0][0].partition, epochs)
                    gone[user.user_id] = blank
                confirmed += [_forgotten(user, blank, event) for event in requests]
                metrics.EVENTS.labels("events.forget").inc(len(fresh))
                metrics.DUPLICATES.labels("events.forget").inc(len(requests) - len(fresh))
                del owned.users[user.user_id]
                self._let_go(user.user_id)
            with metrics.stage("store"):
                await self.store.forget_users(gone.values(), epochs)
            left = [gone.get(user_id, user) for user_id, user in users.items()]
            taken_back = [_taken_back(user) for user in left if not user.known]
            told = [self._told_to_forget(user) for user in left]
            await self._publish([*taken_back, *told, *rejected])
            await self._publish([_confirmation(each) for each in confirmed])
        metrics.FORGOTTEN.inc(len(gone))

    async def uploads(self, batch: Sequence[Incoming]) -> None:
        """Uploads: embed every part, fuse, store, tell all workers. Of an item's uploads only the latest counts."""
        owned = self._owned
        accepted, rejected = self._decode(batch)
        epochs = _epochs(owned, accepted)
        uploads = await self._latest(accepted)
        items: list[Embedded] = []
        queue: list[Outgoing] = []
        with metrics.stage("embed"):
            for some in _that_fit_in_memory(uploads):
                embedded, pictures = await self._embed(some)
                if self.moderation is not None:
                    embedded, moderated = await self._moderate(self.moderation, some, embedded, pictures)
                    queue += moderated
                items += embedded
        with metrics.stage("store"):
            await self.store.write_items(items, epochs)
        metrics.EVENTS.labels("events.upload").inc(len(accepted))
        with metrics.stage("emit"):
            announced = [Outgoing(ITEMS, item.item_id.encode(), encode(item)) for item in items]
            await self.sink.publish([*announced, *queue, *rejected])

    def _decode(self, batch: Sequence[Incoming]) -> tuple[list[Accepted], list[Outgoing]]:
        """Tell good events from bad; the bad ones become dead letters that hold the original bytes."""
        accepted: list[Accepted] = []
        rejected: list[Outgoing] = []
        now = self.clock()
        metrics.BATCH.labels(batch[0].topic).observe(len(batch))
        metrics.STAGE.labels("queue").observe(max(0.0, now - batch[0].published_at))
        for message in batch:
            try:
                event = decode(message.topic, message.value, key=message.key, now=now)
                self._check_partition(message, event)
                accepted.append((message, event))
            except Rejected as refusal:
                metrics.REJECTED.labels(message.topic, refusal.reason).inc()
                rejected.append(dead_letter(message, refusal))
        return accepted, rejected

    def _check_partition(self, message: Incoming, event: Event) -> None:
        """Elsewhere, another worker would write the same user. Raises Rejected."""
        own = self.partition_of(event.key.encode())
        if message.partition != own:
            raise Rejected(
                "wrong_partition", f"partition {message.partition}, where key {event.key!r} belongs to {own}"
            )

    async def _read_users(self, owned: Owned, accepted: Sequence[Accepted]) -> dict[str, UserState]:
        """The users of these events, from memory, from the store, or new."""
        wanted = dict.fromkeys(event.key for _, event in accepted)
        missing = [user_id for user_id in wanted if user_id not in owned.users]
        with metrics.stage("store"):
            stored = await self.store.read_users(missing) if missing else {}
        users = {}
        for user_id in wanted:
            user = owned.users.pop(user_id, None) or stored.get(user_id) or self._new_user(user_id)
            users[user_id] = owned.users[user_id] = user
        room = max(self.policy.cached_users, len(users))
        while len(owned.users) > room and next(iter(owned.users)) not in owned.writing:
            owned.users.popitem(last=False)
        metrics.CACHED_USERS.set(len(owned.users))
        return users

    def _blank(self, user: UserState, requests: Sequence[Event]) -> UserState | None:
        """What is left of a user once these are carried out; None where all of them had been before."""
        if not requests:
            return None
        left = blank(user)
        for event in requests:
            left.recent_events.add(event.event_id)
        left.forgotten_at = max(user.forgotten_at, *(event.ts for event in requests))
        return left

    def _told_to_forget(self, user: UserState) -> Outgoing:
        learned = Learned(user_id=user.user_id, touches=[], worker=self.replica.worker, forgotten=True)
        return Outgoing(INTERACTIONS, user.user_id.encode(), encode(learned))

    def _new_user(self, user_id: str) -> UserState:
        return UserState(user_id, History(), RecentEvents(limit=self.policy.dedup_window))

    def _touch(self, users: Mapping[str, UserState], events: Sequence[Click | View]) -> list[Outgoing]:
        """Let interactions change their users; what the log of interactions is to hear of them.

        A repeated delivery changes nothing, but is logged again: the first attempt may have died before it was.
        """
        recommender, views = self.replica.recommender, {}
        rehearsal = recommender.rehearsal()
        touches: dict[str, list[LearnedTouch]] = {user_id: [] for user_id in users}
        counts: Counter[tuple[str, bool]] = Counter()
        for event in events:
            clicked = isinstance(event, Click)
            weight = self.policy.weight(event)
            user = users[event.user_id]
            if not user.consent.profiling:
                counts["events.click" if clicked else "events.view", True] += 1
                metrics.UNPROFILED.inc()
                continue
            if event.user_id not in views:
                views[event.user_id] = user.view(self._weights(user))
            interaction = Interaction(event.event_id, event.user_id, event.item_id, event.ts, weight)
            taught = recommender.judge(rehearsal, views[event.user_id], interaction)
            fresh = apply(user, event.event_id, Touch(event.item_id, event.ts, weight))
            counts["events.click" if clicked else "events.view", fresh] += 1
            if clicked and fresh and not self.quality.click(event.user_id, event.item_id, self._group(user)):
                metrics.UNJUDGED.inc()
            if clicked and fresh and event.query_id is None and self.attribution is not None:
                self.attribution.click(event.user_id, event.item_id, self.clock())
            if clicked and fresh and self.advice is not None:
                self.advice.residual.choose(event.user_id, recommender.catalogue.slot(event.item_id))
            if clicked and fresh and event.query_id is not None and event.position is not None:
                metrics.SEARCH_CLICKS.observe(event.position + 1)
            touches[event.user_id].append(_touched(interaction, taught))
        for (topic, fresh), count in counts.items():
            (metrics.EVENTS if fresh else metrics.DUPLICATES).labels(topic).inc(count)
        return [self._logged(users[user_id], each) for user_id, each in touches.items() if each]

    def _group(self, user: UserState) -> str:
        """Of users, by the trait whose values are told apart."""
        trait = self.policy.quality_trait
        return str(msgspec.json.decode(user.traits).get(trait, "")) if trait and user.traits else ""

    def _logged(self, user: UserState, touches: list[LearnedTouch]) -> Outgoing:
        known, own = self.replica.recommender.profile(user.user_id), user.view({}).profile
        news = own is not None and (known is None or not np.array_equal(known, own))
        profile = to_bytes(own) if news and own is not None else b""
        learned = Learned(user_id=user.user_id, touches=touches, worker=self.replica.worker, profile=profile)
        return Outgoing(INTERACTIONS, user.user_id.encode(), encode(learned))

    async def _write_and_refresh(
        self,
        owned: Owned,
        users: Mapping[str, UserState],
        accepted: Sequence[Accepted],
        others: Sequence[Outgoing],
    ) -> Awaitable[Any]:
        """Have the users stored, and meanwhile rank and publish their lists; what to await until both are durable.

        A list may be read before what it was made of is durable. If the worker dies in between, the events come again,
        and the list is made again with a greater version.
        """
        epochs = _epochs(owned, accepted)
        homes = {event.key: message.partition for message, event in accepted}
        for user in users.values():
            settle(user, self.replica.item_vectors.get, self.policy.taste_half_life, self.policy.remembered)
            user.version = _next_version(user, homes[user.user_id], epochs)
        write = asyncio.create_task(self._write(owned, users, epochs))
        await asyncio.sleep(0)  # the requests leave now, and travel while we rank
        wanted = list(_by_user(users, accepted))
        advised = await self._advise(wanted)
        with metrics.stage("rank"):
            made = [self._list(user, causes, advised.get(user.user_id)) for user, causes in wanted]
        emitted_at = self.clock()
        stamped = [_stamped(each, emitted_at) for each in made]
        profiled = [each for each in made if users[each.user_id].consent.profiling]
        outcomes = [_outcome(each, self.attribution) for each in profiled] if self.attribution is not None else []
        for each in profiled:
            self.quality.hold(each.user_id, [item.item_id for item in each.items])
        for each in made:
            metrics.EVENT_TO_LIST.observe(max(0.0, emitted_at - each.published_at))
        return asyncio.gather(write, self._publish([*stamped, *outcomes, *others]))

    async def _write(self, owned: Owned, users: Mapping[str, UserState], epochs: Mapping[int, int]) -> None:
        owned.writing.update(users.keys())
        nameless = [blank(user) for user in users.values() if not user.consent.profiling]
        with metrics.stage("store"):
            await self.store.write_users([user for user in users.values() if user.consent.profiling], epochs)
            if nameless:
                await self.store.forget_users(nameless, epochs)
        for user_id in users:
            owned.writing[user_id] -= 1
            if not owned.writing[user_id]:
                del owned.writing[user_id]

    def _publish(self, messages: Sequence[Outgoing]) -> Awaitable[None]:
        """Begin to publish; what to await until all is acknowledged.

        Giving up the batch does not stop it: the next would wait for ever until what was to be published is learned.
        """
        self.replica.publishing(sum(each.topic == INTERACTIONS for each in messages))
        return asyncio.shield(asyncio.create_task(self._emit(messages)))

    async def _emit(self, messages: Sequence[Outgoing]) -> None:
        with metrics.stage("emit"):
            await self.sink.publish(messages)
        metrics.LISTS.inc(sum(each.topic == LISTS and each.value is not None for each in messages))

    async def _advise(self, wanted: Sequence[tuple[UserState, Sequence[Accepted]]]) -> Mapping[str, Advised]:
        """What shipped models say of these lists; nothing of those that are interleaved."""
        if self.advice is None or not self.advice.serves:
            return {}
        users = []
        for user, causes in wanted:
            assigned = self._assigned(user)
            if user.consent.profiling and not assigned.teams:
                view = user.view(self._weights(user, assigned.settings[0].fusion_weights))
                users.append((view, _latest_time(causes)))
        return await self.advice.advise(self.replica.recommender, users)

    def _list(self, user: UserState, causes: Sequence[Accepted], advised: Advised | None) -> Recommendations:
        latest = _latest_time(causes)
        assigned = self._assigned(user)
        weights = self._weights(user, assigned.settings[0].fusion_weights)
        best, arms = lists.make(
            self.replica.recommender,
            assigned,
            lambda base: user.view(self._weights(user, base) if base else weights),
            latest,
            self.policy.list_length,
            f"{user.user_id} {user.version}",
            advised,
        )
        return Recommendations(
            user_id=user.user_id,
            list_version=user.version,
            items=[
                Recommended(each.item_id, round(each.score, 6), each.reason, each.because, arm)
                for each, arm in zip_longest(best, arms)
            ],
            event_ids=[event.event_id for _, event in causes],
            event_ts=latest,
            published_at=min(message.published_at for message, _ in causes),
            emitted_at=0.0,
            modalities={name: round(weight, 3) for name, weight in weights.items()},
            variants=dict(assigned.variants),
        )

    def _assigned(self, user: UserState) -> Assigned:
        """The user's arms; who allows no profiling is in none."""
        return self.assigner.assign(user.user_id) if user.consent.profiling else self.assigner.nowhere

    def _weights(self, user: UserState, base: Mapping[str, float] | None = None) -> dict[str, float]:
        return modality_weights(user.taste, self.replica.background, base or self.policy.modality_weights)

    async def _latest(self, accepted: Sequence[Accepted]) -> list[tuple[Incoming, Upload]]:
        """The latest upload of each item; none where what is stored is later still."""
        latest: dict[str, tuple[Incoming, Upload]] = {}
        for message, event in accepted:
            if isinstance(event, Upload):
                known = latest.get(event.item_id)
                if known is None or event.ts >= known[1].ts:
                    latest[event.item_id] = message, event
        with metrics.stage("store"):
            stored = await self.store.read_upload_times(list(latest)) if latest else {}
        current = [each for each in latest.values() if each[1].ts >= stored.get(each[1].item_id, 0.0)]
        metrics.LATE_UPLOADS.inc(len(latest) - len(current))
        return current

    async def _moderate(
        self,
        how: Moderation,
        accepted: Sequence[tuple[Incoming, Upload]],
        items: Sequence[Embedded],
        pictures: Mapping[str, Sequence[bytes]],
    ) -> tuple[list[Embedded], list[Outgoing]]:
        """The items, those withdrawn that are held or refused; and what the moderators' queue is to hear of each."""
        judged: list[Embedded] = []
        queue: list[Outgoing] = []
        for (_, upload), item in zip(accepted, items, strict=True):
            scores: Mapping[str, float] = {}
            if not (upload.withdrawn or is_sealed(how.key, upload.content(), upload.allowed)):
                words = "\n".join(filter(None, (item.title, item.text, " ".join(item.attributes))))
                scores = await how.moderator.judge(words, item.language, pictures.get(item.item_id, ()))
            outcome = verdict(scores, how.limits)
            metrics.MODERATED.labels(outcome).inc()
            value = None  # nothing, or no longer, to look at
            if outcome != "allow":
                reason = ", ".join(f"{part} {score:.2f}" for part, score in scores.items())
                item = replace(item, withdrawn=True, refused=item.refused | {"moderation": f"{outcome}: {reason}"})
            if outcome == "hold":
                value = encode(Held(upload=upload, scores=dict(scores), held_at=self.clock()))
            queue.append(Outgoing(QUEUE, item.item_id.encode(), value))
            judged.append(item)
        return judged, queue

    async def _embed(
        self, accepted: Sequence[tuple[Incoming, Upload]]
    ) -> tuple[list[Embedded], dict[str, list[bytes]]]:
        """Vectors of every part of every item, one call to Triton for each modality; and each item's pictures."""
        uploads = [upload for _, upload in accepted]
        vectors: dict[str, dict[str, Vector]] = {upload.item_id: {} for upload in uploads}
        refused: dict[str, dict[str, str]] = {upload.item_id: {} for upload in uploads}
        languages: dict[str, str] = {}
        heard: dict[str, str] = {}
        present = [upload for upload in uploads if not upload.withdrawn]
        contents: dict[str, list[tuple[str, bytes]]] = {}
        for upload in present:
            if words := "\n".join(filter(None, (upload.title, upload.text, " ".join(upload.attributes)))):
                contents.setdefault("text", []).append((upload.item_id, words.encode()))
        wanted = [(upload.item_id, modality, uri) for upload in present for modality, uri in upload.media.items()]
        fetched = await asyncio.gather(*(self._fetch(modality, uri) for _, modality, uri in wanted))
        for (item_id, modality, _), part in zip(wanted, fetched, strict=True):
            if isinstance(part, PartRefused):
                refused[item_id][modality] = str(part)
                _count_refusal(modality, str(part))
            else:
                contents.setdefault(modality, []).append((item_id, part))
        for modality, parts in contents.items():
            embedded = await self.embedder.embed(modality, [part for _, part in parts])
            for (item_id, _), vector, error, language, words in zip(
                parts, embedded.vectors, embedded.errors, embedded.languages, embedded.words, strict=True
            ):
                if words:
                    heard[item_id] = words
                if language:
                    languages[item_id] = language
                    metrics.LANGUAGES.labels(language).inc()
                if vector is None:
                    refused[item_id][modality] = error
                    _count_refusal(modality, error)
                else:
                    vectors[item_id][modality] = vector
        pictures: dict[str, list[bytes]] = {}
        for item_id, picture in contents.get("image", ()):
            if "image" in vectors[item_id]:
                pictures.setdefault(item_id, []).append(picture)
        items = [
            self._fused(
                message,
                upload,
                vectors[upload.item_id],
                refused[upload.item_id],
                language=languages.get(upload.item_id, ""),
                heard=heard.get(upload.item_id, ""),
            )
            for message, upload in accepted
        ]
        return items, pictures

    async def _fetch(self, modality: str, uri: str) -> bytes | PartRefused:
        async with self._fetches:
            try:
                return await self.media.fetch(uri, MODALITIES[modality].max_bytes)
            except PartRefused as refusal:
                return refusal

    def _fused(
        self,
        message: Incoming,
        upload: Upload,
        vectors: dict[str, Vector],
        refused: dict[str, str],
        *,
        language: str,
        heard: str,
    ) -> Embedded:
        fused = self.fuse(vectors)
        return Embedded(
            item_id=upload.item_id,
            at=upload.ts,
            title=upload.title,
            text="\n".join(filter(None, (upload.text, heard))),
            attributes=upload.attributes,
            media={modality: uri for modality, uri in upload.media.items() if not uri.startswith("data:")},
            vectors={
                name: to_bytes(vector)
                for name, vector in (vectors | ({"fused": fused} if fused is not None else {})).items()
            },
            refused=refused,
            language=language,
            withdrawn=upload.withdrawn,
            offset=message.offset,
        )


def _latest_time(causes: Sequence[Accepted]) -> float:
    return max(event.ts for _, event in causes)


def _epochs(owned: Owned, accepted: Sequence[Accepted]) -> dict[int, int]:
    """The epochs of the partitions that a batch is from. Raises Fenced where one is not ours."""
    partitions = {message.partition for message, _ in accepted}
    if missing := partitions - owned.epochs.keys():
        raise Fenced(f"{accepted[0][0].topic} partition {min(missing)} is not claimed by this worker")
    return {partition: owned.epochs[partition] for partition in partitions}


def _next_version(user: UserState, partition: int, epochs: Mapping[int, int]) -> int:
    version = next_version(user.version, epochs[partition])
    if version is None:
        raise Fenced(f"partition {partition}: a user has version {user.version}, beyond epoch {epochs[partition]}")
    return version


def _by_user(
    users: Mapping[str, UserState], accepted: Iterable[Accepted]
) -> Iterable[tuple[UserState, list[Accepted]]]:
    causes: dict[str, list[Accepted]] = {}
    for pair in accepted:
        causes.setdefault(pair[1].key, []).append(pair)
    return ((users[user_id], pairs) for user_id, pairs in causes.items())


def _not_forgotten(
    users: Mapping[str, UserState], accepted: Sequence[Accepted]
) -> tuple[dict[str, UserState], list[Accepted]]:
    """Without events of before their user was forgotten, and the users of no other events."""
    since = [(message, event) for message, event in accepted if _counts(users[event.key], event)]
    if dropped := len(accepted) - len(since):
        metrics.OF_FORGOTTEN.labels(accepted[0][0].topic).inc(dropped)
    return {event.key: users[event.key] for _, event in since}, since


def _counts(user: UserState, event: Event) -> bool:
    """What a user said last of what they allow counts, even if they asked to be forgotten since."""
    if event.ts > user.forgotten_at:
        return True
    return isinstance(event, Profile) and event.is_about_consent and event.ts == user.consent.at


def _forgotten(user: UserState, blank: UserState | None, request: Event) -> Forgotten:
    """What to confirm.

    user   as they were
    blank  what is left of them, None where the request had been carried out before
    """
    return Forgotten(
        event_id=request.event_id,
        user_id=user.user_id,
        interactions=len(user.history) if blank else 0,
        profile=blank is not None and user.profile is not None,
        forgotten_at=(blank or user).forgotten_at,
    )


def _confirmation(each: Forgotten) -> Outgoing:
    return Outgoing(FORGOTTEN, each.user_id.encode(), encode(each))


def _taken_back(user: UserState) -> Outgoing:
    """No list, in place of the user's; the version tells readers which lists are older."""
    return Outgoing(LISTS, user.user_id.encode(), None, (("list_version", str(user.version).encode()),))


def _touched(interaction: Interaction, taught: Taught | None) -> LearnedTouch:
    lesson = None
    if taught is not None:
        slope, pulls = to_bytes(taught.slope), to_bytes(taught.pulls)
        lesson = LearnedLesson(touches=taught.touches, slope=slope, items=taught.items, pulls=pulls)
    return LearnedTouch(
        event_id=interaction.event_id,
        item_id=interaction.item_id,
        at=interaction.at,
        weight=interaction.weight,
        lesson=lesson,
    )


def _stamped(each: Recommendations, emitted_at: float) -> Outgoing:
    each.emitted_at = emitted_at
    return Outgoing(LISTS, each.user_id.encode(), encode(each))


def _outcome(each: Recommendations, attribution: Attribution) -> Outgoing:
    """Hold the list, which is stamped, for its user; tell of it, and of what came of the one before."""
    teams = [item.arm for item in each.items[:K] if item.arm is not None]
    given = Given([item.item_id for item in each.items[:K]], teams, each.emitted_at, each.variants)
    before = attribution.hold(each.user_id, given) or Given([], [], 0.0, {})
    for experiment, arm in each.variants.items():
        metrics.EXPERIMENT_LISTS.labels(experiment, arm).inc()
    for experiment, arm in before.variants.items() if before.place else ():
        metrics.EXPERIMENT_HITS.labels(experiment, arm).inc()
    outcome = Outcome(
        user=digest(each.user_id).hex(),
        at=each.emitted_at,
        list_version=each.list_version,
        variants=each.variants,
        items=len(each.items),
        seconds=round(max(0.0, each.emitted_at - each.published_at), 6),
        before=dict(before.variants),
        clicks=before.clicks,
        place=before.place,
        credit=dict(before.credit),
    )
    return Outgoing(OUTCOMES, outcome.user.encode(), encode(outcome))


def dead_letter(message: Incoming, refusal: Rejected) -> Outgoing:
    """What becomes of a bad event: its original bytes, and where they were."""
    headers = (
        ("reason", refusal.reason.encode()),
        ("detail", refusal.detail.encode()[:1000]),
        ("topic", message.topic.encode()),
        ("partition", str(message.partition).encode()),
        ("offset", str(message.offset).encode()),
    )
    return Outgoing("events.rejected", message.key, message.value or b"", headers)


def _that_fit_in_memory(accepted: Iterable[tuple[Incoming, Upload]]) -> Iterator[list[tuple[Incoming, Upload]]]:
    """The uploads, in order, in groups whose media fit in memory however large a stranger has made them."""
    group: list[tuple[Incoming, Upload]] = []
    room = MAX_MEDIA_IN_MEMORY
    for message, upload in accepted:
        size = sum(MODALITIES[modality].max_bytes for modality in upload.media)
        if group and (size > room or len(group) == MAX_UPLOADS_IN_MEMORY):
            yield group
            group, room = [], MAX_MEDIA_IN_MEMORY
        group.append((message, upload))
        room -= size
    if group:
        yield group


def _count_refusal(modality: str, error: str) -> None:
    metrics.PARTS_REFUSED.labels(modality, error.partition(":")[0]).inc()
