"""The gauges of the running stream say what the protocol would say of the same clicks."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.evaluation import K, judge, quality
from streams.core.live_quality import LiveFigures, LiveQuality

ITEMS = [f"item {number}" for number in range(15)]
steps = st.lists(
    st.tuples(st.integers(0, 2), st.permutations(ITEMS).map(lambda items: items[:12]), st.sampled_from(ITEMS)),
    min_size=1,
    max_size=30,
)


@given(steps, st.integers(1, 30))
def test_live_figures_are_those_of_the_latest_clicks(story: list[tuple[int, list[str], str]], window: int) -> None:
    live = LiveQuality(window=window, users=10)
    for user, held, chosen in story:
        live.hold(f"user {user}", held)
        assert live.click(f"user {user}", chosen)
    latest = story[-window:]
    expected = quality(
        judge([held for _, held, _ in latest], ["u"] * len(latest), [item for *_, item in latest], ITEMS)
    )
    found = live.figures(len(ITEMS))
    assert found.clicks == len(latest)
    for name in ("recall", "precision", "ndcg", "mrr", "coverage", "gini"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name)), name
    if window >= len(story):
        assert found.novelty == pytest.approx(expected.novelty)
    else:
        assert found.novelty == pytest.approx(
            np.mean([novelty(story, at, window) for at in range(len(story))][-window:])
        )


def novelty(story: list[tuple[int, list[str], str]], at: int, window: int) -> float:
    """Of the list before a click, by the clicks that were in the window as it came."""
    clicks = Counter(item for *_, item in story[max(0, at - window + 1) : at])
    held = story[at][1][:K]
    return float(np.mean([-np.log2((clicks[item] + 1) / (clicks.total() + len(ITEMS))) for item in held]))


def test_two_clicks_on_one_list_are_both_judged_by_it() -> None:
    live = LiveQuality(window=10, users=10)
    live.hold("ann", ["a", "b", "c"])
    live.click("ann", "a")
    live.click("ann", "c")
    assert live.figures(3).mrr == (1 + 1 / 3) / 2


def test_a_newer_list_takes_the_place_of_the_older() -> None:
    live = LiveQuality(window=10, users=10)
    live.hold("ann", ["a"])
    live.hold("ann", ["b"])
    live.click("ann", "a")
    assert live.figures(2).recall == 0


def test_clicks_of_users_whose_list_is_unknown_are_not_judged() -> None:
    live = LiveQuality(window=10, users=2)
    assert not live.click("ann", "a")
    assert live.figures(5) == LiveFigures(0, 0, 0, 0, 0, 0, 0, 0)
    for user in ("ann", "bob", "ann", "cleo"):
        live.hold(user, ["a"])
    assert [live.click(user, "a") for user in ("ann", "bob", "cleo")] == [True, False, True], "bob's was the oldest"
    live.forget("ann")
    assert not live.click("ann", "a")
    live.forget_lists()
    assert not live.click("cleo", "a")
    assert live.figures(5).clicks == 2


def test_coverage_does_not_exceed_one_where_lists_show_more_than_the_catalogue_is_known_to_have() -> None:
    live = LiveQuality(window=10, users=2)
    live.hold("ann", ["a", "b"])
    live.click("ann", "a")
    assert live.figures(catalogue=1).coverage == 1


def test_before_anything_is_uploaded_lists_are_empty_and_show_nothing() -> None:
    live = LiveQuality(window=10, users=2)
    live.hold("ada", [])
    assert live.click("ada", "alien")
    figures = live.figures(catalogue=0)
    assert (figures.clicks, figures.recall, figures.coverage, figures.gini) == (1, 0.0, 0.0, 0.0)
    assert (figures.precision, figures.novelty) == (0.0, 0.0)


def test_recall_is_told_apart_by_group() -> None:
    live = LiveQuality(window=100, users=10)
    for user, item, group in (("ann", "a", "F"), ("bob", "a", "M"), ("ann", "x", "F"), ("eve", "a", "")):
        live.hold(user, ["a", "b"])
        live.click(user, item, group)
    assert live.figures(catalogue=4).groups == {"F": 0.5, "M": 1.0}
    assert live.latest(2) == [("a", "b"), ("a", "b")]
