"""What rules do to the lists of a small town."""

import msgspec
import numpy as np
import pytest

from streams.core.explain import explain, sentence
from streams.core.history import History
from streams.core.recommender import Interaction, Recommender, RecommenderSettings, UserView
from streams.core.rules import Rule, RuleBook, Span
from streams.core.user import RecentEvents, UserState

NOON = 1.7e9
SETTINGS = RecommenderSettings(capacity=16, sessions=32, session_length=16, proposals=20, exploration_share=0.2)
CHILD, GROWN = (msgspec.json.encode({"age": age}) for age in (12, 40))


class Town:
    """Items 0 to 19, the lower the more popular; every second is by the maker 'even', every third is an ad."""

    def __init__(self, *rules: Rule) -> None:
        self.recommender = Recommender(SETTINGS)
        for item in range(20):
            maker = "even" if item % 2 == 0 else "odd"
            self.put(item, f"maker={maker}", *(["ad"] if item % 3 == 0 else []))
        for item in range(15):
            for user in range(30 - item):
                interaction = Interaction(f"{item} {user}", f"user {user}", f"item {item}", NOON + item, 1.0)
                self.recommender.learn(interaction)
        self.recommender.rules = RuleBook(rules, self.recommender.catalogue)

    def put(self, item: int, *attributes: str) -> None:
        self.recommender.put_item(f"item {item}", None, NOON, attributes)

    def listed(self, k: int = 10, traits: bytes = b"", at: float = NOON + 60, *touched: int) -> list[int]:
        history = History.of((f"item {item}", NOON, 1.0) for item in touched)
        best = self.recommender.recommend(UserView("newcomer", history, traits=traits), at, k)
        return [int(each.item_id.removeprefix("item ")) for each in best]

    @property
    def uses(self) -> dict[str, int]:
        assert self.recommender.rules is not None
        return dict(self.recommender.rules.uses)


def test_without_rules_that_hold_a_list_is_as_it_was() -> None:
    plain, never = Town(), Town(Rule(name="never", exclude=True, active=lambda at: False))
    plain.recommender.rules = None
    assert never.listed() == plain.listed()
    assert never.uses == {}


def test_what_rules_exclude_for_a_user_they_would_not_like_either() -> None:
    town = Town(Rule(name="grown", exclude=True, items=["item 1"], audience={"age": Span(below=16)}))
    for traits, shown in ((CHILD, False), (GROWN, True)):
        someone = UserView("newcomer", History(), traits=traits)
        assert ("item 1" in town.recommender.likings(someone, NOON + 60)) == shown
    assert town.uses == {}, "nothing was listed"


def test_a_pinned_item_has_its_place_though_nobody_proposes_it() -> None:
    town = Town(Rule(name="opening", pin=2, items=["item 18"]), Rule(name="also", pin=4, items=["item 3"]))
    listed = town.listed()
    assert (listed[1], listed[3]) == (18, 3)
    assert sorted(set(listed)) == sorted(listed) and len(listed) == 10
    assert town.uses == {"opening": 1, "also": 1}
    best = town.recommender.recommend(UserView("newcomer", History()), NOON + 60, 10)
    assert best[1].reason == "pinned" and best[0].reason in SETTINGS.experts


def test_of_several_pinned_items_the_first_that_may_be_shown_gets_the_place() -> None:
    town = Town(Rule(name="opening", pin=1, items=["unknown", "item 16", "item 17"]))
    town.recommender.withdraw_item("item 16")
    assert town.listed()[0] == 17
    assert 17 not in town.listed(10, b"", NOON + 60, 17), "what somebody has touched is not pinned for them"


def test_two_pins_for_one_place_leave_it_to_the_first() -> None:
    town = Town(Rule(name="first", pin=1, items=["item 18"]), Rule(name="second", pin=1, items=["item 19"]))
    assert town.listed()[0] == 18
    assert town.uses == {"first": 1}


def test_pins_at_the_end_of_a_short_list_are_there() -> None:
    town = Town(Rule(name="end", pin=20, items=["item 0"]))
    assert sorted(town.listed(20)) == list(range(20))
    assert town.listed(20)[-1] == 0 or 0 in town.listed(20)


def test_an_excluded_item_is_neither_ranked_nor_explored_nor_pinned() -> None:
    everything = Rule(name="odd ones out", exclude=True, with_={"maker": ["odd"]})
    town = Town(everything, Rule(name="pin", pin=1, items=["item 5"]))
    listed = town.listed(20)
    assert listed and all(item % 2 == 0 for item in listed) and len(listed) == 10
    assert town.uses == {"odd ones out": 1}


def test_a_rule_is_for_its_audience() -> None:
    town = Town(Rule(name="young", exclude=True, with_={"tag": ["ad"]}, audience={"age": Span(below=16)}))
    assert all(item % 3 for item in town.listed(10, CHILD))
    assert 0 in town.listed(10, GROWN) and 0 in town.listed(10)
    cautious = Town(Rule(name="y", exclude=True, items=["item 0"], audience={"age": Span(below=16, or_unknown=True)}))
    assert 0 not in cautious.listed(10) and 0 in cautious.listed(10, GROWN)


def test_traits_that_are_lists_meet_an_audience_of_values() -> None:
    rule = Rule(name="r", exclude=True, audience={"likes": ["war", "space"], "member": [True]})
    assert rule.is_for({"likes": ["love", "space"], "member": True})
    assert not rule.is_for({"likes": ["love"], "member": True})
    assert not rule.is_for({"likes": "war"})


def test_a_boost_multiplies_the_odds() -> None:
    """Scores are logarithms of odds: twice the odds are ln 2 more."""
    town = Town(Rule(name="boost", boost=2.0, items=["item 7"]))
    best = {each.item_id: each.score for each in town.recommender.recommend(UserView("n", History()), NOON + 60, 15)}
    town.recommender.rules = None
    plain = {each.item_id: each.score for each in town.recommender.recommend(UserView("n", History()), NOON + 60, 15)}
    assert best["item 7"] - plain["item 7"] == pytest.approx(np.log(2), abs=1e-5)
    assert best["item 6"] == pytest.approx(plain["item 6"], abs=1e-5)


def test_a_boost_brings_forward_and_a_small_one_pushes_back() -> None:
    assert Town(Rule(name="up", boost=1000.0, items=["item 12"])).listed()[0] == 12
    down = Town(Rule(name="down", boost=0.001, items=["item 0"]))
    assert 0 not in down.listed()
    assert down.uses == {}, "a boosted item that is not in the list has had no say"


def test_a_cap_counts_all_its_items_or_apart_for_each_value_of_an_attribute() -> None:
    ads = Town(Rule(name="ads", cap=1, with_={"tag": ["ad"]}))
    assert sum(item % 3 == 0 for item in ads.listed()) == 1 and len(ads.listed()) == 10
    makers = Town(Rule(name="makers", cap=2, per="maker"))
    listed = makers.listed()
    assert len(listed) == 4 and sum(item % 2 for item in listed) == 2
    assert makers.uses == {"makers": 1}


def test_a_pin_stands_where_a_cap_is_full_and_counts_for_it() -> None:
    town = Town(Rule(name="pin", pin=3, items=["item 18"]), Rule(name="ads", cap=1, with_={"tag": ["ad"]}))
    listed = town.listed()
    assert listed[2] == 18 and sum(item % 3 == 0 for item in listed) == 1


def test_the_last_places_are_still_for_new_items() -> None:
    town = Town(Rule(name="pin", pin=1, items=["item 14"]))
    assert {item for item in town.listed()[-2:]} <= set(range(15, 20))


def test_an_item_that_changes_is_seen_as_it_is_now() -> None:
    town = Town(Rule(name="ads", exclude=True, with_={"tag": ["ad"]}))
    assert 0 not in town.listed() and 1 in town.listed()
    town.put(0, "maker=even")
    town.put(1, "ad")
    assert 0 in town.listed() and 1 not in town.listed()


def test_items_that_come_after_the_rules_are_under_them_however_many() -> None:
    town = Town(Rule(name="ads", exclude=True, with_={"tag": ["ad"]}))
    for item in range(20, 60):  # beyond the capacity that there was
        town.put(item, "ad")
    assert max(town.listed(20)) < 20


def test_an_explanation_names_the_rules_that_hold_for_the_item() -> None:
    town = Town(Rule(name="no ads", exclude=True, items=["item 3"]), Rule(name="push", boost=2.0, items=["item 4"]))
    user = UserState("newcomer", History(), RecentEvents(limit=1))

    def said(item: int) -> str:
        each = explain(
            town.recommender,
            user,
            f"item {item}",
            NOON + 60,
            weights=lambda user: {},
            vectors=lambda item: None,
            half_life=1.0,
        )
        return sentence(each, str)

    assert said(3) == "item 3 is kept out of the list by the rule 'no ads'."
    assert "The rule 'push' speaks of it, too (boost)" in said(4)
    assert "rule" not in said(5)
    assert town.uses == {}, "to explain is no use"
