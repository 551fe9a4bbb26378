"""Who asks to be forgotten is: in the store, in every worker, and for whoever reads lists."""

from pathlib import Path

import msgspec
import pytest

from encoders.contract import DIM
from streams.adapters.cassandra import DAY, FORGOTTEN_SECONDS
from streams.adapters.index import VectorIndex
from streams.errors import Fenced, StoreUnavailable
from streams.events import Forgotten
from streams.ports import Logged, Outgoing
from streams.privacy import as_json, memory_as_json
from streams.replica import INTERACTIONS, ITEMS, Replica
from streams.settings import Retention
from streams.snapshots import SnapshotFolder
from streams.topics import TOPICS
from tests.pipeline.test_pipeline import NOW, World


@pytest.fixture
async def world() -> World:
    """Zora and Bob have clicked, and Zora has said who she is."""
    world = World()
    await world.open_cinema()
    await world.pipeline.profiles([world.profile("zora", age=36)])
    await world.pipeline.interactions(
        [world.click(user, item) for user in ("zora", "bob") for item in ("alien", "star")]
    )
    return world


def confirmed(world: World) -> list[Forgotten]:
    return [msgspec.json.decode(each.value, type=Forgotten) for each in world.sink.on("forgotten")]


def newest_list(world: World, user: str) -> Outgoing:
    return [each for each in world.sink.on("recommendations") if each.key == user.encode()][-1]


def named_in(folder: Path, user: bytes) -> list[bool]:
    """For each file of the folder whether it names the user."""
    return [user in each.read_bytes() for each in folder.iterdir()]


async def test_a_user_who_asks_is_erased_and_told_so_and_nobody_else_is(world: World) -> None:
    bob = as_json(world.store.users["bob"])
    request = world.forget("zora")
    await world.pipeline.forgets([request])
    assert set(world.store.users) == {"bob"} and as_json(world.store.users["bob"]) == bob
    assert b"zora" not in msgspec.json.encode([as_json(each) for each in world.store.forgotten.values()])
    assert newest_list(world, "zora").value is None and newest_list(world, "bob").value is not None
    assert "zora" not in world.pipeline._owned.users and "zora" not in world.pipeline.lists.quality._held
    [done] = confirmed(world)
    assert (done.event_id, done.user_id, done.interactions, done.profile) == (f"e{request.offset}", "zora", 2, True)


async def test_what_all_workers_hold_of_a_user_can_be_exported_until_it_is_erased(world: World) -> None:
    held = memory_as_json(world.replica.recommender.remembered("zora"))
    assert held is not None and [each["item_id"] for each in held["session"]] == ["alien", "star"]
    assert held["profile"] and msgspec.json.decode(msgspec.json.encode(held)) == held
    await world.pipeline.forgets([world.forget("zora")])
    assert memory_as_json(world.replica.recommender.remembered("zora")) is None


async def test_somebody_unknown_is_confirmed_too(world: World) -> None:
    await world.pipeline.forgets([world.forget("nobody")])
    [done] = confirmed(world)
    assert (done.user_id, done.interactions, done.profile) == ("nobody", 0, False)


async def test_every_worker_forgets_when_it_comes_to_that_place_of_the_log(world: World) -> None:
    other = Replica(VectorIndex(DIM), worker="w2", items_topic=ITEMS)
    await world.pipeline.forgets([world.forget("zora")])
    for topic in (ITEMS, INTERACTIONS):
        log = [Logged(offset, each.value) for offset, each in enumerate(world.sink.on(topic))]
        await other.follow(topic, log[:-1])
        if topic == INTERACTIONS:
            assert b"zora" in b"".join(other.snapshot())
        await other.follow(topic, log[-1:])
    for replica in (world.replica, other):
        assert replica.recommender.profile("zora") is None
        left = b"".join(replica.snapshot())
        assert b"zora" not in left and b"bob" in left
    assert world.replica.recommender.snapshot() == other.recommender.snapshot()


async def test_an_event_id_that_tells_whose_it_is_is_in_no_snapshot(world: World) -> None:
    await world.pipeline.interactions([world.click("bob", "love", event_id="zora-told-bob")])
    assert b"zora-told-bob" not in b"".join(world.replica.snapshot())


async def test_snapshots_of_before_are_erased_and_the_next_does_not_name_the_user(world: World, tmp_path: Path) -> None:
    snapshots = SnapshotFolder(tmp_path, world.replica)
    snapshots.save()
    assert named_in(tmp_path, b"zora") == [True]
    await world.pipeline.forgets([world.forget("zora")])
    assert named_in(tmp_path, b"zora") == []
    snapshots.save()
    assert named_in(tmp_path, b"zora") == [False]


async def test_what_happened_before_and_arrives_afterwards_brings_nobody_back(world: World) -> None:
    late, handled = world.click("zora", "love"), world.click("zora", "kiss")
    late_profile = world.profile("zora", age=36)
    await world.pipeline.interactions([handled])
    await world.pipeline.forgets([world.forget("zora")])
    told = len(world.sink.on(INTERACTIONS))
    await world.pipeline.interactions([late, handled, world.click("bob", "love")])
    await world.pipeline.profiles([late_profile])
    successor = World(world.store)
    await successor.open_cinema()
    await successor.pipeline.interactions([late, handled])
    assert set(world.store.users) == {"bob"}
    assert newest_list(world, "zora").value is None and not successor.lists()
    assert [each.key for each in world.sink.on(INTERACTIONS)[told:]] == [b"bob"]


async def test_who_comes_back_starts_anew_with_newer_lists_than_before(world: World) -> None:
    before = max(each.list_version for each in world.lists())
    await world.pipeline.forgets([world.forget("zora")])
    await world.pipeline.interactions([world.click("zora", "love")])
    back = world.store.users["zora"]
    assert back.history.item_ids == ["love"] and back.profile is None and back.traits == b""
    assert world.lists()[-1].user_id == "zora" and world.lists()[-1].list_version > before
    in_tombstone = dict(world.sink.on("recommendations")[-2].headers)["list_version"]
    assert before < int(in_tombstone) < world.lists()[-1].list_version
    fresh = World()
    await fresh.open_cinema()
    await fresh.pipeline.interactions([fresh.click("zora", "love", ts=back.taste.as_of)])
    assert as_json(fresh.store.users["zora"])["taste"] == as_json(back)["taste"]


async def test_a_request_that_is_delivered_again_spares_who_has_come_back(world: World) -> None:
    request = world.forget("zora")
    await world.pipeline.forgets([request, request])
    await world.pipeline.interactions([world.click("zora", "love")])
    for each in (world, World(world.store)):
        await each.pipeline.own([0])
        await each.pipeline.forgets([request])
        assert world.store.users["zora"].history.item_ids == ["love"]
        assert confirmed(each)[-1].interactions == 0
    assert newest_list(world, "zora").value is not None


async def test_a_second_request_erases_what_came_since_even_if_its_clock_is_behind(world: World) -> None:
    await world.pipeline.forgets([world.forget("zora")])
    await world.pipeline.interactions([world.click("zora", "love")])
    await world.pipeline.forgets([world.forget("zora", ts=NOW - 1000)])
    assert "zora" not in world.store.users and newest_list(world, "zora").value is None
    assert confirmed(world)[-1].interactions == 1


async def test_nothing_is_confirmed_before_it_is_stored_and_a_second_attempt_does_the_rest(world: World) -> None:
    request = world.forget("zora")
    world.store.down = True
    with pytest.raises(StoreUnavailable):
        await world.pipeline.forgets([request])
    assert not confirmed(world) and newest_list(world, "zora").value is not None
    successor = World(world.store)
    world.store.down = False
    await successor.open_cinema()
    await successor.pipeline.forgets([request])
    assert set(world.store.users) == {"bob"} and confirmed(successor)[0].interactions == 2


async def test_a_worker_that_slept_neither_forgets_nor_brings_back(world: World) -> None:
    owner = World(world.store)
    await owner.open_cinema()
    with pytest.raises(Fenced):
        await world.pipeline.forgets([world.forget("bob")])
    assert not confirmed(world) and newest_list(world, "bob").value is not None
    await owner.pipeline.forgets([owner.forget("zora", event_id="bye")])
    with pytest.raises(Fenced):
        await world.pipeline.interactions([world.click("zora", "love")])
    assert "zora" not in world.store.users


def test_who_was_forgotten_is_noted_for_longer_than_any_event_of_theirs_is_kept() -> None:
    longest = Retention(events_days=390, profiles_days=390, interactions_days=390, experiments_days=390)
    days = max(topic.days(longest) for topic in TOPICS if topic.personal)
    assert days == 390 and FORGOTTEN_SECONDS == 400 * DAY > (days + 1) * DAY
