"""Users and items in Cassandra, many to a request.

Rows live in shard partitions, `PRIMARY KEY ((shard), user_id)`: the users of one micro-batch that share a shard are
read by one `IN` and written by one unlogged batch, both of which touch a single partition and so one replica set.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from zlib import crc32

import msgspec
import structlog
from cassandra import DriverException, OperationTimedOut, ReadTimeout, Unavailable, WriteTimeout
from cassandra.cluster import NoHostAvailable, Session
from cassandra.query import BatchStatement, BatchType, PreparedStatement
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from streams import metrics
from streams.adapters import clients
from streams.adapters.refusal import refusal
from streams.core.history import History
from streams.core.taste import Taste
from streams.core.user import RecentEvents, Touch, UserState
from streams.core.vectors import from_bytes, to_bytes
from streams.errors import StoreUnavailable
from streams.events import Embedded
from streams.settings import Cassandra

TRANSIENT = (NoHostAvailable, OperationTimedOut, ReadTimeout, WriteTimeout, Unavailable)
MAX_ROWS = 50  # in one request: 50 users of some 8 KB stay well below Cassandra's batch_size_fail_threshold

T = TypeVar("T")
log = structlog.get_logger()


class _StoredHistory(msgspec.Struct, array_like=True):
    item_ids: list[str]
    times: list[float]
    weights: list[float]
    waiting: list[Touch] = []


class CassandraStore:
    """The store of the pipeline (`ports.Store`); open it with `connect`.

    shards          partitions that users, and items, are spread over; fixed once rows exist
    dedup_window    event ids remembered for each user
    request_timeout  seconds a request may take
    give_up_after   seconds of retries before StoreUnavailable
    """

    def __init__(
        self, session: Session, *, shards: int, dedup_window: int, request_timeout: float, give_up_after: float
    ) -> None:
        self._session = session
        self._shards = shards
        self._dedup_window = dedup_window
        self._request_timeout = request_timeout
        self._give_up_after = give_up_after
        self._read_users = session.prepare(
            "SELECT user_id, tastes, as_of, history, profile, profile_raw, recent_events, version, masses"
            " FROM users WHERE shard = ? AND user_id IN ?"
        )
        self._ping = session.prepare("SELECT release_version FROM system.local")
        self._write_user = session.prepare(
            "INSERT INTO users"
            " (shard, user_id, tastes, as_of, masses, history, profile, profile_raw, recent_events, version)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        self._write_item = session.prepare(
            "INSERT INTO items (shard, item_id, vectors, title, attributes, uploaded_at, withdrawn)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
        )

    @classmethod
    async def connect(
        cls,
        settings: Cassandra,
        *,
        dedup_window: int,
        request_timeout: float = 5.0,
        give_up_after: float = 120.0,
    ) -> "CassandraStore":
        """Connect and prepare. Raises StoreUnavailable."""

        def open_session() -> "CassandraStore":
            cluster = clients.cassandra(settings, request_timeout=request_timeout)
            try:
                session = cluster.connect(settings.keyspace)
                return cls(
                    session,
                    shards=settings.shards,
                    dedup_window=dedup_window,
                    request_timeout=request_timeout,
                    give_up_after=give_up_after,
                )
            except (NoHostAvailable, DriverException) as error:
                cluster.shutdown()
                raise StoreUnavailable(refusal(settings, error)) from error

        return await asyncio.to_thread(open_session)

    async def close(self) -> None:
        await asyncio.to_thread(self._session.cluster.shutdown)

    async def check(self) -> None:
        """Ask once. Raises StoreUnavailable."""
        try:
            await self._request(self._ping, ())
        except (*TRANSIENT, DriverException) as error:
            raise StoreUnavailable(f"Cassandra does not answer: {error}") from error

    async def read_users(self, user_ids: Collection[str]) -> Mapping[str, UserState]:
        requests = [
            (self._read_users, (shard, chunk))
            for shard, ids in self._by_shard(user_ids, str)
            for chunk in _chunks(ids, MAX_ROWS)
        ]
        results = await asyncio.gather(*(self._execute(statement, values) for statement, values in requests))
        return {row.user_id: self._decode_user(row) for rows in results for row in rows}

    async def write_users(self, users: Collection[UserState]) -> None:
        # Encoded before the first await: the caller may go on to change the users.
        batches = [
            self._batch(self._write_user, [(shard, *_encode_user(user)) for user in chunk])
            for shard, ours in self._by_shard(users, lambda user: user.user_id)
            for chunk in _chunks(ours, MAX_ROWS)
        ]
        await asyncio.gather(*map(self._execute, batches))

    async def write_items(self, items: Collection[Embedded]) -> None:
        batches = [
            self._batch(self._write_item, [(shard, *_encode_item(item)) for item in chunk])
            for shard, ours in self._by_shard(items, lambda item: item.item_id)
            for chunk in _chunks(ours, MAX_ROWS)
        ]
        await asyncio.gather(*map(self._execute, batches))

    def _by_shard(self, things: Iterable[T], key: Any) -> Iterable[tuple[int, list[T]]]:
        shards: dict[int, list[T]] = defaultdict(list)
        for thing in things:
            shards[crc32(key(thing).encode()) % self._shards].append(thing)
        return shards.items()

    @staticmethod
    def _batch(statement: PreparedStatement, rows: Iterable[tuple[Any, ...]]) -> BatchStatement:
        batch = BatchStatement(BatchType.UNLOGGED)
        for row in rows:
            batch.add(statement, row)
        return batch

    async def _execute(self, statement: Any, values: tuple[Any, ...] | None = None) -> Sequence[Any]:
        """One request, tried again with jitter while Cassandra is slow or away."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(TRANSIENT),
            wait=wait_random_exponential(multiplier=0.05, max=5),
            stop=stop_after_delay(self._give_up_after),
            before_sleep=_count_retry,
            retry_error_callback=self._give_up,
        ):
            with attempt:
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
        return await answer

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
            version=row.version,
        )


def _encode_user(user: UserState) -> tuple[Any, ...]:
    history = _StoredHistory(user.history.item_ids, user.history.times, user.history.weights, user.waiting)
    return (
        user.user_id,
        {name: to_bytes(total) for name, total in user.taste.totals.items()},
        user.taste.as_of,
        {name: list(mass) for name, mass in user.taste.masses.items()},
        msgspec.msgpack.encode(history),
        to_bytes(user.profile) if user.profile is not None else None,
        user.traits.decode(),
        user.recent_events.to_bytes(),
        user.version,
    )


def _encode_item(item: Embedded) -> tuple[Any, ...]:
    return item.item_id, item.vectors, item.title, item.attributes, item.at, item.withdrawn


def _chunks(things: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (things[at : at + size] for at in range(0, len(things), size))


def _count_retry(state: RetryCallState) -> None:
    error = type(state.outcome.exception()).__name__ if state.outcome else "unknown"
    metrics.ERRORS.labels("cassandra", error).inc()
    if state.attempt_number == 3:
        log.warning("cassandra does not answer, still trying", error=error)
