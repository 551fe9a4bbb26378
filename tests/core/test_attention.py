"""The modality in which a user's choices are alike speaks for them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.attention import BOUND, Background, direction, modality_weights
from streams.core.taste import Taste, Touched, touch
from streams.core.vectors import Vector, unit

DIM = 32
BASE = {"text": 1.0, "image": 1.0, "audio": 1.0}


def about(centre: int, seed: int, spread: float = 0.3) -> Vector:
    """A vector near one of the axes."""
    noise = np.random.default_rng(seed).standard_normal(DIM) * spread / np.sqrt(DIM)
    noise[centre] += 1
    return unit(noise.astype(np.float32))


def anywhere(seed: int) -> Vector:
    return unit(np.random.default_rng(1_000 + seed).standard_normal(DIM).astype(np.float32))


def a_catalogue() -> Background:
    background = Background()
    for seed in range(200):
        background.add({name: anywhere(10 * seed + n) for n, name in enumerate(BASE)})
    return background


def taste_of(items: list[dict[str, Vector]]) -> Taste:
    taste = Taste()
    for at, item in enumerate(items):
        taste = touch(taste, [Touched(item, 1.0, float(at))], half_life=1e9)
    return taste


def test_who_clicks_on_what_looks_alike_is_understood_by_the_picture() -> None:
    taste = taste_of([{"text": anywhere(n), "image": about(3, n), "audio": anywhere(50 + n)} for n in range(10)])
    weights = modality_weights(taste, a_catalogue(), BASE)
    assert weights["image"] > 1.5 * weights["text"]
    assert weights["image"] > 1.5 * weights["audio"]


def test_one_click_says_nothing_about_modalities() -> None:
    weights = modality_weights(taste_of([{name: anywhere(n) for n, name in enumerate(BASE)}]), a_catalogue(), BASE)
    assert weights == pytest.approx(dict.fromkeys(BASE, 1 / 3))


def test_what_all_items_have_in_common_is_no_sign_of_taste() -> None:
    background = Background()
    for seed in range(200):
        background.add({"text": anywhere(seed), "image": about(0, seed)})
    taste = taste_of([{"text": about(5, n), "image": about(0, 300 + n)} for n in range(10)])
    weights = modality_weights(taste, background, BASE)
    assert weights["text"] > weights["image"]


def test_a_modality_the_user_never_met_gets_no_weight() -> None:
    weights = modality_weights(taste_of([{"text": anywhere(1)}, {"text": anywhere(2)}]), a_catalogue(), BASE)
    assert weights == {"text": 1.0}


def test_a_taste_of_nothing_has_no_weights_and_no_direction() -> None:
    assert modality_weights(Taste(), a_catalogue(), BASE) == {}
    assert direction(Taste(), {}) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
def test_weights_sum_to_one_and_stay_within_their_bound(choices: list[tuple[int, int, int]]) -> None:
    items = [{name: about(axis, n) for name, axis in zip(BASE, axes, strict=True)} for n, axes in enumerate(choices)]
    weights = modality_weights(taste_of(items), a_catalogue(), BASE)
    assert sum(weights.values()) == pytest.approx(1)
    assert max(weights.values()) <= min(weights.values()) * BOUND**2 * 1.001


def test_the_direction_leans_to_the_modality_that_speaks() -> None:
    taste = taste_of([{"text": about(1, n), "image": about(2, n)} for n in range(5)])
    leaning = direction(taste, {"text": 0.2, "image": 0.8})
    assert leaning is not None and leaning[2] > leaning[1] > 0


def test_an_item_that_has_gone_leaves_no_trace_in_the_background() -> None:
    background = Background()
    for seed in range(5):
        background.add({"text": anywhere(seed)})
    before = background.likeness("text")
    background.add({"text": about(0, 7)})
    background.remove({"text": about(0, 7)})
    assert background.likeness("text") == pytest.approx(before, abs=1e-9)


def test_the_order_of_events_does_not_matter() -> None:
    items = [{"text": about(n % 2, n), "image": anywhere(n)} for n in range(6)]
    forth = Taste()
    back = Taste()
    for at, item in enumerate(items):
        forth = touch(forth, [Touched(item, 1.0, float(at))], half_life=3.0)
    for at, item in reversed(list(enumerate(items))):
        back = touch(back, [Touched(item, 1.0, float(at))], half_life=3.0)
    background = a_catalogue()
    assert modality_weights(forth, background, BASE) == pytest.approx(
        modality_weights(back, background, BASE), rel=1e-3
    )
