"""The path of one micro-batch, read top to bottom; what happens on the way is beside it:

intake.py      messages -> events, or dead letters
owned.py       partitions, and the users held in memory
learning.py    interactions change their users, and all workers learn of it
lists.py       a user's list, and what is held of it
forgetting.py  what is left of a user who is to be forgotten
embedding.py   uploads -> items, with their vectors
moderation.py  items that are looked at before they are listed
policy.py      the numbers

Every method takes the messages of one batch and returns only when their effect is durable: in Cassandra, and
acknowledged by Kafka. Then, and not before, may the caller commit their offsets. A batch that fails raises, and nothing
of it may be committed; handling it again has no further effect on a user.

A batch changes its users in memory, in turn with all others; storing them and publishing their lists may overlap. That
is safe in any order, as a row holds the whole user: of two writes the later version stays, and it holds the effect of
the earlier too. Of a batch that did not become durable nothing is committed, nor of any after it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from streams import metrics
from streams.advice import Advice
from streams.core.experiments.plan import Plan
from streams.core.history import History
from streams.core.memory.deniability import Deniability
from streams.core.user import RecentEvents, UserState, agree, blank, settle
from streams.errors import Fenced
from streams.events import Click, Embedded, Event, Profile, View, encode
from streams.pipeline.embedding import AcceptedUpload, Fuse, count_refusal, embed, latest_of_each, that_fit_in_memory
from streams.pipeline.forgetting import confirmation, remains, told_to_forget
from streams.pipeline.intake import Accepted, Refusals, by_key, take_in
from streams.pipeline.learning import learn
from streams.pipeline.lists import LISTS, Lists, taken_back
from streams.pipeline.moderation import Moderation
from streams.pipeline.owned import Owned
from streams.pipeline.policy import Policy
from streams.ports import Embedder, Incoming, Media, Outgoing, Sink, Store
from streams.replica import INTERACTIONS, Replica
from streams.shown import Answers

STEPS_TO_LEAVE = 4
"""Turns of the event loop after which a message that is published is on its way: the producer's own tasks need them."""


class Pipeline:
    """Handles micro-batches of the event topics, but for queries.

    replica       what this worker knows of items and of everybody; it has to be following its logs
    partition_of  Kafka key -> the partition it belongs to
    experiments   what is tried on whom; None tries nothing, and tells of no outcomes
    moderation    how uploads are looked at; None: they are listed as they are
    advice        the models that are shipped; None where none can be
    deniability   what everybody is told of touches; None: what they were
    answers       what answers to queries showed; None where clicks on them teach nothing of a search's rankings
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
        deniability: Deniability | None = None,
        answers: Answers | None = None,
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
        self.deniability = deniability
        self.answers = answers
        self.lists = Lists(replica, policy, experiments=experiments, advice=advice, clock=clock)
        self.clock = clock
        self._owned = Owned()
        self._refusals = Refusals()
        # Click, view and profile batches of one user may be in flight together; their changes take turns.
        self._turn = asyncio.Lock()

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
        self.lists.forget_all()
        metrics.OWNED.set(0)
        metrics.CACHED_USERS.set(0)

    async def interactions(self, batch: Sequence[Incoming], handed_over: Callable[[], None] = lambda: None) -> None:
        """Clicks and views: let each change its user, refresh their lists, and have all workers learn from it.

        The lists know all that this worker has published before.

        handed_over  called once the next batch may begin, before this one is durable
        """
        accepted, rejected = self._take_in(batch)
        async with self._turn:
            owned = self._owned
            users, accepted = _not_forgotten(await self._read_users(owned, accepted), accepted)
            with metrics.stage("learn"):
                await self.replica.learned_own()
            interactions = [event for _, event in accepted if isinstance(event, Click | View)]
            learned = learn(
                users,
                interactions,
                replica=self.replica,
                policy=self.policy,
                lists=self.lists,
                deniability=self.deniability,
                answers=self.answers,
            )
            # Told before the lists are made: it comes back meanwhile, and the next batch need not wait for it.
            told = self._publish(learned)
            durable = await self._write_and_refresh(owned, users, accepted, rejected)
        handed_over()
        await asyncio.gather(told, durable)

    async def profiles(self, batch: Sequence[Incoming]) -> None:
        """Profiles: embed what users say of themselves, do as they allow, and give each a list, be it their first."""
        accepted, rejected = self._take_in(batch)
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
                    count_refusal("profile", error)
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
                self.lists.forget(event.user_id)
                told.append(told_to_forget(user, self.replica))
        return told

    async def forgets(self, batch: Sequence[Incoming]) -> None:
        """Requests to forget: erase the user here and in the store, take their list back, tell all workers; confirm.

        A repeated delivery erases nothing of a user who has come back, but tells all workers again: the first attempt
        may have died before it did.
        """
        accepted, rejected = self._take_in(batch)
        async with self._turn:
            owned = self._owned
            epochs = owned.epochs_of(accepted)
            users = await self._read_users(owned, accepted)
            gone: dict[str, UserState] = {}
            confirmed: list[Outgoing] = []
            for user_id, causes in by_key(accepted).items():
                user, requests = users[user_id], [event for _, event in causes]
                fresh = [event for event in requests if user.recent_events.add(event.event_id)]
                left = remains(user, fresh)
                if left is not None:
                    left.version = owned.next_version(user, causes[0][0].partition)
                    gone[user_id] = left
                confirmed += [confirmation(user, left, event) for event in requests]
                metrics.EVENTS.labels("events.forget").inc(len(fresh))
                metrics.DUPLICATES.labels("events.forget").inc(len(requests) - len(fresh))
                del owned.users[user_id]
                self.lists.forget(user_id)
            with metrics.stage("store"):
                await self.store.forget_users(gone.values(), epochs)
            remaining = [gone.get(user_id, user) for user_id, user in users.items()]
            lists = [taken_back(user) for user in remaining if not user.known]
            told = [told_to_forget(user, self.replica) for user in remaining]
            await self._publish([*lists, *told, *rejected])
            await self._publish(confirmed)
        metrics.FORGOTTEN.inc(len(gone))

    async def uploads(self, batch: Sequence[Incoming]) -> None:
        """Uploads: embed every part, fuse, store, tell all workers. Of an item's uploads only the latest counts."""
        owned = self._owned
        accepted, rejected = self._take_in(batch)
        epochs = owned.epochs_of(accepted)
        uploads = await self._not_stored_later(latest_of_each(accepted))
        items: list[Embedded] = []
        told: list[Outgoing] = []
        with metrics.stage("embed"):
            for some in that_fit_in_memory(uploads):
                embedded, files = await embed(some, embedder=self.embedder, media=self.media, fuse=self.fuse)
                for (_, upload), item in zip(some, embedded, strict=True):
                    if self.moderation is not None:
                        item, news = await self.moderation.judge(upload, item, files[item.item_id], now=self.clock())
                        told += news
                    items.append(item)
        with metrics.stage("store"):
            await self.store.write_items(items, epochs)
        metrics.EVENTS.labels("events.upload").inc(len(accepted))
        with metrics.stage("emit"):
            announced = [Outgoing(self.replica.items_topic, item.item_id.encode(), encode(item)) for item in items]
            await self.sink.publish([*announced, *told, *rejected])

    def _take_in(self, batch: Sequence[Incoming]) -> tuple[list[Accepted], list[Outgoing]]:
        return take_in(batch, now=self.clock(), partition_of=self.partition_of, refusals=self._refusals)

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
        owned.shrink(max(self.policy.cached_users, len(users)))
        metrics.CACHED_USERS.set(len(owned.users))
        return users

    def _new_user(self, user_id: str) -> UserState:
        return UserState(user_id, History(), RecentEvents(limit=self.policy.dedup_window))

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
        epochs = owned.epochs_of(accepted)
        homes = {event.key: message.partition for message, event in accepted}
        for user in users.values():
            settle(user, self.replica.item_vectors.get, self.policy.taste_half_life, self.policy.remembered)
            user.version = owned.next_version(user, homes[user.user_id])
        write = asyncio.create_task(self._write(owned, users, epochs))
        for _ in range(STEPS_TO_LEAVE):  # the requests leave now, and travel while we rank
            await asyncio.sleep(0)
        made = await self.lists.make([(users[user_id], causes) for user_id, causes in by_key(accepted).items()])
        return asyncio.gather(write, self._publish([*self.lists.hand_out(made, users), *others]))

    async def _write(self, owned: Owned, users: Mapping[str, UserState], epochs: Mapping[int, int]) -> None:
        owned.writing.update(users.keys())
        nameless = [blank(user) for user in users.values() if not user.consent.profiling]
        with metrics.stage("store"):
            await self.store.write_users([user for user in users.values() if user.consent.profiling], epochs)
            if nameless:
                await self.store.forget_users(nameless, epochs)
        owned.written(users)

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

    async def _not_stored_later(self, latest: Mapping[str, AcceptedUpload]) -> list[AcceptedUpload]:
        """Those uploads than which nothing later is stored of their item."""
        with metrics.stage("store"):
            stored = await self.store.read_upload_times(list(latest)) if latest else {}
        current = [each for item_id, each in latest.items() if each[1].ts >= stored.get(item_id, 0.0)]
        metrics.LATE_UPLOADS.inc(len(latest) - len(current))
        return current


def _not_forgotten(
    users: Mapping[str, UserState], accepted: Sequence[Accepted]
) -> tuple[dict[str, UserState], list[Accepted]]:
    """Without events of before their user was forgotten, and the users of no other events."""
    since = []
    for message, event in accepted:
        if _counts(users[event.key], event):
            since.append((message, event))
        else:
            metrics.OF_FORGOTTEN.labels(message.topic).inc()
    return {event.key: users[event.key] for _, event in since}, since


def _counts(user: UserState, event: Event) -> bool:
    """What a user said last of what they allow counts, even if they asked to be forgotten since."""
    if event.ts > user.forgotten_at:
        return True
    return isinstance(event, Profile) and event.is_about_consent and event.ts == user.consent.at
