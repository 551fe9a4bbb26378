"""A click on an answer reaches the weights of every worker, and of what does not, a metric says why."""

import asyncio
from random import Random
from typing import Any

import msgspec
import pytest

from encoders.contract import DIM
from streams import metrics
from streams.adapters.index import VectorIndex
from streams.adapters.media import MediaReader
from streams.adapters.words import WordIndex
from streams.core.memory.deniability import Deniability
from streams.core.search.searcher import Searcher
from streams.core.search.settings import SearchSettings
from streams.errors import Rejected
from streams.events import ITEMS, SHOWN, Click, Learned, SearchResults, Shown, encode, read_learned, read_shown
from streams.ports import Logged
from streams.queries import Queries
from streams.replica import INTERACTIONS, Replica
from streams.search import Search
from streams.shown import REMEMBERED, Answers, checked, told
from tests.pipeline.test_pipeline import NOW, World
from tests.pipeline.test_search import FLOORS, inline

NUMBERS = SearchSettings(weights={"words": 1.0, "image in image": 0.6}, floors=FLOORS)
CALLED, SEEN = "called an apple", "looks like one"
SHOWED = Shown(
    query_id="q", items=["a", "b", "c"], gains={"words": [0.016, 0.0, 0.0], "image in image": [0.0, 0.016, 0.01]}
)


class Shop(World):
    """A pipeline that learns from clicks on answers, and what answers; people ask with words and a picture at once."""

    def __init__(self, learns: bool = True) -> None:
        super().__init__()
        self.answers = Answers(NUMBERS.counting, self.replica.weights)
        self.pipeline.answers = self.answers if learns else None
        self.search = Search(
            Searcher(NUMBERS, words=WordIndex(), space=lambda: VectorIndex(DIM)),
            embedder=self.embedder,
            media=MediaReader(None),
            askers=self.nobody,
            items_topic=ITEMS,
            learned=self.replica.weights if learns else None,
        )
        complete = asyncio.Event()
        complete.set()
        self.queries = Queries(self.search, self.sink, complete, clock=lambda: self.now)
        self._asked = 0

    async def nobody(self, user_id: str) -> Any:
        raise AssertionError("nobody asks by name here")

    async def open(self) -> "Shop":
        await self.pipeline.own([0])
        await self.pipeline.uploads(
            [
                self.upload(CALLED, title="apple", media={"image": inline("tree")}),
                self.upload(SEEN, title="fruit", media={"image": inline("round red")}),
            ]
        )
        announced = self.sink.on(ITEMS)
        await self.search.follow(ITEMS, [Logged(n, each.value) for n, each in enumerate(announced)])
        return self

    async def ask(self, **fields: Any) -> SearchResults:
        """The answer, once every worker has heard of it."""
        self._asked += 1
        asked = {"text": "apple", "media": {"image": inline("round red")}} | fields
        before = len(self.sink.on(SHOWN))
        await self.queries.answer(
            [self.message("events.query", f"q{self._asked}", {"event_id": f"q{self._asked}"} | asked)]
        )
        for each in self.sink.on(SHOWN)[before:]:
            self.answers.take(each.value or b"")
        return msgspec.json.decode(self.sink.on("search.results")[-1].value or b"", type=SearchResults)

    async def first(self) -> str:
        return (await self.ask()).items[0].item_id

    async def teach(self, people: int = 300) -> None:
        """So many ask, and each clicks on what looks like their picture."""
        for person in range(people):
            answer = await self.ask()
            click = self.click(f"user {person}", SEEN, query_id=answer.query_id)
            await self.pipeline.interactions([click])


@pytest.fixture
async def shop() -> Shop:
    return await Shop().open()


def count(outcome: str) -> float:
    return metrics.SEARCH_LESSONS.labels(outcome)._value.get()


async def test_after_many_clicks_on_what_looks_alike_it_comes_first_for_all_workers_and_after_a_restart(
    shop: Shop,
) -> None:
    assert await shop.first() == CALLED
    await shop.teach()
    assert await shop.first() == SEEN
    log = [Logged(n, each.value) for n, each in enumerate(shop.sink.on(INTERACTIONS))]
    other = Replica(VectorIndex(DIM), worker="w2", items_topic=ITEMS)
    await other.follow(INTERACTIONS, log[:100])
    restarted = Replica(VectorIndex(DIM), worker="w3", items_topic=ITEMS)
    restarted.restore(b"".join(other.snapshot()))
    for each in (other, restarted):
        await each.follow(INTERACTIONS, log[100:])
        assert each.weights.state() == shop.replica.weights.state()
    assert metrics.SEARCH_WEIGHT.labels("image in image")._value.get() > 1


async def test_asked_to_explain_an_answer_tells_what_each_ranking_counts_by_now(shop: Shop) -> None:
    assert (await shop.ask()).weights == {}
    assert (await shop.ask(explain=True)).weights == {"words": 1.0, "image in image": 0.6}
    await shop.teach(20)
    now = (await shop.ask(explain=True)).weights
    assert now["words"] < 1.0 and now["image in image"] > 0.6


async def test_where_clicks_are_to_teach_nothing_nobody_hears_of_what_was_shown_and_the_weights_stay() -> None:
    shop = await Shop(learns=False).open()
    await shop.teach(20)
    assert not shop.sink.on(SHOWN) and not shop.replica.weights.logarithms
    assert (await shop.ask(explain=True)).weights == {"words": 1.0, "image in image": 0.6}


async def test_where_touches_are_deniable_the_log_is_told_nothing_of_answers(shop: Shop) -> None:
    shop.pipeline.deniability = Deniability(1.0, Random(1))
    await shop.teach(5)
    touched = [each for message in shop.sink.on(INTERACTIONS) for each in read_learned(message.value or b"").touches]
    assert touched and not any(each.rankings for each in touched)


async def test_a_click_that_is_delivered_twice_and_a_second_of_the_same_user_teach_nothing_more(shop: Shop) -> None:
    answer, again = await shop.ask(), count("again")
    click = shop.click("ada", SEEN, query_id=answer.query_id)
    await shop.pipeline.interactions([click])
    once = shop.replica.weights.state()
    assert once[1]
    await shop.pipeline.interactions([click])
    await shop.pipeline.interactions([shop.click("ada", CALLED, query_id=answer.query_id)])
    assert shop.replica.weights.state() == once and count("again") == again + 2


async def test_nothing_is_shown_of_answers_that_clicks_cannot_tell_anything_by(shop: Shop) -> None:
    await shop.ask(limit=1)
    await shop.ask(text="", media={})
    await shop.ask(media={})
    assert not shop.sink.on(SHOWN)


async def test_of_a_long_answer_the_first_places_are_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.search.TOLD", 1)
    assert len((await shop.ask()).items) == 2
    [message] = shop.sink.on(SHOWN)
    shown = read_shown(message.value or b"")
    assert shown.items == [CALLED] and all(len(gains) == 1 for gains in shown.gains.values())


async def test_who_is_forgotten_is_no_longer_known_to_have_taught(shop: Shop) -> None:
    await shop.teach(2)
    await shop.pipeline.forgets([shop.forget("user 0")])
    assert len(shop.replica.weights.state()[2]) == 1


def a_click(**fields: Any) -> Click:
    return Click(**{"event_id": "c", "ts": NOW, "user_id": "ada", "item_id": "b", "query_id": "q"} | fields)


def answers() -> Answers:
    made = Answers(NUMBERS.counting, Replica(VectorIndex(DIM), worker="w", items_topic=ITEMS).weights)
    made.take(told(SHOWED).value or b"")
    return made


def test_what_a_click_teaches_goes_by_where_the_item_was_shown_whatever_the_click_says() -> None:
    assert answers().lesson(a_click(position=7)) == answers().lesson(a_click()) != {}


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"query_id": "another"}, "answer unknown"),
        ({"item_id": "z"}, "item not shown"),
        ({"query_id": "poor"}, "nothing to tell apart"),
        ({"query_id": "broken"}, "answer unreadable"),
        ({"query_id": "odd"}, "answer unreadable"),
    ],
)
def test_a_click_that_teaches_nothing_is_counted_with_why(fields: dict[str, Any], outcome: str) -> None:
    known, before = answers(), count(outcome)
    known.take(encode(Shown(query_id="poor", items=["b", "c"], gains={"words": [0.01, 0.01]})))
    known.take(b'{"query_id": "broken", "items": 3}')
    known.take(encode(Shown(query_id="odd", items=["b", "c"], gains={"words": [0.01], "image in image": [0.1, 0.1]})))
    assert known.lesson(a_click(**fields)) == {} and count(outcome) == before + 1


def test_a_click_on_a_list_is_none_on_an_answer() -> None:
    assert answers().lesson(a_click(query_id=None)) == {}


def test_the_latest_answers_are_remembered_and_no_more() -> None:
    known = answers()
    for number in range(REMEMBERED):
        known.take(encode(Shown(query_id=f"q{number}", items=[], gains={})))
    assert known.lesson(a_click()) == {} and len(known._answers) == REMEMBERED


@pytest.mark.parametrize("gains", [[0.1], [0.1, -0.1], [0.1, float("inf")], [0.1, float("nan")]])
def test_gains_that_are_none_are_refused(gains: list[float]) -> None:
    with pytest.raises(Rejected):
        checked(Shown(query_id="q", items=["a", "b"], gains={"words": gains}))


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(Rejected):
        answers().take(b"{}")


@pytest.mark.parametrize("value", [1.5, -1.1])
def test_a_lesson_beyond_its_bounds_is_left_out_of_the_log_by_everybody(value: float) -> None:
    touch = {"event_id": "e", "item_id": "i", "at": NOW, "weight": 1.0, "rankings": {"words": value}}
    with pytest.raises(Rejected, match="out_of_range"):
        read_learned(encode({"user_id": "ada", "worker": "w", "touches": [touch]}))
    assert isinstance(
        read_learned(encode({"user_id": "ada", "worker": "w", "touches": [touch | {"rankings": {}}]})), Learned
    )
