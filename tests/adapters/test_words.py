"""The index of words finds by word, by piece of a word and by label, and follows changes at once."""

from collections.abc import Mapping

import pytest

from streams.adapters.words import WordIndex
from streams.core.search.analysis import words


def filled(items: Mapping[int, tuple[str, str]]) -> WordIndex:
    index = WordIndex()
    for slot, (title, body) in items.items():
        index.put(slot, words(title), words(body), (f"parity={slot % 2}",))
    return index


FRUIT = {0: ("red apple", "it hangs on a tree"), 1: ("tree", "with a red apple"), 2: ("yellow banana", "it is bent")}


def best(index: WordIndex, text: str, **conditions: object) -> list[int]:
    asked = dict.fromkeys(words(text), 1.0)
    return index.best(asked, 10, **conditions).slots.tolist()  # type: ignore[arg-type]


def test_an_empty_index_finds_nothing() -> None:
    assert best(WordIndex(), "apple") == []


def test_a_word_in_the_title_says_more_than_one_in_the_text() -> None:
    index = filled(FRUIT)
    assert best(index, "apple") == [0, 1]
    assert best(index, "tree") == [1, 0]


def test_a_rare_word_says_more_than_a_common_one() -> None:
    index = filled({n: ("red thing", "") for n in range(20)} | {20: ("green thing", ""), 21: ("red zebra", "")})
    assert best(index, "green zebra red")[:2] in ([21, 20], [20, 21])
    assert best(index, "red zebra")[0] == 21


@pytest.mark.parametrize(
    ("inflected", "slots"), [("apples", {0, 1}), ("pineapple", {0, 1}), ("bananas", {2}), ("Bananenschale", {2})]
)
def test_an_inflected_or_compound_word_is_found_by_its_pieces(inflected: str, slots: set[int]) -> None:
    assert set(best(filled(FRUIT), inflected)) == slots


def test_writing_without_spaces_is_found_by_any_part_of_it() -> None:
    index = filled({0: ("赤いりんご", ""), 1: ("黄色いバナナ", ""), 2: ("สุนัขสีแดง", ""), 3: ("빨간 사과", "")})
    assert best(index, "りんご") == [0]
    assert best(index, "バナナ") == [1]
    assert best(index, "สีแดง") == [2]
    assert best(index, "사과를") == [3]


def test_a_full_match_is_strong_and_a_glimpse_of_one_is_weak() -> None:
    index = filled(FRUIT)
    assert index.best({"yellow": 1.0, "banana": 1.0}, 10).strengths[0] > 0.9
    assert index.best({"bananarama": 1.0, "xylophone": 1.0}, 10).strengths[0] < 0.3


def test_only_what_has_every_required_label_and_no_hidden_one_is_found() -> None:
    index = filled({n: ("apple", "") for n in range(6)})
    assert sorted(best(index, "apple", required=[{"parity=1"}])) == [1, 3, 5]
    assert sorted(best(index, "apple", hidden={"parity=1"})) == [0, 2, 4]
    assert best(index, "apple", required=[{"parity=1"}, {"parity=0"}]) == []


def test_labels_do_not_change_the_order() -> None:
    index = filled(FRUIT)
    assert best(index, "tree apple", required=[{"parity=0", "parity=1"}]) == best(index, "tree apple")
    strengths = index.best({"tree": 1.0}, 10, required=[{"parity=0", "parity=1"}]).strengths
    assert strengths.tolist() == pytest.approx(index.best({"tree": 1.0}, 10).strengths.tolist())


def test_what_was_put_is_found_by_the_next_search_and_what_was_removed_by_none() -> None:
    index = filled(FRUIT)
    assert best(index, "cherry") == []
    index.put(7, ["cherry"], [], ())
    assert best(index, "cherry") == [7]
    index.remove(7)
    assert best(index, "cherry") == []
    index.put(7, ["plum"], [], ())
    assert best(index, "plum") == [7] and best(index, "cherry") == []


def test_removing_what_is_not_there_changes_nothing() -> None:
    index = filled(FRUIT)
    index.remove(99)
    assert best(index, "apple") == [0, 1]
