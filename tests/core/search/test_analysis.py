"""Words compare across case, accents, forms and scripts; unknown ones are led to what was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.search.analysis import LONGEST_WORD, fold, is_unspaced, pieces, words
from streams.core.search.vocabulary import Vocabulary


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_no_text_breaks_it_and_no_word_is_empty_or_without_end(text: str) -> None:
    assert all(0 < len(word) <= LONGEST_WORD and not word.isspace() for word in words(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [("CAFÉ", "cafe"), ("Straße", "STRASSE"), ("ﬁlm", "film"), ("Ελλάδα", "ελλαδα"), ("ガ", "ｶﾞ"), ("한글", "한글")],
)
def test_forms_of_one_word_compare(one: str, other: str) -> None:
    assert words(one) == words(other)


def test_marks_that_make_the_word_stay() -> None:
    assert words("हिन्दी") == [fold("हिन्दी")]
    assert words("สุนัข") != words("สนข")


@given(st.text(alphabet="abcdefgh", min_size=1, max_size=30))
def test_pieces_hold_every_letter(word: str) -> None:
    assert not is_unspaced(word)
    assert {letter for piece in pieces(word) for letter in piece} - {"_"} == set(word)


@pytest.mark.parametrize("slip", ["zoolgist", "zologist", "zooologist", "zoologsit", "yoologist"])
def test_one_slip_anywhere_is_forgiven(slip: str) -> None:
    known = Vocabulary()
    known.add(["zoologist", "geologist", "zoo"])
    assert known.meant(slip) == "zoologist"


def test_short_words_and_far_ones_are_left_alone() -> None:
    known = Vocabulary()
    known.add(["cat", "cathedral"])
    assert known.meant("bat") is None and known.meant("chthdrol") is None


def test_of_equally_near_words_the_frequent_one_was_meant() -> None:
    known = Vocabulary()
    known.add(["house", "mouse"])
    known.add(["mouse"])
    assert known.meant("xouse") == "mouse"


def test_a_word_is_forgotten_with_its_last_item() -> None:
    known = Vocabulary()
    known.add(["zebra"])
    known.add(["zebra"])
    known.remove(["zebra"])
    assert known.meant("zebrb") == "zebra"
    known.remove(["zebra"])
    assert known.meant("zebrb") is None and "zebra" not in known
