"""Search is judged as it should be: right answers count by their place, and tuning finds what helps."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from streams.core.search.fusion import Ranking
from streams.core.search.question import Question
from streams.core.search.searcher import Document
from streams.core.vectors import Vector, unit
from streams.evaluate.search import cost
from streams.evaluate.search.clicks import Halves, course, halves
from streams.evaluate.search.distort import misspelt, photographed, retold
from streams.evaluate.search.judge import BOTH, SHIPPED, VECTORS_ALONE, VECTORS_SHIPPED, WORDS_ALONE, judge, sheets
from streams.evaluate.search.personal import Asked, Say, places_of
from streams.evaluate.search.trial import Case, Trial
from streams.evaluate.search.weights import gains, mean_reciprocal_rank, tuned

DIM = 32


def direction(thing: str) -> Vector:
    return unit(np.random.default_rng(list(thing.encode())).standard_normal(DIM).astype(np.float32))


def world() -> Trial:
    """Sixty things: half are asked for by name, with a vector that misleads, half by their vector alone."""
    things = [f"thing{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(60)]
    documents = [
        Document(
            item_id=thing, at=0.0, title=f"a {thing}", vectors={"text": direction(thing), "fused": direction(thing)}
        )
        for thing in things
    ]
    cases = [
        Case("name", frozenset([thing]), thing, Question(words=thing, vectors={"text": direction("elsewhere")}))
        for thing in things[:30]
    ] + [
        Case("meaning", frozenset([thing]), thing, Question(words="qqqq", vectors={"text": direction(thing)}))
        for thing in things[30:]
    ]
    return Trial("things", documents, cases)


def test_both_together_find_what_words_alone_and_vectors_alone_miss() -> None:
    verdict = judge(world())
    by_name = np.array(verdict.kinds) == "name"
    assert (verdict.ranks[WORDS_ALONE][by_name] == 1).all() and not verdict.ranks[WORDS_ALONE][~by_name].any()
    assert (verdict.ranks[VECTORS_ALONE][~by_name] == 1).all()
    assert (verdict.ranks[VECTORS_ALONE][by_name] != 1).mean() > 0.8
    assert (verdict.ranks[BOTH] == 1).mean() > 0.95
    _, shipped, places, differences, weights = sheets(verdict)
    assert [row[0] for row in places.rows] == ["name", "meaning", "mean of kinds"]
    assert (
        [row[0] for row in shipped.rows] == [row[0] for row in differences.rows] == ["name", "meaning", "all queries"]
    )
    assert all(each.startswith("+") for each in differences.rows[-1][1:]) and weights.rows


def test_vectors_alone_are_judged_by_what_they_find_by_themselves() -> None:
    """A thing's name finds a namesake; its meaning, which the gate holds back beside the name, finds the thing."""
    trial = world()
    namesakes = [
        Case(
            "name",
            each.right,
            each.label,
            Question(words=trial.cases[-1].label, vectors={"text": direction(each.label)}),
        )
        for each in trial.cases[:30]
    ]
    verdict = judge(Trial("things", trial.documents, namesakes))
    assert (verdict.ranks[VECTORS_SHIPPED] == 1).all() and not (verdict.ranks[SHIPPED] == 1).any()


def test_tuning_drops_a_ranking_that_misleads_and_keeps_one_that_helps() -> None:
    slots = np.arange(10, dtype=np.int32)
    good, bad = Ranking(slots, np.ones(10, np.float32)), Ranking(slots[::-1].copy(), np.ones(10, np.float32))
    laid_out = gains([{"good": good, "bad": bad}] * 4, [{0}] * 4, ["kind"] * 4)
    assert mean_reciprocal_rank(laid_out, np.array([1.0, 0.0], np.float32)) == pytest.approx(1 / 10)  # bad, good
    found = tuned(laid_out, {"good": 0.1, "bad": 1.0})
    assert found.get("bad", 0.0) < found["good"]


def test_a_kind_with_few_queries_counts_as_much_as_one_with_many() -> None:
    first, second = (
        Ranking(np.array([0], np.int32), np.ones(1, np.float32)),
        Ranking(np.array([1], np.int32), np.ones(1)),
    )
    laid_out = gains([{"r": first}] * 9 + [{"r": second}], [{0}] * 10, ["many"] * 9 + ["few"])
    assert mean_reciprocal_rank(laid_out, np.ones(1, np.float32)) == pytest.approx(0.5)


def test_a_slip_changes_one_word_by_one_letter() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        slipped = misspelt("the elephant", generator)
        article, _, animal = slipped.partition(" ")
        assert article == "the" and abs(len(animal) - len("elephant")) <= 1


def test_a_plot_is_retold_without_names_and_partly_in_other_words() -> None:
    class Lexicon:
        def others(self, word: str) -> tuple[str, ...] | None:
            return {"dog": ("hound",), "house": ("home",), "finds": ("discover",), "old": ()}.get(word)

    plot = "Rex, a dog from Boston, finds the old house."
    told = {retold(plot, Lexicon(), np.random.default_rng(seed)) for seed in range(50)}  # type: ignore[arg-type]
    assert all(len(each.split()) == 4 for each in told) and len(told) > 4
    assert {word for each in told for word in each.split()} == {
        "dog",
        "hound",
        "finds",
        "discover",
        "house",
        "home",
        "old",
    }
    assert retold("Rex meets Max.", Lexicon(), np.random.default_rng(0)) == ""  # type: ignore[arg-type]


def test_a_photograph_is_another_picture_of_the_same_thing() -> None:
    drawn = Image.new("RGBA", (300, 200), "white")
    drawn.paste((200, 30, 30, 255), (100, 50, 200, 150))
    file = io.BytesIO()
    drawn.save(file, "PNG")
    taken = Image.open(io.BytesIO(photographed(file.getvalue(), np.random.default_rng(0))))
    assert taken.format == "JPEG" and max(taken.size) <= 160
    red, green, _ = (np.asarray(taken, float)[..., channel] for channel in range(3))
    assert 0.05 < ((red - green) > 60).mean() < 0.5


def test_who_is_asked_twice_at_once_lets_the_second_wait() -> None:
    taken = np.full(20_000, 1.0)
    assert cost.waiting(taken, load=0.5).mean() == pytest.approx(1.5, abs=0.05)  # M/D/1: 1 + load / (2 * (1 - load))


def test_a_small_catalogue_is_measured_in_every_column() -> None:
    from rich.console import Console

    (point,) = cost.measure([1_000], Console(quiet=True))
    assert point.recall >= 0.98 and len(point.whole) == len(point.index) == cost.QUERIES
    assert len(cost.sheet([point]).rows[0]) == len(cost.sheet([point]).headings)


SPACE, LOVE = np.eye(2, dtype=np.float32)
CINEMA = Trial(
    "cinema",
    [
        Document(item_id=name, at=0.0, title="film", vectors={"fused": vector})
        for name, vector in [("alien", SPACE), ("kiss", LOVE), ("star", SPACE), ("heart", LOVE)]
    ],
    [],
)
FILM = Question(words="film", limit=4)


def wants(wanted: str, taste: Vector | None = None, likings: Sequence[str] = (), seen: Sequence[str] = ()) -> Asked:
    """Somebody asks for films; strangers would be recommended a kiss."""
    return Asked("a word", True, 0, 0.6, FILM, taste, likings, ["kiss"], seen, [wanted])


def test_who_asks_is_worth_something_where_a_word_leaves_open_what_is_meant() -> None:
    asked = [wants("star", SPACE), wants("heart", LOVE), wants("kiss")]
    anyone, known = (found.all for found in places_of(CINEMA, asked, [Say(), Say(taste=1.0)]).values())
    assert known[0] <= 2 < anyone[0] or known[1] <= 2 < anyone[1], "of two of a kind, either may be first"
    assert set(known[:2]) <= {1, 2} and known[2] == anyone[2]


def test_what_they_would_be_recommended_comes_first_and_for_a_stranger_what_strangers_would_be() -> None:
    asked = [wants(wanted, likings=["star", "heart"]) for wanted in ("star", "heart", "kiss")]
    own, strangers = places_of(CINEMA, asked, [Say(liking=1.0), Say(liking=1.0, stranger=True)]).values()
    assert own.all[:2].tolist() == [1, 2] and strangers.all[2] == 1


def test_films_seen_are_left_out_of_the_answer_where_places_are_looked_up_a_second_time() -> None:
    (places,) = places_of(CINEMA, [wants("heart", seen=["alien"]), wants("heart"), wants("nothing")], [Say()]).values()
    assert places.all.tolist() == [4, 4, 0] and places.unseen.tolist() == [3, 4, 0]


def misleading(queries: int = 40) -> Halves:
    """Of five items the words know a wrong one and 'text in text' the right one; both are lukewarm about the others."""
    rankings, right = [], []
    for query in range(queries):
        order = np.random.default_rng(query).permutation(5).astype(np.int32)
        strengths = np.array([1.0, 0.6, 0.5, 0.4, 0.3], np.float32)
        rankings.append({"words": Ranking(order, strengths), "text in text": Ranking(order[::-1].copy(), strengths)})
        right.append({int(order[-1])})
    given = gains(rankings, right, ["any"] * queries)
    return Halves(given, given)


@pytest.mark.parametrize("mistaken", [0.0, 0.3])
def test_people_who_click_what_is_right_bring_bad_weights_to_order_and_leave_good_ones_there(mistaken: float) -> None:
    worse, later = course(misleading(), {"words": 1.0, "text in text": 0.7}, mistaken, (0, 500))
    assert (worse, later) == (0.5, 1.0)
    assert course(misleading(), {"words": 0.7, "text in text": 1.0}, mistaken, (0, 2_000)) == [1.0, 1.0]


def test_the_names_that_people_teach_with_are_not_those_that_are_judged() -> None:
    both = halves(world())
    assert len(both.learned.gains) + len(both.judged.gains) == 60 and len(both.judged.gains) == 30
