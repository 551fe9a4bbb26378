"""What every store keeps its word on: the one in memory and the real Cassandra."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from uuid import uuid4

import numpy as np
import pytest

from streams.adapters import connections
from streams.adapters.cassandra import DAY, CassandraStore
from streams.core.consent import Consent
from streams.core.history import History
from streams.core.ownership import ROOM
from streams.core.taste import Taste, Touched, touch
from streams.core.user import RecentEvents, Touch, UserState
from streams.core.vectors import Vector, to_bytes, unit
from streams.errors import Fenced, StoreUnavailable
from streams.events import Embedded
from streams.ports import Store
from streams.settings import Cassandra, Settings
from tests.fakes import FakeStore

DEDUP_WINDOW = 64


@pytest.fixture(params=["fake", pytest.param("cassandra", marks=pytest.mark.servers)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "fake":
        yield FakeStore()
        return
    settings = request.getfixturevalue("servers").cassandra
    real = await CassandraStore.connect(settings, dedup_window=DEDUP_WINDOW)
    yield real
    await real.close()


def vector(seed: int) -> Vector:
    return unit(np.random.default_rng(seed).standard_normal(256).astype(np.float32))


def a_user(name: str = "") -> UserState:
    user = UserState(name or f"u-{uuid4()}", History(), RecentEvents(limit=DEDUP_WINDOW))
    user.history.add("alien", 100.0, 1.0)
    user.history.add("star", 200.0, 0.2)
    for event_id in ("e1", "e2"):
        user.recent_events.add(event_id)
    for at, seed in ((100.0, 1), (200.0, 2)):
        user.taste = touch(user.taste, [Touched({"fused": vector(seed), "text": vector(seed + 5)}, 1.0, at)], 1000.0)
    user.waiting = [Touch("unknown", 150.0, 1.0)]
    user.profile, user.traits = vector(9), b'{"age":36}'
    user.version = 2
    return user


async def test_an_unknown_user_is_not_among_the_answers(store: Store) -> None:
    assert await store.read_users([f"nobody-{uuid4()}"]) == {}


async def test_a_user_is_read_as_it_was_written(store: Store) -> None:
    user = a_user()
    await store.write_users([user], {})
    read = (await store.read_users([user.user_id]))[user.user_id]
    assert read.history.item_ids == ["alien", "star"]
    assert (read.history.times, read.history.weights) == ([100.0, 200.0], [1.0, 0.2])
    assert set(read.taste.totals) == {"fused", "text"}
    for name, total in user.taste.totals.items():
        np.testing.assert_array_equal(read.taste.totals[name], total)
    assert read.taste.as_of == 200.0
    assert read.taste.masses == user.taste.masses
    assert read.waiting == [Touch("unknown", 150.0, 1.0)]
    assert read.profile is not None and user.profile is not None
    np.testing.assert_array_equal(read.profile, user.profile)
    assert (read.traits, read.version) == (b'{"age":36}', 2)
    assert not read.recent_events.add("e1") and read.recent_events.add("e3")


async def test_a_user_who_only_has_a_name_can_be_stored(store: Store) -> None:
    user = UserState(f"u-{uuid4()}", History(), RecentEvents(limit=DEDUP_WINDOW))
    await store.write_users([user], {})
    read = (await store.read_users([user.user_id]))[user.user_id]
    assert read.taste.direction() is None and read.profile is None and not read.history.item_ids


async def test_the_last_write_of_a_user_counts(store: Store) -> None:
    user = a_user()
    await store.write_users([user], {})
    user.taste, user.version = Taste(), 3
    await store.write_users([user], {})
    read = (await store.read_users([user.user_id]))[user.user_id]
    assert read.version == 3 and read.taste.direction() is None


async def test_changing_a_user_after_the_write_changes_nothing_stored(store: Store) -> None:
    user = a_user()
    await store.write_users([user], {})
    user.history.add("later", 300.0, 1.0)
    assert (await store.read_users([user.user_id]))[user.user_id].history.item_ids == ["alien", "star"]


async def test_many_users_are_written_and_read_at_once(store: Store) -> None:
    run = uuid4()
    users = [a_user(f"{run}-{n}") for n in range(700)]
    await store.write_users(users, {})
    read = await store.read_users([user.user_id for user in users] + [f"{run}-absent"])
    assert set(read) == {user.user_id for user in users}


async def test_users_larger_than_a_request_may_be_are_written_beside_small_ones(store: Store) -> None:
    users = [a_user() for _ in range(30)]
    for large in users[::10]:
        large.traits = b'{"about":"' + b"long " * 20_000 + b'"}'
    await store.write_users(users, {})
    read = await store.read_users([user.user_id for user in users])
    assert {user_id: user.traits for user_id, user in read.items()} == {user.user_id: user.traits for user in users}


@pytest.mark.parametrize("name", ["ünïcode ☃", "'; DROP TABLE users; --", " ", "x" * 128])
async def test_any_allowed_name_is_only_a_name(store: Store, name: str) -> None:
    await store.write_users([a_user(name)], {})
    assert name in await store.read_users([name])


async def test_items_can_be_written_many_at_once_and_again(store: Store) -> None:
    items = [
        Embedded(item_id=f"i-{n}", at=1.0, title="Alien", attributes=["horror"], vectors={"fused": to_bytes(vector(n))})
        for n in range(150)
    ]
    await store.write_items(items, {})
    await store.write_items(items[:1], {})


def partition() -> int:
    """One that no other test, or run of it, has claimed."""
    return random.randrange(2**31)


async def test_every_claim_of_a_partition_has_a_higher_epoch(store: Store) -> None:
    contested, other = partition(), partition()
    first = await store.claim([contested, other], "w1")
    second = await store.claim([contested], "w2")
    assert second[contested] >= first[contested] + ROOM
    assert set(first) == {contested, other} and set(second) == {contested}


async def test_of_workers_who_claim_at_once_one_is_the_last_and_none_shares_an_epoch(store: Store) -> None:
    contested = partition()
    claims = await asyncio.gather(*(store.claim([contested], f"w{n}") for n in range(5)))
    epochs = sorted(claim[contested] for claim in claims)
    assert all(later - earlier >= ROOM for earlier, later in itertools.pairwise(epochs))
    user = a_user()
    await store.write_users([user], {contested: epochs[-1]})
    for epoch in epochs[:-1]:
        with pytest.raises(Fenced, match=str(contested)):
            await store.write_users([user], {contested: epoch})


async def test_a_former_owners_write_changes_nothing_and_it_is_told(store: Store) -> None:
    moved, user = partition(), a_user()
    before = (await store.claim([moved], "sleeper"))[moved]
    user.version = before + 5
    await store.write_users([user], {moved: before})

    after = (await store.claim([moved], "owner"))[moved]
    [taken_over] = (await store.read_users([user.user_id])).values()
    taken_over.history.add("new", 300.0, 1.0)
    taken_over.version = after + 1
    await store.write_users([taken_over], {moved: after})

    user.history.add("old", 300.0, 1.0)
    user.profile, user.traits, user.version = vector(10), b"{}", before + 6
    with pytest.raises(Fenced):
        await store.write_users([user], {moved: before})
    read = (await store.read_users([user.user_id]))[user.user_id]
    assert read.history.item_ids == ["alien", "star", "new"] and read.version == after + 1
    assert read.profile is not None and read.traits == b'{"age":36}'
    np.testing.assert_array_equal(read.profile, vector(9))


def blank(user: UserState, version: int, forgotten_at: float) -> UserState:
    recent = RecentEvents(limit=DEDUP_WINDOW)
    recent.add("request")
    return UserState(user.user_id, History(), recent, version=version, forgotten_at=forgotten_at)


async def test_of_who_is_forgotten_only_version_time_and_request_are_left(store: Store) -> None:
    user, other = a_user(), a_user()
    await store.write_users([user, other], {})
    await store.forget_users([blank(user, 3, 250.0)], {})
    read = await store.read_users([user.user_id, other.user_id])
    left = read[user.user_id]
    assert not left.known and read[other.user_id].known
    assert (left.user_id, left.version, left.forgotten_at) == (user.user_id, 3, 250.0)
    assert left.traits == b"" and not left.taste.totals
    assert not left.recent_events.add("request") and left.recent_events.add("e1")


async def test_who_was_forgotten_can_come_back_and_nobody_can_bring_them_back_as_they_were(store: Store) -> None:
    user = a_user()
    await store.forget_users([blank(user, 5, 250.0)], {})
    await store.write_users([user], {})  # of version 2: it was on its way
    assert not (await store.read_users([user.user_id]))[user.user_id].known
    back = (await store.read_users([user.user_id]))[user.user_id]
    back.history.add("new", 300.0, 1.0)
    back.version += 1
    await store.write_users([back], {})
    read = (await store.read_users([user.user_id]))[user.user_id]
    assert read.history.item_ids == ["new"] and read.profile is None
    assert (read.version, read.forgotten_at) == (6, 250.0)
    await store.forget_users([blank(user, 4, 260.0)], {})
    assert (await store.read_users([user.user_id]))[user.user_id].known, "an older request was on its way"


async def test_what_a_user_allows_is_kept_with_them_and_when_they_are_forgotten(store: Store) -> None:
    user = a_user()
    assert user.consent == Consent()
    user.consent = Consent(use_profile=False, at=240.5)
    await store.write_users([user], {})
    assert (await store.read_users([user.user_id]))[user.user_id].consent == user.consent
    gone = blank(user, 3, 250.0)
    gone.consent = Consent(profiling=False, at=250.0)
    await store.forget_users([gone], {})
    assert (await store.read_users([user.user_id]))[user.user_id].consent == gone.consent


async def test_a_former_owner_is_told_that_it_may_not_forget(store: Store) -> None:
    moved = partition()
    before = await store.claim([moved], "sleeper")
    await store.claim([moved], "owner")
    with pytest.raises(Fenced):
        await store.forget_users([blank(a_user(), before[moved] + 1, 1.0)], before)


async def test_of_an_items_uploads_the_latest_stays_in_whatever_order_they_are_written(store: Store) -> None:
    def upload(item_id: str, at: float, offset: int) -> Embedded:
        return Embedded(item_id=item_id, at=at, offset=offset, title=f"at {at}")

    early, late = f"i-{uuid4()}", f"i-{uuid4()}"
    await store.write_items([upload(late, 20.0, 3), upload(early, 10.0, 4)], {})
    await store.write_items([upload(late, 10.0, 5), upload(early, 20.0, 6)], {})
    assert await store.read_upload_times([early, late, "absent"]) == {early: 20.0, late: 20.0}


async def test_a_former_owners_upload_is_not_to_be_announced(store: Store) -> None:
    moved = partition()
    before = await store.claim([moved], "sleeper")
    await store.claim([moved], "owner")
    with pytest.raises(Fenced):
        await store.write_items([Embedded(item_id=f"i-{uuid4()}", at=1.0)], before)


async def test_a_store_that_cannot_be_reached_says_where_it_looked() -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
        await CassandraStore.connect(Cassandra(port=1), dedup_window=DEDUP_WINDOW, request_timeout=0.5)


@pytest.mark.servers
async def test_who_is_not_heard_of_for_as_long_as_is_set_is_gone(servers: Settings) -> None:
    store = await CassandraStore.connect(servers.cassandra, dedup_window=DEDUP_WINDOW, users_days=30)
    user = a_user()
    await store.write_users([user], {})
    await store.close()
    with connections.cassandra(servers.cassandra) as session:
        rows = session.execute(f"SELECT user_id, ttl(history) AS left FROM {servers.cassandra.keyspace}.users")
        [left] = [row.left for row in rows if row.user_id == user.user_id]
    assert 30 * DAY - 600 < left <= 30 * DAY
