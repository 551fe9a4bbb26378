"""A batch of queries leaves as answers under the same keys, and what is no query as a dead letter."""

import asyncio
import json
from typing import Any

import msgspec

from encoders.contract import DIM
from streams.adapters.index import VectorIndex
from streams.adapters.media import MediaReader
from streams.adapters.words import WordIndex
from streams.core.search.searcher import Searcher
from streams.core.search.settings import SearchSettings
from streams.events import ITEMS, Embedded, SearchResults, encode
from streams.ports import Incoming, Logged
from streams.queries import Queries
from streams.search import Asker, Search
from tests.fakes import FakeEmbedder, FakeSink

NOW = 1_700_000_000.0


async def nobody(user_id: str) -> Asker:
    return Asker()


def search() -> Search:
    searcher = Searcher(SearchSettings(), words=WordIndex(), space=lambda: VectorIndex(DIM))
    return Search(searcher, embedder=FakeEmbedder(), media=MediaReader(None), askers=nobody, items_topic=ITEMS)


def message(offset: int, fields: dict[str, Any], key: bytes) -> Incoming:
    return Incoming("events.query", 0, offset, key, json.dumps(fields).encode(), NOW - 1)


def logged(*items: Embedded) -> list[Logged]:
    return [Logged(offset, encode(item)) for offset, item in enumerate(items)]


def known() -> asyncio.Event:
    """That the search knows every item."""
    complete = asyncio.Event()
    complete.set()
    return complete


async def test_queries_wait_until_the_search_knows_every_item() -> None:
    sink, answering, complete = FakeSink(), search(), asyncio.Event()
    queries = Queries(answering, sink, complete, clock=lambda: NOW)
    asked = asyncio.create_task(queries.answer([message(0, {"event_id": "q", "ts": NOW, "text": "alien"}, b"q")]))
    await asyncio.sleep(0)
    assert not asked.done() and not sink.messages
    await answering.follow(ITEMS, logged(Embedded(item_id="alien", at=1.0, title="Alien")))
    complete.set()
    await asked
    (answer,) = sink.on("search.results")
    found = msgspec.json.decode(answer.value, type=SearchResults)
    assert [item.item_id for item in found.items] == ["alien"]


async def test_each_query_is_answered_under_its_own_key_and_a_bad_one_is_a_dead_letter() -> None:
    sink, answering = FakeSink(), search()
    await answering.follow(
        ITEMS, logged(Embedded(item_id="alien", at=1.0, title="Alien"), Embedded(item_id="b", at=1.0))
    )
    queries = Queries(answering, sink, known(), clock=lambda: NOW)
    await queries.answer(
        [
            message(0, {"event_id": "q1", "ts": NOW, "text": "alien"}, b"q1"),
            message(1, {"event_id": "q2", "ts": NOW, "limit": 1000}, b"q2"),
            message(2, {"event_id": "q3", "ts": NOW, "text": "zzzz"}, b"q3"),
        ]
    )
    first, third = sink.on("search.results")
    (letter,) = sink.on("events.rejected")
    found, nothing = (msgspec.json.decode(each.value, type=SearchResults) for each in (first, third))
    assert (first.key, found.query_id, [item.item_id for item in found.items]) == (b"q1", "q1", ["alien"])
    assert (found.published_at, found.emitted_at) == (NOW - 1, NOW)
    assert (third.key, nothing.items) == (b"q3", [])
    assert letter.key == b"q2" and ("reason", b"out_of_range") in letter.headers


async def test_an_older_upload_that_comes_late_in_the_log_changes_nothing() -> None:
    sink, answering = FakeSink(), search()
    log = logged(
        Embedded(item_id="a", at=2.0, title="new"),
        Embedded(item_id="a", at=1.0, title="old"),
        Embedded(item_id="b", at=2.0, withdrawn=True),
        Embedded(item_id="b", at=1.0, title="old"),
    )
    await answering.follow(ITEMS, log)
    queries = Queries(answering, sink, known(), clock=lambda: NOW)
    await queries.answer([message(0, {"event_id": "q", "ts": NOW}, b"q")])
    answer = msgspec.json.decode(sink.on("search.results")[0].value, type=SearchResults)
    assert [(item.item_id, item.title) for item in answer.items] == [("a", "new")]
    assert answering.offsets == {ITEMS: 4}
