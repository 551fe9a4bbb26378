"""Users and items in Cassandra, many to a request.

Rows live in shard partitions, `PRIMARY KEY ((shard), user_id)`: the users of one micro-batch that share a shard are
read by one `IN`. Those that share their replicas are written by one unlogged batch: it asks no more nodes than a batch
of one partition would, and a request costs both sides more than the rows in it.

A row's write timestamp is its version, or the order of its upload: the newest state wins whoever writes last. Reads and
writes ask a quorum, so that an owner sees what the owners before it were told is durable.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar
from zlib import crc32

import msgspec
from cassandra import ConsistencyLevel, DriverException, OperationTimedOut, ReadTimeout, Unavailable, WriteTimeout
from cassandra.cluster import NoHostAvailable, Session
from cassandra.query import BatchStatement, BatchType, BoundStatement, PreparedStatement, Statement
from circuitbreaker import CircuitBreaker
from tenacity import RetryCallState

from streams import metrics
from streams.adapters import clients, connections, schema
from streams.adapters.patience import retrying, unbroken
from streams.core.consent import Consent
from streams.core.digest import digest
from streams.core.history import History
from streams.core.ownership import next_epoch
from streams.core.taste import Taste
from streams.core.user import RecentEvents, Touch, UserState
from streams.core.vectors import from_bytes, to_bytes
from streams.errors import Fenced, StoreMoved, StoreUnavailable
from streams.events import Embedded
from streams.settings import Cassandra

TRANSIENT = (NoHostAvailable, OperationTimedOut, ReadTimeout, WriteTimeout, Unavailable)
DAY = 86_400
FORGOTTEN_SECONDS = 400 * DAY  # longer than any topic keeps events
MAX_ROWS = 50  # read by one request
BATCH_BYTES = 40 * 1024  # written by one request: Cassandra refuses batches over 50 KiB, unless set otherwise
VALUE_BYTES = 40  # what Cassandra adds to each value, timestamps and the like, at most

T = TypeVar("T")


class _StoredHistory(msgspec.Struct, array_like=True):
    item_ids: list[str]
    times: list[float]
    weights: list[float]
    waiting: list[Touch] = []


class Objection(msgspec.Struct, frozen=True):
    """What somebody does not allow, under a digest of their name; `shard` is that of the user."""

    shard: int
    who: bytes
    version: int
    forgotten_at: float
    consent: Consent


class CassandraStore:
    """The store of the pipeline (`ports.Store`); open it with `connect`.

    home            the keyspace that says which one holds users and items
    items_topic     the log of items, as that one says
    shards          partitions that users, and items, are spread over; fixed once rows exist
    dedup_window    event ids remembered for each user
    users_days      after their last write, until users are gone; 0 keeps them
    request_timeout  seconds a request may take
    give_up_after   seconds of retries before StoreUnavailable
    breaker         for who cannot wait so long: StoreUnavailable at once while it is open
    clock           seconds since the epoch: where the epochs of claims come from
    """

    def __init__(
        self,
        session: Session,
        *,
        home: str,
        items_topic: str,
        shards: int,
        dedup_window: int,
        users_days: int,
        request_timeout: float,
        give_up_after: float,
        breaker: CircuitBreaker | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._home = home
        self.items_topic = items_topic
        self._shards = shards
        self._dedup_window = dedup_window
        self._kept = users_days * DAY
        self._request_timeout = request_timeout
        self._give_up_after = give_up_after
        self._breaker = breaker
        self._clock = clock
        self._read_users = session.prepare(
            "SELECT user_id, tastes, as_of, history, profile, profile_raw, recent_events, version, masses, profile_at,"
            " forgotten_at, consent FROM users WHERE shard = ? AND user_id IN ?"
        )
        self._active = session.prepare(f"SELECT keyspace_name FROM {home}.{schema.ACTIVE} WHERE name = 'anabranch'")  # noqa: S608
        self._write_user = session.prepare(
            "INSERT INTO users"
            " (shard, user_id, tastes, as_of, masses, history, profile, profile_raw, profile_at,"
            "  recent_events, version, forgotten_at, consent)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?"
        )
        self._erase_user = session.prepare("DELETE FROM users USING TIMESTAMP ? WHERE shard = ? AND user_id = ?")
        self._read_forgotten = session.prepare(
            "SELECT who, recent_events, version, forgotten_at, consent FROM forgotten WHERE shard = ? AND who IN ?"
        )
        self._note_forgotten = session.prepare(
            "INSERT INTO forgotten (shard, who, recent_events, version, forgotten_at, consent)"
            " VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?"
        )
        self._read_notes = session.prepare("SELECT who, version, forgotten_at, consent FROM forgotten WHERE shard = ?")
        self._read_consents = session.prepare(
            "SELECT user_id, version, forgotten_at, consent FROM users WHERE shard = ?"
        )
        self._read_upload_times = session.prepare(
            "SELECT item_id, uploaded_at FROM items WHERE shard = ? AND item_id IN ?"
        )
        self._write_item = session.prepare(
            "INSERT INTO items (shard, item_id, vectors, title, attributes, uploaded_at, withdrawn)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
        )
        self._read_user_ids = session.prepare("SELECT user_id FROM users WHERE shard = ?")
        self._read_user_ids.fetch_size = None  # a shard's ids at once, however many
        self._read_epochs = session.prepare("SELECT partition, epoch FROM owners WHERE partition IN ?")
        self._read_last_epoch = session.prepare("SELECT epoch FROM owners WHERE partition = ?")
        self._read_last_epoch.consistency_level = ConsistencyLevel.LOCAL_SERIAL
        self._begin_epoch = session.prepare(
            "UPDATE owners SET epoch = ?, worker = ? WHERE partition = ? IF epoch = null"
        )
        self._claim = session.prepare("UPDATE owners SET epoch = ?, worker = ? WHERE partition = ? IF epoch = ?")

    @classmethod
    async def connect(
        cls,
        settings: Cassandra,
        *,
        dedup_window: int,
        users_days: int = 0,
        keyspace: str | None = None,
        migrated: bool = False,
        request_timeout: float = 5.0,
        give_up_after: float = 120.0,
        breaker: CircuitBreaker | None = None,
        clock: Callable[[], float] = time.time,
    ) -> "CassandraStore":
        """Connect and prepare. Raises StoreUnavailable.

        keyspace  in place of the one that holds users and items
        migrated  first apply what the schema lacks; raises StoreMoved while another keyspace is being put in place
        """

        def open_session() -> "CassandraStore":
            cluster = clients.cassandra(settings, request_timeout=request_timeout)
            try:
                with connections.told_in_full(settings):
                    session = cluster.connect()
                    if migrated:
                        if schema.active(session, settings.keyspace).switching:
                            raise StoreMoved(schema.SWITCHING)
                        schema.bring_up(session, settings)
                    active = schema.active(session, settings.keyspace)
                    holder = keyspace or active.keyspace
                    schema.check(session, settings, holder)
                    session.set_keyspace(holder)
                    return cls(
                        session,
                        home=settings.keyspace,
                        items_topic=active.items_topic,
                        shards=settings.shards,
                        dedup_window=dedup_window,
                        users_days=users_days,
                        request_timeout=request_timeout,
                        give_up_after=give_up_after,
                        breaker=breaker,
                        clock=clock,
                    )
            except BaseException:
                cluster.shutdown()
                raise

        return await asyncio.to_thread(open_session)

    @property
    def keyspace(self) -> str:
        """The one that users and items are in."""
        return str(self._session.keyspace)

    async def close(self) -> None:
        await asyncio.to_thread(self._session.cluster.shutdown)

    async def check(self) -> None:
        """Ask once. Raises StoreUnavailable, StoreMoved."""
        try:
            rows = await self._request(self._active, ())
        except (*TRANSIENT, DriverException) as error:
            raise StoreUnavailable(f"Cassandra does not answer: {error}") from error
        holder = rows[0].keyspace_name if rows else self._home
        if holder != self._session.keyspace:
            raise StoreMoved(
                f"users and items were rebuilt in keyspace {holder!r}; this reads {self._session.keyspace!r}"
            )

    async def read_users(self, user_ids: Collection[str]) -> Mapping[str, UserState]:
        requests = [
            (self._read_users, (shard, chunk))
            for shard, ids in self._by_shard(user_ids, str)
            for chunk in _chunks(ids, MAX_ROWS)
        ]
        results = await asyncio.gather(*(self._execute(statement, values) for statement, values in requests))
        found = {row.user_id: self._decode_user(row) for rows in results for row in rows}
        return found | await self._read_blank([user_id for user_id in user_ids if user_id not in found])

    async def _read_blank(self, user_ids: Collection[str]) -> dict[str, UserState]:
        """Those among these who were forgotten, and have not come back."""
        names = {who(user_id): user_id for user_id in user_ids}
        requests = [
            (shard, [who(user_id) for user_id in chunk])
            for shard, ids in self._by_shard(user_ids, str)
            for chunk in _chunks(ids, MAX_ROWS)
        ]
        results = await asyncio.gather(*(self._execute(self._read_forgotten, values) for values in requests))
        return {names[row.who]: self._decode_blank(names[row.who], row) for rows in results for row in rows}

    async def claim(self, partitions: Collection[int], worker: str) -> Mapping[int, int]:
        epochs = await asyncio.gather(*(self._claim_one(partition, worker) for partition in partitions))
        return dict(zip(partitions, epochs, strict=True))

    async def _claim_one(self, partition: int, worker: str) -> int:
        while True:
            rows = await self._execute(self._read_last_epoch, (partition,))
            last = rows[0].epoch if rows else None
            epoch = next_epoch(last, self._clock())
            [answer] = await self._execute(self._claim, (epoch, worker, partition, last))
            if answer.applied:
                return epoch

    async def take_over(self, epochs: Mapping[int, int], worker: str) -> None:
        """Go on from the epochs of another keyspace. Raises StoreUnavailable."""
        claims = [(epoch, worker, partition) for partition, epoch in epochs.items()]
        await asyncio.gather(*(self._execute(self._begin_epoch, values) for values in claims))

    async def write_users(self, users: Collection[UserState], epochs: Mapping[int, int]) -> None:
        # Encoded before the first await: the caller may go on to change the users.
        rows = [(self._shard(user.user_id), *encode_user(user), self._kept) for user in users]
        await self._write(self._batches(self._write_user, rows))
        await self._check(epochs)

    async def forget_users(self, users: Collection[UserState], epochs: Mapping[int, int]) -> None:
        notes = [(self._shard(user.user_id), *_encode_blank(user)) for user in users]
        rows = [(user.version, self._shard(user.user_id), user.user_id) for user in users]
        await self._write([*self._batches(self._note_forgotten, notes), *self._batches(self._erase_user, rows)])
        await self._check(epochs)

    async def read_upload_times(self, item_ids: Collection[str]) -> Mapping[str, float]:
        requests = [(shard, chunk) for shard, ids in self._by_shard(item_ids, str) for chunk in _chunks(ids, MAX_ROWS)]
        results = await asyncio.gather(*(self._execute(self._read_upload_times, values) for values in requests))
        return {row.item_id: row.uploaded_at for rows in results for row in rows}

    async def write_items(self, items: Collection[Embedded], epochs: Mapping[int, int]) -> None:
        rows = [(self._shard(item.item_id), *_encode_item(item)) for item in items]
        await self._write(self._batches(self._write_item, rows))
        await self._check(epochs)

    async def _check(self, epochs: Mapping[int, int]) -> None:
        """Make sure that the partitions are still ours. Raises Fenced."""
        if not epochs:
            return
        now = await self.epochs(epochs)
        for partition, epoch in epochs.items():
            if now.get(partition) != epoch:
                raise Fenced(
                    f"partition {partition} was claimed by another worker: its epoch is {now.get(partition)},"
                    f" where this worker's is {epoch}"
                )

    async def epochs(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """Partition -> its epoch, for those of them that were ever claimed. Raises StoreUnavailable."""
        rows = await self._execute(self._read_epochs, (list(partitions),))
        return {row.partition: row.epoch for row in rows}

    async def user_ids(self) -> set[str]:
        """All users there are. Raises StoreUnavailable."""
        shards = [await self._execute(self._read_user_ids, (shard,)) for shard in range(self._shards)]
        return {row.user_id for rows in shards for row in rows}

    async def objections(self) -> list[Objection]:
        """What everybody does not allow who objects to something. Raises StoreUnavailable."""
        found = []
        for shard in range(self._shards):
            noted = [(row.who, row) for row in await self._execute(self._read_notes, (shard,))]
            known = [(who(row.user_id), row) for row in await self._execute(self._read_consents, (shard,))]
            latest = dict(noted) | dict(known)
            found += [
                Objection(shard, name, row.version, row.forgotten_at or 0.0, consent)
                for name, row in latest.items()
                if (consent := _consent(row)).objects
            ]
        return found

    async def note(self, objections: Iterable[Objection]) -> None:
        """Keep what another keyspace has. Raises StoreUnavailable."""
        rows = [
            (each.shard, each.who, b"", each.version, each.forgotten_at, _encode_consent(each.consent), each.version, 0)
            for each in objections
        ]
        await self._write(self._batches(self._note_forgotten, rows))

    def _shard(self, name: str) -> int:
        return crc32(name.encode()) % self._shards

    def _by_shard(self, things: Iterable[T], key: Any) -> Iterable[tuple[int, list[T]]]:
        shards: dict[int, list[T]] = defaultdict(list)
        for thing in things:
            shards[self._shard(key(thing))].append(thing)
        return shards.items()

    def _batches(self, statement: PreparedStatement, rows: Iterable[tuple[Any, ...]]) -> list[Statement]:
        """What writes these rows: those on the same replicas together, `BATCH_BYTES` at once."""
        homes: dict[bytes, Any] = {}  # to ask for each row would cost as much as to bind it
        together: dict[Any, list[BoundStatement]] = defaultdict(list)
        for row in rows:
            bound = statement.bind(row)
            partition = bound.routing_key
            if partition not in homes:
                homes[partition] = self._home_of(partition)
            together[homes[partition]].append(bound)
        return [request for some in together.values() for request in _requests(some)]

    def _home_of(self, partition: bytes) -> Any:
        """Its replicas; where the driver does not know them, the partition itself."""
        return frozenset(self._session.cluster.metadata.get_replicas(self.keyspace, partition)) or partition

    async def _write(self, batches: Iterable[Statement]) -> None:
        await asyncio.gather(*map(self._execute, batches))

    async def _execute(self, statement: Any, values: tuple[Any, ...] | None = None) -> Sequence[Any]:
        """One request, tried again with jitter while Cassandra is slow or away."""
        attempts = retrying(
            "cassandra", TRANSIENT, first_pause=0.05, longest_pause=5, give_up=(self._give_up_after, self._give_up)
        )
        async for attempt in attempts:
            with attempt, unbroken(self._breaker, StoreUnavailable) if self._breaker else nullcontext():
                return await self._request(statement, values)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _give_up(self, state: RetryCallState) -> Any:
        cause = state.outcome.exception() if state.outcome else None
        raise StoreUnavailable(f"Cassandra gave no answer in {self._give_up_after:.0f} s: {cause}") from cause

    async def _request(self, statement: Any, values: tuple[Any, ...] | None) -> Sequence[Any]:
        """Bridge the driver's callbacks, which run on its own thread, to this event loop."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[Any]] = loop.create_future()

        def settle(setter: Any, value: Any) -> None:
            if not answer.done():
                setter(value)

        request = self._session.execute_async(statement, values, timeout=self._request_timeout)
        request.add_callbacks(
            lambda rows: loop.call_soon_threadsafe(settle, answer.set_result, rows or ()),
            lambda error: loop.call_soon_threadsafe(settle, answer.set_exception, error),
        )
        try:
            return await answer
        except TRANSIENT as error:
            metrics.ERRORS.labels("cassandra", type(error).__name__).inc()
            raise

    def _decode_user(self, row: Any) -> UserState:
        stored = msgspec.msgpack.decode(row.history, type=_StoredHistory)
        return UserState(
            user_id=row.user_id,
            history=History.of(zip(stored.item_ids, stored.times, stored.weights, strict=True)),
            recent_events=RecentEvents.from_bytes(row.recent_events, limit=self._dedup_window),
            taste=Taste(
                {name: from_bytes(total) for name, total in (row.tastes or {}).items()},
                row.as_of,
                {name: (mass, squares) for name, (mass, squares) in (row.masses or {}).items()},
            ),
            waiting=stored.waiting,
            profile=from_bytes(row.profile) if row.profile else None,
            traits=(row.profile_raw or "").encode(),
            profile_at=row.profile_at or 0.0,
            version=row.version,
            forgotten_at=row.forgotten_at or 0.0,
            consent=_consent(row),
        )

    def _decode_blank(self, user_id: str, row: Any) -> UserState:
        return UserState(
            user_id=user_id,
            history=History(),
            recent_events=RecentEvents.from_bytes(row.recent_events, limit=self._dedup_window),
            version=row.version,
            forgotten_at=row.forgotten_at,
            consent=_consent(row),
        )


def _requests(writes: Iterable[BoundStatement]) -> Iterator[Statement]:
    """Unlogged batches of at most `BATCH_BYTES`; a larger row goes by itself, to which no such limit applies."""
    batch, held = BatchStatement(BatchType.UNLOGGED), 0
    for each in writes:
        size = sum(VALUE_BYTES + len(value or b"") for value in each.values)
        if size > BATCH_BYTES:
            yield each
            continue
        if held + size > BATCH_BYTES:
            yield batch
            batch, held = BatchStatement(BatchType.UNLOGGED), 0
        batch.add(each)
        held += size
    if held:
        yield batch


def who(user_id: str) -> bytes:
    """The name under which somebody is noted who is to be forgotten, name included."""
    return digest(user_id, size=16)


def _encode_blank(user: UserState) -> tuple[Any, ...]:
    """The values of the row that notes them: until no event of before can arrive, and for good where they object."""
    kept = 0 if user.consent.objects else FORGOTTEN_SECONDS
    return (
        who(user.user_id),
        user.recent_events.to_bytes(),
        user.version,
        user.forgotten_at,
        _encode_consent(user.consent),
        user.version,
        kept,
    )


def _encode_consent(consent: Consent) -> str | None:
    return msgspec.json.encode(consent).decode() if consent != Consent() else None


def _consent(row: Any) -> Consent:
    return msgspec.json.decode(row.consent, type=Consent) if row.consent else Consent()


def encode_user(user: UserState) -> tuple[Any, ...]:
    """The values of the user's row, in the order of the statement that writes it; the shard is not among them."""
    history = _StoredHistory(user.history.item_ids, user.history.times, user.history.weights, user.waiting)
    return (
        user.user_id,
        {name: to_bytes(total) for name, total in user.taste.totals.items()},
        user.taste.as_of,
        {name: list(mass) for name, mass in user.taste.masses.items()},
        msgspec.msgpack.encode(history),
        to_bytes(user.profile) if user.profile is not None else None,
        user.traits.decode(),
        user.profile_at,
        user.recent_events.to_bytes(),
        user.version,
        user.forgotten_at,
        _encode_consent(user.consent),
        user.version,
    )


def _encode_item(item: Embedded) -> tuple[Any, ...]:
    milliseconds, offset = item.order
    timestamp = milliseconds * 1000 + offset % 1000  # microseconds, as Cassandra's own are
    return item.item_id, item.vectors, item.title, item.attributes, item.at, item.withdrawn, timestamp


def _chunks(things: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (things[at : at + size] for at in range(0, len(things), size))
