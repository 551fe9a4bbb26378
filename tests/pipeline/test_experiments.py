"""Lists are made by their user's arm, clicks are put down to the list they came from, and all arms teach alike."""

from collections.abc import Sequence

import msgspec
from prometheus_client import REGISTRY

from streams.core.digest import digest
from streams.core.experiments.assignment import Assigner
from streams.core.experiments.plan import Plan, read
from streams.events import Outcome, Recommendations
from streams.experiments import report
from tests.pipeline.test_pipeline import World

PLAN = read("layers: {lists: {a: {arms: {all: {}, popular: {experts: [popular], list_length: 3}}}}}")
MIXED = read("layers: {lists: {a: {kind: interleaving, arms: {all: {}, popular: {experts: [popular]}}}}}")


def in_arm(arm: str, plan: Plan = PLAN) -> str:
    """A user who is."""
    assigner = Assigner(plan)
    return next(user for n in range(99) if assigner.assign(user := f"user {n}").variants["a"] == arm)


async def cinema(plan: Plan | None = PLAN) -> World:
    world = World(plan=plan)
    await world.open_cinema()
    for item in ("love", "amelie", "kiss"):
        await world.pipeline.interactions([world.click(f"critic of {item}", item)])
    return world


async def click(world: World, user: str, *items: str) -> Recommendations:
    await world.pipeline.interactions([world.click(user, item) for item in items])
    return world.lists()[-1]


def outcomes(world: World, user: str) -> Sequence[Outcome]:
    every = [msgspec.json.decode(each.value, type=Outcome) for each in world.sink.on("experiments")]
    return [each for each in every if each.user == digest(user).hex()]


async def test_without_a_plan_no_list_has_variants_and_no_outcome_is_told() -> None:
    world = await cinema(None)
    made = await click(world, "ann", "alien")
    assert made.variants == {} and world.sink.on("experiments") == []


async def test_a_list_is_made_by_the_arm_of_its_user_and_says_which() -> None:
    world = await cinema()
    plain, popular = in_arm("all"), in_arm("popular")
    everything, little = await click(world, plain, "alien"), await click(world, popular, "alien")
    assert everything.variants == {"a": "all"} and little.variants == {"a": "popular"}
    assert len(everything.items) == 5 and len(little.items) == 3
    assert {item.reason for item in little.items} == {"popular"} != {item.reason for item in everything.items}


async def test_a_click_is_put_down_to_the_list_that_the_user_held() -> None:
    world = await cinema()
    user = in_arm("all")
    first = await click(world, user, "alien")
    await click(world, user, first.items[1].item_id, "an item that nobody has uploaded")
    begun, ended = outcomes(world, user)
    assert (begun.variants, begun.items, begun.before, begun.clicks, begun.place) == ({"a": "all"}, 5, {}, 0, 0)
    assert (ended.before, ended.clicks, ended.place) == ({"a": "all"}, 2, 2)
    assert begun.list_version < ended.list_version


async def test_a_click_long_after_the_list_or_on_the_answer_to_a_search_is_not() -> None:
    world = await cinema()
    user = in_arm("all")
    first = await click(world, user, "alien")
    await world.pipeline.interactions([world.click(user, first.items[0].item_id, query_id="q", position=0)])
    world.now += PLAN.window_seconds + 1
    await click(world, user, first.items[1].item_id)
    assert [(each.clicks, each.place) for each in outcomes(world, user)] == [(0, 0)] * 3


async def test_a_click_that_is_delivered_again_counts_once() -> None:
    world = await cinema()
    user = in_arm("all")
    first = await click(world, user, "alien")
    again = world.click(user, first.items[0].item_id)
    await world.pipeline.interactions([again, again])
    assert outcomes(world, user)[-1].clicks == 1


async def test_an_interleaved_list_says_who_picked_what_and_clicks_are_credited_to_them() -> None:
    world = await cinema(MIXED)
    mixed = await click(world, "ann", "alien")
    arms = [item.arm for item in mixed.items]
    assert mixed.variants == {"a": "interleaved"} and set(arms) == {"all", "popular"}
    chosen = arms.index("popular")
    await click(world, "ann", mixed.items[chosen].item_id)
    last = outcomes(world, "ann")[-1]
    assert (last.place, last.credit) == (chosen + 1, {"popular": 1})


async def test_what_is_learned_does_not_depend_on_the_arm() -> None:
    learned = []
    for plan in (None, PLAN, MIXED):
        world = await cinema(plan)
        for user in (in_arm("all"), in_arm("popular")):
            for item in ("alien", "star", "aliens"):
                await click(world, user, item)
        learned.append([each.value for each in world.sink.on("interactions")])
    assert learned[0] == learned[1] == learned[2]


async def test_nothing_is_put_down_to_a_list_of_a_user_who_was_forgotten_or_of_before_a_rebalance() -> None:
    world = await cinema()
    user = in_arm("all")
    first = await click(world, user, "alien")
    await world.pipeline.forgets([world.forget(user)])
    await click(world, user, first.items[0].item_id)
    world.pipeline.disown()
    await world.pipeline.own([0])
    await click(world, user, first.items[1].item_id)
    assert [(each.before, each.clicks) for each in outcomes(world, user)] == [({}, 0)] * 3


async def test_outcomes_name_nobody_and_make_the_report() -> None:
    world = await cinema()
    for n in range(20):
        first = await click(world, f"user {n}", "alien")
        unknown = f"elsewhere {n}"
        await click(world, f"user {n}", first.items[0].item_id if first.variants["a"] == "popular" else unknown)
    every = [each.value or b"" for each in world.sink.on("experiments")]
    assert not any(b"user 1" in each for each in every)
    [found] = report(PLAN, [msgspec.json.decode(each, type=Outcome) for each in every])
    assert sum(arm.users for arm in found.arms) == 23  # the critics, too
    assert found.arms[1].click_through > 0 == found.arms[0].click_through


def astray(differs: str) -> float:
    return REGISTRY.get_sample_value("anabranch_list_clicks_astray_total", {"differs": differs}) or 0.0


async def test_a_click_that_names_an_arm_its_list_was_not_made_by_counts_for_no_list_and_is_counted() -> None:
    world = await cinema()
    user = in_arm("all")
    first = await click(world, user, "alien")
    before = astray("variant")
    for item, variant in zip(first.items, ("popular", "all"), strict=False):
        await world.pipeline.interactions([world.click(user, item.item_id, variant=variant)])
    assert astray("variant") - before == 1
    _, other, own = outcomes(world, user)
    assert (other.clicks, other.place, own.clicks) == (0, 0, 1)


async def test_a_click_may_name_either_arm_of_an_interleaved_list() -> None:
    world = await cinema(MIXED)
    mixed = await click(world, "ann", "alien")
    before = astray("variant")
    chosen = mixed.items[0]
    await world.pipeline.interactions([world.click("ann", chosen.item_id, variant=chosen.arm)])
    assert astray("variant") == before and outcomes(world, "ann")[-1].clicks == 1


async def test_places_of_clicks_are_counted_and_those_that_another_list_must_have_shown() -> None:
    world = await cinema(None)
    first = await click(world, "ann", "alien")
    name = "anabranch_list_click_place"
    places, total = (REGISTRY.get_sample_value(f"{name}_{what}") or 0 for what in ("count", "sum"))
    before = astray("position")
    await world.pipeline.interactions([world.click("ann", first.items[1].item_id, position=1)])
    assert astray("position") == before
    await world.pipeline.interactions([world.click("ann", "alien", position=4)])
    await world.pipeline.interactions([world.click("nobody yet", "alien", position=0)])
    assert astray("position") == before + 1
    assert REGISTRY.get_sample_value(f"{name}_count") == places + 3
    assert REGISTRY.get_sample_value(f"{name}_sum") == total + 2 + 5 + 1
