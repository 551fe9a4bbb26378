"""Rankings become one: what many agree on is first, and what guesses does not disturb."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.search.fusion import Ranking, fuse


def ranking(*slots: int, strength: float = 1.0) -> Ranking:
    return Ranking(np.array(slots, np.int32), np.full(len(slots), strength, np.float32))


rankings = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.integers(0, 20), unique=True, max_size=10).map(lambda each: ranking(*each))
)


def test_no_ranking_fuses_to_nothing() -> None:
    slots, sums = fuse({}, {"a": 1.0})
    assert len(slots) == len(sums) == 0


def test_what_two_rankings_agree_on_comes_before_what_each_has_first() -> None:
    slots, _ = fuse({"a": ranking(1, 2), "b": ranking(3, 2)}, {"a": 1.0, "b": 1.0})
    assert slots.tolist() == [2, 1, 3]


def test_with_full_strength_it_is_the_formula_of_the_paper() -> None:
    _, sums = fuse({"a": ranking(5, 6), "b": ranking(6)}, {"a": 1.0, "b": 1.0})
    assert sums.tolist() == pytest.approx([1 / 62 + 1 / 61, 1 / 61])


@pytest.mark.parametrize(("strength", "first"), [(1.0, 5), (0.02, 1)])
def test_a_ranking_that_only_guesses_does_not_overturn_one_that_knows(strength: float, first: int) -> None:
    both = {"sure": ranking(1, 2, 3, 4, 5), "other": ranking(5, strength=strength)}
    slots, _ = fuse(both, {"sure": 1.0, "other": 1.0})
    assert slots[0] == first


def test_a_ranking_without_weight_and_a_match_without_strength_count_nothing() -> None:
    slots, _ = fuse({"a": ranking(1), "b": ranking(2), "c": ranking(3, strength=-0.5)}, {"a": 1.0, "b": 0.0, "c": 1.0})
    assert slots.tolist() == [1]


@given(rankings)
def test_one_ranking_keeps_its_order(given: dict[str, Ranking]) -> None:
    for each in given.values():
        assert fuse({"a": each}, {"a": 1.0})[0].tolist() == each.slots.tolist()


@given(rankings)
def test_the_order_of_the_rankings_does_not_matter(given: dict[str, Ranking]) -> None:
    weights = {"a": 1.0, "b": 0.5, "c": 0.2}
    forward, backward = fuse(given, weights), fuse(dict(reversed(given.items())), weights)
    assert set(forward[0].tolist()) == {slot for each in given.values() for slot in each.slots.tolist()}
    np.testing.assert_allclose(forward[1], backward[1])
