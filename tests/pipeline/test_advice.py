"""A shipped model has a say in lists, is judged by the clicks, and never keeps a list waiting."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from encoders.contract import Question, item_key
from streams.advice import Advice
from streams.core.experiments.assignment import Assigner
from streams.core.experiments.plan import Plan, read
from streams.core.residual import Figures, in_canary
from streams.errors import RankerUnavailable
from streams.ports import Arms
from tests.pipeline.test_pipeline import FILMS, NOW, World

KEYS = {item_key(film): film for film in FILMS}


class FakeScorer:
    """Wants some films, and remembers what it was asked.

    liked  version -> film -> logit; other films have 0, and those of `unknown` none
    """

    def __init__(self, liked: Mapping[int, Mapping[str, float]]) -> None:
        self.liked, self.unknown = liked, frozenset[str]()
        self.asked: list[tuple[int, Question]] = []
        self.fails = False

    async def arms(self) -> Arms:
        if self.fails:
            raise RankerUnavailable("away")
        return Arms()

    async def score(self, version: int, asked: Question) -> np.ndarray:
        self.asked.append((version, asked))
        if self.fails:
            raise RankerUnavailable("away")
        films = [[KEYS.get(key, "") for key in row] for row in asked.candidates.tolist()]
        logits = [
            [np.nan if film in self.unknown else self.liked[version].get(film, 0.0) for film in row] for row in films
        ]
        return np.array(logits, np.float32)


class Advised(World):
    """The pipeline with a model that serves everybody."""

    def __init__(self, scorer: FakeScorer, arms: Arms, plan: Plan | None = None) -> None:
        super().__init__(plan=plan)
        self.scorer = scorer
        named = plan.model_versions() if plan else {}
        self.advice = self.pipeline.lists.advice = Advice(scorer, least_weight=0.5, named=named)
        self.advice.arms = arms

    async def list_after(self, user: str, item: str, **fields: Any) -> list[str]:
        await self.pipeline.interactions([self.click(user, item, **fields)])
        return [item.item_id for item in self.lists()[-1].items]

    def trust(self, version: int, weight: float = 50.0) -> None:
        """As if it had earned it."""
        self.advice.residual._standing(version).weight = weight


@pytest.fixture
async def world() -> Advised:
    world = Advised(FakeScorer({1: {"kiss": 5.0}, 2: {"amelie": 5.0}}), Arms(stable=1))
    await world.open_cinema()
    return world


async def test_a_model_is_asked_once_for_a_whole_batch(world: Advised) -> None:
    await world.pipeline.interactions([world.click(user, "alien") for user in ("ann", "bob", "cat")])
    [(version, asked)] = world.scorer.asked
    assert version == 1 and asked.history.shape == (3, 20) and asked.candidates.shape[0] == 3
    assert {KEYS[key] for key in asked.history[:, -1].tolist()} == {"alien"} and not asked.history[:, :-1].any()
    assert {KEYS[key] for key in asked.candidates[0].tolist()} <= set(FILMS) - {"alien"}


async def test_a_view_is_no_click_to_a_model(world: Advised) -> None:
    await world.pipeline.interactions(
        [world.message("events.view", "ann", {"user_id": "ann", "item_id": "star"}), world.click("ann", "alien")]
    )
    [(_, asked)] = world.scorer.asked
    assert [KEYS[key] for key in asked.history[0].tolist() if key] == ["alien"]


async def test_a_model_that_is_trusted_decides_what_comes_first_and_one_that_is_not_changes_nothing(
    world: Advised,
) -> None:
    plain = World()
    await plain.open_cinema()
    await plain.pipeline.interactions([plain.click("ann", "alien")])
    without = [item.item_id for item in plain.lists()[-1].items]
    assert without[0] != "kiss"
    assert await world.list_after("ann", "alien") == without
    world.trust(1)
    assert (await world.list_after("bob", "alien"))[0] == "kiss"


async def test_an_item_that_a_model_does_not_know_keeps_its_place_among_the_others(world: Advised) -> None:
    world.trust(1)
    world.scorer.unknown = frozenset(FILMS)
    plain = World()
    await plain.open_cinema()
    await plain.pipeline.interactions([plain.click("ann", "alien")])
    assert await world.list_after("ann", "alien") == [item.item_id for item in plain.lists()[-1].items]


async def test_each_click_is_a_test_of_the_model_that_had_a_part_in_the_list(world: Advised) -> None:
    await world.list_after("ann", "alien")
    await world.list_after("ann", "kiss")
    figures = world.advice.residual.figures()
    assert figures[1].choices == 1 and figures[1].weight > 0


async def test_the_canary_serves_its_share_and_the_stable_version_the_others(world: Advised) -> None:
    world.advice.arms = Arms(stable=1, canary=2, share=0.5)
    users = [f"user-{number}" for number in range(20)]
    await world.pipeline.interactions([world.click(user, "alien") for user in users])
    assert {version: len(asked.history) for version, asked in world.scorer.asked} == {
        2: sum(in_canary(user, 2, 0.5) for user in users),
        1: sum(not in_canary(user, 2, 0.5) for user in users),
    }


async def test_a_model_that_does_not_answer_costs_no_list_and_is_left_alone(world: Advised) -> None:
    world.scorer.fails = True
    before = REGISTRY.get_sample_value("anabranch_lists_unadvised_total", {"version": "1"}) or 0.0
    assert await world.list_after("ann", "alien")
    assert await world.list_after("ann", "star")
    assert len(world.scorer.asked) == 1
    assert REGISTRY.get_sample_value("anabranch_lists_unadvised_total", {"version": "1"}) == before + 1


async def test_a_canary_that_does_not_answer_leaves_its_users_to_the_stable_version(world: Advised) -> None:
    world.advice.arms = Arms(stable=1, canary=2, share=1.0)
    world.scorer.fails = True
    await world.list_after("ann", "alien")
    world.scorer.fails = False
    await world.list_after("ann", "star")
    assert [version for version, _ in world.scorer.asked] == [2, 1]


async def test_versions_that_are_compared_anew_start_level_and_keep_what_their_scores_weigh(world: Advised) -> None:
    world.advice.serve(Arms(stable=1))
    await world.list_after("ann", "alien")
    await world.list_after("ann", "kiss")
    before = world.advice.residual.figures()[1]
    world.advice.serve(Arms(stable=1))
    assert world.advice.residual.figures()[1] == before and before.choices == 1
    world.advice.serve(Arms(stable=1, canary=2, share=0.5))
    assert world.advice.residual.figures()[1] == Figures(0, 0.0, 0.0, before.weight)


async def test_without_a_shipped_model_nobody_is_asked(world: Advised) -> None:
    world.advice.arms = Arms()
    assert await world.list_after("ann", "alien")
    assert world.scorer.asked == []


async def test_an_item_withdrawn_while_the_model_is_asked_is_not_shown(world: Advised) -> None:
    world.trust(1)
    score = world.scorer.score

    async def slow(version: int, asked: Question) -> np.ndarray:
        await world.pipeline.uploads([world.upload("kiss", withdrawn=True)])
        return await score(version, asked)

    world.scorer.score = slow  # type: ignore[method-assign]
    assert "kiss" not in await world.list_after("ann", "alien")


async def test_a_forgotten_user_leaves_nothing_to_be_judged_by(world: Advised) -> None:
    await world.list_after("ann", "alien")
    await world.pipeline.forgets([world.forget("ann", ts=NOW)])
    assert not world.advice.residual._held


PLAN = read("layers: {l: {deep: {arms: {usual: {}, without: {model_version: none}, new: {model_version: 2}}}}}")


def in_arm(arm: str) -> str:
    """A user who is."""
    assigner = Assigner(PLAN)
    return next(user for n in range(99) if assigner.assign(user := f"user {n}").variants["deep"] == arm)


def served_as_everybody(version: int) -> float:
    return REGISTRY.get_sample_value("anabranch_lists_without_arms_model_total", {"version": str(version)}) or 0.0


@pytest.fixture
async def compared() -> Advised:
    """Version 1 wants `kiss` and serves everybody, version 2 wants `amelie` and is loaded for arms."""
    world = Advised(FakeScorer({1: {"kiss": 5.0}, 2: {"amelie": 5.0}}), Arms(stable=1, others=(2,)), PLAN)
    await world.open_cinema()
    world.trust(1)
    world.trust(2)
    return world


async def test_an_arm_is_served_by_the_version_that_it_names_or_by_none(compared: Advised) -> None:
    firsts = {arm: (await compared.list_after(in_arm(arm), "alien"))[0] for arm in ("usual", "without", "new")}
    assert (firsts["usual"], firsts["new"]) == ("kiss", "amelie") and firsts["without"] not in ("kiss", "amelie")
    assert [version for version, _ in compared.scorer.asked] == [1, 2]
    assert compared.lists()[-1].variants == {"deep": "new"}


async def test_who_is_in_an_arm_that_names_a_version_is_no_canary_user(compared: Advised) -> None:
    compared.advice.arms = Arms(stable=1, canary=3, share=1.0, others=(2,))
    compared.scorer.liked = {3: {}, 2: {}}
    for arm in ("usual", "without", "new"):
        await compared.list_after(in_arm(arm), "alien")
    assert [version for version, _ in compared.scorer.asked] == [3, 2]


async def test_an_arm_whose_version_was_taken_back_is_served_as_everybody_and_counted(compared: Advised) -> None:
    before = served_as_everybody(2)
    compared.advice.serve(Arms(stable=1))
    assert (await compared.list_after(in_arm("new"), "alien"))[0] == "kiss"
    compared.advice.serve(Arms())
    assert await compared.list_after(in_arm("new"), "star")
    assert served_as_everybody(2) == before + 2 and [version for version, _ in compared.scorer.asked] == [1]


async def test_an_arm_whose_version_does_not_answer_is_served_as_everybody_until_triton_tells_anew(
    compared: Advised,
) -> None:
    compared.scorer.fails = True
    assert await compared.list_after(in_arm("new"), "alien")
    compared.scorer.fails = False
    assert (await compared.list_after(in_arm("new"), "star"))[0] == "kiss"
    compared.advice.serve(Arms(stable=1, others=(2,)))
    await compared.list_after(in_arm("new"), "love")
    assert [version for version, _ in compared.scorer.asked] == [2, 1, 2]
