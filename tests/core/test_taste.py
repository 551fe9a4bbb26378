"""Taste is a fading sum: what matters is what was touched and when, not in which order we heard of it."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.taste import Taste, Touched, touch
from streams.core.vectors import Vector, from_bytes, to_bytes, unit

DAY = 86_400.0
touches = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0.2, 1.0]), st.floats(0, 30 * DAY)), min_size=1, max_size=6
)


def basis(index: int, dim: int = 4) -> Vector:
    vector = np.zeros(dim, np.float32)
    vector[index] = 1
    return vector


def fold(events: list[tuple[int, float, float]]) -> Taste:
    taste = Taste()
    for item, weight, at in events:
        taste = touch(taste, [Touched({"fused": basis(item)}, weight, at)], half_life=7 * DAY)
    return taste


def test_a_new_user_has_no_direction() -> None:
    assert Taste().direction() is None


def test_a_touch_counts_half_after_one_half_life() -> None:
    taste = touch(Taste(), [Touched({"fused": basis(0)}, 1.0, at=0.0)], half_life=DAY)
    later = touch(taste, [Touched({"fused": basis(1)}, 1.0, at=DAY)], half_life=DAY)
    assert later.totals["fused"].tolist() == [0.5, 1.0, 0.0, 0.0]


def test_a_late_event_counts_as_little_as_if_it_had_come_in_time() -> None:
    in_time = fold([(0, 1.0, 0.0), (1, 1.0, DAY)])
    late = fold([(1, 1.0, DAY), (0, 1.0, 0.0)])
    np.testing.assert_allclose(late.totals["fused"], in_time.totals["fused"], rtol=1e-6)
    assert late.as_of == in_time.as_of


@given(touches)
def test_the_order_of_arrival_does_not_matter(events: list[tuple[int, float, float]]) -> None:
    expected = fold(events).totals["fused"]
    for order in itertools.islice(itertools.permutations(events), 24):
        np.testing.assert_allclose(fold(list(order)).totals["fused"], expected, rtol=1e-4, atol=1e-6)


@given(touches)
def test_touches_together_count_as_touches_one_by_one(events: list[tuple[int, float, float]]) -> None:
    together = touch(Taste(), [Touched({"fused": basis(item)}, weight, at) for item, weight, at in events], 7 * DAY)
    one_by_one = fold(events)
    np.testing.assert_allclose(together.totals["fused"], one_by_one.totals["fused"], rtol=1e-4, atol=1e-6)
    assert together.as_of == one_by_one.as_of
    assert together.masses["fused"] == pytest.approx(one_by_one.masses["fused"])


@given(touches)
def test_a_direction_is_of_unit_length_and_points_to_what_was_touched(events: list[tuple[int, float, float]]) -> None:
    direction = fold(events).direction()
    assert direction is not None
    assert np.linalg.norm(direction) == pytest.approx(1, abs=1e-5)
    assert (direction >= 0).all()


def test_each_modality_has_a_taste_of_its_own() -> None:
    taste = touch(Taste(), [Touched({"fused": basis(0), "image": basis(2)}, 1.0, at=0.0)], half_life=DAY)
    taste = touch(taste, [Touched({"fused": basis(1), "text": basis(3)}, 1.0, at=0.0)], half_life=DAY)
    image, text = taste.direction("image"), taste.direction("text")
    assert image is not None and image.tolist() == basis(2).tolist()
    assert text is not None and text.tolist() == basis(3).tolist()


def test_a_touch_leaves_the_earlier_taste_as_it_was() -> None:
    before = touch(Taste(), [Touched({"fused": basis(0)}, 1.0, at=0.0)], half_life=DAY)
    touch(before, [Touched({"fused": basis(1)}, 1.0, at=DAY)], half_life=DAY)
    assert before.totals["fused"].tolist() == basis(0).tolist()


def test_a_vector_survives_the_journey_through_bytes() -> None:
    vector = unit(np.arange(8, dtype=np.float32))
    assert from_bytes(to_bytes(vector)).tolist() == vector.tolist()
