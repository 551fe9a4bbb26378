"""Team drafts are fair, whole and repeatable."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.experiments.interleaving import team_draft
from streams.core.recommender import Scored

lists = st.lists(st.integers(0, 30), unique=True, max_size=20).map(
    lambda ids: [Scored(str(each), 1.0, "") for each in ids]
)


@given(lists, lists, st.integers(0, 25), st.text(max_size=5))
def test_a_draft_has_each_item_once_and_each_side_s_picks_in_its_order(
    one: list[Scored], other: list[Scored], length: int, seed: str
) -> None:
    made, teams = team_draft(one, other, length, seed)
    assert (made, teams) == team_draft(one, other, length, seed)
    ids = [each.item_id for each in made]
    assert len(set(ids)) == len(ids) == len(teams)
    assert len(ids) == min(length, len({each.item_id for each in [*one, *other]}))
    for side, source in ((0, one), (1, other)):
        order = [each.item_id for each in source]
        picked = [order.index(item) for item, team in zip(ids, teams, strict=True) if team == side]
        assert picked == sorted(picked)


def test_with_enough_to_pick_from_both_sides_pick_the_same_number_and_lots_are_even() -> None:
    one, other = [[Scored(f"{side}{n}", 1.0, "") for n in range(20)] for side in "ab"]
    drafts = [team_draft(one, other, 20, f"seed {n}")[1] for n in range(500)]
    assert all(sum(teams) == 10 for teams in drafts)
    assert 200 < sum(teams[0] for teams in drafts) < 300


def test_the_best_of_both_come_before_the_rest_of_either() -> None:
    one, other = [[Scored(name, 1.0, "") for name in names] for names in ("abcd", "wxyz")]
    made, _ = team_draft(one, other, 4, "seed")
    assert {each.item_id for each in made} == set("abwx")
