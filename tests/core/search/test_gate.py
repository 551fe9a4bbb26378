"""The meaning of words yields to the words where these fit, and never wholly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.search.fusion import Ranking
from streams.core.search.gate import GUESSED, coverage, gated, rarity

words = st.lists(st.sampled_from("abcdef"), unique=True)
shares = st.floats(0.0, 1.0)


def ranking(*strengths: float) -> Ranking:
    return Ranking(np.arange(len(strengths), dtype=np.int32), np.array(strengths, np.float32))


def test_no_word_and_no_word_in_common_cover_nothing() -> None:
    assert coverage({}, {}, {"red"}) == 0.0
    assert coverage({"rot": 1.0}, {"rot": None}, {"red"}) == 0.0


def test_a_rare_word_covers_more_than_a_frequent_one() -> None:
    rarities = {"the": rarity(900, 1000), "okapi": rarity(1, 1000)}
    meant = {word: word for word in rarities}
    assert coverage(rarities, meant, {"okapi"}) > 0.9 > 0.1 > coverage(rarities, meant, {"the"})


def test_a_word_that_every_item_has_counts_still() -> None:
    assert rarity(1, 1) > 0 and rarity(1000, 1000) > 0


def test_what_was_probably_meant_covers_less_than_what_was_written() -> None:
    assert coverage({"aple": 2.0}, {"aple": "apple"}, {"apple"}) == GUESSED
    assert coverage({"apple": 2.0}, {"apple": "apple"}, {"apple"}) == 1.0


@given(words, words)
def test_a_share_is_between_nothing_and_all_and_grows_with_the_words_of_the_item(
    asked: list[str], has: list[str]
) -> None:
    rarities = {word: 1.0 + place for place, word in enumerate(asked)}
    meant = dict.fromkeys(asked, "a")
    covered = coverage(rarities, meant, set(has))
    assert 0.0 <= covered <= coverage(rarities, meant, {*has, "a", "f"}) <= 1.0
    assert coverage(rarities, meant, set(asked)) == pytest.approx(1.0 if asked else 0.0)


@given(st.lists(st.floats(0.01, 1.0), max_size=5), shares, shares, st.floats(0.0, 0.9))
def test_the_order_stays_and_the_better_the_words_fit_the_less_all_of_it_counts(
    strengths: list[float], some: float, other: float, yielding: float
) -> None:
    asked = ranking(*sorted(strengths, reverse=True))
    less, more = (gated(asked, covered, 3.0, yielding) for covered in sorted((some, other)))
    assert less.slots.tolist() == more.slots.tolist() == asked.slots.tolist()
    assert (less.strengths >= more.strengths).all() and (more.strengths > 0).all()
    assert (np.diff(more.strengths) <= 0).all()


def test_a_loose_likeness_counts_much_less_than_a_close_one() -> None:
    close, loose = gated(ranking(0.8, 0.4), 0.0, 3.0, 0.9).strengths
    assert close / loose == pytest.approx(8.0)


def test_the_opposite_of_what_is_meant_counts_nothing() -> None:
    assert gated(ranking(0.5, -0.5), 0.0, 2.0, 0.9).strengths.tolist() == [0.25, 0.0]
