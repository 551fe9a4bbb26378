"""`anabranch rebuild`: make users and items anew from the events in Kafka, and put them in place of those stored.

For when what is stored is wrong, or made by settings that no longer hold: the half-life of the taste, the weight of a
view. The log is read beside running workers, into a new keyspace. Then the workers' partitions are claimed, so that
they end; the group's offsets are set back to where the reading ended; and the new keyspace takes the old one's place
in a single row. Workers that start meanwhile wait for it, and go on with what the log has since: an event that both
have counted counts once.

What all workers have learned together (`interactions`) is a log of its own, and stays.

Items are taken from their log, but for `anabranch rebuild --embed`: then they are embedded again, by the weights that
Triton serves now, into a new log beside the old one, and the row that names the keyspace names that log from then on.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from heapq import merge
from operator import attrgetter

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from msgspec import Struct, structs
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from streams import access, topics
from streams.adapters import schema
from streams.adapters.cassandra import CassandraStore, who
from streams.adapters.kafka import KafkaSink, PartitionOf
from streams.adapters.triton import PatientEmbedder, TritonEmbedder
from streams.app import fuse_of, policy_of
from streams.batched import batched
from streams.core.consent import Consent
from streams.core.history import History
from streams.core.user import ItemVectors, RecentEvents, Touch, UserState, agree, apply, blank, settle
from streams.core.vectors import from_bytes
from streams.embedding_anew import UPLOADS, ToEmbed, embed_anew, in_groups, lost_parts, with_uploads
from streams.errors import AnabranchError, KafkaUnavailable, Rejected, StoreUnavailable
from streams.event_log import EventLog, GroupBusy, incoming, of_partition, read_event, take_items
from streams.events import Click, Embedded, Event, Forget, Profile, Upload, View, encode
from streams.pipeline.embedding import AcceptedUpload
from streams.pipeline.policy import Policy
from streams.ports import Embedder, Outgoing, Store
from streams.progress import bars
from streams.searching import media_reader
from streams.settings import Settings
from streams.spaces import Spaces
from streams.verify import can_be_embedded

TOPICS = ("events.click", "events.view", "events.profile", "events.forget")
FROM_PLACES = TOPICS[:-1]
NEITHER = "neither a time, such as 2026-11-01 or 2026-11-01T08:30+01:00, nor a place of the log, TOPIC:PARTITION:OFFSET"
AT_ONCE = 500  # users or items written together
FEW = 500  # items that came while others were embedded: these may as well come to the workers afterwards
PATIENCE = 120.0  # seconds for workers to end

Since = float | Mapping[TopicPartition, int] | None
"""Where a rebuild begins: with all, at so many seconds since the epoch, or at these offsets of these partitions, and in
the others when the earliest of those messages came."""


class Outcome(Struct):
    """What was made.

    before  the keyspace that held users and items until now
    after   the one that does now
    items_before, items_after  the same of the log of items
    in_place  whether that may be so by now
    items_again  that were embedded again, of all `items`
    parts_lost  of them that had a vector, and have none now: their files are gone, or others
    """

    before: str
    after: str
    items_before: str
    items_after: str
    in_place: bool = False
    events: int = 0
    rejected: int = 0
    users: int = 0
    forgotten: int = 0
    items: int = 0
    items_again: int = 0
    parts_lost: int = 0

    @property
    def embedded(self) -> bool:
        """Whether items are embedded again, into a log of their own."""
        return self.items_after != self.items_before


class Users:
    """The users of one partition, changed by one event after another as the stream would, but for their taste.

    Their tastes are summed at the end (`settled`), when every item is known.

    objecting  `who` -> what they do not allow, who may have said so before the log begins
    """

    def __init__(self, policy: Policy, objecting: Mapping[bytes, Consent] | None = None) -> None:
        self._policy = policy
        self._objecting = objecting or {}
        self._users: dict[str, UserState] = {}
        self._said: dict[str, bytes] = {}

    def take(self, event: Event) -> None:
        """The next event, in the order in which they came."""
        user = self._users.setdefault(event.key, self._new(event.key))
        forgotten = event.ts <= user.forgotten_at
        if isinstance(event, Profile):
            user = self._users[event.key] = agree(user, event.ts, event.profiling, event.use_profile)
        if not isinstance(event, Forget) and (forgotten or not user.consent.profiling):
            return
        match event:
            case Click() | View():
                apply(user, event.event_id, Touch(event.item_id, event.ts, self._policy.weight(event)))
            case Profile() if event.traits is not None:
                traits = encode(event.traits)
                if can_be_embedded(traits) and user.recent_events.add(event.event_id) and event.ts >= user.profile_at:
                    user.traits, user.profile_at = traits, event.ts
            case Forget() if event.event_id not in user.recent_events:
                left = self._users[event.key] = blank(user)
                left.forgotten_at = max(user.forgotten_at, event.ts)
                left.recent_events.add(event.event_id)

    def settled(self, vectors: ItemVectors) -> list[UserState]:
        """All users, with tastes; `vectors` as for `core.user.settle`. Profiles have no vectors yet."""
        for user in self._users.values():
            settle(user, vectors, self._policy.taste_half_life, self._policy.remembered)
        return list(self._users.values())

    def _new(self, user_id: str) -> UserState:
        consent = self._objecting.get(who(user_id), Consent())
        return UserState(
            user_id, History(), RecentEvents(limit=self._policy.dedup_window), consent=structs.replace(consent, at=0.0)
        )


async def embed_profiles(users: Iterable[UserState], embedder: Embedder) -> None:
    """Give users the vectors of what they say of themselves."""
    for some in batched((user for user in users if user.traits), AT_ONCE):
        embedded = await embedder.embed("profile", [user.traits for user in some])
        for user, vector in zip(some, embedded.vectors, strict=True):
            user.profile = vector


def read_since(given: Sequence[str]) -> Since:
    """What `--from` says: a time, or where in which partitions of the log.

    >>> read_since(["events.click:3:1200", "events.view:3:90"])
    {TopicPartition(topic='events.click', partition=3): 1200, TopicPartition(topic='events.view', partition=3): 90}

    Raises ValueError.
    """
    places = [each.rsplit(":", 2) for each in given]
    if len(given) == 1 and not given[0].startswith("events."):
        try:
            return datetime.fromisoformat(given[0]).astimezone().timestamp()
        except ValueError as error:
            raise ValueError(f"{given[0]!r} is {NEITHER}") from error
    for text, place in zip(given, places, strict=True):
        if len(place) != 3 or not (place[1].isdecimal() and place[2].isdecimal()):
            raise ValueError(f"{text!r} is {NEITHER}")
        if place[0] not in FROM_PLACES:
            raise ValueError(f"{text!r}: a rebuild begins at a message of {', '.join(FROM_PLACES)}")
    return {TopicPartition(topic, int(number)): int(offset) for topic, number, offset in places} or None


async def rebuild(
    settings: Settings, console: Console, *, since: Since = None, embed: bool = False, keep: bool = False
) -> Outcome:
    """Rebuild beside running workers, then switch; they end, and are to be started again.

    since  leave out what came before; requests to forget are always followed, and items are made of all there is
    embed  embed all items again
    keep   do not erase the users and items of before

    Raises AnabranchError, and those of before are in place then; what was made so far is dropped.
    """
    before = await CassandraStore.connect(settings.cassandra, dedup_window=settings.worker.dedup_window)
    try:
        after = await asyncio.to_thread(schema.create_next, settings.cassandra)
        outcome = Outcome(before.keyspace, after, before.items_topic, before.items_topic)
        try:
            if embed:
                outcome.items_after = await asyncio.to_thread(topics.create_next_items, settings)
            await _rebuild(settings, console, before, outcome, since)
        except BaseException:
            if not outcome.in_place:
                await _let_go(settings, outcome, console)
            raise
    finally:
        await before.close()
    if not keep:
        await asyncio.to_thread(schema.empty, settings.cassandra, outcome.before)
        if outcome.embedded:
            await asyncio.to_thread(topics.delete_items, settings.kafka, outcome.items_before)
    return outcome


async def _let_go(settings: Settings, outcome: Outcome, console: Console) -> None:
    """Drop what was made in vain; what has gone wrong may be Cassandra or Kafka itself."""
    try:
        if outcome.embedded:
            await asyncio.to_thread(topics.delete_items, settings.kafka, outcome.items_after)
        await asyncio.to_thread(schema.empty, settings.cassandra, outcome.after)
    except (KafkaUnavailable, StoreUnavailable):
        console.print(f"keyspace {outcome.after} is left, half made; later: [bold]anabranch rebuild --drop[/]")


def drop_unused(settings: Settings) -> list[str]:
    """Drop the keyspaces and logs of items that are not, or no longer, in place; their names. Raises AnabranchError."""
    keyspaces = schema.drop_unused(settings.cassandra)
    return keyspaces + topics.delete_unused_items(settings.kafka, schema.holder(settings.cassandra).items_topic)


async def _rebuild(
    settings: Settings, console: Console, before: CassandraStore, outcome: Outcome, since: Since
) -> None:
    new = settings.cassandra.model_copy(update={"keyspace": outcome.after})
    await asyncio.to_thread(access.grant, settings.model_copy(update={"cassandra": new}))
    after = await CassandraStore.connect(
        settings.cassandra,
        keyspace=outcome.after,
        dedup_window=settings.worker.dedup_window,
        users_days=settings.retention.users_days,
    )
    try:
        with bars(console) as progress:
            await _Rebuilding(settings, before, after, outcome, since).run(progress)
    finally:
        await after.close()


class _Rebuilding:
    def __init__(
        self, settings: Settings, before: CassandraStore, after: CassandraStore, outcome: Outcome, since: Since
    ) -> None:
        self._settings = settings
        self._policy = policy_of(settings)
        self._fuse = fuse_of(settings.worker)
        self._partitions = range(settings.kafka.partitions)
        self._partition_of = PartitionOf(settings.kafka.partitions)
        self._before = before
        self._after = after
        self._outcome = outcome
        self._since = since
        self._items_topic = (outcome.items_before,)
        self._spaces = Spaces()
        self._items: dict[str, Embedded] = {}

    async def run(self, progress: Progress) -> None:
        with ExitStack() as stack:
            logs = {topic: stack.enter_context(EventLog(self._settings.kafka)) for topic in TOPICS}
            items = stack.enter_context(EventLog(self._settings.kafka))
            read_to = items.ends(self._items_topic)
            handled: Mapping[TopicPartition, int] = {}
            if self._outcome.embedded:
                handled = await self._embed_items(items, stack.enter_context(EventLog(self._settings.kafka)), progress)
            else:
                self._items = await self._store_items(items.read(items.starts(self._items_topic), read_to))
            committed = {each: at for topic in TOPICS for each, at in logs[topic].committed((topic,)).items()}
            await self._make_users(logs, committed, progress)
            switching = progress.add_task("workers end", total=1)
            await self._switch(items, read_to, {**committed, **handled})
            progress.update(switching, completed=1)

    async def _embed_items(
        self, items: EventLog, uploads: EventLog, progress: Progress
    ) -> Mapping[TopicPartition, int]:
        """Embed all items again, and those that come meanwhile but for a few; where the uploads of the rest begin.

        An upload is announced before it is committed: what is announced once its place was committed is there.
        """
        task = progress.add_task("items embedded", total=0)
        embedder, sink = TritonEmbedder(self._settings.triton), KafkaSink(self._settings.kafka)
        begin, start = items.starts(self._items_topic), uploads.starts((UPLOADS,))
        done = start
        try:
            await sink.start()
            while True:
                committed = {each: max(at, start[each]) for each, at in uploads.committed((UPLOADS,)).items()}
                end, known = items.ends(self._items_topic), dict[str, Embedded]()
                take_items(items.read(begin, end), known)
                known = {each: item for each, item in known.items() if not self._is_embedded_later(item)}
                progress.update(task, total=self._outcome.items_again + len(known))
                for number in self._partitions:
                    here = {each: item for each, item in known.items() if self._partition_of(each.encode()) == number}
                    messages = uploads.read(of_partition(done, number), of_partition(uploads.ends((UPLOADS,)), number))
                    for some in in_groups(with_uploads(here, self._uploads(messages))):
                        await self._embed(some, PatientEmbedder(embedder), sink)
                        progress.advance(task, len(some))
                if len(known) < FEW:
                    return committed
                begin, done = end, committed
        finally:
            await sink.close()
            await embedder.close()

    def _is_embedded_later(self, item: Embedded) -> bool:
        made = self._items.get(item.item_id)
        return made is not None and made.order > item.order

    def _uploads(self, messages: Iterable[ConsumerRecord]) -> Iterator[AcceptedUpload]:
        for message in messages:
            with suppress(Rejected):  # the worker has told of it
                upload = read_event(message, self._partition_of)
                if isinstance(upload, Upload):
                    yield incoming(message), upload

    async def _embed(self, some: Sequence[ToEmbed], embedder: Embedder, sink: KafkaSink) -> None:
        made = await embed_anew(
            some,
            embedder=embedder,
            media=media_reader(self._settings.worker),
            fuse=self._fuse,
            moderated=self._settings.moderation.enabled,
        )
        for before, item in zip(some, made, strict=True):
            try:
                self._spaces.take(item.spaces)
            except Rejected as refusal:
                raise AnabranchError(f"Triton was given other weights meanwhile: {refusal}") from refusal
            self._items[item.item_id] = item
            self._outcome.parts_lost += len(lost_parts(before.before, item))
        await self._after.write_items(made, {})
        topic = self._outcome.items_after
        await sink.publish([Outgoing(topic, item.item_id.encode(), encode(item)) for item in made])
        self._outcome.items_again += len(made)

    async def _store_items(self, messages: Iterable[ConsumerRecord]) -> dict[str, Embedded]:
        """Store these items; one that is stored as of a later upload stays as it is."""
        latest: dict[str, Embedded] = {}
        take_items(messages, latest, self._spaces)
        for some in batched(latest.values(), AT_ONCE):
            await self._after.write_items(some, {})
        return latest

    async def _make_users(
        self, logs: Mapping[str, EventLog], committed: Mapping[TopicPartition, int], progress: Progress
    ) -> None:
        vectors = {
            item_id: {name: from_bytes(data) for name, data in item.vectors.items()}
            for item_id, item in self._items.items()
            if not item.withdrawn
        }
        epochs = await self._before.epochs(self._partitions)
        objections = await self._before.objections()
        await self._after.note(objections)  # the newest there are: an objection outlives the log
        objecting = {each.who: each.consent for each in objections}
        task = progress.add_task("partitions rebuilt", total=len(self._partitions))
        embedder = TritonEmbedder(self._settings.triton)
        starts = {topic: self._starts(topic, log) for topic, log in logs.items()}
        try:
            for number in self._partitions:
                users = Users(self._policy, objecting)
                for event in self._events(logs, starts, committed, number):
                    users.take(event)
                made = users.settled(vectors.get)
                await embed_profiles(made, PatientEmbedder(embedder))
                await write(self._after, made, epochs.get(number, 0))
                self._outcome.users += sum(user.known for user in made)
                self._outcome.forgotten += sum(user.forgotten_at > 0 and not user.known for user in made)
                progress.advance(task)
        finally:
            await embedder.close()

    def _starts(self, topic: str, log: EventLog) -> Mapping[TopicPartition, int]:
        since = self._since
        if since is None or topic == "events.forget":
            return log.starts((topic,))
        if isinstance(since, float):
            return log.since((topic,), since)
        moment = min(log.arrival(partition, offset) for partition, offset in since.items())
        here = {partition: offset for partition, offset in since.items() if partition.topic == topic}
        return {**log.since((topic,), moment), **here}

    def _events(
        self,
        logs: Mapping[str, EventLog],
        starts: Mapping[str, Mapping[TopicPartition, int]],
        committed: Mapping[TopicPartition, int],
        number: int,
    ) -> Iterator[Event]:
        """What is committed of a partition, in the order in which it came."""
        streams = []
        for topic in TOPICS:
            start = of_partition(starts[topic], number)
            streams.append(logs[topic].read(start, {each: max(at, committed[each]) for each, at in start.items()}))
        for message in merge(*streams, key=attrgetter("timestamp")):
            try:
                yield read_event(message, self._partition_of)
                self._outcome.events += 1
            except Rejected:
                self._outcome.rejected += 1

    async def _switch(
        self, items: EventLog, read_to: Mapping[TopicPartition, int], committed: Mapping[TopicPartition, int]
    ) -> None:
        cassandra, outcome = self._settings.cassandra, self._outcome
        now = schema.Active(outcome.before, outcome.items_before)
        await asyncio.to_thread(schema.activate, cassandra, structs.replace(now, switching=True))
        try:
            epochs = await self._before.claim(self._partitions, "rebuild")
            await self._after.take_over(epochs, "rebuild")
            await asyncio.to_thread(_rewind, items, committed)
            if not outcome.embedded:  # otherwise their uploads are handled again
                self._items |= await self._store_items(items.read(read_to, items.ends(self._items_topic)))
        except BaseException:
            await asyncio.to_thread(schema.activate, cassandra, now)
            raise
        outcome.in_place = True
        await asyncio.to_thread(schema.activate, cassandra, schema.Active(outcome.after, outcome.items_after))
        outcome.items = len(self._items)


@retry(retry=retry_if_exception_type(GroupBusy), stop=stop_after_delay(PATIENCE), wait=wait_fixed(0.5), reraise=True)
def _rewind(log: EventLog, offsets: Mapping[TopicPartition, int]) -> None:
    """Once the workers have ended."""
    log.rewind(offsets)


async def write(store: Store, users: Sequence[UserState], epoch: int) -> None:
    """Store them; who was forgotten and has not come back, or objects, leaves what is kept of such users.

    epoch  of their partition: every version of before the switch lies above it, every later one above the next
    """
    for user in users:
        user.version = epoch + 1
    for some in batched(users, AT_ONCE):
        await store.write_users([user for user in some if user.known], {})
        noted = [user for user in some if not user.known and (user.forgotten_at or user.consent.objects)]
        await store.forget_users(noted, {})


def summary(outcome: Outcome) -> Table:
    """What was made, for a terminal."""
    table = Table(
        title=f"users and items are in keyspace {outcome.after}, no longer in {outcome.before}", show_header=False
    )
    for name, count in (
        ("events followed", outcome.events),
        ("malformed, in nobody's state", outcome.rejected),
        ("users", outcome.users),
        ("forgotten, and not back since", outcome.forgotten),
        ("items", outcome.items),
        *((("items embedded again", outcome.items_again),) if outcome.embedded else ()),
        *((("parts of items without a vector now", outcome.parts_lost),) if outcome.parts_lost else ()),
    ):
        table.add_row(name, f"{count:,}")
    if outcome.embedded:
        table.caption = f"the log of items is {outcome.items_after}, no longer {outcome.items_before}"
    return table
