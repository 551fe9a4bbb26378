"""Metrics against what is worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.evaluation import Quality, gains, gini, judge, quality, windows
from streams.core.significance import mcnemar, user_bootstrap

ITEMS = ["a", "b", "c", "d"]


def test_quality_is_as_worked_out_by_hand() -> None:
    lists = [["a", "b"], ["c", "a"], ["b"], []]
    chosen = ["a", "a", "d", "b"]  # hit at 1, hit at 2, miss, no list
    judged = judge(lists, ["u", "v", "u", "u"], chosen, ITEMS, k=2)
    assert judged.ranks.tolist() == [1, 2, 0, 0]
    assert judged.history.tolist() == [0, 0, 1, 2]
    assert judged.users.tolist() == [0, 1, 0, 0]
    found = quality(judged)
    assert found.events == 4
    assert found.recall == 2 / 4
    assert found.precision == 2 / 8
    assert found.ndcg == pytest.approx((1 + 1 / math.log2(3)) / 4)
    assert found.mrr == (1 + 1 / 2) / 4
    assert found.coverage == 3 / 4
    # exposure a 2, b 2, c 1, d 0; sorted 0 1 2 2, times -3 -1 1 3
    assert found.gini == pytest.approx((-1 + 2 + 6) / (4 * 5))
    first = 2.0  # nothing happened yet: each of four items has a chance of 1/4
    second = (math.log2(5 / 1) + math.log2(5 / 2)) / 2  # c untouched, a touched once, in one event
    third = math.log2(6 / 1)
    assert judged.surprise == pytest.approx([first, second, third, 0.0])
    assert found.novelty == pytest.approx((first + second + third) / 4)


def test_rare_items_are_more_novel_than_popular_ones() -> None:
    chosen = ["a"] * 50
    popular, rare = (judge([[item]] * 50, ["u"] * 50, chosen, ITEMS, k=1) for item in ("a", "b"))
    assert quality(popular).novelty < quality(rare).novelty


def test_a_window_and_a_mask_judge_only_their_events() -> None:
    judged = judge([["a"], ["b"], ["c"]], ["u"] * 3, ["a", "a", "a"], ITEMS, k=1)
    assert quality(judged, slice(0, 1)).recall == 1
    assert quality(judged, slice(1, 3)).recall == 0
    assert quality(judged, np.array([True, False, True])).recall == 1 / 2
    assert quality(judged, slice(3, 3)) == Quality(0, 0, 0, 0, 0, 0, 0, 0)


def test_items_beyond_k_do_not_count() -> None:
    judged = judge([["b", "c", "a"]], ["u"], ["a"], ITEMS, k=2)
    assert judged.ranks.tolist() == [0] and quality(judged).coverage == 2 / 4


def test_an_item_that_the_catalogue_does_not_have_is_an_error() -> None:
    with pytest.raises(KeyError, match="x"):
        judge([["x"]], ["u"], ["a"], ITEMS)


def test_the_windows_are_those_of_the_protocol() -> None:
    found = windows(55_375)
    assert found == {"all": slice(0, 55_375), "first 40%": slice(0, 22_150), "last 50%": slice(27_687, 55_375)}


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_gini_is_the_mean_difference_over_twice_the_mean(counts: list[int]) -> None:
    exposure = np.array(counts)
    if exposure.sum():
        differences = np.abs(exposure[:, None] - exposure[None, :]).mean()
        assert gini(exposure) == pytest.approx(differences / (2 * exposure.mean()))
    else:
        assert gini(exposure) == 0


def test_mcnemar_counts_only_where_the_systems_differ() -> None:
    first, second = np.array([1] * 30 + [0] * 10 + [3] * 60), np.array([0] * 30 + [2] * 10 + [9] * 60)
    found = mcnemar(first.astype(np.int32), second.astype(np.int32))
    assert (found.only_first, found.only_second) == (30, 10)
    # twice the chance of at most 10 heads in 40 tosses
    assert found.p == pytest.approx(2 * sum(math.comb(40, heads) for heads in range(11)) / 2**40)
    assert mcnemar(first.astype(np.int32), first.astype(np.int32)).p == 1.0


def test_the_bootstrap_takes_a_users_events_together() -> None:
    """One user of a thousand events says little about users; a thousand users of one event say much."""
    one_user = np.repeat([0, 1], 500).astype(np.int32)
    many = np.arange(1000, dtype=np.int32)
    better = np.repeat([1.0, 0.0], 500)
    worse = np.full(1000, 0.4)
    clustered, single = user_bootstrap(better, worse, one_user), user_bootstrap(better, worse, many)
    assert clustered.mean == single.mean == pytest.approx(0.1)
    assert clustered.low < 0 < clustered.high
    assert 0.05 < single.low < 0.1 < single.high < 0.15
    assert user_bootstrap(better, worse, many) == single


def test_the_bootstrap_weighs_events_not_users() -> None:
    gained = np.array([1.0] * 9 + [0.0])
    found = user_bootstrap(gained, np.zeros(10), np.array([0] * 9 + [1], np.int32))
    assert found.mean == 0.9 and found.low == 0 and found.high == 1


def test_gains_fall_with_the_rank() -> None:
    assert gains(np.array([0, 1, 3], np.int32)).tolist() == [0, 1, 0.5]
