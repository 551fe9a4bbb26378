"""`anabranch verify`: are the users and items in Cassandra what the events in Kafka make?

The log is replayed partition by partition, in this process and by the plain definition of `core.verification`, beside
running workers. Users who have events that are not committed yet, or get some meanwhile, are left aside: what is
stored of them is still on its way. So are those who were forgotten, or allow no profiling, as the log still has what
they did before.
"""

from collections.abc import Iterable, Iterator, Mapping

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from msgspec import Struct, field
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from encoders.errors import Refused
from encoders.profile import ProfileEncoder
from streams.adapters.cassandra import CassandraStore
from streams.adapters.kafka import PartitionOf
from streams.app import policy_of
from streams.batched import batched
from streams.core.ownership import ROOM
from streams.core.user import Touch
from streams.core.vectors import from_bytes
from streams.core.verification import Difference, Log, Replayed, Said, compare
from streams.errors import Rejected
from streams.event_log import EventLog, of_partition, read_event, take_items
from streams.events import Click, Embedded, Event, Profile, View, encode
from streams.pipeline.policy import Policy
from streams.progress import bars
from streams.settings import Settings
from streams.spaces import Spaces

USER_TOPICS = ("events.click", "events.view", "events.profile")
UPLOADS = ("events.upload",)
USERS_AT_ONCE = 500

Replay = dict[str, Replayed]
_profiles = ProfileEncoder()


class Report(Struct):
    """What was compared, and what differs.

    events       accepted by the replay, repeats included
    rejected     malformed, which are in nobody's state
    in_motion    users left aside, see above
    forgotten    users left aside, see above
    is_complete  the log goes back to the first event
    users_off    how many users differ; `differences` names no more than was asked for
    items_off    items that are missing, or stored as of an earlier upload
    """

    events: int = 0
    rejected: int = 0
    users: int = 0
    items: int = 0
    in_motion: int = 0
    forgotten: int = 0
    is_complete: bool = True
    lost: int = 0
    doubled: int = 0
    unknown: int = 0
    users_off: int = 0
    items_off: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.users_off and not self.items_off


async def verify(settings: Settings, console: Console, *, named: int = 20) -> Report:
    """Replay the log and compare all users and items.

    named  differing users that the report names, at most

    Raises KafkaUnavailable, StoreUnavailable.
    """
    policy = policy_of(settings)
    store = await CassandraStore.connect(settings.cassandra, dedup_window=policy.dedup_window)
    try:
        with EventLog(settings.kafka) as kafka, bars(console) as progress:
            return await _Verification(settings, policy, store, kafka, named).run(progress)
    finally:
        await store.close()


def replayed(events: Iterable[Event], policy: Policy) -> Replay:
    """User -> what these events say of them."""
    users: Replay = {}
    for event in events:
        match event:
            case Click() | View():
                touched = Touch(event.item_id, event.ts, policy.weight(event))
                users.setdefault(event.user_id, Replayed()).touch(event.event_id, touched)
            case Profile() if event.traits is not None:
                user = users.setdefault(event.user_id, Replayed())
                traits = encode(event.traits)
                if can_be_embedded(traits):
                    user.say(event.event_id, Said(event.ts, traits))
    return users


def can_be_embedded(traits: bytes) -> bool:
    """A profile that the encoder refuses leaves no trace."""
    try:
        _profiles.read(traits)
    except Refused:
        return False
    return True


class _Verification:
    """One run, and its report so far."""

    def __init__(self, settings: Settings, policy: Policy, store: CassandraStore, kafka: EventLog, named: int) -> None:
        self._partitions = range(settings.kafka.partitions)
        self._partition_of = PartitionOf(settings.kafka.partitions)
        self._policy = policy
        self._store = store
        self._kafka = kafka
        self._named = named
        self._report = Report()

    async def run(self, progress: Progress) -> Report:
        starts, ends = self._kafka.starts(USER_TOPICS), self._kafka.ends(USER_TOPICS)
        committed = self._kafka.committed(USER_TOPICS)
        epochs = await self._store.epochs(self._partitions)
        self._report.is_complete = not any(starts.values())
        log = await self._items()
        replaying = progress.add_task("events replayed", total=sum(ends.values()) - sum(starts.values()))
        comparing = progress.add_task("users compared", total=0)
        known: set[str] = set()
        for number in self._partitions:
            start, end = of_partition(starts, number), of_partition(ends, number)
            in_motion: set[str] = set()
            messages = _shown(self._kafka.read(start, end), progress, replaying)
            users = replayed(self._events(messages, committed, in_motion), self._policy)
            progress.update(comparing, total=(progress.tasks[comparing].total or 0) + len(users))
            versions_end = epochs[number] + ROOM if number in epochs else None
            found: list[Difference] = []
            forgotten: set[str] = set()
            for some in batched(users, USERS_AT_ONCE):
                stored = await self._store.read_users(some)
                forgotten |= {each for each, user in stored.items() if user.forgotten_at}
                found += [
                    difference
                    for each in some
                    if each not in forgotten
                    and (difference := compare(each, users[each], stored.get(each), log, versions_end))
                ]
                progress.advance(comparing, len(some))
            now = of_partition(self._kafka.ends(USER_TOPICS), number)
            in_motion |= {(message.key or b"").decode(errors="replace") for message in self._kafka.read(end, now)}
            known |= users.keys() | in_motion
            self._report.forgotten += len(forgotten)
            self._report.users += len(users.keys() - in_motion - forgotten)
            self._report.in_motion += len(in_motion)
            self._note(each for each in found if each.user_id not in in_motion)
        if self._report.is_complete:
            strangers = await self._store.user_ids() - known
            self._note(Difference(each, others=("stored, but never in an event",)) for each in sorted(strangers))
        return self._report

    def _note(self, differences: Iterable[Difference]) -> None:
        for each in differences:
            self._report.users_off += 1
            self._report.lost += each.lost
            self._report.doubled += each.doubled
            self._report.unknown += each.unknown
            if len(self._report.differences) < self._named:
                self._report.differences.append(each)

    def _events(
        self, messages: Iterable[ConsumerRecord], committed: Mapping[TopicPartition, int], in_motion: set[str]
    ) -> Iterator[Event]:
        """What a worker accepts of these messages; adds the keys of those that are not committed to `in_motion`."""
        for message in messages:
            try:
                event = read_event(message, self._partition_of)
            except Rejected:
                self._report.rejected += 1
                continue
            self._report.events += 1
            if message.offset >= committed[TopicPartition(message.topic, message.partition)]:
                in_motion.add(event.key)
            yield event

    async def _items(self) -> Log:
        """Compare the items with their latest uploads; the log that users are compared with."""
        embedded: dict[str, Embedded] = {}
        items = (self._store.items_topic,)
        take_items(self._kafka.read(self._kafka.starts(items), self._kafka.ends(items)), embedded, Spaces())
        latest: dict[str, Event] = {}
        changed: set[str] = set()
        in_motion: set[str] = set()
        committed = self._kafka.committed(UPLOADS)
        messages = self._kafka.read(self._kafka.starts(UPLOADS), self._kafka.ends(UPLOADS))
        for upload in self._events(messages, committed, in_motion):
            before = latest.setdefault(upload.key, upload)
            if upload.event_id != before.event_id:
                changed.add(upload.key)
            if upload.ts >= before.ts:
                latest[upload.key] = upload
        still = latest.keys() - in_motion
        stored = await self._store.read_upload_times(still)
        self._report.items = len(still)
        self._report.items_off = sorted(
            item_id
            for item_id in still
            if not (item_id in embedded and stored.get(item_id) == embedded[item_id].at == latest[item_id].ts)
        )
        vectors = {
            item_id: {name: from_bytes(data) for name, data in item.vectors.items()}
            for item_id, item in embedded.items()
        }
        policy = self._policy
        return Log(
            vectors.get,
            changed,
            self._report.is_complete,
            policy.taste_half_life,
            policy.dedup_window,
            policy.remembered,
        )


def summary(report: Report) -> Table:
    """The report for a terminal."""
    table = Table(title="the store, compared with a replay of the log", show_header=False)

    def row(name: str, count: int, *, bad: bool = False) -> None:
        table.add_row(name, f"[red]{count:,}" if bad and count else f"{count:,}")

    row("events replayed", report.events)
    row("malformed, in nobody's state", report.rejected)
    row("users compared", report.users)
    row("users left aside, with events on their way", report.in_motion)
    row("users left aside, as they were forgotten or are not profiled", report.forgotten)
    row("items compared", report.items)
    row("events lost", report.lost, bad=True)
    row("events doubled", report.doubled, bad=True)
    row("touches that no event explains", report.unknown, bad=True)
    row("users that differ", report.users_off, bad=True)
    row("items that differ", len(report.items_off), bad=True)
    if not report.is_complete:
        table.caption = "the log no longer goes back to the first event: vectors were not compared"
    return table


def named(report: Report, limit: int) -> Iterator[str]:
    """One line for each thing that differs, at most `limit` of users and of items, with a last line for the rest."""
    for difference in report.differences[:limit]:
        yield f"user {difference.user_id!r}: {difference}"
    if report.users_off > len(report.differences):
        yield f"and {report.users_off - len(report.differences):,} more users"
    for item_id in report.items_off[:limit]:
        yield f"item {item_id!r} is not stored and announced as of its latest upload"
    if len(report.items_off) > limit:
        yield f"and {len(report.items_off) - limit:,} more items"


def _shown(messages: Iterable[ConsumerRecord], progress: Progress, task: TaskID) -> Iterator[ConsumerRecord]:
    """The messages, while the task advances: in leaps, as a bar takes longer than a message."""
    number = 0
    for number, message in enumerate(messages, 1):
        yield message
        if number % 1_000 == 0:
            progress.advance(task, 1_000)
    progress.advance(task, number % 1_000)
