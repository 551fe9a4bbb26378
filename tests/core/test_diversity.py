"""Diversity, the user's own mix, and limits of exposure, on lists whose right order anyone can see."""

import msgspec
import numpy as np
import pytest

from streams.core.catalogue import Catalogue
from streams.core.diversity import Exposure, distance, exposure_shares, intra_list_diversity, reordered, shares
from streams.core.history import History, Trail
from streams.core.live_quality import LiveQuality
from streams.core.memory.settings import ListSettings
from streams.core.recommender import Interaction, Recommender, RecommenderSettings, UserView
from streams.core.rules import Rule, RuleBook
from streams.core.vectors import unit

NOON = 1.7e9
NOBODY = Trail(np.zeros(0, np.int32), np.zeros(0), np.zeros(0, np.float32))


def shelf() -> Catalogue:
    """Items 0-3 are of one kind, 4-7 of another; in a kind all are alike."""
    catalogue = Catalogue(capacity=16)
    for item in range(8):
        kind = item // 4
        vector = unit(np.eye(2, dtype=np.float32)[kind] + np.float32(0.01 * item))
        catalogue.put(f"i{item}", vector, NOON, ["war"] if kind == 0 else ["love"])
    return catalogue


def order(k: int, trail: Trail = NOBODY, **how: float) -> list[int]:
    scores = np.linspace(1, 0, 8).astype(np.float32)
    slots = np.arange(8, dtype=np.int32)
    return reordered(shelf(), trail, slots, scores, k, ListSettings(**how))  # type: ignore[arg-type]


def test_without_strength_the_order_is_that_of_the_scores() -> None:
    assert order(8) == list(range(8))


def test_diversity_brings_the_other_kind_up_and_keeps_the_best_first() -> None:
    diverse = order(4, diversity=0.5)
    assert diverse[0] == 0 and diverse[1] >= 4
    assert sorted(order(4, diversity=0.5)) == list(range(8)), "nothing is lost"


def test_the_more_diversity_the_farther_apart_the_first_items_are() -> None:
    vectors = shelf().vectors
    assert vectors is not None
    apart = [intra_list_diversity(vectors[order(4, diversity=strength)[:4]]) for strength in (0.0, 0.3, 0.9)]
    assert apart == sorted(apart) and apart[-1] > apart[0] + 0.3


def test_calibration_gives_each_kind_its_share_of_the_past() -> None:
    past = Trail(np.array([0, 4, 5, 6], np.int32), np.arange(4.0), np.ones(4, np.float32))  # a quarter war
    first = order(4, past, calibration=0.9)[:4]
    assert sum(item < 4 for item in first) == 1
    assert order(4, NOBODY, calibration=0.9) == list(range(8)), "without a past there is nothing to keep to"


def test_a_list_in_the_users_proportions_is_no_distance_away() -> None:
    mix = np.array([0.25, 0.75], np.float32)
    assert distance(mix, mix) == pytest.approx(0, abs=1e-6)
    assert distance(mix, np.array([1, 0], np.float32)) > distance(mix, np.array([0.5, 0.5], np.float32)) > 0
    assert shares([], []) == {}


def test_what_was_shown_too_much_waits_behind_the_others() -> None:
    exposure = Exposure(shelf(), attribute="", limit=0.2)
    slots = np.arange(8, dtype=np.int32)
    for _ in range(1000):
        over = exposure.over(slots, 2)
        shown = slots[np.argsort(over, kind="stable")][:2]
        exposure.show(shown.tolist())
    counts = np.array([exposure._counts.get(slot, 0.0) for slot in range(8)])
    assert (counts / counts.sum()).max() == pytest.approx(0.2, abs=0.02)


def test_a_maker_is_limited_as_a_whole() -> None:
    exposure = Exposure(shelf(), attribute="tag", limit=0.6)
    slots = np.arange(8, dtype=np.int32)
    war = 0
    for _ in range(2000):
        shown = slots[np.argsort(exposure.over(slots, 4), kind="stable")][:4]
        exposure.show(shown.tolist())
        war += int((shown < 4).sum())
    assert war / 8000 == pytest.approx(0.6, abs=0.05)


class Town:
    """Everybody likes the same ten items of twenty."""

    def __init__(self, **how: float) -> None:
        self.settings = RecommenderSettings(
            capacity=32,
            sessions=64,
            session_length=16,
            proposals=20,
            exploration_share=0.0,
            **how,  # type: ignore[arg-type]
        )
        self.recommender = Recommender(self.settings)
        for item in range(20):
            vector = unit(np.random.default_rng(item % 4).standard_normal(4).astype(np.float32))
            self.recommender.put_item(f"item {item}", vector, NOON, [f"kind {item % 4}"])
        for user in range(20):
            for item in range(10):
                self.recommender.learn(Interaction(f"{user} {item}", f"user {user}", f"item {item}", NOON + item, 1.0))

    def listed(self, user_id: str = "ann", k: int = 5) -> list[str]:
        return [each.item_id for each in self.recommender.recommend(UserView(user_id, History()), NOON + 60, k)]


def test_each_makers_share_of_what_was_shown_is_told() -> None:
    catalogue = Catalogue(capacity=8)
    for item, maker in (("a", "big"), ("b", "big"), ("c", "small"), ("d", "")):
        catalogue.put(item, None, NOON, [f"maker={maker}"] if maker else ["tag"])
    live = LiveQuality(window=2, users=10)
    for user, held in (("old", ["d"] * 4), ("ann", ["a", "b", "c", "d"]), ("bob", ["a", "b", "gone", "d"])):
        live.hold(user, held)
        live.click(user, "a")
    assert exposure_shares(catalogue, live.exposure, "maker") == {"maker=big": 4 / 8, "maker=small": 1 / 8}
    assert exposure_shares(catalogue, live.exposure, "") == {}


def test_a_list_is_as_before_while_nothing_is_switched_on() -> None:
    assert not ListSettings().rearranges
    assert Town().listed() == Town(exposure_limit=0.9999).listed()


def test_a_list_made_with_limits_is_counted_and_one_made_without_is_not() -> None:
    plain, limited = Town(), Town(exposure_limit=0.1)
    before = plain.listed()
    seen = [limited.listed(f"user at {n}") for n in range(1500)]
    assert seen[0] == before
    latest = [item for list_ in seen[-500:] for item in list_]
    assert max(latest.count(item) for item in set(latest)) / len(latest) < 0.13
    assert [plain.listed(f"user at {n}") for n in range(100)][-1] == before


def test_rules_have_the_last_word() -> None:
    town = Town(diversity=0.5)
    town.recommender.rules = RuleBook(
        [Rule(name="pin", pin=1, items=["item 19"]), Rule(name="cap", cap=1, per="tag")], town.recommender.catalogue
    )
    listed = town.listed()
    assert listed[0] == "item 19"
    assert len({int(item.removeprefix("item ")) % 4 for item in listed}) == len(listed) == 4


def test_one_user_may_have_a_diverse_list_while_others_have_not() -> None:
    town = Town()
    diverse = msgspec.structs.replace(town.settings, diversity=0.9)
    user = UserView("ann", History())
    best = [each.item_id for each in town.recommender.recommend(user, NOON + 60, 4, diverse)]
    assert best != town.listed("ann", 4) and best[0] == town.listed("ann", 4)[0]
    assert len({int(item.removeprefix("item ")) % 4 for item in best}) == 4
