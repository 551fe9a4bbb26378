"""A batch is begun while those before it are still being stored: whatever finishes first, nothing is lost or undone."""

import asyncio
import json
from collections.abc import Collection, Mapping

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.history import History
from streams.core.user import RecentEvents, Touch, UserState, apply, settle
from streams.errors import Fenced, StoreUnavailable
from streams.ports import Incoming
from tests.fakes import FakeStore, copied
from tests.pipeline.test_pipeline import FILMS, World


class SlowStore(FakeStore):
    """Takes every write in, and carries it out when its gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[asyncio.Future[None]] = []
        self._taken_in = asyncio.Condition()

    async def has_taken_in(self, writes: int) -> None:
        async with self._taken_in:
            await self._taken_in.wait_for(lambda: len(self.gates) >= writes)

    async def write_users(self, users: Collection[UserState], epochs: Mapping[int, int]) -> None:
        taken_in = [copied(user) for user in users]
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        async with self._taken_in:
            self._taken_in.notify_all()
        await gate
        await super().write_users(taken_in, epochs)


class Overlapping(World):
    """A world whose store is slow."""

    store: SlowStore

    def __init__(self) -> None:
        super().__init__(SlowStore())

    async def begin(self, *batch: Incoming) -> asyncio.Task[None]:
        """Have a batch handled up to where the next may begin; its write waits at the last of the gates."""
        handed_over = asyncio.Event()
        handling = asyncio.create_task(self.pipeline.interactions(batch, handed_over.set))
        await asyncio.wait_for(handed_over.wait(), 10)
        return handling


@pytest.fixture
async def world() -> Overlapping:
    world = Overlapping()
    await world.open_cinema()
    return world


async def test_the_next_list_is_out_before_the_batch_before_it_is_stored(world: Overlapping) -> None:
    batches = [await world.begin(world.click("ada", item)) for item in ("alien", "star")]
    assert [len(list_.items) for list_ in world.lists()] == [len(FILMS) - 1, len(FILMS) - 2]
    assert not world.store.users and not any(each.done() for each in batches)


async def test_writes_that_finish_out_of_order_leave_the_newest_state(world: Overlapping) -> None:
    first, second = [await world.begin(world.click("ada", item)) for item in ("alien", "star")]
    world.store.gates[1].set_result(None)
    await second
    assert not first.done()
    world.store.gates[0].set_result(None)
    await first
    assert world.store.users["ada"].history.item_ids == ["alien", "star"]
    assert world.store.users["ada"].version == world.lists()[-1].list_version


async def test_each_write_holds_the_user_as_their_batch_left_them(world: Overlapping) -> None:
    first, _ = [await world.begin(world.click("ada", item)) for item in ("alien", "star")]
    world.store.gates[0].set_result(None)
    await first
    assert world.store.users["ada"].history.item_ids == ["alien"]


async def test_a_batch_whose_write_fails_raises_though_a_later_one_is_stored(world: Overlapping) -> None:
    clicks = [world.click("ada", item) for item in ("alien", "star")]
    first, second = [await world.begin(click) for click in clicks]
    world.store.gates[0].set_exception(StoreUnavailable("lost on the way"))
    world.store.gates[1].set_result(None)
    await second
    with pytest.raises(StoreUnavailable):
        await first
    successor = World(world.store)
    await successor.open_cinema()
    again = asyncio.create_task(successor.pipeline.interactions(clicks))  # neither was committed
    await world.store.has_taken_in(3)
    world.store.gates[2].set_result(None)
    await again
    assert world.store.users["ada"].history.item_ids == ["alien", "star"]


async def test_a_user_whose_write_is_on_its_way_is_not_read_back_from_before_it(world: Overlapping) -> None:
    world.pipeline.policy = msgspec.structs.replace(world.pipeline.policy, cached_users=1)
    batches = [await world.begin(world.click(*each)) for each in (("ada", "alien"), ("bob", "love"), ("ada", "star"))]
    for gate in world.store.gates:
        gate.set_result(None)
    await asyncio.gather(*batches)
    assert world.store.users["ada"].history.item_ids == ["alien", "star"]
    another = await world.begin(world.click("eve", "kiss"))
    assert list(world.pipeline._owned.users) == ["eve"], "the cache is bounded again once all is stored"
    world.store.gates[-1].set_result(None)
    await another


async def test_writes_of_a_worker_that_has_been_replaced_are_refused_all_and_undo_nothing(world: Overlapping) -> None:
    batches = [await world.begin(world.click("ada", item)) for item in ("alien", "love", "kiss")]
    owner = World(world.store)
    await owner.open_cinema()  # claims the partition
    new = asyncio.create_task(owner.pipeline.interactions([owner.click("ada", "star", event_id="new")]))
    await world.store.has_taken_in(4)
    for gate in reversed(world.store.gates):
        gate.set_result(None)
    await new
    for batch in batches:
        with pytest.raises(Fenced):
            await batch
    assert world.store.users["ada"].history.item_ids == ["star"]
    assert all(each.list_version < owner.lists()[-1].list_version for each in world.lists()), "readers drop them"


async def test_a_write_that_arrives_after_its_user_was_forgotten_brings_nobody_back(world: Overlapping) -> None:
    late = await world.begin(world.click("zora", "alien"))
    await world.pipeline.forgets([world.forget("zora")])
    world.store.gates[0].set_result(None)
    await late
    assert not world.store.users
    assert world.sink.on("recommendations")[-1].value is None


async def test_a_batch_that_is_given_up_still_publishes_what_the_next_one_will_wait_for(world: Overlapping) -> None:
    given_up = await world.begin(world.click("ada", "alien"))
    given_up.cancel()
    await asyncio.wait({given_up})
    await world.pipeline.own([0])
    assert given_up.cancelled()
    next_one = await world.begin(world.click("ada", "star"))
    world.store.gates[-1].set_result(None)
    await next_one


batches_of_clicks = st.lists(
    st.lists(st.tuples(st.sampled_from(("ada", "bob")), st.sampled_from(sorted(FILMS))), min_size=1, max_size=3),
    min_size=1,
    max_size=4,
)


@settings(max_examples=10, deadline=None)
@given(batches_of_clicks, st.data())
async def test_whatever_write_finishes_first_and_wherever_the_worker_dies_every_click_counts_once(
    clicks: list[list[tuple[str, str]]], data: st.DataObject
) -> None:
    world = Overlapping()
    await world.open_cinema()
    batches = [[world.click(*each) for each in batch] for batch in clicks]
    handled = [await world.begin(*batch) for batch in batches]
    order = data.draw(st.permutations(range(len(batches))))
    stored = order[: data.draw(st.integers(0, len(batches)))]
    for number in stored:
        world.store.gates[number].set_result(None)
        await handled[number]
    committed = next((number for number in range(len(batches)) if number not in stored), len(batches))
    for each in handled:
        each.cancel()  # the worker dies; what is not committed comes again

    survivors = FakeStore()
    survivors.users, survivors.epochs = world.store.users, world.store.epochs
    successor = World(survivors)
    await successor.open_cinema()
    for batch in batches[committed:]:
        await successor.pipeline.interactions(batch)
    for name in {click.key.decode() for batch in batches for click in batch if click.key}:
        expected = UserState(name, History(), RecentEvents(limit=100))
        for click in (
            json.loads(each.value or b"") for batch in batches for each in batch if each.key == name.encode()
        ):
            apply(expected, click["event_id"], Touch(click["item_id"], click["ts"], 1.0))
        settle(expected, world.replica.item_vectors.get, world.pipeline.policy.taste_half_life)
        user = survivors.users[name]
        assert user.history.item_ids == expected.history.item_ids
        np.testing.assert_allclose(user.taste.totals["fused"], expected.taste.totals["fused"], rtol=1e-4, atol=1e-6)
