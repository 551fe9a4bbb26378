"""Clicks move weights towards the rankings that were right: by small steps, within bounds, and whoever clicks."""

import math
from itertools import count

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.index import VectorIndex
from streams.adapters.words import WordIndex
from streams.core.search.clicks import FARTHEST, OF_LATE, RATE, LearnedWeights, slope
from streams.core.search.question import Question
from streams.core.search.searcher import Document, Searcher
from streams.core.search.settings import SearchSettings
from streams.core.vectors import unit

WORDS, PICTURES = "words", "image in image"
SET = {WORDS: 1.0, PICTURES: 0.6}
NAMES = (WORDS, PICTURES, "text in text")

lessons = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(NAMES), st.floats(-1, 1)),
        st.sampled_from(["ada", "bob", "cy"]),
        st.floats(0, 1),
    ),
    max_size=60,
)
answers = st.integers(2, 10).flatmap(
    lambda items: st.tuples(
        st.dictionaries(
            st.sampled_from(NAMES),
            st.lists(st.floats(0, 1 / 61), min_size=items, max_size=items),
            min_size=1,
        ),
        st.integers(0, items - 1),
    )
)


def taught(given_lessons: list[tuple[dict[str, float], str, float]]) -> LearnedWeights:
    learned = LearnedWeights()
    for slopes, user, share in given_lessons:
        learned.learn(slopes, user, share)
    return learned


def test_where_people_always_click_what_looks_like_their_picture_it_comes_first() -> None:
    searcher = Searcher(SearchSettings(weights=SET, floors={}), words=WordIndex(), space=lambda: VectorIndex(2))
    seen, other = unit(np.array([1.0, 0.2], np.float32)), unit(np.array([0.2, 1.0], np.float32))
    searcher.put(Document(item_id="called so", at=0.0, title="apple", vectors={"image": other}))
    searcher.put(Document(item_id="looks so", at=0.0, title="a fruit", vectors={"image": seen}))
    question = Question(words="apple", vectors={"image": seen})
    learned = LearnedWeights()

    def shown() -> list[str]:
        return [hit.item_id for hit in searcher.search(question, learned).hits]

    assert shown() == ["called so", "looks so"]
    for user in range(300):
        hits = searcher.search(question, learned).hits
        gains = {name: [hit.gains.get(name, 0.0) for hit in hits] for name in SET}
        clicked = [hit.item_id for hit in hits].index("looks so")
        learned.learn(slope(gains, learned.of(SET), clicked), f"user {user}")
    assert shown() == ["looks so", "called so"]
    now = learned.of(SET)
    assert now[PICTURES] > SET[PICTURES] and now[WORDS] < SET[WORDS]


def test_what_stands_below_the_next_one_was_not_looked_at_and_says_nothing() -> None:
    gains = {WORDS: [0.016, 0.0, 0.016], PICTURES: [0.0, 0.016, 0.0]}
    further = {name: [*each, 0.016, 0.0] for name, each in gains.items()}
    assert slope(gains, SET, 1) == slope(further, SET, 1)


def test_one_ranking_alone_and_items_that_all_are_alike_teach_nothing() -> None:
    assert slope({WORDS: [0.016, 0.01]}, SET, 1) == {}
    assert slope({WORDS: [0.016, 0.01], "unknown": [0.0, 0.016]}, SET, 1) == {}
    alike = {WORDS: [0.01, 0.01], PICTURES: [0.01, 0.01]}
    assert slope(alike, SET, 1) == pytest.approx({WORDS: 0.0, PICTURES: 0.0})


@given(answers)
def test_a_lesson_is_within_bounds_and_takes_from_some_what_it_gives_to_others(
    answer: tuple[dict[str, list[float]], int],
) -> None:
    slopes = slope(answer[0], dict.fromkeys(NAMES, 1.0), answer[1])
    assert all(-1 <= each <= 1 for each in slopes.values())
    assert sum(slopes.values()) == pytest.approx(0, abs=1e-9)


@given(lessons)
def test_whatever_is_taught_weights_stay_within_a_quarter_and_four_times_and_what_is_0_stays_so(
    given_lessons: list[tuple[dict[str, float], str, float]],
) -> None:
    learned = taught(given_lessons * 5)
    for name, weight in learned.of({WORDS: 2.0, PICTURES: 0.0}).items():
        assert 0.5 - 1e-9 <= weight <= 8 + 1e-9 if name == WORDS else weight == 0


@given(lessons, lessons)
def test_the_same_lessons_lead_to_the_same_and_so_do_those_after_a_state_was_loaded(
    before: list[tuple[dict[str, float], str, float]], after: list[tuple[dict[str, float], str, float]]
) -> None:
    whole, first = taught(before + after), taught(before)
    later = LearnedWeights()
    later.load(*first.state())
    for slopes, user, share in after:
        later.learn(slopes, user, share)
    assert later.state() == whole.state()


@given(lessons)
def test_each_lesson_moves_a_weight_by_a_small_step(
    given_lessons: list[tuple[dict[str, float], str, float]],
) -> None:
    learned = LearnedWeights()
    for slopes, user, share in given_lessons:
        before = dict(learned.logarithms)
        learned.learn(slopes, user, share)
        for name, now in learned.logarithms.items():
            assert abs(now - before.get(name, 0.0)) <= RATE * 1.05


@given(st.permutations(range(20)))
def test_in_which_order_queries_come_makes_little_difference(order: list[int]) -> None:
    given_lessons = [({WORDS: math.sin(n), PICTURES: -math.sin(n)}, f"user {n}", 1.0) for n in range(20)]
    one, other = taught(given_lessons), taught([given_lessons[each] for each in order])
    for name, logarithm in one.logarithms.items():
        assert logarithm == pytest.approx(other.logarithms[name], abs=RATE / 5)


def test_a_flood_from_one_user_moves_less_than_a_few_people() -> None:
    flood = taught([({WORDS: -1.0, PICTURES: 1.0}, "mallory", 1.0)] * OF_LATE)
    people = taught([({WORDS: -1.0, PICTURES: 1.0}, f"user {n}", 1.0) for n in range(10)])
    assert 0 < flood.logarithms[PICTURES] < people.logarithms[PICTURES]


def test_after_others_have_clicked_a_user_counts_in_full_again() -> None:
    learned, numbers = LearnedWeights(), count()
    learned.learn({WORDS: 0.0}, "ada")
    for _ in range(OF_LATE):
        learned.learn({WORDS: 0.0}, f"user {next(numbers)}")
    learned.learn({PICTURES: 1.0}, "ada")
    assert learned.logarithms[PICTURES] == RATE


def test_clicks_that_say_all_the_same_for_ever_come_to_the_bound_and_no_further() -> None:
    learned = taught([({WORDS: -1.0, PICTURES: 1.0}, f"user {n}", 1.0) for n in range(1_000)])
    assert learned.logarithms == {WORDS: -FARTHEST, PICTURES: FARTHEST}


def test_nothing_is_held_of_a_user_who_is_forgotten_and_what_was_learned_stays() -> None:
    learned = taught([({WORDS: 1.0}, "ada", 1.0), ({WORDS: 1.0}, "bob", 1.0), ({WORDS: 1.0}, "ada", 1.0)])
    before = dict(learned.logarithms)
    learned.forget("ada")
    learned.forget("nobody")
    without = taught([({WORDS: 1.0}, "bob", 1.0)])
    assert learned.state()[2] == without.state()[2] and learned.logarithms == before


def test_nothing_that_may_not_count_is_learned() -> None:
    learned = taught([({WORDS: 1.0}, "ada", 0.0), ({}, "bob", 1.0)])
    assert msgspec.json.encode(learned.state()) == b"[[],[],[]]"
