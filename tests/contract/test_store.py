"""What every store keeps its word on: the one in memory and the real Cassandra."""

from collections.abc import AsyncIterator
from uuid import uuid4

import numpy as np
import pytest

from streams.adapters.cassandra import CassandraStore
from streams.core.history import History
from streams.core.taste import Taste, Touched, touch
from streams.core.user import RecentEvents, Touch, UserState
from streams.core.vectors import Vector, to_bytes, unit
from streams.errors import StoreUnavailable
from streams.events import Embedded
from streams.ports import Store
from streams.settings import Cassandra
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
    await store.write_users([user])
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
    await store.write_users([user])
    read = (await store.read_users([user.user_id]))[user.user_id]
    assert read.taste.direction() is None and read.profile is None and not read.history.item_ids


async def test_the_last_write_of_a_user_counts(store: Store) -> None:
    user = a_user()
    await store.write_users([user])
    user.taste, user.version = Taste(), 3
    await store.write_users([user])
    read = (await store.read_users([user.user_id]))[user.user_id]
    assert read.version == 3 and read.taste.direction() is None


async def test_changing_a_user_after_the_write_changes_nothing_stored(store: Store) -> None:
    user = a_user()
    await store.write_users([user])
    user.history.add("later", 300.0, 1.0)
    assert (await store.read_users([user.user_id]))[user.user_id].history.item_ids == ["alien", "star"]


async def test_many_users_are_written_and_read_at_once(store: Store) -> None:
    run = uuid4()
    users = [a_user(f"{run}-{n}") for n in range(700)]
    await store.write_users(users)
    read = await store.read_users([user.user_id for user in users] + [f"{run}-absent"])
    assert set(read) == {user.user_id for user in users}


@pytest.mark.parametrize("name", ["ünïcode ☃", "'; DROP TABLE users; --", " ", "x" * 128])
async def test_any_allowed_name_is_only_a_name(store: Store, name: str) -> None:
    await store.write_users([a_user(name)])
    assert name in await store.read_users([name])


async def test_items_can_be_written_many_at_once_and_again(store: Store) -> None:
    items = [
        Embedded(item_id=f"i-{n}", at=1.0, title="Alien", attributes=["horror"], vectors={"fused": to_bytes(vector(n))})
        for n in range(150)
    ]
    await store.write_items(items)
    await store.write_items(items[:1])


async def test_a_store_that_cannot_be_reached_says_where_it_looked() -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
        await CassandraStore.connect(Cassandra(port=1), dedup_window=DEDUP_WINDOW, request_timeout=0.5)
