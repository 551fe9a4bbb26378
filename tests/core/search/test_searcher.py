"""A world of coloured fruit whose right answers anyone can see: words, pictures and sounds share one space."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streams.adapters.index import VectorIndex
from streams.adapters.words import WordIndex
from streams.core.search.clicks import slope
from streams.core.search.fusion import Slots
from streams.core.search.question import Question
from streams.core.search.searcher import Document, Searcher
from streams.core.search.settings import SearchSettings
from streams.core.vectors import Vector, unit

DIM = 32
COLOURS = ("red", "yellow", "green")
FRUITS = ("apple", "banana", "cherry", "melon")
PAIRS = {f"{asked} in {part}": 1.0 for asked in ("text", "image") for part in ("text", "image")}
SETTINGS = SearchSettings(
    weights={"words": 1.0, **PAIRS},
    floors={"words": 0.05, "text in text": 0.3, "text in image": 0.3},
    taste=0.25,
    depth=20,
)


def direction(*things: str) -> Vector:
    """The sum of a random direction for each thing."""
    return unit(np.sum([np.random.default_rng(list(each.encode())).standard_normal(DIM) for each in things], axis=0))


def document(colour: str, fruit: str, at: float = 0.0) -> Document:
    seen = direction(colour, fruit)
    return Document(
        item_id=f"{colour}-{fruit}",
        at=at,
        title=f"{colour} {fruit}",
        text=f"A {fruit} that is {colour}.",
        attributes=[f"colour={colour}", "ripe" if colour != "green" else "unripe"],
        language="en",
        vectors={"text": seen, "image": seen, "fused": seen},
    )


@pytest.fixture
def market() -> Searcher:
    searcher = Searcher(SETTINGS, words=WordIndex(), space=lambda: VectorIndex(DIM))
    for at, (colour, fruit) in enumerate((colour, fruit) for colour in COLOURS for fruit in FRUITS):
        searcher.put(document(colour, fruit, at))
    return searcher


def ids(searcher: Searcher, question: Question) -> list[str]:
    return [hit.item_id for hit in searcher.search(question).hits]


def test_an_empty_catalogue_finds_nothing() -> None:
    nothing = Searcher(SETTINGS, words=WordIndex(), space=lambda: VectorIndex(DIM))
    found = nothing.search(Question(words="apple", vectors={"text": direction("apple")}, taste=direction("red")))
    assert (found.hits, found.total, found.facets) == ([], 0, {})


def test_words_find_what_they_name(market: Searcher) -> None:
    assert ids(market, Question(words="Red apples"))[0] == "red-apple"


def test_a_meaning_that_misleads_does_not_overturn_words_that_fit_and_is_found_after_them(market: Searcher) -> None:
    misled = ids(market, Question(words="red apple", vectors={"text": direction("green", "melon")}, limit=12))
    assert misled[0] == "red-apple" and "green-melon" in misled[1:]


def test_words_that_fit_hold_their_own_meaning_back_and_no_picture(market: Searcher) -> None:
    seen = {"text": direction("green", "melon"), "image": direction("green", "melon")}
    alone = market.rankings(Question(vectors=seen))
    beside = {
        words: market.rankings(Question(words=words, vectors=seen)) for words in ("red apple", "red zzzz", "zzzz")
    }

    def strength(words: str, name: str) -> float:
        return float((beside[words] if words else alone)[name].strengths[0])

    assert strength("red apple", "text in text") < strength("red zzzz", "text in text") < strength("", "text in text")
    assert strength("zzzz", "text in text") == strength("", "text in text")
    assert {strength(words, "image in image") for words in ("", *beside)} == {strength("", "image in image")}


def test_words_without_a_match_find_by_meaning(market: Searcher) -> None:
    asked = Question(words="scarlet pomme", vectors={"text": direction("red", "apple")})
    assert ids(market, asked)[0] == "red-apple"


def test_a_picture_finds_what_it_shows_and_words_beside_it_say_what_to_change(market: Searcher) -> None:
    picture = direction("red", "banana")
    assert ids(market, Question(vectors={"image": picture}))[0] == "red-banana"
    assert ids(market, Question(words="yellow", vectors={"image": picture}))[0] == "yellow-banana"


def test_a_misspelt_word_finds_and_what_was_meant_is_told(market: Searcher) -> None:
    found = market.search(Question(words="yelow chery"))
    assert found.hits[0].item_id == "yellow-cherry" and found.meant == "yellow cherry"
    assert market.search(Question(words="yellow cherry")).meant == ""


def test_nonsense_finds_nothing(market: Searcher) -> None:
    away = direction("quantum")
    for fruit in FRUITS + COLOURS:
        away -= (away @ direction(fruit)) * direction(fruit)
    found = market.search(Question(words="xqzzt wvfk", vectors={"text": unit(away)}))
    assert (found.hits, found.total, found.meant) == ([], 0, "")


@pytest.mark.parametrize("words", ["", "   ", "?!", "\x00"])
def test_asking_for_nothing_shows_what_is_newest(market: Searcher, words: str) -> None:
    assert ids(market, Question(words=words, limit=2)) == ["green-melon", "green-cherry"]


def test_filters_hold_for_words_for_pictures_and_for_nothing_asked(market: Searcher) -> None:
    green = {"colour": ["green"]}
    assert ids(market, Question(words="apple", filters=green))[0] == "green-apple"
    for asked in (
        Question(words="red apple", filters=green),
        Question(vectors={"image": direction("red")}, filters=green),
        Question(filters=green),
    ):
        found = ids(market, asked)
        assert found and all(each.startswith("green") for each in found)


def test_values_of_one_filter_are_alternatives_and_filters_add_up(market: Searcher) -> None:
    either = Question(filters={"colour": ["green", "red"], "tag": ["ripe"]}, limit=50)
    assert {each.partition("-")[0] for each in ids(market, either)} == {"red"}
    assert ids(market, Question(words="apple", filters={"colour": ["blue"]})) == []


@pytest.mark.parametrize("exact", [0, 1_000])
def test_a_filter_that_few_pass_still_finds_the_nearest_of_them(exact: int) -> None:
    settings = SearchSettings(weights={"image in image": 1.0}, floors={}, depth=5, exact=exact)
    searcher = Searcher(settings, words=WordIndex(), space=lambda: VectorIndex(DIM))
    generator = np.random.default_rng(0)
    for n in range(500):
        vector = unit(generator.standard_normal(DIM).astype(np.float32))
        searcher.put(Document(item_id=str(n), at=0.0, attributes=[f"kind={n % 50}"], vectors={"image": vector}))
    searcher.put(Document(item_id="far", at=0.0, attributes=["kind=7"], vectors={"image": direction("far")}))
    found = ids(searcher, Question(vectors={"image": direction("far")}, filters={"kind": ["7"]}, limit=5))
    assert found[0] == "far" and len(found) == 5 and all(each == "far" or int(each) % 50 == 7 for each in found)


def test_facets_count_what_was_found(market: Searcher) -> None:
    facets = market.search(Question(filters={"colour": ["red", "green"]})).facets
    assert facets["colour"] == {"red": 4, "green": 4}
    assert facets["tag"] == {"ripe": 4, "unripe": 4}
    assert facets["language"] == {"en": 8} and facets["has"] == {"image": 8, "text": 8}


def test_pages_follow_each_other_without_gap_or_repeat(market: Searcher) -> None:
    asked = {"words": "red apple", "vectors": {"text": direction("red", "apple")}}
    whole = ids(market, Question(**asked, limit=12))  # type: ignore[arg-type]
    pages = [ids(market, Question(**asked, offset=at, limit=5)) for at in (0, 5, 10, 15)]  # type: ignore[arg-type]
    assert [each for page in pages for each in page] == whole and pages[3] == []


def test_hidden_items_are_never_shown(market: Searcher) -> None:
    hidden = ["tag=unripe"]
    for asked in (
        Question(words="green apple", hidden=hidden),
        Question(vectors={"image": direction("green")}, hidden=hidden),
        Question(hidden=hidden, limit=50),
        Question(words="apple", hidden=hidden, filters={"colour": ["green", "red"]}),
    ):
        assert not [each for each in ids(market, asked) if each.startswith("green")]


def test_an_item_that_is_hidden_only_later_is_hidden_from_then_on(market: Searcher) -> None:
    asked = Question(words="plum", vectors={"image": direction("blue", "plum")}, hidden=["tag=rotten"])
    plum = Document(item_id="plum", at=9, title="blue plum", vectors={"image": direction("blue", "plum")})
    market.put(plum)
    assert ids(market, asked)[0] == "plum"
    market.put(msgspec.structs.replace(plum, attributes=["rotten"]))
    assert "plum" not in ids(market, asked)
    market.put(plum)
    assert ids(market, asked)[0] == "plum"


@pytest.mark.parametrize(("marked", "times"), [([], 1), (["rotten"], 2)])
def test_what_no_item_has_costs_nothing_to_hide(marked: list[str], times: int) -> None:
    """Where nothing is hidden the index is asked once; where something is, again for more until enough are left."""

    class Counted(VectorIndex):
        asked = 0

        def nearest(self, vector: Vector, count: int) -> tuple[Slots, NDArray[np.float32]]:
            self.asked += 1
            return super().nearest(vector, count)

    space = Counted(DIM)
    settings = SearchSettings(weights={"image in image": 1.0}, floors={}, depth=5)
    searcher = Searcher(settings, words=WordIndex(), space=lambda: space)
    for n in range(100):
        near = direction(f"{n % 7}")
        searcher.put(Document(item_id=f"{n}", at=0.0, attributes=[] if n % 7 else marked, vectors={"image": near}))
    found = ids(searcher, Question(vectors={"image": direction("0")}, hidden=["tag=rotten"], limit=5))
    assert len(found) == 5 and space.asked == times


def test_a_withdrawn_item_is_gone_from_every_answer_and_comes_back_when_put(market: Searcher) -> None:
    asked = [Question(words="red apple"), Question(vectors={"image": direction("red", "apple")}), Question(limit=50)]
    market.remove("red-apple")
    assert all("red-apple" not in ids(market, each) for each in asked)
    market.put(document("red", "apple", 99))
    assert all("red-apple" in ids(market, each) for each in asked)


def test_an_item_that_changed_is_found_as_it_is_now_only(market: Searcher) -> None:
    market.put(Document(item_id="red-apple", at=50, title="blue plum", vectors={"image": direction("blue", "plum")}))
    assert ids(market, Question(words="plum")) == ["red-apple"]
    assert "red-apple" not in ids(market, Question(filters={"colour": ["red"]}))
    assert "red-apple" not in ids(market, Question(words="apple", limit=3))
    assert len(market) == 12


def test_taste_moves_what_a_user_likes_up_and_adds_nothing_else(market: Searcher) -> None:
    anybody = ids(market, Question(words="apple", limit=50))
    someone = ids(market, Question(words="apple", limit=50, taste=direction("green")))
    assert someone[0] == "green-apple" and set(someone) == set(anybody)


def test_what_a_user_would_be_recommended_is_moved_up_and_nothing_is_added(market: Searcher) -> None:
    anybody = ids(market, Question(words="apple", limit=50))
    likings = ["not in the market", "green-melon", "green-apple", "yellow-apple"]
    found = market.search(Question(words="apple", limit=50, likings=lambda: likings))
    assert {hit.item_id for hit in found.hits} == set(anybody)
    assert [hit.item_id for hit in found.hits[:3]] == ["green-apple", "yellow-apple", "red-apple"]
    assert [hit.places.get("liking") for hit in found.hits[:3]] == [1, 2, None]
    assert found.weights["liking"] == market.settings.liking and "taste" not in found.weights


def test_a_click_on_what_was_liked_teaches_that_likings_are_to_count_more(market: Searcher) -> None:
    hits = market.search(Question(words="apple", likings=lambda: ["green-apple"])).hits
    given = {name: [hit.gains.get(name, 0.0) for hit in hits] for name in ("words", "liking")}
    assert slope(given, market.settings.counting, clicked=0)["liking"] > 0
    assert slope(given, market.settings.counting, clicked=1)["liking"] < 0


def test_who_likes_nothing_of_what_was_found_gets_the_same_as_anybody(market: Searcher) -> None:
    question = Question(words="apple", limit=50)
    liking = Question(words="apple", limit=50, likings=lambda: ["green-melon"])
    assert market.search(liking) == market.search(question)


def test_what_words_name_stays_first_whatever_is_liked_beside_it(market: Searcher) -> None:
    assert ids(market, Question(words="red apple", likings=lambda: ["green-apple", "red-melon"]))[0] == "red-apple"


def test_likings_have_no_say_about_pictures_and_one_where_nothing_is_asked_with(market: Searcher) -> None:
    pictured = Question(vectors={"image": direction("red", "apple")}, limit=50)
    assert ids(market, msgspec.structs.replace(pictured, likings=not_asked)) == ids(market, pictured)
    assert ids(market, Question(likings=lambda: ["red-apple"]))[0] == "red-apple" != ids(market, Question())[0]


def test_without_weight_for_taste_and_likings_everybody_gets_the_same() -> None:
    settings = SearchSettings(weights=SETTINGS.weights, floors=SETTINGS.floors, taste=0.0, liking=0.0)
    searcher = Searcher(settings, words=WordIndex(), space=lambda: VectorIndex(DIM))
    for colour in COLOURS:
        searcher.put(document(colour, "apple"))
    somebody = Question(words="apple", taste=direction("green"), likings=not_asked)
    assert ids(searcher, somebody) == ids(searcher, Question(words="apple"))


def test_where_nothing_is_found_nobody_works_out_what_is_liked(market: Searcher) -> None:
    assert ids(market, Question(words="zzzz", likings=not_asked)) == []


def not_asked() -> list[str]:
    raise AssertionError("what is liked has no say here")


def test_a_hit_says_what_spoke_for_it(market: Searcher) -> None:
    hit = market.search(Question(words="red apple", vectors={"text": direction("red", "apple")})).hits[0]
    assert hit.places == {"words": 1, "text in text": 1, "text in image": 1}


def test_an_item_without_any_vector_is_found_by_its_words(market: Searcher) -> None:
    market.put(Document(item_id="words-only", at=0.0, title="durian"))
    assert ids(market, Question(words="durian", vectors={"text": direction("durian")}))[0] == "words-only"


@given(words=st.text(max_size=200))
def test_no_words_break_it(words: str) -> None:
    FRUIT_STAND.search(Question(words=words, filters={"tag": ["ripe"]}))


FRUIT_STAND = Searcher(SETTINGS, words=WordIndex(), space=lambda: VectorIndex(DIM))
FRUIT_STAND.put(document("red", "apple"))
