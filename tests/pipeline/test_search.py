"""A query in words, media or both becomes an answer, with the outside world in memory."""

from base64 import b64encode
from typing import Any

import msgspec
import pytest

from encoders.contract import DIM
from streams.adapters.index import VectorIndex
from streams.adapters.media import MediaReader
from streams.adapters.words import WordIndex
from streams.core.catalogue import Catalogue
from streams.core.rules import Rule, RuleBook, Span
from streams.core.search.searcher import Searcher
from streams.core.search.settings import SearchSettings
from streams.core.vectors import Vector, to_bytes
from streams.errors import StoreUnavailable
from streams.events import ITEMS, Embedded, Query, SearchResults
from streams.search import Asker, Search
from tests.fakes import FakeEmbedder

NOW = 1_700_000_000.0
WEIGHTS = {"words": 1.0, "text in text": 1.0, "image in image": 1.0, "speech in text": 1.0, "text in image": 0.5}
FLOORS = {"words": 0.05, "text in text": 0.3, "text in image": 0.3}
FILMS = {
    "alien": ("Alien", "space horror monster"),
    "star": ("Star", "space adventure"),
    "amelie": ("Amélie", "romance paris cafe"),
    "kiss": ("A kiss", "romance rome"),
}
RULES = [Rule(name="young", exclude=True, with_={"tag": ["horror"]}, audience={"age": Span(below=16)})]


def vector(text: str) -> Vector:
    return FakeEmbedder._vector(text.encode())


def film(item_id: str, **changes: Any) -> Embedded:
    title, text = FILMS[item_id]
    seen = to_bytes(vector(text))
    fields = {
        "item_id": item_id,
        "at": NOW,
        "title": title,
        "text": text,
        "attributes": ["genre=Romance" if "romance" in text else "genre=Space"],
        "vectors": {"text": seen, "image": seen, "fused": seen},
    }
    return Embedded(**fields | changes)


def inline(content: str) -> str:
    return f"data:;base64,{b64encode(content.encode()).decode()}"


class World:
    """Search among fakes.

    The user 'roman' likes Rome, 'regular' would be recommended Amélie, now; 'young' is 12
    years old; for 'troubled' the store is away.
    """

    def __init__(self, **settings: Any) -> None:
        self.embedder = FakeEmbedder()
        settings = {"weights": WEIGHTS, "floors": FLOORS, "taste": 0.25} | settings
        searcher = Searcher(SearchSettings(**settings), words=WordIndex(), space=lambda: VectorIndex(DIM))
        self.search = Search(
            searcher,
            embedder=self.embedder,
            media=MediaReader(None),
            askers=self.asker,
            items_topic=ITEMS,
            barred=RuleBook(RULES, Catalogue(8)).barred,
            unsafe=["tag=adult"],
        )
        for item_id in FILMS:
            self.search.put(film(item_id))

    async def asker(self, user_id: str) -> Asker:
        if user_id == "troubled":
            raise StoreUnavailable("the fake store is down")
        if user_id == "regular":
            return Asker(likings=lambda at: ["amelie"] if at == NOW else [])
        return Asker(vector("rome") if user_id == "roman" else None, b'{"age": 12}' if user_id == "young" else b"")

    async def ask(self, **query: Any) -> SearchResults:
        return (await self.search.search(Query(**{"event_id": "q1", "ts": NOW} | query))).results


async def found(world: World, **query: Any) -> list[str]:
    return [item.item_id for item in (await world.ask(**query)).items]


async def test_words_find_by_name_and_by_meaning() -> None:
    world = World()
    assert (await found(world, text="amelie"))[0] == "amelie"
    assert (await found(world, text="monster horror"))[0] == "alien"


async def test_the_answer_names_its_query_and_titles() -> None:
    answer = await World().ask(event_id="q7", user_id="ada", text="Alien")
    assert (answer.query_id, answer.user_id, answer.items[0].title) == ("q7", "ada", "Alien")
    assert answer.items[0].places == {}


async def test_asked_to_explain_each_item_says_what_spoke_for_it() -> None:
    answer = await World().ask(text="space adventure", explain=True)
    assert answer.items[0].places == {"words": 1, "text in text": 1, "text in image": 1}


async def test_a_picture_finds_what_looks_like_it() -> None:
    assert (await found(World(), media={"image": inline("romance paris cafe")}))[0] == "amelie"


async def test_what_is_said_is_searched_for_by_its_words_too() -> None:
    answer = await World().ask(media={"speech": inline("amelie")}, explain=True)
    assert answer.items[0].item_id == "amelie" and answer.heard == "amelie"
    assert answer.items[0].places["words"] == 1


async def test_a_part_that_cannot_be_read_is_refused_by_name_and_the_others_answer() -> None:
    answer = await World().ask(text="amelie", media={"image": inline("corrupt"), "audio": "ftp://nowhere"})
    assert answer.items[0].item_id == "amelie"
    assert answer.refused["image"].startswith("Undecodable: ")
    assert answer.refused["audio"].startswith("SchemeRefused: ")


async def test_where_nothing_asked_with_can_be_read_nothing_is_found() -> None:
    answer = await World().ask(media={"image": inline("corrupt")})
    assert (answer.items, answer.total, list(answer.refused)) == ([], 0, ["image"])


async def test_without_triton_words_still_find() -> None:
    world = World()
    world.embedder.down = True
    answer = await world.ask(text="amelie")
    assert answer.items[0].item_id == "amelie" and answer.refused["text"].startswith("EmbedderUnavailable: ")


async def test_a_part_that_takes_too_long_is_left_out() -> None:
    class Slow(FakeEmbedder):
        async def embed(self, modality: str, contents: Any) -> Any:
            raise TimeoutError  # as `asyncio.timeout` does

    world = World()
    world.search._embedder = Slow()
    answer = await world.ask(text="amelie")
    assert answer.items[0].item_id == "amelie" and answer.refused["text"].startswith("TooSlow: ")


async def test_asking_for_nothing_shows_everything_and_filters_hold() -> None:
    world = World()
    assert set(await found(world)) == set(FILMS)
    assert set(await found(world, filters={"genre": ["Romance"]})) == {"amelie", "kiss"}
    assert await found(world, text="space", filters={"genre": ["Western"]}) == []


async def test_taste_moves_what_a_user_likes_up_unless_they_or_nobody_ask() -> None:
    world = World()
    assert (await found(world, text="romance", user_id="roman"))[0] == "kiss"
    plain = await found(world, text="romance")
    assert await found(world, text="romance", user_id="roman", personal=False) == plain
    assert await found(world, text="romance", user_id="stranger") == plain
    assert await found(World(taste=0.0), text="romance", user_id="roman") == plain


async def test_what_a_user_would_be_recommended_when_they_ask_moves_up_unless_they_or_nobody_ask() -> None:
    world = World()
    plain = await found(world, text="romance")
    assert plain[0] == "kiss" and (await found(world, text="romance", user_id="regular"))[0] == "amelie"
    answer = await world.ask(text="romance", user_id="regular", explain=True)
    assert answer.items[0].places["liking"] == 1 and answer.weights["liking"] == SearchSettings().liking
    assert await found(world, text="romance", user_id="regular", ts=NOW + 1) == plain
    assert await found(world, text="romance", user_id="regular", personal=False) == plain
    assert await found(World(liking=0.0), text="romance", user_id="regular") == plain


async def test_where_the_store_is_away_the_answer_is_that_of_anybody() -> None:
    world = World()
    assert await found(world, text="romance", user_id="troubled") == await found(world, text="romance")


async def test_an_unsafe_item_is_shown_only_to_who_asks_for_it() -> None:
    world = World()
    world.search.put(film("alien", attributes=["adult"]))
    assert "alien" not in await found(world, text="alien")
    assert "alien" not in await found(world, media={"image": inline("space horror monster")})
    assert (await found(world, text="alien", safe=False))[0] == "alien"


WAYS_TO_ASK: dict[str, dict[str, Any]] = {
    "words": {"text": "alien"},
    "impersonal": {"text": "alien", "personal": False},
    "picture": {"media": {"image": inline("space horror monster")}},
    "newest": {},
    "filtered": {"text": "alien", "filters": {"has": ["image"]}},
}


@pytest.mark.parametrize(
    ("asker", "shown"),
    [({"user_id": "young"}, False), ({"user_id": "roman"}, True), ({"user_id": "troubled"}, False), ({}, True)],
)
@pytest.mark.parametrize("query", WAYS_TO_ASK.values(), ids=WAYS_TO_ASK.keys())
async def test_what_rules_keep_from_a_user_is_not_found_by_them_and_by_nobody_while_that_cannot_be_known(
    asker: dict[str, str], shown: bool, query: dict[str, Any]
) -> None:
    world = World()
    world.search.put(film("alien", attributes=["horror"]))
    answer = await world.ask(**query, **asker)
    assert ("alien" in [item.item_id for item in answer.items]) == shown
    assert ("horror" in answer.facets.get("tag", {})) == shown


async def test_a_page_is_full_though_the_best_are_kept_from_who_asks() -> None:
    world = World(depth=4)
    for number in range(40):
        item = film("alien", attributes=["horror"] if number else [])
        world.search.put(
            msgspec.structs.replace(item, item_id=f"a{number:02}", title="Alien" if number else "An alien, mild")
        )
    assert set(await found(world, text="alien", user_id="young", limit=2)) == {"alien", "a00"}


async def test_a_withdrawn_item_is_found_no_more() -> None:
    world = World()
    world.search.put(Embedded(item_id="alien", at=NOW, withdrawn=True))
    assert "alien" not in await found(world, text="alien") + await found(world)


async def test_a_misspelt_query_tells_what_was_probably_meant() -> None:
    answer = await World().ask(text="advenure")
    assert answer.did_you_mean == "adventure" and answer.items[0].item_id == "star"


@pytest.mark.parametrize(
    "text", ["\x00", "🦒🦒", "ignore all filters; DROP TABLE items", "a" * 2_000, "AND OR NOT (", '"']
)
async def test_strange_words_are_answered_like_any_other(text: str) -> None:
    answer = await World().ask(text=text)
    assert answer.total <= len(FILMS)
