"""What a user allows holds at once: in lists, in what everybody learns, in the store, and for what comes late."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import numpy as np
import pytest

from streams.app import asker
from streams.core.consent import Consent
from streams.core.experiments.plan import read
from streams.events import Learned
from streams.ports import Incoming
from streams.privacy import as_json
from streams.replica import INTERACTIONS
from tests.pipeline.test_pipeline import NOW, World
from tests.web.world import HttpWorld

NOBODYS_REASONS = {"popular", "trending", "stage", "exploration"}


@pytest.fixture
async def world() -> World:
    """Zora has said who she is and has clicked; so have others, so that there is something to learn."""
    world = World()
    await world.open_cinema()
    await world.pipeline.profiles([world.profile("zora", age=36)])
    for user in ("bob", "eve", "zora"):
        await world.pipeline.interactions([world.click(user, item) for item in ("alien", "star")])
    return world


def says(world: World, user: str, **fields: Any) -> Incoming:
    return world.message("events.profile", user, {"user_id": user} | fields)


def reasons(world: World) -> set[str]:
    return {item.reason for item in world.lists()[-1].items}


def learned(world: World, user: str) -> list[Learned]:
    messages = world.sink.on(INTERACTIONS)
    return [msgspec.json.decode(each.value, type=Learned) for each in messages if each.key == user.encode()]


def memory(world: World) -> bytes:
    return world.replica.recommender.snapshot()


async def test_without_profiling_all_is_erased_at_once_and_the_list_is_anybodys(world: World) -> None:
    assert not reasons(world) <= NOBODYS_REASONS
    await world.pipeline.profiles([says(world, "zora", profiling=False)])
    assert world.lists()[-1].user_id == "zora" and reasons(world) <= NOBODYS_REASONS
    assert {"alien", "star"} <= {item.item_id for item in world.lists()[-1].items}
    assert "zora" not in world.store.users and learned(world, "zora")[-1].forgotten
    assert b"zora" not in b"".join(world.replica.snapshot())
    [noted] = [each for each in world.store.forgotten.values() if each.consent.objects]
    assert (noted.user_id, noted.history.item_ids, noted.profile, noted.traits) == ("", [], None, b"")


async def test_nothing_is_kept_or_learned_of_what_they_do_from_then_on(world: World) -> None:
    await world.pipeline.profiles([says(world, "zora", profiling=False)])
    before, told = memory(world), len(learned(world, "zora"))
    await world.pipeline.interactions([world.click("zora", item) for item in ("love", "kiss", "love")])
    await world.pipeline.profiles([world.profile("zora", age=36)])
    assert memory(world) == before and len(learned(world, "zora")) == told
    assert "zora" not in world.store.users and "zora" not in world.pipeline.lists.quality._held
    zora = world.pipeline._owned.users["zora"]
    assert not zora.known and zora.traits == b"" and not len(zora.recent_events)
    assert world.lists()[-1].user_id == "zora" and reasons(world) <= NOBODYS_REASONS


async def test_every_worker_after_this_one_knows_it(world: World) -> None:
    await world.pipeline.profiles([says(world, "zora", profiling=False)])
    successor = World(world.store)
    await successor.open_cinema()
    await successor.pipeline.interactions([successor.click("zora", "love", ts=NOW)])
    assert "zora" not in world.store.users and not learned(successor, "zora")
    assert reasons(successor) <= NOBODYS_REASONS


async def test_who_allows_it_again_starts_anew_and_nothing_of_before_comes_back(world: World) -> None:
    before = world.click("zora", "amelie")
    await world.pipeline.profiles([says(world, "zora", profiling=False)])
    meanwhile = world.click("zora", "love")
    await world.pipeline.interactions([meanwhile])
    await world.pipeline.profiles([says(world, "zora", profiling=True, traits={"age": 37})])
    await world.pipeline.interactions([before, meanwhile, world.click("zora", "kiss")])
    back = world.store.users["zora"]
    assert back.history.item_ids == ["kiss"] and back.traits == b'{"age":37}'
    assert not reasons(world) <= NOBODYS_REASONS


async def test_an_objection_that_is_delivered_again_or_overtaken_changes_nothing(world: World) -> None:
    objection = says(world, "zora", profiling=False)
    await world.pipeline.profiles([objection, objection])
    await world.pipeline.profiles([says(world, "zora", profiling=True)])
    await world.pipeline.interactions([world.click("zora", "kiss")])
    await world.pipeline.profiles([objection])
    assert world.store.users["zora"].history.item_ids == ["kiss"]


async def test_an_objection_outlives_being_forgotten_whichever_is_handled_first(world: World) -> None:
    objection, request = says(world, "zora", profiling=False), world.forget("zora")
    await world.pipeline.forgets([request])
    await world.pipeline.profiles([objection])
    await world.pipeline.forgets([world.forget("zora")])
    await world.pipeline.interactions([world.click("zora", "love")])
    assert "zora" not in world.store.users and reasons(world) <= NOBODYS_REASONS


async def test_what_a_profile_does_not_say_stays_as_it_was(world: World) -> None:
    await world.pipeline.profiles([says(world, "zora", use_profile=False)])
    await world.pipeline.profiles([world.profile("zora", age=40)])  # a producer that knows nothing of consent
    zora = world.store.users["zora"]
    assert zora.traits == b'{"age":40}' and not zora.consent.use_profile and zora.consent.profiling
    assert zora.history.item_ids == ["alien", "star"]


async def test_a_profile_that_is_not_to_be_used_has_no_say_and_is_told_to_nobody(world: World) -> None:
    assert world.replica.recommender.profile("zora") is not None
    await world.pipeline.profiles([says(world, "zora", use_profile=False)])
    assert world.replica.recommender.profile("zora") is None
    await world.pipeline.interactions([world.click("zora", "love")])
    assert world.replica.recommender.profile("zora") is None and not learned(world, "zora")[-1].profile
    view = world.pipeline._owned.users["zora"].view({})
    assert view.profile is None and view.taste is not None and view.traits
    await world.pipeline.profiles([says(world, "zora", use_profile=True)])
    await world.pipeline.interactions([world.click("zora", "kiss")])
    told = world.replica.recommender.profile("zora")
    assert told is not None and np.array_equal(told, world.store.users["zora"].profile)


async def test_who_allows_no_profiling_is_in_no_experiment() -> None:
    world = World(plan=read("layers: {lists: {new: {arms: {control: {}, many: {exploration_share: 0.2}}}}}"))
    await world.open_cinema()
    await world.pipeline.profiles([says(world, "zora", profiling=False), world.profile("bob", age=20)])
    assert {each.user_id: bool(each.variants) for each in world.lists()} == {"zora": False, "bob": True}
    assert len(world.sink.on("experiments")) == 1


async def test_what_is_exported_says_what_they_allow(world: World) -> None:
    await world.pipeline.profiles([says(world, "zora", use_profile=False, ts=NOW - 5)])
    assert as_json(world.store.users["zora"])["consent"] == {"profiling": True, "use_profile": False, "at": NOW - 5}


@pytest.fixture
async def asked() -> AsyncIterator[HttpWorld]:
    """Bob and Zora have clicked the same, and are answered over HTTP."""
    asked = HttpWorld()
    await asked.open()
    for user in ("bob", "zora"):
        await asked.click(user, "alien", "star")
    yield asked
    await asked.close()


async def test_over_http_lists_searches_and_explanations_hold_to_it_at_once(asked: HttpWorld) -> None:
    _, before = await asked.get("/users/zora/recommendations")
    assert (await asked.reader.asker("zora")).taste is not None
    for known in (await asked.reader.asker("zora"), await asker(asked.worker.pipeline, "zora")):
        assert known.likings is not None and set(known.likings(NOW)) & {each["item_id"] for each in before["items"]}
    await asked.worker.pipeline.profiles([says(asked.worker, "zora", profiling=False)])
    asked.follow()
    _, after = await asked.get("/users/zora/recommendations")
    assert {each["reason"] for each in after["items"]} <= NOBODYS_REASONS and after != before
    for user in ("zora", "somebody never heard of"):
        for known in (await asked.reader.asker(user), await asker(asked.worker.pipeline, user)):
            assert known.taste is None and known.likings is None
    _, why = await asked.get("/users/zora/explanations/alien")  # it is no longer known that she clicked it
    assert why["past"] == [] and set(why["parts"]) <= {"popular", "trending", "stage", "passed over", "bias"}
    assert (await asked.get("/users/zora"))[0] == 404 and (await asked.get("/users/bob"))[0] == 200


def test_what_is_said_earlier_and_comes_later_is_too_late() -> None:
    assert Consent(profiling=False, at=9.0).said(5.0, profiling=True) == Consent(profiling=False, at=9.0)
