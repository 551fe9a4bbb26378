"""`anabranch rebuild`: make users and items anew from the events in Kafka, and put them in place of those stored.

For when what is stored is wrong, or made by settings that no longer hold: the half-life of the taste, the weight of a
view. The log is read beside running workers, into a new keyspace. Then the workers' partitions are claimed, so that
they end; the group's offsets are set back to where the reading ended; and the new keyspace takes the old one's place
in a single row. Workers that start meanwhile wait for it, and go on with what the log has since: an event that both
have counted counts once.

What all workers have learned together (`interactions`) is a log of its own, and stays.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
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

from streams import access
from streams.adapters import schema
from streams.adapters.cassandra import CassandraStore, who
from streams.adapters.kafka import PartitionOf
from streams.adapters.triton import PatientEmbedder, TritonEmbedder
from streams.app import policy_of
from streams.batched import batched
from streams.core.consent import Consent
from streams.core.history import History
from streams.core.spaces import Spaces
from streams.core.user import ItemVectors, RecentEvents, Touch, UserState, agree, apply, blank, settle
from streams.core.vectors import from_bytes
from streams.errors import Rejected, StoreUnavailable
from streams.event_log import EventLog, GroupBusy, of_partition, read_event, take_items
from streams.events import Click, Embedded, Event, Forget, Profile, View, encode
from streams.pipeline.policy import Policy
from streams.ports import Embedder, Store
from streams.progress import bars
from streams.settings import Settings
from streams.verify import can_be_embedded

TOPICS = ("events.click", "events.view", "events.profile", "events.forget")
ITEMS = ("items.embedded",)
FROM_PLACES = TOPICS[:-1]
NEITHER = "neither a time, such as 2026-11-01 or 2026-11-01T08:30+01:00, nor a place of the log, TOPIC:PARTITION:OFFSET"
AT_ONCE = 500  # users or items written together
PATIENCE = 120.0  # seconds for workers to end

Since = float | Mapping[TopicPartition, int] | None
"""Where a rebuild begins: with all, at so many seconds since the epoch, or at these offsets of these partitions, and in
the others when the earliest of those messages came."""


class Outcome(Struct):
    """What was made.

    before  the keyspace that held users and items until now
    after   the one that does now
    in_place  whether that may be so by now
    """

    before: str
    after: str
    in_place: bool = False
    events: int = 0
    rejected: int = 0
    users: int = 0
    forgotten: int = 0
    items: int = 0


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


async def rebuild(settings: Settings, console: Console, *, since: Since = None, keep: bool = False) -> Outcome:
    """Rebuild beside running workers, then switch; they end, and are to be started again.

    since  leave out what came before; requests to forget are always followed
    keep   do not erase the users and items of before

    Raises AnabranchError, and those of before are in place then; what was made so far is dropped.
    """
    before = await CassandraStore.connect(settings.cassandra, dedup_window=settings.worker.dedup_window)
    try:
        outcome = Outcome(before.keyspace, await asyncio.to_thread(schema.create_next, settings.cassandra))
        try:
            await _rebuild(settings, console, before, outcome, since)
        except BaseException:
            if not outcome.in_place:
                await _let_go(settings, outcome.after, console)
            raise
    finally:
        await before.close()
    if not keep:
        await asyncio.to_thread(schema.empty, settings.cassandra, outcome.before)
    return outcome


async def _let_go(settings: Settings, keyspace: str, console: Console) -> None:
    """Drop what was made in vain; what has gone wrong may be Cassandra itself."""
    try:
        await asyncio.to_thread(schema.empty, settings.cassandra, keyspace)
    except StoreUnavailable:
        console.print(f"keyspace {keyspace} is left, half made; later: [bold]anabranch rebuild --drop[/]")


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
        self._partitions = range(settings.kafka.partitions)
        self._partition_of = PartitionOf(settings.kafka.partitions)
        self._before = before
        self._after = after
        self._outcome = outcome
        self._since = since
        self._spaces = Spaces()
        self._items: dict[str, Embedded] = {}

    async def run(self, progress: Progress) -> None:
        with ExitStack() as stack:
            logs = {topic: stack.enter_context(EventLog(self._settings.kafka)) for topic in (*TOPICS, *ITEMS)}
            items = logs[ITEMS[0]]
            read_to = items.ends(ITEMS)
            self._items = await self._store_items(items.read(items.starts(ITEMS), read_to))
            committed = {each: at for topic in TOPICS for each, at in logs[topic].committed((topic,)).items()}
            await self._make_users(logs, committed, progress)
            switching = progress.add_task("workers end", total=1)
            await self._switch(items, read_to, committed)
            progress.update(switching, completed=1)

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
        starts = {topic: self._starts(topic, log) for topic, log in logs.items() if topic in TOPICS}
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
        await asyncio.to_thread(schema.activate, cassandra, schema.Active(outcome.before, switching=True))
        try:
            epochs = await self._before.claim(self._partitions, "rebuild")
            await self._after.take_over(epochs, "rebuild")
            await asyncio.to_thread(_rewind, items, committed)
            more = await self._store_items(items.read(read_to, items.ends(ITEMS)))
        except BaseException:
            await asyncio.to_thread(schema.activate, cassandra, schema.Active(outcome.before))
            raise
        outcome.in_place = True
        await asyncio.to_thread(schema.activate, cassandra, schema.Active(outcome.after))
        outcome.items = len(self._items.keys() | more.keys())


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
    ):
        table.add_row(name, f"{count:,}")
    return table
