"""The client, asking the real application among fakes."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tenacity import RetryCallState

from streams import client as client_module
from streams.client import KINDS, Client, RequestRefused, ServerUnavailable
from streams.errors import AnabranchError
from streams.events import EVENT_TYPES, Click, View
from streams.web.access import Tokens, user_token
from streams.web.answers import SearchRequest
from tests.pipeline.test_pipeline import NOW
from tests.web.world import PICTURE, HttpWorld

ADMIN, KEY = "a" * 32, "k" * 32
REAL_PAUSE = client_module._pause


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(client_module, "_pause", lambda state: 0.0)
    yield


@pytest.fixture
async def world() -> AsyncIterator[HttpWorld]:
    world = HttpWorld()
    await world.open()
    yield world
    await world.close()


@pytest.fixture
async def client(world: HttpWorld) -> AsyncIterator[Client]:
    async with Client(address(world)) as client:
        yield client


def address(world: HttpWorld) -> str:
    return str(world.client.make_url("/"))


def click(user: str = "ada", item: str = "alien", ts: float = NOW - 1) -> Click:
    return Click(event_id="e-1", user_id=user, item_id=item, ts=ts)


async def test_answers_have_the_types_of_the_server(world: HttpWorld, client: Client) -> None:
    await world.click("ada", "alien")
    made = await client.recommendations("ada", k=3)
    assert (made.user_id, made.list_version, len(made.items)) == ("ada", 1, 3)
    assert made.items[0].title == "Aliens"
    assert (await client.user("ada")).history[0].title == "Alien"
    assert (await client.item("alien")).title == "Alien"
    assert (await client.similar("alien", k=1)).items[0].item_id == "aliens"
    assert (await client.explanation("ada", "aliens")).past[0].item_id == "alien"
    assert (await client.search("star")).items[0].item_id == "star"
    assert (await client.search(SearchRequest(text="star", limit=1))).items[0].item_id == "star"
    assert (await client.flow()).workers == {}


async def test_an_event_that_is_sent_is_on_its_way_to_kafka(world: HttpWorld, client: Client) -> None:
    accepted = await client.send(click())
    assert (accepted.event_id, accepted.topic) == ("e-1", "events.click")
    assert [each.topic for each in world.sink.messages] == ["events.click"]
    assert set(KINDS) == set(EVENT_TYPES.values())


async def test_an_event_that_is_refused_says_why(client: Client) -> None:
    with pytest.raises(RequestRefused, match=r"POST .*/events/click: 422 .*ts is 0.0") as refused:
        await client.send(click(ts=0.0))
    assert refused.value.problem.reason == "bad_time"


async def test_what_is_not_there_is_told_apart_from_a_server_that_is_not(client: Client) -> None:
    with pytest.raises(RequestRefused, match="404 Not Found: no item of this id") as refused:
        await client.item("nothing")
    assert refused.value.problem.status == 404


@pytest.mark.parametrize("name", ["a/b", "a b", "ü", "100%", "a?b#c", "a%2Fb"])
async def test_names_may_have_any_characters(world: HttpWorld, client: Client, name: str) -> None:
    await world.click(name, "alien")
    made = await client.recommendations(name)
    assert (made.user_id, made.list_version) == (name, 1)


async def test_a_file_comes_as_it_was_uploaded(world: HttpWorld, client: Client) -> None:
    world.media.files["https://files.example/a.png"] = PICTURE
    await world.upload("pictured", text="a picture", media={"image": "https://files.example/a.png"})
    assert await client.media("pictured", "image") == PICTURE


async def test_a_server_that_comes_back_is_not_noticed(
    world: HttpWorld, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sink.down = True

    def back(state: object) -> float:
        world.sink.down = False
        return 0.0

    monkeypatch.setattr(client_module, "_pause", back)
    assert (await client.send(click())).event_id == "e-1"
    assert len(world.sink.messages) == 1


async def test_a_server_that_stays_away_is_given_up(world: HttpWorld) -> None:
    world.sink.down = True
    async with Client(address(world), attempts=3) as client:
        with pytest.raises(ServerUnavailable, match=r"POST .*/events/click: 503"):
            await client.send(click())
    assert world.sink.messages == []


async def test_where_nobody_answers_the_address_is_named() -> None:
    async with Client("http://127.0.0.1:1", attempts=2) as client:
        with pytest.raises(ServerUnavailable, match=r"GET http://127.0.0.1:1/flow: .*127.0.0.1:1"):
            await client.flow()


async def test_a_pause_is_as_long_as_the_server_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "7"})

    def pause(state: RetryCallState) -> float:
        pauses.append(REAL_PAUSE(state))
        return 0.0

    monkeypatch.setattr(client_module, "_pause", pause)
    app = web.Application()
    app.add_routes([web.get("/flow", busy)])
    async with TestServer(app) as server, Client(str(server.make_url("/")), attempts=3) as client:
        with pytest.raises(ServerUnavailable):
            await client.flow()
    assert pauses and all(7 <= each <= 12 for each in pauses)


async def test_a_list_is_followed_and_nothing_is_given_twice(world: HttpWorld, client: Client) -> None:
    lists = client.follow("ada", k=2)
    async with asyncio.timeout(20):
        assert (await anext(lists)).list_version == 0
        await world.click("ada", "alien")
        made = await anext(lists)
        assert (made.list_version, len(made.items)) == (1, 2)
        world.feed.close()  # as when a server ends: the client comes again, knowing version 1
        following = asyncio.ensure_future(anext(lists))
        while not len(world.feed):  # noqa: ASYNC110 (until it is there again)
            await asyncio.sleep(0)
        await world.click("ada", "star")
        assert (await following).list_version == 2
    await lists.aclose()


async def test_a_stream_that_is_refused_is_not_asked_for_again(world: HttpWorld, client: Client) -> None:
    with pytest.raises(RequestRefused, match="400"):
        await anext(client.follow("ada", k=1_000))


async def test_a_token_says_who_asks() -> None:
    world = HttpWorld(Tokens.of([f"admin {ADMIN}", f"user-key {KEY}"]))
    await world.open()
    try:
        async with Client(address(world)) as nobody, Client(address(world), token=ADMIN) as admin:
            with pytest.raises(RequestRefused, match="401"):
                await nobody.flow()
            assert (await admin.flow()).workers == {}
        async with Client(address(world), token=user_token(KEY, "ada", time.time() + 60)) as ada:
            assert (await ada.recommendations("ada")).user_id == "ada"
            await ada.send(View(event_id="e-2", user_id="ada", item_id="alien", ts=NOW - 1))
            with pytest.raises(RequestRefused, match="403"):
                await ada.recommendations("bob")
    finally:
        await world.close()


async def test_a_client_that_is_not_opened_says_so() -> None:
    with pytest.raises(AnabranchError, match="async with"):
        await Client().flow()
