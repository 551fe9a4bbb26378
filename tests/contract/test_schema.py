"""Programs of different versions share one Cassandra: what one wrote, the other reads and changes, whichever is older.

How each program wrote its users is noted here once and for all, as it was at the time; today's is the store itself.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
import pytest
from cassandra.cluster import Session

from streams.adapters import connections, schema
from streams.adapters.cassandra import CassandraStore
from streams.core.consent import Consent
from streams.core.digest import digest
from streams.core.user import Touch, UserState
from streams.errors import StoreUnavailable
from streams.events import Embedded
from streams.settings import Cassandra, Settings
from tests.contract.test_store import DEDUP_WINDOW, a_user, blank, partition, vector

RELEASED = {
    1: "3bc535ef3d9113cd",
    2: "22a788b488f53546",
    3: "985cbc98086258af",
    4: "ce4b9a772530756f",
    5: "30322622b997dc50",
    6: "336901577683f850",
    7: "1da2f60f76d22c75",
}
COLUMNS = {
    1: ("tastes", "as_of", "history", "profile", "profile_raw", "recent_events", "version"),
    2: ("masses",),
    3: ("profile_at",),
    4: ("forgotten_at",),
    6: ("consent",),
}
FENCED = 3  # from this version on a row's timestamp is its version; before, it was the time of the write
OLDER = sorted(RELEASED)[:-1]


def test_steps_that_keyspaces_have_taken_are_never_changed() -> None:
    now = {
        version: digest(";".join(statements)).hex()
        for version, statements in schema.steps(schema.SCHEMA.read_text()).items()
    }
    assert {version: now.get(version) for version in RELEASED} == RELEASED
    assert max(now) == max(RELEASED), "note the new step above, with the columns that it adds to users"


class Program:
    """What a program of some version of the schema does with users.

    knows  the columns of `users` that it reads and writes
    """

    def __init__(self, session: Session, version: int) -> None:
        self.knows = [name for since, names in COLUMNS.items() if since <= version for name in names]
        self._session = session
        self._shards = Cassandra().shards
        self._fenced = version >= FENCED
        columns, values = ", ".join(("shard", "user_id", *self.knows)), ", ".join("?" * (2 + len(self.knows)))
        timestamp = " USING TIMESTAMP ?" if self._fenced else ""
        self._write = session.prepare(f"INSERT INTO users ({columns}) VALUES ({values}){timestamp}")
        self._read = session.prepare(f"SELECT {columns} FROM users WHERE shard = ? AND user_id IN ?")
        self._write_item = session.prepare(
            "INSERT INTO items (shard, item_id, vectors, title, attributes, uploaded_at, withdrawn)"
            f" VALUES (?, ?, ?, ?, ?, ?, ?){timestamp}"
        )

    def write(self, user: UserState) -> None:
        values = self._encoded(user)
        row = [self._shard(user.user_id), user.user_id, *(values[name] for name in self.knows)]
        self._session.execute(self._write, row + ([user.version] if self._fenced else []))

    def read(self, user_id: str) -> dict[str, Any]:
        [row] = self._session.execute(self._read, (self._shard(user_id), [user_id]))
        return {name: getattr(row, name) for name in self.knows}

    def write_item(self, item_id: str, at: float) -> None:
        row = [self._shard(item_id), item_id, {"fused": vector(1).tobytes()}, "Alien", ["horror"], at, False]
        self._session.execute(self._write_item, row + ([int(at * 1000) * 1000] if self._fenced else []))

    def _shard(self, name: str) -> int:
        return crc32(name.encode()) % self._shards

    @staticmethod
    def _encoded(user: UserState) -> dict[str, Any]:
        history = user.history
        waiting = [[each.item_id, each.at, each.weight] for each in user.waiting]
        return {
            "tastes": {name: total.astype("<f4").tobytes() for name, total in user.taste.totals.items()},
            "as_of": user.taste.as_of,
            "history": msgspec.msgpack.encode([history.item_ids, history.times, history.weights, waiting]),
            "profile": None if user.profile is None else user.profile.astype("<f4").tobytes(),
            "profile_raw": user.traits.decode(),
            "recent_events": b"".join(blake2b(each, digest_size=8).digest() for each in (b"e1", b"e2")),
            "version": user.version,
            "masses": {name: list(mass) for name, mass in user.taste.masses.items()},
            "profile_at": user.profile_at,
            "forgotten_at": user.forgotten_at,
            "consent": None if user.consent == Consent() else msgspec.json.encode(user.consent).decode(),
        }


@contextmanager
def keyspace(servers: Settings, version: int) -> Iterator[tuple[Cassandra, Program]]:
    """As a program of that version makes it, and that program."""
    settings = servers.cassandra.model_copy(update={"keyspace": f"of_version_{version}"})
    with connections.cassandra(settings) as session:
        session.execute(f"CREATE KEYSPACE {settings.keyspace} WITH replication = {schema.replication(settings)}")
        session.set_keyspace(settings.keyspace)
        session.execute("CREATE TABLE schema_versions (name text, version int, PRIMARY KEY (name, version))")
        for step, statements in schema.steps(schema.SCHEMA.read_text()).items():
            if step <= version:
                for statement in statements:
                    session.execute(statement)
                session.execute("INSERT INTO schema_versions (name, version) VALUES ('anabranch', %s)", (step,))
        try:
            yield settings, Program(session, version)
        finally:
            session.execute(f"DROP KEYSPACE {settings.keyspace}")


async def start(settings: Cassandra) -> CassandraStore:
    """As a worker does."""
    return await CassandraStore.connect(settings, dedup_window=DEDUP_WINDOW, migrated=True)


@pytest.mark.servers
@pytest.mark.parametrize("version", OLDER)
async def test_what_an_older_program_left_is_brought_up_to_date_read_changed_and_forgotten(
    version: int, servers: Settings
) -> None:
    user, now = a_user(), time.time()
    if version >= FENCED:
        user.version = int(now * 1e6)
        user.profile_at = 150.0
    with keyspace(servers, version) as (settings, older):
        older.write(user)
        older.write_item("alien", at=now)
        store = await start(settings)
        try:
            assert schema.version(settings) == schema.newest()
            [read] = (await store.read_users([user.user_id])).values()
            assert read.history.item_ids == ["alien", "star"]
            assert (read.history.times, read.history.weights) == ([100.0, 200.0], [1.0, 0.2])
            assert (read.waiting, read.traits) == ([Touch("unknown", 150.0, 1.0)], b'{"age":36}')
            assert (read.taste.as_of, read.version, read.profile_at) == (200.0, user.version, user.profile_at)
            for name, total in user.taste.totals.items():
                np.testing.assert_array_equal(read.taste.totals[name], total)
            assert read.taste.masses == (user.taste.masses if version >= 2 else {})
            assert (read.forgotten_at, read.consent) == (0.0, Consent())
            assert not read.recent_events.add("e1") and read.recent_events.add("e3")

            epochs = await store.claim([partition()], "today")
            [epoch] = epochs.values()
            read.history.add("new", 300.0, 1.0)
            read.consent, read.version = Consent(use_profile=False, at=250.0), epoch + 1
            await store.write_users([read], epochs)
            [changed] = (await store.read_users([user.user_id])).values()
            assert changed.history.item_ids == ["alien", "star", "new"] and changed.consent == read.consent
            assert not changed.recent_events.add("e3")

            await store.forget_users([blank(read, epoch + 2, 400.0)], epochs)
            [left] = (await store.read_users([user.user_id])).values()
            assert not left.known and left.forgotten_at == 400.0

            assert await store.read_upload_times(["alien"]) == {"alien": now}
            later = Embedded(item_id="alien", at=time.time() + 1, title="Aliens", withdrawn=True)
            await store.write_items([later], epochs)
            assert await store.read_upload_times(["alien"]) == {"alien": later.at}
        finally:
            await store.close()


@pytest.mark.servers
@pytest.mark.parametrize("version", OLDER)
async def test_an_older_program_beside_newer_columns_changes_what_it_knows_and_leaves_the_rest(
    version: int, servers: Settings
) -> None:
    user, at_stake = a_user(), Consent(use_profile=False, at=240.0)
    user.consent, user.profile_at, user.forgotten_at = at_stake, 150.0, 50.0
    with keyspace(servers, version) as (settings, older):
        store = await start(settings)
        try:
            [epoch] = (await store.claim([partition()], "today")).values()
            user.version = epoch + 1
            await store.write_users([user], {})
            seen = older.read(user.user_id)
            assert seen == {name: value for name, value in older._encoded(user).items() if name in older.knows}

            user.history.add("new", 300.0, 1.0)
            user.version += 1
            older.write(user)
            [read] = (await store.read_users([user.user_id])).values()
            assert read.history.item_ids == ["alien", "star", "new"] and read.version == user.version
            assert (read.consent, read.profile_at, read.forgotten_at) == (at_stake, 150.0, 50.0)
            assert read.taste.masses == user.taste.masses

            [epoch] = (await store.claim([partition()], "back again")).values()
            read.history.add("newest", 400.0, 1.0)
            read.version = epoch + 1
            await store.write_users([read], {})
            [again] = (await store.read_users([user.user_id])).values()
            assert again.history.item_ids == ["alien", "star", "new", "newest"]
        finally:
            await store.close()


@pytest.mark.servers
async def test_who_only_reads_is_told_that_the_schema_is_older_and_what_to_do(servers: Settings) -> None:
    with keyspace(servers, 1) as (settings, _):
        told = rf"{settings.keyspace}.*schema version 1.*needs {schema.newest()}.*anabranch prepare"
        with pytest.raises(StoreUnavailable, match=told):
            await CassandraStore.connect(settings, dedup_window=DEDUP_WINDOW)
        schema.migrate(settings)
        await (await CassandraStore.connect(settings, dedup_window=DEDUP_WINDOW)).close()
